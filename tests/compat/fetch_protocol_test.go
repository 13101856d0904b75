package compat

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fetcher sends Fetch requests by hand and writes down what comes back.
type fetcher struct {
	transcript
	seeds    []string
	ids      map[string][16]byte
	names    map[[16]byte]string
	sessions []int32
}

// newFetcher makes topics that the transcript knows as t0, t1, …
func newFetcher(t *testing.T, partitions ...int32) (f *fetcher, topics []string) {
	t.Helper()
	brokers := seeds(t)
	f = &fetcher{seeds: brokers, ids: map[string][16]byte{}, names: map[[16]byte]string{}}
	f.t, f.client = t, newKgo(t, brokers)
	var hide []string
	for i, n := range partitions {
		topic := newTopic(t, brokers, n, nil)
		f.learn(topic)
		topics = append(topics, topic)
		hide = append(hide, topic, fmt.Sprintf("t%d", i))
	}
	f.hide = strings.NewReplacer(hide...)
	return f, topics
}

// learn asks for a topic's id.
func (f *fetcher) learn(topic string) {
	f.t.Helper()
	req := kmsg.NewPtrMetadataRequest()
	rt := kmsg.NewMetadataRequestTopic()
	rt.Topic = &topic
	req.Topics = append(req.Topics, rt)
	f.ids[topic] = f.ask(req).(*kmsg.MetadataResponse).Topics[0].TopicID
	f.names[f.ids[topic]] = topic
}

// wanted is one partition of a request.
type wanted struct {
	topic       string
	partition   int32
	offset      int64
	max         int32
	epoch, last int32
}

func want(topic string, partition int32, offset int64) wanted {
	return wanted{topic, partition, offset, 1 << 20, -1, -1}
}

// request is a Fetch of some partitions without a session and without waiting.
func (f *fetcher) request(parts ...wanted) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.MinBytes, req.MaxBytes, req.SessionEpoch = 1, 50<<20, -1
	for _, w := range parts {
		last := len(req.Topics) - 1
		if last < 0 || req.Topics[last].Topic != w.topic {
			rt := kmsg.NewFetchRequestTopic()
			rt.Topic, rt.TopicID = w.topic, f.id(w.topic)
			req.Topics = append(req.Topics, rt)
			last++
		}
		rp := kmsg.NewFetchRequestTopicPartition()
		rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes, rp.CurrentLeaderEpoch, rp.LastFetchedEpoch = w.partition, w.offset, w.max, w.epoch, w.last
		req.Topics[last].Partitions = append(req.Topics[last].Partitions, rp)
	}
	return req
}

func (f *fetcher) id(topic string) [16]byte {
	if id, ok := f.ids[topic]; ok {
		return id
	}
	return [16]byte{1, 2, 3}
}

// session makes a request one of a session that the transcript has numbered; 0 is none.
func (f *fetcher) session(req *kmsg.FetchRequest, n int, epoch int32) *kmsg.FetchRequest {
	if n > 0 {
		req.SessionID = f.sessions[n-1]
	}
	req.SessionEpoch = epoch
	return req
}

func forget(req *kmsg.FetchRequest, topic string, id [16]byte, partitions ...int32) *kmsg.FetchRequest {
	t := kmsg.NewFetchRequestForgottenTopic()
	t.Topic, t.TopicID, t.Partitions = topic, id, partitions
	req.ForgottenTopics = append(req.ForgottenTopics, t)
	return req
}

// fetch sends a request and returns the answer.
func (f *fetcher) fetch(version int16, req *kmsg.FetchRequest) *kmsg.FetchResponse {
	f.t.Helper()
	return f.ask(&pinned{req, version}).(*kmsg.FetchResponse)
}

// say sends a request and writes the answer down.
func (f *fetcher) say(what string, version int16, req *kmsg.FetchRequest) {
	f.t.Helper()
	began := time.Now()
	resp, err := f.client.Broker(1).Request(within(f.t, patience), &pinned{req, version})
	if err != nil {
		f.t.Fatalf("%s, version %d: %v", what, version, err)
	}
	if wait := time.Duration(req.MaxWaitMillis) * time.Millisecond; wait > 0 {
		if time.Since(began) >= wait-5*time.Millisecond {
			what += ", after the wait"
		} else {
			what += ", at once"
		}
	}
	f.show(what, resp.(*kmsg.FetchResponse))
}

func (f *fetcher) show(what string, resp *kmsg.FetchResponse) {
	session := 0
	for i, id := range f.sessions {
		if id == resp.SessionID {
			session = i + 1
		}
	}
	if resp.SessionID != 0 && session == 0 {
		f.sessions = append(f.sessions, resp.SessionID)
		session = len(f.sessions)
	}
	f.printf("%s: %s, session %d", what, code(resp.ErrorCode), session)
	for i := range resp.Topics {
		t := &resp.Topics[i]
		name := t.Topic
		if resp.Version >= 13 {
			if name = f.names[t.TopicID]; name == "" {
				name = "?"
			}
		}
		for j := range t.Partitions {
			p := &t.Partitions[j]
			line := fmt.Sprintf("  %s/%d: %s, high %d, stable %d, start %d", name, p.Partition, code(p.ErrorCode), p.HighWatermark, p.LastStableOffset, p.LogStartOffset)
			line += ", batches" + offsetsOf(p.RecordBatches)
			if p.AbortedTransactions != nil {
				line += fmt.Sprintf(", %d aborted", len(p.AbortedTransactions))
			}
			if p.DivergingEpoch.Epoch >= 0 || p.DivergingEpoch.EndOffset >= 0 {
				line += fmt.Sprintf(", diverges at %d/%d", p.DivergingEpoch.Epoch, p.DivergingEpoch.EndOffset)
			}
			if p.PreferredReadReplica != -1 {
				line += fmt.Sprintf(", preferred %d", p.PreferredReadReplica)
			}
			f.printf("%s", line)
		}
	}
}

// offsetsOf lists the whole batches of an answer. Kafka cuts the last one where the bytes end, ours leaves it out:
// docs/divergence.md, the end of a fetch.
func offsetsOf(b []byte) (out string) {
	for len(b) >= 61 {
		base, size := binary.BigEndian.Uint64(b), 12+int(binary.BigEndian.Uint32(b[8:]))
		if size > len(b) {
			break
		}
		out += fmt.Sprintf(" %d-%d", base, base+uint64(binary.BigEndian.Uint32(b[23:])))
		b = b[size:]
	}
	if out == "" {
		out = " none"
	}
	return out
}

// append produces one batch of so many records.
func (f *fetcher) append(topic string, partition int32, records int) {
	f.t.Helper()
	values := make([]string, records)
	for i := range values {
		values[i] = fmt.Sprintf("value %d", i)
	}
	f.produce(topic, partition, batchOf(-1, -1, -1, values...))
}

func (f *fetcher) produce(topic string, partition int32, batch []byte) {
	f.t.Helper()
	req := produceOne(topic, partition, batch)
	if p := f.ask(&pinned{req, 9}).(*kmsg.ProduceResponse).Topics[0].Partitions[0]; p.ErrorCode != 0 {
		f.t.Fatalf("produce: %s", code(p.ErrorCode))
	}
}

func produceOne(topic string, partition int32, batch []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 30_000
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic = topic
	rp := kmsg.NewProduceRequestTopicPartition()
	rp.Partition, rp.Records = partition, batch
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	return req
}

// What a fetch session says, and when it says nothing (KIP-227).
func TestFetchSession_Answers(t *testing.T) {
	t.Parallel()
	f, topics := newFetcher(t, 3, 1)
	a, b := topics[0], topics[1]
	f.append(a, 0, 3)
	for _, version := range []int16{7, 12, 13, 18} {
		f.sessions = nil
		f.say(fmt.Sprintf("version %d, opened", version), version, f.session(f.request(want(a, 0, 0), want(a, 1, 0), want(b, 0, 0)), 0, 0))
		f.say("the same again", version, f.session(f.request(), 1, 1))
		f.say("read on", version, f.session(f.request(want(a, 0, 3)), 1, 2))
		f.say("nothing new", version, f.session(f.request(), 1, 3))
		f.say("wrong epoch", version, f.session(f.request(), 1, 3))
		f.say("negative epoch", version, f.session(f.request(), 1, -2))
		f.say("beyond the end", version, f.session(f.request(want(a, 1, 7)), 1, 4))
		f.say("still", version, f.session(f.request(), 1, 5))
		f.say("mended", version, f.session(f.request(want(a, 1, 0)), 1, 6))
		f.say("another partition, one forgotten", version, f.session(forget(f.request(want(a, 2, 0)), b, f.id(b), 0), 1, 7))
		f.say("a partition that is not there", version, f.session(f.request(want(a, 9, 0)), 1, 8))
		f.say("it is told each time", version, f.session(f.request(), 1, 9))
		f.say("a topic that is not there", version, f.session(forget(f.request(want("nothing", 0, 0)), a, f.id(a), 9), 1, 10))
		f.say("it is told each time", version, f.session(f.request(), 1, 11))
		other := int16(12)
		if version < 13 {
			other = 13
		}
		f.say("ids and names mixed", other, f.session(f.request(), 1, 12))
		f.say("nothing left", version, f.session(forget(forget(f.request(), a, f.id(a), 0, 1, 2), "nothing", f.id("nothing"), 0), 1, 12))
		f.say("the session is over", version, f.session(f.request(), 1, 13))
		f.say("nothing is asked", version, f.session(f.request(), 0, 0))
		f.say("nor then", version, f.session(f.request(), 2, 1))
		f.say("opened", version, f.session(f.request(want(a, 0, 3)), 0, 0))
		f.say("opened anew", version, f.session(f.request(want(a, 0, 3), want(a, 1, 0)), 2, 0))
		f.say("the old one", version, f.session(f.request(), 2, 1))
		f.say("closed", version, f.session(f.request(want(a, 0, 3)), 3, -1))
		f.say("no session", version, f.session(f.request(), 3, 1))
		f.say("never one", version, f.session(f.request(), 0, 1))
		f.say("a partition twice", version, f.session(f.request(want(a, 0, 0), want(a, 1, 0), want(a, 0, 3)), 0, 0))
	}
	f.compare("fetch_session.txt")
}

// Who got records waits until the others have had theirs.
func TestFetchSession_Turns(t *testing.T) {
	t.Parallel()
	f, topics := newFetcher(t, 3)
	a := topics[0]
	for p := range int32(3) {
		f.append(a, p, 2)
	}
	one := func(req *kmsg.FetchRequest) *kmsg.FetchRequest { req.MaxBytes = 1; return req }
	f.say("opened", 13, f.session(one(f.request(want(a, 0, 0), want(a, 1, 0), want(a, 2, 0))), 0, 0))
	for epoch := range int32(6) {
		f.say("next", 13, f.session(one(f.request()), 1, epoch+1))
	}
	f.compare("fetch_turns.txt")
}

// A topic that is deleted while a session has it, and another of its name.
func TestFetchSession_TopicGoes(t *testing.T) {
	t.Parallel()
	f, topics := newFetcher(t, 1, 1)
	a, b := topics[0], topics[1]
	old := f.id(a)
	f.append(a, 0, 1)
	f.say("opened", 13, f.session(f.request(want(a, 0, 0), want(b, 0, 0)), 0, 0))
	epoch := int32(0)
	until := func(what string, accept func(code int16) bool) {
		t.Helper()
		var last *kmsg.FetchResponse
		for deadline := time.Now().Add(patience); ; {
			epoch++
			last = f.fetch(13, f.session(f.request(), 1, epoch))
			if len(last.Topics) > 0 && accept(last.Topics[0].Partitions[0].ErrorCode) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %+v", what, last)
			}
		}
		f.show(what, last)
	}
	admin := newAdmin(t, f.seeds)
	if _, err := admin.DeleteTopic(within(t, patience), a); err != nil {
		t.Fatal(err)
	}
	until("deleted", func(code int16) bool { return code != 0 })
	if _, err := admin.CreateTopic(within(t, patience), 1, 1, nil, a); err != nil {
		t.Fatal(err)
	}
	eventuallyPartitions(t, admin, a, 1)
	until("there is another", func(code int16) bool { return code != 0 && code != 3 })
	f.learn(a)
	f.names[old] = "old " + a
	epoch++
	f.say("taken in", 13, f.session(forget(f.request(want(a, 0, 0)), a, old, 0), 1, epoch))
	f.say("the old id without a session", 13, func() *kmsg.FetchRequest {
		req := f.request(want(a, 0, 0))
		req.Topics[0].TopicID = old
		return req
	}())
	f.compare("fetch_topic_goes.txt")
}

// What a fetch is answered with whatever it asks for, without sessions.
func TestFetch_Answers(t *testing.T) {
	t.Parallel()
	f, topics := newFetcher(t, 3, 1)
	a, b := topics[0], topics[1]
	for range 4 {
		f.append(a, 0, 10)
		f.append(a, 1, 10)
	}
	size := int32(len(f.fetch(12, f.request(want(a, 0, 0))).Topics[0].Partitions[0].RecordBatches)) / 4
	for v := int16(4); v <= 18; v++ {
		f.say(fmt.Sprintf("version %d", v), v, f.request(want(a, 0, 35), want(a, 2, 0)))
	}
	limits := func(what string, version int16, most, first, second int32) {
		req := f.request(want(a, 0, 0), want(a, 1, 0))
		req.MaxBytes, req.Topics[0].Partitions[0].PartitionMaxBytes, req.Topics[0].Partitions[1].PartitionMaxBytes = most, first, second
		f.say(what, version, req)
	}
	for _, v := range []int16{4, 12, 17} {
		limits("all", v, 1<<20, 1<<20, 1<<20)
		limits("one byte", v, 1, 1<<20, 1<<20)
		limits("no byte", v, 0, 1<<20, 1<<20)
		limits("negative", v, -1, 1<<20, 1<<20)
		limits("two and a half each", v, 1<<20, size*5/2, size*5/2)
		limits("three in all, two each", v, size*3, size*2, size*2)
		limits("one byte each", v, 1<<20, 1, 1)
		limits("no byte each", v, 1<<20, 0, 0)
		limits("negative each", v, 1<<20, -5, -5)
		limits("one and no byte", v, size, size, 0)
	}
	change := func(w wanted, f func(*wanted)) wanted { f(&w); return w }
	for _, v := range []int16{4, 11, 12, 18} {
		f.printf("version %d", v)
		f.say("offset -1", v, f.request(want(a, 0, -1)))
		f.say("smallest offset", v, f.request(want(a, 0, -1<<63)))
		f.say("end", v, f.request(want(a, 0, 40)))
		f.say("beyond", v, f.request(want(a, 0, 41)))
		f.say("largest offset", v, f.request(want(a, 0, 1<<63-1)))
		f.say("unknown partition", v, f.request(want(a, 7, 0), want(a, -1, 0)))
		f.say("unknown topic", v, f.request(want("nothing", 0, 0)))
		f.say("nothing", v, f.request())
		for _, epoch := range []int32{-2, 0, 1, 1 << 30} {
			f.say(fmt.Sprintf("leader epoch %d", epoch), v, f.request(change(want(a, 0, 30), func(w *wanted) { w.epoch = epoch })))
			f.say(fmt.Sprintf("last fetched epoch %d", epoch), v, f.request(change(want(a, 0, 30), func(w *wanted) { w.last = epoch })))
		}
		f.say("last fetched beyond", v, f.request(change(want(a, 0, 77), func(w *wanted) { w.last = 0 })))
		req := f.request(want(a, 0, 30))
		req.IsolationLevel = 1
		f.say("committed", v, req)
		req.IsolationLevel = 2
		f.say("isolation level 2", v, req)
		req.IsolationLevel = -1
		f.say("isolation level -1", v, req)
		req = f.request(want(a, 0, 30))
		req.Rack = "nowhere"
		f.say("rack", v, req)
		for _, replica := range []int32{1, 7, -2, -3} {
			req = f.request(want(a, 0, 30))
			if v < 15 {
				req.ReplicaID = replica
			} else {
				req.ReplicaState.ID = replica
			}
			f.say(fmt.Sprintf("replica %d", replica), v, req)
			req.Topics[0].Partitions[0].CurrentLeaderEpoch = 0
			f.say(fmt.Sprintf("replica %d with leader epoch", replica), v, req)
		}
	}
	wait := func(what string, ms, least int32, parts ...wanted) {
		req := f.request(parts...)
		req.MaxWaitMillis, req.MinBytes = ms, least
		f.say(what, 12, req)
	}
	const long, short = 20_000, 200
	wait("enough", long, size, want(a, 0, 30))
	wait("more than max bytes", short, 1<<30, want(a, 0, 30))
	wait("not enough", short, size+1, want(a, 0, 30))
	wait("two have enough", long, 2*size, want(a, 0, 30), want(a, 1, 30))
	wait("min bytes 0", long, 0, want(a, 2, 0))
	wait("min bytes below 0", long, -1, want(a, 2, 0))
	wait("beyond the end", long, 1<<20, want(a, 0, 41), want(a, 2, 0))
	wait("wrong epoch", long, 1<<20, change(want(a, 0, 0), func(w *wanted) { w.epoch = 5 }), want(a, 2, 0))
	wait("diverges", long, 1<<20, change(want(a, 0, 50), func(w *wanted) { w.last = 0 }), want(a, 2, 0))
	wait("unknown partition beside", short, 1, want(a, 9, 0), want(a, 2, 0))
	wait("unknown topic beside", short, 1, want("nothing", 9, 0), want(b, 0, 0))
	wait("only unknown ones", long, 1, want("nothing", 9, 0), want(b, 8, 0))
	wait("nothing", long, 1)
	small := f.request(want(a, 0, 0))
	small.MaxWaitMillis, small.MinBytes, small.MaxBytes = long, 1<<20, size
	f.say("min bytes above max bytes", 12, small)
	f.compare("fetch_protocol.txt")
}
