package txn

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

// TestScenarios runs the stories in testdata. Each file begins with prose; then
// commands follow, one or more to a block, and below the dashes what came of them.
// testdata/README has the commands.
func TestScenarios(t *testing.T) {
	storytest.Run(t, "testdata", func() func(*testing.T, *datadriven.TestData) string {
		s := &scenario{
			cfg: DefaultConfig(), now: time.Unix(1_000_000_000, 0).UTC(), nextID: 1000,
			producers: map[string]*client{}, calls: map[Ref]string{}, markers: map[TopicPartition]string{},
		}
		s.t = New(&s.cfg)
		return s.run
	})
}

// scenario is one transactional id, its disk, its partitions, and producers.
type scenario struct {
	cfg       Config
	t         *Transaction
	now       time.Time
	producers map[string]*client
	calls     map[Ref]string // who asked what
	ref       Ref
	nextID    int64

	holdWrites, holdMarkers, holdIDs bool
	held                             []Persist
	sent                             *SendMarkers
	drawn                            []NeedProducerID
	disk                             []*Metadata
	markers                          map[TopicPartition]string // the last one of each partition
	out                              strings.Builder
}

// client is a producer, as it knows itself.
type client struct {
	Producer
	version int16
}

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

func (s *scenario) printf(format string, args ...any) { fmt.Fprintf(&s.out, format+"\n", args...) }

func (s *scenario) command(t *testing.T, cmd string, args []string, opts map[string]string) {
	t.Helper()
	duration := func(v string) time.Duration {
		d, err := time.ParseDuration(v)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	var c *client
	if len(args) > 0 && !strings.Contains(args[0], "/") && cmd != "tick" {
		if c = s.producers[args[0]]; c == nil {
			c = &client{noProducer, 2}
			s.producers[args[0]] = c
		}
		if v := opts["version"]; v != "" {
			n, _ := strconv.Atoi(v)
			c.version = int16(n)
		}
	}
	call := func(what string) Ref {
		s.ref++
		s.calls[s.ref] = args[0] + ": " + what
		return s.ref
	}
	switch cmd {
	case "config":
		s.cfg.MaxTimeout, s.cfg.IDExpiration = duration(opts["max-timeout"]), duration(opts["expiration"])
	case "init":
		in := InitProducer{Ref: call("init"), Timeout: time.Minute}
		if v := opts["timeout"]; v != "" {
			in.Timeout = duration(v)
		}
		if opts["known"] != "" {
			in.Expected = &Producer{c.ID, c.Epoch}
		}
		s.step(in)
	case "add":
		s.step(AddPartitions{Ref: call("add"), Producer: c.Producer, Partitions: partitions(args[1:]), Version: c.version})
	case "verify":
		s.step(Verify{Ref: call("verify"), Producer: c.Producer, Partitions: partitions(args[1:])})
	case "commit", "abort":
		s.step(EndTxn{Ref: call(cmd), Producer: c.Producer, Commit: cmd == "commit", Version: c.version})
	case "late-commit", "late-abort": // the request of the epoch before arrives once more
		s.step(EndTxn{Ref: call(cmd), Producer: Producer{c.ID, c.Epoch - 1}, Commit: cmd == "late-commit", Version: c.version})
	case "remembers": // what the producer takes itself for
		id, _ := strconv.Atoi(opts["id"])
		epoch, _ := strconv.Atoi(opts["epoch"])
		c.Producer = Producer{int64(id), int16(epoch)}
	case "tick":
		s.tick(duration(args[0]))
	case "expire":
		s.step(Expire{})
	case "hold-writes":
		s.holdWrites = true
	case "release-writes":
		s.holdWrites = false
		held := s.held
		s.held = nil
		for _, p := range held {
			if opts["error"] != "" {
				s.step(Persisted{p.Seq, kerr.NotCoordinator})
				continue
			}
			s.written(p)
		}
	case "hold-markers":
		s.holdMarkers = true
	case "release-markers":
		s.holdMarkers = false
		s.writeMarkers(opts)
	case "hold-ids":
		s.holdIDs = true
	case "release-ids":
		s.holdIDs = false
		drawn := s.drawn
		s.drawn = nil
		for _, n := range drawn {
			if opts["error"] != "" {
				s.step(FreshProducerID{For: n.For, Err: kerr.CoordinatorNotAvailable})
			} else {
				s.draw(n)
			}
		}
	case "crash":
		s.crash()
	case "age": // as if so many epochs had been used
		n, _ := strconv.Atoi(opts["epoch"])
		s.t.now.Epoch = int16(n)
	case "describe":
		s.describe()
	case "disk":
		for _, m := range s.disk {
			s.printf("%s", line(m))
		}
	default:
		t.Fatalf("unknown command %q", cmd)
	}
}

func partitions(names []string) (tps []TopicPartition) {
	for _, n := range names {
		topic, p, _ := strings.Cut(n, "/")
		index, _ := strconv.Atoi(p)
		tps = append(tps, TopicPartition{topic, int32(index)})
	}
	return tps
}

// tick lets time go by, with a tick whenever one is due.
func (s *scenario) tick(d time.Duration) {
	end := s.now.Add(d)
	for {
		at := s.t.Deadline()
		if at.IsZero() || at.After(end) {
			break
		}
		if at.After(s.now) {
			s.now = at
		}
		s.step(Tick{})
	}
	s.now = end
}

func (s *scenario) step(in Input) {
	s.do(s.t.Step(s.now, in))
	if s.t.dead {
		s.t = New(&s.cfg) // the caller forgets it
	}
}

func (s *scenario) do(effects Effects) {
	for _, e := range effects {
		switch e := e.(type) {
		case Reply:
			s.answer(e)
		case Persist:
			if s.holdWrites {
				s.held = append(s.held, e)
			} else {
				s.written(e)
			}
		case SendMarkers:
			how := "abort"
			if e.Commit {
				how = "commit"
			}
			s.printf("  markers: %s %s v%d -> %v", how, e.Producer, e.Version, e.Partitions)
			s.sent = &e
			if !s.holdMarkers {
				s.writeMarkers(nil)
			}
		case NeedProducerID:
			if s.holdIDs {
				s.drawn = append(s.drawn, e)
			} else {
				s.draw(e)
			}
		case Event:
			s.printf("[%s%s]", e.Kind, reason(e))
		}
	}
}

func reason(e Event) string {
	if e.Reason == "" {
		return ""
	}
	return ": " + e.Reason
}

func (s *scenario) draw(n NeedProducerID) {
	s.nextID++
	s.step(FreshProducerID{For: n.For, ID: s.nextID})
}

func (s *scenario) written(p Persist) {
	s.disk = append(s.disk, p.Record)
	s.step(Persisted{Seq: p.Seq})
}

// writeMarkers tells of markers that are written, or in opts why not.
func (s *scenario) writeMarkers(opts map[string]string) {
	if s.sent == nil {
		return
	}
	sent := s.sent
	s.sent = nil
	var results []MarkerResult
	for _, tp := range sent.Partitions {
		r := MarkerResult{TopicPartition: tp}
		switch opts[tp.String()] {
		case "retry":
			r.Outcome = MarkerRetry
		case "refused":
			r.Outcome, r.Reason = MarkerRefused, "a newer epoch has written"
		}
		results = append(results, r)
	}
	s.step(MarkersSent{results})
}

func (s *scenario) crash() {
	s.held, s.sent, s.drawn, s.holdWrites, s.holdMarkers = nil, nil, nil, false, false
	s.calls = map[Ref]string{}
	if len(s.disk) == 0 || s.disk[len(s.disk)-1] == nil {
		s.t = New(&s.cfg)
		s.printf("nothing is left")
		return
	}
	m := *s.disk[len(s.disk)-1]
	m.LastEpoch = noEpoch // is not in the records
	t, effects := Restore(&s.cfg, s.now, m)
	s.t = t
	s.do(effects)
	s.describe()
}

func (s *scenario) describe() {
	if !s.t.Exists() {
		s.printf("unknown")
		return
	}
	m := s.t.Describe()
	s.printf("%s", line(&m))
}

func line(m *Metadata) string {
	if m == nil {
		return "tombstone"
	}
	out := fmt.Sprintf("%s %s v%d", m.State, m.Producer(), m.Version)
	if m.NextProducerID != noID {
		out += fmt.Sprintf(" next=%d", m.NextProducerID)
	}
	if len(m.Partitions) > 0 {
		out += fmt.Sprintf(" %v", m.Partitions)
	}
	return out
}

func (p Producer) String() string { return fmt.Sprintf("%d@%d", p.ID, p.Epoch) }

func (s *scenario) answer(r Reply) {
	who, ok := s.calls[r.Ref]
	if !ok {
		return // asked before the crash
	}
	delete(s.calls, r.Ref)
	name, _, _ := strings.Cut(who, ":")
	c := s.producers[name]
	switch b := r.Body.(type) {
	case InitReply:
		if b.Err == nil {
			c.Producer = b.Producer
			s.printf("%s is %s", name, c.Producer)
			return
		}
		s.printf("%s %s", who, b.Err.Message)
	case AddReply:
		s.printf("%s %s", who, errName(b.Err))
	case VerifyReply:
		if b.Err != nil {
			s.printf("%s %s", who, b.Err.Message)
			return
		}
		var each []string
		for _, e := range b.Partitions {
			each = append(each, errName(e))
		}
		s.printf("%s %s", who, strings.Join(each, " "))
	case EndReply:
		if b.Err == nil && b.Producer != noProducer {
			c.Producer = b.Producer
			s.printf("%s ok, is %s now", who, c.Producer)
			return
		}
		s.printf("%s %s", who, errName(b.Err))
	}
}

func errName(e *kerr.Error) string {
	if e == nil {
		return "ok"
	}
	return e.Message
}

// States are those of Kafka's tools.
func TestState_Names(t *testing.T) {
	t.Parallel()
	for i, name := range stateNames {
		s, ok := ParseState(name)
		if !ok || s != State(i) || s.String() != name {
			t.Errorf("%q is %v, %t", name, s, ok)
		}
	}
	if _, ok := ParseState("ongoing"); ok {
		t.Error("names are taken whatever their case")
	}
	if valid := slices.IndexFunc(stateNames[:], func(n string) bool { s, _ := ParseState(n); return !s.Stored() }); valid != 6 {
		t.Errorf("%d states may be on disk", valid)
	}
}
