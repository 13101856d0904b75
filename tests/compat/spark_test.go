package compat

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/pkg/proctree"
)

// event is what the course's stream has.
type event struct {
	UserID    string    `json:"user_id"`
	Action    string    `json:"action"`
	Timestamp time.Time `json:"timestamp"`
}

// windowCount is what foreign/spark.py says of a window and an action.
type windowCount struct {
	Start, End time.Time
	Action     string
	Count      int
}

const sparkWindow = 5 * time.Minute

// startSpark starts foreign/spark.py. It needs PySpark and its connector's jars.
func startSpark(t *testing.T, seeds []string, input, output, checkpoint string) (kill, stop func()) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: it starts programs of other languages")
	}
	const install = "needs Java 17, PySpark and its connector: pip install -r tests/compat/foreign/requirements-spark.txt (MILLRACE_COMPAT_PYTHON if it is not python3), " +
		"and in the folder MILLRACE_COMPAT_JARS a folder spark, filled by: mvn -f tests/compat/foreign/spark-pom.xml dependency:copy-dependencies -DoutputDirectory=FOLDER/spark"
	jars, err := filepath.Abs(filepath.Join(os.Getenv("MILLRACE_COMPAT_JARS"), "spark"))
	if err != nil {
		t.Fatal(err)
	}
	connector, err := filepath.Glob(filepath.Join(jars, "spark-sql-kafka-*.jar"))
	if err != nil || len(connector) == 0 {
		missingPeer(t, install)
	}
	command, missing := python("spark.py", "pyspark")()
	if missing != "" {
		missingPeer(t, install)
	}
	cmd := exec.CommandContext(within(t, 6*patience), command[0], command[1], strings.Join(seeds, ","), input, output, checkpoint, jars) //nolint:gosec // the command is the test's
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	said, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = said, said // a file: the JVM that Python starts has them too
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	over := false
	kill = func() {
		if over {
			return
		}
		over = true
		if err := proctree.Kill(cmd.Process.Pid); err != nil {
			t.Error(err)
		}
		<-ended //nolint:errcheck // it was killed
	}
	stop = func() {
		over = true
		_ = in.Close()
		if err := <-ended; err != nil {
			t.Errorf("Spark ended: %v", err)
		}
	}
	t.Cleanup(func() {
		kill()
		if t.Failed() {
			_, _ = said.Seek(0, io.SeekStart)
			text, _ := io.ReadAll(said)
			t.Logf("Spark said: %s", text)
		}
		_ = said.Close()
	})
	return kill, stop
}

// PySpark counts events by window and action, is killed in the middle of the second round and goes on from its
// checkpoint: offsets and counts are those of the moment before. No event is counted twice, none is left out.
func TestForeign_SparkWindowsAndCheckpoint(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	input, output, checkpoint := newTopic(t, seeds, 3, nil), newTopic(t, seeds, 1, nil), filepath.Join(t.TempDir(), "checkpoint")
	begin := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	actions := []string{"view", "click", "cart", "checkout"}
	want, got := map[string]int{}, map[string]int{}
	key := func(start time.Time, action string) string { return start.Format(time.DateTime) + " " + action }
	write := func(round int) {
		t.Helper()
		var records []record
		for i := range 300 {
			e := event{fmt.Sprintf("user_%d", i%17), actions[i%7%len(actions)], begin.Add(time.Duration(3*i+round) * time.Second)}
			value, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			records = append(records, record{key: []byte(e.UserID), value: value})
			want[key(e.Timestamp.Truncate(sparkWindow), e.Action)]++
		}
		produceFranz(t, seeds, input, "snappy", records)
	}
	reader := newKgo(t, seeds, kgo.ConsumeTopics(output))
	// takeUntil reads counts until ready. A count that Spark writes again, as it may after a crash, is the same again.
	takeUntil := func(what string, ready func() bool) {
		t.Helper()
		ctx := within(t, 3*patience) // Spark takes a while to start
		for !ready() {
			fetches := reader.PollFetches(ctx)
			if err := fetches.Err0(); err != nil {
				t.Fatalf("%s: %v: counts are %v, want %v", what, err, got, want)
			}
			fetches.EachRecord(func(r *kgo.Record) {
				var c windowCount
				if err := json.Unmarshal(r.Value, &c); err != nil {
					t.Fatalf("%v: %s", err, r.Value)
				}
				k := key(c.Start, c.Action)
				if string(r.Key) != k || c.End.Sub(c.Start) != sparkWindow {
					t.Fatalf("key %s of %s", r.Key, r.Value)
				}
				if c.Count < got[k] || c.Count > want[k] {
					t.Fatalf("%s is counted %d after %d, there are %d", k, c.Count, got[k], want[k])
				}
				got[k] = c.Count
			})
		}
	}
	counted := func() bool { return maps.Equal(got, want) }

	kill, _ := startSpark(t, seeds, input, output, checkpoint)
	write(1)
	takeUntil("the first round", counted)
	before := maps.Clone(got)
	write(2)
	takeUntil("something of the second round", func() bool { return !maps.Equal(got, before) })
	kill()
	write(3)
	_, stop := startSpark(t, seeds, input, output, checkpoint)
	takeUntil("all rounds", counted)
	stop()
	t.Logf("windows and actions %v", slices.Sorted(maps.Keys(got)))
}
