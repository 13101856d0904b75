package server

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// tlsWrite is how much is handed to TLS at once. It cuts into records of up to 16 KiB; a
// small part would be a record of its own.
const tlsWrite = 64 << 10

var tlsWriters = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, tlsWrite) }}

// writeTLS writes all parts, small ones together. A write that has timed out breaks TLS for good, so
// that one cannot go on as without it: each piece gets the stall time anew instead.
func (c *conn) writeTLS(parts net.Buffers) error {
	w := tlsWriters.Get().(*bufio.Writer)
	w.Reset(tlsPieces{c})
	defer func() {
		w.Reset(nil)
		tlsWriters.Put(w)
	}()
	for _, part := range parts {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return w.Flush()
}

// tlsPieces writes in pieces of at most tlsWrite bytes.
type tlsPieces struct{ *conn }

func (p tlsPieces) Write(b []byte) (written int, err error) {
	for written < len(b) {
		if err := p.nc.SetWriteDeadline(time.Now().Add(p.server.stall)); err != nil {
			return written, err
		}
		n, err := p.nc.Write(b[written:min(written+tlsWrite, len(b))])
		written += n
		p.server.metrics.bytesOut.Add(float64(n))
		var timeout interface{ Timeout() bool }
		if errors.As(err, &timeout) && timeout.Timeout() {
			return written, fmt.Errorf("%w: %w", errDeaf, err)
		}
		if err != nil {
			return written, err
		}
	}
	return written, nil
}
