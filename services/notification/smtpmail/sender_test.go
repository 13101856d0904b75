package smtpmail

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/goleak"

	"millrace/services/notification"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// catcher is a mail server that keeps what it takes. Its answers can be set.
type catcher struct {
	mu       sync.Mutex
	mails    []string
	sessions int
	answer   error // to RCPT; nil takes the mail
}

func (c *catcher) NewSession(*smtp.Conn) (smtp.Session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sessions++
	return &session{c}, nil
}

type session struct{ *catcher }

func (s *session) Mail(string, *smtp.MailOptions) error { return nil }
func (s *session) Rcpt(string, *smtp.RcptOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answer
}
func (s *session) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mails = append(s.mails, string(data))
	return err
}
func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

// serve starts a mail server; stop closes it with all of its connections.
func (c *catcher) serve(t *testing.T, addr string) (actual string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	server := smtp.NewServer(c)
	server.Domain = "localhost"
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	return l.Addr().String(), sync.OnceFunc(func() { _ = server.Close(); <-done })
}

func newSender(t *testing.T, addr string) *Sender {
	t.Helper()
	s, err := New(Config{Addr: addr, From: "shop@example.com", Timeout: 5 * time.Second, TLS: "none"}, noop.NewTracerProvider())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var confirmation = notification.Mail{
	OrderID: "o-1", Kind: notification.Confirmation, Recipient: "customer_123@example.com",
	MessageID: "o-1.confirmation@example.com", Subject: "Đã nhận đơn hàng o-1", Text: "Xin chào\n",
	Date: time.Date(2026, 3, 14, 8, 30, 0, 0, time.UTC),
}

func TestSender_KeepsTheConnection(t *testing.T) {
	c := &catcher{}
	addr, stop := c.serve(t, "127.0.0.1:0")
	s := newSender(t, addr)
	for range 3 {
		if err := s.Send(context.Background(), confirmation); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	stop()
	if len(c.mails) != 3 || c.sessions != 1 {
		t.Errorf("%d mails on %d connections, want 3 on 1", len(c.mails), c.sessions)
	}
	for _, header := range []string{
		"To: <customer_123@example.com>", "From: <shop@example.com>", "Message-ID: <o-1.confirmation@example.com>",
		"X-Order-Id: o-1", "X-Mail-Kind: CONFIRMATION", "Date: Sat, 14 Mar 2026 08:30:00 +0000",
		"=?UTF-8?q?=C4=90=C3=A3_nh", "Content-Type: text/plain; charset=UTF-8",
	} {
		if !strings.Contains(c.mails[0], header) {
			t.Errorf("no %q in\n%s", header, c.mails[0])
		}
	}
}

func TestSender_TellsRefusedFromAway(t *testing.T) {
	c := &catcher{answer: &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such mailbox"}}
	addr, stop := c.serve(t, "127.0.0.1:0")
	s := newSender(t, addr)
	defer s.Close()

	if err := s.Send(context.Background(), confirmation); !errors.Is(err, notification.ErrRefused) {
		t.Errorf("550: %v, want ErrRefused", err)
	}
	c.mu.Lock()
	c.answer = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "try later"}
	c.mu.Unlock()
	if err := s.Send(context.Background(), confirmation); err == nil || errors.Is(err, notification.ErrRefused) {
		t.Errorf("451: %v, want an error that passes", err)
	}
	stop()
	if err := s.Send(context.Background(), confirmation); err == nil || errors.Is(err, notification.ErrRefused) {
		t.Errorf("no server: %v, want an error that passes", err)
	}
}

// The mail server may be restarted between two mails: its end of the kept connection
// is gone, and the next mail goes out all the same, once.
func TestSender_OutlivesARestartOfTheServer(t *testing.T) {
	c := &catcher{}
	addr, stop := c.serve(t, "127.0.0.1:0")
	s := newSender(t, addr)
	if err := s.Send(context.Background(), confirmation); err != nil {
		t.Fatal(err)
	}
	stop()
	_, stop = c.serve(t, addr)
	if err := s.Send(context.Background(), confirmation); err != nil {
		t.Fatal(err)
	}
	s.Close()
	stop()
	if len(c.mails) != 2 {
		t.Errorf("%d mails, want 2", len(c.mails))
	}
}

// No value of a mail can begin a header or a recipient of its own.
func TestSender_NoHeaderInjection(t *testing.T) {
	c := &catcher{}
	addr, stop := c.serve(t, "127.0.0.1:0")
	s := newSender(t, addr)
	m := confirmation
	m.OrderID = "o-1\r\nBcc: everyone@example.com"
	if err := s.Send(context.Background(), m); err != nil {
		t.Fatal(err)
	}
	m = confirmation
	m.Recipient = "a@example.com\r\nRCPT TO:<b@example.com>"
	if err := s.Send(context.Background(), m); !errors.Is(err, notification.ErrRefused) {
		t.Errorf("recipient of two lines: %v, want ErrRefused", err)
	}
	s.Close()
	stop()
	if len(c.mails) != 1 || strings.Contains(c.mails[0], "\nBcc:") {
		t.Errorf("mails: %q", c.mails)
	}
}

func TestConfig_Validate(t *testing.T) {
	good := Config{Addr: "127.0.0.1:1025", From: "shop@example.com", Timeout: time.Second, TLS: "none"}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for variable, change := range map[string]func(*Config){
		"SMTP_ADDR":    func(c *Config) { c.Addr = "nowhere" },
		"SMTP_FROM":    func(c *Config) { c.From = "a\nb" },
		"SMTP_TIMEOUT": func(c *Config) { c.Timeout = -1 },
		"SMTP_TLS":     func(c *Config) { c.TLS = "yes" },
	} {
		bad := good
		change(&bad)
		if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), variable) {
			t.Errorf("bad %s: %v", variable, err)
		}
	}
}
