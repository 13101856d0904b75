package collector

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"strconv"
	"strings"

	"millrace/internal/blockfile"
)

const (
	segmentSuffix = ".otlp"
	recordHeader  = 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// segment is one file of the store. The store's mutex guards it.
type segment struct {
	number uint32
	file   blockfile.File
	w      *bufio.Writer
	size   int64 // with what is still buffered
	spans  int
	began  []traceID // traces whose first span is in this segment
}

func segmentName(number uint32) string { return fmt.Sprintf("%08d%s", number, segmentSuffix) }

// segmentNumber reads the number from a file name; ok is false for other files.
func segmentNumber(name string) (number uint32, ok bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	n, err := strconv.ParseUint(digits, 10, 32)
	return uint32(n), ok && err == nil
}

// openSegment opens or makes a segment; recover has to follow.
func openSegment(dir blockfile.Folder, number uint32) (*segment, error) {
	f, err := dir.Open(segmentName(number))
	if err != nil {
		return nil, err
	}
	return &segment{number: number, file: f}, nil
}

// recover hands each whole record to add and cuts off what follows the last.
func (s *segment) recover(maxRecord int, add func(body []byte, offset int64)) error {
	r := bufio.NewReaderSize(io.NewSectionReader(s.file, 0, math.MaxInt64), 64<<10)
	var header [recordHeader]byte
	for {
		if _, err := io.ReadFull(r, header[:]); err != nil {
			break
		}
		length := binary.LittleEndian.Uint32(header[:])
		if int64(length) > int64(maxRecord) {
			break
		}
		body := make([]byte, length)
		if _, err := io.ReadFull(r, body); err != nil {
			break
		}
		if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(header[4:]) {
			break
		}
		add(body, s.size+recordHeader)
		s.size += recordHeader + int64(length)
	}
	s.w = bufio.NewWriterSize(io.NewOffsetWriter(s.file, s.size), 64<<10)
	return s.file.Truncate(s.size)
}

// append writes a record and returns where its body begins.
func (s *segment) append(body []byte) (int64, error) {
	var header [recordHeader]byte
	binary.LittleEndian.PutUint32(header[:], uint32(len(body)))
	binary.LittleEndian.PutUint32(header[4:], crc32.Checksum(body, castagnoli))
	if _, err := s.w.Write(header[:]); err != nil {
		return 0, err
	}
	if _, err := s.w.Write(body); err != nil {
		return 0, err
	}
	offset := s.size + recordHeader
	s.size = offset + int64(len(body))
	return offset, nil
}

func (s *segment) close() error { return errors.Join(s.w.Flush(), s.file.Close()) }
