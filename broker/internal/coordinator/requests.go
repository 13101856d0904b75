package coordinator

import (
	"context"
	"encoding/base64"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kerr"

	"millrace/broker/internal/group"
	"millrace/broker/internal/statelog"
)

// call feeds one input to a group and waits for the answer. prepare gets the number
// of the request.
func call[T any](ctx context.Context, c *Coordinator, groupID string, prepare func(group.Ref) group.Input) (T, *kerr.Error) {
	return statelog.Call[T](ctx, c.rt, groupID, func(ref uint64) group.Input { return prepare(group.Ref(ref)) })
}

// Join handles a JoinGroup request; Ref and NewMemberID are filled in. It returns when
// the generation has formed, which may take as long as the rebalance time-out.
func (c *Coordinator) Join(ctx context.Context, groupID string, in group.Join) group.JoinReply {
	if groupID == "" {
		return group.JoinReply{Err: kerr.InvalidGroupID, MemberID: in.MemberID, Generation: -1}
	}
	if err := c.Ensure(ctx); err != nil {
		return group.JoinReply{Err: err, MemberID: in.MemberID, Generation: -1}
	}
	name := in.ClientID
	if in.InstanceID != "" {
		name = in.InstanceID
	}
	in.NewMemberID = name + "-" + uuid.NewString()
	r, err := call[group.JoinReply](ctx, c, groupID, func(ref group.Ref) group.Input { in.Ref = ref; return in })
	if err != nil {
		return group.JoinReply{Err: err, MemberID: in.MemberID, Generation: -1}
	}
	return r
}

// ConsumerHeartbeat handles a ConsumerGroupHeartbeat request.
func (c *Coordinator) ConsumerHeartbeat(ctx context.Context, groupID string, in group.ConsumerHeartbeat) group.ConsumerHeartbeatReply {
	if in.Epoch == 0 {
		if err := c.Ensure(ctx); err != nil {
			return group.ConsumerHeartbeatReply{Err: &group.Refusal{Error: err}}
		}
	}
	in.NewMemberID = newMemberID()
	r, err := call[group.ConsumerHeartbeatReply](ctx, c, groupID, func(ref group.Ref) group.Input { in.Ref = ref; return in })
	if err != nil {
		return group.ConsumerHeartbeatReply{Err: &group.Refusal{Error: err}}
	}
	return r
}

// ShareHeartbeat handles a ShareGroupHeartbeat request.
func (c *Coordinator) ShareHeartbeat(ctx context.Context, groupID string, in group.ShareHeartbeat) group.ShareHeartbeatReply {
	if in.Epoch == 0 {
		if err := c.Ensure(ctx); err != nil {
			return group.ShareHeartbeatReply{Err: &group.Refusal{Error: err}}
		}
	}
	r, err := call[group.ShareHeartbeatReply](ctx, c, groupID, func(ref group.Ref) group.Input { in.Ref = ref; return in })
	if err != nil {
		return group.ShareHeartbeatReply{Err: &group.Refusal{Error: err}}
	}
	return r
}

// ShareAdmin asks whether the states of a share group may be changed, or notes that they were.
func (c *Coordinator) ShareAdmin(ctx context.Context, groupID string, in group.ShareAdmin) *group.Refusal {
	if in.Create {
		if err := c.Ensure(ctx); err != nil {
			return &group.Refusal{Error: err}
		}
	}
	r, err := call[group.ShareAdminReply](ctx, c, groupID, func(ref group.Ref) group.Input { in.Ref = ref; return in })
	if err != nil {
		return &group.Refusal{Error: err}
	}
	return r.Err
}

// newMemberID draws an id in the form of Kafka's: 22 characters.
func newMemberID() string {
	id := uuid.New()
	return base64.RawURLEncoding.EncodeToString(id[:])
}

// Sync handles a SyncGroup request. It returns when the leader has assigned and that
// is durable.
func (c *Coordinator) Sync(ctx context.Context, groupID string, in group.Sync) group.SyncReply {
	if groupID == "" {
		return group.SyncReply{Err: kerr.InvalidGroupID}
	}
	r, err := call[group.SyncReply](ctx, c, groupID, func(ref group.Ref) group.Input { in.Ref = ref; return in })
	if err != nil {
		return group.SyncReply{Err: err}
	}
	return r
}

// Heartbeat handles a Heartbeat request. While groups are being loaded every
// heartbeat is fine: sessions begin when that is done.
func (c *Coordinator) Heartbeat(ctx context.Context, groupID string, in group.Heartbeat) *kerr.Error {
	if groupID == "" {
		return kerr.InvalidGroupID
	}
	r, err := call[group.HeartbeatReply](ctx, c, groupID, func(ref group.Ref) group.Input { in.Ref = ref; return in })
	if err == kerr.CoordinatorLoadInProgress {
		return nil
	}
	if err != nil {
		return err
	}
	return r.Err
}

// Leave handles a LeaveGroup request.
func (c *Coordinator) Leave(ctx context.Context, groupID string, members []group.Leaving) group.LeaveReply {
	if groupID == "" {
		return group.LeaveReply{Err: kerr.InvalidGroupID}
	}
	r, err := call[group.LeaveReply](ctx, c, groupID, func(ref group.Ref) group.Input {
		return group.Leave{Ref: ref, Members: members}
	})
	if err != nil {
		return group.LeaveReply{Err: err}
	}
	return r
}

// Commit handles an OffsetCommit request and returns when the offsets are durable.
// The empty group id is allowed, as in Kafka.
func (c *Coordinator) Commit(ctx context.Context, groupID string, in group.Commit) group.CommitReply {
	if err := c.Ensure(ctx); err != nil {
		return group.CommitReply{Err: err}
	}
	r, err := call[group.CommitReply](ctx, c, groupID, func(ref group.Ref) group.Input { in.Ref = ref; return in })
	if err != nil {
		return group.CommitReply{Err: err}
	}
	return r
}

// CommitTxn handles a TxnOffsetCommit request and returns when the offsets are durable. They
// count once the transaction is committed.
func (c *Coordinator) CommitTxn(ctx context.Context, groupID string, in group.Commit) group.CommitReply {
	if groupID == "" {
		return group.CommitReply{Err: kerr.InvalidGroupID}
	}
	return c.Commit(ctx, groupID, in)
}

// EndTxn writes the marker of a producer's transaction to a partition of __consumer_offsets, and
// returns when it is durable and the offsets are committed, or forgotten, in all groups.
func (c *Coordinator) EndTxn(ctx context.Context, partition int32, p statelog.Producer, m statelog.Marker) *kerr.Error {
	ended := make(chan *kerr.Error, 1)
	err := c.rt.Write(partition, statelog.Batch{Producer: &p, Marker: &m}, func(err *kerr.Error) {
		if err == nil {
			err = c.rt.EachIn(partition, func(e *entry) { e.Step(group.EndTxn{ProducerID: p.ID, Commit: m.Commit}) })
		}
		ended <- err
	})
	if err != nil {
		return err
	}
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	case <-c.rt.Context().Done():
	}
	return kerr.CoordinatorNotAvailable
}

// Fetch handles an OffsetFetch request for one group.
func (c *Coordinator) Fetch(ctx context.Context, groupID string, in group.Fetch) group.FetchReply {
	r, err := call[group.FetchReply](ctx, c, groupID, func(ref group.Ref) group.Input { in.Ref = ref; return in })
	if err != nil {
		return group.FetchReply{Err: err}
	}
	return r
}

// DeleteOffsets handles an OffsetDelete request.
func (c *Coordinator) DeleteOffsets(ctx context.Context, groupID string, tps []group.TopicPartition) group.DeleteOffsetsReply {
	if groupID == "" {
		return group.DeleteOffsetsReply{Err: kerr.InvalidGroupID}
	}
	r, err := call[group.DeleteOffsetsReply](ctx, c, groupID, func(ref group.Ref) group.Input {
		return group.DeleteOffsets{Ref: ref, Partitions: tps}
	})
	if err != nil {
		return group.DeleteOffsetsReply{Err: err}
	}
	return r
}

// Delete handles a DeleteGroups request for one group.
func (c *Coordinator) Delete(ctx context.Context, groupID string) *kerr.Error {
	r, err := call[group.DeleteReply](ctx, c, groupID, func(ref group.Ref) group.Input { return group.Delete{Ref: ref} })
	if err != nil {
		return err
	}
	return r.Err
}

// TopicsDeleted forgets the offsets of topics that are no more.
func (c *Coordinator) TopicsDeleted(topics ...string) {
	gone := make(map[string]bool, len(topics))
	for _, t := range topics {
		gone[t] = true
	}
	_ = c.rt.Each(func(e *entry) { e.Step(group.DropTopics{Topics: gone}) })
}

// Describe tells how a group stands; found is false if it does not exist.
func (c *Coordinator) Describe(groupID string) (d group.Description, found bool, err *kerr.Error) {
	found, err = c.rt.View(groupID, func(g *group.Group) { d = g.Describe() })
	return d, found, err
}

// Listed is a group in a list.
type Listed struct {
	ID           string
	State        group.State
	ProtocolType string
	Kind         group.Kind
}

// List returns all groups. With an error, some could not be read yet.
func (c *Coordinator) List() (groups []Listed, err *kerr.Error) {
	err = c.rt.Each(func(e *entry) {
		groups = append(groups, Listed{e.ID, e.Machine.State(), e.Machine.ProtocolType(), e.Machine.Kind()})
	})
	return groups, err
}

// Stats counts what the coordinator holds, for gauges.
type Stats struct {
	Groups  map[group.State]int
	Members int
	Offsets int
	Loading int // partitions that are not loaded yet
	Failed  int // partitions that could not be loaded
}

// Stats counts groups, members and offsets.
func (c *Coordinator) Stats() Stats {
	st := Stats{Groups: map[group.State]int{}}
	st.Loading, st.Failed = c.rt.Progress()
	_ = c.rt.Each(func(e *entry) {
		st.Groups[e.Machine.State()]++
		members, offsets := e.Machine.Size()
		st.Members += members
		st.Offsets += offsets
	})
	return st
}
