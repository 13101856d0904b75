package server_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/brokertest"
	"millrace/broker/internal/record"
)

// txnClient is a transactional producer by hand.
type txnClient struct {
	*rawClient
	id    string
	pid   int64
	epoch int16
}

func newTxnClient(t *testing.T, b *brokertest.Broker, id string) *txnClient {
	t.Helper()
	c := &txnClient{rawClient: dialBroker(t, b), id: id}
	c.init()
	return c
}

func (c *txnClient) init() {
	c.t.Helper()
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis = &c.id, 60_000
	c.untilFree("init", func() int16 {
		r := ask[*kmsg.InitProducerIDResponse](c.rawClient, req, 5)
		c.pid, c.epoch = r.ProducerID, r.ProducerEpoch
		return r.ErrorCode
	})
}

// untilFree repeats a request while the transaction before is being completed, or the coordinator loads.
func (c *txnClient) untilFree(what string, f func() int16) {
	c.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		code := f()
		if code == 0 {
			return
		}
		again := code == kerr.ConcurrentTransactions.Code || code == kerr.CoordinatorLoadInProgress.Code || code == kerr.NotEnoughReplicas.Code
		if !again || time.Now().After(deadline) {
			c.t.Fatalf("%s: %v", what, kerr.ErrorForCode(code))
		}
	}
}

func (c *txnClient) batch(sequence int32, values ...string) record.Batch {
	c.t.Helper()
	b := record.Builder{Idempotent: true, Transactional: true, ProducerID: c.pid, ProducerEpoch: c.epoch, BaseSequence: sequence}
	for _, v := range values {
		b.Add(time.Now().UnixMilli(), nil, []byte(v))
	}
	out, err := b.Build()
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

func (c *txnClient) send(topic string, sequence int32, values ...string) {
	c.t.Helper()
	req := produceRequest(topic, [16]byte{}, 0, -1, c.batch(sequence, values...))
	req.TransactionID = &c.id
	c.untilFree("produce", func() int16 {
		return ask[*kmsg.ProduceResponse](c.rawClient, req, 12).Topics[0].Partitions[0].ErrorCode
	})
}

func (c *txnClient) end(commit bool) {
	c.t.Helper()
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = c.id, c.pid, c.epoch, commit
	c.untilFree("end", func() int16 {
		r := ask[*kmsg.EndTxnResponse](c.rawClient, req, 5)
		if r.ErrorCode == 0 {
			c.pid, c.epoch = r.ProducerID, r.ProducerEpoch
		}
		return r.ErrorCode
	})
}

// committed reads the values that a reader of committed records is left with, once everything is decided.
func (c *rawClient) committed(topic string) (values []string) {
	c.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		req := fetchRequest(topic, [16]byte{}, 0, 0)
		req.IsolationLevel, req.MaxWaitMillis = 1, 100
		p := ask[*kmsg.FetchResponse](c, req, 12).Topics[0].Partitions[0]
		if p.LastStableOffset == p.HighWatermark && p.ErrorCode == 0 {
			return withoutAborted(c.t, p)
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("stuck: %+v", p)
		}
	}
}

// withoutAborted is what clients do with the list of aborted transactions.
func withoutAborted(t testing.TB, p kmsg.FetchResponseTopicPartition) (values []string) {
	t.Helper()
	aborting := map[int64]bool{}
	for rest := p.RecordBatches; len(rest) > 0; {
		b, next, err := record.Next(rest)
		if err != nil {
			t.Fatal(err)
		}
		rest = next
		for _, a := range p.AbortedTransactions {
			if a.ProducerID == b.ProducerID() && a.FirstOffset == int64(b.BaseOffset()) {
				aborting[a.ProducerID] = true
			}
		}
		if b.Control() {
			if m, ok, _ := b.Marker(); ok && !m.Commit {
				delete(aborting, b.ProducerID())
			}
			continue
		}
		if b.Transactional() && aborting[b.ProducerID()] {
			continue
		}
		for r, err := range b.Records(record.MaxDecompressed) {
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, string(r.Value))
		}
	}
	return values
}

// The power goes whenever it likes: what was acknowledged as committed is there, and nothing else is.
func TestTransactions_PowerCuts(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.InMemory(), brokertest.WithSetting("transaction.state.log.num.partitions", "2"))
	dialBroker(t, b).createTopic("orders", 1, "segment.bytes", "1048576")
	var want []string
	c := newTxnClient(t, b, "shop")
	for round := range 12 {
		var mine []string
		for i := range 3 {
			v := fmt.Sprintf("round %d record %d", round, i)
			c.send("orders", int32(i), v)
			mine = append(mine, v)
		}
		commit := round%3 != 2
		if round%4 == 1 { // in the middle of a transaction, which is lost with its producer
			b.Kill()
			b.Restart()
			c = newTxnClient(t, b, "shop")
			continue
		}
		c.end(commit)
		if commit {
			want = append(want, mine...)
		}
		if round%4 == 3 { // right after the decision
			b.Kill()
			b.Restart()
			was := *c
			c = &txnClient{rawClient: dialBroker(t, b), id: "shop", pid: was.pid, epoch: was.epoch}
		}
	}
	got := dialBroker(t, b).committed("orders")
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("committed are\n%q, want\n%q", got, want)
	}
}

// Absurd requests get Kafka's errors, and leave nothing behind.
func TestTransactions_Hostile(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.InMemory(), brokertest.WithSetting("transaction.state.log.num.partitions", "1"))
	c := newTxnClient(t, b, "shop")
	c.createTopic("orders", 1)
	code := func(what string, got int16, want *kerr.Error) {
		t.Helper()
		if got != want.Code {
			t.Errorf("%s: %v, want %v", what, kerr.ErrorForCode(got), want)
		}
	}
	add := func(id string, pid int64, epoch int16, topic string, partition int32) int16 {
		req := kmsg.NewPtrAddPartitionsToTxnRequest()
		req.TransactionalID, req.ProducerID, req.ProducerEpoch = id, pid, epoch
		rt := kmsg.NewAddPartitionsToTxnRequestTopic()
		rt.Topic, rt.Partitions = topic, []int32{partition}
		req.Topics = append(req.Topics, rt)
		return ask[*kmsg.AddPartitionsToTxnResponse](c.rawClient, req, 3).Topics[0].Partitions[0].ErrorCode
	}
	code("empty id", add("", c.pid, c.epoch, "orders", 0), kerr.InvalidRequest)
	code("negative producer", add("shop", -1, -1, "orders", 0), kerr.InvalidProducerIDMapping)
	code("negative epoch", add("shop", c.pid, -1, "orders", 0), kerr.ProducerFenced)
	code("largest epoch", add("shop", c.pid, 1<<15-1, "orders", 0), kerr.ProducerFenced)
	code("largest producer", add("shop", 1<<63-1, 0, "orders", 0), kerr.InvalidProducerIDMapping)
	code("negative partition", add("shop", c.pid, c.epoch, "orders", -1), kerr.UnknownTopicOrPartition)
	code("largest partition", add("shop", c.pid, c.epoch, "orders", 1<<31-1), kerr.UnknownTopicOrPartition)
	code("a name that is none", add("shop", c.pid, c.epoch, "../orders", 0), kerr.UnknownTopicOrPartition)
	code("the metadata log", add("shop", c.pid, c.epoch, "__cluster_metadata", 0), kerr.UnknownTopicOrPartition)

	// Many at once: each transaction has its own answer.
	batched := kmsg.NewPtrAddPartitionsToTxnRequest()
	for _, id := range []string{"shop", "nobody", "shop"} {
		tr := kmsg.NewAddPartitionsToTxnRequestTransaction()
		tr.TransactionalID, tr.ProducerID, tr.ProducerEpoch, tr.VerifyOnly = id, c.pid, c.epoch, true
		rt := kmsg.NewAddPartitionsToTxnRequestTransactionTopic()
		rt.Topic, rt.Partitions = "orders", []int32{0}
		tr.Topics = append(tr.Topics, rt)
		batched.Transactions = append(batched.Transactions, tr)
	}
	for i, tr := range ask[*kmsg.AddPartitionsToTxnResponse](c.rawClient, batched, 5).Transactions {
		code(fmt.Sprint("verify ", i), tr.Topics[0].Partitions[0].ErrorCode, []*kerr.Error{kerr.TransactionAbortable, kerr.InvalidProducerIDMapping, kerr.TransactionAbortable}[i])
	}
	if r := ask[*kmsg.AddPartitionsToTxnResponse](c.rawClient, kmsg.NewPtrAddPartitionsToTxnRequest(), 5); len(r.Transactions) != 0 || r.ErrorCode != 0 {
		t.Errorf("no transaction at all: %+v", r)
	}

	// Two producers in one request, and markers that clients write.
	two := produceRequest("orders", [16]byte{}, 0, -1, c.batch(0, "a"))
	other := *c
	other.pid += 5
	two.Topics = append(two.Topics, produceRequest("orders", [16]byte{}, 0, -1, other.batch(0, "b")).Topics...)
	two.TransactionID = &c.id
	for _, top := range ask[*kmsg.ProduceResponse](c.rawClient, two, 12).Topics {
		code("two producers", top.Partitions[0].ErrorCode, kerr.InvalidProducerIDMapping)
	}
	internal := produceRequest("__transaction_state", [16]byte{}, 0, -1, c.batch(0, "a"))
	internal.TransactionID = &c.id
	code("an internal topic", ask[*kmsg.ProduceResponse](c.rawClient, internal, 12).Topics[0].Partitions[0].ErrorCode, kerr.InvalidTopicException)

	markers := kmsg.NewPtrWriteTxnMarkersRequest()
	m := kmsg.NewWriteTxnMarkersRequestMarker()
	m.ProducerID, m.ProducerEpoch = -1, -1
	mt := kmsg.NewWriteTxnMarkersRequestMarkerTopic()
	mt.Topic, mt.Partitions = "orders", []int32{0}
	m.Topics = append(m.Topics, mt)
	markers.Markers = append(markers.Markers, m)
	code("a marker of nobody", ask[*kmsg.WriteTxnMarkersResponse](c.rawClient, markers, 2).Markers[0].Topics[0].Partitions[0].ErrorCode, kerr.UnknownServerError)

	offsets := kmsg.NewPtrTxnOffsetCommitRequest()
	offsets.TransactionalID, offsets.ProducerID, offsets.ProducerEpoch = "shop", c.pid, c.epoch
	ot := kmsg.NewTxnOffsetCommitRequestTopic()
	op := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	op.Offset = -5
	ot.Topic, ot.Partitions = "orders", append(ot.Partitions, op)
	offsets.Topics = append(offsets.Topics, ot)
	commit := func() int16 {
		return ask[*kmsg.TxnOffsetCommitResponse](c.rawClient, offsets, 5).Topics[0].Partitions[0].ErrorCode
	}
	code("no group", commit(), kerr.InvalidGroupID)
	offsets.Group, offsets.ProducerEpoch = "g", c.epoch+1
	code("an epoch from the future", commit(), kerr.InvalidProducerEpoch)

	fetch := fetchRequest("orders", [16]byte{}, 0, 0)
	fetch.IsolationLevel = 7
	if r := ask[*kmsg.FetchResponse](c.rawClient, fetch, 12); r.ErrorCode != kerr.UnknownServerError.Code {
		t.Errorf("an isolation level that is none: %v", kerr.ErrorForCode(r.ErrorCode))
	}
	if got := c.committed("orders"); len(got) != 0 {
		t.Errorf("something was written: %q", got)
	}
	describe := kmsg.NewPtrDescribeTransactionsRequest()
	describe.TransactionalIDs = []string{"shop", "", "nobody"}
	states := ask[*kmsg.DescribeTransactionsResponse](c.rawClient, describe, 0).TransactionStates
	if states[0].State != "Empty" || len(states[0].Topics) != 0 {
		t.Errorf("something was begun: %+v", states[0])
	}
	code("describe the empty id", states[1].ErrorCode, kerr.InvalidRequest)
	code("describe nobody", states[2].ErrorCode, kerr.TransactionalIDNotFound)

	// The partition is part of the transaction by then, as in Kafka, but nothing is written.
	marker := produceRequest("orders", [16]byte{}, 0, -1, record.EndTxn(c.pid, c.epoch, time.Now().UnixMilli(), record.Marker{Commit: true}))
	marker.TransactionID = &c.id
	code("a client's marker", ask[*kmsg.ProduceResponse](c.rawClient, marker, 12).Topics[0].Partitions[0].ErrorCode, kerr.InvalidRecord)
	c.end(false)
	if got := c.committed("orders"); len(got) != 0 {
		t.Errorf("something was written: %q", got)
	}
}
