package txn

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// NoTimeout is the time-out of a transaction that has none (KIP-939).
const NoTimeout = math.MaxInt32 * time.Millisecond

// Epochs above lastEpoch are not given to clients: the one that is left is for the
// coordinator to fence with.
const (
	noEpoch   int16 = -1
	noID      int64 = -1
	lastEpoch int16 = math.MaxInt16 - 1
)

var noProducer = Producer{noID, noEpoch}

// Config holds the broker settings that rule transactions. It is read only.
type Config struct {
	// MaxTimeout (transaction.max.timeout.ms) is the longest time-out that a producer may
	// ask for.
	MaxTimeout time.Duration
	// IDExpiration (transactional.id.expiration.ms) is how long an idle id is remembered.
	IDExpiration time.Duration
	// RetryBackoff is how long markers and records that could not be written wait until they
	// are tried again; each time twice as long, up to MaxBackoff. Not a setting in Kafka either.
	RetryBackoff, MaxBackoff time.Duration
}

// DefaultConfig returns Kafka's defaults.
func DefaultConfig() Config {
	return Config{MaxTimeout: 15 * time.Minute, IDExpiration: 7 * 24 * time.Hour, RetryBackoff: 100 * time.Millisecond, MaxBackoff: 10 * time.Second}
}

// Transaction is one transactional id. It is not safe for concurrent use.
type Transaction struct {
	cfg *Config

	now Metadata // as it is on disk; Epoch is -1 where there is nothing yet

	// writing is the record on its way to the disk, nil if none is. done is called when it
	// is there and has been applied, or could not be written.
	writing *write
	seq     uint64
	// sending is set from the decision on until every partition has its marker and that is
	// on disk; waiting are the partitions that have none, in order; out tells that markers
	// are on their way.
	sending bool
	waiting []TopicPartition
	out     bool
	retry   time.Time // when what the coordinator does by itself is tried again; zero: nothing failed
	tries   int       // that failed one after the other

	drawing int   // inputs that wait for a new producer id
	fresh   int64 // a new producer id, for the input that is being handled; noID if none
	dead    bool

	clock   time.Time // of the input that is being handled
	effects Effects
}

// write is a Persist under way.
type write struct {
	seq    uint64
	record *Metadata
	done   func(err *kerr.Error)
}

// New returns an id that nobody has used. cfg is shared, and not changed.
func New(cfg *Config) *Transaction {
	return &Transaction{cfg: cfg, fresh: noID, now: Metadata{
		ProducerID: noID, PrevProducerID: noID, NextProducerID: noID, Epoch: noEpoch, LastEpoch: noEpoch,
	}}
}

// Restore returns an id as its record tells. Where a transaction is decided and not complete,
// its markers are sent again.
func Restore(cfg *Config, now time.Time, m Metadata) (*Transaction, Effects) {
	t := New(cfg)
	t.now, t.clock = m, now
	t.now.LastEpoch = noEpoch
	if m.State.prepared() {
		t.send()
	}
	return t, t.take()
}

// Exists reports whether the id is known. One that was made only to answer a request that did
// not initialise it may be dropped.
func (t *Transaction) Exists() bool { return !t.dead && (t.now.ProducerID != noID || t.drawing > 0) }

// Describe tells how the id stands: what is on disk, and of a transaction that is being
// completed the partitions that have no marker yet. The slice is not the caller's to change.
func (t *Transaction) Describe() Metadata {
	m := t.now
	if t.sending {
		m.Partitions = t.waiting
	}
	return m
}

// Deadline returns when a [Tick] is due, zero if never.
func (t *Transaction) Deadline() time.Time {
	switch {
	case t.dead || t.writing != nil || t.drawing > 0:
		return time.Time{} // looked at again when that has come back
	case t.sending:
		return t.retry
	case t.now.State == Ongoing && t.now.Timeout != NoTimeout:
		if at := t.now.Started.Add(t.now.Timeout); at.After(t.retry) {
			return at
		}
		return t.retry
	}
	return time.Time{}
}

// Step feeds one input to the id. It does no I/O. What has to happen next is returned in
// order; the caller does it and must not reorder it.
func (t *Transaction) Step(now time.Time, in Input) Effects {
	t.clock = now
	if f, ok := in.(FreshProducerID); ok {
		t.onFresh(f)
	} else {
		t.handle(in)
	}
	return t.take()
}

func (t *Transaction) handle(in Input) {
	switch in := in.(type) {
	case InitProducer:
		t.onInit(in)
	case AddPartitions:
		t.onAdd(in)
	case Verify:
		t.reply(in.Ref, t.onVerify(in))
	case EndTxn:
		t.onEnd(in)
	case Persisted:
		t.onPersisted(in)
	case MarkersSent:
		t.onMarkersSent(in)
	case Expire:
		t.onExpire()
	case Tick:
		t.onTick()
	}
}

// onFresh goes on with an input that had to wait for a producer id.
func (t *Transaction) onFresh(f FreshProducerID) {
	t.drawing--
	if f.Err == nil {
		t.fresh = f.ID
		t.handle(f.For)
		t.fresh = noID
		return
	}
	switch in := f.For.(type) {
	case InitProducer:
		t.reply(in.Ref, InitReply{f.Err, noProducer})
	case EndTxn:
		t.reply(in.Ref, EndReply{f.Err, noProducer})
	case Tick:
		t.later()
	}
}

// needID asks for a producer id if there is none at hand, and says so.
func (t *Transaction) needID(in Input) bool {
	if t.fresh != noID {
		return false
	}
	t.drawing++
	t.effects = append(t.effects, NeedProducerID{in})
	return true
}

func (t *Transaction) take() Effects {
	out := t.effects
	t.effects = nil
	return out
}

func (t *Transaction) reply(ref Ref, body any) { t.effects = append(t.effects, Reply{ref, body}) }

func (t *Transaction) event(e Event) {
	e.Producer = t.now.Producer()
	t.effects = append(t.effects, e)
}

// busy tells whether a change is on its way: clients have to come again.
func (t *Transaction) busy() bool { return t.writing != nil || t.sending }

// change begins a record: the present one with what every change sets.
func (t *Transaction) change(to State) Metadata {
	m := t.now
	m.State, m.PrevProducerID = to, t.now.ProducerID
	return m
}

// persist asks for a record to be written. When it is durable it is applied, and done called.
func (t *Transaction) persist(m *Metadata, done func(err *kerr.Error)) {
	t.seq++
	t.writing = &write{t.seq, m, done}
	t.effects = append(t.effects, Persist{t.seq, m})
}

func (t *Transaction) onPersisted(in Persisted) {
	if t.writing == nil || t.writing.seq != in.Seq {
		panic("txn: writes reported out of order")
	}
	w := t.writing
	t.writing = nil
	if in.Err == nil && w.record != nil {
		t.now = *w.record
	}
	w.done(in.Err)
}

// onTick aborts a transaction whose time is over, and tries again what failed.
func (t *Transaction) onTick() {
	due := t.Deadline()
	if due.IsZero() || t.clock.Before(due) {
		return
	}
	if t.sending {
		t.resume()
		return
	}
	t.abort(Tick{}, func(err *kerr.Error) {
		if err != nil {
			t.later()
			return
		}
		t.event(Event{Kind: TimedOut, Reason: "transaction.timeout.ms is over"})
	})
}

// later has the coordinator try again what it does by itself.
func (t *Transaction) later() {
	t.retry = t.clock.Add(min(t.cfg.RetryBackoff<<min(t.tries, 16), t.cfg.MaxBackoff))
	t.tries++
}

// onExpire forgets an id that has been idle for so long.
func (t *Transaction) onExpire() {
	if t.busy() || !t.now.State.idle() || t.now.ProducerID == noID || t.clock.Sub(t.now.Updated) < t.cfg.IDExpiration {
		return
	}
	t.persist(nil, func(err *kerr.Error) {
		if err == nil {
			t.dead = true
			t.event(Event{Kind: Expired})
		}
	})
}

// exhausted tells whether no epoch is left for clients.
func (m *Metadata) exhausted() bool { return m.Epoch >= lastEpoch }

// Compare orders partitions.
func Compare(a, b TopicPartition) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}

// normal returns the partitions in order, each once.
func normal(tps []TopicPartition) []TopicPartition {
	slices.SortFunc(tps, Compare)
	return slices.Compact(tps)
}
