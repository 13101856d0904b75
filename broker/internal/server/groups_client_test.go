package server_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

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
