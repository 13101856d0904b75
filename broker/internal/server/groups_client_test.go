package server_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/brokertest"
)

// groupConsumer is a franz-go consumer in a group that keeps what it owns and has read.
type groupConsumer struct {
	client *kgo.Client
	mu     sync.Mutex
	owned  map[int32]bool
	read   []string
	moved  chan struct{} // something of the above has changed
	stop   context.CancelFunc
	done   chan struct{}
}

func startConsumer(t *testing.T, b *brokertest.Broker, group string, options ...kgo.Opt) *groupConsumer {
	t.Helper()
	c := &groupConsumer{owned: map[int32]bool{}, moved: make(chan struct{}, 1), done: make(chan struct{})}
	note := func(f func()) {
		c.mu.Lock()
		f()
		c.mu.Unlock()
		select {
		case c.moved <- struct{}{}:
		default:
		}
	}
	lose := func(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
		note(func() {
			for _, p := range lost["orders"] {
				delete(c.owned, p)
			}
		})
	}
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(b.Addr), kgo.ConsumeTopics("orders"), kgo.ConsumerGroup(group),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.HeartbeatInterval(100 * time.Millisecond), kgo.SessionTimeout(6 * time.Second), kgo.RebalanceTimeout(10 * time.Second),
		kgo.Balancers(kgo.RangeBalancer()),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, got map[string][]int32) {
			note(func() {
				for _, p := range got["orders"] {
					c.owned[p] = true
				}
			})
		}),
		kgo.OnPartitionsRevoked(lose), kgo.OnPartitionsLost(lose),
	}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.client, c.stop = client, cancel
	go func() {
		defer close(c.done)
		for ctx.Err() == nil {
			client.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
				note(func() { c.read = append(c.read, string(r.Value)) })
			})
		}
	}()
	t.Cleanup(c.die)
	return c
}

// die stops the client without a word to the broker.
func (c *groupConsumer) die() {
	c.stop()
	<-c.done
	c.client.CloseAllowingRebalance()
}

// waitFor waits until ok holds of what the consumer owns and has read.
func (c *groupConsumer) waitFor(t *testing.T, what string, ok func(owned map[int32]bool, read []string) bool) {
	t.Helper()
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	for {
		c.mu.Lock()
		good := ok(c.owned, c.read)
		state := fmt.Sprint(c.owned, len(c.read))
		c.mu.Unlock()
		if good {
			return
		}
		select {
		case <-c.moved:
		case <-limit.C:
			t.Fatalf("%s: has %s", what, state)
		}
	}
}

func owns(n int) func(map[int32]bool, []string) bool {
	return func(owned map[int32]bool, _ []string) bool { return len(owned) == n }
}

func produceOrders(t *testing.T, b *brokertest.Broker, from, n int) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr), kgo.DefaultProduceTopic("orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for i := range n {
		r := &kgo.Record{Key: fmt.Append(nil, from+i), Value: fmt.Append(nil, "order ", from+i)}
		client.Produce(timeout(t), r, nil)
	}
	if err := client.Flush(timeout(t)); err != nil {
		t.Fatal(err)
	}
}

func createOrders(t *testing.T, b *brokertest.Broker) *kadm.Client {
	t.Helper()
	admin := newAdmin(t, b)
	if _, err := admin.CreateTopic(timeout(t), 4, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	return admin
}

// Two consumers share four partitions; when one is killed, the other takes over.
func TestGroups_TakeOver(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.InMemory())
	admin := createOrders(t, b)
	one := startConsumer(t, b, "g")
	one.waitFor(t, "alone", owns(4))
	// The second is static, so that closing it says nothing to the broker: kill -9.
	two := startConsumer(t, b, "g", kgo.InstanceID("two"))
	two.waitFor(t, "second", owns(2))
	one.waitFor(t, "first of two", owns(2))

	produceOrders(t, b, 0, 40)
	total := func() int {
		one.mu.Lock()
		defer one.mu.Unlock()
		two.mu.Lock()
		defer two.mu.Unlock()
		return len(one.read) + len(two.read)
	}
	one.waitFor(t, "some", func(_ map[int32]bool, read []string) bool { return len(read) > 0 })
	two.waitFor(t, "all", func(_ map[int32]bool, read []string) bool { return len(read) > 0 })
	for deadline := time.Now().Add(20 * time.Second); total() < 40; {
		if time.Now().After(deadline) {
			t.Fatalf("read %d of 40", total())
		}
		select {
		case <-one.moved:
		case <-two.moved:
		}
	}
	if err := two.client.CommitUncommittedOffsets(timeout(t)); err != nil {
		t.Fatal(err)
	}
	groups, err := admin.DescribeGroups(timeout(t), "g")
	if err != nil || groups["g"].State != "Stable" || len(groups["g"].Members) != 2 || groups["g"].Protocol != "range" {
		t.Fatalf("described: %+v, %v", groups, err)
	}
	for _, m := range groups["g"].Members {
		if m.ClientHost != "/127.0.0.1" {
			t.Errorf("client host %q", m.ClientHost)
		}
	}
	two.die()
	one.waitFor(t, "survivor", owns(4))
	produceOrders(t, b, 40, 40)
	one.waitFor(t, "orders of all partitions", func(_ map[int32]bool, read []string) bool {
		n := 0
		for _, v := range read {
			if len(v) == len("order 40") && v >= "order 40" {
				n++
			}
		}
		return n == 40
	})
}

// A static member that comes back in time keeps its partitions; nobody rebalances.
func TestGroups_StaticMemberRestarts(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.InMemory())
	admin := createOrders(t, b)
	one := startConsumer(t, b, "g", kgo.InstanceID("one"), kgo.SessionTimeout(30*time.Second))
	one.waitFor(t, "alone", owns(4))
	two := startConsumer(t, b, "g", kgo.InstanceID("two"), kgo.SessionTimeout(30*time.Second))
	two.waitFor(t, "second", owns(2))
	one.waitFor(t, "first of two", owns(2))
	two.mu.Lock()
	before := fmt.Sprint(two.owned)
	two.mu.Unlock()
	_, generation := one.client.GroupMetadata()

	two.die()
	again := startConsumer(t, b, "g", kgo.InstanceID("two"), kgo.SessionTimeout(30*time.Second))
	again.waitFor(t, "restarted", owns(2))
	again.mu.Lock()
	if after := fmt.Sprint(again.owned); after != before {
		t.Errorf("owned %s, now %s", before, after)
	}
	again.mu.Unlock()
	if _, g := again.client.GroupMetadata(); g != generation {
		t.Errorf("generation %d, was %d: there was a rebalance", g, generation)
	}
	again.die()
	left, err := admin.LeaveGroup(timeout(t), kadm.LeaveGroup("g").InstanceIDs("two"))
	if err != nil || !left.Ok() {
		t.Fatalf("leave: %+v, %v", left, err)
	}
	one.waitFor(t, "after the administrator removed two", owns(4))
}

// The broker is killed under a working group: members and offsets come back, and
// the group goes on in the same generation.
func TestGroups_SurviveKill(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.InMemory())
	admin := createOrders(t, b)
	c := startConsumer(t, b, "g", kgo.AutoCommitInterval(100*time.Millisecond))
	c.waitFor(t, "alone", owns(4))
	produceOrders(t, b, 0, 100)
	c.waitFor(t, "all", func(_ map[int32]bool, read []string) bool { return len(read) == 100 })
	if err := c.client.CommitUncommittedOffsets(timeout(t)); err != nil {
		t.Fatal(err)
	}
	member, generation := c.client.GroupMetadata()
	for round := range 2 {
		b.Kill()
		b.Restart()
		produceOrders(t, b, 100+10*round, 10)
		c.waitFor(t, "goes on", func(_ map[int32]bool, read []string) bool { return len(read) >= 110+10*round })
	}
	if m, g := c.client.GroupMetadata(); m != member || g != generation {
		t.Errorf("member %s generation %d, was %s %d", m, g, member, generation)
	}
	c.mu.Lock()
	seen := map[string]int{}
	for _, v := range c.read {
		seen[v]++
	}
	c.mu.Unlock()
	for v, n := range seen {
		if n > 1 && v < "order 100" && len(v) < len("order 100") {
			t.Errorf("%s came %d times", v, n)
		}
	}
	if err := c.client.CommitUncommittedOffsets(timeout(t)); err != nil {
		t.Fatal(err)
	}
	offsets, err := admin.FetchOffsets(timeout(t), "g")
	if err != nil {
		t.Fatal(err)
	}
	total := int64(0)
	for _, o := range offsets["orders"] {
		total += o.At
	}
	if total != 120 {
		t.Errorf("committed %d, want 120", total)
	}
}

// An administrator's day: list, describe, reset, delete.
func TestGroups_Admin(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.InMemory())
	admin := createOrders(t, b)
	ctx := timeout(t)
	produceOrders(t, b, 0, 20)
	c := startConsumer(t, b, "g")
	c.waitFor(t, "all", func(_ map[int32]bool, read []string) bool { return len(read) == 20 })

	if r, err := admin.DeleteGroups(ctx, "g", "nosuch"); err != nil ||
		fmt.Sprint(r["g"].Err) != "NON_EMPTY_GROUP: The group is not empty." || r["nosuch"].Err == nil {
		t.Errorf("delete: %v, %v", r, err)
	}
	var reset kadm.Offsets
	reset.AddOffset("orders", 0, 0, -1)
	if r, err := admin.CommitOffsets(ctx, "g", reset); err != nil || r.Ok() {
		t.Errorf("reset of a live group: %v, %v", r, err)
	}
	if err := c.client.CommitUncommittedOffsets(ctx); err != nil {
		t.Fatal(err)
	}
	if r, err := admin.DeleteOffsets(ctx, "g", kadm.TopicsSet{"orders": {0: {}}}); err != nil ||
		!strings.HasPrefix(fmt.Sprint(r["orders"][0]), "GROUP_SUBSCRIBED_TO_TOPIC") {
		t.Errorf("delete offsets: %v, %v", r, err)
	}
	c.client.LeaveGroup()

	if r, err := admin.CommitOffsets(ctx, "g", reset); err != nil || !r.Ok() {
		t.Errorf("reset: %v, %v", r, err)
	}
	if r, err := admin.FetchOffsets(ctx, "g"); err != nil || r["orders"][0].At != 0 {
		t.Errorf("after reset: %v, %v", r, err)
	}
	listed, err := admin.ListGroups(ctx, "empty")
	if err != nil || fmt.Sprint(listed.Groups()) != "[g]" || listed["g"].ProtocolType != "consumer" || listed["g"].State != "Empty" {
		t.Errorf("listed: %+v, %v", listed, err)
	}
	if listed, err = admin.ListGroups(ctx, "Stable"); err != nil || len(listed) != 0 {
		t.Errorf("listed stable: %+v, %v", listed, err)
	}
	if _, err := admin.DeleteTopic(ctx, "orders"); err != nil {
		t.Fatal(err)
	}
	createOrders(t, b)
	if r, err := admin.FetchOffsets(ctx, "g"); err != nil || len(r) != 0 {
		t.Errorf("offsets of a deleted topic: %v, %v", r, err)
	}
	if r, err := admin.DeleteGroups(ctx, "g"); err != nil || r.Error() != nil {
		t.Errorf("delete: %v, %v", r, err)
	}
	b.Kill()
	b.Restart()
	if listed, err = admin.ListGroups(ctx); err != nil || len(listed) != 0 {
		t.Errorf("came back: %+v, %v", listed, err)
	}
}

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
	for version := int16(0); version <= 10; version++ {
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
