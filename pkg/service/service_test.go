package service_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"millrace/pkg/postgres/postgrestest"
	"millrace/pkg/service"
	"millrace/pkg/service/servicetest"
)

// program is a service with an API that says hello, which needs no broker.
func program(t *testing.T, delay string, intake ...service.Component) service.Program {
	t.Helper()
	c, err := service.FromEnv[config]([]string{"DATABASE_URL=" + postgrestest.NewURL(t), "SHUTDOWN_DELAY=" + delay})
	if err != nil {
		t.Fatal(err)
	}
	return service.Program{Name: "test", Config: c.Config, Build: func(*service.Env) (service.Parts, error) {
		return service.Parts{Intake: intake, API: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "hello")
		})}, nil
	}}
}

func start(t *testing.T, p service.Program) *servicetest.Running {
	t.Helper()
	return servicetest.Start(t, func(ctx context.Context, l net.Listener, logs io.Writer) error {
		p.Config.Listener, p.Config.Logs = l, logs
		return service.Run(ctx, p)
	})
}

// get asks on a connection that the client keeps.
func get(t *testing.T, client *http.Client, url string) (status int, body string, closes bool) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Do(request)
	if err != nil {
		return 0, err.Error(), false
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text), answer.Close
}

// Told to stop, a service says so where it is asked whether it is ready, and still
// answers those who have not heard of it yet.
func TestRun_StillAnswersForAWhileWhenToldToStop(t *testing.T) {
	t.Parallel()
	const delay = 5 * time.Second
	s := start(t, program(t, delay.String()))
	s.Ready()
	kept := &http.Client{Transport: &http.Transport{}}
	defer kept.CloseIdleConnections()
	if status, body, closes := get(t, kept, s.URL+"/x"); status != http.StatusOK || body != "hello" || closes {
		t.Fatalf("%d %s, closes: %t", status, body, closes)
	}
	told := time.Now()
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop() }()
	s.Answers("/readyz", http.StatusServiceUnavailable, "shutting down")
	if status, body, closes := get(t, kept, s.URL+"/x"); status != http.StatusOK || body != "hello" || !closes {
		t.Errorf("on a connection that was kept: %d %s, closes: %t", status, body, closes)
	}
	fresh := &http.Client{Transport: &http.Transport{}}
	if status, body, closes := get(t, fresh, s.URL+"/x"); status != http.StatusOK || body != "hello" || !closes {
		t.Errorf("on a new connection: %d %s, closes: %t", status, body, closes)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if took := time.Since(told); took < delay {
		t.Errorf("stopped after %s", took)
	}
	if status, _, _ := get(t, fresh, s.URL+"/x"); status != 0 {
		t.Errorf("answers %d after the end", status)
	}
}

// An order to stop is no failure, however quickly it is obeyed.
func TestRun_StopsInOrder(t *testing.T) {
	t.Parallel()
	p := program(t, "0s")
	for range 20 {
		s := start(t, p)
		s.Answers("/healthz", http.StatusOK, "ok")
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// A service that has failed has no reason to wait.
func TestRun_AFailureIsNotDelayed(t *testing.T) {
	t.Parallel()
	fail := make(chan struct{})
	p := program(t, "1m", service.Component{Name: "part", Run: func(ctx context.Context) error {
		<-fail
		return errors.New("broken")
	}})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	logs := &servicetest.Logs{}
	p.Config.Listener, p.Config.Logs = l, logs
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { ended <- service.Run(ctx, p) }()
	servicetest.Eventually(t, "it runs", func() bool { return strings.Contains(logs.String(), "started") }, logs.String)
	cancel() // told to stop, and waiting …
	servicetest.Eventually(t, "it waits", func() bool { return strings.Contains(logs.String(), "still answering") }, logs.String)
	close(fail) // … when a part fails
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "part: broken") {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("still waiting: ", logs)
	}
}
