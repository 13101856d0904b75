package server_test

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/brokertest"
)

// TestAdmin_Scenarios runs testdata/admin/*.txt: requests at a given version and the
// answers to them, recorded from Apache Kafka 4.3.1. MILLRACE_PEER=host:port runs the
// same scenarios against another broker, -rewrite records its answers.
func TestAdmin_Scenarios(t *testing.T) { runAdmin(t, "testdata/admin") }

// TestAdmin_Ours runs testdata/admin-ours/*.txt: where we differ from Kafka on purpose.
func TestAdmin_Ours(t *testing.T) {
	if os.Getenv("MILLRACE_PEER") != "" {
		t.Skip("another broker")
	}
	runAdmin(t, "testdata/admin-ours")
}

func runAdmin(t *testing.T, folder string) {
	t.Helper()
	datadriven.Walk(t, folder, func(t *testing.T, path string) {
		t.Helper()
		s := &adminScenario{conn: dialPeer(t), ids: map[string][16]byte{}}
		datadriven.RunTest(t, path, s.run)
	})
}

// adminScenario sends requests as a scenario says and prints the answers. A line below
// a command is one item of the request: a name, and key=value pairs. A key with a dot
// or one of those in settings is a setting of the topic.
type adminScenario struct {
	conn        net.Conn
	correlation int32
	ids         map[string][16]byte // of the topics seen, by name
}

type adminItem struct {
	name string
	args map[string]string
	keys []string // in the order written
}

func (i adminItem) int(key string, otherwise int) int {
	if v, ok := i.args[key]; ok {
		n, err := strconv.Atoi(v)
		if err != nil {
			panic(err)
		}
		return n
	}
	return otherwise
}

func parseAdminItems(input string) []adminItem {
	var out []adminItem
	for line := range strings.Lines(input) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		i := adminItem{name: unquoteAdmin(words[0]), args: map[string]string{}}
		for _, w := range words[1:] {
			k, v, _ := strings.Cut(w, "=")
			i.args[k] = v
			i.keys = append(i.keys, k)
		}
		out = append(out, i)
	}
	return out
}

// unquote lets a scenario write an empty name ("") and a long one (x*300).
func unquoteAdmin(s string) string {
	if s == `""` {
		return ""
	}
	if c, n, ok := strings.Cut(s, "*"); ok {
		if times, err := strconv.Atoi(n); err == nil {
			return strings.Repeat(c, times)
		}
	}
	return s
}

func nullable(s string) *string {
	if s == "<null>" {
		return nil
	}
	return &s
}

func (s *adminScenario) run(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	items := parseAdminItems(d.Input)
	var req kmsg.Request
	switch d.Cmd {
	case "create-topics":
		req = createTopics(d, items)
	case "delete-topics":
		req = s.deleteTopics(d, items)
	case "create-partitions":
		req = createPartitions(d, items)
	case "metadata":
		req = s.metadata(d, items)
	case "describe-configs":
		req = describeConfigs(d, items)
	case "alter-configs":
		req = alterConfigs(d, items)
	case "incremental-alter-configs":
		req = incrementalAlterConfigs(d, items)
	case "describe-topic-partitions":
		req = describeTopicPartitions(d, items)
	case "describe-cluster":
		req = kmsg.NewPtrDescribeClusterRequest()
		req.(*kmsg.DescribeClusterRequest).IncludeClusterAuthorizedOperations = d.HasArg("authorized")
	default:
		if req = quotaRequest(d, items); req != nil {
			break
		}
		if req = clusterRequest(d, items); req == nil {
			t.Fatalf("%s: unknown command %s", d.Pos, d.Cmd)
		}
	}
	version := int(req.MaxVersion())
	d.MaybeScanArgs(t, "v", &version)
	req.SetVersion(int16(version))
	resp, err := s.send(req)
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	if os.Getenv("MILLRACE_PEER") != "" && d.Cmd != "metadata" && !strings.HasPrefix(d.Cmd, "describe") {
		<-time.After(250 * time.Millisecond) // Kafka's brokers apply changes some time after they are answered
	}
	var out strings.Builder
	s.print(&out, resp, d)
	return out.String()
}

// send writes one frame and reads the answer.
func (s *adminScenario) send(req kmsg.Request) (kmsg.Response, error) {
	s.correlation++
	return exchange(s.conn, 20*time.Second, req, s.correlation)
}

func createTopics(d *datadriven.TestData, items []adminItem) kmsg.Request {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 10_000
	req.ValidateOnly = d.HasArg("validate-only")
	for _, i := range items {
		t := kmsg.NewCreateTopicsRequestTopic()
		t.Topic = i.name
		t.NumPartitions = int32(i.int("partitions", -1))
		t.ReplicationFactor = int16(i.int("rf", -1))
		for _, k := range i.keys {
			switch k {
			case "partitions", "rf":
			case "assign": // 0:1,2;1:1
				for _, a := range strings.Split(i.args[k], ";") {
					p, replicas, _ := strings.Cut(a, ":")
					n, _ := strconv.Atoi(p)
					t.ReplicaAssignment = append(t.ReplicaAssignment, kmsg.CreateTopicsRequestTopicReplicaAssignment{Partition: int32(n), Replicas: parseInts(replicas)})
				}
			default:
				t.Configs = append(t.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: k, Value: nullable(i.args[k])})
			}
		}
		req.Topics = append(req.Topics, t)
	}
	return req
}

func parseInts(list string) []int32 {
	var out []int32
	for _, s := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' }) {
		n, err := strconv.Atoi(s)
		if err != nil {
			panic(err)
		}
		out = append(out, int32(n))
	}
	return out
}

func (s *adminScenario) deleteTopics(d *datadriven.TestData, items []adminItem) kmsg.Request {
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TimeoutMillis = 10_000
	for _, i := range items {
		req.TopicNames = append(req.TopicNames, i.name)
		t := kmsg.NewDeleteTopicsRequestTopic()
		if id, byID := i.args["id"]; byID {
			t.TopicID = s.id(id)
			if i.name != "-" {
				t.Topic = &i.name
			}
		} else {
			t.Topic = &i.name
		}
		req.Topics = append(req.Topics, t)
	}
	return req
}

// id is that of a topic seen before, or one made of the word's letters.
func (s *adminScenario) id(name string) [16]byte {
	if id, ok := s.ids[name]; ok {
		return id
	}
	var id [16]byte
	if name != "zero" {
		copy(id[:], name)
	}
	return id
}

func createPartitions(d *datadriven.TestData, items []adminItem) kmsg.Request {
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.TimeoutMillis = 10_000
	req.ValidateOnly = d.HasArg("validate-only")
	for _, i := range items {
		t := kmsg.NewCreatePartitionsRequestTopic()
		t.Topic, t.Count = i.name, int32(i.int("count", 0))
		if list, ok := i.args["assign"]; ok {
			t.Assignment = []kmsg.CreatePartitionsRequestTopicAssignment{}
			for _, replicas := range strings.Split(list, ";") {
				t.Assignment = append(t.Assignment, kmsg.CreatePartitionsRequestTopicAssignment{Replicas: parseInts(replicas)})
			}
		}
		req.Topics = append(req.Topics, t)
	}
	return req
}

func (s *adminScenario) metadata(d *datadriven.TestData, items []adminItem) kmsg.Request {
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = d.HasArg("auto-create")
	req.IncludeClusterAuthorizedOperations = d.HasArg("authorized")
	req.IncludeTopicAuthorizedOperations = d.HasArg("authorized")
	if !d.HasArg("all") {
		req.Topics = []kmsg.MetadataRequestTopic{}
	}
	for _, i := range items {
		t := kmsg.NewMetadataRequestTopic()
		if id, byID := i.args["id"]; byID {
			t.TopicID = s.id(id)
		}
		if i.name != "-" {
			t.Topic = &i.name
		}
		req.Topics = append(req.Topics, t)
	}
	return req
}

var resourceTypes = map[string]kmsg.ConfigResourceType{"topic": 2, "broker": 4, "logger": 8, "client-metrics": 16, "group": 32}

func parseResource(name string) (kmsg.ConfigResourceType, string) {
	kind, name, _ := strings.Cut(name, "/")
	return resourceTypes[kind], unquoteAdmin(name)
}

func describeConfigs(d *datadriven.TestData, items []adminItem) kmsg.Request {
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms = d.HasArg("synonyms")
	req.IncludeDocumentation = d.HasArg("docs")
	for _, i := range items {
		r := kmsg.NewDescribeConfigsRequestResource()
		r.ResourceType, r.ResourceName = parseResource(i.name)
		r.ConfigNames = nil
		if list, ok := i.args["keys"]; ok {
			r.ConfigNames = strings.Split(list, ",")
			if list == "" {
				r.ConfigNames = []string{}
			}
		}
		req.Resources = append(req.Resources, r)
	}
	return req
}

func alterConfigs(d *datadriven.TestData, items []adminItem) kmsg.Request {
	req := kmsg.NewPtrAlterConfigsRequest()
	req.ValidateOnly = d.HasArg("validate-only")
	for _, i := range items {
		r := kmsg.NewAlterConfigsRequestResource()
		r.ResourceType, r.ResourceName = parseResource(i.name)
		for _, k := range i.keys {
			r.Configs = append(r.Configs, kmsg.AlterConfigsRequestResourceConfig{Name: k, Value: nullable(i.args[k])})
		}
		req.Resources = append(req.Resources, r)
	}
	return req
}

// incrementalAlterConfigs takes name=value, name+=value, name-=value and name! (delete).
func incrementalAlterConfigs(d *datadriven.TestData, items []adminItem) kmsg.Request {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.ValidateOnly = d.HasArg("validate-only")
	for _, i := range items {
		r := kmsg.NewIncrementalAlterConfigsRequestResource()
		r.ResourceType, r.ResourceName = parseResource(i.name)
		for _, k := range i.keys {
			c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
			c.Name, c.Value = strings.TrimRight(k, "+-!"), nullable(i.args[k])
			switch k[len(k)-1] {
			case '!':
				c.Op, c.Value = 1, nil
			case '+':
				c.Op = 2
			case '-':
				c.Op = 3
			}
			r.Configs = append(r.Configs, c)
		}
		req.Resources = append(req.Resources, r)
	}
	return req
}

func describeTopicPartitions(d *datadriven.TestData, items []adminItem) kmsg.Request {
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	for _, i := range items {
		if i.name == "cursor" {
			req.Cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: i.args["topic"], Partition: int32(i.int("partition", 0))}
			continue
		}
		if i.name == "limit" {
			req.ResponsePartitionLimit = int32(i.int("n", 2000))
			continue
		}
		t := kmsg.NewDescribeTopicPartitionsRequestTopic()
		t.Topic = i.name
		req.Topics = append(req.Topics, t)
	}
	return req
}

func codeName(c int16) string {
	if c == 0 {
		return "ok"
	}
	if e := kerr.TypedErrorForCode(c); e != nil {
		return e.Message
	}
	return fmt.Sprint(c)
}

func shownMessage(m *string) string {
	if m == nil {
		return ""
	}
	return ": " + *m
}

func shownName(n *string) string {
	if n == nil {
		return "<null>"
	}
	if len(*n) > 60 {
		return fmt.Sprintf("%s…(%d)", (*n)[:10], len(*n))
	}
	return *n
}

// idOf tells whether a topic has an id, which differs from run to run.
func (s *adminScenario) idOf(topic *string, id [16]byte) string {
	if id == [16]byte{} {
		return "none"
	}
	for n, seen := range s.ids {
		if seen == id && (topic == nil || *topic != n) {
			return "of-" + n
		}
	}
	if topic != nil {
		if seen, ok := s.ids[*topic]; ok && seen != id {
			s.ids[*topic] = id
			return "new"
		}
		s.ids[*topic] = id
	}
	return "there"
}

func (s *adminScenario) print(out *strings.Builder, resp kmsg.Response, d *datadriven.TestData) {
	switch r := resp.(type) {
	case *kmsg.CreateTopicsResponse:
		slices.SortStableFunc(r.Topics, func(a, b kmsg.CreateTopicsResponseTopic) int { return strings.Compare(a.Topic, b.Topic) })
		for _, t := range r.Topics {
			fmt.Fprintf(out, "%s: %s%s", shownName(&t.Topic), codeName(t.ErrorCode), shownMessage(t.ErrorMessage))
			if r.Version >= 5 {
				fmt.Fprintf(out, " partitions=%d rf=%d", t.NumPartitions, t.ReplicationFactor)
				switch {
				case t.Configs == nil:
					fmt.Fprintf(out, " configs=null")
				case t.ErrorCode == 0:
					fmt.Fprintf(out, " configs=%d", min(len(t.Configs), 1))
				}
				for _, c := range t.Configs {
					if c.Source != 5 && c.Source != 3 {
						fmt.Fprintf(out, " %s=%s(source=%d ro=%v sensitive=%v)", c.Name, shownName(c.Value), c.Source, c.ReadOnly, c.IsSensitive)
					}
				}
				if t.ConfigErrorCode != 0 {
					fmt.Fprintf(out, " config-error=%s", codeName(t.ConfigErrorCode))
				}
			}
			if r.Version >= 7 {
				fmt.Fprintf(out, " id=%s", s.idOf(&t.Topic, t.TopicID))
			}
			fmt.Fprintln(out)
		}
	case *kmsg.DeleteTopicsResponse:
		slices.SortStableFunc(r.Topics, func(a, b kmsg.DeleteTopicsResponseTopic) int {
			return cmp.Or(strings.Compare(shownName(a.Topic), shownName(b.Topic)), int(a.ErrorCode-b.ErrorCode))
		})
		for _, t := range r.Topics {
			fmt.Fprintf(out, "%s: %s%s", shownName(t.Topic), codeName(t.ErrorCode), shownMessage(t.ErrorMessage))
			if r.Version >= 6 {
				fmt.Fprintf(out, " id=%s", s.idOf(t.Topic, t.TopicID))
			}
			fmt.Fprintln(out)
		}
	case *kmsg.CreatePartitionsResponse:
		slices.SortStableFunc(r.Topics, func(a, b kmsg.CreatePartitionsResponseTopic) int { return strings.Compare(a.Topic, b.Topic) })
		for _, t := range r.Topics {
			fmt.Fprintf(out, "%s: %s%s\n", shownName(&t.Topic), codeName(t.ErrorCode), shownMessage(t.ErrorMessage))
		}
	case *kmsg.MetadataResponse:
		s.printMetadata(out, r, d)
	case *kmsg.DescribeConfigsResponse:
		printConfigs(out, r, d)
	case *kmsg.AlterConfigsResponse:
		for _, x := range r.Resources {
			fmt.Fprintf(out, "%v/%s: %s%s\n", x.ResourceType, x.ResourceName, codeName(x.ErrorCode), shownMessage(x.ErrorMessage))
		}
	case *kmsg.IncrementalAlterConfigsResponse:
		for _, x := range r.Resources {
			fmt.Fprintf(out, "%v/%s: %s%s\n", x.ResourceType, x.ResourceName, codeName(x.ErrorCode), shownMessage(x.ErrorMessage))
		}
	case *kmsg.DescribeTopicPartitionsResponse:
		for _, t := range r.Topics {
			fmt.Fprintf(out, "%s: %s id=%s internal=%v operations=%d\n", shownName(t.Topic), codeName(t.ErrorCode), s.idOf(t.Topic, t.TopicID), t.IsInternal, t.AuthorizedOperations)
			for _, p := range t.Partitions {
				fmt.Fprintf(out, "  %d: %s leader=%d epoch=%d replicas=%v isr=%v elr=%s last-elr=%s offline=%s\n", p.Partition, codeName(p.ErrorCode), p.LeaderID, p.LeaderEpoch, p.Replicas, p.ISR, shownList(p.EligibleLeaderReplicas), shownList(p.LastKnownELR), shownList(p.OfflineReplicas))
			}
		}
		if c := r.NextCursor; c != nil {
			fmt.Fprintf(out, "next: %s %d\n", c.Topic, c.Partition)
		}
	case *kmsg.DescribeClusterResponse:
		fmt.Fprintf(out, "%s%s controller=%d operations=%d endpoint-type=%d cluster-id=%d characters\n", codeName(r.ErrorCode), shownMessage(r.ErrorMessage), r.ControllerID, r.ClusterAuthorizedOperations, r.EndpointType, len(r.ClusterID))
		for _, b := range r.Brokers {
			fmt.Fprintf(out, "broker %d %s rack=%s fenced=%v\n", b.NodeID, s.address(b.Host, b.Port), shownName(b.Rack), b.IsFenced)
		}
	default:
		printCluster(out, resp)
	}
}

func shownList(l []int32) string {
	if l == nil {
		return "null"
	}
	return fmt.Sprint(l)
}

// address says whether it is the one that we are connected to.
func (s *adminScenario) address(host string, port int32) string {
	if net.JoinHostPort(host, fmt.Sprint(port)) == s.conn.RemoteAddr().String() {
		return "as-dialled"
	}
	return fmt.Sprintf("%s:%d", host, port)
}

func (s *adminScenario) printMetadata(out *strings.Builder, r *kmsg.MetadataResponse, d *datadriven.TestData) {
	if r.Version >= 13 && r.ErrorCode != 0 {
		fmt.Fprintln(out, codeName(r.ErrorCode))
	}
	if d.HasArg("brokers") {
		for _, b := range r.Brokers {
			fmt.Fprintf(out, "broker %d %s rack=%s\n", b.NodeID, s.address(b.Host, b.Port), shownName(b.Rack))
		}
		cluster := "null"
		if r.ClusterID != nil {
			cluster = fmt.Sprintf("%d characters", len(*r.ClusterID))
		}
		fmt.Fprintf(out, "controller=%d cluster-id=%s operations=%d\n", r.ControllerID, cluster, r.AuthorizedOperations)
	}
	slices.SortStableFunc(r.Topics, func(a, b kmsg.MetadataResponseTopic) int {
		return strings.Compare(shownName(a.Topic), shownName(b.Topic))
	})
	for _, t := range r.Topics {
		fmt.Fprintf(out, "%s: %s internal=%v", shownName(t.Topic), codeName(t.ErrorCode), t.IsInternal)
		if r.Version >= 8 {
			fmt.Fprintf(out, " operations=%d", t.AuthorizedOperations)
		}
		if r.Version >= 10 {
			fmt.Fprintf(out, " id=%s", s.idOf(t.Topic, t.TopicID))
		}
		fmt.Fprintln(out)
		slices.SortFunc(t.Partitions, func(a, b kmsg.MetadataResponseTopicPartition) int { return int(a.Partition - b.Partition) })
		for _, p := range t.Partitions {
			fmt.Fprintf(out, "  %d: %s leader=%d epoch=%d replicas=%v isr=%v offline=%v\n", p.Partition, codeName(p.ErrorCode), p.Leader, p.LeaderEpoch, p.Replicas, p.ISR, p.OfflineReplicas)
		}
	}
}

func printConfigs(out *strings.Builder, r *kmsg.DescribeConfigsResponse, d *datadriven.TestData) {
	for _, x := range r.Resources {
		fmt.Fprintf(out, "%v/%s: %s%s\n", x.ResourceType, x.ResourceName, codeName(x.ErrorCode), shownMessage(x.ErrorMessage))
		slices.SortFunc(x.Configs, func(a, b kmsg.DescribeConfigsResponseResourceConfig) int { return strings.Compare(a.Name, b.Name) })
		for _, c := range x.Configs {
			fmt.Fprintf(out, "  %s=%s source=%v ro=%v sensitive=%v default=%v", c.Name, shownName(c.Value), c.Source, c.ReadOnly, c.IsSensitive, c.IsDefault)
			if r.Version >= 3 {
				fmt.Fprintf(out, " type=%v doc=%v", c.ConfigType, c.Documentation != nil && *c.Documentation != "")
			}
			for _, y := range c.ConfigSynonyms {
				fmt.Fprintf(out, " %v:%s=%s", y.Source, y.Name, shownName(y.Value))
			}
			fmt.Fprintln(out)
		}
	}
}

// dialPeer connects to a broker of this test's own, or to MILLRACE_PEER.
func dialPeer(t *testing.T) net.Conn {
	t.Helper()
	address := os.Getenv("MILLRACE_PEER")
	if address == "" {
		address = brokertest.Start(t, brokertest.InMemory()).Addr
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
