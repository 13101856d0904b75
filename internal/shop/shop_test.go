package shop

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"millrace/internal/datadir"
	"millrace/internal/terminal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPick_TakenPort(t *testing.T) {
	t.Parallel()
	taken, err := holdPort(0)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.release()
	var said string
	p, err := pick("order", taken.number, func(format string, args ...any) { said = format })
	if err != nil {
		t.Fatal(err)
	}
	defer p.release()
	if p.number == taken.number || p.number < firstOtherPort || p.number >= endOtherPort {
		t.Errorf("picked %d", p.number)
	}
	if !strings.Contains(said, "is taken") {
		t.Errorf("said %q", said)
	}
}

func TestPort_HeldUntilReleased(t *testing.T) {
	t.Parallel()
	p, err := holdPort(0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := net.Listen("tcp", p.address()); err == nil {
		t.Fatal("the port is not held")
	}
	if !p.free() {
		t.Error("a held port is free for its part")
	}
	p.release()
	p.release()
	l, err := net.Listen("tcp", p.address())
	if err != nil {
		t.Fatalf("after release: %v", err)
	}
	if p.free() {
		t.Error("somebody listens, yet it is said to be free")
	}
	_ = l.Close()
}

// A port that somebody takes before the part was ever ready is replaced;
// afterwards the address stays.
func TestPart_ReplacesAStolenPortUntilReady(t *testing.T) {
	t.Parallel()
	held, err := holdPort(0)
	if err != nil {
		t.Fatal(err)
	}
	stolen := held.number
	held.release()
	thief, err := net.Listen("tcp", loopback(stolen))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = thief.Close() }()
	p := &part{name: "x", ports: []*port{{number: stolen}}, args: func(p *part) []string { return []string{p.address()} }, env: func(*part) []string { return nil }}
	spec, err := p.spec("exe", func(string, ...any) {})
	if err != nil || spec.Args[0] == loopback(stolen) {
		t.Fatalf("spec %+v, %v", spec, err)
	}
	p.ports[0].number = stolen
	p.markReady()
	if spec, err = p.spec("exe", func(string, ...any) {}); err != nil || spec.Args[0] != loopback(stolen) {
		t.Fatalf("spec of a part that was ready %+v, %v", spec, err)
	}
}

func TestEnviron(t *testing.T) {
	t.Parallel()
	all := []string{"PATH=/bin", "DATABASE_URL=x", "KAFKA_BROKERS=y", "PGPASSWORD=z", "OTEL_EXPORTER_OTLP_ENDPOINT=e", "OTEL_TRACES_SAMPLER=always_on", "HTTP_ADDR=a", "GOGC=5"}
	if got, want := baseEnviron(all, true), []string{"PATH=/bin", "OTEL_TRACES_SAMPLER=always_on"}; !slices.Equal(got, want) {
		t.Errorf("with our broker: %v, want %v", got, want)
	}
	if got := baseEnviron(all, false); !slices.Contains(got, "KAFKA_BROKERS=y") {
		t.Errorf("with the user's brokers: %v", got)
	}
	if got := environ([]string{"A=1"}).with("B=2"); !slices.Equal(got, []string{"A=1", "B=2"}) {
		t.Errorf("with: %v", got)
	}
	if lookup(all, "HTTP_ADDR") != "a" || lookup(all, "HTTP") != "" {
		t.Error("lookup")
	}
}

func TestWrongWayEnviron(t *testing.T) {
	t.Parallel()
	ways := []string{"dual-write", "no-key", "auto-commit"}
	for service, want := range map[string][]string{
		Order:        {"FAULTS_ENABLED=true", "WRONG_WAYS=dual-write,no-key,auto-commit"},
		Inventory:    {"FAULTS_ENABLED=true", "WRONG_WAYS=no-key,auto-commit"},
		Notification: {"FAULTS_ENABLED=true", "WRONG_WAYS=auto-commit"},
	} {
		if got := wrongWayEnviron(service, ways); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", service, got, want)
		}
		if got := wrongWayEnviron(service, nil); got != nil {
			t.Errorf("%s without a wrong way: %v", service, got)
		}
	}
	if got := wrongWayEnviron(Inventory, []string{"inventory:no-key"}); !slices.Equal(got, []string{"FAULTS_ENABLED=true", "WRONG_WAYS=no-key"}) {
		t.Errorf("in this service only: %v", got)
	}
	if got := wrongWayEnviron(Order, []string{"inventory:no-key"}); got != nil {
		t.Errorf("in another service only: %v", got)
	}
	if got := wrongWayEnviron(Notification, ways[:2]); got != nil {
		t.Errorf("of what it does not have: %v", got)
	}
}

func TestProcessors(t *testing.T) {
	t.Parallel()
	for cpus, want := range map[int]string{1: "1", 2: "1", 4: "1", 8: "2", 32: "8"} {
		if got := processors(nil, cpus); got != want {
			t.Errorf("%d processors: GOMAXPROCS=%s, want %s", cpus, got, want)
		}
	}
	if got := processors([]string{"GOMAXPROCS=3"}, 16); got != "3" {
		t.Errorf("asked for 3: GOMAXPROCS=%s", got)
	}
}

func TestConfig_Validate(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]Config{
		"allowed: order, inventory, notification": {Instances: map[string]int{"shop": 1}},
		"allowed: 1 to 16":                        {Instances: map[string]int{"order": 17}},
		"not of the form host:port":               {Brokers: "a:1,b"},
		"did you mean no-key?":                    {WrongWays: []string{"nokey"}},
		"not one of a service: millrace dlq":      {WrongWays: []string{"shared-redrive"}},
		"allowed: order, inventory":               {WrongWays: []string{"notification:no-key"}},
		"order: ":                                 {WrongWays: []string{"auto-commit", "order:unbounded-nack"}},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%+v: %v, want %q", c, err, name)
		}
	}
	if err := (Config{Instances: map[string]int{"inventory": 3}, Brokers: "a:1,b:2", WrongWays: []string{"inventory:no-key", "order:no-key"}}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestMemoryOf_Self(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		return // ps may be missing
	}
	const least, most = 1 << 20, 1 << 30
	if m := memoryOf([]int{os.Getpid()})[os.Getpid()]; m < least || m > most {
		t.Errorf("this process uses %d bytes", m)
	}
}

func TestPostgresState_RoundTrip(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.json")
	s := PostgresState{PID: 1, Server: 2, AdminURL: "postgres://u:secret@127.0.0.1/x"}
	if err := s.Write(path); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; it holds a password", info.Mode(), err)
	}
	if got, err := ReadPostgresState(path); got != s || err != nil {
		t.Errorf("read %+v, %v", got, err)
	}
}

func TestLogFile_IsBounded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, err := openLogFile(dir, "x")
	if err != nil {
		t.Fatal(err)
	}
	line := bytes.Repeat([]byte("x"), 1<<20)
	for range 2*maxLogFile>>20 + 3 {
		l.line(line)
	}
	l.close()
	l.close()
	l.line(line)
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 2 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Size() > maxLogFile+2<<20 {
			t.Errorf("%s: %d bytes, %v", f.Name(), info.Size(), err)
		}
	}
}

// A program that cannot be started: up says which part, why, and leaves nothing.
func TestUp_TellsWhatDidNotStart(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "shop")
	var out bytes.Buffer
	_, err := Up(context.Background(), Config{Data: data, Executable: "/nonexistent/millrace", Out: terminal.Plain(&out), Environ: os.Environ(), Restart: "never"})
	if err == nil || !strings.Contains(err.Error(), "did not start") {
		t.Fatalf("error %v", err)
	}
	if _, err := datadir.ReadShop(data); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("shop.json: %v", err)
	}
	d, err := datadir.Open(data)
	if err != nil {
		t.Fatalf("the folder is still held: %v", err)
	}
	_ = d.Close()
}

func TestUp_StoppedWhileStarting(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := Up(ctx, Config{Data: t.TempDir(), Executable: "/nonexistent/millrace", Out: terminal.Plain(&bytes.Buffer{})})
	if err == nil {
		t.Fatal("up went on though it was told to stop")
	}
}
