package compat

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What brokers answer to requests of transactions that libraries would not send: the same codes from
// ours and from Apache Kafka.

// pinned sends a request at one version, however new the client and the broker are.
type pinned struct {
	kmsg.Request
	version int16
}

func (p *pinned) MaxVersion() int16 { return p.version }

// txnConn is a client for requests by hand, and one transactional id.
type txnConn struct {
	t      *testing.T
	client *kgo.Client
	id     string
	pid    int64
	epoch  int16
}

func newTxnConn(t *testing.T, seeds []string, id string) *txnConn {
	t.Helper()
	c := &txnConn{t: t, client: newKgo(t, seeds), id: id, pid: -1, epoch: -1}
	// Whoever looks for a coordinator makes its topic.
	for kind := range int8(2) {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.CoordinatorType, req.CoordinatorKeys = kind, []string{"x" + id}
		if err := c.retried("coordinator", func() int16 { return send[*kmsg.FindCoordinatorResponse](c, req, 4).Coordinators[0].ErrorCode }); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func send[R kmsg.Response](c *txnConn, req kmsg.Request, version int16) R {
	c.t.Helper()
	resp, err := c.client.Request(within(c.t, patience), &pinned{req, version})
	if err != nil {
		c.t.Fatalf("%s v%d: %v", kmsg.NameForKey(req.Key()), version, err)
	}
	return resp.(R)
}

// retried repeats a request while a transaction before it is being completed, or the broker does not
// know yet of what was made just now.
func (c *txnConn) retried(what string, f func() int16) error {
	c.t.Helper()
	var code int16
	eventually(c.t, what, func(context.Context) (bool, string) {
		code = f()
		switch code {
		case kerr.ConcurrentTransactions.Code, kerr.CoordinatorLoadInProgress.Code, kerr.CoordinatorNotAvailable.Code, kerr.NotCoordinator.Code,
			kerr.NotLeaderForPartition.Code, kerr.NotEnoughReplicas.Code:
			return false, kerr.ErrorForCode(code).Error()
		}
		return true, ""
	})
	return kerr.ErrorForCode(code)
}

// completed waits until the markers of the transaction that was ended are there.
func (c *txnConn) completed() {
	c.t.Helper()
	eventually(c.t, "the end of the transaction", func(context.Context) (bool, string) {
		state := c.describe().State
		return strings.HasPrefix(state, "Complete"), state
	})
}

func (c *txnConn) init(version int16, timeout time.Duration, known bool) error {
	c.t.Helper()
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis = &c.id, int32(timeout.Milliseconds())
	if known {
		req.ProducerID, req.ProducerEpoch = c.pid, c.epoch
	}
	return c.retried("init", func() int16 {
		resp := send[*kmsg.InitProducerIDResponse](c, req, version)
		if resp.ErrorCode == 0 {
			c.pid, c.epoch = resp.ProducerID, resp.ProducerEpoch
		}
		return resp.ErrorCode
	})
}

func (c *txnConn) add(version int16, topic string, partitions ...int32) (codes []error) {
	c.t.Helper()
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = c.id, c.pid, c.epoch
	rt := kmsg.NewAddPartitionsToTxnRequestTopic()
	rt.Topic, rt.Partitions = topic, partitions
	req.Topics = append(req.Topics, rt)
	_ = c.retried("add", func() int16 {
		codes = nil
		resp := send[*kmsg.AddPartitionsToTxnResponse](c, req, version)
		slices.SortFunc(resp.Topics[0].Partitions, func(a, b kmsg.AddPartitionsToTxnResponseTopicPartition) int {
			return cmp.Compare(a.Partition, b.Partition) // Kafka answers in the order of a hash table
		})
		for _, p := range resp.Topics[0].Partitions {
			codes = append(codes, kerr.ErrorForCode(p.ErrorCode))
		}
		return resp.Topics[0].Partitions[0].ErrorCode
	})
	return codes
}

func (c *txnConn) end(version int16, commit bool) error {
	c.t.Helper()
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = c.id, c.pid, c.epoch, commit
	return c.retried("end", func() int16 {
		resp := send[*kmsg.EndTxnResponse](c, req, version)
		if resp.ErrorCode == 0 && version >= 5 {
			c.pid, c.epoch = resp.ProducerID, resp.ProducerEpoch
		}
		return resp.ErrorCode
	})
}

// produce sends one record of the transaction.
func (c *txnConn) produce(version int16, topic string, sequence int32, id *string) error {
	c.t.Helper()
	batch := transactional(batchOf(c.pid, c.epoch, sequence, "v"))
	part := kmsg.NewProduceRequestTopicPartition()
	part.Records = batch
	top := kmsg.NewProduceRequestTopic()
	top.Topic = topic
	top.Partitions = append(top.Partitions, part)
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis, req.TransactionID = -1, 10_000, id
	req.Topics = append(req.Topics, top)
	return c.retried("produce", func() int16 {
		return send[*kmsg.ProduceResponse](c, req, version).Topics[0].Partitions[0].ErrorCode
	})
}

func (c *txnConn) describe() kmsg.DescribeTransactionsResponseTransactionState {
	c.t.Helper()
	req := kmsg.NewPtrDescribeTransactionsRequest()
	req.TransactionalIDs = []string{c.id}
	return send[*kmsg.DescribeTransactionsResponse](c, req, 0).TransactionStates[0]
}

// wantError compares with one of the errors that are right.
func wantError(t *testing.T, what string, got error, want ...error) {
	t.Helper()
	if !slices.ContainsFunc(want, func(w error) bool { return errors.Is(got, w) || got == nil && w == nil }) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestTransactionProtocol_InitProducerID(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	c := newTxnConn(t, seeds, uniqueName(t, "txn"))
	wantError(t, "first", c.init(4, time.Minute, false), nil)
	first := c.pid
	wantError(t, "again: the epoch grows", c.init(4, time.Minute, false), nil)
	if c.pid != first || c.epoch != 1 {
		t.Errorf("producer %d epoch %d, want %d epoch 1", c.pid, c.epoch, first)
	}
	wantError(t, "known", c.init(4, time.Minute, true), nil)
	wantError(t, "time-out over the maximum", c.init(4, time.Hour, false), kerr.InvalidTransactionTimeout)
	wantError(t, "no time-out", c.init(4, 0, false), kerr.InvalidTransactionTimeout)
	stale := *c
	stale.epoch = 0
	wantError(t, "an old epoch", stale.init(4, time.Minute, true), kerr.ProducerFenced)
	wantError(t, "an old epoch, before KIP-588", stale.init(3, time.Minute, true), kerr.InvalidProducerEpoch)
	stale.pid += 77
	wantError(t, "another producer id", stale.init(4, time.Minute, true), kerr.ProducerFenced)
	half := *c
	half.epoch = -1
	wantError(t, "an id without an epoch", half.init(4, time.Minute, true), kerr.InvalidRequest)
	empty := newTxnConn(t, seeds, "")
	wantError(t, "empty transactional id", empty.init(4, time.Minute, false), kerr.InvalidRequest)
}

func TestTransactionProtocol_WrongProducers(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	topic := newTopic(t, seeds, 2, nil)
	c := newTxnConn(t, seeds, uniqueName(t, "txn"))
	wantError(t, "init", c.init(4, time.Minute, false), nil)

	unknown := newTxnConn(t, seeds, uniqueName(t, "nobody"))
	unknown.pid, unknown.epoch = c.pid, 0
	other, future, past := *c, *c, *c
	other.pid += 1000
	future.epoch += 5
	past.epoch--
	for _, v := range []struct {
		name   string
		c      *txnConn
		fenced error // from the version on that knows it
		before error
	}{
		{"an id that nobody has initialised", unknown, kerr.InvalidProducerIDMapping, kerr.InvalidProducerIDMapping},
		{"another producer id", &other, kerr.InvalidProducerIDMapping, kerr.InvalidProducerIDMapping},
		{"an epoch from the future", &future, kerr.ProducerFenced, kerr.InvalidProducerEpoch},
		{"an epoch before", &past, kerr.ProducerFenced, kerr.InvalidProducerEpoch},
	} {
		wantError(t, v.name+": add", v.c.add(3, topic, 0)[0], v.fenced)
		wantError(t, v.name+": add v1", v.c.add(1, topic, 0)[0], v.before)
		wantError(t, v.name+": end", v.c.end(4, true), v.fenced)
		wantError(t, v.name+": end v1", v.c.end(1, true), v.before)
		wantError(t, v.name+": end v5", v.c.end(5, true), v.fenced)
	}
	wantError(t, "commit of nothing", c.end(4, true), kerr.InvalidTxnState)
	wantError(t, "commit of nothing v5", c.end(5, true), kerr.InvalidTxnState)
	wantError(t, "abort of nothing, before KIP-890", c.end(4, false), kerr.InvalidTxnState)
	epoch := c.epoch
	wantError(t, "abort of nothing v5", c.end(5, false), nil)
	if c.epoch != epoch+1 {
		t.Errorf("epoch %d after %d", c.epoch, epoch)
	}
}

func TestTransactionProtocol_AddPartitions(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	topic := newTopic(t, seeds, 2, nil)
	c := newTxnConn(t, seeds, uniqueName(t, "txn"))
	wantError(t, "init", c.init(4, time.Minute, false), nil)
	got := c.add(3, topic, 0, 7)
	wantError(t, "a partition that exists, beside one that does not", got[0], kerr.OperationNotAttempted)
	wantError(t, "a partition that does not exist", got[1], kerr.UnknownTopicOrPartition)
	if d := c.describe(); d.State != "Empty" || len(d.Topics) != 0 {
		t.Errorf("something was done: %+v", d)
	}
	wantError(t, "a topic that does not exist", c.add(3, topic+"-not", 0)[0], kerr.UnknownTopicOrPartition)
	wantError(t, "a negative partition", c.add(3, topic, -1)[0], kerr.UnknownTopicOrPartition)
	for i, err := range c.add(3, topic, 0, 1) {
		wantError(t, fmt.Sprint("partition ", i), err, nil)
	}
	wantError(t, "again", c.add(3, topic, 1)[0], nil)
	d := c.describe()
	if d.State != "Ongoing" || d.ProducerID != c.pid || d.ProducerEpoch != c.epoch || d.TimeoutMillis != 60_000 || d.StartTimestamp <= 0 ||
		len(d.Topics) != 1 || !slices.Equal(sorted(d.Topics[0].Partitions), []int32{0, 1}) {
		t.Errorf("described: %+v", d)
	}
	wantError(t, "commit", c.end(4, true), nil)
	wantError(t, "commit again", c.end(4, true), nil)
	wantError(t, "abort after a commit", c.end(4, false), kerr.InvalidTxnState)
}

func sorted(p []int32) []int32 {
	slices.Sort(p)
	return p
}

// Records of a transaction whose coordinator does not know of the partition are refused (KIP-890); with
// transactions of version 2 Produce itself makes it known.
func TestTransactionProtocol_Produce(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	topic := newTopic(t, seeds, 1, nil)
	c := newTxnConn(t, seeds, uniqueName(t, "txn"))
	wantError(t, "init", c.init(4, time.Minute, false), nil)
	notAdded := []error{kerr.InvalidTxnState}
	if external != "" {
		// Kafka asks the coordinator for several producers at once, in the words of the newest client among them.
		notAdded = append(notAdded, kerr.TransactionAbortable)
	}
	wantError(t, "not added", c.produce(9, topic, 0, &c.id), notAdded...)
	wantError(t, "not added, with a client that knows better", c.produce(11, topic, 0, &c.id), kerr.TransactionAbortable)
	wantError(t, "without the transactional id", c.produce(9, topic, 0, nil), kerr.TransactionalIDAuthorizationFailed)
	other := uniqueName(t, "other")
	wantError(t, "of another transactional id", c.produce(9, topic, 0, &other), kerr.InvalidProducerIDMapping)
	if n := recordCount(t, seeds, topic); n != 0 {
		t.Fatalf("topic has %d records", n)
	}
	wantError(t, "add", c.add(3, topic, 0)[0], nil)
	wantError(t, "added", c.produce(9, topic, 0, &c.id), nil)
	wantError(t, "a gap", c.produce(9, topic, 5, &c.id), kerr.OutOfOrderSequenceNumber)
	wantError(t, "sent again", c.produce(9, topic, 0, &c.id), nil)
	stale := *c
	stale.epoch--
	if c.epoch == 0 {
		wantError(t, "init", c.init(4, time.Minute, false), nil) // aborts, and raises the epoch
		stale.epoch = 0
	}
	wantError(t, "an old epoch", stale.produce(9, topic, 1, &c.id), kerr.InvalidProducerEpoch)

	wantError(t, "version 2, not added", c.produce(12, topic, 0, &c.id), nil)
	if d := c.describe(); d.State != "Ongoing" {
		t.Errorf("described: %+v", d)
	}
	wantError(t, "end", c.end(5, true), nil)
	c.completed()
	late := *c
	late.epoch--
	wantError(t, "a late batch of the transaction before", late.produce(12, topic, 1, &c.id), kerr.InvalidProducerEpoch)
	wantError(t, "the next transaction", c.produce(12, topic, 0, &c.id), nil)
	wantError(t, "end", c.end(5, false), nil)
}

// Offsets in a transaction: who may commit them, when they count, and what readers of stable offsets are told.
func TestTransactionProtocol_Offsets(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	topic, group := newTopic(t, seeds, 2, nil), uniqueName(t, "group")
	for _, v2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("v2=%t", v2), func(t *testing.T) {
			group := fmt.Sprint(group, v2)
			c := newTxnConn(t, seeds, uniqueName(t, "txn"))
			wantError(t, "init", c.init(4, time.Minute, false), nil)
			commit := func(offset int64, member string, generation int32) error {
				req := kmsg.NewPtrTxnOffsetCommitRequest()
				req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = c.id, c.pid, c.epoch, group
				req.MemberID, req.Generation = member, generation
				rt := kmsg.NewTxnOffsetCommitRequestTopic()
				rt.Topic = topic
				for p := range int32(2) {
					rp := kmsg.NewTxnOffsetCommitRequestTopicPartition()
					rp.Partition, rp.Offset = p, offset+int64(p)
					rt.Partitions = append(rt.Partitions, rp)
				}
				req.Topics = append(req.Topics, rt)
				version := int16(3)
				if v2 {
					version = 5
				}
				return c.retried("commit offsets", func() int16 {
					return send[*kmsg.TxnOffsetCommitResponse](c, req, version).Topics[0].Partitions[0].ErrorCode
				})
			}
			fetch := func(stable bool) (int64, error) {
				req := kmsg.NewPtrOffsetFetchRequest()
				req.RequireStable = stable
				g := kmsg.NewOffsetFetchRequestGroup()
				g.Group = group
				rt := kmsg.NewOffsetFetchRequestGroupTopic()
				rt.Topic, rt.Partitions = topic, []int32{0}
				g.Topics = append(g.Topics, rt)
				req.Groups = append(req.Groups, g)
				answer := send[*kmsg.OffsetFetchResponse](c, req, 8).Groups[0]
				if answer.ErrorCode != 0 {
					return -1, kerr.ErrorForCode(answer.ErrorCode)
				}
				p := answer.Topics[0].Partitions[0]
				return p.Offset, kerr.ErrorForCode(p.ErrorCode)
			}
			settled := func(what string, want int64) {
				t.Helper()
				eventually(t, what, func(context.Context) (bool, string) {
					o, err := fetch(true)
					return err == nil && o == want, fmt.Sprint(o, err)
				})
			}
			if !v2 {
				wantError(t, "not added", commit(1, "", -1), kerr.InvalidTxnState)
				req := kmsg.NewPtrAddOffsetsToTxnRequest()
				req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = c.id, c.pid, c.epoch, group
				wantError(t, "add offsets", c.retried("add offsets", func() int16 {
					return send[*kmsg.AddOffsetsToTxnResponse](c, req, 3).ErrorCode
				}), nil)
			}
			wantError(t, "a generation that never was", commit(10, "m", 3), kerr.IllegalGeneration)
			wantError(t, "commit offsets", commit(10, "", -1), nil)
			if o, err := fetch(false); o != -1 || err != nil {
				t.Errorf("pending offset is shown: %d, %v", o, err)
			}
			if _, err := fetch(true); !errors.Is(err, kerr.UnstableOffsetCommit) {
				t.Errorf("stable offset: %v", err)
			}
			version := int16(4)
			if v2 {
				version = 5
			}
			wantError(t, "end", c.end(version, true), nil)
			settled("committed", 10)
			if v2 {
				wantError(t, "commit offsets", commit(20, "", -1), nil)
				wantError(t, "abort", c.end(version, false), nil)
				settled("after the abort", 10)
			}
		})
	}
}

// An administrator can see a transaction that hangs, and end it (KIP-664).
func TestTransactionProtocol_Administration(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	topic := newTopic(t, seeds, 1, nil)
	c := newTxnConn(t, seeds, uniqueName(t, "txn"))
	wantError(t, "unknown id", kerr.ErrorForCode(c.describe().ErrorCode), kerr.TransactionalIDNotFound, kerr.NotCoordinator)
	wantError(t, "init", c.init(4, time.Minute, false), nil)
	wantError(t, "produce", c.produce(12, topic, 0, &c.id), nil)

	list := kmsg.NewPtrListTransactionsRequest()
	list.ProducerIDFilters, list.StateFilters = []int64{c.pid}, []string{"Ongoing", "Nonsense"}
	listed := send[*kmsg.ListTransactionsResponse](c, list, 2)
	if !slices.Equal(listed.UnknownStateFilters, []string{"Nonsense"}) {
		t.Errorf("unknown states: %v", listed.UnknownStateFilters)
	}
	if s := listed.TransactionStates; !slices.ContainsFunc(s, func(s kmsg.ListTransactionsResponseTransactionState) bool {
		return s.TransactionalID == c.id && s.ProducerID == c.pid && s.TransactionState == "Ongoing"
	}) {
		t.Errorf("listed: %+v", s)
	}
	list.DurationFilterMillis = time.Hour.Milliseconds()
	if s := send[*kmsg.ListTransactionsResponse](c, list, 2).TransactionStates; len(s) != 0 {
		t.Errorf("running for an hour: %+v", s)
	}
	list = kmsg.NewPtrListTransactionsRequest()
	pattern := c.id[:len(c.id)-3] + ".*"
	list.TransactionalIDPattern = &pattern
	if s := send[*kmsg.ListTransactionsResponse](c, list, 2).TransactionStates; len(s) != 1 || s[0].TransactionalID != c.id {
		t.Errorf("by pattern: %+v", s)
	}
	bad := "("
	list.TransactionalIDPattern = &bad
	wantError(t, "a pattern that is none", kerr.ErrorForCode(send[*kmsg.ListTransactionsResponse](c, list, 2).ErrorCode), kerr.InvalidRegularExpression)

	producers := func() kmsg.DescribeProducersResponseTopicPartition {
		req := kmsg.NewPtrDescribeProducersRequest()
		rt := kmsg.NewDescribeProducersRequestTopic()
		rt.Topic, rt.Partitions = topic, []int32{0}
		req.Topics = append(req.Topics, rt)
		return send[*kmsg.DescribeProducersResponse](c, req, 0).Topics[0].Partitions[0]
	}
	p := producers()
	if len(p.ActiveProducers) != 1 {
		t.Fatalf("producers: %+v", p)
	}
	a := p.ActiveProducers[0]
	if a.ProducerID != c.pid || a.ProducerEpoch != int32(c.epoch) || a.LastSequence != 0 || a.CurrentTxnStartOffset != 0 || a.CoordinatorEpoch != -1 {
		t.Errorf("producer: %+v", a)
	}

	markers := func(epoch int16, topic string, partition int32) error {
		req := kmsg.NewPtrWriteTxnMarkersRequest()
		m := kmsg.NewWriteTxnMarkersRequestMarker()
		m.ProducerID, m.ProducerEpoch, m.CoordinatorEpoch = c.pid, epoch, 1<<20
		mt := kmsg.NewWriteTxnMarkersRequestMarkerTopic()
		mt.Topic, mt.Partitions = topic, []int32{partition}
		m.Topics = append(m.Topics, mt)
		req.Markers = append(req.Markers, m)
		return kerr.ErrorForCode(send[*kmsg.WriteTxnMarkersResponse](c, req, 1).Markers[0].Topics[0].Partitions[0].ErrorCode)
	}
	wantError(t, "a marker for a partition that does not exist", markers(c.epoch, topic, 9), kerr.UnknownTopicOrPartition)
	wantError(t, "a marker of an epoch before", markers(c.epoch-1, topic, 0), kerr.InvalidProducerEpoch, kerr.UnknownServerError)
	wantError(t, "the marker", markers(c.epoch, topic, 0), nil)
	if a := producers().ActiveProducers[0]; a.CurrentTxnStartOffset != -1 || a.CoordinatorEpoch != 1<<20 {
		t.Errorf("producer after the marker: %+v", a)
	}
	describe := kmsg.NewPtrDescribeProducersRequest()
	rt := kmsg.NewDescribeProducersRequestTopic()
	rt.Topic, rt.Partitions = topic+"-not", []int32{0}
	bogus := rt
	bogus.Topic = "no/name"
	describe.Topics = append(describe.Topics, rt, bogus)
	resp := send[*kmsg.DescribeProducersResponse](c, describe, 0)
	wantError(t, "producers of no topic", kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode), kerr.UnknownTopicOrPartition)
	wantError(t, "producers of no name", kerr.ErrorForCode(resp.Topics[1].Partitions[0].ErrorCode), kerr.InvalidTopicException)
}
