package group

import (
	"hash/fnv"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"millrace/broker/internal/assignor"
)

// modern is the membership of a group where the broker assigns (KIP-848, KIP-932):
//
//	subscriptions, topics ──▶ group epoch ──▶ target assignment ──▶ each member's current assignment
//	      (a change bumps)        (a higher one recomputes)     (heartbeat by heartbeat)
//
// It changes by records alone: [Group.emit] applies one here and has it written. So
// what is in memory is what is on disk, replayed.
type modern struct {
	epoch    int32
	hash     int64 // of the topics that are read
	seen     int64 // the version of the metadata that hash was computed from
	assigned TargetEpoch

	members map[string]*modernMember
	static  map[string]string // instance → member
	targets map[string][]Partition
	owners  map[Partition]string // who has a partition, or has not given it back yet
	regexes map[string]*Resolved

	// Of share groups: the partitions that have a state, and the names of their topics, and
	// whether, as of seen, all that is read has one and a member.
	initialized map[Partition]bool
	names       map[TopicID]string
	settled     bool

	reads map[string]bool // the topics that members subscribe to; nil: to be gathered
}

// modernMember is a member. What its pointers show does not change.
type modernMember struct {
	id  string
	sub *Subscription
	cur *Current

	session   time.Time // when it is taken for gone
	rebalance time.Time // until when it has to give partitions back, zero: nothing to give back
	rejoin    time.Time // until when a classic member has to join again
	sync      time.Time // until when a classic member has to send its sync
}

// newModern is a membership without members. Its epoch is 1 and the first member's 2, as in
// Kafka: a member in epoch 0 is one that joins, and one in epoch 1 would look much like it.
func newModern() *modern {
	return &modern{
		epoch: 1, seen: -1, members: map[string]*modernMember{}, static: map[string]string{}, targets: map[string][]Partition{},
		owners: map[Partition]string{}, regexes: map[string]*Resolved{},
	}
}

// member returns a member, nil if there is none.
func (m *modern) member(id string) *modernMember { return m.members[id] }

// ids lists the members in order.
func (m *modern) ids() []string { return slices.Sorted(maps.Keys(m.members)) }

// apply takes a record in, and returns how to take it back.
func (m *modern) apply(r Record) (undo func()) {
	switch r := r.(type) {
	case EpochRecord:
		epoch, hash := m.epoch, m.hash
		if r.GroupEpoch != nil {
			m.epoch, m.hash = r.Epoch, r.Hash
		}
		return func() { m.epoch, m.hash = epoch, hash }
	case TargetEpochRecord:
		before := m.assigned
		if r.TargetEpoch != nil {
			m.assigned = *r.TargetEpoch
		}
		return func() { m.assigned = before }
	case TargetRecord:
		before, had := m.targets[r.Member]
		if r.Target != nil {
			m.targets[r.Member] = r.Partitions
		} else {
			delete(m.targets, r.Member)
		}
		return func() { putBack(m.targets, r.Member, before, had) }
	case RegexRecord:
		before, had := m.regexes[r.Regex]
		if r.Resolved != nil {
			m.regexes[r.Regex] = r.Resolved
		} else {
			delete(m.regexes, r.Regex)
		}
		m.reads = nil
		return func() { putBack(m.regexes, r.Regex, before, had); m.reads = nil }
	case MemberRecord:
		return m.applyMember(r)
	case CurrentRecord:
		return m.applyCurrent(r)
	case StateRecord:
		return m.applyState(r)
	}
	return func() {}
}

func putBack[K comparable, V any](in map[K]V, k K, v V, had bool) {
	if had {
		in[k] = v
	} else {
		delete(in, k)
	}
}

func (m *modern) applyMember(r MemberRecord) (undo func()) {
	m.reads = nil
	member := m.members[r.Member]
	if r.Subscription == nil {
		if member == nil {
			return func() {}
		}
		instance := member.sub.Instance
		delete(m.members, r.Member)
		_, had := m.static[instance]
		if m.static[instance] == r.Member {
			delete(m.static, instance)
		}
		return func() {
			m.members[r.Member] = member
			if had {
				m.static[instance] = r.Member
			}
			m.reads = nil
		}
	}
	before, had := m.static[r.Instance]
	if r.Instance != "" {
		m.static[r.Instance] = r.Member
	}
	unname := func() {
		if r.Instance != "" {
			putBack(m.static, r.Instance, before, had)
		}
		m.reads = nil
	}
	if member == nil {
		m.members[r.Member] = &modernMember{id: r.Member, sub: r.Subscription, cur: &Current{}}
		return func() { delete(m.members, r.Member); unname() }
	}
	old := member.sub
	member.sub = r.Subscription
	return func() { member.sub = old; unname() }
}

func (m *modern) applyCurrent(r CurrentRecord) (undo func()) {
	member := m.members[r.Member]
	if member == nil {
		return func() {} // of a record that is followed by the tombstone of its member
	}
	old := member.cur
	next := r.Current
	if next == nil {
		next = &Current{}
	}
	shared := r.Kind == Share // several members have a partition: nobody owns it
	swap := func(from, to *Current) {
		member.cur = to
		if shared {
			return
		}
		m.release(r.Member, from)
		m.claim(r.Member, to)
	}
	swap(old, next)
	return func() { swap(next, old) }
}

func (m *modern) release(id string, c *Current) {
	for _, h := range []Held{c.Assigned, c.Revoking} {
		for p := range h {
			if m.owners[p] == id {
				delete(m.owners, p)
			}
		}
	}
}

func (m *modern) claim(id string, c *Current) {
	for _, h := range []Held{c.Assigned, c.Revoking} {
		for p := range h {
			m.owners[p] = id
		}
	}
}

// topicsOf lists the names that a member subscribes to, sorted, each once.
func (m *modern) topicsOf(s *Subscription) []string {
	r := m.regexes[s.Regex]
	if s.Regex == "" || r == nil {
		return s.Topics
	}
	names := append(slices.Clone(s.Topics), r.Topics...)
	slices.Sort(names)
	return slices.Compact(names)
}

// subscribed returns the names that any member subscribes to.
func (m *modern) subscribed() map[string]bool {
	if m.reads == nil {
		m.reads = map[string]bool{}
		for _, member := range m.members {
			for _, t := range m.topicsOf(member.sub) {
				m.reads[t] = true
			}
		}
	}
	return m.reads
}

// hashOf tells whether the topics that are read have changed: a new id, a new number of
// partitions, one more or one less. Zero: there are none.
func (m *modern) hashOf(c Cluster) int64 {
	h := fnv.New64a()
	found := false
	for _, name := range slices.Sorted(maps.Keys(m.subscribed())) {
		id, n, ok := c.Topic(name)
		if !ok {
			continue
		}
		found = true
		_, _ = h.Write([]byte(name))
		_, _ = h.Write(id[:])
		_, _ = h.Write([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
	}
	if !found {
		return 0
	}
	return int64(h.Sum64())
}

// state is where the group stands, as ConsumerGroupDescribe tells it.
func (m *modern) state(kind Kind) State {
	switch {
	case len(m.members) == 0:
		return Empty
	case kind == Share:
		return Stable
	case m.epoch > m.assigned.Epoch:
		return Assigning
	}
	for _, member := range m.members {
		if member.cur.State != MemberStable || member.cur.Epoch != m.assigned.Epoch {
			return Reconciling
		}
	}
	return Stable
}

// emit applies a record and has it written with the others of this step.
func (g *Group) emit(r Record) {
	if g.modern != nil {
		g.undo = append(g.undo, g.modern.apply(r))
	}
	g.batch = append(g.batch, r)
}

// rollBack takes back what was emitted since the last commit.
func (g *Group) rollBack() {
	for _, undo := range slices.Backward(g.undo) {
		undo()
	}
	g.undo, g.batch = nil, nil
}

// commit has what was emitted written, and calls done when it is durable, or when it
// has been taken back because it cannot be. Until then what concerns the membership
// waits: nothing is built on what may not last. With nothing to write, done is called at once.
func (g *Group) commit(done func(err *kerr.Error)) {
	batch := g.batch
	if len(batch) == 0 {
		g.undo = nil
		done(nil)
		return
	}
	g.batch = nil
	g.busy = true
	g.persist(batch, func(err *kerr.Error) {
		if err != nil {
			g.rollBack()
		}
		g.undo = nil
		g.busy = false
		g.settleState()
		done(err)
		g.unpark()
	})
}

// unpark handles what has waited and need not wait any more.
func (g *Group) unpark() {
	for {
		i := slices.IndexFunc(g.parkedIn, func(in Input) bool { return !g.mustWait(in) })
		if i < 0 {
			break
		}
		in := g.parkedIn[i]
		g.parkedIn = slices.Delete(g.parkedIn, i, i+1)
		g.handle(in)
	}
	if !g.busy && g.tickDue {
		g.tickDue = false
		g.onTick()
	}
}

// mustWait tells whether an input has to wait: for a write, or for states that are being made,
// if it may do away with them.
func (g *Group) mustWait(in Input) bool {
	switch in.(type) {
	case ShareAdmin, Delete, Expire:
		if len(g.initializing) > 0 {
			return true
		}
	}
	return g.busy && waits(in)
}

// waits tells whether an input has to wait while the membership is being written.
func waits(in Input) bool {
	switch in.(type) {
	case ConsumerHeartbeat, ShareHeartbeat, ShareInitialized, ShareAdmin, Join, Sync, Heartbeat, Leave, Delete, Expire:
		return true
	}
	return false
}

// settleState brings the state that offsets and deletion go by in line.
func (g *Group) settleState() {
	if g.modern == nil || g.state == Dead {
		return
	}
	state := Stable
	if len(g.modern.members) == 0 {
		state = Empty
	}
	if state != g.state {
		g.become(state)
		if state == Empty {
			g.event(Event{Kind: GroupEmpty})
		}
	}
}

// Observe tells the group what the cluster is like now. Call it before Step.
func (g *Group) Observe(c Cluster) { g.cluster = c }

// assignFunc is the assignor of that name.
func (g *Group) assignFunc() assignor.Func {
	if g.kind == Share {
		return assignor.Simple
	}
	return assignor.ByName(g.assignorName())
}

// assignorName picks the assignor that most members ask for; of equals, and where
// nobody asks, the broker's first.
func (g *Group) assignorName() string {
	if g.kind == Share {
		return assignor.SimpleName
	}
	votes := map[string]int{}
	for _, member := range g.modern.members {
		if member.sub.Assignor != "" {
			votes[member.sub.Assignor]++
		}
	}
	best := g.cfg.Assignors[0]
	for _, name := range g.cfg.Assignors[1:] {
		if votes[name] > votes[best] {
			best = name
		}
	}
	return best
}
