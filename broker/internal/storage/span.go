package storage

// Span is a run of whole batches as they lie in the log, in a few pieces. The bytes
// are shared: nobody may write to them, and they are gone after Release.
type Span struct {
	pieces  [][]byte
	inline  [2][]byte
	size    int
	release func()
}

// Len is the number of bytes.
func (s *Span) Len() int { return s.size }

// AppendTo appends the pieces to dst, to be written out one after the other (net.Buffers).
func (s *Span) AppendTo(dst [][]byte) [][]byte { return append(dst, s.pieces...) }

// Bytes returns all in one slice, copying only if there is more than one piece.
func (s *Span) Bytes() []byte {
	switch len(s.pieces) {
	case 0:
		return nil
	case 1:
		return s.pieces[0]
	}
	out := make([]byte, 0, s.size)
	for _, p := range s.pieces {
		out = append(out, p...)
	}
	return out
}

// Release gives the memory back. It may be called twice, and on the zero Span.
func (s *Span) Release() {
	if s.release != nil {
		s.release()
	}
	*s = Span{}
}
