package coordinator

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"millrace/broker/internal/group"
	"millrace/broker/internal/statelog"
)

// rules feed groups and carry out what they want done.
type rules struct{ c *Coordinator }

// New implements statelog.Rules.
func (r rules) New(id string, now time.Time) *group.Group {
	return group.New(id, &r.c.cfg.Group, now)
}

// Step implements statelog.Rules.
func (r rules) Step(e *entry, now time.Time, in group.Input) {
	e.Machine.Observe(r.c.cfg.cluster())
	r.carryOut(e, e.Machine.Step(now, in))
}

func (r rules) carryOut(e *entry, effects group.Effects) {
	for _, effect := range effects {
		switch effect := effect.(type) {
		case group.Reply:
			e.Reply(uint64(effect.Ref), effect.Body)
		case group.Persist:
			b := statelog.Batch{Records: make([]Record, len(effect.Records))}
			for i, record := range effect.Records {
				b.Records[i] = encode(e.ID, record)
			}
			if p := effect.Producer; p != nil {
				b.Producer = &statelog.Producer{ID: p.ID, Epoch: p.Epoch, Guard: p.Guard}
			}
			e.Write(effect.Seq, b)
		case group.InitShare:
			r.c.initShare(e, effect)
		case group.DropShare:
			r.c.dropShare(e.ID, effect)
		case group.Event:
			r.c.events.Group(e.ID, effect)
		}
	}
}

// Exists implements statelog.Rules.
func (rules) Exists(g *group.Group) bool { return g.Known() && g.State() != group.Dead }

// Deadline implements statelog.Rules.
func (rules) Deadline(g *group.Group) time.Time { return g.Deadline() }

// Tick implements statelog.Rules.
func (rules) Tick() group.Input { return group.Tick{} }

// Written implements statelog.Rules.
func (rules) Written(seq uint64, err *kerr.Error) group.Input {
	return group.Persisted{Seq: seq, Err: err}
}

// Load implements statelog.Rules.
func (r rules) Load(partition int32) statelog.Loader[*group.Group, group.Input] {
	return newLoading(r, partition)
}

// Add implements statelog.Loader.
func (l *loading) Add(b statelog.Batch) error {
	if b.Marker != nil {
		l.end(b.Producer.ID, b.Marker.Commit)
		return nil
	}
	l.producer = b.Producer
	for _, r := range b.Records {
		if err := l.add(r); err != nil {
			return err
		}
	}
	return nil
}

// Restore implements statelog.Loader.
func (l *loading) Restore(enter func(id string, g *group.Group, begin func(e *entry))) {
	for id, loaded := range l.groups {
		kind, records, modern := loaded.modernGroup()
		if loaded.metadata == nil && !modern && len(loaded.offsets) == 0 && len(loaded.pending) == 0 {
			continue // all tombstones
		}
		l.found++
		l.offsets += len(loaded.offsets)
		var g *group.Group
		var effects group.Effects
		if cfg := &l.rules.c.cfg; modern && loaded.metadata == nil {
			g = group.RestoreModern(id, &cfg.Group, time.Now(), cfg.cluster(), kind, records, loaded.offsets)
		} else {
			g, effects = group.Restore(id, &cfg.Group, time.Now(), loaded.metadata, loaded.offsets)
		}
		g.RestorePending(loaded.pending, l.order)
		enter(id, g, func(e *entry) { l.rules.carryOut(e, effects) })
	}
}

// Done implements statelog.Loader.
func (l *loading) Done(took time.Duration, err error) {
	l.rules.c.events.Loaded(Load{
		Partition: l.partition, Records: l.records, Unknown: l.unknown, Groups: l.found, Offsets: l.offsets, Took: took, Err: err,
	})
}
