package storage

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"millrace/broker/internal/record"
)

// rememberedBatches is how many batches of a producer are remembered, so that a retry of any of
// them is answered as the first time (KIP-98; Kafka's ProducerStateEntry).
const rememberedBatches = 5

// noTxn is the first offset of a transaction that is not there.
const noTxn record.Offset = -1

// producers is the state of the idempotent producers of one log. It belongs to the append lock.
type producers map[int64]*producer

type producer struct {
	epoch            int16
	batches          []sentBatch // oldest first; after a restart only the last one is known
	lastTimestamp    int64
	coordinatorEpoch int32         // of the last marker, -1 if there was none
	txnFirst         record.Offset // where the open transaction begins, noTxn if none is
}

// sentBatch is a batch in the log by its producer's numbers.
type sentBatch struct {
	firstSequence, lastSequence int32
	lastOffset                  record.Offset
	offsetDelta                 int32
	timestamp                   int64
}

func (b sentBatch) firstOffset() record.Offset { return b.lastOffset - record.Offset(b.offsetDelta) }

func sent(b record.Batch) sentBatch {
	return sentBatch{
		firstSequence: b.BaseSequence(), lastSequence: b.LastSequence(),
		lastOffset: b.LastOffset(), offsetDelta: b.LastOffsetDelta(), timestamp: b.MaxTimestamp(),
	}
}

// checkProducers tells whether batches continue what their producers sent before. It returns the earlier batch
// when the first of them is a duplicate. Nothing is changed.
func (l *Log) checkProducers(batches []byte, o AppendOptions) (duplicate *sentBatch, err error) {
	var ahead map[int64]producer // producers with more than one batch in this append
	for first := true; len(batches) > 0; first = false {
		b := record.Batch(batches)
		size := b.Size()
		more := size < len(batches)
		b, batches = b[:size], batches[size:]
		id := b.ProducerID()
		if id < 0 {
			continue
		}
		now, known := ahead[id]
		if !known {
			if p := l.producers[id]; p != nil {
				now, known = *p, true
			}
		}
		if b.Control() {
			err = checkMarker(&now, known, b, o.TxnVersion)
		} else {
			if o.Origin == FromClient && known && first {
				if d := now.duplicate(b); d != nil {
					return d, nil
				}
			}
			err = l.checkData(&now, known, b, o)
		}
		if err != nil {
			return nil, fmt.Errorf("producer %d: %w", id, err)
		}
		if more || ahead != nil {
			if ahead == nil {
				ahead = map[int64]producer{}
			}
			next := producer{epoch: b.ProducerEpoch(), coordinatorEpoch: now.coordinatorEpoch, txnFirst: noTxn}
			if !b.Control() {
				next.batches = []sentBatch{sent(b)}
				if b.Transactional() {
					next.txnFirst = l.end
				}
			}
			ahead[id] = next
		}
	}
	return nil, nil
}

// checkData checks a batch of records against what is known of its producer.
func (l *Log) checkData(p *producer, known bool, b record.Batch, o AppendOptions) error {
	if known && b.ProducerEpoch() < p.epoch {
		return fmt.Errorf("%w: %d, current is %d", ErrProducerFenced, b.ProducerEpoch(), p.epoch)
	}
	open := known && p.txnFirst >= 0
	ongoing := open && p.epoch == b.ProducerEpoch()
	if b.Transactional() && !ongoing && !l.verified(b.ProducerID(), o.Guard) {
		return fmt.Errorf("%w: the transaction's coordinator has not been asked", ErrTxnState)
	}
	if o.Origin == FromClient {
		if err := l.checkSequence(p, known, b); err != nil {
			return err
		}
	}
	if open && !b.Transactional() {
		return fmt.Errorf("%w: a transaction of the producer is open and the batch is not in it", ErrTxnState)
	}
	return nil
}

// checkSequence is Kafka's ProducerAppendInfo.checkSequence. A producer that is not known may start
// anywhere, because its records may have gone by retention; with transactions of version 2 it
// starts at 0. A batch does not overtake one that was there before and still waits for the coordinator.
func (l *Log) checkSequence(p *producer, known bool, b record.Batch) error {
	first := b.BaseSequence()
	if v := l.verifying[b.ProducerID()]; v != nil {
		if v.epochBump && first != 0 && (!known || len(p.batches) == 0) {
			return fmt.Errorf("%w: %d is the producer's first", ErrOutOfOrder, first)
		}
		if first > v.lowest {
			return fmt.Errorf("%w: %d before %d", ErrOutOfOrder, first, v.lowest)
		}
	}
	if !known {
		return nil
	}
	return p.follows(b)
}

func (p *producer) duplicate(b record.Batch) *sentBatch {
	if b.ProducerEpoch() != p.epoch {
		return nil
	}
	for i := range p.batches {
		if s := &p.batches[i]; s.firstSequence == b.BaseSequence() && s.lastSequence == b.LastSequence() {
			return s
		}
	}
	return nil
}

// follows tells whether a batch of a known producer is the next one. The epoch is not an older one.
func (p *producer) follows(b record.Batch) error {
	first, last := b.BaseSequence(), int32(-1)
	if b.ProducerEpoch() > p.epoch {
		if first != 0 {
			return fmt.Errorf("%w: %d is the first of epoch %d", ErrOutOfOrder, first, b.ProducerEpoch())
		}
		return nil
	}
	if n := len(p.batches); n > 0 {
		last = p.batches[n-1].lastSequence
	}
	if first == last+1 || (first == 0 && last == 1<<31-1) {
		return nil
	}
	return fmt.Errorf("%w: %d after %d", ErrOutOfOrder, first, last)
}

// checkMarker checks a control batch. With transactions of version 2 a marker has a newer epoch than the
// records; the same one is taken when nothing is open, because the marker is being repeated then
// (Kafka's ProducerAppendInfo.checkProducerEpoch).
func checkMarker(p *producer, known bool, b record.Batch, version int16) error {
	m, ok, err := b.Marker()
	switch {
	case err != nil:
		return err
	case !ok:
		return fmt.Errorf("%w: a control batch of a producer is no transaction marker", record.ErrInvalid)
	case !known:
		return nil
	}
	epoch := b.ProducerEpoch()
	repeated := epoch == p.epoch && (p.txnFirst < 0 || epoch == 1<<15-1)
	if epoch < p.epoch || version >= 2 && epoch == p.epoch && !repeated {
		return fmt.Errorf("%w: marker with epoch %d, current is %d", ErrProducerFenced, epoch, p.epoch)
	}
	if m.CoordinatorEpoch < p.coordinatorEpoch {
		return fmt.Errorf("%w: %d, last was %d", ErrCoordinatorFenced, m.CoordinatorEpoch, p.coordinatorEpoch)
	}
	return nil
}

// addToProducers remembers a batch that is in the log, in segment s. The caller holds appendMu, or opens the log.
func (l *Log) addToProducers(b record.Batch, s *segment) {
	id := b.ProducerID()
	if id < 0 {
		return
	}
	p := l.producers[id]
	if p == nil {
		p = &producer{epoch: b.ProducerEpoch(), coordinatorEpoch: -1, txnFirst: noTxn}
		l.producers[id] = p
	}
	if b.Transactional() {
		l.endVerify(id, b)
	}
	if b.Control() {
		m, ok, err := b.Marker()
		if !ok || err != nil {
			return // checked when it was appended
		}
		if p.epoch != b.ProducerEpoch() {
			p.epoch, p.batches = b.ProducerEpoch(), nil
		}
		p.lastTimestamp, p.coordinatorEpoch = b.MaxTimestamp(), m.CoordinatorEpoch
		if p.txnFirst >= 0 {
			end := txnEnd{producer: id, first: p.txnFirst, last: b.BaseOffset(), abort: !m.Commit}
			p.txnFirst = noTxn
			if stable := l.unstable.end(end); end.abort {
				s.aborted.add(AbortedTxn{ProducerID: id, First: end.first, Last: end.last, Stable: stable}.encode())
			}
		}
		return
	}
	if b.ProducerEpoch() != p.epoch {
		p.epoch, p.batches = b.ProducerEpoch(), nil
	}
	p.lastTimestamp = b.MaxTimestamp()
	if len(p.batches) == rememberedBatches {
		copy(p.batches, p.batches[1:])
		p.batches = p.batches[:rememberedBatches-1]
	}
	p.batches = append(p.batches, sent(b))
	if b.Transactional() && p.txnFirst < 0 {
		p.txnFirst = b.BaseOffset()
		l.unstable.begin(id, p.txnFirst)
	}
}

// expire forgets producers that have been silent for so long, unless a transaction of theirs is open.
func (ps producers) expire(now time.Time, after time.Duration) {
	limit := now.Add(-after).UnixMilli()
	maps.DeleteFunc(ps, func(_ int64, p *producer) bool { return p.lastTimestamp < limit && p.txnFirst < 0 })
}

// list returns what is known, in order of ids.
func (ps producers) list() []ProducerState {
	out := make([]ProducerState, 0, len(ps))
	for _, id := range slices.Sorted(maps.Keys(ps)) {
		p := ps[id]
		s := ProducerState{
			ID: id, Epoch: p.epoch, LastSequence: -1, LastTimestamp: p.lastTimestamp,
			CoordinatorEpoch: p.coordinatorEpoch, TxnFirst: p.txnFirst,
		}
		if n := len(p.batches); n > 0 {
			s.LastSequence = p.batches[n-1].lastSequence
		}
		out = append(out, s)
	}
	return out
}
