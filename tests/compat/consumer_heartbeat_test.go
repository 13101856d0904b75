package compat

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var update = flag.Bool("update", false, "write the transcripts in testdata anew; from Apache Kafka, by MILLRACE_COMPAT_BROKERS")

// transcript is what a broker answers to a series of requests, as text that does not depend on
// names and ids that each run draws anew.
type transcript struct {
	t      *testing.T
	client *kgo.Client
	hide   *strings.Replacer
	out    strings.Builder
}

func (s *transcript) printf(format string, args ...any) {
	s.out.WriteString(s.hide.Replace(fmt.Sprintf(format, args...)) + "\n")
}

// ask sends a request to the only broker, as it is.
func (s *transcript) ask(req kmsg.Request) kmsg.Response {
	s.t.Helper()
	resp, err := s.client.Broker(1).Request(within(s.t, patience), req)
	if err != nil {
		s.t.Fatalf("%T: %v", req, err)
	}
	return resp
}

func code(c int16) string {
	if c == 0 {
		return "ok"
	}
	return kerr.TypedErrorForCode(c).Message
}

func orNone(s *string) string {
	if s == nil {
		return "none"
	}
	return *s
}

// compare checks the transcript against the file, which Apache Kafka wrote.
func (s *transcript) compare(file string) {
	s.t.Helper()
	file = filepath.Join("testdata", file)
	if *update {
		if external == "" {
			s.t.Fatal("transcripts are Apache Kafka's: set MILLRACE_COMPAT_BROKERS")
		}
		if err := os.WriteFile(file, []byte(s.out.String()), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	got, lines := strings.Split(s.out.String(), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(got), len(lines)) {
		switch {
		case i >= len(got) || i >= len(lines):
			s.t.Fatalf("%d lines, %s has %d", len(got), file, len(lines))
		case got[i] != lines[i]:
			s.t.Errorf("line %d:\n got %s\nwant %s", i+1, got[i], lines[i])
		}
	}
}

// heartbeat is a ConsumerGroupHeartbeat with what a first one has to have.
func heartbeat(group, member string, epoch int32, change ...func(*kmsg.ConsumerGroupHeartbeatRequest)) *kmsg.ConsumerGroupHeartbeatRequest {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Version = 1
	req.Group, req.MemberID, req.MemberEpoch = group, member, epoch
	for _, f := range change {
		f(req)
	}
	return req
}

func joins(topics ...string) func(*kmsg.ConsumerGroupHeartbeatRequest) {
	return func(r *kmsg.ConsumerGroupHeartbeatRequest) {
		r.RebalanceTimeoutMillis, r.SubscribedTopicNames, r.Topics = 60_000, topics, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	}
}

func instance(id string) func(*kmsg.ConsumerGroupHeartbeatRequest) {
	return func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.InstanceID = &id }
}

func owning(topic [16]byte, partitions ...int32) func(*kmsg.ConsumerGroupHeartbeatRequest) {
	return func(r *kmsg.ConsumerGroupHeartbeatRequest) {
		r.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
		if len(partitions) > 0 {
			r.Topics = append(r.Topics, kmsg.ConsumerGroupHeartbeatRequestTopic{TopicID: topic, Partitions: partitions})
		}
	}
}

// TestConsumerProtocol_AnswersAreKafkas sends heartbeats and what goes with them, good and bad, and compares
// the answers with those that Apache Kafka gave.
func TestConsumerProtocol_AnswersAreKafkas(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	topic, group, other := newTopic(t, seeds, 2, nil), uniqueName(t, "group"), uniqueName(t, "other")
	s := &transcript{t: t, client: newKgo(t, seeds), hide: strings.NewReplacer(topic, "TOPIC", group, "GROUP", other, "OTHER")}
	meta := kmsg.NewPtrMetadataRequest()
	meta.Topics = []kmsg.MetadataRequestTopic{{Topic: &topic}}
	id := s.ask(meta).(*kmsg.MetadataResponse).Topics[0].TopicID
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorKeys = []string{group}
	s.ask(find)

	beat := func(what string, req *kmsg.ConsumerGroupHeartbeatRequest) {
		t.Helper()
		r := s.ask(req).(*kmsg.ConsumerGroupHeartbeatResponse)
		line := fmt.Sprintf("%s: %s", what, code(r.ErrorCode))
		if r.ErrorCode == 0 {
			line += fmt.Sprintf(" epoch %d interval %d", r.MemberEpoch, r.HeartbeatIntervalMillis)
			if r.Assignment != nil {
				n := 0
				for _, tp := range r.Assignment.Topics {
					n += len(tp.Partitions)
				}
				line += fmt.Sprintf(" assigned %d", n)
			}
		}
		s.printf("%s", line)
	}
	text := func(v string) *string { return &v }

	// A broker's groups may hear of a new topic later than its clients.
	warm := uniqueName(t, "warm")
	eventually(t, "groups know the topic", func(context.Context) (bool, string) {
		r := s.ask(heartbeat(warm, "w", 0, joins(topic))).(*kmsg.ConsumerGroupHeartbeatResponse)
		if r.ErrorCode != 0 || r.Assignment == nil {
			return false, code(r.ErrorCode)
		}
		return len(r.Assignment.Topics) == 1, "not assigned"
	})
	s.ask(heartbeat(warm, "w", -1))

	beat("no such group", heartbeat(group, "a", 5))
	beat("leaves no group", heartbeat(group, "a", -1))
	beat("no group id", heartbeat("", "a", 0, joins(topic)))
	beat("no member id", heartbeat(group, "", 0, joins(topic)))
	beat("empty instance", heartbeat(group, "a", 0, joins(topic), instance("")))
	beat("no rebalance time-out", heartbeat(group, "a", 0, joins(topic), func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.RebalanceTimeoutMillis = -1 }))
	beat("no subscription", heartbeat(group, "a", 0, joins()))
	beat("joins with partitions", heartbeat(group, "a", 0, joins(topic), owning(id, 0)))
	beat("joins without a word on partitions", heartbeat(group, "a", 0, joins(topic), func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.Topics = nil }))
	beat("epoch -3", heartbeat(group, "a", -3))
	beat("epoch -2 without instance", heartbeat(group, "a", -2))
	beat("unknown assignor", heartbeat(group, "a", 0, joins(topic), func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.ServerAssignor = text("sticky") }))
	beat("bad expression", heartbeat(group, "a", 0, joins(topic), func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.SubscribedTopicRegex = text("a(b") }))
	beat("a joins", heartbeat(group, "a", 0, joins(topic)))
	beat("a", heartbeat(group, "a", 2))
	beat("a tells all", heartbeat(group, "a", 2, joins(topic), owning(id, 0, 1)))
	beat("a from the future", heartbeat(group, "a", 3))
	beat("unknown member", heartbeat(group, "x", 1))
	beat("a joins again", heartbeat(group, "a", 0, joins(topic)))
	beat("unknown instance", heartbeat(group, "a", 2, instance("i")))
	beat("an unknown member leaves", heartbeat(group, "x", -1))

	b := kmsg.NewPtrConsumerGroupDescribeRequest()
	b.Groups, b.IncludeAuthorizedOperations = []string{group, other, ""}, true
	described := s.ask(b).(*kmsg.ConsumerGroupDescribeResponse).Groups
	slices.SortFunc(described, func(a, b kmsg.ConsumerGroupDescribeResponseGroup) int {
		return strings.Compare(s.hide.Replace(a.Group), s.hide.Replace(b.Group))
	})
	for _, g := range described {
		s.printf("describe %q: %s %q epoch %d/%d assignor %q operations %d", g.Group, code(g.ErrorCode), g.State, g.Epoch, g.AssignmentEpoch, g.AssignorName, g.AuthorizedOperations)
		for _, m := range g.Members {
			s.printf("  %s instance %q epoch %d topics %v regex %q type %d has %d shall %d", m.MemberID, orNone(m.InstanceID), m.MemberEpoch, m.SubscribedTopics,
				orNone(m.SubscribedTopicRegex), m.MemberType, len(m.Assignment.TopicPartitions), len(m.TargetAssignment.TopicPartitions))
		}
	}
	d := kmsg.NewPtrDescribeGroupsRequest()
	d.Version, d.Groups = 6, []string{group}
	for _, g := range s.ask(d).(*kmsg.DescribeGroupsResponse).Groups {
		s.printf("describe as classic: %s %q", code(g.ErrorCode), g.State)
	}
	l := kmsg.NewPtrListGroupsRequest()
	l.Version, l.TypesFilter = 5, []string{"consumer"}
	for _, g := range s.ask(l).(*kmsg.ListGroupsResponse).Groups {
		if g.Group == group {
			s.printf("list: %s %s %s", g.ProtocolType, g.GroupState, g.GroupType)
		}
	}
	del := kmsg.NewPtrDeleteGroupsRequest()
	del.Groups = []string{group}
	s.printf("delete: %s", code(s.ask(del).(*kmsg.DeleteGroupsResponse).Groups[0].ErrorCode))

	commit := func(what, member string, epoch int32) {
		t.Helper()
		req := kmsg.NewPtrOffsetCommitRequest()
		req.Group, req.MemberID, req.Generation = group, member, epoch
		req.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: topic, TopicID: id, Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: 1, LeaderEpoch: -1}}}}
		s.printf("commit %s: %s", what, code(s.ask(req).(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode))
	}
	commit("in the epoch", "a", 2)
	commit("of the future", "a", 3)
	commit("of the past", "a", 1)
	commit("of nobody", "x", 1)
	commit("as a tool", "", -1)
	fetch := func(what string, member *string, epoch int32) {
		t.Helper()
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Groups = []kmsg.OffsetFetchRequestGroup{{Group: group, MemberID: member, MemberEpoch: epoch, Topics: []kmsg.OffsetFetchRequestGroupTopic{{Topic: topic, TopicID: id, Partitions: []int32{0}}}}}
		g := s.ask(req).(*kmsg.OffsetFetchResponse).Groups[0]
		s.printf("fetch %s: %s", what, code(g.ErrorCode))
	}
	fetch("as anyone", nil, -1)
	fetch("as a", text("a"), 2)
	fetch("as a in a wrong epoch", text("a"), 3)
	fetch("as nobody", text("x"), 1)

	join := kmsg.NewPtrJoinGroupRequest()
	join.Group, join.ProtocolType, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis = group, "connect", 10_000, 10_000
	join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "x", Metadata: []byte{0, 0}}}
	s.printf("classic join of another type: %s", code(s.ask(join).(*kmsg.JoinGroupResponse).ErrorCode))
	classic := kmsg.NewPtrHeartbeatRequest()
	classic.Group, classic.MemberID, classic.Generation = group, "a", 2
	s.printf("classic heartbeat of a: %s", code(s.ask(classic).(*kmsg.HeartbeatResponse).ErrorCode))
	sync := kmsg.NewPtrSyncGroupRequest()
	sync.Group, sync.MemberID, sync.Generation, sync.ProtocolType, sync.Protocol = group, "a", 2, text("consumer"), text("range")
	s.printf("classic sync of a: %s", code(s.ask(sync).(*kmsg.SyncGroupResponse).ErrorCode))
	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Group, leave.Members = group, []kmsg.LeaveGroupRequestMember{{MemberID: "a"}}
	lr := s.ask(leave).(*kmsg.LeaveGroupResponse)
	s.printf("classic leave of a: %s %s", code(lr.ErrorCode), code(lr.Members[0].ErrorCode))

	beat("a leaves", heartbeat(group, "a", -1))
	beat("static s joins", heartbeat(other, "s", 0, joins(topic), instance("i")))
	beat("static z joins by the same name", heartbeat(other, "z", 0, joins(topic), instance("i")))
	beat("s joins again", heartbeat(other, "s", 0, joins(topic), instance("i")))
	beat("s is away", heartbeat(other, "s", -2, instance("i")))
	beat("z takes its place", heartbeat(other, "z", 0, joins(topic), instance("i")))
	beat("s is fenced", heartbeat(other, "s", 2, instance("i")))
	beat("s leaves all the same", heartbeat(other, "s", -1, instance("i")))
	beat("z without its name", heartbeat(other, "z", 2))
	beat("z leaves", heartbeat(other, "z", -1, instance("i")))
	s.compare("consumer_heartbeat.txt")
}
