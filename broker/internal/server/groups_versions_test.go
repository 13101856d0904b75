package server_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/brokertest"
)

// Every version of every group request, by hand: a whole life of a group each time.
func TestGroups_EveryVersion(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.InMemory())
	admin := createOrders(t, b)
	details, err := admin.ListTopics(timeout(t), "orders")
	if err != nil {
		t.Fatal(err)
	}
	topicID := [16]byte(details["orders"].ID)
	for version := range int16(11) {
		t.Run(fmt.Sprint("v", version), func(t *testing.T) {
			t.Parallel()
			life := &groupLife{rawClient: dialBroker(t, b), group: fmt.Sprint("life", version), version: version, topicID: topicID}
			life.run()
		})
	}
}

// groupLife does everything in the highest version up to the given one.
type groupLife struct {
	*rawClient
	group      string
	version    int16
	topicID    [16]byte
	member     string
	generation int32
}

func (l *groupLife) at(lowest, highest int16) int16 { return min(max(l.version, lowest), highest) }

// ask sends a request and reads its answer.
func (l *groupLife) ask(req kmsg.Request, version int16) kmsg.Response {
	l.t.Helper()
	l.send(req, version)
	return l.receive(req, l.corr)
}

func (l *groupLife) check(what string, code int16) {
	l.t.Helper()
	if code != 0 {
		l.t.Fatalf("%s: error %d", what, code)
	}
}

func (l *groupLife) run() {
	l.find()
	l.join()
	l.sync()
	heartbeat := kmsg.NewPtrHeartbeatRequest()
	heartbeat.Group, heartbeat.MemberID, heartbeat.Generation = l.group, l.member, l.generation
	l.check("heartbeat", l.ask(heartbeat, l.at(0, 4)).(*kmsg.HeartbeatResponse).ErrorCode)
	l.commit()
	l.fetch()
	l.describe("Stable")
	l.leave()
	l.describe("Empty")
	l.list()
	l.delete()
	l.describe("Dead")
}

func (l *groupLife) find() {
	req := kmsg.NewPtrFindCoordinatorRequest()
	v := l.at(0, 6)
	req.CoordinatorKey, req.CoordinatorKeys = l.group, []string{l.group}
	resp := l.ask(req, v).(*kmsg.FindCoordinatorResponse)
	node, port := resp.NodeID, resp.Port
	if v >= 4 {
		l.check("find", resp.Coordinators[0].ErrorCode)
		node, port = resp.Coordinators[0].NodeID, resp.Coordinators[0].Port
	}
	if resp.ErrorCode != 0 || node != 1 || port == 0 {
		l.t.Fatalf("find: %+v", resp)
	}
}

func (l *groupLife) join() {
	v := l.at(0, 9)
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.SessionTimeoutMillis, req.RebalanceTimeoutMillis, req.ProtocolType = l.group, 10000, 10000, "consumer"
	req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: []byte{0, 0, 0, 0, 0, 1, 0, 6, 'o', 'r', 'd', 'e', 'r', 's'}}}
	resp := l.ask(req, v).(*kmsg.JoinGroupResponse)
	if v >= 4 {
		if resp.ErrorCode != 79 || resp.MemberID == "" { // MEMBER_ID_REQUIRED
			l.t.Fatalf("first join: %+v", resp)
		}
		req.MemberID = resp.MemberID
		resp = l.ask(req, v).(*kmsg.JoinGroupResponse)
	}
	l.check("join", resp.ErrorCode)
	if resp.LeaderID != resp.MemberID || len(resp.Members) != 1 || *resp.Protocol != "range" || resp.Generation != 1 {
		l.t.Fatalf("join: %+v", resp)
	}
	if (resp.ProtocolType != nil) != (v >= 7) {
		l.t.Errorf("join v%d: protocol type %v", v, resp.ProtocolType)
	}
	l.member, l.generation = resp.MemberID, resp.Generation
}

func (l *groupLife) sync() {
	v := l.at(0, 5)
	req := kmsg.NewPtrSyncGroupRequest()
	req.Group, req.MemberID, req.Generation = l.group, l.member, l.generation
	req.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: l.member, MemberAssignment: []byte("mine")}}
	if v >= 5 { // both are mandatory
		if resp := l.ask(req, v).(*kmsg.SyncGroupResponse); resp.ErrorCode != 23 {
			l.t.Errorf("sync without protocol: %+v", resp)
		}
	}
	req.ProtocolType, req.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr("range")
	resp := l.ask(req, v).(*kmsg.SyncGroupResponse)
	l.check("sync", resp.ErrorCode)
	if string(resp.MemberAssignment) != "mine" {
		l.t.Errorf("sync: %q", resp.MemberAssignment)
	}
}

func (l *groupLife) commit() {
	v := l.at(2, 10)
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.MemberID, req.Generation = l.group, l.member, l.generation
	one := kmsg.NewOffsetCommitRequestTopicPartition()
	one.Partition, one.Offset, one.LeaderEpoch, one.Metadata = 1, 42, 3, kmsg.StringPtr("note")
	none := kmsg.NewOffsetCommitRequestTopicPartition()
	none.Partition, none.Offset = 9, 1
	req.Topics = []kmsg.OffsetCommitRequestTopic{
		{Topic: "orders", TopicID: l.topicID, Partitions: []kmsg.OffsetCommitRequestTopicPartition{one, none}},
		{Topic: "nosuch", TopicID: [16]byte{1}, Partitions: []kmsg.OffsetCommitRequestTopicPartition{one}},
	}
	resp := l.ask(req, v).(*kmsg.OffsetCommitResponse)
	unknown := int16(3) // UNKNOWN_TOPIC_OR_PARTITION
	if v >= 10 {
		unknown = 100 // UNKNOWN_TOPIC_ID
	}
	l.check("commit", resp.Topics[0].Partitions[0].ErrorCode)
	if resp.Topics[0].Partitions[1].ErrorCode != 3 || resp.Topics[1].Partitions[0].ErrorCode != unknown {
		l.t.Errorf("commit v%d: %+v", v, resp)
	}
	// A generation that never was.
	req.Generation = 77
	if resp = l.ask(req, v).(*kmsg.OffsetCommitResponse); resp.Topics[0].Partitions[0].ErrorCode != 22 {
		l.t.Errorf("commit v%d of another generation: %+v", v, resp)
	}
	req.Group = "nosuch-" + l.group
	resp = l.ask(req, v).(*kmsg.OffsetCommitResponse)
	if code := resp.Topics[0].Partitions[0].ErrorCode; v >= 9 && code != 69 || v < 9 && code != 22 {
		l.t.Errorf("commit v%d to no group: %d", v, code)
	}
}

func (l *groupLife) fetch() {
	v := l.at(1, 10)
	for _, all := range []bool{false, true} {
		if all && v < 2 {
			continue
		}
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Group, req.RequireStable = l.group, true
		req.Groups = []kmsg.OffsetFetchRequestGroup{kmsg.NewOffsetFetchRequestGroup(), kmsg.NewOffsetFetchRequestGroup()}
		req.Groups[0].Group, req.Groups[1].Group = l.group, "nosuch"
		if !all {
			req.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: "orders", Partitions: []int32{0, 1}}}
			for i := range req.Groups {
				req.Groups[i].Topics = []kmsg.OffsetFetchRequestGroupTopic{{Topic: "orders", TopicID: l.topicID, Partitions: []int32{0, 1}}}
			}
		}
		resp := l.ask(req, v).(*kmsg.OffsetFetchResponse)
		l.check("fetch", resp.ErrorCode)
		got := map[string]string{}
		add := func(group string, p int32, offset int64, epoch int32, note *string) {
			got[group] += fmt.Sprintf(" %d=%d/%d%q", p, offset, epoch, *note)
		}
		for _, topic := range resp.Topics {
			for _, p := range topic.Partitions {
				add(l.group, p.Partition, p.Offset, p.LeaderEpoch, p.Metadata)
			}
		}
		for _, g := range resp.Groups {
			l.check("fetch", g.ErrorCode)
			for _, topic := range g.Topics {
				if v >= 10 && topic.TopicID != l.topicID {
					l.t.Errorf("fetch v%d: topic id %x", v, topic.TopicID)
				}
				for _, p := range topic.Partitions {
					add(g.Group, p.Partition, p.Offset, p.LeaderEpoch, p.Metadata)
				}
			}
		}
		epoch := -1 // OffsetCommit carries it from version 6, OffsetFetch from version 5
		if l.at(2, 10) >= 6 {
			epoch = 3
		}
		want := fmt.Sprintf(` 1=42/%d"note"`, epoch)
		if !all {
			want = ` 0=-1/-1""` + want
		}
		if got[l.group] != want {
			l.t.Errorf("fetch v%d all=%v: %q, want %q", v, all, got[l.group], want)
		}
		if missing := got["nosuch"]; v >= 8 && !all && missing != ` 0=-1/-1"" 1=-1/-1""` || all && missing != "" {
			l.t.Errorf("fetch v%d of no group: %q", v, missing)
		}
	}
}

func (l *groupLife) describe(state string) {
	l.t.Helper()
	v := l.at(0, 6)
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups, req.IncludeAuthorizedOperations = []string{l.group}, true
	g := l.ask(req, v).(*kmsg.DescribeGroupsResponse).Groups[0]
	if v >= 6 && state == "Dead" {
		if g.ErrorCode != 69 || g.State != "Dead" || g.ErrorMessage == nil {
			l.t.Errorf("describe: %+v", g)
		}
		return
	}
	if g.ErrorCode != 0 || g.State != state {
		l.t.Errorf("describe v%d: %+v, want %s", v, g, state)
	}
	if v >= 3 && g.AuthorizedOperations != 3400 {
		l.t.Errorf("describe: authorized operations %d", g.AuthorizedOperations)
	}
	if state == "Stable" && (g.Protocol != "range" || len(g.Members) != 1 || string(g.Members[0].MemberAssignment) != "mine" ||
		len(g.Members[0].ProtocolMetadata) == 0 || g.Members[0].ClientID != "raw" || g.Members[0].ClientHost != "/127.0.0.1") {
		l.t.Errorf("describe: %+v", g)
	}
}

func (l *groupLife) leave() {
	v := l.at(0, 5)
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group, req.MemberID = l.group, l.member
	req.Members = []kmsg.LeaveGroupRequestMember{{MemberID: l.member}, {MemberID: "nobody"}}
	resp := l.ask(req, v).(*kmsg.LeaveGroupResponse)
	l.check("leave", resp.ErrorCode)
	if v >= 3 && (len(resp.Members) != 2 || resp.Members[0].ErrorCode != 0 || resp.Members[1].ErrorCode != 25) {
		l.t.Errorf("leave: %+v", resp)
	}
	again := l.ask(req, v).(*kmsg.LeaveGroupResponse)
	if v < 3 && again.ErrorCode != 25 || v >= 3 && again.Members[0].ErrorCode != 25 {
		l.t.Errorf("left twice: %+v", again)
	}
}

func (l *groupLife) list() {
	v := l.at(0, 5)
	req := kmsg.NewPtrListGroupsRequest()
	if v >= 4 {
		req.StatesFilter = []string{"empty"}
	}
	if v >= 5 {
		req.TypesFilter = []string{"classic"}
	}
	resp := l.ask(req, v).(*kmsg.ListGroupsResponse)
	l.check("list", resp.ErrorCode)
	i := slices.IndexFunc(resp.Groups, func(g kmsg.ListGroupsResponseGroup) bool { return g.Group == l.group })
	if i < 0 || resp.Groups[i].ProtocolType != "consumer" {
		l.t.Errorf("list: %+v", resp.Groups)
	}
}

func (l *groupLife) delete() {
	offsets := kmsg.NewPtrOffsetDeleteRequest()
	offsets.Group = l.group
	offsets.Topics = []kmsg.OffsetDeleteRequestTopic{{Topic: "orders", Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 1}, {Partition: 9}}}}
	gone := l.ask(offsets, 0).(*kmsg.OffsetDeleteResponse)
	if gone.ErrorCode != 0 || gone.Topics[0].Partitions[0].ErrorCode != 0 || gone.Topics[0].Partitions[1].ErrorCode != 3 {
		l.t.Errorf("delete offsets: %+v", gone)
	}
	req := kmsg.NewPtrDeleteGroupsRequest()
	req.Groups = []string{l.group, "nosuch", l.group}
	resp := l.ask(req, l.at(0, 2)).(*kmsg.DeleteGroupsResponse)
	if len(resp.Groups) != 2 || resp.Groups[0].ErrorCode != 0 || resp.Groups[1].ErrorCode != 69 {
		l.t.Errorf("delete: %+v", resp)
	}
}
