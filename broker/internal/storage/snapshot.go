package storage

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"

	"millrace/broker/internal/record"
)

// A .snapshot file is the producer state at the offset in its name, in Kafka's version 1:
//
//	version 2 = 1 | crc32c 4 of what follows | count 4 | entries
//
// and each entry:
//
//	producerId 8 | epoch 2 | lastSequence 4 | lastOffset 8 | offsetDelta 4 | timestamp 8 |
//	coordinatorEpoch 4 | currentTxnFirstOffset 8; each -1 where there is none
const (
	snapshotVersion   = 1
	snapshotHeader    = 10
	snapshotEntrySize = 46
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encodeSnapshot is the content of a snapshot file.
func (ps producers) encodeSnapshot() []byte {
	out := make([]byte, snapshotHeader, snapshotHeader+len(ps)*snapshotEntrySize)
	be := binary.BigEndian
	for _, id := range slices.Sorted(maps.Keys(ps)) {
		p := ps[id]
		last := sentBatch{lastSequence: -1, lastOffset: -1, timestamp: p.lastTimestamp}
		if n := len(p.batches); n > 0 {
			last = p.batches[n-1]
		}
		out = be.AppendUint64(out, uint64(id))
		out = be.AppendUint16(out, uint16(p.epoch))
		out = be.AppendUint32(out, uint32(last.lastSequence))
		out = be.AppendUint64(out, uint64(last.lastOffset))
		out = be.AppendUint32(out, uint32(last.offsetDelta))
		out = be.AppendUint64(out, uint64(last.timestamp))
		out = be.AppendUint32(out, uint32(p.coordinatorEpoch))
		out = be.AppendUint64(out, uint64(p.txnFirst))
	}
	be.PutUint16(out, snapshotVersion)
	be.PutUint32(out[6:], uint32(len(ps)))
	be.PutUint32(out[2:], crc32.Checksum(out[6:], castagnoli))
	return out
}

// decodeSnapshot reads a snapshot file.
func decodeSnapshot(data []byte) (producers, error) {
	be := binary.BigEndian
	if len(data) < snapshotHeader {
		return nil, fmt.Errorf("%d bytes are no snapshot", len(data))
	}
	if v := be.Uint16(data); v != snapshotVersion {
		return nil, fmt.Errorf("version %d, want %d", v, snapshotVersion)
	}
	if sum := crc32.Checksum(data[6:], castagnoli); sum != be.Uint32(data[2:]) {
		return nil, fmt.Errorf("checksum %08x, computed %08x", be.Uint32(data[2:]), sum)
	}
	count := int64(be.Uint32(data[6:]))
	data = data[snapshotHeader:]
	if int64(len(data)) != count*snapshotEntrySize {
		return nil, fmt.Errorf("%d entries in %d bytes", count, len(data))
	}
	ps := make(producers, count)
	for ; len(data) > 0; data = data[snapshotEntrySize:] {
		s := sentBatch{
			lastSequence: int32(be.Uint32(data[10:])),
			lastOffset:   record.Offset(be.Uint64(data[14:])),
			offsetDelta:  int32(be.Uint32(data[22:])),
			timestamp:    int64(be.Uint64(data[26:])),
		}
		p := &producer{
			epoch: int16(be.Uint16(data[8:])), lastTimestamp: s.timestamp,
			coordinatorEpoch: int32(be.Uint32(data[34:])), txnFirst: max(record.Offset(be.Uint64(data[38:])), noTxn),
		}
		if s.lastOffset >= 0 {
			s.firstSequence = int32((int64(s.lastSequence) - int64(s.offsetDelta)) & (1<<31 - 1))
			p.batches = append(p.batches, s)
		}
		ps[int64(be.Uint64(data))] = p
	}
	return ps, nil
}
