package compat

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestClassicProtocol_AnswersAreKafkas plays members of a classic group, well and badly, and compares the
// answers with those that Apache Kafka gave.
func TestClassicProtocol_AnswersAreKafkas(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	topic, group := newTopic(t, seeds, 2, nil), uniqueName(t, "group")
	s := &transcript{t: t, client: newKgo(t, seeds), hide: strings.NewReplacer(topic, "TOPIC", group, "GROUP")}
	text := func(v string) *string { return &v }
	meta := kmsg.NewPtrMetadataRequest()
	meta.Topics = []kmsg.MetadataRequestTopic{{Topic: &topic}}
	id := s.ask(meta).(*kmsg.MetadataResponse).Topics[0].TopicID
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorKeys = []string{group}
	s.ask(find)

	join := func(what, member string, change ...func(*kmsg.JoinGroupRequest)) *kmsg.JoinGroupResponse {
		t.Helper()
		req := kmsg.NewPtrJoinGroupRequest()
		req.Group, req.MemberID, req.ProtocolType, req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = group, member, "consumer", 10_000, 10_000
		req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: (&kmsg.ConsumerMemberMetadata{Version: 1, Topics: []string{topic}}).AppendTo(nil)}}
		req.Reason = text("because")
		for _, f := range change {
			f(req)
		}
		r := s.ask(req).(*kmsg.JoinGroupResponse)
		s.printf("join %s: %s generation %d protocol %s leads %v of %d", what, code(r.ErrorCode), r.Generation, orNone(r.Protocol), r.MemberID != "" && r.MemberID == r.LeaderID, len(r.Members))
		return r
	}
	sync := func(what, member string, generation int32, change ...func(*kmsg.SyncGroupRequest)) {
		t.Helper()
		req := kmsg.NewPtrSyncGroupRequest()
		req.Group, req.MemberID, req.Generation, req.ProtocolType, req.Protocol = group, member, generation, text("consumer"), text("range")
		a := kmsg.ConsumerMemberAssignment{Version: 1, Topics: []kmsg.ConsumerMemberAssignmentTopic{{Topic: topic, Partitions: []int32{0, 1}}}}
		req.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: member, MemberAssignment: a.AppendTo(nil)}}
		for _, f := range change {
			f(req)
		}
		r := s.ask(req).(*kmsg.SyncGroupResponse)
		s.printf("sync %s: %s %d bytes", what, code(r.ErrorCode), len(r.MemberAssignment))
	}
	beat := func(what, member string, generation int32, instance *string) {
		t.Helper()
		req := kmsg.NewPtrHeartbeatRequest()
		req.Group, req.MemberID, req.Generation, req.InstanceID = group, member, generation, instance
		s.printf("heartbeat %s: %s", what, code(s.ask(req).(*kmsg.HeartbeatResponse).ErrorCode))
	}
	leave := func(what string, members ...kmsg.LeaveGroupRequestMember) {
		t.Helper()
		req := kmsg.NewPtrLeaveGroupRequest()
		req.Group, req.Members = group, members
		r := s.ask(req).(*kmsg.LeaveGroupResponse)
		line := fmt.Sprintf("leave %s: %s", what, code(r.ErrorCode))
		for _, m := range r.Members {
			line += " " + code(m.ErrorCode)
		}
		s.printf("%s", line)
	}
	commit := func(what, member string, generation int32) {
		t.Helper()
		req := kmsg.NewPtrOffsetCommitRequest()
		req.Group, req.MemberID, req.Generation = group, member, generation
		req.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: topic, TopicID: id, Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: 1, LeaderEpoch: -1}}}}
		s.printf("commit %s: %s", what, code(s.ask(req).(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode))
	}
	describe := func(what string) {
		t.Helper()
		req := kmsg.NewPtrDescribeGroupsRequest()
		req.Groups, req.IncludeAuthorizedOperations = []string{group}, true
		g := s.ask(req).(*kmsg.DescribeGroupsResponse).Groups[0]
		s.printf("describe %s: %s %s type %q protocol %q members %d operations %d", what, code(g.ErrorCode), g.State, g.ProtocolType, g.Protocol, len(g.Members), g.AuthorizedOperations)
	}

	describe("nothing")
	beat("nobody", "x", 1, nil)
	sync("nobody", "x", 1)
	leave("nobody", kmsg.LeaveGroupRequestMember{MemberID: "x"})
	join("too short a session", "", func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 10 })
	join("too long a session", "", func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 1 << 30 })
	join("no group", "", func(r *kmsg.JoinGroupRequest) { r.Group = "" })
	join("no protocols", "", func(r *kmsg.JoinGroupRequest) { r.Protocols = nil })
	join("no protocol type", "", func(r *kmsg.JoinGroupRequest) { r.ProtocolType = "" })
	join("an id of its own", "mine")
	first := join("a", "")
	a := join("a with its id", first.MemberID)
	describe("waiting for the leader")
	commit("too early", a.MemberID, a.Generation)
	sync("a wrong generation", a.MemberID, a.Generation+1)
	sync("another protocol", a.MemberID, a.Generation, func(r *kmsg.SyncGroupRequest) { r.Protocol = text("sticky") })
	sync("another type", a.MemberID, a.Generation, func(r *kmsg.SyncGroupRequest) { r.ProtocolType = text("connect") })
	sync("no protocol", a.MemberID, a.Generation, func(r *kmsg.SyncGroupRequest) { r.Protocol = nil })
	sync("a", a.MemberID, a.Generation)
	describe("stable")
	beat("a", a.MemberID, a.Generation, nil)
	beat("a wrong generation", a.MemberID, a.Generation-1, nil)
	beat("a by a name", a.MemberID, a.Generation, text("i"))
	commit("a", a.MemberID, a.Generation)
	commit("a wrong generation", a.MemberID, a.Generation+1)
	commit("nobody", "x", a.Generation)
	commit("a tool", "", -1)
	join("another type", "", func(r *kmsg.JoinGroupRequest) { r.ProtocolType = "connect" })
	join("another protocol", "", func(r *kmsg.JoinGroupRequest) { r.Protocols[0].Name = "sticky" })
	join("an unknown id", "mine")
	again := join("a again, as leader", a.MemberID)
	sync("a again", a.MemberID, again.Generation)
	leave("several", kmsg.LeaveGroupRequestMember{MemberID: a.MemberID, Reason: text("done")}, kmsg.LeaveGroupRequestMember{MemberID: a.MemberID}, kmsg.LeaveGroupRequestMember{InstanceID: text("i")})
	describe("empty")

	byName := func(r *kmsg.JoinGroupRequest) { r.InstanceID = text("i") }
	static := join("static", "", byName)
	sync("static", static.MemberID, static.Generation, func(r *kmsg.SyncGroupRequest) { r.InstanceID = text("i") })
	restarted := join("static, restarted", "", byName)
	beat("its former self", static.MemberID, restarted.Generation, text("i"))
	beat("static", restarted.MemberID, restarted.Generation, text("i"))
	leave("its former self", kmsg.LeaveGroupRequestMember{MemberID: static.MemberID, InstanceID: text("i")})
	leave("by its name alone", kmsg.LeaveGroupRequestMember{InstanceID: text("i")})
	describe("empty again")
	s.compare("classic_protocol.txt")
}
