// Package smtpmail hands mails to a mail server by SMTP (RFC 5321). Connections are
// kept and used again: one per mail that is under way at the same time.
package smtpmail

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"millrace/services/notification"
)

// Headers of every mail, for whoever sorts them.
const (
	HeaderOrderID = "X-Order-Id"
	HeaderKind    = "X-Mail-Kind"
)

// maxIdle bounds the connections that are kept.
const maxIdle = 8

// Config says where mails go and whom they are from.
type Config struct {
	// Addr is the mail server's host:port.
	Addr string `env:"SMTP_ADDR" envDefault:"127.0.0.1:1025"`
	// From is the sender's address.
	From string `env:"SMTP_FROM" envDefault:"shop@example.com"`
	// Timeout limits the connection and each of its answers.
	Timeout time.Duration `env:"SMTP_TIMEOUT" envDefault:"5s"`
	// TLS is none, opportunistic or mandatory (STARTTLS).
	TLS string `env:"SMTP_TLS" envDefault:"none"`
	// Username and Password log in where they are set.
	Username string `env:"SMTP_USERNAME"`
	Password string `env:"SMTP_PASSWORD"`
}

var tlsPolicies = map[string]mail.TLSPolicy{
	"none": mail.NoTLS, "opportunistic": mail.TLSOpportunistic, "mandatory": mail.TLSMandatory,
}

// Validate names the variable that is wrong, its value and what is allowed.
func (c Config) Validate() error {
	if _, err := c.options(); err != nil {
		return err
	}
	m := mail.NewMsg()
	if err := m.From(c.From); err != nil {
		return fmt.Errorf("SMTP_FROM is %q, want an address like shop@example.com", c.From)
	}
	return nil
}

func (c Config) options() ([]mail.Option, error) {
	host, port, err := net.SplitHostPort(c.Addr)
	if err != nil || host == "" {
		return nil, fmt.Errorf("SMTP_ADDR is %q, want host:port", c.Addr)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 {
		return nil, fmt.Errorf("SMTP_ADDR is %q, want a port from 1 to 65535", c.Addr)
	}
	if c.Timeout <= 0 || c.Timeout > time.Minute {
		return nil, fmt.Errorf("SMTP_TIMEOUT is %v, want more than 0s and at most 1m", c.Timeout)
	}
	policy, known := tlsPolicies[c.TLS]
	if !known {
		return nil, fmt.Errorf("SMTP_TLS is %q, want none, opportunistic or mandatory", c.TLS)
	}
	options := []mail.Option{
		mail.WithPort(int(number)), mail.WithTimeout(c.Timeout), mail.WithTLSPolicy(policy),
		mail.WithHELO("localhost"),
		mail.WithoutNoop(), mail.WithoutRset(), // neither is needed after a mail that was taken, and each is a round trip
	}
	if c.Username != "" {
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover),
			mail.WithUsername(c.Username), mail.WithPassword(c.Password))
	}
	return options, nil
}

// Sender is a notification.Sender. It is safe for concurrent use.
type Sender struct {
	config Config
	client *mail.Client
	tracer trace.Tracer
	idle   chan *smtp.Client

	closing sync.Once
}

// New returns a Sender. It does not connect yet.
func New(c Config, provider trace.TracerProvider) (*Sender, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	options, err := c.options()
	if err != nil {
		return nil, err
	}
	host, _, _ := net.SplitHostPort(c.Addr)
	client, err := mail.NewClient(host, options...)
	if err != nil {
		return nil, fmt.Errorf("mail server %s: %w", c.Addr, err)
	}
	return &Sender{
		config: c, client: client,
		tracer: provider.Tracer("millrace/services/notification/smtpmail"),
		idle:   make(chan *smtp.Client, maxIdle),
	}, nil
}

// Send implements notification.Sender.
func (s *Sender) Send(ctx context.Context, m notification.Mail) error {
	ctx, span := s.tracer.Start(ctx, "send mail", trace.WithSpanKind(trace.SpanKindClient))
	defer span.End()
	if span.IsRecording() {
		host, port, _ := net.SplitHostPort(s.config.Addr)
		number, _ := strconv.Atoi(port)
		span.SetAttributes(
			attribute.String("network.protocol.name", "smtp"),
			attribute.String("server.address", host), attribute.Int("server.port", number),
			attribute.String("order.id", m.OrderID),
			attribute.String("mail.kind", string(m.Kind)), attribute.String("mail.message_id", m.MessageID))
	}
	err := s.send(ctx, m)
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	return err
}

func (s *Sender) send(ctx context.Context, m notification.Mail) error {
	message, err := s.message(m)
	if err != nil {
		return fmt.Errorf("%w: %w", notification.ErrRefused, err)
	}
	connection, reused, err := s.connection(ctx)
	if err != nil {
		return fmt.Errorf("connect to mail server %s: %w", s.config.Addr, err)
	}
	err = s.deliver(connection, message)
	if err != nil && reused && message.ServerResponse() == "" && isBroken(err) {
		// The server closed an idle connection: no mail was on it.
		if connection, _, err = s.dial(ctx); err != nil {
			return fmt.Errorf("connect to mail server %s: %w", s.config.Addr, err)
		}
		err = s.deliver(connection, message)
	}
	return err
}

// deliver sends on one connection, and keeps or closes it.
func (s *Sender) deliver(connection *smtp.Client, message *mail.Msg) error {
	if err := connection.UpdateDeadline(s.config.Timeout); err != nil {
		_ = connection.Close()
		return err
	}
	err := s.client.SendWithSMTPClient(connection, message)
	if err == nil {
		s.keep(connection)
		return nil
	}
	_ = connection.Close()
	if message.IsDelivered() {
		return nil // accepted; only the reset for the next mail failed
	}
	if sendErr := (*mail.SendError)(nil); errors.As(err, &sendErr) {
		if code := sendErr.ErrorCode(); code >= 500 && code < 600 {
			return fmt.Errorf("%w: %w", notification.ErrRefused, err)
		}
	}
	return err
}

// isBroken tells whether the connection failed before the server took the command
// that begins a mail.
func isBroken(err error) bool {
	var sendErr *mail.SendError
	return errors.As(err, &sendErr) && sendErr.ErrorCode() == 0 &&
		(sendErr.Reason == mail.ErrConnCheck || sendErr.Reason == mail.ErrSMTPMailFrom)
}

func (s *Sender) connection(ctx context.Context) (connection *smtp.Client, reused bool, err error) {
	select {
	case connection = <-s.idle:
		return connection, true, nil
	default:
		return s.dial(ctx)
	}
}

func (s *Sender) dial(ctx context.Context) (*smtp.Client, bool, error) {
	connection, err := s.client.DialToSMTPClientWithContext(ctx)
	return connection, false, err
}

func (s *Sender) keep(connection *smtp.Client) {
	select {
	case s.idle <- connection:
	default:
		_ = s.client.CloseWithSMTPClient(connection)
	}
}

// Close ends the idle connections. No Send may be under way or follow.
func (s *Sender) Close() {
	s.closing.Do(func() {
		close(s.idle)
		for connection := range s.idle {
			_ = s.client.CloseWithSMTPClient(connection)
		}
	})
}

func (s *Sender) message(m notification.Mail) (*mail.Msg, error) {
	message := mail.NewMsg(mail.WithCharset(mail.CharsetUTF8), mail.WithEncoding(mail.EncodingQP), mail.WithNoDefaultUserAgent())
	if err := message.From(s.config.From); err != nil {
		return nil, err
	}
	if err := message.To(m.Recipient); err != nil {
		return nil, err
	}
	message.Subject(m.Subject)
	message.SetMessageIDWithValue(m.MessageID)
	message.SetDateWithValue(m.Date)
	message.SetGenHeader(HeaderOrderID, m.OrderID)
	message.SetGenHeader(HeaderKind, string(m.Kind))
	message.SetBodyString(mail.TypeTextPlain, m.Text)
	return message, nil
}
