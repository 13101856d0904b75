package storage

import (
	"errors"
	"fmt"
	"sort"

	"millrace/broker/internal/record"
)

// probeSize is what is read to find a batch from the index entry before it.
const probeSize = 8 << 10

// Read returns whole batches from the one that contains offset from, at most maxBytes of them and
// only such whose records are all below upTo. With minOne the first batch is returned whatever its size.
// At from == EndOffset, or when nothing fits, the span is empty. The caller calls Release on it.
// It returns *OffsetRangeError when from is below StartOffset or above EndOffset.
func (l *Log) Read(from record.Offset, maxBytes int, upTo record.Offset, minOne bool) (Span, error) {
	if err := l.dir.Err(); err != nil {
		return Span{}, err
	}
	l.mu.RLock()
	switch {
	case l.closed:
		l.mu.RUnlock()
		return Span{}, ErrClosed
	case from < l.start || from > l.end:
		err := &OffsetRangeError{Offset: from, Start: l.start, End: l.end}
		l.mu.RUnlock()
		return Span{}, err
	}
	upTo = min(upTo, l.end)
	if from >= upTo {
		l.mu.RUnlock()
		return Span{}, nil
	}
	if span, ok := l.tail.read(from, maxBytes, upTo, minOne); ok {
		l.mu.RUnlock()
		return span, nil
	}
	s, size := l.segmentAt(from)
	l.mu.RUnlock()
	for {
		span, found, err := s.read(from, size, maxBytes, upTo, minOne)
		s.release()
		if err != nil || found {
			return span, err
		}
		// Compaction may have emptied the rest of a segment: the next one has it.
		if s, size = l.segmentAfter(s, from); s == nil {
			return Span{}, nil
		}
	}
}

// segmentAt returns the segment that holds an offset, with a reference, and its size. The caller holds mu.
func (l *Log) segmentAt(o record.Offset) (*segment, int64) {
	i := sort.Search(len(l.segments), func(i int) bool { return l.segments[i].base > o }) - 1
	s := l.segments[max(i, 0)]
	return s.acquire(), s.size
}

// segmentAfter returns the segment after s, with a reference; nil if s is the last. When another has taken the
// place of s meanwhile, it may hold more than s did: then it is the one that holds from.
func (l *Log) segmentAfter(s *segment, from record.Offset) (*segment, int64) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	i := sort.Search(len(l.segments), func(i int) bool { return l.segments[i].base > s.base })
	if i == 0 || l.segments[i-1] != s {
		return l.segmentAt(from)
	}
	if i == len(l.segments) {
		return nil, 0
	}
	return l.segments[i].acquire(), l.segments[i].size
}

// read is Log.Read within one segment of the given size. found is false when no batch of the segment reaches to from.
func (s *segment) read(from record.Offset, size int64, maxBytes int, upTo record.Offset, minOne bool) (span Span, found bool, err error) {
	position, first, err := s.find(from, size)
	if err != nil || first == 0 {
		return Span{}, false, err
	}
	if first > maxBytes && !minOne {
		return Span{}, true, nil
	}
	file, err := s.open()
	if err != nil {
		return Span{}, true, err
	}
	buf := getBuffer(int(min(int64(max(maxBytes, first)), size-position)))
	if err := readFull(file, buf, position); err != nil {
		putBuffer(buf)
		return Span{}, true, fmt.Errorf("read %s: %w", s.path(logSuffix), err)
	}
	n := 0
	for len(buf)-n >= record.HeaderSize {
		b := record.Batch(buf[n:])
		batch := b.Size()
		if b.Magic() != record.Magic || batch < record.HeaderSize {
			putBuffer(buf)
			return Span{}, true, s.corruption(position+int64(n), errors.New("no batch header"))
		}
		if batch > len(buf)-n || b.NextOffset() > upTo {
			break
		}
		n += batch
	}
	if n == 0 {
		putBuffer(buf)
		return Span{}, true, nil
	}
	body := newSpanBody()
	body.buffer, body.size = buf, n
	body.pieces = append(body.pieces, buf[:n:n])
	return Span{body}, true, nil
}

// find returns position and size of the batch that contains an offset, or the first one after it; size 0 when
// the segment has none. An index that points anywhere else than to the batch it names
// is made again from the log.
func (s *segment) find(offset record.Offset, size int64) (position int64, length int, err error) {
	entry, found, err := s.floor(offset)
	if err != nil {
		return 0, 0, err
	}
	if found {
		ok, err := s.pointsRight(entry, size)
		if err != nil {
			return 0, 0, err
		}
		if !ok {
			if entry, err = s.reindex(offset, size); err != nil {
				return 0, 0, err
			}
		}
	}
	return s.findFrom(int64(entry.position), offset, size)
}

// findFrom walks from the start of a batch to the one that contains an offset.
func (s *segment) findFrom(position int64, offset record.Offset, size int64) (int64, int, error) {
	file, err := s.open()
	if err != nil {
		return 0, 0, err
	}
	probe := getBuffer(probeSize)
	defer putBuffer(probe)
	for size-position >= record.HeaderSize {
		part := probe[:min(int64(len(probe)), size-position)]
		if err := readFull(file, part, position); err != nil {
			return 0, 0, fmt.Errorf("read %s: %w", s.path(logSuffix), err)
		}
		at := 0
		for len(part)-at >= record.HeaderSize {
			b := record.Batch(part[at:])
			n := b.Size()
			if b.Magic() != record.Magic || n < record.HeaderSize || int64(n) > size-position-int64(at) {
				return 0, 0, s.corruption(position+int64(at), errors.New("no batch header"))
			}
			if b.NextOffset() > offset {
				return position + int64(at), n, nil
			}
			if at += n; at > len(part) {
				break
			}
		}
		position += int64(at)
	}
	return 0, 0, nil
}

// pointsRight tells whether the batch at an index entry's position is the one it names.
func (s *segment) pointsRight(e offsetEntry, size int64) (bool, error) {
	if int64(e.position)+record.HeaderSize > size {
		return false, nil
	}
	file, err := s.open()
	if err != nil {
		return false, err
	}
	header := getBuffer(record.HeaderSize)
	defer putBuffer(header)
	if err := readFull(file, header, int64(e.position)); err != nil {
		return false, fmt.Errorf("read %s: %w", s.path(logSuffix), err)
	}
	b := record.Batch(header)
	return b.Magic() == record.Magic && b.LastOffset() == s.base+record.Offset(e.offset), nil
}

// Replay calls f with each batch from the one that contains offset from up to the end as it was
// at the call, checksums checked. The batch is f's only until it returns. An error of f ends it.
func (l *Log) Replay(from record.Offset, f func(record.Batch) error) error {
	if err := l.usable(); err != nil {
		return err
	}
	l.mu.RLock()
	if from < l.start || from > l.end {
		err := &OffsetRangeError{Offset: from, Start: l.start, End: l.end}
		l.mu.RUnlock()
		return err
	}
	end := l.end
	l.mu.RUnlock()
	for from < end {
		span, err := l.Read(from, scanBuffer, end, true)
		if err != nil {
			return err
		}
		if span.Len() == 0 {
			return nil
		}
		from, err = eachBatch(span, f)
		span.Release()
		if err != nil {
			return fmt.Errorf("replay %s: %w", l.partition, err)
		}
	}
	return nil
}

// eachBatch calls f for each batch of a span and returns the offset after the last.
func eachBatch(span Span, f func(record.Batch) error) (next record.Offset, err error) {
	for _, piece := range span.b.pieces {
		for len(piece) > 0 {
			var b record.Batch
			if b, piece, err = record.Next(piece); err != nil {
				return 0, err
			}
			if !b.Intact() {
				return 0, fmt.Errorf("%w: %w: checksum at offset %d", ErrCorrupted, record.ErrCorrupt, b.BaseOffset())
			}
			if err := f(b); err != nil {
				return 0, err
			}
			next = b.NextOffset()
		}
	}
	return next, nil
}
