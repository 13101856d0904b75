package group

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// TestConsumerSimulation lets members of a consumer group do what members do, at random:
// join, fall silent, give partitions back late, leave, restart, change their subscription;
// topics come, grow and go; the disk is slow, fails now and then, and the broker is killed.
// Whatever happens:
//
//   - no two members of the group hold a partition;
//   - a member reads nothing that the group does not know it to hold;
//   - what is in memory is what is on disk, when nothing is being written;
//   - requests are answered once, and within the time that the disk takes;
//   - when all behave for a while, the group is stable and every partition is read by one member.
func TestConsumerSimulation(t *testing.T) {
	t.Parallel()
	seeds := 40
	if testing.Short() {
		seeds = 15
	}
	for seed := range seeds {
		w := newConsumerSim(t, uint64(seed))
		w.run(3000)
		w.settle()
		if t.Failed() {
			t.Fatalf("seed %d:\n%s", seed, strings.Join(w.log[max(0, len(w.log)-50):], "\n"))
		}
	}
}

type consumerSim struct {
	t       *testing.T
	rand    *rand.Rand
	cfg     Config
	cluster *fakeCluster
	g       *Group
	now     time.Time
	members []*simReader
	calls   map[Ref]*simRequest
	ref     Ref
	disk    *disk
	writes  []simWrite
	lastSeq uint64
	calm    bool
	log     []string
}

// simReader is a client and what it reads at this moment.
type simReader struct {
	name, id, instance string
	lives              int
	epoch              int32
	joined             bool
	topics             []string
	regex              string
	changed            bool // the subscription, since it was last told
	reading            map[Partition]bool
	drop               map[Partition]bool // to be given back
	dropAt             time.Time
	tell               bool // what it owns
	waiting            bool
	silent             time.Time
	next               time.Time
	gone               bool
}

type simRequest struct {
	m    *simReader
	life int
	at   time.Time
	in   ConsumerHeartbeat
}

func newConsumerSim(t *testing.T, seed uint64) *consumerSim {
	t.Helper()
	w := &consumerSim{
		t: t, rand: rand.New(rand.NewPCG(seed, 848)), cfg: DefaultConfig(), cluster: newFakeCluster(), now: time.Unix(1_000_000_000, 0),
		calls: map[Ref]*simRequest{}, disk: newDisk(),
	}
	w.cluster.settings.SessionTimeout = 10 * time.Second
	w.cluster.settings.AssignmentInterval = time.Duration(w.rand.IntN(3)) * time.Second
	w.cluster.set("t1", 6)
	w.cluster.set("t2", 3)
	w.g = New("g", &w.cfg, w.now)
	for i := range 2 + w.rand.IntN(6) {
		m := &simReader{name: fmt.Sprint("m", i)}
		if w.rand.IntN(3) == 0 {
			m.instance = fmt.Sprint("i", i)
		}
		w.members = append(w.members, m)
		w.subscribe(m)
	}
	return w
}

func (w *consumerSim) logf(format string, args ...any) {
	w.log = append(w.log, w.now.Format("04:05.000 ")+fmt.Sprintf(format, args...))
}

func (w *consumerSim) fail(format string, args ...any) {
	w.t.Errorf(format, args...)
	w.logf("FAIL "+format, args...)
}

func (w *consumerSim) subscribe(m *simReader) {
	m.topics, m.regex = [][]string{{"t1"}, {"t1", "t2"}, {"t2"}, {"t3", "t1"}, {}}[w.rand.IntN(5)], ""
	if len(m.topics) == 0 || w.rand.IntN(6) == 0 {
		m.regex = []string{"t.*", "t[13]"}[w.rand.IntN(2)]
	}
	m.changed = true
}

func (w *consumerSim) run(n int) {
	for range n {
		if w.t.Failed() {
			return
		}
		w.now = w.now.Add(100 * time.Millisecond)
		w.flush()
		if at := w.g.Deadline(); !at.IsZero() && !at.After(w.now) {
			w.step(Tick{})
		}
		for _, m := range w.members {
			w.act(m)
		}
		if !w.calm {
			w.disturb()
		}
		w.check()
	}
}

// disturb changes topics and kills the broker.
func (w *consumerSim) disturb() {
	switch w.rand.IntN(1200) {
	case 0:
		w.crash()
	case 1:
		w.cluster.set("t1", w.cluster.topics["t1"].partitions+1)
	case 2:
		w.cluster.set("t3", 2)
	case 3:
		w.cluster.set("t3", 0)
	case 4:
		w.step(Expire{})
	}
}

func (w *consumerSim) act(m *simReader) {
	if m.gone || w.now.Before(m.silent) {
		return
	}
	if len(m.drop) > 0 && !w.now.Before(m.dropAt) {
		for p := range m.drop {
			delete(m.reading, p)
		}
		m.drop, m.tell = nil, true
	}
	if !w.calm {
		switch w.rand.IntN(1000) {
		case 0:
			m.silent = w.now.Add(time.Duration(w.rand.IntN(25)) * time.Second)
			w.logf("%s falls silent", m.name)
			return
		case 1:
			w.logf("%s restarts", m.name)
			w.forget(m)
		case 2:
			if m.joined && !m.waiting {
				w.leave(m)
				return
			}
		case 3:
			w.subscribe(m)
		}
	}
	if m.waiting || w.now.Before(m.next) {
		return
	}
	if m.joined {
		w.beat(m)
	} else {
		w.join(m)
	}
}

// forget is what is left of a client whose process has ended.
func (w *consumerSim) forget(m *simReader) {
	m.lives++
	m.id, m.joined, m.waiting, m.reading, m.drop, m.epoch = "", false, false, nil, nil, 0
}

func (w *consumerSim) send(m *simReader, in ConsumerHeartbeat) {
	w.ref++
	in.Ref, in.MemberID = w.ref, m.id
	if m.instance != "" {
		in.InstanceID = &m.instance
	}
	w.calls[w.ref] = &simRequest{m, m.lives, w.now, in}
	m.waiting = true
	w.step(in)
}

func (w *consumerSim) join(m *simReader) {
	if m.id == "" {
		m.id = fmt.Sprintf("%s-%d", m.name, m.lives)
	}
	m.reading, m.drop, m.changed = map[Partition]bool{}, nil, false
	w.send(m, ConsumerHeartbeat{RebalanceTimeout: 15 * time.Second, Topics: m.topics, Regex: &m.regex, Owned: []Partition{}})
}

func (w *consumerSim) beat(m *simReader) {
	in := ConsumerHeartbeat{Epoch: m.epoch, RebalanceTimeout: -1}
	if m.changed {
		in.Topics, in.Regex, m.changed = m.topics, &m.regex, false
	}
	if m.tell || w.rand.IntN(20) == 0 {
		m.tell = false
		in.Owned = []Partition{}
		for p := range m.reading {
			in.Owned = append(in.Owned, p)
		}
	}
	w.send(m, in)
}

func (w *consumerSim) leave(m *simReader) {
	in := ConsumerHeartbeat{Epoch: -1, RebalanceTimeout: -1}
	if m.instance != "" && w.rand.IntN(2) == 0 {
		in.Epoch = -2
	}
	w.logf("%s leaves with %d", m.name, in.Epoch)
	m.reading, m.drop = nil, nil // it has stopped before it says so
	w.send(m, in)
	m.silent = w.now.Add(time.Duration(w.rand.IntN(20)) * time.Second)
}

func (w *consumerSim) step(in Input) {
	w.g.Observe(w.cluster)
	w.do(w.g.Step(w.now, in))
}

func (w *consumerSim) do(effects Effects) {
	for _, e := range effects {
		switch e := e.(type) {
		case Event:
			w.logf("  [%s %s%s epoch %d]", e.Kind, e.Member, e.Reason, e.Generation)
		case Persist:
			if e.Seq != w.lastSeq+1 {
				w.fail("write %d follows %d", e.Seq, w.lastSeq)
			}
			w.lastSeq = e.Seq
			w.writes = append(w.writes, simWrite{e, w.now.Add(time.Duration(w.rand.IntN(300)) * time.Millisecond)})
		case Reply:
			c := w.calls[e.Ref]
			if c == nil {
				w.fail("request %d is answered twice, or was never asked", e.Ref)
				return
			}
			delete(w.calls, e.Ref)
			if c.life == c.m.lives {
				w.answer(c, e.Body.(ConsumerHeartbeatReply))
			}
		}
	}
}

func (w *consumerSim) flush() {
	for len(w.writes) > 0 && !w.writes[0].due.After(w.now) {
		p := w.writes[0].p
		w.writes = w.writes[1:]
		if !w.calm && w.rand.IntN(40) == 0 {
			w.logf("write %d fails", p.Seq)
			w.step(Persisted{p.Seq, kerr.CoordinatorNotAvailable})
			continue
		}
		w.disk.write(p.Records)
		w.step(Persisted{p.Seq, nil})
	}
}

// crash is kill -9 of the broker. Of what was being written, some may be there.
func (w *consumerSim) crash() {
	w.logf("broker crashes")
	for n := w.rand.IntN(len(w.writes) + 1); n > 0; n-- {
		w.disk.write(w.writes[0].p.Records)
		w.writes = w.writes[1:]
	}
	w.writes, w.lastSeq, w.calls = nil, 0, map[Ref]*simRequest{}
	w.g, _ = w.disk.restore(&w.cfg, w.now, w.cluster)
	for _, m := range w.members {
		m.waiting = false
	}
}

func (w *consumerSim) answer(c *simRequest, r ConsumerHeartbeatReply) {
	m := c.m
	m.waiting = false
	m.next = w.now.Add(time.Duration(500+w.rand.IntN(1500)) * time.Millisecond)
	if c.in.Epoch < 0 { // it has gone, whatever is said to that
		w.forget(m)
		return
	}
	if r.Err != nil {
		w.logf("%s: epoch %d: %s", m.name, c.in.Epoch, r.Err.Message)
		switch r.Err.Error {
		case kerr.CoordinatorNotAvailable:
		case kerr.UnknownMemberID, kerr.FencedMemberEpoch, kerr.GroupIDNotFound, kerr.FencedInstanceID, kerr.UnreleasedInstanceID:
			w.forget(m)
		default:
			w.fail("%s: unexpected %v: %s", m.name, r.Err.Message, r.Err.Text)
		}
		return
	}
	m.joined, m.epoch = true, r.Epoch
	if !r.Assigned {
		return
	}
	assigned := map[Partition]bool{}
	for _, p := range flat(r.Assignment) {
		assigned[p] = true
		m.reading[p] = true
	}
	m.drop = map[Partition]bool{}
	for p := range m.reading {
		if !assigned[p] {
			m.drop[p] = true
		}
	}
	m.dropAt = w.now.Add(time.Duration(w.rand.IntN(3000)) * time.Millisecond)
	if !w.calm && w.rand.IntN(30) == 0 {
		m.dropAt = w.now.Add(time.Duration(w.rand.IntN(30)) * time.Second)
	}
	w.logf("%s: epoch %d reads %s gives %d", m.name, m.epoch, w.cluster.show(flat(r.Assignment)), len(m.drop))
}

func (w *consumerSim) check() {
	checkOwners(w.t, w.g)
	for _, m := range w.members {
		if w.g.modern == nil {
			break
		}
		member := w.g.modern.members[m.id]
		if member == nil || !m.joined {
			continue // it will learn that it is not in the group any more
		}
		for p := range m.reading {
			if !holds(member.cur.Assigned, p) && !holds(member.cur.Revoking, p) {
				w.fail("%s reads %v, which the group does not know it to hold", m.id, p)
			}
		}
	}
	for _, c := range w.calls {
		if w.now.Sub(c.at) > 30*time.Second {
			w.fail("%s waits since %v", c.m.name, w.now.Sub(c.at))
		}
	}
	if len(w.writes) == 0 && w.g.modern != nil && w.rand.IntN(20) == 0 {
		again, _ := w.disk.restore(&w.cfg, w.now, w.cluster)
		if again.modern == nil || again.modern.image(w.cluster) != w.g.modern.image(w.cluster) {
			w.fail("memory is\n%sdisk is\n%v", w.g.modern.image(w.cluster), again.modern)
		}
	}
}

// settle lets everybody behave for as long as any time-out lasts.
func (w *consumerSim) settle() {
	w.calm = true
	for _, m := range w.members {
		m.silent = time.Time{}
	}
	w.run(900)
	if w.t.Failed() {
		return
	}
	if s := w.g.State(); s != Stable {
		w.fail("after a long calm the group is %v:\n%s", s, w.g.modern.image(w.cluster))
		return
	}
	readers := map[Partition]string{}
	wanted := map[string]bool{}
	for _, m := range w.members {
		for p := range m.reading {
			if other := readers[p]; other != "" {
				w.fail("%v is read by %s and %s", p, other, m.name)
			}
			readers[p] = m.name
		}
		for name := range w.cluster.topics {
			if slices.Contains(m.topics, name) || m.regex == "t.*" || m.regex == "t[13]" && name != "t2" {
				wanted[name] = true
			}
		}
	}
	for name := range wanted {
		for p := range w.cluster.topics[name].partitions {
			if readers[Partition{Topic: w.cluster.topics[name].id, Index: p}] == "" {
				w.fail("%s/%d is read by nobody", name, p)
			}
		}
	}
}
