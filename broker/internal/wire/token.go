package wire

import (
	"encoding/binary"
	"io"
)

// Token reads a frame that is no request: four bytes of length and a token of at most
// limit bytes, as SASL sends after SaslHandshake version 0 (KIP-43). io.EOF means that
// the peer closed before it.
func (r *Reader) Token(limit int32) ([]byte, error) {
	if err := r.stallDeadline(); err != nil {
		return nil, err
	}
	var head [4]byte
	if _, err := io.ReadFull(r.br, head[:]); err != nil {
		return nil, half(err)
	}
	size := int32(binary.BigEndian.Uint32(head[:]))
	if size < 0 || size > limit {
		return nil, &FrameError{Size: size, Cap: int(limit), Reason: "SASL token of a bad size"}
	}
	token := make([]byte, min(int(size), firstStep))
	for have := 0; ; {
		if err := r.fill(token[have:]); err != nil {
			return nil, err
		}
		if have = len(token); have == int(size) {
			return token, nil
		}
		grown := make([]byte, min(int(size), 2*have)) // no more memory than has come
		copy(grown, token)
		token = grown
	}
}
