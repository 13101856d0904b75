//go:build unix

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"millrace/internal/datadir"
	"millrace/internal/orderrun"
	"millrace/tests/proctest"
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) { os.Exit(proctest.RunWithProgram(m, &binary)) }

// patience bounds every wait; only a failing test comes near it.
const patience = 2 * time.Minute

// up is a running `millrace up`.
type up struct {
	t      *testing.T
	data   string
	cmd    *exec.Cmd
	stdout bytes.Buffer // valid after exit
	exited chan struct{}
	err    error // of Wait, after exited

	mu     sync.Mutex // guards what follows
	stderr []string
	news   chan struct{} // closed and replaced at each line
}

// newData makes a data folder that an unprivileged Postgres can reach.
func newData(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "millrace-e2e-data-") //nolint:usetesting // the folder above t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "shop")
}

// startUp runs `millrace up` on a folder. It is ended with the test.
func startUp(t *testing.T, data string, args ...string) *up {
	t.Helper()
	return startUpIn(t, environ(), data, args...)
}

// startUpIn is startUp with an environment.
func startUpIn(t *testing.T, environment []string, data string, args ...string) *up {
	t.Helper()
	u := &up{t: t, data: data, exited: make(chan struct{}), news: make(chan struct{})}
	u.cmd = exec.Command(binary, append([]string{"up", "--data", data}, args...)...)
	u.cmd.Env = environment
	u.cmd.Stdout = &u.stdout
	stderr, err := u.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := u.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		u.collect(stderr)
	}()
	go func() {
		<-read
		u.err = u.cmd.Wait()
		close(u.exited)
	}()
	t.Cleanup(func() {
		u.stop()
		if t.Failed() {
			u.tellLogs()
		}
		assertNothingRuns(t, data)
	})
	return u
}

// environ is a plain environment: what the developer has set must not matter.
func environ() []string {
	var env []string
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		switch {
		case strings.HasPrefix(name, "KAFKA_"), strings.HasPrefix(name, "OTEL_"), strings.HasPrefix(name, "MILLRACE_"), name == "DATABASE_URL":
		default:
			env = append(env, kv)
		}
	}
	return env
}

func (u *up) collect(r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		u.mu.Lock()
		u.stderr = append(u.stderr, lines.Text())
		close(u.news)
		u.news = make(chan struct{})
		u.mu.Unlock()
	}
}

// tellLogs shows what up said, and the end of each part's log.
func (u *up) tellLogs() {
	u.t.Logf("up said:\n%s\n%s", strings.Join(u.stderr, "\n"), u.stdout.String())
	files, _ := filepath.Glob(filepath.Join(u.data, "logs", "*.log"))
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err == nil {
			const shown = 1500
			u.t.Logf("%s:\n%s", filepath.Base(file), b[max(0, len(b)-shown):])
		}
	}
}

// waitReady waits until shop.json tells of the shop that this up runs.
func (u *up) waitReady() datadir.Shop {
	u.t.Helper()
	var shop datadir.Shop
	u.eventually("shop is ready", func() error {
		var err error
		if shop, err = datadir.ReadShop(u.data); err != nil {
			return err
		}
		if shop.PID != u.cmd.Process.Pid {
			return fmt.Errorf("shop.json is of process %d", shop.PID)
		}
		return nil
	})
	return shop
}

// waitExit waits for the end of up and returns its exit code.
func (u *up) waitExit() int {
	u.t.Helper()
	select {
	case <-u.exited:
		return u.cmd.ProcessState.ExitCode()
	case <-time.After(5 * patience):
		u.t.Fatal("up does not end")
		return 0
	}
}

// stop ends up as Ctrl-C does.
func (u *up) stop() {
	_ = u.cmd.Process.Signal(os.Interrupt)
	select {
	case <-u.exited:
	case <-time.After(patience):
		u.t.Error("up does not end after SIGINT")
		_ = u.cmd.Process.Kill()
		<-u.exited
	}
}

// result waits for `--orders N --exit` and reads its last line.
func (u *up) result() orderrun.Result {
	u.t.Helper()
	code := u.waitExit()
	lines := strings.Split(strings.TrimSpace(u.stdout.String()), "\n")
	var r orderrun.Result
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &r); err != nil {
		u.t.Fatalf("last line of stdout %q: %v (exit code %d)", lines[len(lines)-1], err, code)
	}
	if code != 0 {
		u.t.Errorf("exit code %d with %+v", code, r)
	}
	return r
}

// pid is the process of a part, as shop.json has it.
func pid(t *testing.T, data, name string) int {
	t.Helper()
	shop, err := datadir.ReadShop(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range shop.Parts {
		if p.Name == name {
			return p.PID
		}
	}
	t.Fatalf("no part %q in %+v", name, shop.Parts)
	return 0
}

// kill ends a part by SIGKILL and waits until the supervisor has it running again.
func (u *up) kill(name string) {
	u.t.Helper()
	old := pid(u.t, u.data, name)
	if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
		u.t.Fatalf("kill %s: %v", name, err)
	}
	u.eventually(name+" runs again", func() error {
		if now := pid(u.t, u.data, name); now == old || now == 0 {
			return fmt.Errorf("pid is %d, was %d", now, old)
		}
		return nil
	})
}

// eventually waits until a condition holds, but not longer than up runs.
func (u *up) eventually(what string, check func() error) {
	u.t.Helper()
	deadline := time.After(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-u.exited:
			u.t.Fatalf("%s: up has ended with code %d; %v", what, u.cmd.ProcessState.ExitCode(), err)
		case <-deadline:
			u.t.Fatalf("%s: %v", what, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// waitLine waits until up has said a line with the text.
func (u *up) waitLine(text string) {
	u.t.Helper()
	deadline := time.After(patience)
	for {
		u.mu.Lock()
		news := u.news
		for _, line := range u.stderr {
			if strings.Contains(line, text) {
				u.mu.Unlock()
				return
			}
		}
		u.mu.Unlock()
		select {
		case <-news:
		case <-u.exited:
			u.t.Fatalf("up has ended without saying %q", text)
		case <-deadline:
			u.t.Fatalf("up does not say %q", text)
		}
	}
}

// waitNews waits until up says anything more, or has ended.
func (u *up) waitNews() {
	u.t.Helper()
	u.mu.Lock()
	news := u.news
	u.mu.Unlock()
	select {
	case <-news:
	case <-u.exited:
	case <-time.After(patience):
		u.t.Fatal("up has nothing more to say")
	}
}

// millrace runs a command on the same folder and returns its standard output.
func millrace(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = environ()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("millrace %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}

// waitLogged waits until the log file of a part holds a text.
func (u *up) waitLogged(part, text string) {
	u.t.Helper()
	u.eventually(part+" logs "+text, func() error {
		b, err := os.ReadFile(filepath.Join(u.data, "logs", part+".log"))
		if err == nil && !strings.Contains(string(b), text) {
			err = fmt.Errorf("the log has %d bytes without it", len(b))
		}
		return err
	})
}
