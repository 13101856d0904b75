package storage

import (
	"errors"
	"fmt"
	"io"

	"millrace/broker/internal/record"
)

// scanBuffer is how much of a segment is read at once by scans.
const scanBuffer = 256 << 10

// scan calls f for each batch in [from, to) of the segment with its position. Headers are checked, checksums
// are f's business. The batch is only valid until f returns. It returns *CorruptionError at bytes that
// are no batch.
func (s *segment) scan(from, to int64, f func(b record.Batch, position int64) error) error {
	file, err := s.open()
	if err != nil {
		return err
	}
	buf := getBuffer(int(min(scanBuffer, to-from)))
	defer func() { putBuffer(buf) }()
	for from < to {
		chunk := buf[:min(int64(len(buf)), to-from)]
		if err := readFull(file, chunk, from); err != nil {
			return fmt.Errorf("read %s: %w", s.path(logSuffix), err)
		}
		used, size := 0, 0
		for used < len(chunk) {
			b := record.Batch(chunk[used:])
			if len(b) < record.HeaderSize {
				break
			}
			size = b.Size()
			if b.Magic() != record.Magic || size < record.HeaderSize {
				return s.corruption(from+int64(used), errors.New("no batch header"))
			}
			if size > len(b) {
				break
			}
			if err := f(b[:size:size], from+int64(used)); err != nil {
				return err
			}
			used, size = used+size, 0
		}
		from += int64(used)
		rest := to - from
		switch {
		case used > 0 || rest == 0:
		case int64(size) > rest || rest < record.HeaderSize:
			return s.corruption(from, fmt.Errorf("a batch of %d bytes in the %d that are left", size, rest))
		default: // one batch larger than the buffer
			putBuffer(buf)
			buf = getBuffer(max(size, record.HeaderSize))
		}
	}
	return nil
}

func (s *segment) corruption(position int64, err error) error {
	return &CorruptionError{File: s.path(logSuffix), Position: position, Err: err}
}

// readFull reads all of p at off.
func readFull(f io.ReaderAt, p []byte, off int64) error {
	n, err := f.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
