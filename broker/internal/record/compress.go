package record

import (
	"bytes"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// DefaultLevel is the level that a codec has by itself. It is not one of Kafka's numbers for any codec.
const DefaultLevel = 0

// Encoders are pooled by level: what one level has built is of no use to another.
var (
	gzipWriters [gzip.BestCompression + 1]sync.Pool // of *gzip.Writer; 0 is the default level
	zstdWriters [zstd.SpeedBestCompression + 1]sync.Pool
	lz4Writers  = sync.Pool{New: func() any { return lz4.NewWriter(nil) }}
)

// compress appends src to dst in the given codec.
func compress(c Codec, dst, src []byte) ([]byte, error) {
	switch c.Compression {
	case None:
		return append(dst, src...), nil
	case Snappy:
		return append(dst, s2.EncodeSnappy(nil, src)...), nil
	case Zstd:
		return compressZstd(c.Level, dst, src)
	case Gzip:
		return compressGzip(c.Level, dst, src)
	case LZ4:
		return compressLZ4(c.Level, dst, src)
	}
	return nil, fmt.Errorf("%w: %d", ErrUnsupportedCompression, c.Compression)
}

func compressZstd(level int, dst, src []byte) ([]byte, error) {
	speed := zstd.SpeedDefault
	if level != DefaultLevel {
		speed = zstd.EncoderLevelFromZstd(level)
	}
	pool := &zstdWriters[speed]
	w, ok := pool.Get().(*zstd.Encoder)
	if !ok {
		var err error
		if w, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithEncoderLevel(speed)); err != nil {
			return nil, err
		}
	}
	defer pool.Put(w)
	return w.EncodeAll(src, dst), nil
}

func compressGzip(level int, dst, src []byte) ([]byte, error) {
	pool := &gzipWriters[max(level, 0)]
	w, ok := pool.Get().(*gzip.Writer)
	if !ok {
		with := level
		if level <= 0 {
			with = gzip.DefaultCompression
		}
		var err error
		if w, err = gzip.NewWriterLevel(nil, with); err != nil {
			return nil, err
		}
	}
	defer pool.Put(w)
	buf := bytes.NewBuffer(dst)
	w.Reset(buf)
	return written(w, buf, src)
}

// lz4Default is Kafka's default level, at which its library works fast, not hard.
const lz4Default = 9

var lz4Levels = [...]lz4.CompressionLevel{lz4.Level1, lz4.Level2, lz4.Level3, lz4.Level4, lz4.Level5, lz4.Level6, lz4.Level7, lz4.Level8, lz4.Level9}

func compressLZ4(level int, dst, src []byte) ([]byte, error) {
	hard := lz4.Fast
	if level != DefaultLevel && level != lz4Default {
		hard = lz4Levels[min(level, len(lz4Levels))-1]
	}
	w := lz4Writers.Get().(*lz4.Writer)
	defer lz4Writers.Put(w)
	buf := bytes.NewBuffer(dst)
	w.Reset(buf)
	if err := w.Apply(lz4.CompressionLevelOption(hard), lz4.BlockSizeOption(lz4.Block64Kb)); err != nil {
		return nil, err
	}
	return written(w, buf, src)
}

func written(w io.WriteCloser, buf *bytes.Buffer, src []byte) ([]byte, error) {
	if _, err := w.Write(src); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}
