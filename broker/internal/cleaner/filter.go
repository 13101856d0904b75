package cleaner

import (
	"fmt"

	"millrace/broker/internal/record"
)

// LastRecord is where a producer stands that may still send.
type LastRecord struct {
	Offset record.Offset // of its last record, -1 when a marker was the last thing
	Epoch  int16
}

// Filter decides what stays of each batch, in one run. The fields are set before the first batch.
type Filter struct {
	Keys            *OffsetMap
	Txns            *Transactions
	Now             int64 // milliseconds
	DeleteRetention int64 // delete.retention.ms
	// Until is the first uncleanable offset. The batch before it stays, if only as a header: the end must be known.
	Until record.Offset
	// Producers are those whose last batch stays, if only as a header: it has their sequence number, or their epoch.
	Producers map[int64]LastRecord

	Stats FilterStats
}

// FilterStats are what a run has seen.
type FilterStats struct {
	Batches, Records         int64
	KeptBatches, KeptRecords int64
	WithoutKey               int64 // records that were dropped because they have no key
}

// Batch returns what stays of a batch: b itself when nothing changes, new bytes, or nil. keep is an aborted transaction that has to
// remain in the index. An error says that the batch is damaged.
func (f *Filter) Batch(b record.Batch) (out record.Batch, keep *AbortedTxn, err error) {
	var discard, emptyTxn bool
	if b.Control() {
		emptyTxn, keep = f.Txns.Marker(b)
		horizon, set := b.DeleteHorizon()
		discard = emptyTxn && set && horizon <= f.Now
	} else {
		discard = f.Txns.Data(b)
	}
	f.Stats.Batches++
	f.Stats.Records += int64(b.Count())
	retain := f.lastOfProducer(b) || b.NextOffset() == f.Until
	if !discard {
		out, err = f.records(b, emptyTxn)
	}
	if err != nil {
		return nil, nil, err
	}
	if out == nil && retain {
		out = b
		if b.Count() > 0 {
			out = b.Emptied()
		}
	}
	if out != nil {
		f.Stats.KeptBatches++
		f.Stats.KeptRecords += int64(out.Count())
	}
	return out, keep, nil
}

// records drops the single records that do not count any more; nil when none is left.
func (f *Filter) records(b record.Batch, emptyTxn bool) (record.Batch, error) {
	horizon, set := b.DeleteHorizon()
	s, err := b.Select(record.MaxDecompressed, func(r record.Record) bool {
		return b.Control() || f.record(r, !set || f.Now < horizon)
	})
	if err != nil {
		return nil, fmt.Errorf("batch at offset %d: %w", b.BaseOffset(), err)
	}
	if s.Kept() == 0 {
		return nil, nil
	}
	begin := !set && (s.Tombstones || emptyTxn)
	if s.All() && !begin {
		return b, nil
	}
	switch {
	case begin:
		horizon = f.Now + f.DeleteRetention
		if horizon < f.Now { // delete.retention.ms is for ever
			horizon = 1<<63 - 1
		}
	case !set:
		horizon = record.NoTimestamp
	}
	return s.Build(horizon)
}

// record tells whether a record stays.
func (f *Filter) record(r record.Record, tombstones bool) bool {
	switch {
	case r.Offset > f.Keys.Latest():
		return true
	case r.Key == nil:
		f.Stats.WithoutKey++
		return false
	}
	return r.Offset >= f.Keys.Get(r.Key) && (r.Value != nil || tombstones)
}

func (f *Filter) lastOfProducer(b record.Batch) bool {
	if b.ProducerID() < 0 {
		return false
	}
	last, ok := f.Producers[b.ProducerID()]
	switch {
	case !ok:
		return false
	case last.Offset >= 0:
		return b.LastOffset() == last.Offset
	}
	return b.Control() && b.ProducerEpoch() == last.Epoch
}

// Note puts the keys of a dirty batch into the table, from an offset on. Records of aborted transactions do not count. It returns
// false when the table is full: this run ends before the batch is through.
func Note(m *OffsetMap, t *Transactions, b record.Batch, from record.Offset) (room bool, err error) {
	switch {
	case b.Control():
		t.Marker(b)
	case !t.Data(b):
		for r, err := range b.Records(record.MaxDecompressed) {
			if err != nil {
				return false, fmt.Errorf("batch at offset %d: %w", b.BaseOffset(), err)
			}
			if r.Key != nil && r.Offset >= from && !m.Put(r.Key, r.Offset) {
				return false, nil
			}
		}
	}
	if b.LastOffset() >= from {
		m.Reached(b.LastOffset())
	}
	return true, nil
}
