package quota

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// TestScenarios runs testdata/*.txt: limits, what is used when, and the waits.
//
//	limits                 user=U client-id=C ip=I name=value, one entity a line; <default> is the default
//	use KIND               user client amount; a line "+N" lets N seconds pass
//	return KIND            the same, taken back
//	change [lenient]       user client partitions
//	connect                address
//	most KIND              user client
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		t.Helper()
		windows := Windows{Number: 11, Size: time.Second}
		w := &world{m: NewManager(windows, windows), now: time.Unix(1_000_000, 0)}
		datadriven.RunTest(t, path, w.run)
	})
}

type world struct {
	m   *Manager
	l   *Limits
	now time.Time
}

func (w *world) run(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	var out strings.Builder
	set := map[Entity]map[string]float64{}
	kind := Kind(0)
	if len(d.CmdArgs) > 0 {
		kind, _ = KindOf(d.CmdArgs[0].Key)
	}
	for line := range strings.Lines(d.Input) {
		f := strings.Fields(line)
		if gone, ok := strings.CutPrefix(f[0], "+"); ok {
			s, err := strconv.ParseFloat(gone, 64)
			if err != nil {
				t.Fatal(err)
			}
			w.now = w.now.Add(time.Duration(s * float64(time.Second)))
			continue
		}
		amount := 0.0
		if len(f) > 2 {
			amount, _ = strconv.ParseFloat(f[2], 64)
		}
		switch d.Cmd {
		case "limits":
			e, values := entity(f)
			set[e] = values
			continue
		case "use":
			fmt.Fprintf(&out, "%s %s: wait %s\n", f[0], f[1], w.m.Use(w.l, kind, f[0], f[1], amount, w.now))
		case "return":
			w.m.Return(w.l, kind, f[0], f[1], amount, w.now)
		case "change":
			wait, refused := w.m.Change(w.l, f[0], f[1], int(amount), !d.HasArg("lenient"), w.now)
			fmt.Fprintf(&out, "%s %s: wait %s refused=%v\n", f[0], f[1], wait, refused)
		case "connect":
			fmt.Fprintf(&out, "%s: wait %s\n", f[0], w.m.Connect(w.l, f[0], w.now))
		case "most":
			most, ok := w.m.Most(w.l, kind, f[0], f[1])
			fmt.Fprintf(&out, "%s %s: %g %v\n", f[0], f[1], most, ok)
		default:
			t.Fatalf("%s: unknown command %s", d.Pos, d.Cmd)
		}
	}
	if d.Cmd == "limits" {
		w.l = NewLimits(set)
	}
	return out.String()
}

func entity(words []string) (e Entity, values map[string]float64) {
	values = map[string]float64{}
	for _, word := range words {
		name, value, _ := strings.Cut(word, "=")
		part := Named(value)
		if value == "<default>" {
			part = DefaultPart
		}
		switch name {
		case "user":
			e.User = part
		case "client-id":
			e.ClientID = part
		case "ip":
			e.IP = part
		default:
			values[name], _ = strconv.ParseFloat(value, 64)
		}
	}
	return e, values
}

// Names come from clients: however many there are, memory is bounded, and what is forgotten is
// only what would count no more.
func TestManager_BucketsAreBounded(t *testing.T) {
	t.Parallel()
	windows := Windows{Number: 11, Size: time.Second}
	m := NewManager(windows, windows)
	m.most = 2_000
	l := NewLimits(map[Entity]map[string]float64{{ClientID: DefaultPart}: {"producer_byte_rate": 1}})
	now := time.Unix(1_000_000, 0)
	long := strings.Repeat("x", 30_000)
	for i := range 10_000 {
		m.Use(l, ProducerBytes, "u", long+strconv.Itoa(i), 1, now)
	}
	if len(m.buckets) > m.most+1 {
		t.Errorf("%d buckets, at most %d are allowed", len(m.buckets), m.most)
	}
	for k := range m.buckets {
		if len(k.client) > longestName {
			t.Fatalf("a bucket keeps a name of %d bytes", len(k.client))
		}
	}
	if len(m.buckets) < m.most {
		t.Errorf("%d buckets, and all that there may be count", len(m.buckets))
	}
}

// What counts no more after all windows is forgotten, and what counts is not.
func TestManager_ForgetsOnlyWhatIsOver(t *testing.T) {
	t.Parallel()
	windows := Windows{Number: 11, Size: time.Second}
	m := NewManager(windows, windows)
	l := NewLimits(map[Entity]map[string]float64{{ClientID: DefaultPart}: {"producer_byte_rate": 1}})
	now := time.Unix(1_000_000, 0)
	for i := range firstSweepAt - 10 {
		m.Use(l, ProducerBytes, "u", strconv.Itoa(i), 1, now)
	}
	now = now.Add(10 * time.Second)
	m.Use(l, ProducerBytes, "u", "greedy", 1_000_000, now)
	now = now.Add(2 * time.Second)
	for i := range 1_000 {
		m.Use(l, ProducerBytes, "u", "new"+strconv.Itoa(i), 1, now)
	}
	if got := len(m.buckets); got != 1_001 {
		t.Errorf("%d buckets are left, of which 1,001 count", got)
	}
	if wait := m.Use(l, ProducerBytes, "u", "greedy", 0, now); wait == 0 {
		t.Error("what was used two seconds ago is forgotten")
	}
}

func BenchmarkUse_NoLimits(b *testing.B) {
	windows := Windows{Number: 11, Size: time.Second}
	m := NewManager(windows, windows)
	now := time.Unix(1_000_000, 0)
	b.ReportAllocs()
	for b.Loop() {
		m.Use(nil, ProducerBytes, "u", "c", 1, now)
	}
}
