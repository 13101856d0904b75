package server_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/brokertest"
	"millrace/broker/internal/record"
)

func TestProduceAndFetch_AtEveryVersion(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	c := dialBroker(t, b)
	id := c.createTopic("orders", 1)
	next := int64(0)
	for v := int16(3); v <= 13; v++ {
		for _, acks := range []int16{1, -1} {
			p := c.produce(v, "orders", id, acks, batch(t, 2))
			if p.ErrorCode != 0 || p.BaseOffset != next || p.LogAppendTime != -1 || v >= 5 && p.LogStartOffset != 0 {
				t.Fatalf("produce v%d acks=%d: %+v", v, acks, p)
			}
			next += 2
		}
	}
	for v := int16(4); v <= 18; v++ {
		for offset := range next {
			p := c.fetch(v, "orders", id, offset)
			if p.ErrorCode != 0 || p.HighWatermark != next || p.LastStableOffset != next || v >= 5 && p.LogStartOffset != 0 {
				t.Fatalf("fetch v%d: %+v", v, p)
			}
			// A batch with the offset in its middle comes whole.
			if first := record.Batch(p.RecordBatches).BaseOffset(); int64(first) != offset/2*2 {
				t.Fatalf("fetch v%d from %d begins at %d", v, offset, first)
			}
			if sum, err := record.Check(p.RecordBatches, record.Limits{}); err != nil || sum.Records != next-offset/2*2 {
				t.Fatalf("fetch v%d from %d: %+v, %v", v, offset, sum, err)
			}
		}
		if p := c.fetch(v, "orders", id, next); p.ErrorCode != 0 || len(p.RecordBatches) != 0 {
			t.Fatalf("fetch v%d at the end: %+v", v, p)
		}
		if p := c.fetch(v, "orders", id, next+1); p.ErrorCode != kerr.OffsetOutOfRange.Code || p.HighWatermark != -1 {
			t.Fatalf("fetch v%d after the end: %+v", v, p)
		}
	}
}

func TestProduce_Refuses(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	c := dialBroker(t, b)
	ids := map[string][16]byte{
		"plain":   c.createTopic("plain", 1, "max.message.bytes", "2000"),
		"compact": c.createTopic("compact", 1, "cleanup.policy", "compact"),
		"two":     c.createTopic("two", 1),
	}
	good := func() record.Batch { return batch(t, 3) }
	edit := func(f func(b record.Batch)) []byte { x := good(); f(x); return x }
	reseal := func(f func(b record.Batch)) []byte {
		x := good()
		f(x)
		binary.BigEndian.PutUint32(x[17:], x.Checksum())
		return x
	}
	for _, tc := range []struct {
		name    string
		version int16
		topic   string
		part    int32
		acks    int16
		records []byte
		want    *kerr.Error
	}{
		{"acks 2", 9, "plain", 0, 2, good(), kerr.InvalidRequiredAcks},
		{"acks -2", 9, "plain", 0, -2, good(), kerr.InvalidRequiredAcks},
		{"unknown topic", 9, "nothing", 0, -1, good(), kerr.UnknownTopicOrPartition},
		{"unknown partition", 9, "plain", 1, -1, good(), kerr.UnknownTopicOrPartition},
		{"negative partition", 9, "plain", -1, -1, good(), kerr.UnknownTopicOrPartition},
		{"unknown topic id", 13, "nothing", 0, -1, good(), kerr.UnknownTopicID},
		{"internal topic", 9, "__consumer_offsets", 0, -1, good(), kerr.InvalidTopicException},
		{"internal topic", 9, "__transaction_state", 0, -1, good(), kerr.InvalidTopicException},
		{"metadata log", 9, "__cluster_metadata", 0, -1, good(), kerr.UnknownTopicOrPartition},
		{"null records", 9, "plain", 0, -1, nil, kerr.InvalidRecord},
		{"no records", 9, "plain", 0, -1, []byte{}, kerr.InvalidRecord},
		{"a few bytes", 9, "plain", 0, -1, make([]byte, 30), kerr.CorruptMessage},
		{"torn batch", 9, "plain", 0, -1, good()[:len(good())-1], kerr.InvalidRecord},
		{"two batches", 9, "plain", 0, -1, append(good(), good()...), kerr.InvalidRecord},
		{"magic 1", 9, "plain", 0, -1, edit(func(b record.Batch) { b[16] = 1 }), kerr.InvalidRecord},
		{"magic 0", 3, "plain", 0, -1, edit(func(b record.Batch) { b[16] = 0 }), kerr.InvalidRecord},
		{"magic 7", 9, "plain", 0, -1, edit(func(b record.Batch) { b[16] = 7 }), kerr.CorruptMessage},
		{"wrong checksum", 9, "plain", 0, -1, edit(func(b record.Batch) { b[17] ^= 1 }), kerr.CorruptMessage},
		{"flipped bit", 9, "plain", 0, -1, edit(func(b record.Batch) { b[len(b)-2] ^= 4 }), kerr.CorruptMessage},
		{"huge length", 9, "plain", 0, -1, edit(func(b record.Batch) { b[8] = 0x7f }), kerr.InvalidRecord},
		{"count wrong", 9, "plain", 0, -1, reseal(func(b record.Batch) { b[60] = 9 }), kerr.InvalidRecord},
		{"control batch", 9, "plain", 0, -1, reseal(func(b record.Batch) { b[22] |= 1 << 5 }), kerr.InvalidRecord},
		{"unknown compression", 9, "plain", 0, -1, reseal(func(b record.Batch) { b[22] |= 7 }), kerr.UnknownServerError},
		{"zstd too early", 6, "plain", 0, -1, reseal(func(b record.Batch) { b[22] |= 4 }), kerr.UnsupportedCompressionType},
		{"too large", 9, "plain", 0, -1, batch(t, 200), kerr.MessageTooLarge},
		{"no key", 9, "compact", 0, -1, idempotent(t, -1, -1, -1, 2), kerr.InvalidRecord},
	} {
		req := produceRequest(tc.topic, ids[tc.topic], tc.part, tc.acks, tc.records)
		// A partition that is fine goes on beside one that is not.
		if tc.want != kerr.InvalidRequiredAcks {
			beside := produceRequest("two", ids["two"], 0, tc.acks, batch(t, 1))
			req.Topics = append(req.Topics, beside.Topics...)
		}
		resp := ask[*kmsg.ProduceResponse](c, req, tc.version)
		p := resp.Topics[0].Partitions[0]
		if p.ErrorCode != tc.want.Code || p.BaseOffset != -1 {
			t.Errorf("%s: %v (offset %d, %q), want %v", tc.name, kerr.ErrorForCode(p.ErrorCode), p.BaseOffset, deref(p.ErrorMessage), tc.want)
		}
		if tc.version >= 8 && tc.want != kerr.UnknownServerError && deref(p.ErrorMessage) == "" {
			t.Errorf("%s: no message", tc.name)
		}
		if tc.name == "no key" && (len(p.ErrorRecords) != 2 || p.ErrorRecords[1].RelativeOffset != 1) {
			t.Errorf("%s: records %+v", tc.name, p.ErrorRecords)
		}
		if len(resp.Topics) > 1 && resp.Topics[1].Partitions[0].ErrorCode != 0 {
			t.Errorf("%s: the good partition got %v", tc.name, kerr.ErrorForCode(resp.Topics[1].Partitions[0].ErrorCode))
		}
	}
	for topic, id := range ids {
		if topic == "two" {
			continue
		}
		if p := c.fetch(12, topic, id, 0); p.HighWatermark != 0 {
			t.Errorf("%s has records: high watermark %d", topic, p.HighWatermark)
		}
	}
}

func TestProduce_IdempotentProducer(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	c := dialBroker(t, b)
	id := c.createTopic("orders", 1)
	init := ask[*kmsg.InitProducerIDResponse](c, kmsg.NewPtrInitProducerIDRequest(), 4)
	if init.ErrorCode != 0 || init.ProducerID < 0 || init.ProducerEpoch != 0 {
		t.Fatalf("%+v", init)
	}
	pid := init.ProducerID
	check := func(c *rawClient, epoch int16, seq int32, n int, want *kerr.Error, offset int64) {
		t.Helper()
		p := c.produce(11, "orders", id, -1, idempotent(t, pid, epoch, seq, n))
		code := int16(0)
		if want != nil {
			code = want.Code
		}
		if p.ErrorCode != code || p.BaseOffset != offset {
			t.Fatalf("sequence %d: %v, offset %d", seq, kerr.ErrorForCode(p.ErrorCode), p.BaseOffset)
		}
	}
	check(c, 0, 0, 3, nil, 0)
	check(c, 0, 3, 2, nil, 3)
	check(c, 0, 3, 2, nil, 3) // again: the first offset
	check(c, 0, 0, 3, nil, 0)
	check(c, 0, 9, 1, kerr.OutOfOrderSequenceNumber, -1)
	check(c, 0, 5, 1, nil, 5)
	check(c, 1, 0, 1, nil, 6)
	check(c, 0, 6, 1, kerr.InvalidProducerEpoch, -1)
	b.Restart()
	c = dialBroker(t, b)
	check(c, 1, 0, 1, nil, 6)
	check(c, 1, 1, 1, nil, 7)
	b.Kill()
	b.Restart()
	c = dialBroker(t, b)
	check(c, 1, 1, 1, nil, 7)
	check(c, 1, 2, 1, nil, 8)
	seen := map[int64]bool{pid: true}
	for v := range int16(6) {
		r := ask[*kmsg.InitProducerIDResponse](c, kmsg.NewPtrInitProducerIDRequest(), v)
		if r.ErrorCode != 0 || seen[r.ProducerID] {
			t.Fatalf("v%d: %+v, known %v", v, r, seen)
		}
		seen[r.ProducerID] = true
	}
}

func TestProduce_WithoutAcks(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	c := dialBroker(t, b)
	id := c.createTopic("orders", 1)
	c.send(produceRequest("orders", id, 0, 0, batch(t, 2)), 9)
	// No answer: the next request's comes first.
	if p := c.produce(9, "orders", id, -1, batch(t, 1)); p.BaseOffset != 2 {
		t.Fatalf("%+v", p)
	}
	c.send(produceRequest("nothing", id, 0, 0, batch(t, 2)), 9)
	c.closed()
}

// Requests sent ahead are answered in order, whatever they are.
func TestProduce_Ahead(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	c := dialBroker(t, b)
	id := c.createTopic("orders", 1)
	var out []byte
	var reqs []kmsg.Request
	for i := range 40 {
		var req kmsg.Request = produceRequest("orders", id, 0, -1, batch(t, 1))
		req.SetVersion(11)
		if i%7 == 3 {
			req = fetchRequest("orders", id, 0, 0)
			req.SetVersion(12)
		}
		reqs = append(reqs, req)
		out = append(out, kmsg.NewRequestFormatter().AppendRequest(nil, req, int32(1000+i))...)
	}
	c.write(out)
	next := int64(0)
	for i, req := range reqs {
		switch resp := c.receive(req, int32(1000+i)).(type) {
		case *kmsg.ProduceResponse:
			if p := resp.Topics[0].Partitions[0]; p.BaseOffset != next || p.ErrorCode != 0 {
				t.Fatalf("%d: %+v", i, p)
			}
			next++
		case *kmsg.FetchResponse:
			// What was acknowledged before may be read.
			if p := resp.Topics[0].Partitions[0]; p.HighWatermark != next {
				t.Fatalf("%d: high watermark %d, want %d", i, p.HighWatermark, next)
			}
		}
	}
}

func TestFetch_LongPoll(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	c, producer := dialBroker(t, b), dialBroker(t, b)
	id := c.createTopic("orders", 2)
	size := int32(len(batch(t, 1)))

	req := fetchRequest("orders", id, 0, 0)
	other := req.Topics[0].Partitions[0]
	other.Partition = 1
	req.Topics[0].Partitions = append(req.Topics[0].Partitions, other)

	// Nothing comes: answered empty after max wait.
	req.MaxWaitMillis, req.MinBytes = 50, 1
	began := time.Now()
	if resp := ask[*kmsg.FetchResponse](c, req, 12); len(resp.Topics[0].Partitions[0].RecordBatches) != 0 || time.Since(began) < 45*time.Millisecond {
		t.Fatalf("answered after %v: %+v", time.Since(began), resp)
	}
	// Bytes of two partitions count together; fewer than asked for do not wake.
	req.MaxWaitMillis, req.MinBytes = 20_000, 3*size
	began = time.Now()
	c.send(req, 12)
	for _, partition := range []int32{0, 1, 0} {
		r := ask[*kmsg.ProduceResponse](producer, produceRequest("orders", id, partition, -1, batch(t, 1)), 9)
		if r.Topics[0].Partitions[0].ErrorCode != 0 {
			t.Fatal(r)
		}
	}
	resp := c.receive(req, c.corr).(*kmsg.FetchResponse)
	got := len(resp.Topics[0].Partitions[0].RecordBatches) + len(resp.Topics[0].Partitions[1].RecordBatches)
	if got != int(3*size) || time.Since(began) > 10*time.Second {
		t.Fatalf("%d bytes after %v, want %d", got, time.Since(began), 3*size)
	}
	// A partition with an error is told at once.
	req.Topics[0].Partitions[0].FetchOffset = 77
	if resp := ask[*kmsg.FetchResponse](c, req, 12); resp.Topics[0].Partitions[0].ErrorCode != kerr.OffsetOutOfRange.Code {
		t.Fatal(resp)
	}
	// The topic's end ends the wait.
	req.Topics[0].Partitions[0].FetchOffset = 2
	req.Topics[0].Partitions[1].FetchOffset = 1
	began = time.Now()
	c.send(req, 12)
	del := kmsg.NewPtrDeleteTopicsRequest()
	rt := kmsg.NewDeleteTopicsRequestTopic()
	rt.Topic = kmsg.StringPtr("orders")
	del.Topics, del.TopicNames = append(del.Topics, rt), []string{"orders"}
	if r := ask[*kmsg.DeleteTopicsResponse](producer, del, 5); r.Topics[0].ErrorCode != 0 {
		t.Fatal(r)
	}
	resp = c.receive(req, c.corr).(*kmsg.FetchResponse)
	if code := resp.Topics[0].Partitions[0].ErrorCode; code != kerr.UnknownTopicOrPartition.Code || time.Since(began) > 10*time.Second {
		t.Fatalf("deleted topic: %v after %v", kerr.ErrorForCode(code), time.Since(began))
	}
}

func TestFetch_Limits(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	c := dialBroker(t, b)
	id := c.createTopic("orders", 2)
	var total int
	for range 10 {
		for partition := range int32(2) {
			records := batch(t, 10)
			total += len(records)
			ask[*kmsg.ProduceResponse](c, produceRequest("orders", id, partition, -1, records), 9)
		}
	}
	one := len(batch(t, 10))
	sizes := func(maxBytes, partitionMax int32, order ...int32) (out []int) {
		t.Helper()
		req := fetchRequest("orders", id, 0, 0)
		req.MaxBytes = maxBytes
		p := req.Topics[0].Partitions[0]
		req.Topics[0].Partitions = nil
		for _, i := range order {
			p.Partition, p.PartitionMaxBytes = i, partitionMax
			req.Topics[0].Partitions = append(req.Topics[0].Partitions, p)
		}
		for _, p := range ask[*kmsg.FetchResponse](c, req, 13).Topics[0].Partitions {
			out = append(out, len(p.RecordBatches)/one)
		}
		return out
	}
	for _, tc := range []struct {
		max, partitionMax int
		want              string
	}{
		{50 << 20, 1 << 20, "[10 10]"},
		{50 << 20, 3*one + 5, "[3 3]"},
		{4*one + 5, 3 * one, "[3 1]"},
		{1, 1 << 20, "[1 0]"}, // the first batch is returned whatever its size
		{50 << 20, 1, "[1 0]"},
		{0, 0, "[1 0]"},
	} {
		if got := fmt.Sprint(sizes(int32(tc.max), int32(tc.partitionMax), 0, 1)); got != tc.want {
			t.Errorf("max bytes %d, partition max bytes %d: batches %s, want %s", tc.max, tc.partitionMax, got, tc.want)
		}
	}
}

func TestFetch_SessionsAndEpochs(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	c := dialBroker(t, b)
	id := c.createTopic("orders", 1)
	c.produce(9, "orders", id, -1, batch(t, 5))

	req := fetchRequest("orders", id, 0, 0)
	req.SessionID, req.SessionEpoch = 12, 3
	if r := ask[*kmsg.FetchResponse](c, req, 12); r.ErrorCode != kerr.FetchSessionIDNotFound.Code || len(r.Topics) != 0 {
		t.Fatalf("%+v", r)
	}
	for _, epoch := range []int32{0, -1} {
		req.SessionEpoch = epoch
		if r := ask[*kmsg.FetchResponse](c, req, 12); r.ErrorCode != 0 || (r.SessionID != 0) != (epoch == 0) || len(r.Topics[0].Partitions[0].RecordBatches) == 0 {
			t.Fatalf("%+v", r)
		}
	}
	unknown := fetchRequest("", [16]byte{9}, 0, 0)
	if r := ask[*kmsg.FetchResponse](c, unknown, 13); r.Topics[0].Partitions[0].ErrorCode != kerr.UnknownTopicID.Code {
		t.Fatalf("%+v", r)
	}

	b.Kill()
	b.Restart() // a crash begins a leader epoch
	c = dialBroker(t, b)
	c.produce(9, "orders", id, -1, batch(t, 5))
	lo := listOffsets(c, 4, "orders", 0, -1, -1)
	epoch := lo.LeaderEpoch
	if epoch < 1 || lo.Offset != 10 {
		t.Fatalf("%+v", lo)
	}
	for _, tc := range []struct {
		current, lastFetched int32
		offset               int64
		want                 *kerr.Error
		diverges             int64 // end offset, -1 for none
	}{
		{-1, -1, 0, nil, -1},
		{epoch, -1, 0, nil, -1},
		{epoch - 1, -1, 0, kerr.FencedLeaderEpoch, -1},
		{epoch + 1, -1, 0, kerr.UnknownLeaderEpoch, -1},
		{epoch, 0, 5, nil, -1},
		{epoch, 0, 7, nil, 5}, // under epoch 0 there are only 5 records here
		{epoch, epoch, 10, nil, -1},
		{epoch, epoch + 5, 10, kerr.OffsetOutOfRange, -1},
	} {
		req := fetchRequest("orders", id, 0, tc.offset)
		req.Topics[0].Partitions[0].CurrentLeaderEpoch = tc.current
		req.Topics[0].Partitions[0].LastFetchedEpoch = tc.lastFetched
		p := ask[*kmsg.FetchResponse](c, req, 12).Topics[0].Partitions[0]
		code := int16(0)
		if tc.want != nil {
			code = tc.want.Code
		}
		if p.ErrorCode != code || p.DivergingEpoch.EndOffset != tc.diverges || (tc.diverges >= 0) != (p.DivergingEpoch.Epoch >= 0) {
			t.Errorf("%+v: %+v", tc, p)
		}
	}
	for v := int16(2); v <= 4; v++ {
		for leaderEpoch, want := range map[int32]string{0: "0 5", epoch: fmt.Sprint(epoch, " 10")} {
			req := kmsg.NewPtrOffsetForLeaderEpochRequest()
			rt := kmsg.NewOffsetForLeaderEpochRequestTopic()
			rt.Topic = "orders"
			rp := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
			rp.LeaderEpoch = leaderEpoch
			rt.Partitions = append(rt.Partitions, rp)
			req.Topics = append(req.Topics, rt)
			p := ask[*kmsg.OffsetForLeaderEpochResponse](c, req, v).Topics[0].Partitions[0]
			if got := fmt.Sprint(p.LeaderEpoch, " ", p.EndOffset); got != want || p.ErrorCode != 0 {
				t.Errorf("v%d epoch %d: %s (error %d), want %s", v, leaderEpoch, got, p.ErrorCode, want)
			}
		}
	}
}

func listOffsets(c *rawClient, version int16, topic string, partition int32, timestamp int64, epoch int32) kmsg.ListOffsetsResponseTopicPartition {
	c.t.Helper()
	req := kmsg.NewPtrListOffsetsRequest()
	rt := kmsg.NewListOffsetsRequestTopic()
	rt.Topic = topic
	rp := kmsg.NewListOffsetsRequestTopicPartition()
	rp.Partition, rp.Timestamp, rp.CurrentLeaderEpoch = partition, timestamp, epoch
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	return ask[*kmsg.ListOffsetsResponse](c, req, version).Topics[0].Partitions[0]
}

func TestListOffsetsAndDeleteRecords(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	c := dialBroker(t, b)
	id := c.createTopic("orders", 1)
	base := time.Now().UnixMilli() - 100_000
	for i := range int64(10) { // timestamps base+0, +10, … +90, but the largest in the middle
		ts := base + 10*i
		if i == 5 {
			ts = base + 1000
		}
		var builder record.Builder
		builder.Add(ts, []byte("k"), []byte("v"))
		records, err := builder.Build()
		if err != nil {
			t.Fatal(err)
		}
		c.produce(9, "orders", id, -1, records)
	}
	check := func(when string, v int16, ts, offset, timestamp int64) {
		t.Helper()
		p := listOffsets(c, v, "orders", 0, ts, -1)
		if p.ErrorCode != 0 || p.Offset != offset || p.Timestamp != timestamp {
			t.Errorf("%s v%d timestamp %d: %+v, want offset %d, timestamp %d", when, v, ts, p, offset, timestamp)
		}
	}
	for v := int16(1); v <= 11; v++ {
		check("full", v, -1, 10, -1)
		check("full", v, -2, 0, -1)
		check("full", v, base+25, 3, base+30)
		check("full", v, base+1000, 5, base+1000)
		check("full", v, base+1001, -1, -1)
		for ts, since := range map[int64]int16{-3: 7, -4: 8, -5: 9, -6: 11, -7: 99} {
			p := listOffsets(c, v, "orders", 0, ts, -1)
			if (p.ErrorCode == kerr.UnsupportedVersion.Code) != (v < since) {
				t.Errorf("v%d timestamp %d: %+v", v, ts, p)
			}
		}
		for v := int16(7); v <= 11; v++ {
			check("full", v, -3, 5, base+1000)
		}
	}
	check("full", 8, -4, 0, -1)
	check("full", 9, -5, -1, -1)
	if p := listOffsets(c, 5, "nothing", 0, -1, -1); p.ErrorCode != kerr.UnknownTopicOrPartition.Code {
		t.Errorf("%+v", p)
	}

	del := func(v int16, topic string, offset int64) kmsg.DeleteRecordsResponseTopicPartition {
		t.Helper()
		req := kmsg.NewPtrDeleteRecordsRequest()
		rt := kmsg.NewDeleteRecordsRequestTopic()
		rt.Topic = topic
		rp := kmsg.NewDeleteRecordsRequestTopicPartition()
		rp.Offset = offset
		rt.Partitions = append(rt.Partitions, rp)
		req.Topics = append(req.Topics, rt)
		return ask[*kmsg.DeleteRecordsResponse](c, req, v).Topics[0].Partitions[0]
	}
	c.createTopic("compact", 1, "cleanup.policy", "compact")
	for _, tc := range []struct {
		topic  string
		offset int64
		low    int64
		want   *kerr.Error
	}{
		{"orders", 4, 4, nil}, {"orders", 2, 4, nil}, {"orders", 11, -1, kerr.OffsetOutOfRange}, {"orders", -2, -1, kerr.OffsetOutOfRange},
		{"nothing", 0, -1, kerr.UnknownTopicOrPartition}, {"__consumer_offsets", 0, -1, kerr.InvalidTopicException}, {"compact", 0, -1, kerr.PolicyViolation},
	} {
		for v := range int16(3) {
			p := del(v, tc.topic, tc.offset)
			code := int16(0)
			if tc.want != nil {
				code = tc.want.Code
			}
			if p.ErrorCode != code || p.LowWatermark != tc.low {
				t.Errorf("%+v: %+v", tc, p)
			}
		}
	}
	check("cut", 5, -2, 4, -1)
	if p := c.fetch(12, "orders", id, 3); p.ErrorCode != kerr.OffsetOutOfRange.Code {
		t.Errorf("%+v", p)
	}
	if p := c.fetch(12, "orders", id, 4); p.ErrorCode != 0 || p.LogStartOffset != 4 {
		t.Errorf("%+v", p)
	}
	b.Restart()
	c = dialBroker(t, b)
	check("restarted", 5, -2, 4, -1)
	if p := del(2, "orders", -1); p.LowWatermark != 10 || p.ErrorCode != 0 {
		t.Errorf("%+v", p)
	}
	check("empty", 5, -2, 10, -1)
	check("empty", 5, -1, 10, -1)
	check("empty", 7, -3, -1, -1)
}

func TestProduce_LogAppendTime(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	c := dialBroker(t, b)
	id := c.createTopic("orders", 1, "message.timestamp.type", "LogAppendTime")
	before := time.Now().UnixMilli()
	p := c.produce(9, "orders", id, -1, batch(t, 1))
	if p.ErrorCode != 0 || p.LogAppendTime < before {
		t.Fatalf("%+v", p)
	}
	got := record.Batch(c.fetch(12, "orders", id, 0).RecordBatches)
	if !got.LogAppendTime() || got.MaxTimestamp() != p.LogAppendTime || !got.Intact() {
		t.Fatalf("%x", []byte(got))
	}
}

func TestMetrics_TellWhatHappened(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.WithHTTP())
	c := dialBroker(t, b)
	id := c.createTopic("orders", 1)
	c.produce(9, "orders", id, -1, batch(t, 7))
	c.produce(9, "nothing", id, -1, batch(t, 7))
	c.fetch(12, "orders", id, 0)
	text := get(t, "http://"+b.HTTP+"/metrics")
	for _, want := range []string{
		`millrace_broker_requests_total{api="Produce"} 2`, `millrace_broker_requests_total{api="Fetch"} 1`,
		`millrace_broker_request_errors_total{api="Produce",error="UNKNOWN_TOPIC_OR_PARTITION"} 1`,
		`millrace_broker_produced_records_total 7`, `millrace_broker_connections 1`,
		`millrace_broker_high_watermark{partition="0",topic="orders"} 7`,
		`millrace_broker_log_segments{partition="0",topic="orders"} 1`, "go_goroutines", "process_resident_memory_bytes",
		"millrace_broker_fsync_duration_seconds_count", "millrace_broker_queued_request_bytes 0",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("/metrics has no %s", want)
		}
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if got := get(t, "http://"+b.HTTP+path); !bytes.Contains([]byte("ok\nready\n"), []byte(got)) {
			t.Errorf("%s: %q", path, got)
		}
	}
}
