package broker

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"millrace/broker/internal/group"
	"millrace/broker/internal/shares"
	"millrace/broker/internal/sharestate"
)

// groupShares keeps the states of share groups' partitions for the group coordinator.
type groupShares struct {
	states *sharestate.Coordinator
	shares *shares.Manager
}

// inits is how many states of one group are made at a time.
const inits = 16

// Initialize implements coordinator.Shares. What an earlier group of the same name has left
// behind is forgotten.
func (g groupShares) Initialize(ctx context.Context, groupID string, ps []group.Partition) *kerr.Error {
	var mu sync.Mutex
	var failed *kerr.Error
	g.each(groupID, ps, func(k sharestate.Key) {
		a := g.states.Summary(ctx, k)
		err, epoch := a.Err, int32(0)
		if err == nil && a.State != nil {
			epoch = a.State.Epoch + 1
		}
		if err == nil || err == kerr.CoordinatorNotAvailable {
			err = g.states.Initialize(ctx, k, epoch, sharestate.Uninitialized)
		}
		g.shares.Forget(k)
		if err != nil {
			mu.Lock()
			failed = err
			mu.Unlock()
		}
	})
	return failed
}

// Delete implements coordinator.Shares.
func (g groupShares) Delete(ctx context.Context, groupID string, ps []group.Partition) {
	g.each(groupID, ps, func(k sharestate.Key) {
		g.shares.Forget(k)
		_ = g.states.Delete(ctx, k) // what is left is forgotten when a group of that name begins anew
	})
}

func (g groupShares) each(groupID string, ps []group.Partition, f func(k sharestate.Key)) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, inits)
	for _, p := range ps {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			f(sharestate.Key{Group: groupID, Topic: p.Topic, Partition: p.Index})
		})
	}
	wg.Wait()
}

// shareEvents tells what happens to the states of share groups.
type shareEvents struct{ b *Broker }

// Loaded implements sharestate.Events.
func (e shareEvents) Loaded(partition int32, records, unknown, states int, took time.Duration, err error) {
	if err != nil {
		e.b.log.Error("share group states cannot be loaded", "partition", partition, "error", err)
		return
	}
	if records > 0 {
		e.b.log.Debug("share group states loaded", "partition", partition, "records", records, "unknown", unknown, "states", states, "took", took)
	}
}

// Wrote implements statelog.Events.
func (e shareEvents) Wrote(partition int32, _, requests int, _ time.Duration, err error) {
	if err != nil {
		e.b.log.Error("share group states cannot be written", "partition", partition, "requests", requests, "error", err)
	}
}
