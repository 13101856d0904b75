package fetchsession

import (
	"fmt"
	"maps"
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
		s := &scenario{now: time.Unix(1_000_000_000, 0), topics: map[string]*topic{}}
		s.cache = s.newCache(10)
		return func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			s.out.Reset()
			for _, line := range storytest.Lines(d) {
				s.command(t, strings.Fields(line))
			}
			if s.out.Len() == 0 {
				return "ok\n"
			}
			return s.out.String()
		}
	})
}

// scenario is a cache and the topics that are read through it.
type scenario struct {
	cache  *Cache
	now    time.Time
	topics map[string]*topic
	ids    byte
	open   *Fetch // between begin and end
	out    strings.Builder
}

type topic struct {
	id         [16]byte
	start, end map[int32]int64
}

func (s *scenario) newCache(slots int) *Cache {
	c := New(slots)
	last := int32(0)
	c.newID = func() int32 { last++; return last }
	return c
}

func (s *scenario) printf(format string, args ...any) { fmt.Fprintf(&s.out, format+"\n", args...) }

func (s *scenario) name(id [16]byte) string {
	for name, t := range s.topics {
		if t.id == id {
			return name
		}
	}
	return ""
}

func atoi(t *testing.T, text string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (s *scenario) command(t *testing.T, words []string) {
	t.Helper()
	arg := func(i int) string {
		if i >= len(words) {
			return ""
		}
		return words[i]
	}
	switch words[0] {
	case "slots":
		s.cache = s.newCache(int(atoi(t, arg(1))))
	case "memory":
		s.cache.memory = atoi(t, arg(1)) * partCost
	case "wait":
		d, err := time.ParseDuration(arg(1))
		if err != nil {
			t.Fatal(err)
		}
		s.now = s.now.Add(d)
	case "topic":
		s.ids++
		s.topics[arg(1)] = &topic{id: [16]byte{s.ids}, start: map[int32]int64{}, end: map[int32]int64{}}
	case "delete":
		delete(s.topics, arg(1))
	case "append", "trim":
		p := s.partition(t, arg(1))
		if words[0] == "append" {
			s.topics[p.Topic].end[p.Index] += atoi(t, arg(2))
		} else {
			s.topics[p.Topic].start[p.Index] = atoi(t, arg(2))
		}
	case "begin":
		s.begin(t, words[1:])
	case "end":
		s.end(s.open.End)
	case "withhold":
		s.end(func(time.Time) (int32, *kerr.Error) { return s.open.Withhold() })
	case "fetch":
		before := s.open
		if s.begin(t, words[1:]) {
			s.end(s.open.End)
		}
		s.open = before
	case "sessions":
		for _, id := range slices.Sorted(maps.Keys(s.cache.sessions)) {
			x := s.cache.sessions[id]
			s.printf("session %d: %d partitions, next epoch %d", id, len(x.parts), x.epoch)
		}
		s.printf("%d sessions", s.cache.Len())
	default:
		t.Fatalf("unknown command %q", words[0])
	}
}

// partition reads topic/0@offset; offset is 0 where it is missing.
func (s *scenario) partition(t *testing.T, text string) Partition {
	t.Helper()
	text, offset, ok := strings.Cut(text, "@")
	name, index, _ := strings.Cut(text, "/")
	p := Partition{Topic: name, Index: int32(atoi(t, index)), LeaderEpoch: -1, LastFetchedEpoch: -1}
	if ok {
		p.Offset = atoi(t, offset)
	}
	return p
}

func (s *scenario) begin(t *testing.T, words []string) bool {
	t.Helper()
	req := Request{}
	for _, w := range words {
		switch k, v, _ := strings.Cut(w, "="); {
		case k == "session":
			req.SessionID = int32(atoi(t, v))
		case k == "epoch":
			req.Epoch = int32(atoi(t, v))
		case k == "by-id":
			req.ByID = true
		case strings.HasPrefix(w, "-"):
			req.Forget = append(req.Forget, s.asked(req.ByID, s.partition(t, w[1:])))
		default:
			req.Wants = append(req.Wants, s.asked(req.ByID, s.partition(t, w)))
		}
	}
	f, err := s.cache.Begin(req, s.now, s.name)
	if err != nil {
		s.printf("%s", err.Message)
		return false
	}
	s.open = &f
	return true
}

// asked is a partition as a request names it.
func (s *scenario) asked(byID bool, p Partition) Partition {
	if byID {
		p.ID = [16]byte{0xff} // of nobody
		if topic := s.topics[p.Topic]; topic != nil {
			p.ID = topic.id
		}
		p.Topic = ""
	}
	return p
}

func (s *scenario) end(how func(time.Time) (int32, *kerr.Error)) {
	f := s.open
	for i := range f.Partitions {
		p := &f.Partitions[i]
		p.HighWatermark, p.LogStart = -1, -1
		topic := s.topics[p.Topic]
		switch {
		case p.Topic == "":
			p.Code = kerr.UnknownTopicID.Code
		case topic == nil:
			p.Code = kerr.UnknownTopicOrPartition.Code
		case p.ID != [16]byte{} && p.ID != topic.id:
			p.Code = kerr.InconsistentTopicID.Code
		case p.Offset < topic.start[p.Index] || p.Offset > topic.end[p.Index]:
			p.Code = kerr.OffsetOutOfRange.Code
		default:
			p.HighWatermark, p.LogStart = topic.end[p.Index], topic.start[p.Index]
			p.Bytes = int(p.HighWatermark - p.Offset)
		}
	}
	f.Look()
	looked := slices.Clone(f.Partitions)
	id, err := how(s.now)
	if err != nil {
		s.printf("%s", err.Message)
		return
	}
	if !slices.Equal(looked, f.Partitions) {
		s.printf("Look said otherwise: %+v", looked)
	}
	s.printf("session %d", id)
	for _, p := range f.Partitions {
		name := p.Topic
		if name == "" {
			name = "?"
		}
		switch {
		case p.Quiet:
		case p.Code != 0:
			s.printf("  %s/%d: %s", name, p.Index, kerr.TypedErrorForCode(p.Code).Message)
		default:
			s.printf("  %s/%d: %d records, start %d, high %d", name, p.Index, p.Bytes, p.LogStart, p.HighWatermark)
		}
	}
}
