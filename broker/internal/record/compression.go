package record

import "fmt"

// Compression is the codec of a batch's records.
type Compression int8

// The codecs of Kafka, by their number in the attributes.
const (
	None Compression = iota
	Gzip
	Snappy
	LZ4
	Zstd
)

// String is the name that Kafka's settings use.
func (c Compression) String() string {
	switch c {
	case None:
		return "none"
	case Gzip:
		return "gzip"
	case Snappy:
		return "snappy"
	case LZ4:
		return "lz4"
	case Zstd:
		return "zstd"
	}
	return fmt.Sprintf("compression(%d)", int8(c))
}

// ParseCompression is the codec of that name; None, which Kafka's settings call uncompressed too, if there is none.
func ParseCompression(name string) Compression {
	for c := Gzip; c <= Zstd; c++ {
		if c.String() == name {
			return c
		}
	}
	return None
}
