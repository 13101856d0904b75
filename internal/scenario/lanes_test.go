package scenario

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/broker/brokertest"
	"millrace/internal/terminal"
)

func view(state string, holders ...Holder) View { return View{State: state, Holders: holders} }

func TestView(t *testing.T) {
	t.Parallel()
	v := view("Stable", Holder{"a", []int32{2}}, Holder{"b", nil}, Holder{"c", []int32{0, 1}})
	if got := v.Shape(); !slices.Equal(got, []int{2, 1, 0}) {
		t.Errorf("shape %v", got)
	}
	if got, want := v.line(), "a → 2 | b → – | c → 0 1"; got != want {
		t.Errorf("line %q, want %q", got, want)
	}
	if got, want := view("PreparingRebalance").line(), "– | (PreparingRebalance)"; got != want {
		t.Errorf("line %q, want %q", got, want)
	}
	if !v.sameHolders(v) || v.sameHolders(view("Stable", v.Holders[:2]...)) || v.sameHolders(view("Empty", v.Holders...)) {
		t.Error("sameHolders")
	}
}

func newStage(out terminal.Output) *Stage {
	sc := fake(nil)
	return NewStage(sc, English, out, NewEnv(EnvConfig{}), Options{})
}

func TestLanes(t *testing.T) {
	t.Parallel()
	v := view("Stable", Holder{"one", []int32{0}}, Holder{"standby", nil})
	v.Lags = map[int32]int64{0: 3, 1: 0}
	got := strings.Join(newStage(terminal.Plain(&bytes.Buffer{})).lanes("g", "t", v), "\n")
	want := `  group g  Stable
  t/0 ═══▶ one      lag 3
  t/1 ···  nobody   lag 0
  standby: stands by, no partition`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// On a terminal the block is erased and drawn again; what is printed stays above it.
func TestScreen_RedrawsTheBlock(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := &screen{out: terminal.Output{Writer: &out, Animation: true}}
	s.setBlock([]string{"A", "B"})
	s.write("x")
	s.setBlock([]string{"C"})
	s.keepBlock()
	s.write("y")
	if got, want := out.String(), "A\nB\n\x1b[2F\x1b[Jx\nA\nB\n\x1b[2F\x1b[JC\ny\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	out.Reset()
	plain := &screen{out: terminal.Plain(&out)}
	plain.setBlock([]string{"A"})
	plain.write("x")
	if got := out.String(); got != "x\n" {
		t.Errorf("not on a terminal: %q", got)
	}
}

// The watch sees a member come and go, with one line for each change.
func TestGroupWatch(t *testing.T) {
	t.Parallel()
	broker := brokertest.Start(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var out bytes.Buffer
	s := newStage(terminal.Plain(&out))
	defer func() { _ = s.Env.Close(context.Background()) }()
	b, err := s.Env.foreign([]string{broker.Addr})
	if err != nil {
		t.Fatal(err)
	}
	topic, err := b.Topic(ctx, "t", 2)
	if err != nil {
		t.Fatal(err)
	}
	group := b.Group("g")
	w := s.WatchGroup(ctx, b.Admin(), group, topic)
	member, err := b.Client(kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.ClientID("only"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := w.AwaitShape(ctx, 2)
	if err != nil || !slices.Equal(v.Holding("only"), []int32{0, 1}) {
		t.Fatalf("%+v, %v", v, err)
	}
	member.Close()
	if _, err := w.Await(ctx, "empty", func(v View) bool { return len(v.Holders) == 0 }); err != nil {
		t.Fatal(err)
	}
	gone, stop := context.WithCancel(ctx)
	stop()
	if _, err := w.AwaitShape(gone, 7); err == nil || !strings.Contains(err.Error(), "[7]") {
		t.Errorf("waiting for what does not come: %v", err)
	}
	w.Stop()
	w.Stop()
	if !strings.Contains(out.String(), "only → 0 1") {
		t.Errorf("printed\n%s", out.String())
	}
	// The topic and the group are gone with the environment.
	if err := s.Env.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if topics, err := brokerTopics(ctx, broker.Addr); err != nil || slices.Contains(topics, topic) {
		t.Errorf("topics %v, %v", topics, err)
	}
}

func brokerTopics(ctx context.Context, addr string) ([]string, error) {
	e := NewEnv(EnvConfig{})
	b, err := e.foreign([]string{addr})
	if err != nil {
		return nil, err
	}
	defer func() { _ = e.Close(ctx) }()
	list, err := b.Admin().ListTopics(ctx)
	return list.Names(), err
}
