package storage

import (
	"fmt"
	"iter"

	"millrace/broker/internal/record"
)

// What follows lets tools look into single files of a log.

// SegmentBase reads a segment's first offset, or that of a snapshot, from the name of its file.
func SegmentBase(name, suffix string) (record.Offset, error) {
	o, ok := parseOffset(name, suffix)
	if !ok {
		return 0, fmt.Errorf("%q is not an offset in %d digits and %s", name, offsetDigitsInName, suffix)
	}
	return o, nil
}

// IndexEntry is an entry of an offset index (Position) or of a time index (Timestamp).
type IndexEntry struct {
	Offset    record.Offset
	Position  int64
	Timestamp int64
}

// OffsetIndex yields the entries of a .index file.
func OffsetIndex(data []byte, base record.Offset) iter.Seq[IndexEntry] {
	return func(yield func(IndexEntry) bool) {
		for ; len(data) >= offsetEntrySize; data = data[offsetEntrySize:] {
			e := decodeOffsetEntry(data)
			if !yield(IndexEntry{Offset: base + record.Offset(e.offset), Position: int64(e.position)}) {
				return
			}
		}
	}
}

// TimeIndex yields the entries of a .timeindex file.
func TimeIndex(data []byte, base record.Offset) iter.Seq[IndexEntry] {
	return func(yield func(IndexEntry) bool) {
		for ; len(data) >= timeEntrySize; data = data[timeEntrySize:] {
			e := decodeTimeEntry(data)
			if !yield(IndexEntry{Offset: base + record.Offset(e.offset), Timestamp: e.timestamp}) {
				return
			}
		}
	}
}

// AbortedIndex yields the entries of a .txnindex file.
func AbortedIndex(data []byte) iter.Seq[AbortedTxn] {
	return func(yield func(AbortedTxn) bool) {
		for ; len(data) >= abortedEntrySize; data = data[abortedEntrySize:] {
			if !yield(decodeAborted(data)) {
				return
			}
		}
	}
}

// Snapshot decodes a .snapshot file.
func Snapshot(data []byte) ([]ProducerState, error) {
	ps, err := decodeSnapshot(data)
	if err != nil {
		return nil, err
	}
	return ps.list(), nil
}
