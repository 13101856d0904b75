package coordinator

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"go.uber.org/goleak"

	"millrace/broker/internal/group"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testConfig() Config {
	cfg := DefaultConfig()
	cfg.Group.InitialRebalanceDelay = 0
	return cfg
}

func start(t *testing.T, log *fakeLog, cfg Config) *Coordinator {
	t.Helper()
	c := Start(cfg, log, nil)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// startLoaded returns a coordinator that has loaded all there is.
func startLoaded(t *testing.T, log *fakeLog) *Coordinator {
	t.Helper()
	loads := make(loadEvents, log.partitions)
	c := Start(testConfig(), log, loads)
	t.Cleanup(func() { _ = c.Close() })
	for _, n := log.Topic(); n > 0; n-- {
		<-loads
	}
	return c
}

// loadEvents passes on what was loaded.
type loadEvents chan Load

func (loadEvents) Group(string, group.Event)                   {}
func (e loadEvents) Loaded(l Load)                             { e <- l }
func (loadEvents) Wrote(int32, int, int, time.Duration, error) {}

// consumer is a client of the classic protocol, before KIP-394.
type consumer struct {
	c          *Coordinator
	group      string
	id         string
	instance   string
	generation int32
	leader     bool
	members    []group.JoinedMember
}

func (m *consumer) join() *kerr.Error {
	r := m.c.Join(context.Background(), m.group, group.Join{
		MemberID: m.id, InstanceID: m.instance, ClientID: "c", SessionTimeout: 10 * time.Second, RebalanceTimeout: 30 * time.Second,
		ProtocolType: "consumer", Protocols: []group.Protocol{{Name: "range", Metadata: []byte{0, 0, 0, 0, 0, 0}}},
	})
	if r.Err == nil {
		m.id, m.generation, m.leader, m.members = r.MemberID, r.Generation, r.LeaderID == r.MemberID, r.Members
	}
	return r.Err
}

// sync lets the leader give each member its own id as assignment.
func (m *consumer) sync() (string, *kerr.Error) {
	in := group.Sync{MemberID: m.id, Generation: m.generation}
	if m.leader {
		for _, o := range m.members {
			in.Assignments = append(in.Assignments, group.Assignment{MemberID: o.MemberID, Data: []byte(o.MemberID)})
		}
	}
	r := m.c.Sync(context.Background(), m.group, in)
	return string(r.Assignment), r.Err
}

func (m *consumer) heartbeat() *kerr.Error {
	return m.c.Heartbeat(context.Background(), m.group, group.Heartbeat{MemberID: m.id, Generation: m.generation})
}

func (m *consumer) mustJoin(t *testing.T) {
	t.Helper()
	if err := m.join(); err != nil {
		t.Fatal(err)
	}
	if got, err := m.sync(); err != nil || got != m.id {
		t.Fatalf("sync: %q, %v", got, err)
	}
}

func commit(c *Coordinator, id string, offset int64) *kerr.Error {
	r := c.Commit(context.Background(), id, group.Commit{Generation: -1, Offsets: []group.CommitOffset{
		{TopicPartition: group.TopicPartition{Topic: "orders"}, Offset: offset, LeaderEpoch: 4, Metadata: "m"},
	}})
	if r.Offsets != nil {
		return r.Offsets[0]
	}
	return r.Err
}

func fetch(c *Coordinator, id string) (int64, *kerr.Error) {
	r := c.Fetch(context.Background(), id, group.Fetch{Partitions: []group.TopicPartition{{Topic: "orders"}}})
	if r.Err != nil {
		return 0, r.Err
	}
	return r.Offsets[0].Offset, nil
}

func TestCoordinator_WithoutTopicThereAreNoGroups(t *testing.T) {
	t.Parallel()
	log := newFakeLog(3)
	c := start(t, log, testConfig())
	if got, err := fetch(c, "g"); got != -1 || err != nil {
		t.Errorf("fetch: %d, %v; want -1, no error", got, err)
	}
	if err := c.Heartbeat(context.Background(), "g", group.Heartbeat{MemberID: "m"}); err != kerr.UnknownMemberID {
		t.Errorf("heartbeat: %v", err)
	}
	if err := c.Delete(context.Background(), "g"); err != kerr.GroupIDNotFound {
		t.Errorf("delete: %v", err)
	}
	if groups, err := c.List(); len(groups) != 0 || err != nil {
		t.Errorf("list: %v, %v", groups, err)
	}
	if _, n := log.Topic(); n != 0 {
		t.Error("the topic was made for a question")
	}
	if err := commit(c, "g", 7); err != nil {
		t.Fatal(err)
	}
	if got, err := fetch(c, "g"); got != 7 || err != nil {
		t.Errorf("fetch: %d, %v; want 7", got, err)
	}
}

func TestCoordinator_EmptyGroupID(t *testing.T) {
	t.Parallel()
	c := start(t, newFakeLog(1), testConfig())
	ctx := context.Background()
	for what, err := range map[string]*kerr.Error{
		"join":           c.Join(ctx, "", group.Join{}).Err,
		"sync":           c.Sync(ctx, "", group.Sync{}).Err,
		"heartbeat":      c.Heartbeat(ctx, "", group.Heartbeat{}),
		"leave":          c.Leave(ctx, "", nil).Err,
		"delete offsets": c.DeleteOffsets(ctx, "", nil).Err,
	} {
		if err != kerr.InvalidGroupID {
			t.Errorf("%s: %v", what, err)
		}
	}
	// Kafka allows the empty id where there is no membership.
	if err := commit(c, "", 3); err != nil {
		t.Errorf("commit: %v", err)
	}
	if got, err := fetch(c, ""); got != 3 || err != nil {
		t.Errorf("fetch: %d, %v", got, err)
	}
}

// What is not loaded is not "no offset": a consumer would start from the beginning.
func TestCoordinator_WhileLoading(t *testing.T) {
	t.Parallel()
	log := newFakeLog(2)
	first := start(t, log, testConfig())
	m := &consumer{c: first, group: "g"}
	m.mustJoin(t)
	if err := commit(first, "offsets-only", 5); err != nil {
		t.Fatal(err)
	}
	log = log.crashed()
	log.holdReads = true
	loads := make(loadEvents, 2)
	c := Start(testConfig(), log, loads)
	t.Cleanup(func() { _ = c.Close() })
	m.c = c
	if _, err := fetch(c, "offsets-only"); err != kerr.CoordinatorLoadInProgress {
		t.Errorf("fetch: %v", err)
	}
	if err := commit(c, "offsets-only", 6); err != kerr.CoordinatorLoadInProgress {
		t.Errorf("commit: %v", err)
	}
	if _, _, err := c.Describe("g"); err != kerr.CoordinatorLoadInProgress {
		t.Errorf("describe: %v", err)
	}
	if _, err := c.List(); err != kerr.CoordinatorLoadInProgress {
		t.Errorf("list: %v", err)
	}
	if err := m.heartbeat(); err != nil {
		t.Errorf("heartbeat: %v", err) // as in Kafka: the session has not begun
	}
	log.set(func() { log.holdReads = false })
	<-loads
	<-loads
	if got, err := fetch(c, "offsets-only"); got != 5 || err != nil {
		t.Errorf("fetch after loading: %d, %v", got, err)
	}
}

func TestCoordinator_LoadFails(t *testing.T) {
	t.Parallel()
	log := newFakeLog(1)
	log.created = true
	log.durable[0] = []Record{{Key: []byte{0, 1, 0xff}, Value: []byte{0}}}
	c := startLoaded(t, log)
	if _, err := fetch(c, "g"); err != kerr.NotCoordinator {
		t.Errorf("fetch: %v", err)
	}
	if c.Stats().Failed != 1 {
		t.Error("not counted")
	}
}

// Killed and started again: the members go on as if nothing had happened.
func TestCoordinator_Reload(t *testing.T) {
	t.Parallel()
	log := newFakeLog(3)
	c := start(t, log, testConfig())
	var members []*consumer
	for i := range 20 {
		m := &consumer{c: c, group: fmt.Sprint("g", i)}
		m.mustJoin(t)
		members = append(members, m)
		r := c.Commit(context.Background(), m.group, group.Commit{MemberID: m.id, Generation: m.generation, Offsets: []group.CommitOffset{
			{TopicPartition: group.TopicPartition{Topic: "orders"}, Offset: int64(i), LeaderEpoch: 2, Metadata: "note", TopicID: [16]byte{9}},
		}})
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	if r := c.Leave(context.Background(), "g3", []group.Leaving{{MemberID: members[3].id}}); r.Members[0] != nil {
		t.Fatal(r.Members[0])
	}
	if err := c.Delete(context.Background(), "g3"); err != nil {
		t.Fatal(err)
	}
	var before int
	log.set(func() { log.hold = true; before = log.appends })
	lost := make(chan *kerr.Error)
	go func() { lost <- commit(c, "lost", 99) }()
	log.waitAppends(before + 1)
	next := log.crashed()
	_ = c.Close()
	if err := <-lost; err == nil {
		t.Error("a commit that was not durable was acknowledged")
	}

	c = startLoaded(t, next)
	if _, found, _ := c.Describe("lost"); found {
		t.Error("a group whose only commit was not durable is there")
	}
	for i, m := range members {
		m.c = c
		if i == 3 {
			if _, found, _ := c.Describe("g3"); found {
				t.Error("a deleted group came back")
			}
			continue
		}
		if err := m.heartbeat(); err != nil {
			t.Errorf("%s: heartbeat: %v", m.group, err)
		}
		if got, err := m.sync(); got != m.id || err != nil {
			t.Errorf("%s: sync: %q, %v", m.group, got, err)
		}
		r := c.Fetch(context.Background(), m.group, group.Fetch{All: true})
		want := group.FetchedOffset{TopicPartition: group.TopicPartition{Topic: "orders"}, Offset: int64(i), LeaderEpoch: 2, Metadata: "note", TopicID: [16]byte{9}}
		if len(r.Offsets) != 1 || r.Offsets[0] != want {
			t.Errorf("%s: fetch: %+v", m.group, r)
		}
	}
}

// Commits that come while the disk is busy share the next batch.
func TestCoordinator_GroupCommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := newFakeLog(1)
		c := start(t, log, testConfig())
		if err := c.Ensure(context.Background()); err != nil {
			t.Fatal(err)
		}
		log.set(func() { log.hold = true })
		const n = 50
		var wg sync.WaitGroup
		wg.Go(func() { _ = commit(c, "first", 1) })
		log.waitAppends(1)
		for i := range n {
			wg.Go(func() {
				if err := commit(c, fmt.Sprint("g", i), 1); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait() // all are in the queue
		log.set(func() { log.hold = false })
		wg.Wait()
		if log.appends != 2 {
			t.Errorf("%d batches, want 2", log.appends)
		}
	})
}

func TestCoordinator_NotVisibleBeforeDurable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := newFakeLog(1)
		c := start(t, log, testConfig())
		if err := commit(c, "g", 1); err != nil {
			t.Fatal(err)
		}
		log.set(func() { log.hold = true })
		done := make(chan *kerr.Error, 1)
		go func() { done <- commit(c, "g", 2) }()
		log.waitAppends(2)
		if got, _ := fetch(c, "g"); got != 1 {
			t.Errorf("fetch: %d; want the durable offset 1", got)
		}
		stable := make(chan int64, 1)
		go func() {
			r := c.Fetch(context.Background(), "g", group.Fetch{All: true, Stable: true})
			stable <- r.Offsets[0].Offset
		}()
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("answered before durable: %v", err)
		case <-stable:
			t.Fatal("a stable fetch did not wait")
		default:
		}
		log.set(func() { log.hold = false })
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if got := <-stable; got != 2 {
			t.Errorf("stable fetch: %d", got)
		}
	})
}

func TestCoordinator_DiskFails(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		disk   error
		client *kerr.Error
	}{
		{kerr.KafkaStorageError, kerr.NotCoordinator},
		{fmt.Errorf("append: %w", kerr.NotEnoughReplicas), kerr.CoordinatorNotAvailable},
		{kerr.MessageTooLarge, kerr.UnknownServerError},
		{errDisk, kerr.UnknownServerError},
	} {
		log := newFakeLog(1)
		c := start(t, log, testConfig())
		if err := commit(c, "g", 1); err != nil {
			t.Fatal(err)
		}
		log.set(func() { log.fail = tt.disk })
		if err := commit(c, "g", 2); err != tt.client {
			t.Errorf("%v: client is told %v, want %v", tt.disk, err, tt.client)
		}
		if got, _ := fetch(c, "g"); got != 1 {
			t.Errorf("%v: fetch: %d", tt.disk, got)
		}
	}
}

func TestCoordinator_SessionsEndOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newFakeLog(1)
		c := Start(testConfig(), log, nil)
		defer c.Close()
		a, b := &consumer{c: c, group: "g"}, &consumer{c: c, group: "g"}
		a.mustJoin(t)
		joined := make(chan struct{})
		go func() { _ = b.join(); close(joined) }()
		synctest.Wait()
		if err := a.heartbeat(); err != kerr.RebalanceInProgress {
			t.Fatalf("heartbeat: %v", err)
		}
		if err := a.join(); err != nil {
			t.Fatal(err)
		}
		<-joined
		go func() { _, _ = b.sync() }()
		if _, err := a.sync(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		silent := time.Now()
		for time.Since(silent) < 9*time.Second {
			time.Sleep(time.Second)
			if err := a.heartbeat(); err != nil {
				t.Fatalf("after %v: %v", time.Since(silent), err)
			}
		}
		time.Sleep(999 * time.Millisecond)
		if err := a.heartbeat(); err != nil {
			t.Fatalf("b expired early: %v", err)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if err := a.heartbeat(); err != kerr.RebalanceInProgress {
			t.Errorf("b's session of 10 s is over, heartbeat: %v", err)
		}
		if err := b.heartbeat(); err != kerr.UnknownMemberID {
			t.Errorf("b: %v", err)
		}
	})
}

// A loaded member has a whole session to be heard of.
func TestCoordinator_SessionsStartAfterLoading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newFakeLog(1)
		c := Start(testConfig(), log, nil)
		m := &consumer{c: c, group: "g"}
		m.mustJoin(t)
		_ = c.Close()
		time.Sleep(time.Hour)
		c = Start(testConfig(), log.crashed(), nil)
		defer c.Close()
		m.c = c
		time.Sleep(9999 * time.Millisecond)
		if err := m.heartbeat(); err != nil {
			t.Errorf("heartbeat: %v", err)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		d, found, _ := c.Describe("g")
		if !found || d.State != group.Empty {
			t.Errorf("after the session: %v %v", found, d.State)
		}
	})
}

func TestCoordinator_OffsetsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newFakeLog(1)
		c := Start(testConfig(), log, nil)
		defer c.Close()
		if err := commit(c, "g", 1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(7*24*time.Hour - time.Minute)
		if got, _ := fetch(c, "g"); got != 1 {
			t.Errorf("expired early: %d", got)
		}
		time.Sleep(11 * time.Minute)
		synctest.Wait()
		if got, _ := fetch(c, "g"); got != -1 {
			t.Errorf("kept: %d", got)
		}
		if _, found, _ := c.Describe("g"); found {
			t.Error("the group is still there")
		}
		// Nothing comes back.
		_ = c.Close()
		again := Start(testConfig(), log.crashed(), nil)
		defer again.Close()
		synctest.Wait()
		if groups, _ := again.List(); len(groups) != 0 {
			t.Errorf("came back: %v", groups)
		}
	})
}

func TestCoordinator_TopicDeleted(t *testing.T) {
	t.Parallel()
	log := newFakeLog(2)
	c := start(t, log, testConfig())
	for i := range 5 {
		if err := commit(c, fmt.Sprint("g", i), 1); err != nil {
			t.Fatal(err)
		}
	}
	c.TopicsDeleted("orders")
	for i := range 5 {
		r := c.Fetch(context.Background(), fmt.Sprint("g", i), group.Fetch{All: true, Stable: true})
		if len(r.Offsets) != 0 {
			t.Errorf("g%d: %+v", i, r.Offsets)
		}
	}
}

// Who deletes __consumer_offsets deletes the groups: members find a coordinator that does not know them. Nothing of before
// gets into the topic that is made anew.
func TestCoordinator_ItsOwnTopicDeleted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := newFakeLog(1)
		c := start(t, log, testConfig())
		a, b := &consumer{c: c, group: "g"}, &consumer{c: c, group: "g"}
		a.mustJoin(t)
		if err := commit(c, "alone", 7); err != nil {
			t.Fatal(err)
		}
		done := make(chan *kerr.Error)
		go func() { done <- b.join() }()
		synctest.Wait()

		log.remove()
		if err := a.heartbeat(); err != kerr.UnknownMemberID {
			t.Errorf("heartbeat: %v", err)
		}
		if err := <-done; err != kerr.NotCoordinator {
			t.Errorf("the join that waited: %v", err)
		}
		if offset, err := fetch(c, "alone"); offset != -1 || err != nil {
			t.Errorf("fetch: %d, %v", offset, err)
		}
		if groups, err := c.List(); len(groups) != 0 || err != nil {
			t.Errorf("list: %v, %v", groups, err)
		}

		if err := c.Ensure(context.Background()); err != nil {
			t.Fatal(err)
		}
		if offset, err := fetch(c, "alone"); offset != -1 || err != nil {
			t.Errorf("fetch from the new topic: %d, %v", offset, err)
		}
		if err := a.heartbeat(); err != kerr.UnknownMemberID {
			t.Errorf("heartbeat: %v", err)
		}
		a.id = ""
		a.mustJoin(t)
		time.Sleep(time.Minute) // the timers of before are gone; a's session ends
		if err := commit(c, "alone", 8); err != nil {
			t.Error(err)
		}
		again := startLoaded(t, log)
		if offset, err := fetch(again, "alone"); offset != 8 || err != nil {
			t.Errorf("fetch after a restart: %d, %v", offset, err)
		}
	})
}

// Close answers those who wait, and nobody is left behind.
func TestCoordinator_CloseEndsWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := start(t, newFakeLog(1), testConfig())
		a, b := &consumer{c: c, group: "g"}, &consumer{c: c, group: "g"}
		a.mustJoin(t)
		done := make(chan *kerr.Error)
		go func() { done <- b.join() }()
		synctest.Wait()
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != kerr.CoordinatorNotAvailable {
			t.Errorf("join: %v", err)
		}
		if err := a.heartbeat(); err != kerr.CoordinatorNotAvailable {
			t.Errorf("heartbeat: %v", err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// A client that goes away while it waits leaves no trace of its request.
func TestCoordinator_ClientGoesAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := start(t, newFakeLog(1), testConfig())
		a := &consumer{c: c, group: "g"}
		a.mustJoin(t)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.Join(ctx, "g", group.Join{
				SessionTimeout: 10 * time.Second, RebalanceTimeout: 30 * time.Second, ProtocolType: "consumer",
				Protocols: []group.Protocol{{Name: "range"}},
			})
		}()
		synctest.Wait()
		cancel()
		<-done
		if _, waiting := c.rt.Held(); waiting != 0 {
			t.Errorf("%d requests are still waited for", waiting)
		}
	})
}

// Requests that create nothing leave nothing in memory.
func TestCoordinator_QuestionsLeaveNothing(t *testing.T) {
	t.Parallel()
	c := start(t, newFakeLog(1), testConfig())
	if err := commit(c, "known", 1); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		id := fmt.Sprint("x", i)
		_, _ = fetch(c, id)
		_ = c.Heartbeat(context.Background(), id, group.Heartbeat{MemberID: "m"})
		_ = c.Delete(context.Background(), id)
		_ = c.Join(context.Background(), id, group.Join{SessionTimeout: time.Second})
	}
	if n, _ := c.rt.Held(); n != 1 {
		t.Errorf("%d groups in memory, want 1", n)
	}
}

func TestCoordinator_Stress(t *testing.T) {
	t.Parallel()
	log := newFakeLog(4)
	c := start(t, log, testConfig())
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			id := fmt.Sprint("g", i%5)
			m := &consumer{c: c, group: id + "-members-" + strconv.Itoa(i)}
			for n := range 30 {
				if err := m.join(); err != nil {
					t.Error(err)
					return
				}
				if _, err := m.sync(); err != nil {
					t.Error(err)
				}
				_ = commit(c, id, int64(n))
				_, _ = fetch(c, id)
				_, _ = c.List()
				_, _, _ = c.Describe(id)
				if n%10 == 9 {
					_ = c.Delete(context.Background(), id)
				}
				c.Leave(context.Background(), m.group, []group.Leaving{{MemberID: m.id}})
				m.id = ""
			}
		})
	}
	wg.Wait()
}
