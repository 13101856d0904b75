package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"millrace/broker/internal/storage"
	"millrace/broker/internal/vfs"
)

// TestController_PowerCut cuts the power after each change, with whatever luck the
// unsynced pages have. What was answered is there afterwards; what was not is there
// wholly or not at all; no producer id is given out twice.
func TestController_PowerCut(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 7))
		disk := vfs.NewMem()
		given := map[int64]bool{}
		topics := map[string]TopicID{} // as answered
		for run := range 4 {
			dir, c := openOn(t, disk)
			for name, id := range topics {
				if got := c.Image().Topic(name); got == nil || got.ID != id {
					t.Fatalf("seed %d run %d: topic %s is lost: %+v", seed, run, name, got)
				}
			}
			if got := c.Image().TopicCount(); got != len(topics) {
				t.Fatalf("seed %d run %d: %d topics, want %d", seed, run, got, len(topics))
			}
			for range 30 {
				name := fmt.Sprintf("t%d", r.IntN(12))
				if id, ok := topics[name]; ok && r.IntN(2) == 0 {
					if err := c.DeleteTopics(context.Background(), []TopicRef{{ID: id}})[0].Err; err != nil {
						t.Fatal(err)
					}
					delete(topics, name)
				} else if !ok {
					topics[name] = create(t, c, name, int32(1+r.IntN(5))).ID
				}
				id, err := c.NextProducerID(context.Background())
				if err != nil || given[id] {
					t.Fatalf("seed %d: producer id %d again, %v", seed, id, err)
				}
				given[id] = true
				if r.IntN(8) == 0 {
					c.log.since = 1 << 30 // the next change writes a snapshot
				}
			}
			var luck *rand.Rand
			if seed%2 == 1 {
				luck = r
			}
			after := disk.PowerCut(luck)
			dir.Crash()
			disk = after
		}
	}
}

// openOn opens a controller on the data folder of a disk.
func openDirOn(disk vfs.FS) (*storage.Dir, error) {
	return storage.OpenDir(disk, "data", storage.DirOptions{NodeID: 1, CheckpointInterval: -1, RetentionInterval: -1})
}

func openOn(t *testing.T, disk *vfs.Mem) (*storage.Dir, *Controller) {
	t.Helper()
	dir, err := openDirOn(disk)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Open(context.Background(), Options{Dir: dir, Config: testConfig(), Unclean: !dir.CleanStart()})
	if err != nil {
		t.Fatal(err)
	}
	return dir, c
}

// A stop in order and a start find the same image, and the log is Kafka's.
func TestController_OnStorage(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	dir, c := openOn(t, disk)
	create(t, c, "orders", 4)
	want := describe(c.Image())
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := dir.Close(); err != nil {
		t.Fatal(err)
	}
	dir, c = openOn(t, disk)
	if c.Image().Topic("orders") == nil || c.Image().Topic("orders").Partitions[0].LeaderEpoch != 0 {
		t.Errorf("reopened\n%s\nwant\n%s", describe(c.Image()), want)
	}
	log := dir.Log(storage.Partition{Topic: MetadataTopic})
	if log == nil || log.EndOffset() != 4 {
		t.Errorf("metadata log %v", log)
	}
	if err := dir.Close(); err != nil {
		t.Fatal(err)
	}
}
