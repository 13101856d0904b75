package record

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
)

// Codec is how the broker compresses, where compression.type is not producer.
type Codec struct {
	Compression Compression
	// Level is how hard the codec works, by its own numbers: gzip -1 and 1 to 9, lz4 1 to 17, zstd any. Snappy has none.
	Level int
}

// slots bounds how many batches are decompressed at once: it is work for a processor, and what comes out may be large.
var slots = make(chan struct{}, runtime.GOMAXPROCS(0))

// decompressing waits for a slot and returns what gives it back.
func decompressing() (done func()) {
	slots <- struct{}{}
	return func() { <-slots }
}

// Recompress returns the batch with its records in another codec, and itself if it has that already. Before that the
// records are walked: whoever takes the batch from the broker gets the broker's word for it. The batch is one that
// Check has passed with the same limits.
func (b Batch) Recompress(to Codec, lim Limits) (Batch, error) {
	if b.Compression() == to.Compression {
		return b, nil
	}
	done := decompressing()
	defer done()
	records, err := decompress(b.Compression(), b.Payload(), MaxDecompressed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUndecodable, err)
	}
	largest, err := b.walk(records, lim)
	if err != nil {
		return nil, err
	}
	header := slices.Clone(b[:HeaderSize:HeaderSize])
	out, err := compress(to, header, records)
	if err != nil {
		return nil, err
	}
	packed := Batch(out)
	binary.BigEndian.PutUint32(packed[lengthAt:], uint32(len(packed)-PrefixSize))
	packed[attributesAt+1] = packed[attributesAt+1]&^compressionMask | byte(to.Compression)
	packed.mend(lim, largest)
	packed.seal()
	return packed, nil
}
