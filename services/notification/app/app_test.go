package app_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"go.uber.org/goleak"

	"millrace/pkg/events"
	"millrace/pkg/messaging"
	"millrace/pkg/postgres/postgrestest"
	"millrace/pkg/service/servicetest"
	"millrace/services/notification/app"
)

func TestMain(m *testing.M) {
	code := postgrestest.Main(m)
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func TestReadmeHasTheSettings(t *testing.T) { servicetest.Readme(t, "../README.md", &app.Config{}) }

func TestFromEnv(t *testing.T) {
	t.Parallel()
	c, err := app.FromEnv([]string{"DATABASE_URL=postgres://u:p@h/d"})
	if err != nil || c.HTTPAddr != "127.0.0.1:8083" || c.SMTP.Addr != "127.0.0.1:1025" {
		t.Errorf("%+v, %v", c, err)
	}
	for _, bad := range []string{"SMTP_ADDR=nowhere", "SMTP_TLS=perhaps", "SMTP_TIMEOUT=9s", "SMTP_TIMEOUT=soon", "SMTP_FROM=nobody", "HTTP_ADDR=x"} {
		name, value, _ := strings.Cut(bad, "=")
		if _, err := app.FromEnv([]string{"DATABASE_URL=postgres://u:p@h/d", bad}); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), value) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// mailServer keeps what it takes.
type mailServer struct {
	mu     sync.Mutex
	mails  []string
	gate   chan struct{} // if not nil, DATA waits for it
	inDATA chan struct{} // and says so here
}

func (s *mailServer) NewSession(*smtp.Conn) (smtp.Session, error) { return s, nil }
func (s *mailServer) Mail(string, *smtp.MailOptions) error        { return nil }
func (s *mailServer) Rcpt(to string, _ *smtp.RcptOptions) error {
	if strings.HasPrefix(to, refusedCustomer+"@") {
		return &smtp.SMTPError{Code: 550, Message: "no such user"}
	}
	return nil
}
func (s *mailServer) Reset()        {}
func (s *mailServer) Logout() error { return nil }
func (s *mailServer) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if s.gate != nil {
		s.inDATA <- struct{}{}
		<-s.gate
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mails = append(s.mails, string(text))
	return err
}

// refusedCustomer gets no mail.
const refusedCustomer = "nobody"

func (s *mailServer) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.mails)
}

// about lists the kinds of the mails about an order.
func (s *mailServer) about(order string) (kinds []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, text := range s.mails {
		if !strings.Contains(text, "X-Order-Id: "+order+"\r\n") {
			continue
		}
		_, rest, _ := strings.Cut(text, "X-Mail-Kind: ")
		kind, _, _ := strings.Cut(rest, "\r\n")
		kinds = append(kinds, kind)
	}
	return kinds
}

func (s *mailServer) start(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := smtp.NewServer(s)
	server.Domain = "localhost"
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return l.Addr().String()
}

func start(t *testing.T, kafka messaging.Config, databaseURL, smtpAddr string) *servicetest.Running {
	t.Helper()
	c, err := app.FromEnv([]string{"DATABASE_URL=" + databaseURL, "SMTP_ADDR=" + smtpAddr})
	if err != nil {
		t.Fatal(err)
	}
	c.Kafka = kafka
	return servicetest.Start(t, func(ctx context.Context, l net.Listener, logs io.Writer) error {
		c.Listener, c.Logs = l, logs
		return app.Run(ctx, c)
	})
}

var items = []events.Item{{ProductID: "kettle", Quantity: 1}}

func created(order string) events.OrderCreated {
	return events.OrderCreated{OrderID: order, CustomerID: "customer_123", Items: items, Total: 5490, Timestamp: time.Now()}
}

func reserved(order string) events.InventoryReserved {
	return events.InventoryReserved{OrderID: order, CustomerID: "customer_123", Items: items, Timestamp: time.Now()}
}

func processed(topic string, n int) string {
	return fmt.Sprintf(`messaging_processed_messages_total{group="notification-service",outcome="ok",topic="%s"} %d`, topic, n)
}

// Both topics are read, and every mail goes out once, whatever comes twice.
func TestRun_MailsBothEventsOnce(t *testing.T) {
	t.Parallel()
	kafka, mails := servicetest.Broker(t), &mailServer{}
	s := start(t, kafka, postgrestest.NewURL(t), mails.start(t))
	s.Ready()
	servicetest.Publish(t, kafka, "m-2", reserved("o-1")) // the outcome may come first
	servicetest.Publish(t, kafka, "m-1", created("o-1"))
	servicetest.Publish(t, kafka, "m-1", created("o-1"))
	servicetest.Publish(t, kafka, "m-3", created("o-1"))
	s.Answers("/metrics", http.StatusOK, processed(events.TopicOrders, 3))
	s.Answers("/metrics", http.StatusOK, processed(events.TopicInventory, 1))
	got := map[string]int{}
	for _, kind := range mails.about("o-1") {
		got[kind]++
	}
	if got["CONFIRMATION"] != 1 || got["OUTCOME"] != 1 || len(got) != 2 {
		t.Errorf("mails %v", got)
	}
	s.Answers("/metrics", http.StatusOK, `millrace_mails_total{kind="CONFIRMATION"} 1`)
}

// The mail server is away for longer than the tries last: nothing is dropped, the
// message waits in the dead letter topic, and the database knows of no mail.
func TestRun_MailServerAwayLeadsToTheDeadLetterTopic(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close() // nobody is there now
	kafka := servicetest.Broker(t)
	s := start(t, kafka, postgrestest.NewURL(t), addr)
	s.Ready()
	servicetest.Publish(t, kafka, "m-1", created("o-1"))
	letter, err := events.DecodeDeadLetter(servicetest.Records(t, kafka, events.TopicOrdersDLQ, 1)[0].Value)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(letter.Error, "connect to mail server") || letter.OriginalTopic != events.TopicOrders {
		t.Errorf("dead letter %+v", letter)
	}
	s.Answers("/metrics", http.StatusOK, `millrace_mails_total{kind="CONFIRMATION"} 0`)
}

// Told to stop while the mail server has the mail in hand, the service waits for its
// answer, marks the mail and acknowledges the message.
func TestRun_FinishesTheMailInHand(t *testing.T) {
	t.Parallel()
	kafka := servicetest.Broker(t)
	mails := &mailServer{gate: make(chan struct{}), inDATA: make(chan struct{}, 10)}
	database, addr := postgrestest.NewURL(t), mails.start(t)
	s := start(t, kafka, database, addr)
	s.Ready()
	servicetest.Publish(t, kafka, "m-1", created("o-1"))
	<-mails.inDATA
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop() }()
	servicetest.Eventually(t, "the service takes no more requests", func() bool {
		status, _ := s.Do(http.MethodGet, "/healthz", "")
		return status == 0
	}, s.Logs.String)
	close(mails.gate)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	next := start(t, kafka, database, addr)
	next.Ready()
	servicetest.Publish(t, kafka, "m-2", created("o-1")) // on the same partition, behind the first
	next.Answers("/metrics", http.StatusOK, processed(events.TopicOrders, 1))
	if kinds := mails.about("o-1"); len(kinds) != 1 {
		t.Errorf("mails %v", kinds)
	}
}
