package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Codecs are big; they are pooled, so that a burst of compressed batches builds only a few.
var (
	gzipReaders = sync.Pool{New: func() any { return new(gzip.Reader) }}
	lz4Readers  = sync.Pool{New: func() any { return lz4.NewReader(nil) }}
	// One goroutine, no read ahead: a decoder works in its caller, and pooled ones hold no goroutine.
	zstdReaders = sync.Pool{New: func() any {
		r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20))
		if err != nil {
			panic(err) // the options above are constants
		}
		return r
	}}
)

// xerial is the framing of snappy-java, which Java clients use inside Kafka: magic, version
// and compatible version, then blocks of 4-byte length and raw snappy.
var xerial = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const xerialHeader = 16

var errOutput = errors.New("decompressed size exceeds the limit")

// decompress returns the records of a batch, at most limit bytes of them. The result
// is src itself when there is no compression.
func decompress(c Compression, src []byte, limit int) ([]byte, error) {
	var out []byte
	var err error
	switch c {
	case None:
		return src, nil
	case Gzip:
		r := gzipReaders.Get().(*gzip.Reader)
		defer gzipReaders.Put(r)
		if err = r.Reset(bytes.NewReader(src)); err == nil {
			out, err = readLimited(r, len(src), limit)
		}
	case Snappy:
		out, err = unsnappy(src, limit)
	case LZ4:
		r := lz4Readers.Get().(*lz4.Reader)
		defer lz4Readers.Put(r)
		r.Reset(bytes.NewReader(src))
		out, err = readLimited(r, len(src), limit)
	case Zstd:
		r := zstdReaders.Get().(*zstd.Decoder)
		defer zstdReaders.Put(r)
		if err = r.Reset(bytes.NewReader(src)); err == nil {
			out, err = readLimited(r, len(src), limit)
		}
		_ = r.Reset(nil) // let go of src
	default:
		return nil, fmt.Errorf("%w: %d", ErrUnsupportedCompression, c)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrCorrupt, c, err)
	}
	return out, nil
}

// readLimited reads all of r, and fails instead of returning more than limit bytes.
func readLimited(r io.Reader, compressed, limit int) ([]byte, error) {
	buf := bytes.NewBuffer(make([]byte, 0, min(4*compressed+bytes.MinRead, limit+bytes.MinRead)))
	if _, err := buf.ReadFrom(io.LimitReader(r, int64(limit)+1)); err != nil {
		return nil, err
	}
	if buf.Len() > limit {
		return nil, errOutput
	}
	return buf.Bytes(), nil
}

// unsnappy decodes a raw block or xerial's frames.
func unsnappy(src []byte, limit int) ([]byte, error) {
	if !bytes.HasPrefix(src, xerial) {
		return unsnappyBlock(nil, src, limit)
	}
	if len(src) < xerialHeader {
		return nil, io.ErrUnexpectedEOF
	}
	var out []byte
	for src = src[xerialHeader:]; len(src) > 0; {
		if len(src) < 4 {
			return nil, io.ErrUnexpectedEOF
		}
		size := int(binary.BigEndian.Uint32(src))
		if src = src[4:]; size > len(src) {
			return nil, io.ErrUnexpectedEOF
		}
		var err error
		if out, err = unsnappyBlock(out, src[:size], limit); err != nil {
			return nil, err
		}
		src = src[size:]
	}
	return out, nil
}

// unsnappyBlock appends the decoded block to out.
func unsnappyBlock(out, block []byte, limit int) ([]byte, error) {
	size, err := snappy.DecodedLen(block)
	if err != nil {
		return nil, err
	}
	// Snappy's densest element makes 64 bytes out of 3: a longer claim is a lie, and is not allocated for.
	if size > limit-len(out) || size > 32*len(block)+64 {
		return nil, errOutput
	}
	decoded, err := snappy.Decode(nil, block)
	if err != nil {
		return nil, err
	}
	if out == nil {
		return decoded, nil
	}
	return append(out, decoded...), nil
}
