package server_test

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/brokertest"
)

// TestDifferential sends our broker what was sent to Apache Kafka 4.3.1 and compares the answers, field by field, with
// Kafka's. Those stand in testdata/differential, a file for each script: an answer, and below it the requests that get it.
// What may differ is listed, with reasons, in accepted.
//
// MILLRACE_PEER=host:port sends the same to a fresh Apache Kafka (group.initial.rebalance.delay.ms=0) too, and compares
// its answers with the files; -rewrite records them anew.
func TestDifferential(t *testing.T) {
	ours := &side{address: brokertest.Start(t, brokertest.InMemory()).Addr}
	var theirs *side
	if peer := os.Getenv("MILLRACE_PEER"); peer != "" {
		theirs = &side{address: peer, kafka: true, records: flag.Lookup("rewrite").Value.String() == "true"}
	}
	ran, used := 0, map[string]bool{}
	all := scripts()
	for _, script := range all {
		t.Run(script.name, func(t *testing.T) {
			ran++
			file := filepath.Join("testdata", "differential", script.name+".txt")
			want := readTranscript(t, file)
			if theirs != nil {
				live := theirs.perform(t, script, want)
				if theirs.records {
					if err := os.WriteFile(file, []byte(live.text(script.inOrder)), 0o644); err != nil {
						t.Fatal(err)
					}
					want = readTranscript(t, file)
				}
				live.compare(t, want, "Kafka's answer is another than it was", nil)
			}
			ours.perform(t, script, want).compare(t, want, "ours is not Kafka's", func(step string) bool {
				why, ok := isAccepted(script.name, step)
				used[why] = used[why] || ok
				return ok
			})
		})
	}
	for _, a := range accepted {
		if ran == len(all) && !used[a.String()] && !t.Failed() {
			t.Errorf("%v is accepted and does not differ", a)
		}
	}
}

// script is a series of requests. They are about names of their own, so that each script can run alone.
type script struct {
	name    string
	inOrder bool // each step builds on the one before: the file tells them in this order
	run     func(c *conversation)
}

// transcript is what was answered, in the order of asking.
type transcript struct {
	steps   []step
	answers map[string]string // by step.String()
}

type step struct {
	what    string
	version int16
}

func (s step) String() string { return fmt.Sprintf("%s v%d", s.what, s.version) }

func (tr *transcript) add(s step, answer string) bool {
	if tr.answers == nil {
		tr.answers = map[string]string{}
	}
	if _, twice := tr.answers[s.String()]; twice {
		return false
	}
	tr.steps = append(tr.steps, s)
	tr.answers[s.String()] = answer
	return true
}

// compare reports what is not as in want. A step that is excused may have any answer. Without excuses not all has been asked.
func (tr *transcript) compare(t *testing.T, want *transcript, message string, excused func(step string) bool) {
	t.Helper()
	for _, s := range tr.steps {
		w, known := want.answers[s.String()]
		switch got := tr.answers[s.String()]; {
		case !known:
			t.Errorf("%v: not recorded", s)
		case got != w && (excused == nil || !excused(s.String())):
			t.Errorf("%v: %s:\ngot      %s\nrecorded %s", s, message, got, w)
		}
	}
	for _, s := range want.steps {
		if excused == nil {
			break
		}
		if _, ok := tr.answers[s.String()]; !ok {
			t.Errorf("%v: recorded, and not asked any more", s)
		}
	}
}

// text puts together what was answered alike: everywhere, or from step to step. Versions in a row become a range.
func (tr *transcript) text(inOrder bool) string {
	type group struct {
		answer string
		what   []string
		of     map[string][]int16
	}
	var groups []*group
	by := map[string]*group{}
	for _, s := range tr.steps {
		answer := tr.answers[s.String()]
		g := by[answer]
		if g == nil || inOrder && groups[len(groups)-1] != g {
			g = &group{answer: answer, of: map[string][]int16{}}
			by[answer] = g
			groups = append(groups, g)
		}
		if g.of[s.what] == nil {
			g.what = append(g.what, s.what)
		}
		g.of[s.what] = append(g.of[s.what], s.version)
	}
	var b strings.Builder
	for _, g := range groups {
		fmt.Fprintln(&b, g.answer)
		for _, w := range g.what {
			fmt.Fprintf(&b, "\t%s v%s\n", w, ranges(g.of[w]))
		}
	}
	return b.String()
}

// ranges writes 1, 2, 3, 5 as 1-3,5.
func ranges(versions []int16) string {
	var out []string
	for i := 0; i < len(versions); {
		j := i
		for j+1 < len(versions) && versions[j+1] == versions[j]+1 {
			j++
		}
		if i == j {
			out = append(out, fmt.Sprint(versions[i]))
		} else {
			out = append(out, fmt.Sprintf("%d-%d", versions[i], versions[j]))
		}
		i = j + 1
	}
	return strings.Join(out, ",")
}

func readTranscript(t *testing.T, file string) *transcript {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	tr, answer := &transcript{}, ""
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		steps, ok := strings.CutPrefix(line, "\t")
		if !ok {
			answer = line
			continue
		}
		at := strings.LastIndex(steps, " v")
		for _, r := range strings.Split(steps[at+2:], ",") {
			first, last, _ := strings.Cut(r, "-")
			from, err := strconv.Atoi(first)
			to, err2 := strconv.Atoi(cmp.Or(last, first))
			if err := cmp.Or(err, err2); err != nil {
				t.Fatalf("%s: %q: %v", file, line, err)
			}
			for v := from; v <= to; v++ {
				tr.add(step{steps[:at], int16(v)}, answer)
			}
		}
	}
	return tr
}

// side is one of the two brokers.
type side struct {
	address string
	kafka   bool
	records bool // its answers are kept
	barrier int
}

// conversation is one script on one side.
type conversation struct {
	*side
	t       *testing.T
	script  string
	sweeps  bool        // each request stands alone
	known   *transcript // what Kafka answered when it was recorded; nil: not looked at
	heard   *transcript
	conn    net.Conn
	sent    int32
	topicID [16]byte
	counter int
}

func (s *side) perform(t *testing.T, script script, known *transcript) *transcript {
	t.Helper()
	c := &conversation{side: s, t: t, script: script.name, sweeps: !script.inOrder, known: known, heard: &transcript{}}
	defer c.hangUp()
	for kind := range int8(2) { // the topics of the coordinators are made when they are first asked for
		find := kmsg.NewPtrFindCoordinatorRequest()
		find.CoordinatorKey, find.CoordinatorType = "differential", kind
		must(c, 3, find, func(r *kmsg.FindCoordinatorResponse) bool { return r.ErrorCode == 0 })
	}
	script.run(c)
	if c.kafka {
		c.setLimit(nil)
	}
	return c.heard
}

// name makes a name that no other script uses.
func (c *conversation) name(of string) string { return "differential-" + c.script + of }

// note keeps what was answered.
func (c *conversation) note(s step, answer string) {
	c.t.Helper()
	if !c.heard.add(s, answer) {
		c.t.Errorf("%v: twice in %s", s, c.script)
	}
}

// ask sends a request, notes the answer under a name and returns it; nil where there is none.
func (c *conversation) ask(what string, version int16, req kmsg.Request) kmsg.Response {
	c.t.Helper()
	s := step{what, version}
	req.SetVersion(version)
	patience := 30 * time.Second
	if c.known != nil {
		switch recorded, ok := c.known.answers[s.String()]; {
		case !ok:
			patience = 3 * time.Second
		case recorded == noAnswer:
			patience = 100 * time.Millisecond
		}
	}
	for tries := 0; ; tries++ {
		resp, err := c.exchange(req, patience)
		var text string
		var ofNet net.Error
		switch {
		case errors.As(err, &ofNet) && ofNet.Timeout():
			c.hangUp()
			text = noAnswer
		case errors.Is(err, io.EOF), errors.As(err, &ofNet):
			c.hangUp()
			text = "closed"
		case err != nil:
			c.hangUp()
			text = "undecodable: " + err.Error()
		default:
			text = c.shown(resp)
		}
		if tries < 600 && strings.Contains(text, kerr.CoordinatorLoadInProgress.Message) {
			time.Sleep(50 * time.Millisecond) // each name has a partition of its own, which Kafka loads when it is first asked for
			continue
		}
		c.note(s, text)
		return resp
	}
}

// another is a client of the same script, with a connection of its own.
func (c *conversation) another() *conversation {
	other := *c
	other.conn = nil
	c.t.Cleanup(other.hangUp)
	return &other
}

// begin sends a request that is answered when others have done something. The function that it returns notes the answer.
func (c *conversation) begin(what string, version int16, req kmsg.Request) func() kmsg.Response {
	done := make(chan kmsg.Response, 1)
	later := *c
	later.heard = &transcript{}
	c.conn = nil
	go func() { done <- later.ask(what, version, req) }()
	return func() kmsg.Response {
		c.t.Helper()
		resp := <-done
		c.conn = later.conn
		for _, s := range later.heard.steps {
			c.note(s, later.heard.answers[s.String()])
		}
		return resp
	}
}

const noAnswer = "no answer"

// must sends a request that is not part of what is compared, until ok.
func must[R kmsg.Response](c *conversation, version int16, req kmsg.Request, ok func(R) bool) R {
	c.t.Helper()
	req.SetVersion(version)
	end := time.Now().Add(time.Minute)
	for {
		resp, err := c.exchange(req, 30*time.Second)
		if err == nil && ok(resp.(R)) {
			return resp.(R)
		}
		if err != nil {
			c.hangUp()
		}
		if time.Now().After(end) {
			c.t.Fatalf("%s: %s: %v %+v", c.address, kmsg.NameForKey(req.Key()), err, resp)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (c *conversation) exchange(req kmsg.Request, patience time.Duration) (kmsg.Response, error) {
	c.dial()
	c.sent++
	return exchange(c.conn, patience, req, c.sent)
}

func (c *conversation) dial() {
	c.t.Helper()
	if c.conn == nil {
		conn, err := net.Dial("tcp", c.address)
		if err != nil {
			c.t.Fatal(err)
		}
		c.conn = conn
	}
}

func (c *conversation) hangUp() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// newTopic makes a topic of the script's and returns its id when it can be used.
func (c *conversation) newTopic(name string, partitions int32, configs ...string) [16]byte {
	c.t.Helper()
	req := createTopicRequest(name, partitions, configs...)
	made := must(c, 7, req, func(r *kmsg.CreateTopicsResponse) bool { return r.Topics[0].ErrorCode == 0 })
	if !c.sweeps || strings.Contains(c.script, "Heartbeat") {
		c.settle() // coordinators learn of it last
		return made.Topics[0].TopicID
	}
	list := kmsg.NewPtrListOffsetsRequest()
	of := kmsg.NewListOffsetsRequestTopic()
	of.Topic = name
	for i := range partitions {
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition = i
		of.Partitions = append(of.Partitions, p)
	}
	list.ReplicaID, list.Topics = -1, append(list.Topics, of)
	must(c, 7, list, func(r *kmsg.ListOffsetsResponse) bool {
		return !slices.ContainsFunc(r.Topics[0].Partitions, func(p kmsg.ListOffsetsResponseTopicPartition) bool { return p.ErrorCode != 0 })
	})
	return made.Topics[0].TopicID
}

// settle waits until Kafka's broker has applied what its controller has answered: a setting that is made afterwards is seen, and
// then another, as a change is shown a little before all of it is in force.
func (c *conversation) settle() {
	c.t.Helper()
	if !c.kafka {
		return
	}
	for range 2 {
		c.barrier++
		value := strconv.Itoa(1_000_000_000 + c.barrier)
		c.setLimit(&value)
		get := kmsg.NewPtrDescribeConfigsRequest()
		of := kmsg.NewDescribeConfigsRequestResource()
		of.ResourceType, of.ResourceName, of.ConfigNames = kmsg.ConfigResourceTypeBroker, "1", []string{barrierSetting}
		get.Resources = append(get.Resources, of)
		must(c, 4, get, func(r *kmsg.DescribeConfigsResponse) bool {
			return len(r.Resources[0].Configs) == 1 && deref(r.Resources[0].Configs[0].Value) == value
		})
	}
}

// barrierSetting is one that matters to nobody here.
const barrierSetting = "max.connections.per.ip"

// setLimit sets it, or takes it back.
func (c *conversation) setLimit(value *string) {
	c.t.Helper()
	set := kmsg.NewPtrIncrementalAlterConfigsRequest()
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeBroker, "1"
	config := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	config.Name, config.Value = barrierSetting, value
	if value == nil {
		config.Op = kmsg.IncrementalAlterConfigOpDelete
	}
	resource.Configs = append(resource.Configs, config)
	set.Resources = append(set.Resources, resource)
	must(c, 1, set, func(r *kmsg.IncrementalAlterConfigsResponse) bool { return r.Resources[0].ErrorCode == 0 })
}

// write appends records and waits for it.
func (c *conversation) write(topic string, records []byte) {
	c.t.Helper()
	must(c, 9, produceRequest(topic, [16]byte{}, 0, -1, records), func(r *kmsg.ProduceResponse) bool {
		return r.Topics[0].Partitions[0].ErrorCode == 0
	})
}

// scripts are all of them: one for each key, then those that tell a story.
func scripts() []script {
	var out []script
	for _, api := range registered() {
		out = append(out, script{name: fmt.Sprintf("%02d_%s", api.Key, kmsg.NameForKey(api.Key)), run: func(c *conversation) { c.sweep(api) }})
	}
	return append(out,
		script{name: "records", run: produceRecords},
		script{name: "frames", run: brokenFrames},
		script{name: "classic-groups", inOrder: true, run: classicGroups},
		script{name: "consumer-groups", inOrder: true, run: consumerGroups},
		script{name: "share-groups", inOrder: true, run: shareGroups},
		script{name: "transactions", inOrder: true, run: transactions},
		script{name: "idempotence", inOrder: true, run: idempotence},
		script{name: "fetch-sessions", inOrder: true, run: fetchSessions},
		script{name: "descriptions", inOrder: true, run: descriptions},
		script{name: "administration", inOrder: true, run: administration},
	)
}

// sweep asks for one key, for each of its bases: at every version as it is, then with each field absurd in turn.
func (c *conversation) sweep(api apiRange) {
	topic, group := c.name(""), c.name("-group")
	c.topicID = c.newTopic(topic, 3, "retention.ms", "-1", "segment.bytes", "1073741824")
	c.write(topic, fixedBatch(c.t, 3))
	c.write(topic, fixedBatch(c.t, 2))
	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.Group = group
	commit.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: topic, Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: 1, LeaderEpoch: -1}}}}
	must(c, 8, commit, func(r *kmsg.OffsetCommitResponse) bool { return r.Topics[0].Partitions[0].ErrorCode == 0 })
	bases := basesOf[api.Key]
	if bases == nil {
		bases = []base{{}}
	}
	for _, b := range bases {
		all := append([]change{{"unchanged", func(reflect.Value) {}}}, changes(reflect.TypeOf(kmsg.RequestForKey(api.Key)).Elem(), nil, "", c.name("-nowhere"))...)
		for i, change := range all {
			for v := max(api.MinVersion, b.from); v <= api.MaxVersion; v++ {
				if isHarmful(api.Key, change.what) || !changedAt(v, api, change) {
					continue
				}
				// To ask Kafka for all of it again would take it a minute.
				if c.kafka && !c.records && i > 0 && api.Key != 22 && // there each raises an epoch
					v != api.MinVersion && v != api.MaxVersion {
					continue
				}
				req := kmsg.RequestForKey(api.Key)
				setDefaults(reflect.ValueOf(req))
				c.counter++
				c.fillIn(reflect.ValueOf(req).Elem(), topic, group)
				if b.adjust != nil {
					b.adjust(c, req)
				}
				change.apply(reflect.ValueOf(req).Elem())
				c.ask(strings.TrimSpace(b.name+" "+change.what), v, req)
			}
		}
	}
}
