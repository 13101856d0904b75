package server_test

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/record"
)

// producer is who a client is to the broker after InitProducerId.
type producer struct {
	id    int64
	epoch int16
}

// after is who it is after an answer.
func (p producer) after(resp kmsg.Response) producer {
	switch r := resp.(type) {
	case *kmsg.InitProducerIDResponse:
		if r.ErrorCode == 0 {
			return producer{r.ProducerID, r.ProducerEpoch}
		}
	case *kmsg.EndTxnResponse:
		if r.ErrorCode == 0 && r.ProducerID >= 0 {
			return producer{r.ProducerID, r.ProducerEpoch}
		}
	}
	return p
}

// of makes a batch of n records of the producer's.
func (p producer) of(c *conversation, transactional bool, sequence int32, n int) record.Batch {
	c.t.Helper()
	b := record.Builder{Idempotent: true, Transactional: transactional, ProducerID: p.id, ProducerEpoch: p.epoch, BaseSequence: sequence}
	for range n {
		b.Add(time.Now().UnixMilli(), []byte("key"), []byte("value"))
	}
	batch, err := b.Build()
	if err != nil {
		c.t.Fatal(err)
	}
	return batch
}

func initRequest(id string, p producer) *kmsg.InitProducerIDRequest {
	r := kmsg.NewPtrInitProducerIDRequest()
	if id != "" {
		r.TransactionalID = &id
	}
	r.TransactionTimeoutMillis, r.ProducerID, r.ProducerEpoch = 60_000, p.id, p.epoch
	return r
}

var nobody = producer{-1, -1}

// idempotence is what becomes of sequence numbers.
func idempotence(c *conversation) {
	topic := c.name("")
	c.topicID = c.newTopic(topic, 1, "retention.ms", "-1")
	p := nobody
	p = p.after(must(c, 4, initRequest("", nobody), func(r *kmsg.InitProducerIDResponse) bool { return r.ErrorCode == 0 }))
	send := func(what string, p producer, sequence int32, n int) {
		c.ask(what, 9, produceRequest(topic, c.topicID, 0, -1, p.of(c, false, sequence, n)))
	}
	at := func(epoch int16) producer { return producer{p.id, epoch} }
	send("begins in the middle", at(0), 5, 1)
	send("goes on from there", at(0), 6, 2)
	send("the same again", at(0), 6, 2)
	send("the one before", at(0), 5, 1)
	send("the first half of one", at(0), 6, 1)
	send("a gap", at(0), 20, 1)
	send("goes back", at(0), 0, 1)
	send("a later epoch in the middle", at(1), 8, 1)
	send("a later epoch", at(1), 0, 1)
	send("an earlier epoch", at(0), 8, 1)
	send("a transaction without one", at(1), 1, 1)
	for i := range int32(6) {
		send("one of six: "+string('1'+i), at(1), 2+i, 1)
	}
	send("the first of six again", at(1), 2, 1)
	send("the second of six again", at(1), 3, 1)
	send("the last sequence number", at(2), 0, 1)
	last := at(2).of(c, false, 1<<31-1, 2)
	c.ask("the sequence begins anew without its end", 9, produceRequest(topic, c.topicID, 0, -1, last))
	c.ask("epoch raised", 4, initRequest("", at(2)))
	c.ask("epoch without an id", 4, initRequest("", producer{-1, 3}))
	describe := kmsg.NewPtrDescribeProducersRequest()
	describe.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: topic, Partitions: []int32{0, 9}}}
	c.ask("described", 0, describe)
}

// transactions is the life of one with the requests of clients before and after KIP-890, and what they may get wrong.
func transactions(c *conversation) {
	topic, id, group := c.name(""), c.name("-id"), c.name("-group")
	c.topicID = c.newTopic(topic, 2, "retention.ms", "-1")
	p := nobody
	add := func(p producer, version int16, partitions ...int32) *kmsg.AddPartitionsToTxnRequest {
		r := kmsg.NewPtrAddPartitionsToTxnRequest()
		r.TransactionalID, r.ProducerID, r.ProducerEpoch = id, p.id, p.epoch
		r.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: topic, Partitions: partitions}}
		if version >= 4 {
			r.Transactions = []kmsg.AddPartitionsToTxnRequestTransaction{{
				TransactionalID: id, ProducerID: p.id, ProducerEpoch: p.epoch,
				Topics: []kmsg.AddPartitionsToTxnRequestTransactionTopic{{Topic: topic, Partitions: partitions}},
			}}
		}
		return r
	}
	end := func(p producer, commit bool) *kmsg.EndTxnRequest {
		r := kmsg.NewPtrEndTxnRequest()
		r.TransactionalID, r.ProducerID, r.ProducerEpoch, r.Commit = id, p.id, p.epoch, commit
		return r
	}
	write := func(p producer, partition, sequence int32) *kmsg.ProduceRequest {
		r := produceRequest(topic, c.topicID, partition, -1, p.of(c, true, sequence, 1))
		r.TransactionID = &id
		return r
	}
	offsets := func(p producer) *kmsg.AddOffsetsToTxnRequest {
		r := kmsg.NewPtrAddOffsetsToTxnRequest()
		r.TransactionalID, r.ProducerID, r.ProducerEpoch, r.Group = id, p.id, p.epoch, group
		return r
	}
	commit := func(p producer, offset int64) *kmsg.TxnOffsetCommitRequest {
		r := kmsg.NewPtrTxnOffsetCommitRequest()
		r.TransactionalID, r.ProducerID, r.ProducerEpoch, r.Group, r.Generation = id, p.id, p.epoch, group, -1
		r.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: topic, Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{{Offset: offset, LeaderEpoch: -1}}}}
		return r
	}
	fetch := func(isolation int8) *kmsg.FetchRequest {
		r := fetchRequest(topic, c.topicID, 0, 0)
		r.IsolationLevel = isolation
		return r
	}
	describe := kmsg.NewPtrDescribeTransactionsRequest()
	describe.TransactionalIDs = []string{id, c.name("-none"), ""}
	list := kmsg.NewPtrListTransactionsRequest()
	// settled waits until a transaction has ended in full.
	settled := func() {
		one := kmsg.NewPtrDescribeTransactionsRequest()
		one.TransactionalIDs = []string{id}
		must(c, 0, one, func(r *kmsg.DescribeTransactionsResponse) bool {
			s := r.TransactionStates[0].State
			return s != "PrepareCommit" && s != "PrepareAbort"
		})
	}

	endless := initRequest(id, nobody)
	endless.TransactionTimeoutMillis = 1<<31 - 1
	c.ask("too long a time", 4, endless)
	never := initRequest(id, nobody)
	never.TransactionTimeoutMillis = 0
	c.ask("no time", 4, never)
	c.ask("an empty id", 4, func() kmsg.Request { r := initRequest("", nobody); r.TransactionalID = kmsg.StringPtr(""); return r }())
	c.ask("a producer id that is not its own", 4, initRequest(id, producer{12345, 0}))
	c.ask("nothing to end", 3, end(producer{1, 0}, true))
	p = p.after(c.ask("begins", 4, initRequest(id, nobody)))
	c.ask("described", 0, describe)
	c.ask("an end without a beginning", 3, end(p, true))
	c.ask("an abort without a beginning", 3, end(p, false))
	c.ask("records before their partition", 11, write(p, 0, 0))
	c.ask("offsets before their group", 3, commit(p, 5))
	c.ask("adds a partition", 3, add(p, 3, 0))
	c.ask("adds it again", 3, add(p, 3, 0))
	c.ask("adds one that is not there", 3, add(p, 3, 0, 9))
	c.ask("adds one of another epoch", 3, add(producer{p.id, p.epoch + 1}, 3, 1))
	c.ask("adds one of another id", 3, add(producer{p.id + 77, p.epoch}, 3, 1))
	c.ask("adds one as a broker does", 4, add(p, 4, 1))
	verify := add(p, 4, 0)
	verify.Transactions[0].VerifyOnly = true
	c.ask("verifies one", 4, verify)
	c.ask("writes", 11, write(p, 0, 0))
	c.ask("writes again", 11, write(p, 0, 0))
	c.ask("writes without its id", 11, func() kmsg.Request { r := write(p, 0, 1); r.TransactionID = nil; return r }())
	c.ask("writes with another id", 11, func() kmsg.Request {
		r := write(p, 0, 1)
		r.TransactionID = kmsg.StringPtr(c.name("-none"))
		return r
	}())
	c.ask("writes without a transaction in the batch", 11, produceRequest(topic, c.topicID, 0, -1, p.of(c, false, 1, 1)))
	c.ask("described when it goes on", 0, describe)
	c.ask("listed", 2, list)
	c.ask("read uncommitted", 12, fetch(0))
	c.ask("read committed", 12, fetch(1))
	c.ask("adds offsets", 3, offsets(p))
	c.ask("commits offsets", 3, commit(p, 5))
	c.ask("offsets meanwhile", 8, offsetsRequest(group))
	stable := offsetsRequest(group)
	stable.RequireStable = true
	c.ask("stable offsets meanwhile", 8, stable)
	c.ask("its offset deleted meanwhile", 0, deleteOffset(group, topic))
	c.ask("an end of another epoch", 3, end(producer{p.id, p.epoch + 1}, true))
	c.ask("commits", 3, end(p, true))
	settled()
	c.ask("commits again", 3, end(p, true))
	c.ask("aborts what is committed", 3, end(p, false))
	c.ask("read committed after it", 12, fetch(1))
	c.ask("offsets after it", 8, stable)
	c.ask("adds for another", 3, add(p, 3, 0, 1))
	c.ask("writes what is to be aborted", 11, write(p, 0, 1))
	c.ask("aborts", 3, end(p, false))
	settled()
	c.ask("aborts again", 3, end(p, false))
	c.ask("commits what is aborted", 3, end(p, true))
	c.ask("read with what was aborted", 12, fetch(1))
	old := p
	p = p.after(c.ask("begins anew", 4, initRequest(id, nobody)))
	c.ask("the old one adds", 3, add(old, 3, 0))
	c.ask("the old one writes", 11, write(old, 0, 2))
	c.ask("the old one adds offsets", 3, offsets(old))
	c.ask("the old one commits offsets", 3, commit(old, 6))
	c.ask("the old one ends", 3, end(old, true))
	c.ask("the old one ends, before version 2", 1, end(old, true))
	c.ask("the old one begins anew", 4, initRequest(id, old))

	// From here on as clients of transactions of version 2 do.
	c.ask("v2: adds a partition", 5, add(p, 5, 0))
	c.ask("v2: writes without adding", 12, write(p, 0, 0))
	c.ask("v2: offsets without adding", 5, commit(p, 9))
	c.ask("v2: described", 0, describe)
	old = p
	p = p.after(c.ask("v2: commits", 5, end(p, true)))
	settled()
	c.ask("v2: the same end again", 5, end(old, true))
	c.ask("v2: the other end", 5, end(old, false))
	c.ask("v2: writes with the epoch before", 12, write(old, 0, 1))
	c.ask("v2: offsets with the epoch before", 5, commit(old, 10))
	p = p.after(c.ask("v2: aborts nothing", 5, end(p, false)))
	settled()
	c.ask("v2: writes", 12, write(p, 1, 0))
	p = p.after(c.ask("v2: aborts", 5, end(p, false)))
	settled()
	c.ask("v2: offsets after it", 8, stable)
	ongoing := p
	c.ask("v2: writes and is left alone", 12, write(p, 0, 0))
	must(c, 4, initRequest(id, nobody), func(r *kmsg.InitProducerIDResponse) bool {
		p = p.after(r)
		return r.ErrorCode != kerr.ConcurrentTransactions.Code
	})
	c.ask("v2: the one that was left alone goes on", 12, write(ongoing, 0, 1))
	c.ask("v2: described in the end", 0, describe)
	c.ask("read in the end", 12, fetch(1))
	c.ask("the group in the end", 6, describeGroups(group))
}
