package share

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kerr"

	"millrace/broker/internal/storytest"
)

// TestScenarios runs the stories in testdata; the README there has the commands.
func TestScenarios(t *testing.T) {
	storytest.Run(t, "testdata", func() func(*testing.T, *datadriven.TestData) string {
		s := &scenario{
			set: Settings{Lock: 30 * time.Second, DeliveryLimit: 5, MaxInFlight: 2000, Renew: true},
			now: time.Unix(1_000_000_000, 0), names: map[Ref]string{},
		}
		s.p = New(s.set, 0)
		return s.run
	})
}

// scenario is a partition, its log, and what is kept of it.
type scenario struct {
	set     Settings
	p       *Partition
	now     time.Time
	log     []Span
	aborted []Span
	disk    kept
	ref     Ref
	names   map[Ref]string
	holding bool
	held    []Persist
	out     strings.Builder
}

// kept is what the coordinator keeps of a partition.
type kept struct {
	start   int64
	batches map[int64]Batch // by offset
}

func (k *kept) write(e Persist) {
	if k.batches == nil {
		k.batches = map[int64]Batch{}
	}
	k.start = max(k.start, e.Start)
	for _, b := range e.Batches {
		for o := b.First; o <= b.Last; o++ {
			k.batches[o] = Batch{o, o, b.State, b.DeliveryCount}
		}
	}
}

func (k *kept) restore(set Settings) *Partition {
	var batches []Batch
	for o, b := range k.batches {
		if o >= k.start {
			batches = append(batches, b)
		}
	}
	slices.SortFunc(batches, func(a, b Batch) int { return int(a.First - b.First) })
	return Restore(set, k.start, batches)
}

func (s *scenario) printf(format string, args ...any) { fmt.Fprintf(&s.out, format+"\n", args...) }

func (s *scenario) run(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	s.out.Reset()
	for _, line := range storytest.Lines(d) {
		command, args, opts := storytest.Words(line, nil)
		s.command(t, command, args, opts)
	}
	if s.out.Len() == 0 {
		return "ok\n"
	}
	return s.out.String()
}

func span(t *testing.T, text string) Span {
	t.Helper()
	a, b, two := strings.Cut(text, "-")
	first, err := strconv.ParseInt(a, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	last := first
	if two {
		if last, err = strconv.ParseInt(b, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	return Span{first, last}
}

var types = map[string]int8{"gap": Gap, "accept": Accept, "release": Release, "reject": Reject, "renew": Renew}

func (s *scenario) command(t *testing.T, cmd string, args []string, opts map[string]string) {
	t.Helper()
	number := func(name string, otherwise int64) int64 {
		v, ok := opts[name]
		if !ok {
			return otherwise
		}
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	switch cmd {
	case "settings":
		s.set.DeliveryLimit = int16(number("deliveries", int64(s.set.DeliveryLimit)))
		s.set.MaxInFlight = number("in-flight", s.set.MaxInFlight)
		s.p.Configure(s.set)
	case "log": // batches come into the log
		for _, a := range args {
			s.log = append(s.log, span(t, a))
		}
	case "aborted":
		for _, a := range args {
			s.aborted = append(s.aborted, span(t, a))
		}
	case "acquire":
		from, ok := s.p.NextFetch()
		if !ok {
			s.printf("%s: too much in flight", args[0])
			return
		}
		take := Take{Member: args[0], MaxRecords: number("max", 500), Strict: opts["strict"] != "", BatchSize: number("batch", 500), Skip: s.aborted}
		for _, b := range s.log {
			if b.Last >= from {
				take.Spans = append(take.Spans, b)
			}
		}
		var got []string
		given, effects := s.p.Acquire(s.now, take)
		for _, g := range given {
			got = append(got, fmt.Sprintf("%d-%d (delivery %d)", g.First, g.Last, g.DeliveryCount))
		}
		s.printf("%s: has %s", args[0], strings.Join(got, ", "))
		s.do(effects)
	case "ack":
		var acks []Ack
		for i := 1; i+1 < len(args); i += 2 {
			a := span(t, args[i])
			ack := Ack{First: a.First, Last: a.Last}
			for _, w := range strings.Split(args[i+1], ",") {
				ack.Types = append(ack.Types, types[w])
			}
			acks = append(acks, ack)
		}
		if err := CheckAcks(acks, s.set.Renew); err != nil {
			s.printf("%s: %s", args[0], err.Message)
			return
		}
		s.ref++
		s.names[s.ref] = args[0]
		s.do(s.p.Acknowledge(s.now, s.ref, args[0], acks))
	case "gone":
		s.do(s.p.ReleaseMember(s.now, args[0]))
	case "tick":
		d, err := time.ParseDuration(args[0])
		if err != nil {
			t.Fatal(err)
		}
		s.now = s.now.Add(d)
		if at := s.p.Deadline(); !at.IsZero() && !at.After(s.now) {
			s.do(s.p.Tick(s.now))
		}
	case "log-start":
		start := span(t, args[0]).First
		s.log = slices.DeleteFunc(s.log, func(b Span) bool { return b.Last < start })
		s.do(s.p.LogStart(s.now, start))
	case "hold-writes":
		s.holding = true
	case "release-writes":
		s.holding = false
		held := s.held
		s.held = nil
		for _, e := range held {
			if opts["error"] != "" {
				s.do(s.p.Written(s.now, e.Seq, kerr.NotCoordinator))
				continue
			}
			s.disk.write(e)
			s.do(s.p.Written(s.now, e.Seq, nil))
		}
	case "crash":
		s.held, s.holding = nil, false
		s.p = s.disk.restore(s.set)
		s.describe()
	case "describe":
		s.describe()
	default:
		t.Fatalf("unknown command %q", cmd)
	}
}

func (s *scenario) describe() {
	s.printf("start %d next %d", s.p.Start(), s.p.Next())
	for _, r := range s.p.runs {
		line := fmt.Sprintf("  %d-%d %s", r.first, r.last, r.state)
		if r.count > 0 && !r.state.done() {
			line += fmt.Sprintf(" deliveries=%d", r.count)
		}
		if r.member != "" {
			line += " by " + r.member
		}
		s.printf("%s", line)
	}
}

func (s *scenario) do(effects Effects) {
	for _, e := range effects {
		switch e := e.(type) {
		case Persist:
			var parts []string
			for _, b := range e.Batches {
				parts = append(parts, fmt.Sprintf("%d-%d %s/%d", b.First, b.Last, b.State, b.DeliveryCount))
			}
			s.printf("[write start=%d complete=%d: %s]", e.Start, e.Complete, strings.Join(parts, ", "))
			if s.holding {
				s.held = append(s.held, e)
				continue
			}
			s.disk.write(e)
			s.do(s.p.Written(s.now, e.Seq, nil))
		case Reply:
			answer := "ok"
			if e.Err != nil {
				answer = e.Err.Message
			}
			s.printf("%s: %s", s.names[e.Ref], answer)
		}
	}
}
