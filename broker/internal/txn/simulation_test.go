package txn

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// TestSimulation lets producers of one transactional id, some of them zombies, work against a coordinator whose disk
// and whose partitions are slow, fail, and lose what was under way when the broker is killed. In the end every
// transaction has counted in all of its partitions or in none, and what a producer was told is so.
func TestSimulation(t *testing.T) {
	t.Parallel()
	for seed := range uint64(400) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			s := &sim{t: t, rand: rand.New(rand.NewPCG(seed, 1)), cfg: DefaultConfig(), now: time.Unix(1_000_000_000, 0), calls: map[Ref]func(any){}}
			s.cfg.IDExpiration = 24 * time.Hour
			s.tx = New(&s.cfg)
			for i := range 3 {
				s.producers = append(s.producers, &simProducer{name: i, Producer: noProducer, version: int16(s.rand.IntN(2) * 2)})
			}
			s.run(600)
			s.calm = true
			s.run(200)
			s.now = s.now.Add(time.Hour) // what is open times out
			s.run(50)
			s.check()
		})
	}
}

type sim struct {
	t         *testing.T
	rand      *rand.Rand
	cfg       Config
	now       time.Time
	tx        *Transaction
	calm      bool
	producers []*simProducer
	calls     map[Ref]func(any)
	ref       Ref
	ids       int64
	todo      []func() // disk, markers, ids: each happens some time
	disk      []*Metadata
	logs      [3]simLog
	work      int // transactions begun by producers
	told      map[int]string
}

type simProducer struct {
	name    int
	version int16
	Producer
	work  int // the transaction it is in, 0: none
	added map[int32]bool
	busy  bool
}

// simLog is a partition: batches and markers.
type simLog struct {
	entries []simEntry
	epochs  map[int64]int16
	open    map[int64]bool
}

type simEntry struct {
	Producer
	work   int
	marker string
}

func (l *simLog) write(p Producer, work int) bool {
	if p.Epoch < l.epochs[p.ID] {
		return false
	}
	l.entries = append(l.entries, simEntry{Producer: p, work: work})
	l.epochs[p.ID], l.open[p.ID] = p.Epoch, true
	return true
}

func (l *simLog) mark(m SendMarkers) MarkerOutcome {
	now, p := l.epochs[m.Producer.ID], m.Producer
	if p.Epoch < now || m.Version >= 2 && p.Epoch == now && l.open[p.ID] {
		return MarkerRefused
	}
	kind := "abort"
	if m.Commit {
		kind = "commit"
	}
	l.entries = append(l.entries, simEntry{Producer: p, marker: kind})
	l.epochs[p.ID], l.open[p.ID] = p.Epoch, false
	return MarkerWritten
}

func (s *sim) run(steps int) {
	for i := range s.logs {
		if s.logs[i].epochs == nil {
			s.logs[i] = simLog{epochs: map[int64]int16{}, open: map[int64]bool{}}
			s.told = map[int]string{}
		}
	}
	for range steps {
		s.now = s.now.Add(time.Duration(s.rand.IntN(50)) * time.Millisecond)
		if d := s.tx.Deadline(); !d.IsZero() && !d.After(s.now) {
			s.step(Tick{})
		}
		switch n := s.rand.IntN(10); {
		case n == 0 && !s.calm && s.rand.IntN(8) == 0:
			s.crash()
		case n < 5 && len(s.todo) > 0:
			f := s.todo[0]
			s.todo = s.todo[1:]
			f()
		default:
			s.act(s.producers[s.rand.IntN(len(s.producers))])
		}
	}
	for len(s.todo) > 0 && s.calm {
		f := s.todo[0]
		s.todo = s.todo[1:]
		f()
	}
}

func (s *sim) call(f func(any)) Ref {
	s.ref++
	s.calls[s.ref] = f
	return s.ref
}

// act has a producer do what comes next for it.
func (s *sim) act(p *simProducer) {
	switch {
	case p.busy:
	case p.ID == noID || s.rand.IntN(60) == 0 && !s.calm:
		p.busy = true
		s.step(InitProducer{Ref: s.call(func(r any) {
			p.busy = false
			if r := r.(InitReply); r.Err == nil {
				p.Producer, p.work = r.Producer, 0
			}
		}), Timeout: 20 * time.Second})
	case p.work == 0 && s.calm: // no new one
	case p.work == 0:
		s.work++
		p.work, p.added = s.work, map[int32]bool{}
	case s.rand.IntN(4) == 0:
		s.end(p)
	default:
		s.write(p, int32(s.rand.IntN(len(s.logs))))
	}
}

func (s *sim) write(p *simProducer, partition int32) {
	me, work := p.Producer, p.work
	if p.added[partition] {
		if !s.logs[partition].write(me, work) {
			p.ID, p.work = noID, 0 // fenced
		}
		return
	}
	p.busy = true
	s.step(AddPartitions{Ref: s.call(func(r any) {
		p.busy = false
		switch err := r.(AddReply).Err; err {
		case nil:
			p.added[partition] = true
			s.logs[partition].write(me, work)
		case kerr.ProducerFenced, kerr.InvalidProducerIDMapping:
			p.ID, p.work = noID, 0
		}
	}), Producer: me, Version: p.version, Partitions: []TopicPartition{{"t", partition}}})
}

func (s *sim) end(p *simProducer) {
	commit, work := s.rand.IntN(2) == 0, p.work
	p.busy = true
	s.step(EndTxn{Ref: s.call(func(r any) {
		p.busy = false
		reply := r.(EndReply)
		switch reply.Err {
		case nil:
			s.told[work] = map[bool]string{true: "commit", false: "abort"}[commit]
			p.work = 0
			if p.version >= 2 {
				p.Producer = reply.Producer
			}
		case kerr.ProducerFenced, kerr.InvalidProducerIDMapping, kerr.InvalidTxnState:
			p.ID, p.work = noID, 0
		}
	}), Producer: p.Producer, Commit: commit, Version: p.version})
}

func (s *sim) step(in Input) { s.do(s.tx.Step(s.now, in)) }

func (s *sim) do(effects Effects) {
	for _, e := range effects {
		switch e := e.(type) {
		case Reply:
			if f := s.calls[e.Ref]; f != nil {
				delete(s.calls, e.Ref)
				f(e.Body)
			}
		case Persist:
			s.todo = append(s.todo, func() {
				if !s.calm && s.rand.IntN(20) == 0 {
					s.step(Persisted{e.Seq, kerr.NotCoordinator})
					return
				}
				s.disk = append(s.disk, e.Record)
				s.step(Persisted{Seq: e.Seq})
			})
		case SendMarkers:
			s.todo = append(s.todo, func() { s.step(MarkersSent{s.mark(e)}) })
		case NeedProducerID:
			s.ids++
			id := s.ids
			s.todo = append(s.todo, func() { s.step(FreshProducerID{For: e.For, ID: id}) })
		}
	}
	if s.tx.dead {
		s.tx = New(&s.cfg)
	}
}

func (s *sim) mark(m SendMarkers) (out []MarkerResult) {
	for _, tp := range m.Partitions {
		r := MarkerResult{TopicPartition: tp, Outcome: MarkerRetry}
		if s.calm || s.rand.IntN(4) > 0 {
			r.Outcome = s.logs[tp.Partition].mark(m)
			if r.Outcome == MarkerRefused {
				s.t.Fatalf("partition %d refuses the marker of %+v", tp.Partition, m)
			}
		}
		out = append(out, r)
	}
	return out
}

// crash is kill -9: of what was under way to the disk, some may be there, and so may markers.
func (s *sim) crash() {
	if s.tx.writing != nil && s.rand.IntN(2) == 0 {
		s.disk = append(s.disk, s.tx.writing.record)
	}
	if s.tx.out && s.rand.IntN(2) == 0 {
		m := SendMarkers{Producer: s.tx.now.Producer(), Commit: s.tx.now.State == PrepareCommit, Version: s.tx.now.Version, Partitions: s.tx.waiting}
		s.mark(m)
	}
	s.todo, s.calls = nil, map[Ref]func(any){}
	for _, p := range s.producers {
		if p.busy { // the answer is lost: it begins anew
			p.busy, p.ID, p.work = false, noID, 0
		}
	}
	if n := len(s.disk); n == 0 || s.disk[n-1] == nil {
		s.tx = New(&s.cfg)
		return
	}
	m := *s.disk[len(s.disk)-1]
	tx, effects := Restore(&s.cfg, s.now, m)
	s.tx = tx
	s.do(effects)
}

// check looks at each transaction in each partition: the next marker of its producer decides.
func (s *sim) check() {
	outcome := map[int]map[string]bool{}
	for p := range s.logs {
		for i, e := range s.logs[p].entries {
			if e.work == 0 {
				continue
			}
			decided := "open"
			if j := slices.IndexFunc(s.logs[p].entries[i:], func(m simEntry) bool { return m.marker != "" && m.ID == e.ID }); j >= 0 {
				decided = s.logs[p].entries[i+j].marker
			}
			if outcome[e.work] == nil {
				outcome[e.work] = map[string]bool{}
			}
			outcome[e.work][decided] = true
		}
	}
	for work, o := range outcome {
		if len(o) != 1 || o["open"] {
			s.t.Errorf("transaction %d is %v", work, o)
		}
		if told := s.told[work]; told != "" && !o[told] {
			s.t.Errorf("transaction %d: the producer was told %s, it is %v", work, told, o)
		}
	}
	if len(outcome) == 0 {
		s.t.Error("nothing has happened")
	}
}
