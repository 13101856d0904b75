package storage

import (
	"fmt"
	"maps"
	"time"

	"millrace/broker/internal/record"
)

// Guard says that the coordinator of a transaction was asked about its first batch in a log (KIP-890). It
// holds for that one time: a marker that comes in between makes it void, so that a late answer
// of the coordinator cannot open a transaction that has ended.
type Guard uint64

// verification is a transaction whose first batch waits for its coordinator's answer.
type verification struct {
	guard     Guard
	epoch     int16
	lowest    int32 // sequence number of the batches that wait
	epochBump bool  // transactions of version 2
	since     time.Time
}

// BeginVerify is called with the first sequence number of a transactional batch, before the coordinator is asked. The
// guard is zero when there is no need to: the producer's transaction is open here. It returns
// ErrProducerFenced when a newer epoch of the producer has written.
func (l *Log) BeginVerify(producer int64, epoch int16, sequence int32, epochBump bool) (Guard, error) {
	l.appendMu.Lock()
	defer l.appendMu.Unlock()
	if p := l.producers[producer]; p != nil {
		if epoch < p.epoch {
			return 0, fmt.Errorf("producer %d: %w: %d, current is %d", producer, ErrProducerFenced, epoch, p.epoch)
		}
		if p.txnFirst >= 0 && p.epoch == epoch {
			return 0, nil
		}
	}
	v := l.verifying[producer]
	if v == nil {
		l.lastGuard++
		v = &verification{guard: l.lastGuard, epoch: epoch, lowest: sequence, epochBump: epochBump, since: l.dir.now()}
		if l.verifying == nil {
			l.verifying = map[int64]*verification{}
		}
		l.verifying[producer] = v
	}
	if epoch > v.epoch {
		v.epoch, v.lowest = epoch, sequence
	}
	v.lowest = min(v.lowest, sequence)
	return v.guard, nil
}

// DropVerify ends what BeginVerify began, when the coordinator has refused for good.
func (l *Log) DropVerify(producer int64, g Guard) {
	l.appendMu.Lock()
	defer l.appendMu.Unlock()
	if v := l.verifying[producer]; v != nil && v.guard == g {
		delete(l.verifying, producer)
	}
}

// verified tells whether a guard holds still. The caller holds appendMu.
func (l *Log) verified(producer int64, g Guard) bool {
	v := l.verifying[producer]
	return g != 0 && v != nil && v.guard == g
}

// endVerify is called with a transactional batch that is in the log: either the transaction is open now, or a marker
// has ended it. Only the next transaction of a producer of version 2, which has the marker's
// epoch, may be waiting already.
func (l *Log) endVerify(producer int64, b record.Batch) {
	v := l.verifying[producer]
	if v == nil || v.epochBump && b.Control() && b.ProducerEpoch() == v.epoch {
		return
	}
	delete(l.verifying, producer)
}

// expireVerify forgets what has waited for so long. The caller holds appendMu.
func (l *Log) expireVerify(now time.Time, after time.Duration) {
	maps.DeleteFunc(l.verifying, func(_ int64, v *verification) bool { return now.Sub(v.since) >= after })
}
