package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"millrace/internal/terminal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFind(t *testing.T) {
	t.Parallel()
	all := []Scenario{{Name: "rebalance"}, {Name: "replay"}, {Name: "wrong-dual-write"}}
	if s, err := Find(all, "replay"); err != nil || s.Name != "replay" {
		t.Fatalf("replay: %v, %v", s.Name, err)
	}
	for name, want := range map[string]string{
		"reblance":   "did you mean rebalance?",
		"dual-write": "did you mean wrong-dual-write?",
		"REPLAY":     "did you mean replay?",
	} {
		_, err := Find(all, name)
		var unknown *UnknownError
		if !errors.As(err, &unknown) || !strings.Contains(err.Error(), want) || len(unknown.Names) != 3 {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	for _, name := range []string{"", "zzzzzzzzzz", strings.Repeat("x", 1<<20)} {
		_, err := Find(all, name)
		var unknown *UnknownError
		if !errors.As(err, &unknown) || unknown.Nearest != "" {
			t.Errorf("%.20q: %.80v", name, err)
		}
	}
}

// A verdict without checks is none.
func TestPassed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		checks []Check
		want   bool
	}{
		{nil, false},
		{[]Check{{OK: true}}, true},
		{[]Check{{OK: true}, {OK: false}}, false},
	} {
		if got := Passed(c.checks); got != c.want {
			t.Errorf("%v: %v", c.checks, got)
		}
	}
}

type numbers struct {
	N int `json:"n"`
}

func (n numbers) Verdict() []Check {
	return []Check{{Name: "positive", OK: n.N > 0, Args: A{"n": n.N}}}
}

func fake(play func(context.Context, *Stage) (Evidence, error)) Scenario {
	return Scenario{Name: "fake", Patience: 50 * time.Millisecond, Play: play, Texts: map[Lang]Texts{English: {
		"title": "a title", "intro": "an intro", "check.positive": "n is {n}", "lesson_text": "a lesson", "event": "it happened",
	}}}
}

func TestPerform(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		play    func(context.Context, *Stage) (Evidence, error)
		json    string
		printed []string
	}{
		"pass": {
			func(_ context.Context, s *Stage) (Evidence, error) { s.Event("event", nil); return numbers{1}, nil },
			`"verdict":"pass","seconds":0,"checks":{"positive":true},"evidence":{"n":1}}`,
			[]string{"fake — a title", "an intro", "it happened", "✓ n is 1", "PASS", "a lesson"},
		},
		"fail": {
			func(context.Context, *Stage) (Evidence, error) { return numbers{0}, nil },
			`"verdict":"fail","seconds":0,"checks":{"positive":false},"evidence":{"n":0}}`,
			[]string{"✗ n is 0", "FAIL"},
		},
		"error": {
			func(context.Context, *Stage) (Evidence, error) { return nil, errors.New("broken") },
			`"verdict":"fail","seconds":0,"error":"broken"}`,
			[]string{"broken", "NO VERDICT"},
		},
		"too slow": {
			func(ctx context.Context, _ *Stage) (Evidence, error) { <-ctx.Done(); return nil, ctx.Err() },
			`"verdict":"fail","seconds":0,"error":"not done after 50ms: context deadline exceeded"}`,
			[]string{"NO VERDICT"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			sc := fake(c.play)
			o := Perform(context.Background(), sc, NewStage(sc, English, terminal.Plain(&out), NewEnv(EnvConfig{}), Options{}))
			o.Seconds = 0
			line, err := json.Marshal(o)
			if err != nil || string(line) != `{"scenario":"fake",`+c.json {
				t.Errorf("%v\n%s\nwant …%s", err, line, c.json)
			}
			for _, text := range c.printed {
				if !strings.Contains(out.String(), text) {
					t.Errorf("%q is missing in\n%s", text, out.String())
				}
			}
			if strings.Contains(out.String(), "a lesson") != (o.Verdict == Pass) {
				t.Errorf("the lesson belongs to a pass:\n%s", out.String())
			}
		})
	}
}

// What is closed later was started earlier; a second Close does nothing.
func TestEnv_ClosesBackwardsAndOnce(t *testing.T) {
	t.Parallel()
	e := NewEnv(EnvConfig{Temp: t.TempDir()})
	var order []int
	for i := range 3 {
		e.atEnd(func(context.Context) error { order = append(order, i); return nil })
	}
	if _, err := e.temp("x"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(e.Close(context.Background()), e.Close(context.Background())); err != nil {
		t.Fatal(err)
	}
	if len(order) != 3 || order[0] != 2 || order[2] != 0 {
		t.Errorf("order %v", order)
	}
	if _, err := e.temp("x"); err == nil {
		t.Error("a closed environment made a folder")
	}
}

// A part that does not start: which one, why, its last lines.
func TestEnv_TellsWhatDidNotStart(t *testing.T) {
	t.Parallel()
	e := NewEnv(EnvConfig{Executable: "/nonexistent/millrace", Temp: t.TempDir()})
	defer func() { _ = e.Close(context.Background()) }()
	if _, err := e.Broker(context.Background(), PrivateBroker); err == nil || !strings.Contains(err.Error(), "broker ended") {
		t.Errorf("error %v", err)
	}
}

func TestEnv_RefusesBrokersThatItWouldBreak(t *testing.T) {
	t.Parallel()
	e := NewEnv(EnvConfig{Brokers: []string{"127.0.0.1:1"}})
	if _, err := e.Broker(context.Background(), PrivateBroker); err == nil || !strings.Contains(err.Error(), "--brokers") {
		t.Errorf("broker: %v", err)
	}
	if _, err := e.Shop(context.Background(), ShopNeeds{}); err == nil || !strings.Contains(err.Error(), "--brokers") {
		t.Errorf("shop: %v", err)
	}
}

func TestEnv_PartsGetACleanEnvironment(t *testing.T) {
	t.Parallel()
	e := NewEnv(EnvConfig{Environ: []string{"PATH=/bin", "KAFKA_BROKERS=x", "WRONG_WAYS=y", "FAULTS=z", "DATABASE_URL=d", "OTEL_EXPORTER_OTLP_ENDPOINT=o", "FAULTS_ENABLED=true", "GOGC=1", "MILLRACE_LOCKS=l"}})
	if got := strings.Join(e.partEnviron(), " "); got != "PATH=/bin MILLRACE_LIFELINE=stdin" {
		t.Errorf("environment %s", got)
	}
}
