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

// producers is the state of the idempotent producers of one log. It belongs to the append lock.
type producers map[int64]*producer

type producer struct {
	epoch         int16
	batches       []sentBatch // oldest first; after a restart only the last one is known
	lastTimestamp int64
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

// check tells whether batches continue what their producers sent before. It returns the earlier batch
// when the first of them is a duplicate. Nothing is changed.
func (ps producers) check(batches []byte) (duplicate *sentBatch, err error) {
	var ahead map[int64]producer // producers with more than one batch in this append
	for first := true; len(batches) > 0; first = false {
		b := record.Batch(batches)
		size := b.Size()
		more := size < len(batches)
		batches = batches[size:]
		id := b.ProducerID()
		if id < 0 || b.Control() {
			continue
		}
		now, known := ahead[id]
		if !known {
			if p := ps[id]; p != nil {
				now, known = *p, true
			}
		}
		if known {
			if d := now.duplicate(b); d != nil && first {
				return d, nil
			}
			if err := now.follows(b); err != nil {
				return nil, fmt.Errorf("producer %d: %w", id, err)
			}
		}
		if more || ahead != nil {
			if ahead == nil {
				ahead = map[int64]producer{}
			}
			ahead[id] = producer{epoch: b.ProducerEpoch(), batches: []sentBatch{sent(b)}}
		}
	}
	return nil, nil
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

// follows is Kafka's ProducerAppendInfo.checkSequence. A producer that is not known may start
// anywhere: its records may have gone by retention.
func (p *producer) follows(b record.Batch) error {
	first := b.BaseSequence()
	switch {
	case b.ProducerEpoch() < p.epoch:
		return fmt.Errorf("%w: %d, current is %d", ErrProducerFenced, b.ProducerEpoch(), p.epoch)
	case b.ProducerEpoch() > p.epoch:
		if first != 0 {
			return fmt.Errorf("%w: %d is the first of epoch %d", ErrOutOfOrder, first, b.ProducerEpoch())
		}
		return nil
	case len(p.batches) == 0:
		return nil
	}
	last := p.batches[len(p.batches)-1].lastSequence
	if first == last+1 || (first == 0 && last == 1<<31-1) {
		return nil
	}
	return fmt.Errorf("%w: %d after %d", ErrOutOfOrder, first, last)
}

// add remembers a batch that is in the log.
func (ps producers) add(b record.Batch) {
	id := b.ProducerID()
	if id < 0 {
		return
	}
	p := ps[id]
	if p == nil {
		p = &producer{epoch: b.ProducerEpoch()}
		ps[id] = p
	}
	if b.ProducerEpoch() != p.epoch {
		p.epoch, p.batches = b.ProducerEpoch(), nil
	}
	p.lastTimestamp = b.MaxTimestamp()
	if b.Control() {
		return
	}
	if len(p.batches) == rememberedBatches {
		copy(p.batches, p.batches[1:])
		p.batches = p.batches[:rememberedBatches-1]
	}
	p.batches = append(p.batches, sent(b))
}

// expire forgets producers that have been silent for so long.
func (ps producers) expire(now time.Time, after time.Duration) {
	limit := now.Add(-after).UnixMilli()
	maps.DeleteFunc(ps, func(_ int64, p *producer) bool { return p.lastTimestamp < limit })
}

// list returns what is known, in order of ids.
func (ps producers) list() []ProducerState {
	out := make([]ProducerState, 0, len(ps))
	for _, id := range slices.Sorted(maps.Keys(ps)) {
		p := ps[id]
		s := ProducerState{ID: id, Epoch: p.epoch, LastSequence: -1, LastTimestamp: p.lastTimestamp}
		if n := len(p.batches); n > 0 {
			s.LastSequence = p.batches[n-1].lastSequence
		}
		out = append(out, s)
	}
	return out
}
