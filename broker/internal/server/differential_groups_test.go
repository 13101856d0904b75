package server_test

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// joinRequest subscribes to the topic of the script.
func (c *conversation) joinRequest(group, member string, protocols ...string) *kmsg.JoinGroupRequest {
	r := kmsg.NewPtrJoinGroupRequest()
	r.Group, r.MemberID, r.ProtocolType = group, member, "consumer"
	r.SessionTimeoutMillis, r.RebalanceTimeoutMillis = 30_000, 30_000
	// Kafka reads it, and the group hangs where there is more to it than there is.
	metadata := kmsg.NewConsumerMemberMetadata()
	metadata.Topics = []string{c.name("")}
	for _, p := range protocols {
		r.Protocols = append(r.Protocols, kmsg.JoinGroupRequestProtocol{Name: p, Metadata: metadata.AppendTo(nil)})
	}
	return r
}

func syncRequest(group, member string, generation int32, assigned ...string) *kmsg.SyncGroupRequest {
	r := kmsg.NewPtrSyncGroupRequest()
	r.Group, r.MemberID, r.Generation = group, member, generation
	for _, id := range assigned {
		r.GroupAssignment = append(r.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberID: id, MemberAssignment: []byte("assigned")})
	}
	return r
}

func beatRequest(group, member string, generation int32) *kmsg.HeartbeatRequest {
	r := kmsg.NewPtrHeartbeatRequest()
	r.Group, r.MemberID, r.Generation = group, member, generation
	return r
}

func leaveRequest(group string, ids ...string) *kmsg.LeaveGroupRequest {
	r := kmsg.NewPtrLeaveGroupRequest()
	r.Group = group
	for _, id := range ids {
		m := kmsg.NewLeaveGroupRequestMember()
		m.MemberID = id
		r.Members = append(r.Members, m)
		r.MemberID = id
	}
	return r
}

func (c *conversation) commitRequest(group, member string, generation int32, topic string, offset int64) *kmsg.OffsetCommitRequest {
	r := kmsg.NewPtrOffsetCommitRequest()
	r.Group, r.MemberID, r.Generation = group, member, generation
	r.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: topic, TopicID: c.topicID, Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: offset, LeaderEpoch: -1}}}}
	return r
}

// offsetsRequest asks for all that a group has committed.
func offsetsRequest(group string) *kmsg.OffsetFetchRequest {
	r := kmsg.NewPtrOffsetFetchRequest()
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group, r.Group = group, group
	r.Groups = append(r.Groups, g)
	return r
}

func describeGroups(groups ...string) *kmsg.DescribeGroupsRequest {
	r := kmsg.NewPtrDescribeGroupsRequest()
	r.Groups = groups
	return r
}

func deleteGroups(groups ...string) *kmsg.DeleteGroupsRequest {
	r := kmsg.NewPtrDeleteGroupsRequest()
	r.Groups = groups
	return r
}

func deleteOffset(group, topic string) *kmsg.OffsetDeleteRequest {
	r := kmsg.NewPtrOffsetDeleteRequest()
	r.Group = group
	r.Topics = []kmsg.OffsetDeleteRequestTopic{{Topic: topic, Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{}}}}
	return r
}

// memberID is the id that an answer to a join gives.
func memberID(resp kmsg.Response) string {
	if r, ok := resp.(*kmsg.JoinGroupResponse); ok {
		return r.MemberID
	}
	return ""
}

// untilRebalance sends heartbeats until the group wants its members to join again.
func (c *conversation) untilRebalance(group, member string, generation int32) {
	c.t.Helper()
	must(c, 4, beatRequest(group, member, generation), func(r *kmsg.HeartbeatResponse) bool { return r.ErrorCode == kerr.RebalanceInProgress.Code })
}

// classicGroups is the life of a group whose leader assigns, with what its members may get wrong.
func classicGroups(c *conversation) {
	topic, group := c.name(""), c.name("-group")
	c.topicID = c.newTopic(topic, 1)

	c.ask("a member without an id", 9, c.joinRequest(c.name("-pending"), "", "range", "roundrobin"))
	c.ask("a member that nobody knows", 9, c.joinRequest(group, "nobody", "range"))
	short := c.joinRequest(group, "", "range")
	short.SessionTimeoutMillis = 100
	c.ask("too short a session", 9, short)
	long := c.joinRequest(group, "", "range")
	long.SessionTimeoutMillis = 3_600_000
	c.ask("too long a session", 9, long)
	c.ask("no protocol", 9, c.joinRequest(group, ""))
	untyped := c.joinRequest(group, "", "range")
	untyped.ProtocolType = ""
	c.ask("no type of protocol", 9, untyped)
	c.ask("no name", 9, c.joinRequest("", "", "range"))

	first := memberID(c.ask("the first gets an id", 9, c.joinRequest(group, "", "range", "roundrobin")))
	c.ask("described before it has joined", 6, describeGroups(group))
	c.ask("it joins", 9, c.joinRequest(group, first, "range", "roundrobin"))
	c.ask("described before it has synced", 6, describeGroups(group))
	c.ask("a heartbeat before it has synced", 4, beatRequest(group, first, 1))
	c.ask("a commit before it has synced", 9, c.commitRequest(group, first, 1, topic, 1))
	c.ask("a sync of another generation", 5, syncRequest(group, first, 7, first))
	c.ask("a sync of nobody", 5, syncRequest(group, "nobody", 1, first))
	another := syncRequest(group, first, 1, first)
	another.ProtocolType, another.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr("sticky")
	c.ask("a sync of another protocol", 5, another)
	c.ask("it syncs", 5, syncRequest(group, first, 1, first, "nobody"))
	c.ask("it syncs again", 5, syncRequest(group, first, 1))
	c.ask("described", 6, describeGroups(group))
	c.ask("a heartbeat", 4, beatRequest(group, first, 1))
	c.ask("a heartbeat of an old generation", 4, beatRequest(group, first, 0))
	c.ask("a heartbeat of a later generation", 4, beatRequest(group, first, 2))
	c.ask("a heartbeat of nobody", 4, beatRequest(group, "nobody", 1))
	c.ask("a heartbeat to no group", 4, beatRequest(c.name("-none"), first, 1))
	c.ask("a commit", 9, c.commitRequest(group, first, 1, topic, 3))
	c.ask("a commit by topic id", 10, c.commitRequest(group, first, 1, topic, 4))
	c.ask("a commit of an old generation", 9, c.commitRequest(group, first, 0, topic, 5))
	c.ask("a commit of nobody", 9, c.commitRequest(group, "nobody", 1, topic, 5))
	c.ask("a commit without a member", 9, c.commitRequest(group, "", -1, topic, 5))
	c.ask("a commit of generation -1 with a member", 9, c.commitRequest(group, first, -1, topic, 5))
	c.ask("a commit of an unknown topic", 9, c.commitRequest(group, first, 1, c.name("-none"), 5))
	negative := c.commitRequest(group, first, 1, topic, -5)
	c.ask("a commit of a negative offset", 9, negative)
	far := c.commitRequest(group, first, 1, topic, 6)
	far.Topics[0].Partitions[0].Metadata = kmsg.StringPtr(string(make([]byte, 5000)))
	c.ask("a commit with too much metadata", 9, far)
	for _, v := range []int16{1, 5, 7, 8, 9} {
		c.ask("what is committed", v, offsetsRequest(group))
	}
	c.ask("what nobody has committed", 9, offsetsRequest(c.name("-none")))

	c.ask("another protocol", 9, c.joinRequest(group, "", "sticky"))
	ofType := c.joinRequest(group, "", "range")
	ofType.ProtocolType = "connect"
	c.ask("another type of protocol", 9, ofType)
	c.ask("its offset deleted", 0, deleteOffset(group, topic))
	c.ask("it deleted with a member", 2, deleteGroups(group, c.name("-none")))

	b := c.another()
	second := memberID(b.ask("the second gets an id", 9, c.joinRequest(group, "", "roundrobin")))
	joined := b.begin("the second joins", 9, c.joinRequest(group, second, "roundrobin"))
	c.untilRebalance(group, first, 1)
	c.ask("a commit while it rebalances", 9, c.commitRequest(group, first, 1, topic, 8))
	c.ask("a sync while it rebalances", 5, syncRequest(group, first, 1))
	c.ask("the first joins again", 9, c.joinRequest(group, first, "range", "roundrobin"))
	joined()
	synced := b.begin("the second syncs", 5, syncRequest(group, second, 2))
	c.ask("the first syncs", 5, syncRequest(group, first, 2, first, second))
	synced()
	c.ask("described with two", 6, describeGroups(group))
	c.ask("the first leaves, and nobody", 5, leaveRequest(group, first, "nobody"))
	b.untilRebalance(group, second, 2)
	b.ask("the second leaves", 3, leaveRequest(group, second))
	b.ask("the second leaves again", 3, leaveRequest(group, second))
	c.ask("nobody leaves no group", 5, leaveRequest(c.name("-none"), "nobody"))
	c.ask("nobody leaves", 1, leaveRequest(group, "nobody"))
	c.ask("described empty", 6, describeGroups(group, c.name("-none")))
	c.ask("described before version 6", 5, describeGroups(c.name("-none")))
	c.ask("a commit to an empty group", 9, c.commitRequest(group, "", -1, topic, 11))
	c.ask("a commit of a member to an empty group", 9, c.commitRequest(group, first, 2, topic, 11))
	c.ask("its offset deleted when empty", 0, deleteOffset(group, topic))
	c.ask("its offset deleted again", 0, deleteOffset(group, topic))
	c.ask("deleted", 2, deleteGroups(group))
	c.ask("deleted again", 2, deleteGroups(group))
	c.ask("a commit to no group", 9, c.commitRequest(c.name("-new"), "", -1, topic, 1))
	c.ask("a commit of a member to no group", 9, c.commitRequest(c.name("-none"), first, 2, topic, 1))
	c.ask("the same, before version 9", 8, c.commitRequest(c.name("-none"), first, 2, topic, 1))
	staticMembers(c, c.name("-static"))
}

// staticMembers have an instance id, keep their place and are fenced by a newcomer of the same id.
func staticMembers(c *conversation, group string) {
	of := func(id string, r *kmsg.JoinGroupRequest) *kmsg.JoinGroupRequest {
		r.InstanceID = &id
		return r
	}
	old := memberID(c.ask("static: joins", 9, of("one", c.joinRequest(group, "", "range"))))
	sync := syncRequest(group, old, 1, old)
	sync.InstanceID = kmsg.StringPtr("one")
	c.ask("static: syncs", 5, sync)
	young := memberID(c.ask("static: is replaced", 9, of("one", c.joinRequest(group, "", "range"))))
	beat := beatRequest(group, old, 1)
	beat.InstanceID = kmsg.StringPtr("one")
	c.ask("static: the old one is fenced", 4, beat)
	c.ask("static: the old one joins", 9, of("one", c.joinRequest(group, old, "range")))
	sync = syncRequest(group, old, 1)
	sync.InstanceID = kmsg.StringPtr("one")
	c.ask("static: the old one syncs", 5, sync)
	commit := c.commitRequest(group, old, 1, c.name(""), 1)
	commit.InstanceID = kmsg.StringPtr("one")
	c.ask("static: the old one commits", 9, commit)
	beat = beatRequest(group, young, 1)
	beat.InstanceID = kmsg.StringPtr("two")
	c.ask("static: an instance that nobody knows", 4, beat)
	leave := leaveRequest(group, old)
	leave.Members[0].InstanceID = kmsg.StringPtr("one")
	c.ask("static: the old one leaves", 5, leave)
	leave = leaveRequest(group, "")
	leave.Members[0].InstanceID = kmsg.StringPtr("one")
	leave.Members = append(leave.Members, kmsg.LeaveGroupRequestMember{InstanceID: kmsg.StringPtr("two")})
	c.ask("static: it leaves by its instance", 5, leave)
}

// consumerHeartbeat is the first heartbeat of a member.
func consumerHeartbeat(group, member string, topics ...string) *kmsg.ConsumerGroupHeartbeatRequest {
	r := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	r.Group, r.MemberID, r.RebalanceTimeoutMillis = group, member, 30_000
	r.SubscribedTopicNames, r.Topics = topics, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	return r
}

// nextHeartbeat is one that changes nothing.
func nextHeartbeat(group, member string, epoch int32) *kmsg.ConsumerGroupHeartbeatRequest {
	r := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	r.Group, r.MemberID, r.MemberEpoch, r.RebalanceTimeoutMillis = group, member, epoch, -1
	r.SubscribedTopicNames, r.Topics = nil, nil
	return r
}

// consumerGroups is the life of a group where the broker assigns (KIP-848).
func consumerGroups(c *conversation) {
	topic, group := c.name(""), c.name("-group")
	c.topicID = c.newTopic(topic, 2)
	describe := func(groups ...string) *kmsg.ConsumerGroupDescribeRequest {
		r := kmsg.NewPtrConsumerGroupDescribeRequest()
		r.Groups = groups
		return r
	}
	c.ask("no topics and no expression", 1, consumerHeartbeat(group, "one"))
	unassigned := consumerHeartbeat(group, "one", topic)
	unassigned.ServerAssignor = kmsg.StringPtr("sticky")
	c.ask("an unknown assignor", 1, unassigned)
	bad := consumerHeartbeat(group, "one")
	bad.SubscribedTopicRegex = kmsg.StringPtr("(")
	c.ask("a broken expression", 1, bad)
	c.ask("a heartbeat to no group", 1, nextHeartbeat(c.name("-none"), "one", 1))
	c.ask("leaves no group", 1, nextHeartbeat(c.name("-none"), "one", -1))
	c.ask("joins", 1, consumerHeartbeat(group, "one", topic))
	c.ask("a heartbeat", 1, nextHeartbeat(group, "one", 2))
	owns := nextHeartbeat(group, "one", 2)
	owns.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{{TopicID: c.topicID, Partitions: []int32{0, 1}}}
	c.ask("a heartbeat with what it owns", 1, owns)
	c.ask("described", 1, describe(group, c.name("-none")))
	c.ask("described as a classic group", 6, describeGroups(group))
	c.ask("an epoch of the past", 1, nextHeartbeat(group, "one", 1))
	c.ask("an epoch of the future", 1, nextHeartbeat(group, "one", 9))
	c.ask("nobody", 1, nextHeartbeat(group, "nobody", 1))
	c.ask("a commit", 9, c.commitRequest(group, "one", 2, topic, 3))
	c.ask("a commit by topic id", 10, c.commitRequest(group, "one", 2, topic, 4))
	c.ask("a commit of a past epoch", 9, c.commitRequest(group, "one", 1, topic, 5))
	c.ask("a commit of a future epoch", 9, c.commitRequest(group, "one", 9, topic, 5))
	c.ask("a commit of nobody", 9, c.commitRequest(group, "nobody", 2, topic, 5))
	c.ask("a commit without a member", 9, c.commitRequest(group, "", -1, topic, 5))
	c.ask("a commit of an old client", 7, c.commitRequest(group, "one", 2, topic, 6))
	c.ask("a commit of an old client with a past epoch", 7, c.commitRequest(group, "one", 1, topic, 6))
	offsets := offsetsRequest(group)
	offsets.Groups[0].MemberID, offsets.Groups[0].MemberEpoch = kmsg.StringPtr("one"), 2
	c.ask("what is committed", 9, offsets)
	offsets.Groups[0].MemberEpoch = 1
	c.ask("what is committed, of a past epoch", 9, offsets)
	offsets.Groups[0].MemberID = kmsg.StringPtr("nobody")
	c.ask("what is committed, asked by nobody", 9, offsets)
	c.ask("a classic member joins", 9, c.joinRequest(group, "", "range"))
	c.ask("a classic heartbeat", 4, beatRequest(group, "one", 2))
	c.ask("a classic sync", 5, syncRequest(group, "one", 2, "one"))
	c.ask("its offset deleted", 0, deleteOffset(group, topic))
	c.ask("deleted with a member", 2, deleteGroups(group))
	b := c.another()
	b.ask("the second joins", 1, consumerHeartbeat(group, "two", topic))
	told, _ := c.ask("the first is told to give", 1, nextHeartbeat(group, "one", 2)).(*kmsg.ConsumerGroupHeartbeatResponse)
	b.ask("the second waits", 1, nextHeartbeat(group, "two", 3))
	gave := nextHeartbeat(group, "one", 2)
	if told != nil && told.Assignment != nil {
		for _, t := range told.Assignment.Topics {
			gave.Topics = append(gave.Topics, kmsg.ConsumerGroupHeartbeatRequestTopic{TopicID: t.TopicID, Partitions: t.Partitions})
		}
	}
	c.ask("the first has given", 1, gave)
	b.ask("the second gets it", 1, nextHeartbeat(group, "two", 3))
	c.ask("described with two", 1, describe(group))
	b.ask("the second leaves", 1, nextHeartbeat(group, "two", -1))
	b.ask("the second leaves again", 1, nextHeartbeat(group, "two", -1))
	b.ask("leaves for a while without an instance", 1, nextHeartbeat(group, "one", -2))
	c.ask("the first joins anew", 1, consumerHeartbeat(group, "one", topic))
	c.ask("the first leaves", 1, nextHeartbeat(group, "one", -1))
	c.ask("described empty", 1, describe(group))
	c.ask("a commit to an empty group", 9, c.commitRequest(group, "", -1, topic, 11))
	c.ask("deleted", 2, deleteGroups(group))

	static := c.name("-static")
	of := func(id string, r *kmsg.ConsumerGroupHeartbeatRequest) *kmsg.ConsumerGroupHeartbeatRequest {
		r.InstanceID = &id
		return r
	}
	c.ask("static: joins", 1, of("i", consumerHeartbeat(static, "one", topic)))
	c.ask("static: another joins while it is there", 1, of("i", consumerHeartbeat(static, "two", topic)))
	c.ask("static: another instance for the same member", 1, of("j", nextHeartbeat(static, "one", 2)))
	c.ask("static: leaves for a while", 1, of("i", nextHeartbeat(static, "one", -2)))
	c.ask("static: another takes its place", 1, of("i", consumerHeartbeat(static, "two", topic)))
	c.ask("static: the old one is fenced", 1, of("i", nextHeartbeat(static, "one", 2)))
	c.ask("static: leaves for good", 1, of("i", nextHeartbeat(static, "two", -1)))

	classic := c.name("-classic")
	id := memberID(c.ask("classic: gets an id", 9, c.joinRequest(classic, "", "range")))
	c.ask("classic: joins", 9, c.joinRequest(classic, id, "range"))
	c.ask("classic: syncs", 5, syncRequest(classic, id, 1, id))
	c.ask("classic: described as the other kind", 1, describe(classic))
	c.ask("classic: leaves", 5, leaveRequest(classic, id))
	c.ask("classic: becomes the other kind when empty", 1, consumerHeartbeat(classic, "one", topic))
	c.ask("classic: has become it", 1, describe(classic))
}

// shareGroups is the life of a share group (KIP-932): records are acquired, acknowledged, released and rejected.
func shareGroups(c *conversation) {
	topic, group := c.name(""), c.name("-group")
	c.topicID = c.newTopic(topic, 1, "retention.ms", "-1")
	for _, n := range []int{3, 2} {
		c.write(topic, fixedBatch(c.t, n))
	}
	set := kmsg.NewPtrIncrementalAlterConfigsRequest()
	set.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{
		ResourceType: kmsg.ConfigResourceTypeGroupConfig, ResourceName: group,
		Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: "share.auto.offset.reset", Value: kmsg.StringPtr("earliest")}},
	}}
	c.ask("begins at the start", 1, set)
	c.settle()
	beat := func(member string, epoch int32, topics ...string) *kmsg.ShareGroupHeartbeatRequest {
		r := kmsg.NewPtrShareGroupHeartbeatRequest()
		r.GroupID, r.MemberID, r.MemberEpoch, r.SubscribedTopicNames = group, member, epoch, topics
		return r
	}
	c.ask("joins without topics", 1, beat("one", 0))
	c.ask("a heartbeat of nobody", 1, beat("one", 3))
	must(c, 1, beat("one", 0, topic), func(r *kmsg.ShareGroupHeartbeatResponse) bool {
		return r.ErrorCode == 0 && r.Assignment != nil && len(r.Assignment.TopicPartitions) > 0
	})
	c.ask("an epoch of the future", 1, beat("one", 99))
	describe := kmsg.NewPtrShareGroupDescribeRequest()
	describe.GroupIDs = []string{group, c.name("-none")}
	c.ask("described as a consumer group", 6, describeGroups(group))
	fetch := func(epoch int32, acks ...kmsg.ShareFetchRequestTopicPartitionAcknowledgementBatch) *kmsg.ShareFetchRequest {
		r := kmsg.NewPtrShareFetchRequest()
		r.GroupID, r.MemberID, r.ShareSessionEpoch = &group, kmsg.StringPtr("one"), epoch
		r.MaxWaitMillis, r.MinBytes, r.MaxBytes, r.MaxRecords, r.BatchSize = 300, 1, 1<<20, 100, 100
		t := kmsg.NewShareFetchRequestTopic()
		p := kmsg.NewShareFetchRequestTopicPartition()
		p.PartitionMaxBytes, p.AcknowledgementBatches = 1<<20, acks
		t.TopicID, t.Partitions = c.topicID, append(t.Partitions, p)
		r.Topics = append(r.Topics, t)
		return r
	}
	ack := func(epoch int32, first, last int64, types ...int8) *kmsg.ShareAcknowledgeRequest {
		r := kmsg.NewPtrShareAcknowledgeRequest()
		r.GroupID, r.MemberID, r.ShareSessionEpoch = &group, kmsg.StringPtr("one"), epoch
		t := kmsg.NewShareAcknowledgeRequestTopic()
		p := kmsg.NewShareAcknowledgeRequestTopicPartition()
		p.AcknowledgementBatches = []kmsg.ShareAcknowledgeRequestTopicPartitionAcknowledgementBatch{{FirstOffset: first, LastOffset: last, AcknowledgeTypes: types}}
		t.TopicID, t.Partitions = c.topicID, append(t.Partitions, p)
		r.Topics = append(r.Topics, t)
		return r
	}
	c.ask("a session that is not open", 2, fetch(5))
	must(c, 2, fetch(0), func(r *kmsg.ShareFetchResponse) bool {
		return r.ErrorCode == 0 && len(r.Topics) > 0 && len(r.Topics[0].Partitions[0].AcquiredRecords) > 0
	})
	c.ask("nothing is left", 2, fetch(1))
	c.ask("the same epoch again", 2, fetch(1))
	c.ask("an epoch that is skipped", 2, fetch(7))
	c.ask("accepts one", 2, ack(2, 0, 0, 1))
	c.ask("accepts it again", 2, ack(3, 0, 0, 1))
	c.ask("releases one", 2, ack(4, 1, 1, 2))
	c.ask("rejects one", 2, ack(5, 2, 2, 3))
	c.ask("an unknown type", 2, ack(6, 3, 3, 9))
	c.ask("a type for each of two records", 2, ack(7, 3, 4, 1, 2))
	c.ask("fewer types than records", 2, ack(8, 3, 5, 1, 2))
	c.ask("records that are not there", 2, ack(9, 90, 99, 1))
	c.ask("the last before the first", 2, ack(10, 4, 3, 1))
	c.ask("a negative offset", 2, ack(11, -1, 0, 1))
	c.ask("no types", 2, ack(12, 1, 1))
	c.ask("gets the released ones again", 2, fetch(13))
	c.ask("accepts them with the next fetch", 2, fetch(14, kmsg.ShareFetchRequestTopicPartitionAcknowledgementBatch{FirstOffset: 1, LastOffset: 1, AcknowledgeTypes: []int8{1}}))
	c.ask("described", 1, describe)
	offsets := kmsg.NewPtrDescribeShareGroupOffsetsRequest()
	offsets.Groups = []kmsg.DescribeShareGroupOffsetsRequestGroup{{GroupID: group, Topics: []kmsg.DescribeShareGroupOffsetsRequestGroupTopic{{Topic: topic, Partitions: []int32{0}}}}}
	alter := kmsg.NewPtrAlterShareGroupOffsetsRequest()
	alter.GroupID = group
	alter.Topics = []kmsg.AlterShareGroupOffsetsRequestTopic{{Topic: topic, Partitions: []kmsg.AlterShareGroupOffsetsRequestTopicPartition{{StartOffset: 2}, {Partition: 5}}}, {Topic: c.name("-none"), Partitions: []kmsg.AlterShareGroupOffsetsRequestTopicPartition{{}}}}
	c.ask("its offsets set with a member", 0, alter)
	drop := kmsg.NewPtrDeleteShareGroupOffsetsRequest()
	drop.GroupID, drop.Topics = group, []kmsg.DeleteShareGroupOffsetsRequestTopic{{Topic: topic}}
	c.ask("its offsets deleted with a member", 0, drop)
	c.ask("deleted with a member", 2, deleteGroups(group))
	c.ask("the session ends", 2, ack(-1, 4, 4, 2))
	c.ask("a session that has ended", 2, ack(15, 4, 4, 2))
	c.ask("a consumer joins", 1, consumerHeartbeat(group, "one", topic))
	c.ask("a classic member joins", 9, c.joinRequest(group, "", "range"))
	c.ask("leaves", 1, beat("one", -1))
	c.ask("leaves again", 1, beat("one", -1))
	c.ask("its offsets set", 0, alter)
	c.ask("its offsets", 1, offsets)
	offsets.Groups[0].Topics = append(offsets.Groups[0].Topics, kmsg.DescribeShareGroupOffsetsRequestGroupTopic{Topic: c.name("-none"), Partitions: []int32{0}})
	c.ask("its offsets, and those of an unknown topic", 1, offsets)
	c.ask("its offsets deleted", 0, drop)
	c.ask("deleted", 2, deleteGroups(group))
	c.ask("described when it is gone", 1, describe)
}
