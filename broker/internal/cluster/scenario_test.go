package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestScenarios runs testdata/apply/*.txt: what is asked of a controller, the commands
// that reach the log, and the image that they make.
//
//	open [node=1] [unclean] [setting=value]…   start on the log as it is
//	create | delete | partitions | alter       one item a line
//	log                                        the commands in the log, from the last look on
//	image                                      what there is
//	compact                                    write a snapshot now
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/apply", func(t *testing.T, path string) {
		t.Helper()
		s := &scenario{log: &memoryLog{}, ids: map[TopicID]string{}}
		datadriven.RunTest(t, path, s.run)
	})
}

type scenario struct {
	log        *memoryLog
	controller *Controller
	looked     int // batches of the log shown so far
	ids        map[TopicID]string
}

func (s *scenario) run(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	var out strings.Builder
	ctx := context.Background()
	validate := d.HasArg("validate-only")
	switch d.Cmd {
	case "open":
		var settings []string
		for _, a := range d.CmdArgs {
			if strings.Contains(a.Key, ".") {
				settings = append(settings, a.Key+"="+strings.Join(a.Vals, ","))
			}
		}
		c, err := open(ctx, s.log, Options{
			Config: testConfig(settings...), Unclean: d.HasArg("unclean"),
			Endpoints: []Endpoint{{"PLAINTEXT", "127.0.0.1", 9092}},
		})
		if err != nil {
			return err.Error() + "\n"
		}
		s.controller = c
	case "create":
		var wanted []NewTopic
		for line := range strings.Lines(d.Input) {
			wanted = append(wanted, parseNewTopic(t, line))
		}
		for i, r := range s.controller.CreateTopics(ctx, wanted, validate) {
			if r.Err == nil && !validate {
				s.ids[r.Topic.ID] = "id-of-" + r.Topic.Name
			}
			fmt.Fprintf(&out, "%s: %s\n", wanted[i].Name, result(r.Err))
		}
	case "delete":
		var refs []TopicRef
		for line := range strings.Lines(d.Input) {
			refs = append(refs, TopicRef{Name: strings.TrimSpace(line)})
		}
		for i, r := range s.controller.DeleteTopics(ctx, refs) {
			fmt.Fprintf(&out, "%s: %s\n", refs[i].Name, result(r.Err))
		}
	case "partitions":
		var wanted []NewPartitions
		for line := range strings.Lines(d.Input) {
			words := strings.Fields(line)
			n, _ := strconv.Atoi(words[1])
			wanted = append(wanted, NewPartitions{Topic: words[0], Count: int32(n)})
		}
		for i, err := range s.controller.CreatePartitions(ctx, wanted, validate) {
			fmt.Fprintf(&out, "%s: %s\n", wanted[i].Topic, result(err))
		}
	case "alter":
		var changes []ConfigChange
		for line := range strings.Lines(d.Input) {
			changes = append(changes, parseChange(line))
		}
		for i, err := range s.controller.AlterConfigs(ctx, changes, validate) {
			fmt.Fprintf(&out, "%s %s: %s\n", changes[i].Resource, changes[i].Name, result(err))
		}
	case "pid":
		id, err := s.controller.NextProducerID(ctx)
		fmt.Fprintln(&out, id, result(err))
	case "compact":
		s.controller.log.since = 1 << 30
		if err := s.controller.log.compact(ctx, s.controller.Image()); err != nil {
			t.Fatal(err)
		}
	case "log":
		for _, b := range s.log.batches[min(s.looked, len(s.log.batches)):] {
			for r, err := range b.Records(1 << 20) {
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&out, "%d %s\n", r.Offset, s.named(string(r.Value)))
			}
		}
		s.looked = len(s.log.batches)
	case "image":
		s.image(&out)
	default:
		t.Fatalf("%s: unknown command %s", d.Pos, d.Cmd)
	}
	return out.String()
}

func result(err error) string {
	if err == nil {
		return "ok"
	}
	return err.Error()
}

// named puts a topic's name in place of its id, which is drawn.
func (s *scenario) named(text string) string {
	for id, name := range s.ids {
		text = strings.ReplaceAll(text, id.String(), name)
	}
	return text
}

func (s *scenario) image(out *strings.Builder) {
	i := s.controller.Image()
	for _, b := range i.Brokers() {
		fmt.Fprintf(out, "broker %d epoch=%d", b.ID, b.Epoch)
		for _, e := range b.Endpoints {
			fmt.Fprintf(out, " %s://%s:%d", e.Listener, e.Host, e.Port)
		}
		fmt.Fprintln(out)
	}
	for t := range i.Topics() {
		fmt.Fprintf(out, "topic %s %s", t.Name, s.named(t.ID.String()))
		for _, k := range slices.Sorted(maps.Keys(t.Set)) {
			fmt.Fprintf(out, " %s=%s", k, t.Set[k])
		}
		fmt.Fprintf(out, " (segment.bytes %d, retention.ms %d)\n", t.Config.SegmentBytes, t.Config.RetentionMs)
		for _, p := range t.Partitions {
			fmt.Fprintf(out, "  %d leader=%d epoch=%d partition-epoch=%d replicas=%v isr=%v\n", p.Index, p.Leader, p.LeaderEpoch, p.PartitionEpoch, p.Replicas, p.ISR)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(i.brokerSet)) {
		fmt.Fprintf(out, "broker %q sets %v\n", name, i.brokerSet[name])
	}
	for _, name := range slices.Sorted(maps.Keys(i.groupSet)) {
		fmt.Fprintf(out, "group %q sets %v\n", name, i.groupSet[name])
	}
	fmt.Fprintf(out, "%d topics, %d partitions, next producer id %d\n", i.TopicCount(), i.PartitionCount(), i.nextPID)
}

func parseNewTopic(t *testing.T, line string) NewTopic {
	t.Helper()
	words := strings.Fields(line)
	n := NewTopic{Name: words[0], Partitions: -1, ReplicationFactor: -1, Set: map[string]*string{}}
	for _, w := range words[1:] {
		k, v, _ := strings.Cut(w, "=")
		switch k {
		case "partitions":
			p, _ := strconv.Atoi(v)
			n.Partitions = int32(p)
		case "rf":
			p, _ := strconv.Atoi(v)
			n.ReplicationFactor = int16(p)
		default:
			n.Set[k] = &v
		}
	}
	return n
}

// parseChange reads "topic orders retention.ms=5 cleanup.policy+=compact flush.ms!".
func parseChange(line string) ConfigChange {
	words := strings.Fields(line)
	c := ConfigChange{Resource: Resource(words[0]), Name: strings.Trim(words[1], `"`)}
	for _, w := range words[2:] {
		if w == "replace" {
			c.Replace = true
			continue
		}
		k, v, _ := strings.Cut(w, "=")
		op := ConfigOp{Name: strings.TrimRight(k, "+-!"), Value: &v}
		switch k[len(k)-1] {
		case '!':
			op.Op, op.Value = OpDelete, nil
		case '+':
			op.Op = OpAppend
		case '-':
			op.Op = OpSubtract
		}
		c.Ops = append(c.Ops, op)
	}
	return c
}
