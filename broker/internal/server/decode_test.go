package server

import (
	"encoding/binary"
	"runtime"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/wire"
)

// A request of the largest size that its key allows, made so that decoding
// allocates as much as it can, stays within what is charged to the budget for it.
func TestDecoding_CostsNoMoreThanIsCharged(t *testing.T) {
	caps := wire.Caps{Produce: 100 << 20}
	var worst float64
	for _, a := range Registered() {
		size := 1 << 15
		if a.Key == int16(kmsg.Produce) {
			size = 1 << 18
		}
		for _, v := range slices.Compact([]int16{a.MinVersion, lookup(a.Key).maxOldVersion(), a.MaxVersion}) {
			for _, body := range hostileBodies(a.Key, v, size) {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				req := lookup(a.Key).newRequest()
				req.SetVersion(v)
				_ = req.ReadFrom(body)
				runtime.ReadMemStats(&after)
				got := after.TotalAlloc - before.TotalAlloc
				worst = max(worst, float64(got)/float64(size))
				limit := caps.Cost(a.Key, size)
				if a.Key == int16(kmsg.Produce) {
					limit = 24 << 20 // beside the records themselves, see wire.MaxProducePartitions
				}
				if got > uint64(limit) {
					t.Errorf("%s v%d: %d bytes allocated for a request of %d, %d are charged", kmsg.NameForKey(a.Key), v, got, size, limit)
				}
			}
		}
	}
	t.Logf("at worst %.0f bytes allocated for a byte", worst)
}

// hostileBodies puts the largest credible array length at every place near the
// start of the body, and fills the rest with bytes that make small elements.
func hostileBodies(key, version int16, size int) [][]byte {
	req := kmsg.RequestForKey(key)
	req.SetVersion(version)
	var out [][]byte
	for _, fill := range []byte{0, 1, 2} {
		plain := make([]byte, size)
		for i := range plain {
			plain[i] = fill
		}
		for at := range 16 {
			b := append([]byte(nil), plain...)
			if req.IsFlexible() {
				binary.PutUvarint(b[at:], uint64(size-at-8))
			} else {
				binary.BigEndian.PutUint32(b[at:], uint32(size-at-8))
			}
			out = append(out, b)
		}
	}
	return out
}

// maxOldVersion is the last version before the flexible ones.
func (a *api) maxOldVersion() int16 {
	return max(a.minVersion, min(a.maxVersion, a.flexibleAt-1))
}
