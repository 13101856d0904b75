package mailbox

import (
	"errors"
	"io"
	"net/http"
	"net/smtp"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"millrace/pkg/fault"
)

// deliver sends a mail about an order and returns the answer's code, 0 when there was none.
func deliver(addr, orderID string) (code int, err error) {
	mail := "From: shop@example.com\r\nTo: c@example.com\r\nSubject: s\r\nX-Order-ID: " + orderID + "\r\n\r\nHello\r\n"
	err = smtp.SendMail(addr, nil, "shop@example.com", []string{"c@example.com"}, []byte(mail))
	var answer *textproto.Error
	switch {
	case err == nil:
		return 250, nil
	case errors.As(err, &answer):
		return answer.Code, err
	default:
		return 0, err
	}
}

func TestFaults_OfAMailServer(t *testing.T) {
	t.Parallel()
	faults := fault.New(fault.Options{}, fault.SMTPPoints()...)
	addr, url, _ := catcherWith(t, Config{Faults: faults})
	for _, c := range []struct {
		rule string
		code int
		kept bool
	}{
		{"smtp.connect=error", 0, false},
		{"smtp.connect=permanent", 554, false},
		{"smtp.before-take=error", 451, false},
		{"smtp.before-take=permanent,match.order_id=o-1", 554, false},
		{"smtp.before-take=permanent,match.order_id=o-2", 250, true},
		{"smtp.before-take=delay,delay=1ms", 250, true},
		{"smtp.after-take=error", 0, true}, // the sender cannot know that the mail is kept
	} {
		rule, err := fault.ParseRule(c.rule)
		if err != nil {
			t.Fatal(err)
		}
		faults.ClearAll()
		if err := faults.Set(rule); err != nil {
			t.Fatal(err)
		}
		before := len(list(t, url+"/messages").Messages)
		if code, err := deliver(addr, "o-1"); code != c.code {
			t.Errorf("%s: answered %d (%v), want %d", c.rule, code, err, c.code)
		}
		if kept := len(list(t, url+"/messages").Messages) > before; kept != c.kept {
			t.Errorf("%s: kept %v, want %v", c.rule, kept, c.kept)
		}
	}
}

// A mail server that hangs does not hang its own end.
func TestFaults_HangEndsWithTheServer(t *testing.T) {
	t.Parallel()
	hanging := make(chan struct{})
	faults := fault.New(fault.Options{Observe: func(fault.Point, fault.Kind) { close(hanging) }}, fault.SMTPPoints()...)
	addr, _, stop := catcherWith(t, Config{Faults: faults})
	if err := faults.Set(fault.Rule{Point: fault.SMTPBeforeTake, Kind: fault.Hang}); err != nil {
		t.Fatal(err)
	}
	answered := make(chan int, 1)
	go func() {
		code, _ := deliver(addr, "o-1")
		answered <- code
	}()
	<-hanging
	stop()
	select {
	case code := <-answered:
		if code == 250 {
			t.Error("a mail that hung was taken")
		}
	case <-time.After(time.Minute):
		t.Error("the client still waits")
	}
}

func TestFaults_AreSetByHTTP(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		config Config
		status int
		says   string
	}{
		{Config{}, http.StatusForbidden, "FAULTS_ENABLED=true"},
		{Config{Faults: fault.New(fault.Options{}, fault.SMTPPoints()...)}, http.StatusOK, "smtp.before-take"},
	} {
		_, url, _ := catcherWith(t, c.config)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url+"/admin/faults/smtp.before-take", strings.NewReader(`{"kind":"error","times":3}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err != nil || answer.StatusCode != c.status || !strings.Contains(string(body), c.says) {
			t.Errorf("%s %s, %v", answer.Status, body, err)
		}
	}
}
