package storage

import "millrace/broker/internal/record"

// Span is a run of whole batches as they lie in the log, in a few pieces. The bytes
// are shared: nobody may write to them, and they are gone after Release.
type Span struct{ b *spanBody }

// spanBody holds what a span has borrowed: chunks of the tail cache, or one read buffer.
type spanBody struct {
	pieces [][]byte
	size   int
	chunks []*chunk
	buffer []byte

	// what pieces and chunks begin with, to spare allocations
	pieceArray [2][]byte
	chunkArray [2]*chunk
}

func newSpanBody() *spanBody {
	b := &spanBody{}
	b.pieces, b.chunks = b.pieceArray[:0], b.chunkArray[:0]
	return b
}

// Len is the number of bytes.
func (s Span) Len() int {
	if s.b == nil {
		return 0
	}
	return s.b.size
}

// NextOffset is the offset after the last record; 0 of an empty span.
func (s Span) NextOffset() (next record.Offset) {
	if s.Len() == 0 {
		return 0
	}
	for last := s.b.pieces[len(s.b.pieces)-1]; len(last) > 0; {
		b := record.Batch(last)
		next, last = b.NextOffset(), last[b.Size():]
	}
	return next
}

// AppendTo appends the pieces to dst, to be written out one after the other (net.Buffers).
func (s Span) AppendTo(dst [][]byte) [][]byte {
	if s.b == nil {
		return dst
	}
	return append(dst, s.b.pieces...)
}

// Bytes returns all in one slice, copying only if there is more than one piece.
func (s Span) Bytes() []byte {
	switch {
	case s.b == nil || len(s.b.pieces) == 0:
		return nil
	case len(s.b.pieces) == 1:
		return s.b.pieces[0]
	}
	out := make([]byte, 0, s.b.size)
	for _, p := range s.b.pieces {
		out = append(out, p...)
	}
	return out
}

// Release gives the memory back. It may be called twice, on the zero Span and on copies, but not
// at the same time.
func (s Span) Release() {
	if s.b == nil {
		return
	}
	for _, k := range s.b.chunks {
		k.unref()
	}
	if s.b.buffer != nil {
		putBuffer(s.b.buffer)
	}
	*s.b = spanBody{}
}
