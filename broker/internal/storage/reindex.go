package storage

import "millrace/broker/internal/record"

// reindex is called when the offset index of a segment led astray. That of a full segment is made
// again, and where to go for offset is looked up in it; that of the active one is left to the next
// recovery, and the search starts at the front.
func (s *segment) reindex(offset record.Offset, size int64) (offsetEntry, error) {
	if !s.sealed.Load() {
		return offsetEntry{}, nil
	}
	if err := s.rebuild(size); err != nil {
		return offsetEntry{}, err
	}
	entry, _, err := s.floor(offset)
	return entry, err
}

// rebuild makes both indexes again from the log. Searches that go on meanwhile find less, not wrong.
func (s *segment) rebuild(size int64) error {
	s.repair.Lock()
	defer s.repair.Unlock()
	fresh := newSegment(s.fs, s.dir, s.base, "")
	fresh.offsets, fresh.times = s.offsets, s.times
	if err := s.offsets.truncate(0); err != nil {
		return err
	}
	if err := s.times.truncate(0); err != nil {
		return err
	}
	interval := DefaultLogConfig().IndexIntervalBytes
	err := s.scan(0, size, func(b record.Batch, position int64) error {
		fresh.note(b, position, interval)
		return nil
	})
	if err != nil {
		return err
	}
	return fresh.seal()
}
