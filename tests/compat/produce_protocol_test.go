package compat

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// producing sends batches by hand and writes down what becomes of them.
type producing struct {
	fetcher
	next map[string]int64 // offsets
}

// newProducing makes topics by name, each with its settings.
func newProducing(t *testing.T, topics map[string][]string) (p *producing, name map[string]string) {
	t.Helper()
	brokers := seeds(t)
	p = &producing{next: map[string]int64{}}
	p.t, p.client, p.seeds = t, newKgo(t, brokers), brokers
	p.ids, p.names = map[string][16]byte{}, map[[16]byte]string{}
	name = map[string]string{}
	var hide []string
	for topic, settings := range topics {
		forever := "-1" // the records are years old, and the cleaner may come at any time
		configs := map[string]*string{"retention.ms": &forever}
		for _, s := range settings {
			k, v, _ := strings.Cut(s, "=")
			configs[k] = &v
		}
		name[topic] = newTopic(t, brokers, 1, configs)
		p.learn(name[topic])
		hide = append(hide, name[topic], topic)
	}
	p.hide = strings.NewReplacer(hide...)
	return p, name
}

// send produces one batch and writes the answer down, and what is in the log then.
func (p *producing) send(what string, version int16, topic string, batch []byte) {
	p.t.Helper()
	req := produceOne(topic, 0, batch)
	req.Topics[0].TopicID = p.id(topic)
	p.request(what, version, topic, req)
}

func (p *producing) request(what string, version int16, topic string, req *kmsg.ProduceRequest) {
	p.t.Helper()
	answer, err := p.client.Broker(1).Request(within(p.t, patience), &pinned{req, version})
	if err != nil {
		p.t.Fatalf("%s, version %d: %v", what, version, err)
	}
	resp := answer.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	line := fmt.Sprintf("%s: %s", what, code(resp.ErrorCode))
	if resp.ErrorCode == 0 {
		line += fmt.Sprintf(", offset %d, start %d", resp.BaseOffset, resp.LogStartOffset)
		if resp.LogAppendTime != -1 {
			line += ", the broker's time"
		}
	} else if resp.BaseOffset != -1 || resp.LogAppendTime != -1 {
		line += fmt.Sprintf(", offset %d, time %d", resp.BaseOffset, resp.LogAppendTime)
	}
	if resp.ErrorMessage == nil && len(resp.ErrorRecords) > 0 {
		line += ", no message"
	}
	for _, r := range resp.ErrorRecords {
		line += fmt.Sprintf(", record %d", r.RelativeOffset)
		if r.ErrorMessage == nil {
			line += " without a message"
		}
	}
	p.printf("%s", line)
	if resp.ErrorCode == 0 {
		p.stored(topic)
	}
}

// stored writes down the batches of a topic that are new.
func (p *producing) stored(topic string) {
	p.t.Helper()
	b := p.fetch(12, p.fetcher.request(want(topic, 0, p.next[topic]))).Topics[0].Partitions[0].RecordBatches
	for len(b) >= 61 {
		be := binary.BigEndian
		one := b[:12+be.Uint32(b[8:])]
		b = b[len(one):]
		base, attributes := int64(be.Uint64(one)), int16(be.Uint16(one[21:]))
		first, largest := int64(be.Uint64(one[27:])), int64(be.Uint64(one[35:]))
		p.next[topic] = base + int64(be.Uint32(one[23:])) + 1
		line := fmt.Sprintf("  %d-%d: %s", base, p.next[topic]-1, codecName(attributes))
		if attributes&^7 != 0 {
			line += fmt.Sprintf(", attributes %#x", attributes&^7)
		}
		if attributes&8 == 0 {
			line += fmt.Sprintf(", times %s %s", moment(first), moment(largest))
		}
		line += fmt.Sprintf(", %d records", be.Uint32(one[57:]))
		if id := int64(be.Uint64(one[43:])); id >= 0 {
			line += fmt.Sprintf(", producer %d/%d/%d", id, be.Uint16(one[51:]), be.Uint32(one[53:]))
		}
		if be.Uint32(one[17:]) != crc32.Checksum(one[21:], crc32.MakeTable(crc32.Castagnoli)) {
			line += ", checksum wrong"
		}
		p.printf("%s", line)
	}
}

// moment is a timestamp that does not depend on when the test runs.
func moment(ms int64) string {
	if ms == -1 {
		return "none"
	}
	if ago := time.Since(time.UnixMilli(ms)); ago.Abs() < 400*24*time.Hour && ms != fixedTime {
		return fmt.Sprintf("now%+.1fh", -ago.Hours())
	}
	return fmt.Sprintf("fixed%+d", ms-fixedTime)
}

// v1Message is a message set of Kafka 0.10, with one message.
func v1Message(magic byte) []byte {
	be := binary.BigEndian
	m := []byte{0, 0, 0, 0, magic, 0}
	if magic > 0 {
		m = be.AppendUint64(m, fixedTime)
	}
	m = append(be.AppendUint32(m, ^uint32(0)), 0, 0, 0, 1, 'v')
	be.PutUint32(m, crc32.ChecksumIEEE(m[4:]))
	b := be.AppendUint64(nil, 0)
	b = be.AppendUint32(b, uint32(len(m)))
	return append(b, m...)
}

// What a broker says to batches that are right, wrong and odd (KIP-98, KIP-467).
func TestProduce_Batches(t *testing.T) {
	t.Parallel()
	p, name := newProducing(t, map[string][]string{
		"plain": nil, "small": {"max.message.bytes=500"}, "segment": {"segment.bytes=1048576", "max.message.bytes=4000000"},
	})
	plain := name["plain"]
	for v := int16(3); v <= 13; v++ {
		p.send(fmt.Sprintf("version %d", v), v, plain, draft{}.encode(t))
	}
	for _, acks := range []int16{-2, 2, 100, 1} {
		req := produceOne(plain, 0, draft{}.encode(t))
		req.Acks = acks
		p.request(fmt.Sprintf("acks %d", acks), 9, plain, req)
	}
	whole := func(f func(b []byte) []byte) draft { return draft{whole: f} }
	for _, c := range []struct {
		what string
		d    draft
	}{
		{"no records", whole(func([]byte) []byte { return []byte{} })},
		{"a few bytes", whole(func(b []byte) []byte { return b[:30] })},
		{"a byte short", whole(func(b []byte) []byte { return b[:len(b)-1] })},
		{"a byte too many", whole(func(b []byte) []byte { return append(b, 0) })},
		{"two batches", whole(func(b []byte) []byte { return append(b, b...) })},
		{"magic 0", whole(func([]byte) []byte { return v1Message(0) })},
		{"magic 1", whole(func([]byte) []byte { return v1Message(1) })},
		{"magic 3", whole(func(b []byte) []byte { b[16] = 3; return b })},
		{"wrong checksum", whole(func(b []byte) []byte { b[17] ^= 1; return b })},
		{"flipped bit", whole(func(b []byte) []byte { b[len(b)-1] ^= 1; return b })},
		{"huge length", whole(func(b []byte) []byte { b[8] = 0x7f; return b })},
		{"negative length", whole(func(b []byte) []byte { b[8] = 0xff; return b })},
		{"base offset 5", draft{base: 5}},
		{"leader epoch", whole(func(b []byte) []byte { b[15] = 9; return b })},
		{"count too large", draft{count: to(int32(9))}},
		{"count too small", draft{count: to(int32(2))}},
		{"count zero", draft{count: to(int32(0))}},
		{"count negative", draft{count: to(int32(-1))}},
		{"count and delta too large", draft{count: to(int32(4)), last: to(int32(3))}},
		{"count and delta too small", draft{count: to(int32(2)), last: to(int32(1))}},
		{"last delta too large", draft{last: to(int32(9))}},
		{"last delta negative", draft{last: to(int32(-1)), count: to(int32(0))}},
		{"nothing in it", draft{values: []string{}}},
		{"offsets all zero", draft{offsets: []int64{0, 0, 0}}},
		{"offsets with a gap", draft{offsets: []int64{0, 1, 5}}},
		{"offsets backwards", draft{offsets: []int64{2, 1, 0}}},
		{"control batch", draft{bits: 1 << 5}},
		{"delete horizon", draft{bits: 1 << 6}},
		{"unknown attribute", draft{bits: 1 << 9}},
		{"transactional without producer", draft{bits: 1 << 4}},
		{"producer without sequence", draft{producer: &[3]int64{5, 0, -1}}},
		{"sequence without producer", draft{producer: &[3]int64{-1, -1, 7}}},
		{"record too long", draft{raw: func(r []byte) []byte { r[0] += 2; return r }}},
		{"record too short", draft{raw: func(r []byte) []byte { r[0] -= 2; return r }}},
		{"record negative", draft{raw: func(r []byte) []byte { r[0] = 1; return r }}},
		{"key too long", draft{raw: func(r []byte) []byte { r[4] = 60; return r }}},
		{"key length -2", draft{raw: func(r []byte) []byte { r[4] = 3; return r }}},
		{"value too long", draft{raw: func(r []byte) []byte { r[6] = 60; return r }}},
		{"headers announced", draft{raw: func(r []byte) []byte { r[9] = 20; return r }}},
		{"headers negative", draft{raw: func(r []byte) []byte { r[9] = 1; return r }}},
		{"record attributes", draft{raw: func(r []byte) []byte { r[1] = 7; return r }}},
		{"bytes behind the records", draft{raw: func(r []byte) []byte { return append(r, 1, 2, 3) }}},
		{"codec 5", draft{codec: 5}},
		{"codec 7", draft{codec: 7}},
		{"too large", draft{values: []string{strings.Repeat("v", 1<<20)}}},
	} {
		p.send(c.what, 9, plain, c.d.encode(t))
		switch c.what {
		case "two batches", "magic 1":
			p.send(c.what+", version 3", 3, plain, c.d.encode(t))
		}
	}
	for codec := int16(1); codec <= 4; codec++ {
		p.send(codecName(codec), 9, plain, draft{codec: codec}.encode(t))
		p.send(codecName(codec)+" at version 3", 3, plain, draft{codec: codec}.encode(t))
		p.send(codecName(codec)+" at version 6", 6, plain, draft{codec: codec}.encode(t))
	}
	p.send("largest", 9, name["small"], draft{values: []string{strings.Repeat("v", 429)}}.encode(t))
	p.send("one more", 9, name["small"], draft{values: []string{strings.Repeat("v", 430)}}.encode(t))
	p.send("small when packed", 9, name["small"], draft{codec: 1, values: []string{strings.Repeat("v", 5000)}}.encode(t))
	p.send("larger than a segment", 9, name["segment"], draft{values: []string{strings.Repeat("v", 1<<20)}}.encode(t))
	p.compare("produce_batches.txt")
}

// Whose time a record has, and how far off it may be.
func TestProduce_Timestamps(t *testing.T) {
	t.Parallel()
	p, name := newProducing(t, map[string][]string{
		"plain": nil, "narrow": {"message.timestamp.before.max.ms=3600000", "message.timestamp.after.max.ms=3600000"},
		"append": {"message.timestamp.type=LogAppendTime", "message.timestamp.before.max.ms=3600000"},
	})
	now := time.Now()
	hours := func(n ...float64) (out []int64) {
		for _, h := range n {
			out = append(out, int64(h*3_600_000))
		}
		return out
	}
	for _, topic := range []string{"plain", "narrow", "append"} {
		for _, codec := range []int16{0, 1} {
			p.printf("%s, %s", topic, codecName(codec))
			for _, c := range []struct {
				what string
				d    draft
			}{
				{"now", draft{at: now}},
				{"in half an hour", draft{at: now.Add(30 * time.Minute)}},
				{"in two hours", draft{at: now.Add(2 * time.Hour)}},
				{"two hours ago", draft{at: now.Add(-2 * time.Hour)}},
				{"the second in two hours", draft{at: now, deltas: hours(0, 2, 0)}},
				{"the first and the last two hours ago", draft{at: now, deltas: hours(-2, 0, -2)}},
				{"falling", draft{at: now, deltas: hours(0, -0.1, -0.2)}},
				{"claims the broker's time", draft{at: now, bits: 1 << 3}},
				{"no time", draft{at: time.UnixMilli(-1), max: to(int64(-1))}},
				{"the header invents the future", draft{at: now, max: to(now.Add(2 * time.Hour).UnixMilli())}},
				{"before 1970", draft{at: time.UnixMilli(-5000), max: to(int64(-5000))}},
				{"the header has a larger one", draft{at: now, max: to(now.Add(12 * time.Minute).UnixMilli())}},
				{"the header has a smaller one", draft{at: now, deltas: hours(0, 0.4, 0), max: to(now.UnixMilli())}},
				{"the header has none", draft{at: now, max: to(int64(-1))}},
				{"the header hides the future", draft{at: now, deltas: hours(0, 2, 0), max: to(now.UnixMilli())}},
			} {
				if topic == "plain" && codec != 0 && (strings.HasPrefix(c.what, "the header h") || c.what == "before 1970") {
					continue // ours does not look into it: docs/divergence.md, decompressing a produced batch
				}
				c.d.codec = codec
				p.send(c.what, 9, name[topic], c.d.encode(t))
			}
		}
	}
	p.compare("produce_timestamps.txt")
}

// What a compacted topic takes: every record has a key.
func TestProduce_Compacted(t *testing.T) {
	t.Parallel()
	p, name := newProducing(t, map[string][]string{"compact": {"cleanup.policy=compact"}, "both": {"cleanup.policy=compact,delete"}})
	for _, topic := range []string{"compact", "both"} {
		for _, codec := range []int16{0, 3} {
			for _, v := range []int16{7, 8, 11} {
				p.printf("%s, %s, version %d", topic, codecName(codec), v)
				p.send("keys", v, name[topic], draft{codec: codec}.encode(t))
				p.send("tombstones", v, name[topic], draft{codec: codec, values: []string{"-", "-"}}.encode(t))
				p.send("empty keys", v, name[topic], draft{codec: codec, keys: []string{"", "", ""}}.encode(t))
				p.send("no keys", v, name[topic], draft{codec: codec, keys: []string{"-", "-", "-"}}.encode(t))
				p.send("the second without", v, name[topic], draft{codec: codec, keys: []string{"a", "-", "b"}}.encode(t))
			}
		}
	}
	p.compare("produce_compacted.txt")
}

// How records are stored when the topic names a codec.
func TestProduce_Recompressed(t *testing.T) {
	t.Parallel()
	types := []string{"producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"}
	settings := map[string][]string{"small": {"compression.type=uncompressed", "max.message.bytes=1000"}, "append": {"compression.type=zstd", "message.timestamp.type=LogAppendTime"}}
	for _, c := range types {
		settings[c] = []string{"compression.type=" + c}
	}
	p, name := newProducing(t, settings)
	long := strings.Repeat("value ", 200)
	for _, topic := range append(types, "append") {
		for codec := range int16(5) {
			d := draft{codec: codec, values: []string{long, "-", long}, keys: []string{"a", "-", ""}, deltas: []int64{0, 5, 3}}
			p.send(fmt.Sprintf("%s into %s", codecName(codec), topic), 9, name[topic], d.encode(t))
		}
		d := draft{codec: 2, producer: &[3]int64{77, 1, 0}, values: []string{long, long}}
		p.send("of a producer, into "+topic, 9, name[topic], d.encode(t))
		p.send("again", 9, name[topic], d.encode(t))
		if topic == "producer" || topic == "gzip" {
			continue // ours does not look into what is gzip already: docs/divergence.md, decompressing a produced batch
		}
		d = draft{codec: 1, max: to(int64(fixedTime + 60_000)), values: []string{long, long}}
		p.send("the header has a larger time", 9, name[topic], d.encode(t))
		d = draft{codec: 1, packed: func([]byte) []byte { return []byte("this is not compressed") }}
		p.send("garbage into "+topic, 9, name[topic], d.encode(t))
		d = draft{codec: 1, raw: func(r []byte) []byte { r[0] += 2; return r }}
		p.send("lengths that lie, into "+topic, 9, name[topic], d.encode(t))
		d = draft{codec: 1, count: to(int32(5)), last: to(int32(4))}
		p.send("fewer records than announced, into "+topic, 9, name[topic], d.encode(t))
		d = draft{codec: 1, bits: 1 << 5}
		p.send("control batch into "+topic, 9, name[topic], d.encode(t))
	}
	p.send("small enough when unpacked", 9, name["small"], draft{codec: 1, values: []string{strings.Repeat("v", 900)}}.encode(t))
	p.send("too large when unpacked", 9, name["small"], draft{codec: 1, values: []string{strings.Repeat("v", 1100)}}.encode(t))
	// Whatever was stored is read as it was sent.
	for _, topic := range types {
		values := 0
		for _, r := range readFranz(t, p.seeds, name[topic], 5*3+2) {
			if bytes.Equal(r.Value, []byte(long)) {
				values++
			}
		}
		p.printf("%s: %d values", topic, values)
	}
	p.compare("produce_recompressed.txt")
}

// What ListOffsets finds by the times that stand for something and by real ones.
func TestListOffsets_Answers(t *testing.T) {
	t.Parallel()
	p, name := newProducing(t, map[string][]string{"plain": nil, "empty": nil, "append": {"message.timestamp.type=LogAppendTime"}})
	for _, topic := range []string{"plain", "append"} {
		for _, codec := range []int16{0, 1} {
			p.fetcher.produce(name[topic], 0, draft{codec: codec, deltas: []int64{0, 70, 20}}.encode(t))
			p.fetcher.produce(name[topic], 0, draft{codec: codec, deltas: []int64{10, 30, 70}}.encode(t))
		}
	}
	for _, topic := range []string{"plain", "empty", "append"} {
		for v := int16(1); v <= 11; v++ {
			for _, timestamp := range []int64{-1, -2, -3, -4, -5, -6, -7, 0, fixedTime, fixedTime + 1, fixedTime + 25, fixedTime + 70, fixedTime + 71, 1<<63 - 1, -1 << 63} {
				for isolation := range int8(2) {
					if isolation == 1 && v < 2 {
						continue
					}
					req := kmsg.NewPtrListOffsetsRequest()
					req.ReplicaID, req.IsolationLevel = -1, isolation
					rt := kmsg.NewListOffsetsRequestTopic()
					rt.Topic = name[topic]
					rp := kmsg.NewListOffsetsRequestTopicPartition()
					rp.Timestamp = timestamp
					rt.Partitions = append(rt.Partitions, rp)
					req.Topics = append(req.Topics, rt)
					out := p.ask(&pinned{req, v}).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
					found := moment(out.Timestamp)
					if topic == "append" && out.Timestamp > 0 {
						found = "the broker's"
						if slices.Contains([]int64{-3}, timestamp) {
							out.Offset = 0 // which of them is the last depends on the clock
						}
					}
					p.printf("%s v%d isolation %d, %d: %s, offset %d, time %s, epoch %d", topic, v, isolation, timestamp, code(out.ErrorCode), out.Offset, found, out.LeaderEpoch)
				}
			}
		}
	}
	p.compare("list_offsets.txt")
}
