//go:build unix

package scenarios

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/internal/datadir"
	"millrace/internal/scenario"
	"millrace/internal/scenario/course"
	"millrace/tests/proctest"
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) { os.Exit(proctest.RunWithProgram(m, &binary)) }

// patience bounds one play; only a failing test comes near it.
const patience = 4 * time.Minute

// place is an empty folder for everything that a play keeps, reachable for an
// unprivileged Postgres. Afterwards it must be empty again, and nothing run on it.
func place(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "millrace-play-") //nolint:usetesting // the folder above t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		proctest.AssertNothingRuns(t, dir)
		left, err := os.ReadDir(dir)
		if err != nil || len(left) > 0 {
			t.Errorf("left behind in %s: %v, %v", dir, left, err)
		}
		_ = os.RemoveAll(dir)
	})
	return dir
}

// command is the program with a plain environment: what the developer has set must
// not matter. No shop runs in its folder.
func command(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, binary, append(args, "--data", filepath.Join(dir, "none"))...)
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		switch {
		case strings.HasPrefix(name, "KAFKA_"), strings.HasPrefix(name, "OTEL_"), strings.HasPrefix(name, "MILLRACE_"), strings.HasPrefix(name, "LC_"),
			name == "LANG", name == "DATABASE_URL", name == "TMPDIR":
		default:
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, "TMPDIR="+dir)
	return cmd
}

// play runs a scenario to its end and checks everything that is the same for all.
func play(t *testing.T, s scenario.Scenario, lang scenario.Lang) {
	t.Helper()
	dir := place(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := command(ctx, dir, "scenario", "run", s.Name, "--json", "--lang", string(lang))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	lines := strings.Split(strings.TrimSpace(stdout.String()), "\n")
	var o struct {
		Scenario string          `json:"scenario"`
		Verdict  string          `json:"verdict"`
		Seconds  float64         `json:"seconds"`
		Checks   map[string]bool `json:"checks"`
		Evidence json.RawMessage `json:"evidence"`
	}
	if jsonErr := json.Unmarshal([]byte(lines[len(lines)-1]), &o); jsonErr != nil {
		t.Fatalf("last line of stdout %q: %v (%v)\n%s", lines[len(lines)-1], jsonErr, err, stderr.String())
	}
	t.Logf("%s", lines[len(lines)-1])
	if err != nil || o.Scenario != s.Name || o.Verdict != "pass" || len(o.Checks) == 0 || len(o.Evidence) == 0 {
		t.Errorf("%v\n%s", err, stderr.String())
	}
	for _, text := range []string{s.Texts[lang]["title"], map[scenario.Lang]string{scenario.English: "PASS", scenario.Vietnamese: "ĐẠT"}[lang]} {
		if !strings.Contains(stderr.String(), text) {
			t.Errorf("the narration has no %q:\n%s", text, stderr.String())
		}
	}
	if o.Seconds > 30 {
		t.Logf("SLOW: %.1f s; on a quiet machine it is to be below 30", o.Seconds)
	}
}

// Every scenario passes, by its exit code and by its line of JSON. Those that need
// a broker alone take a second and are played in both languages, those that need a
// shop in one of them, in turn: the texts have tests of their own.
func TestScenarios(t *testing.T) {
	for i, s := range course.All() {
		t.Run(s.Name, func(t *testing.T) {
			if s.Needs != scenario.PrivateShop {
				for _, lang := range scenario.Langs {
					t.Run(string(lang), func(t *testing.T) { play(t, s, lang) })
				}
				return
			}
			if testing.Short() {
				t.Skip("-short: it starts a whole shop")
			}
			play(t, s, scenario.Langs[i%len(scenario.Langs)])
		})
	}
}

// awaited collects output until it has a text.
type awaited struct {
	all  bytes.Buffer
	text string
	seen chan struct{}
	done bool
}

func (a *awaited) Write(p []byte) (int, error) {
	n, err := a.all.Write(p)
	if !a.done && strings.Contains(a.all.String(), a.text) {
		a.done = true
		close(a.seen)
	}
	return n, err
}

// Ctrl-C in the middle, and kill -9 of the scenario itself: nothing runs on, and
// after Ctrl-C nothing is left in the temporary folder either.
func TestScenario_Stopped(t *testing.T) {
	for name, signal := range map[string]os.Signal{"Ctrl-C": os.Interrupt, "kill -9": os.Kill} {
		t.Run(name, func(t *testing.T) {
			dir := place(t)
			out := &awaited{text: "consumer-4 →", seen: make(chan struct{})}
			cmd := command(t.Context(), dir, "scenario", "run", "surplus-consumer", "--lang", "en")
			cmd.Stdout = out
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			select {
			case <-out.seen:
			case <-time.After(patience):
				t.Error("the members do not come")
			}
			if err := cmd.Process.Signal(signal); err != nil {
				t.Error(err)
			}
			err := cmd.Wait()
			if signal == os.Kill {
				proctest.AssertNothingRuns(t, dir)
				folders, _ := filepath.Glob(filepath.Join(dir, "millrace-scenario-*"))
				for _, folder := range folders {
					_ = os.RemoveAll(folder)
				}
				return
			}
			if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(stderr.String(), "stopped before there was a verdict") {
				t.Errorf("%v\n%s", err, stderr.String())
			}
		})
	}
}

// On the broker of a running shop a scenario has topics and groups of its own, and
// leaves none of them.
func TestScenario_OnAForeignBroker(t *testing.T) {
	dir := place(t)
	broker := startBroker(t)
	for _, name := range []string{"keys-and-order", "start-positions", "rebalance"} {
		cmd := command(t.Context(), dir, "scenario", "run", name, "--json", "--brokers", broker.addr)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}

	// A shop that runs is found by its folder; --private leaves it alone.
	shop, err := datadir.Open(filepath.Join(dir, "none"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(filepath.Join(dir, "none")) }()
	defer func() { _ = shop.Close() }()
	if err := shop.WriteShop(datadir.Shop{PID: os.Getpid(), Brokers: broker.addr}); err != nil {
		t.Fatal(err)
	}
	for flag, said := range map[string]string{"--private=false": "The broker of the running shop is used", "--private": "A private broker is started"} {
		cmd := command(t.Context(), dir, "scenario", "run", "keys-and-order", "--lang", "en", flag)
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), said) {
			t.Errorf("%s: %v, want %q in\n%s", flag, err, said, out)
		}
	}
	if topics, groups := broker.names(t); len(topics)+len(groups) > 0 {
		t.Errorf("left on the broker: topics %v, groups %v", topics, groups)
	}
}
