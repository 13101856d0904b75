package wire

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// Conn is what a Reader needs of a connection.
type Conn interface {
	io.Reader
	SetReadDeadline(time.Time) error
}

// FrameError is returned for a frame that is refused: the connection has to be
// closed, because what follows cannot be told apart from the refused bytes.
type FrameError struct {
	Size   int32
	Key    int16
	Cap    int
	Reason string
}

func (e *FrameError) Error() string {
	return fmt.Sprintf("request frame refused: %s (size %d, key %d, largest allowed %d)", e.Reason, e.Size, e.Key, e.Cap)
}

// ErrHalfRequest is returned when a request began and its rest did not come in time.
var ErrHalfRequest = errors.New("half a request and silence")

// Frame is the announced start of a request.
type Frame struct {
	Size    int32 // bytes that follow the size field
	Key     int16
	Version int16
}

// headBytes is what every request has: size, key, version, correlation id.
const headBytes = 12

// firstStep is how much of a frame is read on trust. Only when that has come is
// the rest of the announced length charged to the budget, and memory doubles
// from there as bytes arrive.
const firstStep = 64 << 10

// Reader reads request frames of one connection. It is not safe for concurrent use.
type Reader struct {
	conn    Conn
	br      *bufio.Reader
	caps    Caps
	budget  *Budget
	idle    time.Duration // silence between requests that is allowed
	stall   time.Duration // silence within a request that is allowed
	idleSet time.Time     // when the idle deadline was set last
	now     func() time.Time
}

// NewReader returns a Reader that enforces caps and charges budget.
func NewReader(conn Conn, caps Caps, budget *Budget, idle, stall time.Duration) *Reader {
	return &Reader{conn: conn, br: bufio.NewReaderSize(conn, 4<<10), caps: caps, budget: budget, idle: idle, stall: stall, now: time.Now}
}

// Buffered reports whether bytes of a further request have arrived, and that
// request's key when enough of it has.
func (r *Reader) Buffered() (key int16, ok bool) {
	if r.br.Buffered() < 8 {
		return 0, false
	}
	head, err := r.br.Peek(8)
	if err != nil {
		return 0, false
	}
	return int16(binary.BigEndian.Uint16(head[4:])), true
}

// Next waits for a request and returns its announced start. It consumes nothing
// but the size field. io.EOF means that the peer closed between two requests.
func (r *Reader) Next() (Frame, error) {
	if r.br.Buffered() == 0 {
		// One deadline a second is exact enough for idleness.
		if now := r.now(); now.Sub(r.idleSet) > time.Second {
			r.idleSet = now
			if err := r.conn.SetReadDeadline(now.Add(r.idle)); err != nil {
				return Frame{}, err
			}
		}
		if _, err := r.br.Peek(1); err != nil {
			return Frame{}, err
		}
	}
	if r.br.Buffered() < headBytes {
		if err := r.stallDeadline(); err != nil {
			return Frame{}, err
		}
	}
	head, err := r.br.Peek(headBytes)
	if err != nil && len(head) < 4 {
		return Frame{}, half(err)
	}
	f := Frame{Size: int32(binary.BigEndian.Uint32(head))}
	if f.Size < headBytes-4 {
		return Frame{}, &FrameError{Size: f.Size, Reason: "shorter than a header"}
	}
	if err != nil {
		return Frame{}, half(err)
	}
	f.Key = int16(binary.BigEndian.Uint16(head[4:]))
	f.Version = int16(binary.BigEndian.Uint16(head[6:]))
	if limit := r.caps.For(f.Key); int64(f.Size) > int64(limit) {
		return Frame{}, &FrameError{Size: f.Size, Key: f.Key, Cap: limit, Reason: "too large"}
	}
	_, err = r.br.Discard(4)
	return f, err
}

// Body reads the frame that Next announced. Its cost stays charged to the
// budget until the caller releases it there.
func (r *Reader) Body(ctx context.Context, f Frame) (b *Buffer, cost int64, err error) {
	size := int(f.Size)
	cost = r.caps.Cost(f.Key, size)
	b = Get(min(size, firstStep))
	if size <= firstStep {
		r.budget.Take(cost)
		if err = r.fill(b.B); err != nil {
			r.budget.Release(cost)
			b.Release()
			return nil, 0, err
		}
		return b, cost, nil
	}
	if err = r.fill(b.B); err != nil {
		b.Release()
		return nil, 0, err
	}
	if err = r.budget.Acquire(ctx, cost); err != nil {
		b.Release()
		return nil, 0, err
	}
	for have := len(b.B); have < size; {
		n := min(size, have*4)
		b = b.grow(n)
		if err = r.fill(b.B[have:]); err != nil {
			r.budget.Release(cost)
			b.Release()
			return nil, 0, err
		}
		have = n
	}
	return b, cost, nil
}

// fill reads exactly p. Each part of it gets the stall time anew, so that a slow
// line is served and a silent one is not.
func (r *Reader) fill(p []byte) error {
	if r.br.Buffered() >= len(p) {
		_, err := io.ReadFull(r.br, p)
		return err
	}
	for len(p) > 0 {
		n := min(len(p), 1<<20)
		if err := r.stallDeadline(); err != nil {
			return err
		}
		if _, err := io.ReadFull(r.br, p[:n]); err != nil {
			return half(err)
		}
		p = p[n:]
	}
	return nil
}

func (r *Reader) stallDeadline() error {
	r.idleSet = time.Time{}
	return r.conn.SetReadDeadline(r.now().Add(r.stall))
}

// half tells a request that broke off from a connection that closed.
func half(err error) error {
	var timeout interface{ Timeout() bool }
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("%w: %w", ErrHalfRequest, err)
	}
	return err
}
