package group

import (
	"cmp"
	"maps"
	"slices"
	"unicode/utf16"

	"github.com/twmb/franz-go/pkg/kerr"
)

func (g *Group) onCommit(in Commit) {
	err, stale := g.checkCommit(in)
	if err != nil {
		g.reply(in.Ref, CommitReply{Err: err})
		return
	}
	// A commit shows that the member is alive; one in a transaction comes from a producer.
	if m := g.byID[in.MemberID]; m != nil && in.Txn == nil && (g.state == Stable || g.state == PreparingRebalance) {
		g.keepAlive(m)
	}
	r := CommitReply{Offsets: make([]*kerr.Error, len(in.Offsets))}
	records := make([]Record, 0, len(in.Offsets))
	for i, o := range in.Offsets {
		if tooLong(o.Metadata, g.cfg.MaxOffsetMetadata) {
			r.Offsets[i] = kerr.OffsetMetadataTooLarge
			continue
		}
		if stale != nil {
			if r.Offsets[i] = stale(o); r.Offsets[i] != nil && in.Txn != nil {
				// All or nothing.
				g.reply(in.Ref, CommitReply{Err: txnError(r.Offsets[i])})
				return
			}
			if r.Offsets[i] != nil {
				continue
			}
		}
		g.order++
		rec := OffsetRecord{o.TopicPartition, Offset{
			Offset: o.Offset, LeaderEpoch: o.LeaderEpoch, Metadata: o.Metadata, TopicID: o.TopicID, Committed: g.now, Order: g.order,
		}}
		if in.Retention > 0 {
			rec.Expires = g.now.Add(in.Retention)
		}
		records = append(records, rec)
	}
	if len(records) == 0 {
		g.reply(in.Ref, r)
		return
	}
	for _, rec := range records {
		g.writing[rec.(OffsetRecord).TopicPartition]++
	}
	g.persistFor(in.Txn, records, func(err *kerr.Error) {
		for _, rec := range records {
			o := rec.(OffsetRecord)
			if g.writing[o.TopicPartition]--; g.writing[o.TopicPartition] == 0 {
				delete(g.writing, o.TopicPartition)
			}
			switch {
			case err != nil:
			case in.Txn != nil:
				g.uncommitted.Add(in.Txn.ID, o.TopicPartition, o.Offset)
			default:
				g.offsets[o.TopicPartition] = o.Offset
			}
		}
		if err != nil {
			g.reply(in.Ref, CommitReply{Err: err})
			return
		}
		if in.Txn == nil {
			g.event(Event{Kind: OffsetsCommitted, Count: len(records)})
		}
		g.reply(in.Ref, r)
	})
}

// checkCommit tells whether offsets may be committed: by the members, with the
// generation they are in, or by anyone, with no generation, while there are none. each,
// unless nil, has the word on single offsets.
func (g *Group) checkCommit(in Commit) (all *kerr.Error, each func(CommitOffset) *kerr.Error) {
	switch {
	case g.deleting || g.state == Dead:
		return kerr.CoordinatorNotAvailable, nil
	case g.modern != nil:
		all, each = g.checkModernCommit(in)
		if in.Txn != nil {
			all = txnError(all)
		}
		return all, each
	case in.Txn != nil:
		return g.checkTxnCommit(in), nil
	}
	return g.checkClassicCommit(in), nil
}

func (g *Group) checkClassicCommit(in Commit) *kerr.Error {
	switch {
	case in.Generation < 0 && g.state == Empty:
		return nil
	case !g.known && in.KnowsGroupNotFound:
		return kerr.GroupIDNotFound
	case !g.known:
		return kerr.IllegalGeneration
	case in.Generation >= 0 || in.MemberID != "" || in.InstanceID != "":
		if err := g.check(in.MemberID, in.InstanceID); err != nil {
			return err
		}
		if in.Generation != g.generation {
			return kerr.IllegalGeneration
		}
	default:
		return kerr.UnknownMemberID
	}
	if g.state == CompletingRebalance {
		// It knows the new generation, and had better wait until it has its assignment.
		return kerr.RebalanceInProgress
	}
	return nil
}

// tooLong counts in UTF-16 units, as Java's String.length does.
func tooLong(s string, limit int) bool {
	return len(s) > limit && len(utf16.Encode([]rune(s))) > limit
}

func (g *Group) onFetch(in Fetch) {
	if in.Stable {
		g.afterWrites(func(*kerr.Error) { g.fetch(in) })
		return
	}
	g.fetch(in)
}

func (g *Group) fetch(in Fetch) {
	if g.modern != nil {
		if err := g.checkModernFetch(in); err != nil {
			g.reply(in.Ref, FetchReply{Err: err})
			return
		}
	}
	tps := in.Partitions
	if in.All {
		tps = g.committed()
	}
	r := FetchReply{Offsets: make([]FetchedOffset, len(tps))}
	for i, tp := range tps {
		f := FetchedOffset{TopicPartition: tp, Offset: -1, LeaderEpoch: -1}
		if in.Stable && g.uncommitted.Has(tp) {
			f.Err = kerr.UnstableOffsetCommit
		} else if o, ok := g.offsets[tp]; ok {
			f.Offset, f.LeaderEpoch, f.Metadata, f.TopicID = o.Offset, o.LeaderEpoch, o.Metadata, o.TopicID
		}
		r.Offsets[i] = f
	}
	g.reply(in.Ref, r)
}

// committed lists the partitions with a durable offset, in order.
func (g *Group) committed() []TopicPartition {
	return slices.SortedFunc(maps.Keys(g.offsets), compare)
}

func compare(a, b TopicPartition) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}

// stored lists the partitions that have an offset on disk, or will have one: those
// that need a tombstone to be gone.
func (g *Group) stored() []TopicPartition {
	tps := slices.AppendSeq(g.committed(), maps.Keys(g.writing))
	for _, offsets := range g.uncommitted {
		tps = slices.AppendSeq(tps, maps.Keys(offsets))
	}
	slices.SortFunc(tps, compare)
	return slices.Compact(tps)
}

// bury writes tombstones for offsets, and for the group if asked. done is called
// when they are durable and the offsets gone.
func (g *Group) bury(tps []TopicPartition, andGroup bool, done func(err *kerr.Error)) {
	records := make([]Record, 0, len(tps)+1)
	for _, tp := range tps {
		records = append(records, OffsetTombstone{tp})
	}
	if andGroup {
		records = append(records, g.tombstones()...)
		g.deleting = true
	}
	var states []Partition
	if andGroup && g.kind == Share {
		states = g.modern.states()
	}
	g.persist(records, func(err *kerr.Error) {
		if err == nil {
			for _, tp := range tps {
				delete(g.offsets, tp)
				g.uncommitted.Forget(tp)
			}
			if len(states) > 0 {
				g.out = append(g.out, DropShare{states})
			}
		}
		if andGroup {
			g.deleting = false
			if err == nil {
				g.become(Dead)
				g.event(Event{Kind: GroupDeleted})
			}
		}
		done(err)
	})
}

// tombstones are those of all that the group has on disk beside offsets. It has no members.
func (g *Group) tombstones() []Record {
	if g.modern == nil {
		return []Record{MetadataTombstone{}}
	}
	g.buryModern()
	records := g.batch
	g.rollBack()
	return records
}

func (g *Group) onDeleteOffsets(in DeleteOffsets) {
	switch {
	case g.deleting:
		g.reply(in.Ref, DeleteOffsetsReply{Err: kerr.CoordinatorNotAvailable})
		return
	case !g.known || g.state == Dead:
		g.reply(in.Ref, DeleteOffsetsReply{Err: kerr.GroupIDNotFound})
		return
	case g.kind == Share:
		g.reply(in.Ref, DeleteOffsetsReply{Err: kerr.GroupIDNotFound})
		return
	case g.state != Empty && g.protocolType != consumerProtocol:
		g.reply(in.Ref, DeleteOffsetsReply{Err: kerr.NonEmptyGroup})
		return
	}
	r := DeleteOffsetsReply{Partitions: make([]*kerr.Error, len(in.Partitions))}
	var tps []TopicPartition
	stored := g.stored()
	for i, tp := range in.Partitions {
		if g.reads(tp.Topic) {
			r.Partitions[i] = kerr.GroupSubscribedToTopic
		} else if _, ok := slices.BinarySearchFunc(stored, tp, compare); ok {
			tps = append(tps, tp)
		}
	}
	if len(tps) == 0 {
		g.reply(in.Ref, r)
		return
	}
	g.bury(tps, false, func(err *kerr.Error) {
		if err != nil {
			r = DeleteOffsetsReply{Err: err}
		} else {
			g.event(Event{Kind: OffsetsDeleted, Count: len(tps)})
		}
		g.reply(in.Ref, r)
	})
}

func (g *Group) onDropTopics(in DropTopics) {
	g.dropStates(in.Topics)
	tps := slices.DeleteFunc(g.stored(), func(tp TopicPartition) bool { return !in.Topics[tp.Topic] })
	if len(tps) == 0 || g.deleting {
		return
	}
	g.bury(tps, false, func(err *kerr.Error) {
		if err == nil {
			g.event(Event{Kind: OffsetsDeleted, Count: len(tps), Reason: "topic deleted"})
		}
	})
}

func (g *Group) onDelete(in Delete) {
	switch {
	case g.deleting:
		g.reply(in.Ref, DeleteReply{Err: kerr.CoordinatorNotAvailable})
	case !g.known || g.state == Dead:
		g.reply(in.Ref, DeleteReply{Err: kerr.GroupIDNotFound})
	case g.state != Empty:
		g.reply(in.Ref, DeleteReply{Err: kerr.NonEmptyGroup})
	default:
		g.bury(g.stored(), true, func(err *kerr.Error) { g.reply(in.Ref, DeleteReply{Err: err}) })
	}
}

// onExpire removes what has outlived its retention (KIP-211): all offsets of a group
// that has been empty for so long; one by one where consumers do not read the topic
// any more, and where offsets are committed without membership. A group with nothing
// left is deleted.
func (g *Group) onExpire() {
	if g.deleting || !g.known || g.state == Dead {
		return
	}
	var old []TopicPartition
	if g.expires() {
		for _, tp := range g.committed() {
			if o := g.offsets[tp]; g.expired(tp, o) {
				old = append(old, tp)
			}
		}
	}
	all := len(old) == len(g.offsets) && len(g.writing) == 0 && len(g.uncommitted) == 0
	gone := all && g.state == Empty && len(g.pending) == 0 && g.kind != Share // which keeps its place in the partitions
	if len(old) == 0 && !gone {
		return
	}
	g.bury(old, gone, func(err *kerr.Error) {
		if err == nil && len(old) > 0 {
			g.event(Event{Kind: OffsetsExpired, Count: len(old)})
		}
	})
}

// expires tells whether offsets may expire as the group stands.
func (g *Group) expires() bool {
	return g.modern != nil || g.protocolType == "" || g.state == Empty || g.state == Stable && g.protocolType == consumerProtocol && g.subscribed != nil
}

func (g *Group) expired(tp TopicPartition, o Offset) bool {
	if g.writing[tp] > 0 || g.uncommitted.Has(tp) || g.state != Empty && g.reads(tp.Topic) {
		return false
	}
	if !o.Expires.IsZero() {
		return !g.now.Before(o.Expires)
	}
	since := o.Committed
	if g.modern == nil && g.protocolType != "" && g.state == Empty && !g.stateSince.IsZero() {
		since = g.stateSince
	}
	return g.now.Sub(since) >= g.cfg.OffsetRetention
}
