package sharestate

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"millrace/broker/internal/share"
)

// Key names one partition of one share group.
type Key struct {
	Group     string
	Topic     [16]byte
	Partition int32
}

// String is the key as Kafka writes it; its hash chooses the partition of the topic.
func (k Key) String() string {
	return k.Group + ":" + base64.RawURLEncoding.EncodeToString(k.Topic[:]) + ":" + strconv.Itoa(int(k.Partition))
}

// ParseKey reads GROUP:TOPIC_ID:PARTITION; a group's name may have colons.
func ParseKey(s string) (Key, error) {
	bad := func() (Key, error) {
		return Key{}, fmt.Errorf("%q is not GROUP:TOPIC_ID:PARTITION", s)
	}
	rest, partition, ok := cutLast(s)
	if !ok {
		return bad()
	}
	group, topic, ok := cutLast(rest)
	if !ok || group == "" {
		return bad()
	}
	id, err := base64.RawURLEncoding.DecodeString(topic)
	if err != nil || len(id) != 16 {
		return bad()
	}
	n, err := strconv.ParseInt(partition, 10, 32)
	if err != nil || n < 0 {
		return bad()
	}
	return Key{group, [16]byte(id), int32(n)}, nil
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

// Uninitialized is the start of a partition that has none yet: the group's
// share.auto.offset.reset decides when it is read.
const Uninitialized int64 = -1

// State is what is kept of a partition.
type State struct {
	Epoch       int32 // of the state
	LeaderEpoch int32
	Start       int64
	Complete    int32 // records from Start on that are done (KIP-1226); -1: not known
	Batches     []share.Batch

	SnapshotEpoch int32
	Created       time.Time
	Written       time.Time
}

// Machine is the state of one partition of one share group. It is not safe for concurrent use.
type Machine struct {
	key   Key
	state *State // nil: there is none

	next    *State // being written; nil with writing: a tombstone is
	writing bool
	seq     uint64
	refs    []Ref   // who is told when it is durable
	queued  []Input // come in since
	out     []any
}

// Ref names a request that waits for an answer.
type Ref uint64

// Input is one of the types below.
type Input any

// Inputs. Each is answered with an [Answer].
type (
	// Initialize gives a partition a start, and forgets what was known of it.
	Initialize struct {
		Ref   Ref
		Epoch int32
		Start int64
	}
	// Write takes in what has changed.
	Write struct {
		Ref         Ref
		Epoch       int32
		LeaderEpoch int32
		Start       int64 // -1: as it was
		Complete    int32 // -1: as the batches tell
		Batches     []share.Batch
	}
	// Read returns what is known, and from then on refuses leaders of earlier epochs.
	Read struct {
		Ref         Ref
		LeaderEpoch int32
	}
	// Summary is Read without consequences; there may be nothing.
	Summary struct{ Ref Ref }
	// Delete forgets the partition. Nothing to forget is no error.
	Delete struct{ Ref Ref }
	// Written tells that the [Persist] under way is durable, or why it is not.
	Written struct {
		Seq uint64
		Err *kerr.Error
	}
	// Tick tells the time and nothing else.
	Tick struct{}
)

// Answer is the answer to a request. State is nil where there is none.
type Answer struct {
	Err   *kerr.Error
	State *State
}

// Effects of a step, in order.
type (
	// Reply answers a request.
	Reply struct {
		Ref    Ref
		Answer Answer
	}
	// Persist asks for a state to be written; nil: its tombstone.
	Persist struct {
		Seq   uint64
		State *State
	}
)

// New returns the machine of a partition that nothing is known of.
func New(key Key) *Machine { return &Machine{key: key} }

// Restore returns the machine of a partition as it was kept.
func Restore(key Key, state *State) *Machine { return &Machine{key: key, state: state} }

// Exists reports whether there is something to keep the machine for.
func (m *Machine) Exists() bool { return m.state != nil || m.writing || len(m.queued) > 0 }

// Step feeds one input, and returns what is to be done: a list of [Reply] and [Persist].
func (m *Machine) Step(now time.Time, in Input) []any {
	m.out = nil
	switch in := in.(type) {
	case Written:
		m.written(in)
	case Tick:
		return nil
	default:
		m.queued = append(m.queued, in)
	}
	if !m.writing {
		m.work(now)
	}
	return m.out
}

func (m *Machine) reply(ref Ref, a Answer) { m.out = append(m.out, Reply{ref, a}) }

// written ends a write: what it made holds, or all stays as it was.
func (m *Machine) written(in Written) {
	if !m.writing || in.Seq != m.seq {
		panic("sharestate: writes reported out of order")
	}
	m.writing = false
	if in.Err == nil {
		m.state = m.next
	}
	for _, ref := range m.refs {
		m.reply(ref, Answer{Err: in.Err, State: m.next})
	}
	m.next, m.refs = nil, nil
}

// work handles what has come in, into one state to be written.
func (m *Machine) work(now time.Time) {
	queued := m.queued
	m.queued = nil
	state, dirty := m.state, false
	change := func(ref Ref, to *State) {
		if to != nil {
			to.Written = now.Truncate(time.Millisecond)
			if state == nil {
				to.Created = to.Written
			}
		}
		state, dirty = to, true
		m.refs = append(m.refs, ref)
	}
	for _, in := range queued {
		switch in := in.(type) {
		case Summary:
			m.reply(in.Ref, Answer{State: m.state})
		case Read:
			to, err := read(state, in)
			switch {
			case err != nil:
				m.reply(in.Ref, Answer{Err: err})
			case to == state && !dirty:
				m.reply(in.Ref, Answer{State: state})
			default:
				change(in.Ref, to)
			}
		case Initialize:
			if state != nil && state.Epoch > in.Epoch {
				m.reply(in.Ref, Answer{Err: kerr.FencedStateEpoch})
				continue
			}
			change(in.Ref, &State{Epoch: in.Epoch, Start: in.Start, Complete: -1})
		case Write:
			to, err := apply(state, in)
			if err != nil {
				m.reply(in.Ref, Answer{Err: err})
				continue
			}
			change(in.Ref, to)
		case Delete:
			if state == nil && !dirty {
				m.reply(in.Ref, Answer{})
				continue
			}
			change(in.Ref, nil)
		}
	}
	if dirty {
		m.seq++
		m.writing, m.next = true, state
		if state != nil && m.state != nil {
			state.SnapshotEpoch = m.state.SnapshotEpoch + 1
		}
		m.out = append(m.out, Persist{m.seq, state})
	}
}

// read checks a leader, and notes its epoch.
func read(s *State, in Read) (*State, *kerr.Error) {
	switch {
	case s == nil:
		return nil, kerr.InvalidRequest // nobody has initialized it
	case in.LeaderEpoch >= 0 && in.LeaderEpoch < s.LeaderEpoch:
		return nil, kerr.FencedLeaderEpoch
	case in.LeaderEpoch <= s.LeaderEpoch:
		return s, nil
	}
	to := *s
	to.LeaderEpoch = in.LeaderEpoch
	return &to, nil
}

func apply(s *State, in Write) (*State, *kerr.Error) {
	switch {
	case s == nil:
		return nil, kerr.InvalidRequest
	case in.LeaderEpoch >= 0 && in.LeaderEpoch < s.LeaderEpoch:
		return nil, kerr.FencedLeaderEpoch
	case in.Epoch >= 0 && in.Epoch < s.Epoch:
		return nil, kerr.FencedStateEpoch
	}
	to := *s
	to.LeaderEpoch = max(to.LeaderEpoch, in.LeaderEpoch)
	to.Epoch = max(to.Epoch, in.Epoch)
	if in.Start >= 0 {
		to.Start = in.Start
	}
	to.Batches = Combine(s.Batches, in.Batches, to.Start)
	if len(to.Batches) > maxBatches {
		return nil, kerr.InvalidRequest
	}
	if to.Complete = in.Complete; in.Complete < 0 {
		to.complete()
	}
	return &to, nil
}

// complete moves Start over what is done, and counts what is done after it.
func (s *State) complete() {
	for len(s.Batches) > 0 && s.Batches[0].First <= s.Start && done(s.Batches[0].State) {
		s.Start = s.Batches[0].Last + 1
		s.Batches = s.Batches[1:]
	}
	n := int64(0)
	for _, b := range s.Batches {
		if done(b.State) {
			n += b.Last - b.First + 1
		}
	}
	s.Complete = int32(min(n, math.MaxInt32))
}

func done(s share.State) bool { return s == share.Acknowledged || s == share.Archived }

// maxBatches bounds what is kept of a partition. A share group's window is far smaller; the
// request comes from anyone who may speak for a broker.
const maxBatches = 1 << 14

// Combine lays batches over others, which are in order: where both speak of a record, the
// later ones count. What lies before start is left out, and neighbours that are alike are one.
func Combine(old, later []share.Batch, start int64) []share.Batch {
	old, later = slices.Clone(old), inOrder(later)
	out := []share.Batch{}
	add := func(b share.Batch) {
		if b.First = max(b.First, start); b.Last < b.First {
			return
		}
		if n := len(out); n > 0 {
			last := &out[n-1]
			if last.Last+1 == b.First && last.State == b.State && last.DeliveryCount == b.DeliveryCount {
				last.Last = b.Last
				return
			}
		}
		out = append(out, b)
	}
	for _, l := range later {
		for len(old) > 0 && old[0].First < l.First { // what the old ones say before it
			head := old[0]
			head.Last = min(head.Last, l.First-1)
			add(head)
			if old[0].Last < l.First {
				old = old[1:]
				continue
			}
			old[0].First = l.First
		}
		add(l)
		for len(old) > 0 && old[0].Last <= l.Last {
			old = old[1:]
		}
		if len(old) > 0 && old[0].First <= l.Last {
			old[0].First = l.Last + 1
		}
	}
	for _, o := range old {
		add(o)
	}
	return out
}

// inOrder sorts batches, and lets the one that begins first have what two speak of.
func inOrder(batches []share.Batch) (out []share.Batch) {
	batches = slices.Clone(batches)
	slices.SortStableFunc(batches, func(a, b share.Batch) int { return cmp.Compare(a.First, b.First) })
	for _, b := range batches {
		if n := len(out); n > 0 {
			b.First = max(b.First, out[n-1].Last+1)
		}
		if b.First <= b.Last {
			out = append(out, b)
		}
	}
	return out
}
