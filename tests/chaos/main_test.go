//go:build unix

package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/orderrun"
	"millrace/internal/shop"
	"millrace/internal/supervise"
	"millrace/internal/terminal"
	"millrace/tests/proctest"
)

var update = flag.Bool("update", false, "write the tables of docs/guarantees.md anew")

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(proctest.RunWithProgram(m, &binary))
}

// patience bounds every wait; only a failing test comes near it.
const patience = 2 * time.Minute

// shortSession has a killed consumer given up as soon as a broker allows by default
// (group.min.session.timeout.ms): most of a cell is this wait.
const shortSession = "CONSUMER_SESSION_TIMEOUT=6s"

// brokersVar names a Kafka that takes the place of the bundled broker.
const brokersVar = "MILLRACE_SHOP_BROKERS"

// aShop is a running shop with fault switches enabled.
type aShop struct {
	*shop.Shop
	t    *testing.T
	data string
	said *record
}

// record keeps what the shop says, for a test that fails.
type record struct {
	mu    sync.Mutex
	bytes bytes.Buffer
}

func (r *record) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bytes.Write(b)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bytes.String()
}

// start runs a shop on a fresh folder. Parts that die run again almost at once,
// however often they do. env are further variables of its parts.
func start(t *testing.T, instances map[string]int, env ...string) *aShop {
	t.Helper()
	dir, err := os.MkdirTemp("", "millrace-chaos-data-") //nolint:usetesting // the folder above t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { // Postgres runs as another user
		t.Fatal(err)
	}
	brokers := os.Getenv(brokersVar)
	if brokers != "" {
		forget(t, brokers)
	}
	s := &aShop{t: t, data: filepath.Join(dir, "shop"), said: &record{}}
	s.Shop, err = shop.Up(t.Context(), shop.Config{
		Data: s.data, Quiet: true, Instances: instances, Brokers: brokers, Faults: true, OtherPorts: true,
		Restart: supervise.OnFailure, Backoff: supervise.Backoff{First: 50 * time.Millisecond, Max: 200 * time.Millisecond, Steady: time.Minute},
		Executable: binary, Invocation: "millrace", Environ: append(environ(), append([]string{shortSession}, env...)...), Out: terminal.Plain(s.said),
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, s.said)
	}
	t.Cleanup(func() {
		s.Down(context.Background(), nil)
		if t.Failed() {
			s.tellLogs()
		}
	})
	return s
}

// environ is a plain environment: what the developer has set must not matter.
func environ() []string {
	var env []string
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		switch {
		case strings.HasPrefix(name, "KAFKA_"), strings.HasPrefix(name, "OTEL_"), strings.HasPrefix(name, "MILLRACE_"),
			strings.HasPrefix(name, "FAULTS"), name == "WRONG_WAYS", name == "DATABASE_URL":
		default:
			env = append(env, kv)
		}
	}
	return env
}

// tellLogs shows what the shop said, and the end of each part's log.
func (s *aShop) tellLogs() {
	const shown = 2500
	said := s.said.String()
	s.t.Logf("the shop said:\n%s", said[max(0, len(said)-4*shown):])
	files, _ := filepath.Glob(filepath.Join(s.data, "logs", "*.log"))
	for _, file := range files {
		if b, err := os.ReadFile(file); err == nil {
			s.t.Logf("%s:\n%s", filepath.Base(file), b[max(0, len(b)-shown):])
		}
	}
}

// orders places n orders, waits until each is dealt with, and judges what is stored.
func (s *aShop) orders(t *testing.T, n int, seed uint64) orderrun.Result {
	t.Helper()
	r, err := orderrun.Run(t.Context(), s.orderrun(n, seed))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// passing lets the orders of a cell pass meanwhile. The channel brings the judgement; it
// is closed without one when there is none, which fails the test.
func (s *aShop) passing(t *testing.T, seed uint64) chan orderrun.Result {
	t.Helper()
	judged := make(chan orderrun.Result, 1)
	go func() {
		defer close(judged)
		r, err := orderrun.Run(t.Context(), s.orderrun(ordersPerCell, seed))
		if err != nil {
			t.Error(err)
			return
		}
		judged <- r
	}()
	return judged
}

func (s *aShop) orderrun(n int, seed uint64) orderrun.Config {
	at := s.Addresses()
	return orderrun.Config{
		Orders: n, Seed: seed,
		OrderURL: at.OrderURL, InventoryURL: at.InventoryURL, MailURL: at.MailURL,
		OrderDatabase: at.Databases[shop.Order], InventoryDatabase: at.Databases[shop.Inventory], MailsDatabase: at.Databases[shop.Notification],
		Kafka: orderrun.Kafka{Brokers: at.Brokers, Options: []kgo.Opt{}}, Progress: func(string, ...any) {},
	}
}

// good fails the test unless every order ended and nothing was lost or done twice.
func good(t *testing.T, r orderrun.Result, n int) {
	t.Helper()
	t.Logf("%+v", r)
	if !r.Good() || r.Orders != n {
		t.Errorf("%d orders, %d lost, %d done twice; want %d, 0, 0\n%s", r.Orders, r.Lost, r.Duplicates, n, strings.Join(r.Findings, "\n"))
	}
}

// millrace runs a command on the shop's folder. It returns the exit code as well: a
// command may have been told to die.
func (s *aShop) millrace(t *testing.T, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, append(args, "--data", s.data)...)
	cmd.Env = append(environ(), env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run() // the exit code tells
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	deadline := time.After(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%s: %v", what, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// call sends a request to a part and decodes its answer.
func call(ctx context.Context, method, url, body string, into any) error {
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, reader)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s %s: %s: %s", method, url, res.Status, b)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(b, into)
}
