package storage

import (
	"errors"
	"fmt"
	"math/bits"

	"millrace/broker/internal/record"
	"millrace/broker/internal/vfs"
)

// What recovery finds behind the last good batch is one of two things.
//
// A torn tail was never acknowledged: the file ends inside a batch, or pages that the power took away read
// as zeros. It may be cut, even when later pages were written back in time and hold intact batches:
// nothing of it had been synced, or the pages before would be there.
//
// Anything else is corruption of bytes that may have been acknowledged: it is reported and nothing
// is cut. One flipped bit is always recognised: CRC-32C is linear, so the difference between
// stored and computed checksum names the only bit that can have caused it.

const (
	diskPage     = 4096
	zeroRun      = 512 // zeros up to the end of a page that count as a lost page
	maxDiagnosis = 128 << 20
	searchBuffer = 1 << 20
)

// diagnose looks at the bad bytes from position on, where a batch with offset expected should
// begin. It returns nil when they are a torn tail, else why they are not.
func (s *segment) diagnose(position, size int64, expected record.Offset) (corrupted error, err error) {
	file, err := s.open()
	if err != nil {
		return nil, err
	}
	intact, found, err := nextIntact(file, position+1, size, expected)
	if err != nil {
		return nil, err
	}
	ends := []int64{size}
	if found {
		ends[0] = intact
	}
	var header [record.HeaderSize]byte
	if size-position >= record.HeaderSize {
		if err := readFull(file, header[:], position); err != nil {
			return nil, err
		}
		if n := int64(record.Batch(header[:]).Size()); n >= record.HeaderSize && position+n <= size {
			ends = append(ends, position+n)
		}
	}
	for _, end := range ends {
		if end-position < record.HeaderSize || end-position > maxDiagnosis {
			continue
		}
		batch := make(record.Batch, end-position)
		if err := readFull(file, batch, position); err != nil {
			return nil, err
		}
		if oneBitWrong(batch, expected) {
			return errors.New("one flipped bit in a batch that is otherwise whole"), nil
		}
	}
	if !found {
		return nil, nil
	}
	lost, err := pageLost(file, position, intact, expected)
	if err != nil || lost {
		return nil, err
	}
	return fmt.Errorf("no batch for offset %d, but an intact one at position %d", expected, intact), nil
}

// nextIntact searches for a batch with a good checksum and a later offset.
func nextIntact(file vfs.File, from, size int64, expected record.Offset) (int64, bool, error) {
	buf := getBuffer(searchBuffer)
	defer putBuffer(buf)
	for size-from >= record.HeaderSize {
		part := buf[:min(int64(len(buf)), size-from)]
		if err := readFull(file, part, from); err != nil {
			return 0, false, err
		}
		last := len(part) - record.HeaderSize
		for at := 0; at <= last; at++ {
			b := record.Batch(part[at:])
			n := int64(b.Size())
			if b.Magic() != record.Magic || n < record.HeaderSize || n > size-from-int64(at) || n > maxDiagnosis ||
				b.BaseOffset() < expected || b.BaseOffset()-expected > 1<<31 {
				continue
			}
			whole := make(record.Batch, n)
			if err := readFull(file, whole, from+int64(at)); err != nil {
				return 0, false, err
			}
			if whole.Intact() {
				return from + int64(at), true, nil
			}
		}
		from += int64(last) + 1
	}
	return 0, false, nil
}

// oneBitWrong tells whether flipping one bit makes the bytes a good batch at offset expected.
func oneBitWrong(b record.Batch, expected record.Offset) bool {
	size := uint32(len(b) - record.PrefixSize)
	prefix := bits.OnesCount64(uint64(b.BaseOffset()^expected)) +
		bits.OnesCount32(uint32(b.Size()-record.PrefixSize)^size) +
		bits.OnesCount8(uint8(b.Magic())^record.Magic)
	syndrome := b.CRC() ^ b.Checksum()
	switch {
	case syndrome == 0:
		return prefix == 1
	case prefix != 0:
		return false
	case bits.OnesCount32(syndrome) == 1: // in the checksum itself
		return true
	}
	var effect [8]uint32 // on the checksum, of each bit of the byte that is looked at
	for bit := range effect {
		effect[bit] = castagnoli[1<<bit]
	}
	for i := len(b) - 1; i >= record.CheckedFrom; i-- {
		for bit, e := range effect {
			if e == syndrome {
				return true
			}
			effect[bit] = castagnoli[e&0xff] ^ e>>8
		}
	}
	return false
}

// pageLost tells whether some page between the good batches and the intact one reads as zeros from where the
// bad batch begins, or from somewhere in it, up to the page's end.
func pageLost(file vfs.File, position, intact int64, expected record.Offset) (bool, error) {
	var page [diskPage]byte
	// The intact batch may begin on the lost page with the zeros that its offset begins with anyway.
	for end := (position/diskPage + 1) * diskPage; end < intact+8; end += diskPage {
		start := max(position, end-diskPage)
		part := page[:end-start]
		if err := readFull(file, part, start); err != nil {
			return false, err
		}
		zeros := 0
		for zeros < len(part) && part[len(part)-1-zeros] == 0 {
			zeros++
		}
		switch {
		case zeros >= zeroRun:
			return true, nil
		case zeros < len(part):
		case len(part) >= record.PrefixSize: // a length of 0: no bit flip does that
			return true, nil
		case uint64(expected)>>(8*max(0, 8-len(part))) != 0: // zeros where the offset has none
			return true, nil
		}
	}
	return false, nil
}
