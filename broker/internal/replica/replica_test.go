package replica

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"millrace/broker/internal/cluster"
	"millrace/broker/internal/config"
	"millrace/broker/internal/record"
	"millrace/broker/internal/storage"
	"millrace/broker/internal/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a data folder in memory with metadata and a manager that follows it.
type world struct {
	t       *testing.T
	dir     *storage.Dir
	cluster *cluster.Controller
	manager *Manager
}

func open(t *testing.T, fsys vfs.FS) *world {
	t.Helper()
	dir, err := storage.OpenDir(fsys, "data", storage.DirOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.NewBroker(map[string]string{"log.dirs": "data"})
	if err != nil {
		t.Fatal(err)
	}
	ctl, err := cluster.Open(t.Context(), cluster.Options{Dir: dir, Config: c, Unclean: !dir.CleanStart()})
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewManager(dir, c.NodeID, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctl.Subscribe(m.Apply)
	return &world{t, dir, ctl, m}
}

func (w *world) close() {
	w.manager.Close()
	_ = w.cluster.Close()
	if err := w.dir.Close(); err != nil {
		w.t.Error(err)
	}
}

func (w *world) create(topic string, partitions int32) {
	w.t.Helper()
	for _, r := range w.cluster.CreateTopics(w.t.Context(), []cluster.NewTopic{{Name: topic, Partitions: partitions, ReplicationFactor: -1}}, false) {
		if r.Err != nil {
			w.t.Fatal(r.Err)
		}
	}
}

func (w *world) remove(topic string) {
	w.t.Helper()
	for _, r := range w.cluster.DeleteTopics(w.t.Context(), []cluster.TopicRef{{Name: topic}}) {
		if r.Err != nil {
			w.t.Fatal(r.Err)
		}
	}
}

func (w *world) get(topic string, index int32) *Partition {
	w.t.Helper()
	p, err := w.manager.Get(topic, index)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *world) append(p *Partition, n int) storage.AppendInfo {
	w.t.Helper()
	info, err := p.Append(batch(w.t, n), storage.AppendOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return info
}

func batch(t *testing.T, n int) record.Batch {
	t.Helper()
	var b record.Builder
	for range n {
		b.Add(time.Now().UnixMilli(), []byte("k"), []byte("v"))
	}
	out, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestManager_FollowsTheMetadata(t *testing.T) {
	t.Parallel()
	fsys := vfs.NewMem()
	w := open(t, fsys)
	if _, err := w.manager.Get("orders", 0); !errors.Is(err, ErrUnknown) {
		t.Fatal(err)
	}
	w.create("orders", 2)
	p := w.get("orders", 1)
	if _, err := w.manager.Get("orders", 2); !errors.Is(err, ErrUnknown) {
		t.Fatal(err)
	}
	if w.manager.OnDisk("orders", 0) || !w.manager.OnDisk("orders", 1) {
		t.Fatal("a partition that nobody asked for has a folder")
	}
	info := w.append(p, 3)
	if err := p.WaitCommitted(t.Context(), info.Last+1); err != nil || p.HighWatermark() != 3 {
		t.Fatalf("high watermark %d, %v", p.HighWatermark(), err)
	}
	for _, err := range w.cluster.CreatePartitions(t.Context(), []cluster.NewPartitions{{Topic: "orders", Count: 3}}, false) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if w.get("orders", 1) != p {
		t.Fatal("more partitions made a new object of an old one")
	}
	w.get("orders", 2)

	// Deleted and made again: another topic, nothing in it.
	w.remove("orders")
	if _, err := p.Append(batch(t, 1), storage.AppendOptions{}); !errors.Is(err, storage.ErrClosed) {
		t.Fatalf("append to a deleted partition: %v", err)
	}
	w.create("orders", 2)
	if again := w.get("orders", 1); again == p || again.HighWatermark() != 0 || again.EndOffset() != 0 {
		t.Fatal("the new topic has the old one's records")
	}
	w.close()

	w = open(t, fsys)
	defer w.close()
	w.manager.Run(t.Context())
	n := 0
	w.manager.Open(func(*Partition) { n++ })
	if n != 1 {
		t.Fatalf("%d logs are opened, 1 has a folder", n)
	}
}

// What was appended and not synced is neither readable nor told of as committed,
// and is still there when it was synced before the crash.
func TestPartition_HighWatermarkIsWhatIsOnDisk(t *testing.T) {
	t.Parallel()
	fsys := vfs.NewMem()
	if err := errors.Join(fsys.MkdirAll("data"), fsys.SyncDir(".")); err != nil {
		t.Fatal(err)
	}
	w := open(t, fsys)
	w.create("orders", 1)
	p := w.get("orders", 0)
	info := w.append(p, 2)
	if err := p.WaitCommitted(t.Context(), info.Last+1); err != nil {
		t.Fatal(err)
	}
	if p.CheckEpoch(-1) != nil || p.CheckEpoch(0) != nil || !errors.Is(p.CheckEpoch(1), ErrUnknownEpoch) {
		t.Fatal("epochs")
	}
	after := fsys.PowerCut(nil)
	w.dir.Crash()
	w.manager.Close()
	_ = w.cluster.Close()

	w = open(t, after)
	defer w.close()
	p = w.get("orders", 0)
	if p.HighWatermark() != 2 || p.EndOffset() != 2 {
		t.Fatalf("high watermark %d, end %d", p.HighWatermark(), p.EndOffset())
	}
	if p.LeaderEpoch() != 1 || !errors.Is(p.CheckEpoch(0), ErrFencedEpoch) {
		t.Fatalf("leader epoch %d after a crash", p.LeaderEpoch())
	}
	if _, err := p.DeleteBefore(3); err == nil {
		t.Fatal("records beyond the high watermark were deleted")
	}
	if start, err := p.DeleteBefore(-1); err != nil || start != 2 {
		t.Fatal(start, err)
	}
}

func TestWaiter_CountsBytesOfAllItsPartitions(t *testing.T) {
	t.Parallel()
	w := open(t, vfs.NewMem())
	defer w.close()
	w.create("orders", 2)
	a, b := w.get("orders", 0), w.get("orders", 1)
	size := int64(len(batch(t, 1)))
	commit := func(p *Partition) {
		t.Helper()
		info := w.append(p, 1)
		if err := p.WaitCommitted(t.Context(), info.Last+1); err != nil {
			t.Fatal(err)
		}
	}
	fired := func(w *Waiter) bool {
		select {
		case <-w.C:
			return true
		default:
			return false
		}
	}
	markA, markB := a.Mark(), b.Mark()
	commit(a) // between the reading and the watching
	three := NewWaiter(3 * size)
	a.Watch(three, markA)
	b.Watch(three, markB)
	commit(b)
	if fired(three) {
		t.Fatal("woken by two batches of three")
	}
	commit(a)
	if !fired(three) {
		t.Fatal("not woken by three batches")
	}
	a.Unwatch(three)
	b.Unwatch(three)
	commit(a)
	if fired(three) || len(a.waiters) != 0 {
		t.Fatal("woken after Unwatch")
	}

	gone := NewWaiter(1 << 40)
	a.Watch(gone, a.Mark())
	w.remove("orders")
	if !fired(gone) || !a.Gone() {
		t.Fatal("not woken by the deletion")
	}
	late := NewWaiter(1 << 40)
	a.Watch(late, a.Mark())
	if !fired(late) {
		t.Fatal("a deleted partition lets wait")
	}
}

// A commit may be told of by the disk before Append has noted its size.
func TestPartition_NotesAnAppendThatIsCommittedAlready(t *testing.T) {
	t.Parallel()
	w := open(t, vfs.NewMem())
	defer w.close()
	w.create("orders", 1)
	p := w.get("orders", 0)
	waiter := NewWaiter(200)
	p.Watch(waiter, p.Mark())
	p.advance(p.Log(), 5)
	p.noteAppend(3, 100)
	p.noteAppend(9, 100)
	p.noteAppend(7, 100)
	if len(waiter.C) != 0 || p.Mark().readable != 100 {
		t.Fatalf("%d bytes are readable", p.Mark().readable)
	}
	p.advance(p.Log(), 7)
	if len(waiter.C) != 1 || p.Mark().readable != 200 {
		t.Fatalf("%d bytes are readable", p.Mark().readable)
	}
	p.advance(p.Log(), 6)
	if p.HighWatermark() != 7 {
		t.Fatal("the high watermark went back")
	}
	p.advance(p.Log(), 9)
	if p.Mark().readable != 300 || len(p.unsynced) != 0 {
		t.Fatalf("%d bytes are readable", p.Mark().readable)
	}
}

func TestWaitCommitted_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	w := open(t, vfs.NewMem())
	defer w.close()
	w.create("orders", 1)
	p := w.get("orders", 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.WaitCommitted(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// A reader of committed records is not woken by records of an open transaction, and is by its marker.
func TestWaiter_Committed(t *testing.T) {
	t.Parallel()
	w := open(t, vfs.NewMem())
	defer w.close()
	w.create("orders", 1)
	p := w.get("orders", 0)
	send := func(b record.Batch, o storage.AppendOptions) {
		t.Helper()
		info, err := p.Append(b, o)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.WaitCommitted(t.Context(), info.Last+1); err != nil {
			t.Fatal(err)
		}
	}
	read := func(committed bool) (int, Position) {
		t.Helper()
		span, at, err := p.Read(0, 1<<20, true, committed)
		if err != nil {
			t.Fatal(err)
		}
		defer span.Release()
		return span.Len(), at
	}
	guard, err := p.Log().BeginVerify(9, 0, 0, true)
	if err != nil {
		t.Fatal(err)
	}
	waiter, mark := NewCommittedWaiter(), p.Mark()
	p.Watch(waiter, mark)
	b := record.Builder{Idempotent: true, Transactional: true, ProducerID: 9}
	b.Add(time.Now().UnixMilli(), nil, []byte("v"))
	batch, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	send(batch, storage.AppendOptions{Guard: guard})
	if len(waiter.C) != 0 {
		t.Fatal("woken by an open transaction")
	}
	if n, at := read(true); n != 0 || at.LastStable != 0 || at.HighWatermark != 1 {
		t.Fatalf("%d bytes are committed at %+v", n, at)
	}
	if n, _ := read(false); n == 0 {
		t.Fatal("nothing to read for readers of uncommitted records")
	}
	send(record.EndTxn(9, 1, 0, record.Marker{Commit: true}), storage.AppendOptions{Origin: storage.FromCoordinator, TxnVersion: 2})
	if len(waiter.C) != 1 {
		t.Fatal("not woken by the marker")
	}
	if n, at := read(true); n == 0 || at.LastStable != 2 {
		t.Fatalf("%d bytes are committed at %+v", n, at)
	}
	late := NewCommittedWaiter()
	p.Watch(late, mark)
	if len(late.C) != 1 {
		t.Fatal("what came between reading and watching was missed")
	}
}
