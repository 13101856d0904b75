package compat

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/brokertest"
)

// The scenarios in testdata/tools are command lines of Kafka's own tools and what they print, on our broker as on
// Apache Kafka. Blocks:
//
//	run                what a command prints (its first line; the others are its standard input), and its exit code unless 0
//	await              the same, again and again until it is what is expected: for what takes its time to be seen
//	start NAME         a command that runs beside the others
//	end NAME           what it printed, when it has ended
//	file NAME          a file, for commands to name as DIR/NAME
//	kafka, millrace    as run, on the one broker only; the prose before it names the row of docs/divergence.md
//
// BROKER is the address; a command that does not name it gets --bootstrap-server BROKER. Names of topics, groups and the
// like begin with try-, which is four other letters on the wire, others in each run. Options of a block:
//
//	only=(A,B)   only lines that contain A or B; without=(A,B) only the others
//	hide=(A,B)   values that differ from run to run: of columns of these names, and in A: VALUE, A=VALUE and "A":VALUE
//	sorted       the tool has no order of its own
//	numbers      no number counts
//
// Everywhere member ids are MEMBER, topic ids ID, gaps between columns two blanks, and stack traces are left out.
func TestForeign_Tools(t *testing.T) {
	t.Parallel()
	tools := startTools(t)
	files, err := filepath.Glob("testdata/tools/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenario: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			s := &toolScenario{tools: tools, broker: toolsBroker(t, filepath.Base(file)), prefix: toolPrefix(), dir: t.TempDir(), running: map[string]<-chan toolResult{}}
			t.Cleanup(func() { forgetTopics(t, newAdmin(t, []string{s.broker}), s.prefix) })
			datadriven.RunTest(t, file, s.step)
			if len(s.running) > 0 {
				t.Errorf("never ended: %v", s.running)
			}
		})
	}
}

// toolsBroker is the broker that a scenario is told on. Ours has the setting that Kafka's has, which is printed with each topic. That
// about ACLs needs an authorizer.
func toolsBroker(t *testing.T, scenario string) string {
	t.Helper()
	acls := scenario == "acls.txt"
	if external != "" {
		at := strings.Split(external, ",")[0]
		if acls {
			all := kadm.NewACLs().AnyResource().Allow().AllowHosts().Operations(kmsg.ACLOperationAny).ResourcePatternType(kmsg.ACLResourcePatternTypeAny)
			if described, err := newAdmin(t, []string{at}).DescribeACLs(within(t, patience), all); err != nil || errors.Is(described[0].Err, kerr.SecurityDisabled) {
				t.Skipf("this broker has no authorizer (authorizer.class.name, super.users=User:ANONYMOUS): %v", err)
			}
		}
		return at
	}
	options := []brokertest.Option{brokertest.WithSetting("min.insync.replicas", "1")}
	if acls {
		options = append(options, brokertest.WithSetting("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"), brokertest.WithSetting("super.users", "User:ANONYMOUS"))
	}
	return brokertest.Start(t, options...).Addr
}

func toolPrefix() string {
	b := make([]byte, 4)
	for i := range b {
		b[i] = byte('a' + rand.IntN(26))
	}
	return string(b) + "-"
}

// toolScenario is one file while it is told.
type toolScenario struct {
	tools   *tools
	broker  string
	prefix  string // instead of try-
	dir     string
	running map[string]<-chan toolResult
}

func (s *toolScenario) step(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	switch d.Cmd {
	case "kafka":
		if external == "" {
			return d.Expected
		}
	case "millrace":
		if external != "" {
			return d.Expected
		}
	case "run":
	case "await":
		return s.await(t, d)
	case "start":
		s.running[d.CmdArgs[0].Key] = s.begin(t, d.Input)
		return ""
	case "end":
		name := d.CmdArgs[0].Key
		result, ok := s.running[name]
		if !ok {
			t.Fatalf("%s: nothing of the name %s was started", d.Pos, name)
		}
		delete(s.running, name)
		return s.said(t, d, result)
	case "file":
		text := strings.ReplaceAll(d.Input, "try-", s.prefix)
		if err := os.WriteFile(filepath.Join(s.dir, d.CmdArgs[0].Key), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return ""
	default:
		t.Fatalf("%s: no such block: %s", d.Pos, d.Cmd)
	}
	return s.said(t, d, s.begin(t, d.Input))
}

// await runs the command until it says what is expected, or, where that is being written and does not come, the same twice.
func (s *toolScenario) await(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	want := d.Expected
	rewrite := flag.Lookup("rewrite").Value.String() == "true"
	begun := time.Now()
	for {
		got := s.said(t, d, s.begin(t, d.Input))
		if got == want || time.Since(begun) > patience {
			return got
		}
		if rewrite && (want == "" || time.Since(begun) > patience/4) {
			want = got
		}
	}
}

// begin runs the command in the first line of text.
func (s *toolScenario) begin(t *testing.T, text string) <-chan toolResult {
	t.Helper()
	command, input, _ := strings.Cut(text, "\n")
	if input != "" {
		input += "\n"
	}
	words := strings.Fields(command)
	if !strings.Contains(command, "BROKER") {
		words = slices.Insert(words, 1, "--bootstrap-server", "BROKER")
	}
	actual := strings.NewReplacer("try-", s.prefix, "BROKER", s.broker, "DIR/", s.dir+"/")
	for i, w := range words[1:] {
		words[i+1] = actual.Replace(w)
	}
	return s.tools.run(t, words[0], actual.Replace(input), words[1:])
}

// said waits for the command's end and returns what it printed as it stands in the file.
func (s *toolScenario) said(t *testing.T, d *datadriven.TestData, result <-chan toolResult) string {
	t.Helper()
	select {
	case r := <-result:
		out := strings.NewReplacer("try-", "others-", s.prefix, "try-", s.broker, "BROKER", s.dir+"/", "DIR/").Replace(r.out)
		return readable(d, out, r.code)
	case <-s.tools.gone:
		t.Fatalf("%s: the JVM is gone: %s", d.Pos, s.tools.log())
	case <-time.After(2 * patience):
		t.Fatalf("%s: %s has not ended", d.Pos, d.Input)
	}
	return ""
}

var (
	memberID = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	// The last of 22 characters of base64 holds two bits of the sixteenth byte.
	kafkaID = regexp.MustCompile(`(^|[^\w-])[\w-]{21}[AQgw]($|[^\w-])`)
	host    = regexp.MustCompile(` +/127\.0\.0\.1`) // a column of its own, though one blank is before it
	gap     = regexp.MustCompile(` *\t *| {2,}`)
	number  = regexp.MustCompile(`\d+(\.\d+)?`)
)

// readable leaves out what differs from run to run.
func readable(d *datadriven.TestData, out string, code int) string {
	var lines []string
	for line := range strings.Lines(out) {
		line = strings.TrimRight(line, " \t\r\n")
		if strings.HasPrefix(line, "\tat ") {
			continue
		}
		line = memberID.ReplaceAllString(line, "MEMBER")
		line = kafkaID.ReplaceAllString(line, "${1}ID$2")
		line = host.ReplaceAllString(line, "  /127.0.0.1")
		line = strings.ReplaceAll(gap.ReplaceAllString(line, "  "), "BROKER  (", "BROKER (")
		if d.HasArg("numbers") {
			line = number.ReplaceAllString(line, "N")
		}
		if line != "" {
			lines = append(lines, line)
		}
	}
	for _, a := range d.CmdArgs {
		switch a.Key {
		case "only", "without":
			lines = slices.DeleteFunc(lines, func(line string) bool {
				named := slices.ContainsFunc(a.Vals, func(part string) bool { return strings.Contains(line, part) })
				return named == (a.Key == "without")
			})
		case "hide":
			for _, name := range a.Vals {
				lines = hide(lines, name)
			}
		}
	}
	if d.HasArg("sorted") {
		slices.Sort(lines)
	}
	if code != 0 {
		lines = append(lines, fmt.Sprintf("exit %d", code))
	}
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}

// hide takes the values out of a column, and of what is named in a line.
func hide(lines []string, name string) []string {
	named := regexp.MustCompile(`(?i)("?\b` + regexp.QuoteMeta(name) + `"?[:=]\s*)(\[\{.*\}\]|\[[^\]]*\]|"[^"]*"|[^\s,\]}]+)`)
	column := -1
	for i, line := range lines {
		cells := strings.Split(line, "  ")
		if at := slices.Index(cells, name); at >= 0 {
			column = at
			continue
		}
		if column >= 0 && column < len(cells) {
			cells[column] = "*"
			line = strings.Join(cells, "  ")
		}
		lines[i] = named.ReplaceAllString(line, "${1}*")
	}
	return lines
}

// tools is the JVM of foreign/Tools.java, in which all commands run.
type tools struct {
	in   io.WriteCloser
	gone chan struct{} // closed when it has ended
	log  func() string

	mu      sync.Mutex
	last    int
	waiting map[int]chan toolResult
}

type toolResult struct {
	code int
	out  string
}

func startTools(t *testing.T) *tools {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "java", javaArgs(t, "Tools.java")...)
	in, out, said := startPiped(t, cmd)
	j := &tools{in: in, gone: make(chan struct{}), waiting: map[int]chan toolResult{}}
	var end error
	go func() {
		defer close(j.gone)
		read := j.read(bufio.NewReader(out))
		end = errors.Join(read, cmd.Wait())
	}()
	j.log = func() string { <-j.gone; return fmt.Sprintf("%v %s", end, said.String()) }
	t.Cleanup(func() {
		_ = in.Close() // it ends then
		stop := time.AfterFunc(patience, cancel)
		defer stop.Stop()
		<-j.gone
		cancel()
		if end != nil {
			t.Errorf("the JVM ended: %s", j.log())
		}
	})
	return j
}

// run starts a tool and returns where its result will come.
func (j *tools) run(t *testing.T, tool, input string, args []string) <-chan toolResult {
	t.Helper()
	result := make(chan toolResult, 1)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last++
	j.waiting[j.last] = result
	all := append([]string{strconv.Itoa(j.last), tool, input}, args...)
	b := binary.BigEndian.AppendUint32(nil, uint32(len(all))) //nolint:gosec // a command line
	for _, s := range all {
		b = binary.BigEndian.AppendUint16(b, uint16(len(s))) //nolint:gosec // the scenarios have no longer ones
		b = append(b, s...)
	}
	if _, err := j.in.Write(b); err != nil {
		t.Fatalf("the JVM takes no command: %v: %s", err, j.log())
	}
	return result
}

// read hands out results until the JVM ends.
func (j *tools) read(out io.Reader) error {
	for {
		var head [3]int32 // number, exit code, length
		if err := binary.Read(out, binary.BigEndian, &head); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		said := make([]byte, head[2])
		if _, err := io.ReadFull(out, said); err != nil {
			return err
		}
		j.mu.Lock()
		result := j.waiting[int(head[0])]
		delete(j.waiting, int(head[0]))
		j.mu.Unlock()
		if result == nil {
			return fmt.Errorf("a result of a command %d that was not given", head[0])
		}
		result <- toolResult{int(head[1]), string(said)}
	}
}
