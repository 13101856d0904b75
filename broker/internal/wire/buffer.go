package wire

import (
	"math/bits"
	"sync"
)

// Size classes are powers of four from 1 KiB to 4 MiB. Larger frames are rare
// and are left to the garbage collector, so that a burst of them is not kept.
const (
	minClassBits = 10
	maxClassBits = 22
	classes      = (maxClassBits-minClassBits)/2 + 1
)

var pools [classes]sync.Pool

// Buffer is a pooled byte slice. B may be resliced by its owner.
type Buffer struct {
	B     []byte
	class int // index into pools, or -1 for one that is not pooled
}

// Get returns a buffer with len(B) == n and undefined contents.
func Get(n int) *Buffer {
	c := classFor(n)
	if c < 0 {
		return &Buffer{B: make([]byte, n), class: -1}
	}
	if b, ok := pools[c].Get().(*Buffer); ok {
		b.B = b.B[:n]
		return b
	}
	return &Buffer{B: make([]byte, n, 1<<(minClassBits+2*c)), class: c}
}

// Release hands the memory back. The buffer and every slice of it must not be
// used afterwards. Release of nil does nothing.
func (b *Buffer) Release() {
	if b == nil || b.class < 0 {
		return
	}
	b.B = b.B[:0]
	pools[b.class].Put(b)
}

// grow returns a buffer of length n that starts with the contents of b, which
// is released when it was too small.
func (b *Buffer) grow(n int) *Buffer {
	if n <= cap(b.B) {
		b.B = b.B[:n]
		return b
	}
	g := Get(n)
	copy(g.B, b.B)
	b.Release()
	return g
}

func classFor(n int) int {
	if n > 1<<maxClassBits {
		return -1
	}
	if n <= 1<<minClassBits {
		return 0
	}
	return (bits.Len(uint(n-1)) - minClassBits + 1) / 2
}
