package storage

import (
	"fmt"
	"slices"
	"sort"
	"strconv"

	"millrace/broker/internal/record"
	"millrace/broker/internal/vfs"
)

// epochs remembers at which offset each leader epoch began (KIP-101), as in the file
// leader-epoch-checkpoint: one line "epoch startOffset" each, both rising.
type epochs []epochStart

type epochStart struct {
	epoch record.Epoch
	start record.Offset
}

func (e epochs) latest() record.Epoch {
	if len(e) == 0 {
		return -1
	}
	return e[len(e)-1].epoch
}

// assign notes that an epoch starts at an offset. Older epochs are left alone; entries that
// start at or after the offset can hold no record and go. The receiver is not changed.
func (e epochs) assign(epoch record.Epoch, start record.Offset) epochs {
	if epoch < 0 || epoch <= e.latest() {
		return e
	}
	return append(e.cutEnd(start), epochStart{epoch, start})
}

// cutEnd drops the epochs that start at or after an offset.
func (e epochs) cutEnd(end record.Offset) epochs {
	n := sort.Search(len(e), func(i int) bool { return e[i].start >= end })
	return slices.Clip(e[:n])
}

// cutStart drops the epochs that end before an offset and moves the one that contains it.
func (e epochs) cutStart(start record.Offset) epochs {
	n := sort.Search(len(e), func(i int) bool { return e[i].start > start })
	if n == 0 {
		return e
	}
	kept := slices.Clone(e[n-1:])
	kept[0].start = start
	return kept
}

// at is the epoch of an offset, -1 if it is before the first.
func (e epochs) at(o record.Offset) record.Epoch {
	n := sort.Search(len(e), func(i int) bool { return e[i].start > o })
	if n == 0 {
		return -1
	}
	return e[n-1].epoch
}

// end is Kafka's LeaderEpochFileCache.endOffsetFor: the largest epoch up to the one asked for and
// the offset at which the next began.
func (e epochs) end(epoch record.Epoch, logEnd record.Offset) (record.Epoch, record.Offset) {
	switch {
	case epoch == -1 || epoch > e.latest():
		return -1, -1
	case epoch == e.latest():
		return epoch, logEnd
	}
	n := sort.Search(len(e), func(i int) bool { return e[i].epoch > epoch })
	if n == 0 {
		return epoch, e[0].start
	}
	return e[n-1].epoch, e[n].start
}

func (e epochs) encode() []byte {
	lines := make([]string, len(e))
	for i, s := range e {
		lines[i] = fmt.Sprintf("%d %d", s.epoch, s.start)
	}
	return encodeCheckpoint(lines)
}

func readEpochs(fsys vfs.FS, path string) (epochs, error) {
	entries, err := readCheckpoint(fsys, path, 2)
	if err != nil {
		return nil, err
	}
	var e epochs
	for i, f := range entries {
		epoch, epochErr := strconv.ParseInt(f[0], 10, 32)
		start, startErr := strconv.ParseInt(f[1], 10, 64)
		rising := i == 0 || (record.Epoch(epoch) > e[i-1].epoch && record.Offset(start) >= e[i-1].start)
		if epochErr != nil || startErr != nil || epoch < 0 || start < 0 || !rising {
			return nil, &CorruptionError{File: path, Err: fmt.Errorf("entry %q %q", f[0], f[1])}
		}
		e = append(e, epochStart{record.Epoch(epoch), record.Offset(start)})
	}
	return e, nil
}
