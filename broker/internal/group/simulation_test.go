package group

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// TestSimulation lets many members do what members do, at random: join, fall silent,
// leave, restart, change their subscription; while the disk is slow, fails now and
// then, and the broker is killed. Whatever happens:
//
//   - a partition has one owner in a generation, and generations that are handed out grow;
//   - a parked request is answered within the time-outs;
//   - an offset whose commit was acknowledged is not lost;
//   - writes are asked for in order, and each request is answered once;
//   - when all behave for a while, the group is stable and every partition has an owner.
func TestSimulation(t *testing.T) {
	t.Parallel()
	seeds := 80
	if testing.Short() {
		seeds = 20
	}
	for seed := range seeds {
		s := newSim(t, uint64(seed))
		s.run(3000)
		s.settle()
		if t.Failed() {
			t.Fatalf("seed %d:\n%s", seed, s.history())
		}
	}
}

const simPartitions = 12

type sim struct {
	t    *testing.T
	rand *rand.Rand
	cfg  Config
	g    *Group
	now  time.Time

	members []*simMember
	calls   map[Ref]*simCall
	ref     Ref
	nextID  int

	disk    []Record
	writes  []simWrite
	lastSeq uint64
	calm    bool // no faults any more

	owners    map[int32]map[int]string // generation → partition → instance or client
	delivered int32                    // highest generation handed out
	acked     [simPartitions]int64     // highest acknowledged commit of a partition
	log       []string
}

type simWrite struct {
	p   Persist
	due time.Time
}

type simMember struct {
	name       string
	instance   string
	old        bool
	protocols  []string
	id         string
	generation int32
	stable     bool // has its assignment
	mine       []int
	waiting    bool // for an answer
	silentTill time.Time
	nextBeat   time.Time
	gone       bool
	incarnate  int // answers to a former process do not count
	position   int64
	leads      bool
	skip       bool
	others     []JoinedMember
}

type simCall struct {
	m         *simMember
	incarnate int
	in        Input
	at        time.Time
	offsets   []CommitOffset
}

func newSim(t *testing.T, seed uint64) *sim {
	t.Helper()
	s := &sim{
		t: t, rand: rand.New(rand.NewPCG(seed, 1)), cfg: DefaultConfig(), now: time.Unix(1_000_000_000, 0),
		calls: map[Ref]*simCall{}, owners: map[int32]map[int]string{},
	}
	s.cfg.InitialRebalanceDelay = time.Duration(s.rand.IntN(3)) * 500 * time.Millisecond
	s.g = New("g", &s.cfg, s.now)
	for i := range 2 + s.rand.IntN(7) {
		m := &simMember{name: fmt.Sprint("m", i), generation: -1, old: s.rand.IntN(3) == 0, protocols: []string{"range", "sticky"}}
		if s.rand.IntN(3) == 0 {
			m.instance = fmt.Sprint("i", i)
		}
		if s.rand.IntN(2) == 0 {
			m.protocols = []string{"sticky", "range"}
		}
		s.members = append(s.members, m)
	}
	return s
}

func (s *sim) logf(format string, args ...any) {
	s.log = append(s.log, s.now.Format("05.000 ")+fmt.Sprintf(format, args...))
}

func (s *sim) history() string { return strings.Join(s.log[max(0, len(s.log)-60):], "\n") }

func (s *sim) fail(format string, args ...any) {
	s.t.Errorf(format, args...)
	s.logf("FAIL "+format, args...)
}

// run takes n steps of 100 ms.
func (s *sim) run(n int) {
	for range n {
		if s.t.Failed() {
			return
		}
		s.now = s.now.Add(100 * time.Millisecond)
		s.flush()
		if at := s.g.Deadline(); !at.IsZero() && !at.After(s.now) {
			s.step(Tick{})
		}
		for _, m := range s.members {
			s.act(m)
		}
		if !s.calm && s.rand.IntN(1500) == 0 {
			s.crash()
		}
		if s.rand.IntN(600) == 0 {
			s.step(Expire{})
		}
		s.checkWaiting()
	}
}

// settle lets everybody behave for as long as any time-out lasts.
func (s *sim) settle() {
	s.calm = true
	for _, m := range s.members {
		m.silentTill = time.Time{}
		m.gone = m.gone && m.instance == ""
	}
	live := 0
	for _, m := range s.members {
		if !m.gone {
			live++
		}
	}
	s.run(1500)
	if s.t.Failed() || live == 0 {
		return
	}
	if s.g.State() != Stable {
		s.fail("after a long calm the group is %v", s.g.State())
		return
	}
	owned := map[int]string{}
	for _, m := range s.members {
		if m.gone {
			continue
		}
		if !m.stable || m.generation != s.g.generation {
			s.fail("after a long calm %s is not in the group: stable %v, generation %d of %d", m.name, m.stable, m.generation, s.g.generation)
		}
		for _, p := range m.mine {
			if owned[p] != "" {
				s.fail("partition %d belongs to %s and %s", p, owned[p], m.name)
			}
			owned[p] = m.name
		}
	}
	if len(owned) != simPartitions {
		s.fail("only %d of %d partitions have an owner", len(owned), simPartitions)
	}
}

// act lets a member do something.
func (s *sim) act(m *simMember) {
	if m.gone || s.now.Before(m.silentTill) {
		return
	}
	if !s.calm {
		switch s.rand.IntN(1200) {
		case 0: // a long pause
			m.silentTill = s.now.Add(time.Duration(s.rand.IntN(25)) * time.Second)
			s.logf("%s falls silent", m.name)
			return
		case 1:
			s.restart(m)
			return
		case 2:
			if m.id != "" && m.instance == "" {
				s.send(m, Leave{Members: []Leaving{{MemberID: m.id}}})
				m.incarnate++
				m.waiting, m.id, m.stable, m.generation = false, "", false, -1
				m.silentTill = s.now.Add(time.Duration(s.rand.IntN(20)) * time.Second)
				return
			}
		case 3:
			m.protocols = [][]string{{"range"}, {"range", "sticky"}, {"sticky", "range"}}[s.rand.IntN(3)]
			m.stable = false
		}
	}
	if m.waiting {
		return
	}
	if !m.stable {
		s.join(m)
		return
	}
	if !s.now.Before(m.nextBeat) {
		m.nextBeat = s.now.Add(time.Second)
		s.send(m, Heartbeat{MemberID: m.id, InstanceID: m.instance, Generation: m.generation})
	}
	if len(m.mine) > 0 && s.rand.IntN(10) == 0 {
		p := m.mine[s.rand.IntN(len(m.mine))]
		m.position++
		// Offsets never repeat: the counter is the simulation's time.
		o := s.now.UnixMilli()*100 + m.position%100
		s.send(m, Commit{MemberID: m.id, InstanceID: m.instance, Generation: m.generation, Offsets: []CommitOffset{
			{TopicPartition: TopicPartition{"t", int32(p)}, Offset: o},
		}})
	}
}

// restart is kill -9 of a client, and its start.
func (s *sim) restart(m *simMember) {
	s.logf("%s restarts", m.name)
	m.incarnate++
	m.waiting, m.id, m.stable, m.generation = false, "", false, -1
}

func (s *sim) join(m *simMember) {
	in := Join{
		MemberID: m.id, InstanceID: m.instance, ClientID: m.name, SessionTimeout: 10 * time.Second, RebalanceTimeout: 20 * time.Second,
		ProtocolType: "consumer", RequireMemberID: !m.old, CanSkipAssignment: !m.old,
	}
	for _, p := range m.protocols {
		in.Protocols = append(in.Protocols, Protocol{p, encodeSubscription([]string{"t"})})
	}
	s.nextID++
	in.NewMemberID = fmt.Sprintf("%s-%d", m.name, s.nextID)
	m.waiting = true
	s.send(m, in)
}

func (s *sim) send(m *simMember, in Input) {
	s.ref++
	c := &simCall{m: m, incarnate: m.incarnate, at: s.now}
	switch v := in.(type) {
	case Join:
		v.Ref = s.ref
		in = v
	case Sync:
		v.Ref = s.ref
		in = v
	case Heartbeat:
		v.Ref = s.ref
		in = v
	case Leave:
		v.Ref = s.ref
		in = v
	case Commit:
		v.Ref = s.ref
		c.offsets = v.Offsets
		in = v
	}
	c.in = in
	s.calls[s.ref] = c
	s.step(in)
}

func (s *sim) step(in Input) { s.do(s.g.Step(s.now, in)) }

func (s *sim) do(effects Effects) {
	for _, e := range effects {
		switch e := e.(type) {
		case Event:
			if e.Kind != OffsetsCommitted {
				s.logf("  [%s %s%s gen %d]", e.Kind, e.Member, e.Reason, e.Generation)
			}
		case Persist:
			if e.Seq != s.lastSeq+1 {
				s.fail("write %d follows %d", e.Seq, s.lastSeq)
			}
			s.lastSeq = e.Seq
			due := s.now.Add(time.Duration(s.rand.IntN(400)) * time.Millisecond)
			s.writes = append(s.writes, simWrite{e, due})
		case Reply:
			c := s.calls[e.Ref]
			if c == nil {
				s.fail("request %d is answered twice, or was never asked", e.Ref)
				return
			}
			delete(s.calls, e.Ref)
			s.answer(c, e.Body)
		}
	}
}

// flush reports the writes whose time has come, in order.
func (s *sim) flush() {
	for len(s.writes) > 0 && !s.writes[0].due.After(s.now) {
		w := s.writes[0]
		s.writes = s.writes[1:]
		if !s.calm && s.rand.IntN(50) == 0 {
			s.logf("write %d fails", w.p.Seq)
			s.step(Persisted{w.p.Seq, kerr.CoordinatorNotAvailable})
			continue
		}
		s.disk = append(s.disk, w.p.Records...)
		s.step(Persisted{w.p.Seq, nil})
	}
}

// crash is kill -9 of the broker. Of what was being written, some may be there.
func (s *sim) crash() {
	s.logf("broker crashes")
	for n := s.rand.IntN(len(s.writes) + 1); n > 0; n-- {
		s.disk = append(s.disk, s.writes[0].p.Records...)
		s.writes = s.writes[1:]
	}
	s.writes, s.lastSeq = nil, 0
	var md *Metadata
	offsets := map[TopicPartition]Offset{}
	for _, r := range s.disk {
		switch r := r.(type) {
		case Metadata:
			md = &r
		case MetadataTombstone:
			md = nil
		case OffsetRecord:
			offsets[r.TopicPartition] = r.Offset
		case OffsetTombstone:
			delete(offsets, r.TopicPartition)
		}
	}
	g, effects := Restore("g", &s.cfg, s.now, md, offsets)
	s.g = g
	for p, acked := range s.acked {
		if got := g.offsets[TopicPartition{"t", int32(p)}].Offset; got < acked {
			s.fail("partition %d: offset %d was acknowledged, after the crash it is %d", p, acked, got)
		}
	}
	// Connections are gone, and with them the requests.
	s.calls = map[Ref]*simCall{}
	for _, m := range s.members {
		m.waiting = false
	}
	s.do(effects)
}

// checkWaiting looks for requests that are parked longer than time-outs allow.
func (s *sim) checkWaiting() {
	for _, c := range s.calls {
		limit := 45 * time.Second // rebalance time-out twice, and the disk
		if c.incarnate != c.m.incarnate {
			limit = s.cfg.NewMemberJoinTimeout + time.Minute // nobody waits for it any more
		}
		if s.now.Sub(c.at) > limit {
			s.fail("%s waits since %v for %T; the group is %v", c.m.name, s.now.Sub(c.at), c.in, s.g.State())
		}
	}
}

func (s *sim) answer(c *simCall, body any) {
	m := c.m
	current := c.incarnate == m.incarnate
	switch r := body.(type) {
	case JoinReply:
		if current {
			s.joined(m, r)
		}
	case SyncReply:
		in := c.in.(Sync)
		if r.Err == nil {
			s.assigned(m, in.Generation, r.Assignment, current)
		}
		if !current {
			return
		}
		m.waiting = false
		if r.Err != nil {
			s.logf("%s: sync %s", m.name, r.Err.Message)
			s.lost(m, r.Err)
			return
		}
		m.stable, m.mine, m.nextBeat = true, simParse(r.Assignment), s.now
	case HeartbeatReply:
		if current && r.Err != nil {
			s.logf("%s: heartbeat %s", m.name, r.Err.Message)
			s.lost(m, r.Err)
		}
	case CommitReply:
		if r.Err == nil && r.Offsets[0] == nil {
			o := c.offsets[0]
			s.acked[o.Partition] = max(s.acked[o.Partition], o.Offset)
		} else if current && r.Err != nil {
			s.lost(m, r.Err)
		}
	}
}

func (s *sim) joined(m *simMember, r JoinReply) {
	m.waiting = false
	if r.Err != nil {
		s.logf("%s: join %s", m.name, r.Err.Message)
		if r.Err == kerr.MemberIDRequired {
			m.id = r.MemberID
			return
		}
		s.lost(m, r.Err)
		return
	}
	m.id, m.generation, m.leads, m.skip, m.others = r.MemberID, r.Generation, r.LeaderID == r.MemberID, r.SkipAssignment, r.Members
	s.logf("%s: joined %d as %s leads=%v skip=%v", m.name, r.Generation, m.id, m.leads, m.skip)
	if s.rand.IntN(40) == 0 && !s.calm {
		m.silentTill = s.now.Add(time.Duration(s.rand.IntN(30)) * time.Second)
		m.stable = false
		return // never syncs
	}
	in := Sync{MemberID: m.id, InstanceID: m.instance, Generation: m.generation, ProtocolType: r.ProtocolType, Protocol: r.Protocol}
	if m.leads && !m.skip {
		parts := make([][]string, len(m.others))
		for p := range simPartitions {
			i := (p + int(m.generation)) % len(m.others)
			parts[i] = append(parts[i], strconv.Itoa(p))
		}
		for i, o := range m.others {
			in.Assignments = append(in.Assignments, Assignment{o.MemberID, []byte(strings.Join(parts[i], " "))})
		}
	}
	m.waiting = true
	s.send(m, in)
}

func simParse(b []byte) (out []int) {
	for _, f := range strings.Fields(string(b)) {
		n, _ := strconv.Atoi(f)
		out = append(out, n)
	}
	return out
}

// assigned checks that nobody else has been given these partitions in this generation.
func (s *sim) assigned(m *simMember, generation int32, assignment []byte, current bool) {
	if current && generation < s.delivered && m.generation == generation {
		s.fail("%s is handed generation %d after %d", m.name, generation, s.delivered)
	}
	s.delivered = max(s.delivered, generation)
	if s.owners[generation] == nil {
		s.owners[generation] = map[int]string{}
	}
	for _, p := range simParse(assignment) {
		if o := s.owners[generation][p]; o != "" && o != m.name {
			s.fail("generation %d: partition %d belongs to %s and %s", generation, p, o, m.name)
		}
		s.owners[generation][p] = m.name
	}
}

// lost is what clients do about errors.
func (s *sim) lost(m *simMember, err *kerr.Error) {
	switch err {
	case kerr.RebalanceInProgress, kerr.CoordinatorNotAvailable, kerr.NotCoordinator:
		m.stable = false
	case kerr.IllegalGeneration:
		m.stable, m.generation = false, -1
	case kerr.UnknownMemberID, kerr.FencedInstanceID:
		m.stable, m.generation, m.id = false, -1, ""
	case kerr.InconsistentGroupProtocol:
		m.protocols = []string{"range", "sticky"}
		m.stable = false
	default:
		s.fail("%s: unexpected %v", m.name, err)
	}
}
