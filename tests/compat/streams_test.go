package compat

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// streamsApp is a running Kafka Streams application, foreign/Streams.java.
type streamsApp struct {
	t     *testing.T
	cmd   *exec.Cmd
	input io.Closer
}

// javaArgs are java's for a program of the folder foreign. It skips the test where java or the jars are not there.
func javaArgs(t *testing.T, program string, args ...string) []string {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: it starts programs of other languages")
	}
	jars := os.Getenv("MILLRACE_COMPAT_JARS")
	if _, err := exec.LookPath("java"); err != nil || jars == "" {
		missingPeer(t, "needs Java 17 and MILLRACE_COMPAT_JARS, a folder filled by: mvn -f tests/compat/foreign/pom.xml dependency:copy-dependencies -DoutputDirectory=FOLDER")
	}
	return append([]string{"-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", filepath.Join(jars, "*"), filepath.Join("foreign", program)}, args...)
}

// startStreams returns when the application has its partitions.
func startStreams(t *testing.T, seeds []string, name, input, output string) *streamsApp {
	t.Helper()
	cmd := exec.CommandContext(within(t, 2*patience), "java", javaArgs(t, "Streams.java", strings.Join(seeds, ","), name, input, output, t.TempDir())...)
	in, out, said := startPiped(t, cmd)
	app := &streamsApp{t, cmd, in}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "running\n" {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		t.Fatalf("the application said %q, %v\n%s", line, err, said.String())
	}
	return app
}

// kill ends it as kill -9 does, stop in good order.
func (a *streamsApp) kill() {
	_ = a.cmd.Process.Kill()
	_ = a.cmd.Wait()
}

func (a *streamsApp) stop() {
	a.t.Helper()
	_ = a.input.Close()
	if err := a.cmd.Wait(); err != nil {
		a.t.Errorf("the application ended: %v", err)
	}
}

// Kafka Streams with exactly_once_v2 counts words and is killed in the middle; another instance, without
// the first one's state, takes over from the changelog. No word is counted twice, none is left out.
func TestStreams_ExactlyOnce(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	app, input, output := uniqueName(t, "app"), newTopic(t, seeds, 2, nil), newTopic(t, seeds, 1, nil)
	t.Cleanup(func() { forgetTopics(t, newAdmin(t, seeds), app) })
	want := map[string]int64{}
	write := func(round int) {
		t.Helper()
		var lines []record
		for i := range 200 {
			line := fmt.Sprintf("all round-%d word-%d word-%d", round, i%7, i%11)
			for word := range strings.FieldsSeq(line) {
				want[word]++
			}
			lines = append(lines, record{key: []byte{byte('a' + i%5)}, value: []byte(line)})
		}
		produceFranz(t, seeds, input, "lz4", lines)
	}
	reader := newKgo(t, seeds, kgo.ConsumeTopics(output), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	got := map[string]int64{}
	counted := func() {
		t.Helper()
		ctx := within(t, patience)
		for !maps.Equal(got, want) {
			fetches := reader.PollFetches(ctx)
			if err := fetches.Err0(); err != nil {
				t.Fatalf("%v: counts are %v, want %v", err, got, want)
			}
			fetches.EachRecord(func(r *kgo.Record) {
				word, n := string(r.Key), int64(binary.BigEndian.Uint64(r.Value))
				if n <= got[word] || n > want[word] {
					t.Fatalf("%s is counted %d after %d, there are %d", word, n, got[word], want[word])
				}
				got[word] = n
			})
		}
	}
	first := startStreams(t, seeds, app, input, output)
	write(1)
	counted()
	write(2)
	first.kill()
	second := startStreams(t, seeds, app, input, output)
	write(3)
	counted()
	second.stop()
	t.Logf("words %v", slices.Sorted(maps.Keys(got)))
}
