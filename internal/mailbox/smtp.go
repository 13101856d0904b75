package mailbox

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/mail"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"millrace/pkg/fault"
)

// Caps of one SMTP session, beyond which a client is refused.
const (
	maxMessageBytes = 1 << 20
	maxRecipients   = 50
	maxLineLength   = 2000
	maxConnections  = 64
	sessionTimeout  = time.Minute // for one command or its answer
)

// Headers of a mail that tell what it is about.
const (
	headerOrderID = "X-Order-Id"
	headerKind    = "X-Mail-Kind"
)

// newSMTP makes the server. ctx is for faults that wait: it ends when the server has to.
func newSMTP(ctx context.Context, store *Store, faults *fault.Set, log *slog.Logger) *smtp.Server {
	s := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		hit := func(p fault.Point, attrs ...fault.Attr) error { return faults.Hit(ctx, p, attrs...) }
		if err := injected(hit(fault.SMTPConnect), c.Conn()); err != nil {
			return nil, err
		}
		return &session{store: store, log: log, conn: c.Conn(), hit: hit}, nil
	}))
	s.Domain = "localhost"
	s.MaxMessageBytes = maxMessageBytes
	s.MaxRecipients = maxRecipients
	s.MaxLineLength = maxLineLength
	s.ReadTimeout, s.WriteTimeout = sessionTimeout, sessionTimeout
	s.EnableSMTPUTF8 = true
	s.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelDebug) // clients that break off are no news
	return s
}

// session collects one mail after the other of a connection.
type session struct {
	store *Store
	log   *slog.Logger
	conn  net.Conn
	hit   func(fault.Point, ...fault.Attr) error
	from  string
	to    []string
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = append(s.to, to)
	return nil
}

func (s *session) Reset()        { s.from, s.to = "", nil }
func (s *session) Logout() error { return nil }

// errNotKept tells the client to try again later (RFC 5321, 4.2.3).
var errNotKept = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "Mail could not be stored"}

func (s *session) Data(r io.Reader) error {
	data, err := io.ReadAll(r) // capped by MaxMessageBytes
	if err != nil {
		return err
	}
	m := describe(data)
	m.Received, m.From, m.To = time.Now().UTC(), s.from, s.to
	order := fault.Attr{Key: fault.OrderID, Value: m.OrderID}
	if err := injected(s.hit(fault.SMTPBeforeTake, order), nil); err != nil {
		return err
	}
	if err := s.store.Add(m, data); err != nil {
		s.log.Error("mail could not be stored", "error", err)
		return errNotKept
	}
	return injected(s.hit(fault.SMTPAfterTake, order), s.conn)
}

// injected turns an injected error into an answer: 554 when it is permanent, else 451, or
// none at all where there is a connection to close.
func injected(err error, conn net.Conn) error {
	var e *fault.InjectedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e) && e.Permanent():
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 3, 0}, Message: "Refused on purpose"}
	case conn != nil:
		_ = conn.Close()
	}
	return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "Refused on purpose, try again"}
}

// describe reads the headers of a mail. A mail that cannot be parsed is kept too.
func describe(data []byte) Message {
	parsed, err := mail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		return Message{Subject: "(unreadable headers)"}
	}
	h := parsed.Header
	subject := h.Get("Subject")
	if decoded, err := new(mime.WordDecoder).DecodeHeader(subject); err == nil {
		subject = decoded
	}
	return Message{
		Subject: subject, MessageID: h.Get("Message-Id"),
		OrderID: h.Get(headerOrderID), Kind: h.Get(headerKind),
	}
}

// limitListener lets at most a number of connections be open at a time; further
// clients wait in the system's backlog.
type limitListener struct {
	net.Listener
	slots chan struct{}
	done  chan struct{}
	once  sync.Once
}

func limit(l net.Listener, n int) *limitListener {
	return &limitListener{Listener: l, slots: make(chan struct{}, n), done: make(chan struct{})}
}

func (l *limitListener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.done:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &limitedConn{Conn: c, release: sync.OnceFunc(func() { <-l.slots })}, nil
}

func (l *limitListener) Close() error {
	l.once.Do(func() { close(l.done) })
	err := l.Listener.Close()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

type limitedConn struct {
	net.Conn
	release func()
}

func (c *limitedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}
