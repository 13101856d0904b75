package kraft

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"millrace/broker/internal/record"
	"millrace/broker/internal/vfs"
)

const (
	quorumFile     = "quorum-state" // Kafka's vote and epoch; only it writes one
	logSuffix      = ".log"
	snapshotSuffix = ".checkpoint"
)

// Wrote reports whether Kafka wrote the metadata folder.
func Wrote(fsys vfs.FS, folder string) (bool, error) {
	return vfs.Exists(fsys, filepath.Join(folder, quorumFile))
}

// Load reads the metadata folder: the latest snapshot, and the log after it. A torn
// batch at the end of the last segment was never committed and is left out; any other
// damage is an error that wraps record.ErrCorrupt, record.ErrInvalid or ErrBadRecord.
func Load(fsys vfs.FS, folder string) (State, error) {
	entries, err := fsys.ReadDir(folder)
	if err != nil {
		return State{}, err
	}
	var segments []int64 // base offsets, ascending
	snapshot, from := "", int64(0)
	for _, e := range entries {
		base, ok := baseOf(e)
		switch {
		case !ok:
		case strings.HasSuffix(e.Name(), logSuffix):
			segments = append(segments, base)
		case strings.HasSuffix(e.Name(), snapshotSuffix) && base >= from:
			snapshot, from = e.Name(), base
		}
	}
	slices.Sort(segments)
	s := newReplay()
	if snapshot != "" {
		if err := s.file(fsys, filepath.Join(folder, snapshot), 0, false); err != nil {
			return State{}, err
		}
	}
	if len(segments) > 0 && segments[0] > from {
		return State{}, fmt.Errorf("%w: the log of %s begins at offset %d, and no snapshot reaches it", record.ErrCorrupt, folder, segments[0])
	}
	for i, base := range segments {
		name := filepath.Join(folder, fmt.Sprintf("%020d%s", base, logSuffix))
		if err := s.file(fsys, name, from, i == len(segments)-1); err != nil {
			return State{}, err
		}
	}
	return s.state()
}

// baseOf is the offset in a file's name: that of a segment's first record, or the one
// after a snapshot's last.
func baseOf(e fs.DirEntry) (int64, bool) {
	const digits = 20
	name := e.Name()
	if e.IsDir() || len(name) < digits {
		return 0, false
	}
	base, err := strconv.ParseInt(name[:digits], 10, 64)
	return base, err == nil && base >= 0
}

// file applies the records of a file from an offset on.
func (s *replay) file(fsys vfs.FS, name string, from int64, mayBeTorn bool) error {
	rest, err := vfs.ReadFile(fsys, name)
	if err != nil {
		return err
	}
	for len(rest) > 0 {
		var batch record.Batch
		if batch, rest, err = record.Next(rest); err == nil && !batch.Intact() {
			err = fmt.Errorf("%w: checksum", record.ErrCorrupt)
		}
		if err != nil {
			if mayBeTorn && len(rest) == 0 && errors.Is(err, record.ErrCorrupt) {
				return nil
			}
			return fmt.Errorf("%s: %w", name, err)
		}
		if batch.Control() || int64(batch.LastOffset()) < from {
			continue // elections, voters, a snapshot's header and footer
		}
		for r, err := range batch.Records(record.MaxDecompressed) {
			if err == nil && int64(r.Offset) >= from {
				err = s.add(r.Value)
			}
			if err != nil {
				return fmt.Errorf("%s: batch at offset %d: %w", name, batch.BaseOffset(), err)
			}
		}
	}
	return nil
}
