package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Group is one consumer group. It is not safe for concurrent use.
type Group struct {
	id      string
	cfg     *Config
	cluster Cluster                 // as of the input that is being handled
	visible func(topic string) bool // to whom sent the last heartbeat; nil: all

	kind   Kind
	modern *modern // nil while kind is Classic; all below about members is then unused

	// While the membership is being written (busy), inputs about it wait.
	busy         bool
	initializing map[Partition]bool // of a share group: states of these are being made
	parkedIn     []Input
	tickDue      bool
	batch        []Record // emitted in this step
	undo         []func() // takes back what was emitted
	rejoinAll    string   // why, once the write that is under way is durable, all have to join again

	state      State
	stateSince time.Time // zero: not known

	generation   int32
	protocolType string // empty: only offsets are kept here
	protocol     *string
	leader       string // member id, empty: none

	members []*member // in the order they came
	byID    map[string]*member
	static  map[string]*member   // by instance id
	pending map[string]time.Time // ids given out that have not come back (KIP-394), and when they lapse
	offered map[string]int       // how many members offer a protocol

	// subscribed is what the members of this generation read; nil: not known.
	subscribed map[string]bool

	offsets map[TopicPartition]Offset
	writing map[TopicPartition]int // commits under way, by partition

	uncommitted PendingOffsets
	order       uint64 // of the last offset that was committed, in a transaction or not

	joinTimer joinTimer
	syncTimer time.Time // when members that have not synced are dropped
	next      time.Time // no timer is due before; zero: none runs

	known     bool // has been joined, committed to or loaded: exists for clients
	deleting  bool // its tombstones are being written
	assigning bool // the leader's assignment for this generation is being written

	seq    uint64
	writes []write // under way, in order

	now time.Time // of the input that is being handled
	out Effects
}

// joinTimer ends the joining phase.
type joinTimer struct {
	at time.Time // zero: not running
	// initial is set while a formerly empty group waits for more members: delay is the
	// wait that is running, remaining what may follow, newMember whether anyone came
	// in the meantime.
	initial          bool
	delay, remaining time.Duration
	newMember        bool
}

// write is a [Persist] under way. done is called once, with the group as it is then.
type write struct {
	seq  uint64
	done []func(err *kerr.Error)
}

// New returns an empty group that nobody has joined. cfg is shared, and not changed.
func New(id string, cfg *Config, now time.Time) *Group {
	return &Group{
		id: id, cfg: cfg, cluster: nowhere{}, state: Empty, stateSince: now, now: now,
		byID: map[string]*member{}, static: map[string]*member{}, pending: map[string]time.Time{},
		offered: map[string]int{}, offsets: map[TopicPartition]Offset{}, writing: map[TopicPartition]int{}, uncommitted: PendingOffsets{},
	}
}

// ID returns the group's name.
func (g *Group) ID() string { return g.id }

// Kind returns the protocol of the group's members.
func (g *Group) Kind() Kind { return g.kind }

// State returns where the group stands.
func (g *Group) State() State {
	if g.modern != nil && g.state != Dead {
		return g.modern.state(g.kind)
	}
	return g.state
}

// Known reports whether the group exists for clients. One that was made only to
// answer a request that did not create it may be dropped.
func (g *Group) Known() bool { return g.known || g.busy }

// Deadline returns when a [Tick] is due, zero if never. It may be early: sessions
// are prolonged without moving it.
func (g *Group) Deadline() time.Time { return g.next }

// Step feeds one input to the group. It does no I/O. What has to happen next is
// returned in order; the caller does it and must not reorder it.
func (g *Group) Step(now time.Time, in Input) Effects {
	g.now, g.out = now, nil
	g.handle(in)
	out := g.out
	g.out = nil
	return out
}

func (g *Group) handle(in Input) {
	if g.mustWait(in) {
		g.parkedIn = append(g.parkedIn, in)
		return
	}
	switch in := in.(type) {
	case ConsumerHeartbeat:
		g.onConsumerHeartbeat(in)
	case ShareHeartbeat:
		g.onShareHeartbeat(in)
	case ShareInitialized:
		g.onShareInitialized(in)
	case ShareAdmin:
		g.onShareAdmin(in)
	case Join:
		g.routeJoin(in)
	case Sync:
		g.routeSync(in)
	case Heartbeat:
		g.reply(in.Ref, HeartbeatReply{Err: g.routeHeartbeat(in)})
	case Leave:
		g.routeLeave(in)
	case Commit:
		g.onCommit(in)
	case EndTxn:
		g.onEndTxn(in)
	case Fetch:
		g.onFetch(in)
	case DeleteOffsets:
		g.onDeleteOffsets(in)
	case DropTopics:
		g.onDropTopics(in)
	case Delete:
		g.onDelete(in)
	case Expire:
		g.onExpire()
	case Persisted:
		g.onPersisted(in)
	case Tick:
		g.onTick()
	}
}

// routeJoin and its neighbours hand the classic requests to what the group is.
func (g *Group) routeJoin(in Join) {
	switch {
	case g.kind == Share:
		g.refuseJoin(in, in.MemberID, kerr.InconsistentGroupProtocol)
	case g.kind == Consumer && len(g.modern.members) > 0:
		g.consumerJoin(in)
	case g.kind == Consumer && !g.deleting && g.state != Dead:
		g.startClassic()
		g.commit(func(err *kerr.Error) {
			if err != nil {
				g.refuseJoin(in, in.MemberID, err)
				return
			}
			g.onJoin(in)
		})
	default:
		g.onJoin(in)
	}
}

func (g *Group) routeSync(in Sync) {
	switch g.kind {
	case Share:
		g.reply(in.Ref, SyncReply{Err: kerr.UnknownMemberID})
	case Consumer:
		g.consumerSync(in)
	default:
		g.onSync(in)
	}
}

func (g *Group) routeHeartbeat(in Heartbeat) *kerr.Error {
	switch g.kind {
	case Share:
		return kerr.UnknownMemberID
	case Consumer:
		return g.consumerHeartbeat(in)
	default:
		return g.onHeartbeat(in)
	}
}

func (g *Group) routeLeave(in Leave) {
	switch g.kind {
	case Share:
		g.reply(in.Ref, LeaveReply{Err: kerr.UnknownMemberID})
	case Consumer:
		g.consumerLeaveGroup(in)
	default:
		g.onLeave(in)
	}
}

func (g *Group) reply(ref Ref, body any) { g.out = append(g.out, Reply{ref, body}) }

func (g *Group) event(e Event) {
	e.Generation = g.generation
	if g.modern != nil {
		e.Generation = g.modern.epoch
	}
	g.out = append(g.out, e)
}

func (g *Group) become(s State) {
	g.state, g.stateSince = s, g.now
}

// persist asks for records to be written and calls done when they are durable or
// cannot be.
func (g *Group) persist(records []Record, done func(err *kerr.Error)) {
	g.persistFor(nil, records, done)
}

// persistFor is persist for records that count once the producer's transaction is committed.
func (g *Group) persistFor(p *Producer, records []Record, done func(err *kerr.Error)) {
	g.seq++
	g.known = true
	g.writes = append(g.writes, write{g.seq, []func(*kerr.Error){done}})
	g.out = append(g.out, Persist{g.seq, records, p})
}

// afterWrites calls f when all that is under way is durable: at once if nothing is.
func (g *Group) afterWrites(f func(err *kerr.Error)) {
	if n := len(g.writes); n > 0 {
		g.writes[n-1].done = append(g.writes[n-1].done, f)
		return
	}
	f(nil)
}

func (g *Group) onPersisted(in Persisted) {
	if len(g.writes) == 0 || g.writes[0].seq != in.Seq {
		panic("group: writes reported out of order")
	}
	w := g.writes[0]
	g.writes = g.writes[1:]
	for _, done := range w.done {
		done(in.Err)
	}
}
