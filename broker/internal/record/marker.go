package record

import (
	"encoding/binary"
	"fmt"
)

// Marker is the one record of a control batch, which ends a transaction (KIP-98):
//
//	key:   version 2 = 0 | type 2: 0 abort, 1 commit
//	value: version 2 = 0 | coordinatorEpoch 4
type Marker struct {
	Commit           bool
	CoordinatorEpoch int32
}

const (
	markerAbort  = 0
	markerCommit = 1
)

// EndTxn makes the control batch that ends a producer's transaction.
func EndTxn(producerID int64, producerEpoch int16, timestamp int64, m Marker) Batch {
	b := Builder{Control: true, Transactional: true, Idempotent: true, ProducerID: producerID, ProducerEpoch: producerEpoch, BaseSequence: -1}
	var key [4]byte
	if m.Commit {
		binary.BigEndian.PutUint16(key[2:], markerCommit)
	}
	var value [6]byte
	binary.BigEndian.PutUint32(value[2:], uint32(m.CoordinatorEpoch))
	b.Add(timestamp, key[:], value[:])
	batch, err := b.Build()
	if err != nil {
		panic(err) // nothing is compressed
	}
	return batch
}

// Marker reads the marker of a control batch. A control batch of a kind that is not about
// transactions gives ok false. It returns ErrInvalid when the record is none.
func (b Batch) Marker() (m Marker, ok bool, err error) {
	for r, err := range b.Records(markerLimit) {
		if err != nil {
			return m, false, err
		}
		if len(r.Key) < 4 {
			return m, false, fmt.Errorf("%w: control record with a key of %d bytes", ErrInvalid, len(r.Key))
		}
		kind := binary.BigEndian.Uint16(r.Key[2:])
		if kind != markerAbort && kind != markerCommit {
			return m, false, nil
		}
		if len(r.Value) < 6 {
			return m, false, fmt.Errorf("%w: transaction marker with a value of %d bytes", ErrInvalid, len(r.Value))
		}
		return Marker{Commit: kind == markerCommit, CoordinatorEpoch: int32(binary.BigEndian.Uint32(r.Value[2:]))}, true, nil
	}
	return m, false, nil // compaction has emptied it
}

// markerLimit bounds what a control batch may decompress to.
const markerLimit = 1 << 10
