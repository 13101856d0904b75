package group

import "github.com/twmb/franz-go/pkg/kerr"

// checkModernCommit tells whether offsets may be committed to a group where the broker
// assigns: by its members, with the epoch they are in, or by anyone while there are
// none. A commit of an earlier epoch is good for the partitions that the member has had
// since then (KIP-1251): each tells.
func (g *Group) checkModernCommit(in Commit) (all *kerr.Error, each func(CommitOffset) *kerr.Error) {
	if g.kind == Share {
		return kerr.GroupIDNotFound, nil
	}
	if in.Generation < 0 && len(g.modern.members) == 0 {
		return nil, nil
	}
	if in.Txn != nil && in.Generation < 0 && in.MemberID == "" && in.InstanceID == "" {
		return nil, nil // older producers do not say who has read
	}
	member := g.modern.member(in.MemberID)
	switch {
	case member == nil:
		return kerr.UnknownMemberID, nil
	case member.sub.Classic != nil:
		if in.Generation != member.cur.Epoch {
			return kerr.IllegalGeneration, nil
		}
		return nil, nil
	case !in.KnowsGroupNotFound && in.Txn == nil: // before version 9
		return kerr.UnsupportedVersion, nil
	case in.Generation == member.cur.Epoch:
		return nil, nil
	case in.Generation > member.cur.Epoch:
		return kerr.StaleMemberEpoch, nil
	}
	return nil, func(o CommitOffset) *kerr.Error {
		p := Partition{Topic: o.TopicID, Index: o.Partition}
		since, ok := member.cur.Assigned[p]
		if !ok {
			since, ok = member.cur.Revoking[p]
		}
		if !ok || in.Generation < since {
			return kerr.StaleMemberEpoch
		}
		return nil
	}
}

// checkModernFetch tells whether offsets may be read: by anyone who does not say who it
// is, or by a member in the epoch it is in.
func (g *Group) checkModernFetch(in Fetch) *kerr.Error {
	if g.kind == Share || in.MemberID == nil {
		return nil // a share group has none, as a group that does not exist
	}
	member := g.modern.member(*in.MemberID)
	switch {
	case member == nil:
		return kerr.UnknownMemberID
	case in.MemberEpoch != member.cur.Epoch && member.sub.Classic != nil:
		return kerr.IllegalGeneration
	case in.MemberEpoch != member.cur.Epoch:
		return kerr.StaleMemberEpoch
	}
	return nil
}
