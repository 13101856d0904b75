package storage

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"millrace/broker/internal/record"
	"millrace/broker/internal/vfs"
)

var update = flag.Bool("update", false, "rewrite golden files")

// tracer writes down each operation on files, and what the test does in between.
type tracer struct {
	mu    sync.Mutex
	lines []string
}

func (r *tracer) hook(op vfs.Op) error {
	r.add("  " + op.String())
	return nil
}

func (r *tracer) step(what string) { r.add("# " + what) }

func (r *tracer) add(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line)
}

var uniqueID = regexp.MustCompile(`[0-9a-f]{32}-delete`)

// TestOperations compares every create, write, sync, rename and removal with a golden file: a lost
// sync is a diff there. Rewrite it with -update, and read the diff.
func TestOperations(t *testing.T) {
	t.Parallel()
	r := &tracer{}
	mem := vfs.NewMem()
	f := &fixture{t: t, fs: vfs.Wrap(mem, r.hook), config: DefaultLogConfig()}
	f.config.SegmentBytes = 600
	f.config.IndexIntervalBytes = 100

	r.step("open a new folder")
	f.open()
	r.step("create a log")
	l := f.log()
	r.step("append and wait until it is synced: folder, topic id and names too")
	b := func(i int) record.Batch { return batch(t, i, 3, epoch0.UnixMilli()+int64(i)) }
	f.append(l, b(0))
	r.step("append again: one write, one sync")
	f.append(l, b(1))
	f.append(l, b(2))
	r.step("roll: the full segment is sealed and synced before the next is made")
	f.append(l, b(3))
	f.append(l, b(4))
	r.step("checkpoint")
	if err := f.dir.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	r.step("checkpoint with nothing new")
	if err := f.dir.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	r.step("delete records before offset 10: the start is durable before segments go")
	if _, err := l.DeleteBefore(10); err != nil {
		t.Fatal(err)
	}
	r.step("close")
	if err := f.dir.Close(); err != nil {
		t.Fatal(err)
	}
	r.step("open after a clean shutdown: the marker is gone for good first")
	f.open()
	f.log()
	r.step("close with nothing new")
	if err := f.dir.Close(); err != nil {
		t.Fatal(err)
	}
	f.open()
	l = f.log()
	r.step("append and crash")
	f.append(l, b(5))
	f.dir.Crash()
	r.step("recover: what was read is synced before it is shown")
	f.open()
	f.log()
	r.step("delete the log")
	if err := f.dir.Delete(orders); err != nil {
		t.Fatal(err)
	}
	f.dir.Crash()

	got := strings.ReplaceAll(strings.Join(r.lines, "\n")+"\n", "/data/", "")
	got = strings.ReplaceAll(got, "/data", ".")
	got = uniqueID.ReplaceAllString(got, "UNIQUEID-delete")
	golden := filepath.Join("testdata", "operations.txt")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("operations differ from %s; run with -update and read the diff\n%s", golden, got)
	}
}
