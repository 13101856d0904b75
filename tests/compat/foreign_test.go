package compat

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
)

// A foreign client is a library of another language: a script in foreign/ that writes and
// reads records as JSON lines, and has checks of what only such a client does.
type foreign struct {
	name   string
	codecs []string
	checks []string
	// assignor tells that its members can share a group with those of range.
	assignor bool
	// start gives the command, or says what to install.
	start func() (command []string, missing string)
}

func foreigners() []foreign {
	all := []string{"none", "gzip", "snappy", "lz4", "zstd"}
	return []foreign{
		{"confluent-kafka", all, []string{"transactions", "next_generation_group", "cooperative_group", "topics_and_settings", "offsets", "groups"}, true, python("confluent.py", "confluent_kafka")},
		{"kafka-python", all, []string{"idempotence", "transactions", "topics_and_settings", "offsets", "groups"}, true, python("kafka_python.py", "kafka, lz4, snappy, zstandard")},
		{"kafkajs", all[:3], []string{"idempotence", "transactions", "topics_and_settings", "offsets", "groups"}, false, node("kafkajs.js")},
	}
}

// python runs a script with MILLRACE_COMPAT_PYTHON, or python3.
func python(script, modules string) func() ([]string, string) {
	return sync.OnceValues(func() ([]string, string) {
		interpreter := os.Getenv("MILLRACE_COMPAT_PYTHON")
		if interpreter == "" {
			interpreter = "python3"
		}
		if out, err := exec.Command(interpreter, "-c", "import "+modules).CombinedOutput(); err != nil {
			return nil, fmt.Sprintf("needs Python with %s: pip install -r tests/compat/foreign/requirements.txt, and MILLRACE_COMPAT_PYTHON if it is not python3 (%v %s)", modules, err, lastLine(out))
		}
		return []string{interpreter, filepath.Join("foreign", script)}, ""
	})
}

// node runs a script with Node.js, which finds its modules by NODE_PATH.
func node(script string) func() ([]string, string) {
	return sync.OnceValues(func() ([]string, string) {
		path := filepath.Join("foreign", script)
		if out, err := exec.Command("node", "-e", "require('kafkajs'); require('kafkajs-snappy')").CombinedOutput(); err != nil {
			return nil, fmt.Sprintf("needs Node.js with the modules of tests/compat/foreign/package.json: copy it to DIR, npm install --prefix DIR, and NODE_PATH=DIR/node_modules (%v %s)", err, lastLine(out))
		}
		return []string{"node", path}, ""
	})
}

func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}

// command is the client with what it is to do; it skips the test where the client is not there.
func (f foreign) command(t *testing.T, seeds []string, args ...string) *exec.Cmd {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: it starts programs of other languages")
	}
	command, missing := f.start()
	if missing != "" {
		missingPeer(t, missing)
	}
	args = slices.Concat(command[1:], []string{strings.Join(seeds, ",")}, args)
	return exec.CommandContext(within(t, 2*patience), command[0], args...)
}

// missingPeer skips a test, or fails it where all peers are to be there.
func missingPeer(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("MILLRACE_REQUIRE_PEERS") == "1" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// startPiped starts a program and returns its standard input and output, and where its errors are written.
func startPiped(t *testing.T, cmd *exec.Cmd) (in io.WriteCloser, out io.ReadCloser, said *bytes.Buffer) {
	t.Helper()
	said = &bytes.Buffer{}
	cmd.Stderr = said
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err = cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return in, out, said
}

// line is a record as the scripts write it; bytes are in base64.
type line struct {
	Topic     string   `json:"topic,omitempty"`
	Partition int32    `json:"partition,omitempty"`
	Offset    int64    `json:"offset,omitempty"`
	Key       []byte   `json:"key"`
	Value     []byte   `json:"value"`
	Headers   [][2]any `json:"headers"`
}

func (f foreign) produce(t *testing.T, seeds []string, topic, codec string, records []record) {
	t.Helper()
	var in bytes.Buffer
	for _, r := range records {
		l := line{Key: r.key, Value: r.value, Headers: [][2]any{}}
		for _, h := range r.headers {
			l.Headers = append(l.Headers, [2]any{h.key, h.value})
		}
		b, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		in.Write(append(b, '\n'))
	}
	cmd := f.command(t, seeds, "produce", topic, codec)
	cmd.Stdin = &in
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s produce: %v\n%s", f.name, err, out)
	}
}

func (f foreign) join(t *testing.T, seeds []string, group, topic string) *member {
	t.Helper()
	cmd := f.command(t, seeds, "consume", topic, group)
	in, out, said := startPiped(t, cmd)
	m := &member{}
	done := make(chan error, 1)
	go func() { done <- m.take(out) }()
	m.leave = func() {
		_ = in.Close()
		read := <-done
		if err := cmd.Wait(); err != nil || read != nil {
			t.Errorf("%s consume: %v, %v\n%s", f.name, err, read, said.String())
		}
	}
	t.Cleanup(m.close)
	return m
}

// take adds the records that a script writes until it ends.
func (m *member) take(out io.Reader) error {
	lines := bufio.NewReader(out)
	for {
		b, err := lines.ReadBytes('\n')
		if err != nil {
			return nil //nolint:nilerr // the script has ended, and Wait says how
		}
		var l struct {
			line
			Headers [][2]json.RawMessage `json:"headers"`
		}
		if err := json.Unmarshal(b, &l); err != nil {
			return fmt.Errorf("%w: %s", err, b)
		}
		r := record{topic: l.Topic, partition: l.Partition, offset: l.Offset, key: l.Key, value: l.Value}
		for _, pair := range l.Headers {
			var h header
			if err := json.Unmarshal(pair[0], &h.key); err != nil {
				return err
			}
			if err := json.Unmarshal(pair[1], &h.value); err != nil {
				return err
			}
			r.headers = append(r.headers, h)
		}
		m.add(r)
	}
}

// Each foreign client reads what ours wrote and writes what ours read, with every
// compression that it has, as a member of a group that commits and leaves.
func TestForeign_Exchange(t *testing.T) {
	t.Parallel()
	for _, f := range foreigners() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			seeds := seeds(t)
			topic, group := newTopic(t, seeds, 3, nil), uniqueName(t, "group")
			var want []record
			for _, codec := range f.codecs {
				records := samples(f.name+"-"+codec, 20)
				f.produce(t, seeds, topic, codec, records)
				want = append(want, records...)
			}
			codecs := map[uint8]bool{}
			var got []record
			for _, r := range readFranz(t, seeds, topic, len(want)) {
				got = append(got, fromFranz(r))
				codecs[r.Attrs.CompressionType()] = true
			}
			sameRecords(t, want, got)
			if len(codecs) != len(f.codecs) {
				t.Errorf("compressions in the log: %v, want those of %v", codecs, f.codecs)
			}
			for _, codec := range f.codecs {
				records := samples("franz-"+codec, 20)
				produceFranz(t, seeds, topic, codec, records)
				want = append(want, records...)
			}
			m := f.join(t, seeds, group, topic)
			waitForRecords(t, m, len(want))
			admin := newAdmin(t, seeds)
			waitForCommits(t, admin, group, topic)
			m.close()
			sameRecords(t, want, m.records())
			waitForState(t, admin, group, "Empty")
		})
	}
}

// A member of each library that has the range assignor, in one group.
func TestForeign_SharesAGroup(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	admin := newAdmin(t, seeds)
	topic, group := newTopic(t, seeds, 6, nil), uniqueName(t, "group")
	members := []*member{joinFranz(t, seeds, group, topic)}
	for _, f := range foreigners() {
		if f.assignor {
			members = append(members, f.join(t, seeds, group, topic))
			waitForShares(t, admin, group, topic, len(members), 6)
		}
	}
	want := samples("shared", 120)
	produceFranz(t, seeds, topic, "none", want)
	waitForAll(t, members, len(want))
	waitForCommits(t, admin, group, topic)
	members[1].close()
	waitForShares(t, admin, group, topic, len(members)-1, 6)
	more := samples("after one left", 60)
	produceFranz(t, seeds, topic, "none", more)
	waitForAll(t, members, len(want)+len(more))
	waitForCommits(t, admin, group, topic)
	var got []record
	for _, m := range members {
		m.close()
		got = append(got, m.records()...)
	}
	sameRecords(t, append(want, more...), got)
}

// What only a foreign client does, each in its own way: the checks of its script.
func TestForeign_Checks(t *testing.T) {
	t.Parallel()
	for _, f := range foreigners() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			seeds := seeds(t)
			prefix := uniqueName(t, "check")
			t.Cleanup(func() { forgetTopics(t, newAdmin(t, seeds), prefix) })
			cmd := f.command(t, seeds, "check", prefix)
			passes(t, cmd, f.checks)
		})
	}
}

// passes runs a program that says {"check": NAME, "error": TEXT or null} for each check, in this order.
func passes(t *testing.T, cmd *exec.Cmd, checks []string) {
	t.Helper()
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, said.String())
	}
	var done []string
	for l := range strings.Lines(string(out)) {
		var r struct {
			Check string
			Error *string
		}
		if err := json.Unmarshal([]byte(l), &r); err != nil {
			t.Fatalf("%v: %s", err, l)
		}
		done = append(done, r.Check)
		if r.Error != nil {
			t.Errorf("%s: %s", r.Check, *r.Error)
		}
	}
	if !slices.Equal(done, checks) {
		t.Errorf("checks %v, want %v", done, checks)
	}
}

// forgetTopics removes the topics with a prefix.
func forgetTopics(t *testing.T, admin *kadm.Client, prefix string) {
	t.Helper()
	topics, err := admin.ListTopics(within(t, patience))
	if err != nil {
		t.Error(err)
		return
	}
	var names []string
	for _, name := range topics.Names() {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return
	}
	if _, err := admin.DeleteTopics(within(t, patience), names...); err != nil {
		t.Error(err)
	}
}

// kcat writes, reads, joins a group, lists and asks for offsets, as on a command line.
func TestKcat(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("kcat"); err != nil {
		missingPeer(t, "needs kcat: apt install kcat")
	}
	seeds := seeds(t)
	topic, group := newTopic(t, seeds, 3, nil), uniqueName(t, "group")
	kcat := func(in string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(within(t, patience), "kcat", append([]string{"-b", strings.Join(seeds, ","), "-q"}, args...)...)
		cmd.Stdin = strings.NewReader(in)
		var said bytes.Buffer
		cmd.Stderr = &said
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("kcat %v: %v\n%s%s", args, err, out, said.String())
		}
		return string(out)
	}
	for p, codec := range []string{"none", "gzip", "zstd"} {
		kcat("key:value one\nkey:value two\n", "-P", "-t", topic, "-K:", "-z", codec, "-H", "codec="+codec, "-p", strconv.Itoa(p))
	}
	const format = "%p %o %k=%s %h\n"
	want := strings.Fields(strings.ReplaceAll(`0_0_key=value~one_codec=none 0_1_key=value~two_codec=none 1_0_key=value~one_codec=gzip
		1_1_key=value~two_codec=gzip 2_0_key=value~one_codec=zstd 2_1_key=value~two_codec=zstd`, "_", "\x00"))
	for i := range want {
		want[i] = strings.NewReplacer("\x00", " ", "~", " ").Replace(want[i])
	}
	sorted := func(out string) []string {
		list := strings.Split(strings.TrimSpace(out), "\n")
		slices.Sort(list)
		return list
	}
	if got := sorted(kcat("", "-C", "-t", topic, "-o", "beginning", "-e", "-f", format)); !slices.Equal(got, want) {
		t.Errorf("read %q, want %q", got, want)
	}
	if got := sorted(kcat("", "-G", group, "-X", "auto.offset.reset=earliest", "-c", "6", "-f", format, topic)); !slices.Equal(got, want) {
		t.Errorf("the group read %q, want %q", got, want)
	}
	waitForCommits(t, newAdmin(t, seeds), group, topic)
	if got := kcat("", "-C", "-t", topic, "-p", "1", "-o", "-1", "-e", "-f", format); got != want[3]+"\n" {
		t.Errorf("the last of partition 1 is %q, want %q", got, want[3])
	}
	if got := kcat("", "-Q", "-t", topic+":2:-1"); got != topic+" [2] offset 2\n" {
		t.Errorf("the end of partition 2 is %q", got)
	}
	var listed struct {
		Topics []struct {
			Topic      string
			Partitions []struct{ Partition, Leader int32 }
		}
	}
	if err := json.Unmarshal([]byte(kcat("", "-L", "-J", "-t", topic)), &listed); err != nil {
		t.Fatal(err)
	}
	if len(listed.Topics) != 1 || listed.Topics[0].Topic != topic || len(listed.Topics[0].Partitions) != 3 {
		t.Errorf("listed %+v", listed)
	}
}
