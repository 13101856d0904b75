package txncoordinator

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/statelog"
	"millrace/broker/internal/txn"
)

// Versions that we write: those of Kafka 4.3 with transaction.version 2. Value version 0 is read too.
const (
	keyVersion   = 0
	valueVersion = 1
)

// encode gives what is kept of an id its form on disk; nil is a tombstone.
func encode(id string, m *txn.Metadata) statelog.Record {
	k := kmsg.TxnMetadataKey{Version: keyVersion, TransactionalID: id}
	out := statelog.Record{Key: k.AppendTo(nil)}
	if m == nil {
		return out
	}
	v := kmsg.NewTxnMetadataValue()
	v.Version = valueVersion
	v.ProducerID, v.ProducerEpoch = m.ProducerID, m.Epoch
	v.PreviousProducerID, v.NextProducerID = m.PrevProducerID, m.NextProducerID
	v.TimeoutMillis = int32(m.Timeout.Milliseconds())
	v.State = kmsg.TransactionState(m.State)
	v.LastUpdateTimestamp, v.StartTimestamp = m.Updated.UnixMilli(), -1
	if !m.Started.IsZero() {
		v.StartTimestamp = m.Started.UnixMilli()
	}
	v.ClientTransactionVersion = m.Version
	if m.State != txn.Empty {
		v.Topics = []kmsg.TxnMetadataValueTopic{} // null says Empty
	}
	for _, tp := range m.Partitions { // in order of topics
		if n := len(v.Topics); n == 0 || v.Topics[n-1].Topic != tp.Topic {
			v.Topics = append(v.Topics, kmsg.TxnMetadataValueTopic{Topic: tp.Topic})
		}
		last := &v.Topics[len(v.Topics)-1]
		last.Partitions = append(last.Partitions, tp.Partition)
	}
	out.Value = v.AppendTo(nil)
	return out
}

// decode reads a record. m is nil of a tombstone; known is false of versions that are not
// known here, which are left alone as Kafka does.
func decode(r statelog.Record) (id string, m *txn.Metadata, known bool, err error) {
	if len(r.Key) < 2 {
		return "", nil, false, fmt.Errorf("a transaction's key has %d bytes", len(r.Key))
	}
	if binary.BigEndian.Uint16(r.Key) != keyVersion {
		return "", nil, false, nil
	}
	var k kmsg.TxnMetadataKey
	if err := k.ReadFrom(r.Key); err != nil {
		return "", nil, false, fmt.Errorf("transaction key: %w", err)
	}
	if r.Value == nil {
		return k.TransactionalID, nil, true, nil
	}
	if len(r.Value) < 2 {
		return "", nil, false, fmt.Errorf("transactional id %q: value of %d bytes", k.TransactionalID, len(r.Value))
	}
	if binary.BigEndian.Uint16(r.Value) > valueVersion {
		return "", nil, false, nil
	}
	v := kmsg.NewTxnMetadataValue()
	if err := v.ReadFrom(r.Value); err != nil {
		return "", nil, false, fmt.Errorf("transactional id %q: %w", k.TransactionalID, err)
	}
	if m, err = metadata(&v); err != nil {
		return "", nil, false, fmt.Errorf("transactional id %q: %w", k.TransactionalID, err)
	}
	return k.TransactionalID, m, true, nil
}

// metadata checks what a record says.
func metadata(v *kmsg.TxnMetadataValue) (*txn.Metadata, error) {
	state := txn.State(v.State)
	switch {
	case v.State < 0 || !state.Stored():
		return nil, fmt.Errorf("state %d", v.State)
	case v.ProducerID < 0 || v.ProducerEpoch < 0:
		return nil, fmt.Errorf("producer id %d, epoch %d", v.ProducerID, v.ProducerEpoch)
	case v.TimeoutMillis < 0:
		return nil, fmt.Errorf("time-out of %d ms", v.TimeoutMillis)
	case outOfTime(v.LastUpdateTimestamp) || outOfTime(v.StartTimestamp):
		return nil, fmt.Errorf("times %d and %d", v.StartTimestamp, v.LastUpdateTimestamp)
	}
	m := &txn.Metadata{
		ProducerID: v.ProducerID, PrevProducerID: v.PreviousProducerID, NextProducerID: v.NextProducerID,
		Epoch: v.ProducerEpoch, LastEpoch: -1, Timeout: time.Duration(v.TimeoutMillis) * time.Millisecond, State: state,
		Updated: time.UnixMilli(v.LastUpdateTimestamp), Version: v.ClientTransactionVersion,
	}
	if v.StartTimestamp >= 0 {
		m.Started = time.UnixMilli(v.StartTimestamp)
	}
	if state == txn.Empty {
		return m, nil
	}
	for _, t := range v.Topics {
		for _, p := range t.Partitions {
			m.Partitions = append(m.Partitions, txn.TopicPartition{Topic: t.Topic, Partition: p})
		}
	}
	slices.SortFunc(m.Partitions, txn.Compare)
	m.Partitions = slices.Compact(m.Partitions)
	return m, nil
}

// outOfTime tells times that cannot be reckoned with.
func outOfTime(ms int64) bool { return ms < -1 || ms > math.MaxInt64/int64(time.Millisecond) }
