package storage

import (
	"math/bits"
	"sync"
)

// Read buffers are pooled by powers of two; larger ones are left to the garbage collector.
const (
	smallestBuffer = 12 // 4 KiB
	largestBuffer  = 21 // 2 MiB
)

var bufferPools [largestBuffer + 1]sync.Pool

// getBuffer returns a buffer of that length.
func getBuffer(size int) []byte {
	class := max(bits.Len(uint(max(size, 1)-1)), smallestBuffer)
	if class > largestBuffer {
		return make([]byte, size)
	}
	if p, _ := bufferPools[class].Get().(*[]byte); p != nil {
		return (*p)[:size]
	}
	return make([]byte, size, 1<<class)
}

// putBuffer takes a buffer back; the caller must not use it any more.
func putBuffer(b []byte) {
	class := bits.Len(uint(cap(b))) - 1
	if cap(b) == 0 || cap(b) != 1<<class || class < smallestBuffer || class > largestBuffer {
		return
	}
	b = b[:0]
	bufferPools[class].Put(&b)
}
