package mailbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/smtp"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

// catcher runs a whole mail catcher and returns its addresses.
func catcher(t *testing.T, dir string) (smtpAddr, httpURL string, stop func()) {
	t.Helper()
	return catcherWith(t, Config{Dir: dir})
}

func catcherWith(t *testing.T, c Config) (smtpAddr, httpURL string, stop func()) {
	t.Helper()
	store, err := OpenStore(c.Dir, DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	var listeners [2]net.Listener
	for i := range listeners {
		if listeners[i], err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- errors.Join(serve(ctx, c, listeners[0], listeners[1], store, quiet), store.Close()) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	t.Cleanup(stop)
	return listeners[0].Addr().String(), "http://" + listeners[1].Addr().String(), stop
}

func send(t *testing.T, addr, orderID, event string) {
	t.Helper()
	mail := fmt.Sprintf("From: shop@example.com\r\nTo: customer_123@example.com\r\nSubject: =?utf-8?q?=C4=90=C6=A1n_h=C3=A0ng?=\r\n"+
		"Message-Id: <%s.%s@shop>\r\nX-Order-ID: %s\r\nX-Mail-Kind: %s\r\n\r\nHello <b>you</b>\r\n", orderID, event, orderID, event)
	if err := smtp.SendMail(addr, nil, "shop@example.com", []string{"customer_123@example.com"}, []byte(mail)); err != nil {
		t.Fatal(err)
	}
}

func list(t *testing.T, url string) Page {
	t.Helper()
	var p Page
	if err := json.Unmarshal([]byte(get(t, url, http.StatusOK)), &p); err != nil {
		t.Fatal(err)
	}
	return p
}

func get(t *testing.T, url string, status int) string {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != status {
		t.Fatalf("GET %s: %s, %v; want %d", url, res.Status, err, status)
	}
	return string(b)
}

func TestCatcher_KeepsAndShows(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	addr, url, stop := catcher(t, dir)
	send(t, addr, "A", "CONFIRMATION")
	send(t, addr, "B", "CONFIRMATION")
	send(t, addr, "A", "OUTCOME")

	p := list(t, url+"/messages?order_id=A")
	if len(p.Messages) != 2 || p.Next != 0 {
		t.Fatalf("mails of A: %+v", p)
	}
	m := p.Messages[0]
	if m.ID != 1 || m.Subject != "Đơn hàng" || m.MessageID != "<A.CONFIRMATION@shop>" || m.Kind != "CONFIRMATION" ||
		m.From != "shop@example.com" || len(m.To) != 1 || m.To[0] != "customer_123@example.com" || m.Size == 0 {
		t.Fatalf("first mail of A: %+v", m)
	}
	if p := list(t, url+"/messages?limit=2"); len(p.Messages) != 2 || p.Next != 2 {
		t.Fatalf("first page: %+v", p)
	}
	if p := list(t, url+"/messages?limit=2&after=2"); len(p.Messages) != 1 || p.Next != 0 {
		t.Fatalf("second page: %+v", p)
	}
	if p := list(t, url+"/messages?order_id=C"); p.Messages == nil || len(p.Messages) != 0 {
		t.Fatalf("mails of nobody: %+v", p)
	}
	if raw := get(t, url+"/messages/1", http.StatusOK); !strings.Contains(raw, "Hello <b>you</b>") {
		t.Fatalf("raw mail: %q", raw)
	}
	if page := get(t, url+"/", http.StatusOK); !strings.Contains(page, "Đơn hàng") || !strings.Contains(page, "3 kept") {
		t.Fatalf("page: %s", page)
	}
	for path, status := range map[string]int{"/messages?limit=0": 400, "/messages?after=x": 400, "/messages/x": 400, "/messages/9": 404, "/readyz": 200} {
		get(t, url+path, status)
	}

	stop()
	addr, url, _ = catcher(t, dir) // after a restart
	send(t, addr, "A", "AGAIN")
	if p := list(t, url+"/messages?order_id=A"); len(p.Messages) != 3 || p.Messages[2].ID != 4 {
		t.Fatalf("after a restart: %+v", p)
	}
}

func TestCatcher_RefusesWhatIsTooMuch(t *testing.T) {
	t.Parallel()
	addr, url, _ := catcher(t, t.TempDir())
	large := []byte("Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", maxMessageBytes/72+10))
	if err := smtp.SendMail(addr, nil, "a@example.com", []string{"b@example.com"}, large); err == nil || !strings.Contains(err.Error(), "size exceeded") {
		t.Errorf("large mail: %v", err)
	}
	many := make([]string, maxRecipients+1)
	for i := range many {
		many[i] = fmt.Sprintf("c%d@example.com", i)
	}
	if err := smtp.SendMail(addr, nil, "a@example.com", many, []byte("Subject: x\r\n\r\n")); err == nil {
		t.Error("too many recipients were taken")
	}
	long := []byte("Subject: x\r\n\r\n" + strings.Repeat("x", 2*maxLineLength) + "\r\n")
	if err := smtp.SendMail(addr, nil, "a@example.com", []string{"b@example.com"}, long); err == nil {
		t.Error("a line beyond the cap was taken")
	}
	if p := list(t, url+"/messages"); len(p.Messages) != 0 {
		t.Errorf("kept: %+v", p)
	}
	unreadable := []byte("no header at all\r\n")
	if err := smtp.SendMail(addr, nil, "a@example.com", []string{"b@example.com"}, unreadable); err != nil {
		t.Errorf("a mail without headers is kept too: %v", err)
	}
}

func TestCatcher_ManyAtOnce(t *testing.T) {
	t.Parallel()
	addr, url, _ := catcher(t, t.TempDir())
	var wg sync.WaitGroup
	for i := range 2 * maxConnections {
		wg.Go(func() { send(t, addr, fmt.Sprint("order-", i), "X") })
	}
	wg.Wait()
	if p := list(t, url+"/messages?limit=1000"); len(p.Messages) != 2*maxConnections {
		t.Fatalf("%d mails", len(p.Messages))
	}
}

func TestStore_CutsATornTail(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := OpenStore(dir, DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Add(Message{OrderID: "A"}, []byte("text")); err != nil {
			t.Fatal(err)
		}
	}
	size := s.files[0].size
	if err := errors.Join(s.Close(), s.Close(), os.Truncate(filepath.Join(dir, fileName(1)), size-2)); err != nil {
		t.Fatal(err)
	}
	if s, err = OpenStore(dir, DefaultLimits); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if err := s.Add(Message{OrderID: "B"}, []byte("more")); err != nil {
		t.Fatal(err)
	}
	got, _, _ := s.List(Query{Limit: 10})
	if len(got) != 2 || got[0].OrderID != "A" || got[1].OrderID != "B" || got[1].ID != 2 {
		t.Fatalf("got %+v", got)
	}
	if _, data, ok, err := s.Data(2); !ok || err != nil || string(data) != "more" {
		t.Fatalf("data %q %v %v", data, ok, err)
	}
}

func TestStore_DropsTheOldest(t *testing.T) {
	t.Parallel()
	for name, limits := range map[string]Limits{
		"by bytes":    {Bytes: 16 << 10, Messages: 1e6},
		"by messages": {Bytes: 1 << 30, Messages: 40},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s, err := OpenStore(dir, limits)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 500 {
				if err := s.Add(Message{OrderID: fmt.Sprint("order-", i/2)}, []byte("text")); err != nil {
					t.Fatal(err)
				}
			}
			check := func(s *Store) {
				t.Helper()
				if s.bytes > limits.Bytes || s.Count() > limits.Messages || s.Count() < 5 {
					t.Fatalf("%d bytes, %d messages", s.bytes, s.Count())
				}
				newest, _, _ := s.List(Query{Limit: 1, Newest: true})
				if len(newest) != 1 || newest[0].ID != 500 {
					t.Fatalf("newest %+v", newest)
				}
				if of, _, _ := s.List(Query{OrderID: "order-249", Limit: 9}); len(of) != 2 {
					t.Fatalf("mails of the last order: %+v", of)
				}
				if of, _, _ := s.List(Query{OrderID: "order-0", Limit: 9}); len(of) != 0 {
					t.Fatalf("mails of the first order: %+v", of)
				}
				if all, more, _ := s.List(Query{Limit: 1000}); more || len(all) != s.Count() {
					t.Fatalf("%d of %d, more %v", len(all), s.Count(), more)
				}
			}
			check(s)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if s, err = OpenStore(dir, limits); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			check(s)
		})
	}
}

func TestHandler_EscapesWhatMailsSay(t *testing.T) {
	t.Parallel()
	s, err := OpenStore(t.TempDir(), DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if err := s.Add(Message{Subject: "<script>alert(1)</script>", OrderID: "a&b"}, nil); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	NewHandler(Config{}, s, quiet).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if body := w.Body.String(); strings.Contains(body, "<script>") || !strings.Contains(body, "&lt;script&gt;") {
		t.Fatalf("page: %s", body)
	}
}

// A power cut may take the end of one file and leave the next: what is there is
// found under its own id.
func TestStore_GapBetweenFiles(t *testing.T) {
	dir := t.TempDir()
	limits := Limits{Bytes: 1 << 20, Messages: 16} // two messages a file
	s, err := OpenStore(dir, limits)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		if err := s.Add(Message{OrderID: "order-" + strconv.Itoa(i)}, []byte("text")); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, fileName(3)), 0); err != nil {
		t.Fatal(err)
	}
	if s, err = OpenStore(dir, limits); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	list, more, err := s.List(Query{Limit: 10})
	if err != nil || more || len(list) != 4 {
		t.Fatalf("list %v, more %v, error %v", list, more, err)
	}
	for _, m := range list {
		got, _, ok, err := s.Data(m.ID)
		if want := "order-" + strconv.FormatInt(m.ID-1, 10); err != nil || !ok || got.OrderID != want {
			t.Errorf("message %d: %+v, %v, %v; want %s", m.ID, got, ok, err, want)
		}
	}
	if _, _, ok, err := s.Data(3); ok || err != nil {
		t.Errorf("lost message: %v, %v", ok, err)
	}
}
