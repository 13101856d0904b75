package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"millrace/broker/internal/record"
	"millrace/broker/internal/vfs"
)

// kafkasTopic is topic t, id 7, with partition 0 on a node, in records of Kafka's.
func kafkasTopic(t *testing.T, node byte) []byte {
	t.Helper()
	id := append(make([]byte, 15), 7)
	var b record.Builder
	b.Add(0, nil, append(append([]byte{1, 2, 0, 2, 't'}, id...), 0))
	list := []byte{2, 0, 0, 0, node}
	partition := append([]byte{1, 3, 0, 0, 0, 0, 0}, id...)
	partition = append(append(append(append(partition, list...), list...), 1, 1), 0, 0, 0, node, 0, 0, 0, 4, 0, 0, 0, 5, 0)
	b.Add(0, nil, partition)
	b.Add(0, nil, append([]byte{1, 15, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0}, 0x0b, 0xb8, 0))
	batch, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return batch
}

// kafkasFolder is a data folder whose metadata Kafka wrote.
func kafkasFolder(t *testing.T, batch []byte) *vfs.Mem {
	t.Helper()
	disk := vfs.NewMem()
	meta := filepath.Join("data", MetadataTopic+"-0")
	if err := disk.MkdirAll(meta); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"quorum-state": []byte("{}"), "00000000000000000000.log": batch} {
		f, err := disk.Open(filepath.Join(meta, name), os.O_RDWR|os.O_CREATE)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(data, 0); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for _, folder := range []string{".", "data", meta} {
		if err := disk.SyncDir(folder); err != nil {
			t.Fatal(err)
		}
	}
	return disk
}

// The power is cut after each operation of the take-over in turn: afterwards Kafka's
// metadata is taken over, once.
func TestAdoption_PowerCut(t *testing.T) {
	t.Parallel()
	cutAfter, done := 0, false
	for ; !done; cutAfter++ {
		if cutAfter > 500 {
			t.Fatal("the take-over does not come to an end")
		}
		disk := kafkasFolder(t, kafkasTopic(t, 1))
		func() {
			left := cutAfter
			failing := vfs.Wrap(disk, func(vfs.Op) error {
				if left--; left < 0 {
					return errors.New("the power is cut")
				}
				return nil
			})
			dir, err := openDirOn(failing)
			if err != nil {
				return
			}
			defer dir.Crash()
			c, err := Open(t.Context(), Options{Dir: dir, Config: testConfig()})
			if err == nil {
				done = c.Image().Topic("t") != nil
			}
		}()
		after := disk.PowerCut(nil)
		dir, err := openDirOn(after)
		if err != nil {
			t.Fatalf("cut after %d: %v", cutAfter, err)
		}
		c, err := Open(t.Context(), Options{Dir: dir, Config: testConfig()})
		if err != nil {
			t.Fatalf("cut after %d: %v", cutAfter, err)
		}
		topic := c.Image().Topic("t")
		if topic == nil || topic.ID != (TopicID{15: 7}) || len(topic.Partitions) != 1 || topic.Partitions[0].LeaderEpoch < 5 {
			t.Fatalf("cut after %d: topic is %+v", cutAfter, topic)
		}
		if id, err := c.NextProducerID(t.Context()); err != nil || id < 3000 {
			t.Fatalf("cut after %d: producer id %d, %v; Kafka had given out all below 3000", cutAfter, id, err)
		}
		dir.Crash()
	}
	t.Logf("the power was cut at %d places", cutAfter)
}

func TestAdoption_Refused(t *testing.T) {
	t.Parallel()
	for name, batch := range map[string][]byte{
		"on another node": kafkasTopic(t, 2),
		"damaged":         append(kafkasTopic(t, 1), append(make([]byte, 80), kafkasTopic(t, 1)...)...),
	} {
		disk := kafkasFolder(t, batch)
		dir, err := openDirOn(disk)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), Options{Dir: dir, Config: testConfig()}); !errors.Is(err, ErrForeignFolder) {
			t.Errorf("%s: got %v, want %v", name, err, ErrForeignFolder)
		}
		if there, err := vfs.Exists(disk, filepath.Join("data", MetadataTopic+"-0", "quorum-state")); err != nil || !there {
			t.Errorf("%s: Kafka's metadata has been moved, %v", name, err)
		}
		dir.Crash()
	}
}

// Once Kafka's metadata is taken over, no start reads it again: here its log is of a format that nobody reads.
func TestAdoption_IsNotReadAgain(t *testing.T) {
	t.Parallel()
	disk := kafkasFolder(t, kafkasTopic(t, 1))
	log := filepath.Join("data", setAside, "00000000000000000000.log")
	for start := range 3 {
		dir, err := openDirOn(disk)
		if err != nil {
			t.Fatal(err)
		}
		c, err := Open(t.Context(), Options{Dir: dir, Config: testConfig()})
		if err != nil || c.Image().Topic("t") == nil {
			t.Fatalf("start %d: %v", start, err)
		}
		if err := errors.Join(c.Close(), dir.Close()); err != nil {
			t.Fatal(err)
		}
		f, err := disk.Open(log, os.O_RDWR)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte{0}, 16); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
