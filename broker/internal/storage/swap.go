package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"millrace/broker/internal/record"
)

// A cleaned segment takes the place of those that it was made of in five steps, each durable before the next (Kafka's
// UnifiedLog.replaceSegments, with a sync of the folder after each):
//
//	1  written under names that end with .cleaned, and synced
//	2  renamed to .swap                              from here on an opening finishes the work
//	3  the earlier segments are renamed to .deleted
//	4  the .log gets its name
//	5  the indexes get theirs
//
// Readers that have one of the earlier segments keep its files open and read on in them.

// swap puts a cleaned segment, whose files are closed, in the place of segments that end at end. The caller holds cleanMu.
func (l *Log) swap(group []segmentView, end record.Offset, cleaned *segment) error {
	fsys := l.dir.fs
	if err := fsys.SyncDir(l.path); err != nil {
		return l.dir.fail(err)
	}
	for _, v := range group {
		if err := v.hold(); err != nil {
			cleaned.discard()
			return err
		}
	}
	path := func(suffix string) string { return filepath.Join(l.path, offsetName(int64(cleaned.base), suffix)) }
	err := l.renameAll(segmentSuffixes, func(suffix string) (from, to string) { return path(suffix) + cleanedSuffix, path(suffix) + swapSuffix })
	for _, v := range group {
		if err == nil {
			err = l.renameFiles(segmentSuffixes, func(suffix string) (from, to string) { return v.path(suffix), v.path(suffix) + deletedSuffix })
		}
	}
	if err == nil {
		err = fsys.SyncDir(l.path)
	}
	if err == nil {
		err = l.finishNames(path)
	}
	if err != nil {
		return l.dir.fail(fmt.Errorf("put the cleaned segment %d of %s in its place: %w", cleaned.base, l.path, err))
	}
	l.replace(group, end, cleaned)
	for _, v := range group {
		v.segment.release() // the log's reference; the view has its own
		for _, suffix := range segmentSuffixes {
			l.dir.removeLater(v.path(suffix)+deletedSuffix, l.config.Load())
		}
	}
	return nil
}

// finishNames is steps 4 and 5.
func (l *Log) finishNames(path func(suffix string) string) error {
	names := func(suffix string) (from, to string) { return path(suffix) + swapSuffix, path(suffix) }
	if err := l.renameAll(segmentSuffixes[:1], names); err != nil {
		return err
	}
	return l.renameAll(segmentSuffixes[1:], names)
}

// renameAll renames those of a segment's files that are there, durably.
func (l *Log) renameAll(suffixes []string, names func(suffix string) (from, to string)) error {
	if err := l.renameFiles(suffixes, names); err != nil {
		return err
	}
	return l.dir.fs.SyncDir(l.path)
}

func (l *Log) renameFiles(suffixes []string, names func(suffix string) (from, to string)) error {
	for _, suffix := range suffixes {
		from, to := names(suffix)
		if err := l.dir.fs.Rename(from, to); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// hold opens all files of a segment, so that those who read it can go on when the names are others'.
func (s *segment) hold() error {
	if _, err := s.open(); err != nil {
		return err
	}
	return errors.Join(s.offsets.hold(), s.times.hold(), s.aborted.hold())
}

// replace lets readers see the cleaned segment, from one moment to the next.
func (l *Log) replace(group []segmentView, end record.Offset, cleaned *segment) {
	s := newSegment(l.dir.fs, l.path, cleaned.base, "")
	s.size, s.largest, s.firstTime, s.lastTime = cleaned.size, cleaned.largest, cleaned.firstTime, cleaned.lastTime
	s.aborted.written = max(cleaned.aborted.written, 0)
	s.sealed.Store(true)
	l.appendMu.Lock()
	defer l.appendMu.Unlock()
	l.dir.cache.dropBelow(l, end)
	l.mu.Lock()
	defer l.mu.Unlock()
	first := slices.Index(l.segments, group[0].segment) // cleanMu keeps it where it was
	after := l.segments[first+len(group):]
	if l.unsynced > len(after) {
		l.unsynced = max(l.unsynced-len(group)+1, len(after)+1)
	}
	l.segments = slices.Concat(l.segments[:first], []*segment{s}, after)
}

// finishSwap is called when a log is opened: it removes what a cleaner had not finished, and finishes what it had
// (Kafka's LogLoader.removeTempFilesAndCollectSwapFiles). Indexes without a log, which may be left, go too.
func (l *Log) finishSwap() error {
	entries, err := l.dir.fs.ReadDir(l.path)
	if err != nil {
		return err
	}
	names := map[string]bool{}
	cleaned := record.Offset(math.MaxInt64)
	var swaps []string // names without the suffix
	for _, e := range entries {
		name := e.Name()
		names[name] = true
		if base, ok := baseOf(name, cleanedSuffix); ok {
			cleaned = min(cleaned, base)
		}
		if _, ok := baseOf(name, swapSuffix); ok {
			swaps = append(swaps, strings.TrimSuffix(name, swapSuffix))
		}
	}
	remove := func(name string) error {
		delete(names, name)
		return l.dir.fs.Remove(filepath.Join(l.path, name))
	}
	changed := false
	for name := range names {
		_, half := baseOf(name, cleanedSuffix)
		base, swap := baseOf(name, swapSuffix)
		if half || swap && base >= cleaned { // not all of it had been renamed
			changed = true
			if err := remove(name); err != nil {
				return err
			}
		}
	}
	swaps = slices.DeleteFunc(swaps, func(name string) bool { return !names[name+swapSuffix] })
	if len(swaps) > 0 {
		changed = true
		if err := l.takeOver(swaps, names, remove); err != nil {
			return err
		}
	}
	for name := range names {
		base, ok := baseOf(name, "")
		if ok && !names[offsetName(int64(base), logSuffix)] {
			changed = true
			if err := remove(name); err != nil {
				return err
			}
		}
	}
	if !changed {
		return nil
	}
	return l.dir.fs.SyncDir(l.path)
}

// takeOver removes what the swap files stand for and gives them their names.
func (l *Log) takeOver(swaps []string, names map[string]bool, remove func(string) error) error {
	from, to := record.Offset(math.MaxInt64), record.Offset(-1)
	for _, name := range swaps {
		base, ok := parseOffset(name, logSuffix)
		if !ok {
			continue
		}
		next, err := l.endOf(base, swapSuffix)
		if err != nil {
			return err
		}
		from, to = min(from, base), max(to, next)
	}
	for name := range names {
		if base, ok := baseOf(name, ""); ok && (base == from || base > from && base < to) && !slices.Contains(swaps, name) {
			if err := remove(name); err != nil {
				return err
			}
		}
	}
	slices.SortFunc(swaps, func(a, b string) int { // the log first: as long as one is there, no index has its name yet
		return strings.Compare(swapOrder(a), swapOrder(b))
	})
	logs := 0
	for _, name := range swaps {
		if strings.HasSuffix(name, logSuffix) {
			logs++
		}
	}
	for i, name := range swaps {
		if i == logs {
			if err := l.dir.fs.SyncDir(l.path); err != nil {
				return err
			}
		}
		path := filepath.Join(l.path, name)
		if err := l.dir.fs.Rename(path+swapSuffix, path); err != nil {
			return err
		}
		delete(names, name+swapSuffix)
		names[name] = true
	}
	l.dir.warn("finished putting a cleaned segment in its place", "log", l.partition.String(), "files", len(swaps))
	return nil
}

func swapOrder(name string) string {
	if strings.HasSuffix(name, logSuffix) {
		return "0" + name
	}
	return "1" + name
}

// baseOf reads the first offset from the name of a segment's file with an ending.
func baseOf(name, ending string) (record.Offset, bool) {
	name, ok := strings.CutSuffix(name, ending)
	if !ok {
		return 0, false
	}
	for _, suffix := range segmentSuffixes {
		if base, ok := parseOffset(name, suffix); ok {
			return base, true
		}
	}
	return 0, false
}

// endOf is the offset after the last record of a segment whose names have an ending.
func (l *Log) endOf(base record.Offset, ending string) (record.Offset, error) {
	s := newSegment(l.dir.fs, l.path, base, ending)
	defer s.release()
	f, err := s.open()
	if err != nil {
		return 0, err
	}
	size, err := f.Size()
	if err != nil {
		return 0, err
	}
	next := base
	err = s.scan(0, size, func(b record.Batch, _ int64) error {
		next = b.NextOffset()
		return nil
	})
	return next, err
}
