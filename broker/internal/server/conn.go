package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/fault"
	"millrace/broker/internal/quota"
	"millrace/broker/internal/wire"
)

// maxAhead is how many Produce requests of one connection are appended before
// the first is answered. Clients send five ahead by default.
const maxAhead = 16

// deferred is a response that is complete only after finish. Dispatch calls it
// before the response is written, and appends further Produce requests first. An error
// means that the response must not be written, and closes the connection.
type deferred interface {
	finish(s *Server) error
}

// hangUp is returned by a handler that has no other way to tell of an error
// than to close the connection (Produce with acks=0).
type hangUp struct {
	kmsg.Response
	reason string
}

// errDeaf is returned when a client takes none of its answer for the stall time.
var errDeaf = errors.New("client does not take its answer")

// errQuiet ends a connection without a log line.
var errQuiet = errors.New("connection ends")

// conn is one client's connection.
type conn struct {
	server   *Server
	nc       net.Conn
	listener *Listener
	ip       string
	host     string // "/" and ip, as group descriptions show it
	// principal is who has logged in, in Kafka's form.
	principal string
	login     *login // nil: the listener has no SASL
	reader    *wire.Reader
	caps      wire.Caps
	stopped   atomic.Bool

	waiting []answer // handled, not written
	out     net.Buffers
}

// answer is a response on its way out.
type answer struct {
	api           *api
	correlationID int32
	flexible      bool // response header v1
	response      kmsg.Response
	began         time.Time
	request       *Request
}

func newConn(s *Server, nc net.Conn, listener *Listener) *conn {
	ip := nc.RemoteAddr().String()
	if host, _, err := net.SplitHostPort(ip); err == nil {
		ip = host
	}
	if listener.TLS != nil {
		nc = tls.Server(nc, listener.TLS)
	}
	c := &conn{server: s, nc: nc, listener: listener, ip: ip, host: "/" + ip, principal: Anonymous}
	if listener.SASL != nil {
		c.login = &login{conn: c, on: listener.SASL}
	}
	return c
}

// stopReading lets the request in hand finish and then ends the connection.
func (c *conn) stopReading() {
	c.stopped.Store(true)
	_ = c.nc.SetReadDeadline(time.Unix(1, 0))
}

// SetReadDeadline is what wire.Reader calls; once stopped, the past stays set.
func (c *conn) SetReadDeadline(t time.Time) error {
	if c.stopped.Load() {
		return errQuiet
	}
	if err := c.nc.SetReadDeadline(t); err != nil {
		return err
	}
	if c.stopped.Load() { // stopReading came in between
		_ = c.nc.SetReadDeadline(time.Unix(1, 0))
		return errQuiet
	}
	return nil
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.nc.Read(p)
	c.server.metrics.bytesIn.Add(float64(n))
	return n, err
}

// serve handles requests until the connection ends. One log line tells why, if
// it was not the client's own closing.
func (c *conn) serve() {
	s := c.server
	ctx, cancel := context.WithCancel(s.draining)
	defer cancel()
	defer c.nc.Close()
	defer func() {
		if p := recover(); p != nil {
			s.metrics.panics.Inc()
			s.log.Error("request handler failed, closing the connection", "client", c.nc.RemoteAddr().String(), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	cfg := s.cluster.Image().Config
	idle := time.Duration(cfg.ConnectionsMaxIdleMs) * time.Millisecond
	if idle < 0 {
		idle = 100 * 365 * 24 * time.Hour
	}
	if err := c.startTLS(ctx); err != nil {
		if s.draining.Err() == nil {
			s.metrics.closed.Inc()
			s.log.Warn("connection closed", "client", c.nc.RemoteAddr().String(), "listener", c.listener.Name, "reason", err)
		}
		return
	}
	c.caps = wire.Caps{Produce: int(cfg.SocketRequestMaxBytes)}
	c.reader = wire.NewReader(c, c.caps, s.budget, idle, s.stall)
	for {
		err := c.flushUnlessMore()
		if err == nil {
			err = c.next(ctx)
		}
		if err == nil {
			continue
		}
		if flushErr := c.flush(); flushErr != nil {
			err = flushErr
		}
		if !c.quiet(err) {
			s.metrics.closed.Inc()
			s.log.Warn("connection closed", "client", c.nc.RemoteAddr().String(), "listener", c.listener.Name, "reason", err)
		}
		return
	}
}

// quiet tells the ends of a connection that are no news: closed by the client
// between two requests, idle for too long, or closed by our own shutdown.
func (c *conn) quiet(err error) bool {
	if c.stopped.Load() || c.server.draining.Err() != nil || errors.Is(err, errQuiet) {
		return true
	}
	if errors.Is(err, wire.ErrHalfRequest) || errors.Is(err, errDeaf) {
		return false
	}
	var op *net.OpError
	var timeout interface{ Timeout() bool }
	return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.As(err, &op) ||
		errors.As(err, &timeout) && timeout.Timeout()
}

// flushUnlessMore writes what is waiting, unless a further Produce request has
// arrived that can be appended before the disk is waited for.
func (c *conn) flushUnlessMore() error {
	if len(c.waiting) == 0 {
		return nil
	}
	if key, ok := c.reader.Buffered(); ok && key == int16(kmsg.Produce) && len(c.waiting) < maxAhead {
		return nil
	}
	return c.flush()
}

// next reads one request and handles it. Its answer is put into c.waiting.
func (c *conn) next(ctx context.Context) error {
	s := c.server
	if c.login != nil && c.login.raw && c.login.state == proving {
		return c.rawToken(ctx)
	}
	frame, err := c.reader.Next()
	if err != nil {
		return err
	}
	if c.login != nil {
		if err := c.login.gate(frame.Key, frame.Size); err != nil {
			return err
		}
	}
	if key := int16(kmsg.Produce); len(c.waiting) > 0 && frame.Key != key {
		if err := c.flush(); err != nil {
			return err
		}
	}
	a := lookup(frame.Key)
	if a == nil {
		return fmt.Errorf("unknown API key %d (version %d)", frame.Key, frame.Version)
	}
	unsupported := frame.Version < a.minVersion || frame.Version > a.maxVersion
	if unsupported && frame.Key != int16(kmsg.ApiVersions) {
		return fmt.Errorf("%s version %d is not supported, versions %d to %d are", kmsg.NameForKey(frame.Key), frame.Version, a.minVersion, a.maxVersion)
	}
	buffer, cost, err := c.reader.Body(ctx, frame)
	if err != nil {
		return err
	}
	began := time.Now()
	version := frame.Version
	if unsupported {
		version = 0
	}
	header, body, err := wire.ParseHeader(buffer.B, !unsupported && version >= a.flexibleAt)
	if err != nil {
		s.budget.Release(cost)
		buffer.Release()
		return fmt.Errorf("%s version %d: header: %w", kmsg.NameForKey(frame.Key), frame.Version, err)
	}
	r := &Request{Version: version, CorrelationID: header.CorrelationID, ClientID: header.ClientID, ClientHost: c.host, Listener: c.listener, Principal: c.principal, login: c.login, ctx: ctx, key: frame.Key, size: frame.Size, began: began}
	req := a.newRequest()
	req.SetVersion(version)
	if !unsupported {
		if err = req.ReadFrom(body); err != nil {
			s.budget.Release(cost)
			buffer.Release()
			return fmt.Errorf("%s version %d: %w", kmsg.NameForKey(frame.Key), frame.Version, err)
		}
	}
	timed := s.cluster.Image().Limits().Has(quota.RequestTime)
	if timed {
		r.decoded = time.Since(began)
	}
	resident := c.caps.Resident(frame.Key, int(frame.Size))
	s.budget.Release(cost - resident)
	if s.faults != nil {
		err = s.faults.Hit(ctx, fault.RequestBeforeHandle, attrsOf(r)...)
	}
	var response kmsg.Response
	if err != nil {
		response = &hangUp{reason: err.Error()}
	} else if unsupported {
		response = unsupportedAPIVersions()
	} else if response = s.withoutFeature(req); response == nil {
		response = a.handle(s, r, req)
	}
	if timed {
		r.handled = time.Since(began)
	}
	s.budget.Release(resident)
	if frame.Key == int16(kmsg.Produce) {
		buffer.Release() // the others' requests keep slices of it
	}
	if response == nil {
		s.metrics.done(a, began, nil)
		if wait := s.charge(r, nil); wait > 0 {
			return cmp.Or(c.flush(), c.pause(wait))
		}
		return nil
	}
	if h, ok := response.(*hangUp); ok {
		s.metrics.done(a, began, nil)
		return errors.New(h.reason)
	}
	response.SetVersion(version)
	c.waiting = append(c.waiting, answer{
		api: a, correlationID: header.CorrelationID, response: response, began: began, request: r,
		flexible: version >= a.flexibleAt && frame.Key != int16(kmsg.ApiVersions),
	})
	if _, ok := response.(deferred); ok {
		return nil
	}
	if c.login != nil && c.login.failed != nil {
		return cmp.Or(c.flush(), c.login.failed)
	}
	return c.flush()
}

// flush completes the waiting answers and writes them in one go.
func (c *conn) flush() error {
	if len(c.waiting) == 0 {
		return nil
	}
	s := c.server
	c.out = c.out[:0]
	var fetches []*wire.FetchResponse
	var lost error
	var wait time.Duration
	for i := range c.waiting {
		w := &c.waiting[i]
		if d, ok := w.response.(deferred); ok {
			if lost = d.finish(s); lost != nil {
				break
			}
		}
		wait = max(wait, s.charge(w.request, w.response))
		begin := len(c.out)
		head := make([]byte, 4, 128)
		head = wire.AppendResponseHeader(head, w.correlationID, w.flexible)
		if f, ok := w.response.(*wire.FetchResponse); ok {
			fetches = append(fetches, f)
			_, c.out = f.Frame(head, c.out)
			head = c.out[begin]
		} else {
			head = w.response.AppendTo(head)
			c.out = append(c.out, head)
		}
		size := -4
		for _, part := range c.out[begin:] {
			size += len(part)
		}
		binary.BigEndian.PutUint32(head, uint32(size))
		s.metrics.done(w.api, w.began, w.response)
		w.response, w.request = nil, nil
	}
	c.waiting = c.waiting[:0]
	err := c.write(c.out)
	for _, f := range fetches {
		f.Done()
	}
	clear(c.out)
	if err = cmp.Or(lost, err); err == nil && wait > 0 {
		return c.pause(wait)
	}
	return err
}

// write writes all parts. A client that takes nothing for the stall time is given up.
func (c *conn) write(parts net.Buffers) error {
	if c.listener.TLS != nil {
		return c.writeTLS(parts)
	}
	for {
		if err := c.nc.SetWriteDeadline(time.Now().Add(c.server.stall)); err != nil {
			return err
		}
		n, err := parts.WriteTo(c.nc)
		c.server.metrics.bytesOut.Add(float64(n))
		if err == nil {
			return nil
		}
		var timeout interface{ Timeout() bool }
		if errors.As(err, &timeout) && timeout.Timeout() {
			if n > 0 {
				continue
			}
			return fmt.Errorf("%w: %w", errDeaf, err)
		}
		return err
	}
}
