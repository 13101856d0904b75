package group

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kerr"

	"millrace/broker/internal/storytest"
)

// TestScenarios runs the stories in testdata. Each file begins with prose; then
// commands follow, one or more to a block, and below the dashes what came of them.
// What a request leads to is printed as it happens, "name: answer"; a line in
// brackets is an event of the group. testdata/README has the commands.
func TestScenarios(t *testing.T) {
	storytest.Run(t, "testdata", func() func(*testing.T, *datadriven.TestData) string {
		s := newScenario()
		return s.run
	})
}

// scenario is a group, its disk, and clients that behave as real ones do.
type scenario struct {
	cfg     Config
	g       *Group
	now     time.Time
	clients map[string]*client
	refs    map[Ref]*call
	ref     Ref
	topics  map[string]int

	holding  bool // writes are not reported as durable
	held     []Persist
	disk     []Record
	out      strings.Builder
	memberNo map[string]int
}

type client struct {
	name       string
	id         string
	instance   string
	generation int32
	topics     []string
	protocols  []string
	session    time.Duration
	rebalance  time.Duration
	old        bool // a client before KIP-394 and KIP-814
	leading    bool
	members    []JoinedMember
	skip       bool
}

type call struct {
	c    *client
	what string
	join *Join

	leaving []string
}

func newScenario() *scenario {
	s := &scenario{
		cfg: DefaultConfig(), now: time.Unix(1_000_000_000, 0).UTC(),
		clients: map[string]*client{}, refs: map[Ref]*call{}, topics: map[string]int{}, memberNo: map[string]int{},
	}
	s.cfg.InitialRebalanceDelay = 0
	s.g = New("g", &s.cfg, s.now)
	return s
}

// isOption tells KEY=VALUE from topic/partition=offset, which is an argument.
func isOption(key string) bool { return !strings.Contains(key, "/") }

func (s *scenario) run(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	s.out.Reset()
	for _, line := range storytest.Lines(d) {
		command, args, opts := storytest.Words(line, isOption)
		s.command(t, command, args, opts)
	}
	if s.out.Len() == 0 {
		return "ok\n"
	}
	return s.out.String()
}

func (s *scenario) printf(format string, args ...any) { fmt.Fprintf(&s.out, format+"\n", args...) }

func (s *scenario) client(name string) *client {
	c := s.clients[name]
	if c == nil {
		c = &client{name: name, generation: -1, topics: []string{"orders"}, protocols: []string{"range"}, session: 10 * time.Second, rebalance: 60 * time.Second}
		s.clients[name] = c
	}
	return c
}

func (s *scenario) command(t *testing.T, cmd string, args []string, opts map[string]string) {
	t.Helper()
	duration := func(v string) time.Duration {
		d, err := time.ParseDuration(v)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	switch cmd {
	case "config":
		for k, v := range opts {
			switch k {
			case "initial-delay":
				s.cfg.InitialRebalanceDelay = duration(v)
			case "max-size":
				s.cfg.MaxSize, _ = strconv.Atoi(v)
			case "retention":
				s.cfg.OffsetRetention = duration(v)
			default:
				t.Fatalf("unknown setting %q", k)
			}
		}
	case "topic":
		s.topics[args[0]], _ = strconv.Atoi(opts["partitions"])
	case "join":
		for _, name := range args {
			c := s.client(name)
			for k, v := range opts {
				switch k {
				case "topics":
					c.topics = strings.Split(v, ",")
				case "protocols":
					c.protocols = strings.Split(v, ",")
				case "instance":
					c.instance = v
				case "session":
					c.session = duration(v)
				case "rebalance":
					c.rebalance = duration(v)
				case "client":
					c.old = v == "old"
				case "as": // another process of the same name, with no memory
					c.id = v
				}
			}
			s.join(c, opts["once"] != "")
		}
	case "restart": // the process of a client: it forgets its member id
		for _, name := range args {
			c := s.client(name)
			c.id, c.generation = "", -1
			s.join(c, false)
		}
	case "sync": // all named, or everybody; the leader assigns
		names := args
		if len(names) == 0 {
			for _, m := range s.g.members {
				for _, c := range s.clients {
					if c.id == m.id {
						names = append(names, c.name)
					}
				}
			}
		}
		for _, name := range names {
			s.sync(s.client(name), opts)
		}
	case "heartbeat":
		for _, name := range args {
			c := s.client(name)
			in := Heartbeat{Ref: s.call(c, "heartbeat"), MemberID: c.id, InstanceID: c.instance, Generation: c.generation}
			if v, ok := opts["generation"]; ok {
				n, _ := strconv.Atoi(v)
				in.Generation = int32(n)
			}
			if v, ok := opts["id"]; ok {
				in.MemberID = v
			}
			s.step(in)
		}
	case "leave":
		in := Leave{}
		for _, name := range args {
			c := s.client(name)
			in.Members = append(in.Members, Leaving{MemberID: c.id, InstanceID: c.instance})
		}
		if v, ok := opts["instance"]; ok {
			in.Members = append(in.Members, Leaving{InstanceID: v})
		}
		in.Ref = s.call(&client{}, "leave")
		s.refs[in.Ref].leaving = append(slices.Clone(args), opts["instance"])
		s.step(in)
	case "tick":
		s.tick(duration(args[0]), strings.Split(opts["heartbeat"], ","))
	case "commit":
		c := s.client(args[0])
		in := Commit{MemberID: c.id, InstanceID: c.instance, Generation: c.generation, KnowsGroupNotFound: true}
		if args[0] == "anyone" {
			in.MemberID, in.Generation = "", -1
		}
		if v, ok := opts["generation"]; ok {
			n, _ := strconv.Atoi(v)
			in.Generation = int32(n)
		}
		if v, ok := opts["retention"]; ok {
			in.Retention = duration(v)
		}
		if v, ok := opts["txn"]; ok {
			id, _ := strconv.Atoi(v)
			in.Txn = &Producer{ID: int64(id)}
		}
		for _, a := range args[1:] {
			where, n, _ := strings.Cut(a, "=")
			off, _ := strconv.ParseInt(n, 10, 64)
			in.Offsets = append(in.Offsets, CommitOffset{TopicPartition: partition(where), Offset: off, LeaderEpoch: -1, Metadata: opts["note"]})
		}
		in.Ref = s.call(c, "commit")
		s.step(in)
	case "fetch":
		in := Fetch{All: len(args) == 0, Stable: opts["stable"] != ""}
		for _, a := range args {
			in.Partitions = append(in.Partitions, partition(a))
		}
		in.Ref = s.call(&client{name: "fetch"}, "fetch")
		s.step(in)
	case "end-txn": // the marker of a producer's transaction
		id, _ := strconv.Atoi(args[0])
		end := EndTxn{ProducerID: int64(id), Commit: args[1] == "commit"}
		s.disk = append(s.disk, txnMarker{end})
		s.step(end)
	case "delete-offsets":
		in := DeleteOffsets{Ref: s.call(&client{name: "delete-offsets"}, "delete-offsets")}
		for _, a := range args {
			in.Partitions = append(in.Partitions, partition(a))
		}
		s.step(in)
	case "delete-topic":
		s.step(DropTopics{Topics: map[string]bool{args[0]: true}})
	case "delete-group":
		s.step(Delete{Ref: s.call(&client{name: "delete-group"}, "delete-group")})
	case "expire":
		s.step(Expire{})
	case "hold-writes":
		s.holding = true
	case "release-writes":
		s.holding = false
		held := s.held
		s.held = nil
		for _, p := range held {
			if opts["error"] != "" {
				s.step(Persisted{p.Seq, kerr.NotCoordinator})
				continue
			}
			s.disk = append(s.disk, onDisk(p)...)
			s.step(Persisted{p.Seq, nil})
		}
	case "crash": // the broker's process: what is on disk comes back
		s.crash()
	case "describe":
		s.describe()
	case "disk":
		for _, r := range s.disk {
			s.printf("%s", record(r))
		}
	default:
		t.Fatalf("unknown command %q", cmd)
	}
}

func (s *scenario) call(c *client, what string) Ref {
	s.ref++
	s.refs[s.ref] = &call{c: c, what: what}
	return s.ref
}

func (s *scenario) join(c *client, once bool) {
	in := Join{
		MemberID: c.id, InstanceID: c.instance, ClientID: c.name, ClientHost: "/127.0.0.1",
		SessionTimeout: c.session, RebalanceTimeout: c.rebalance, ProtocolType: "consumer",
		RequireMemberID: !c.old, CanSkipAssignment: !c.old,
	}
	for _, p := range c.protocols {
		in.Protocols = append(in.Protocols, Protocol{p, encodeSubscription(c.topics)})
	}
	if c.id == "" {
		s.memberNo[c.name]++
		in.NewMemberID = c.name + "-" + strconv.Itoa(s.memberNo[c.name])
	}
	in.Ref = s.call(c, "join")
	if !once {
		again := in
		s.refs[in.Ref].join = &again
	}
	s.step(in)
}

func (s *scenario) sync(c *client, opts map[string]string) {
	in := Sync{Ref: s.call(c, "sync"), MemberID: c.id, InstanceID: c.instance, Generation: c.generation}
	if v, ok := opts["generation"]; ok {
		n, _ := strconv.Atoi(v)
		in.Generation = int32(n)
	}
	if c.leading && !c.skip {
		in.Assignments = s.assign(c.members)
	}
	s.step(in)
}

// assign deals the partitions out in order, as the range assignor does.
func (s *scenario) assign(members []JoinedMember) (out []Assignment) {
	given := map[string][]string{}
	for topic, n := range s.topics {
		var readers []string
		for _, m := range members {
			topics := map[string]bool{}
			if subscription(m.Metadata, topics); topics[topic] {
				readers = append(readers, m.MemberID)
			}
		}
		for p := range n {
			if len(readers) > 0 {
				id := readers[p*len(readers)/n]
				given[id] = append(given[id], fmt.Sprintf("%s/%d", topic, p))
			}
		}
	}
	for _, m := range members {
		slices.Sort(given[m.MemberID])
		out = append(out, Assignment{m.MemberID, []byte(strings.Join(given[m.MemberID], " "))})
	}
	return out
}

func (s *scenario) tick(d time.Duration, alive []string) {
	end := s.now.Add(d)
	for step := time.Second; s.now.Before(end); {
		next := s.now.Add(step)
		if next.After(end) {
			next = end
		}
		for at := s.g.Deadline(); !at.IsZero() && !at.After(next); at = s.g.Deadline() {
			if at.After(s.now) {
				s.now = at
			}
			s.step(Tick{})
		}
		s.now = next
		for _, name := range alive {
			if name != "" {
				c := s.client(name)
				s.stepQuiet(Heartbeat{Ref: s.call(c, "heartbeat"), MemberID: c.id, InstanceID: c.instance, Generation: c.generation})
			}
		}
	}
}

func (s *scenario) stepQuiet(in Input) {
	keep := s.out.String()
	s.step(in)
	s.out.Reset()
	s.out.WriteString(keep)
}

func (s *scenario) step(in Input) { s.do(s.g.Step(s.now, in)) }

func (s *scenario) do(effects Effects) {
	for _, e := range effects {
		switch e := e.(type) {
		case Event:
			switch e.Kind {
			case RebalanceStarted, MemberRemoved:
				s.printf("[%s: %s]", e.Kind, strings.TrimSpace(e.Member+" "+e.Reason))
			case GroupEmpty, GroupDeleted:
				s.printf("[%s]", e.Kind)
			case OffsetsExpired, OffsetsDeleted:
				s.printf("[%s: %d]", e.Kind, e.Count)
			}
		case Persist:
			if s.holding {
				s.held = append(s.held, e)
				continue
			}
			s.disk = append(s.disk, onDisk(e)...)
			s.step(Persisted{e.Seq, nil})
		case Reply:
			s.answered(s.refs[e.Ref], e.Body)
		}
	}
}

func (s *scenario) answered(c *call, body any) {
	errName := func(e *kerr.Error) string {
		if e == nil {
			return "ok"
		}
		return e.Message
	}
	name := c.c.name
	switch r := body.(type) {
	case JoinReply:
		switch {
		case r.Err == kerr.MemberIDRequired && c.join != nil:
			c.c.id = r.MemberID
			s.join(c.c, false)
		case r.Err != nil:
			if r.Err == kerr.MemberIDRequired {
				c.c.id = r.MemberID
			}
			s.printf("%s: join %s", name, r.Err.Message)
			if r.Err == kerr.UnknownMemberID {
				c.c.id = ""
				if c.join != nil && c.join.MemberID != "" { // as clients do
					s.join(c.c, false)
				}
			}
		default:
			c.c.id, c.c.generation, c.c.members, c.c.skip = r.MemberID, r.Generation, r.Members, r.SkipAssignment
			c.c.leading = r.LeaderID == r.MemberID
			role := ""
			if c.c.leading {
				var ids []string
				for _, m := range r.Members {
					ids = append(ids, m.MemberID)
				}
				role = fmt.Sprintf(" leads [%s]", strings.Join(ids, " "))
				if r.SkipAssignment {
					role += " and keeps the assignment"
				}
			}
			s.printf("%s: joined as %s generation=%d protocol=%s%s", name, r.MemberID, r.Generation, *r.Protocol, role)
		}
	case SyncReply:
		if r.Err != nil {
			s.printf("%s: sync %s", name, r.Err.Message)
		} else {
			s.printf("%s: gets [%s]", name, r.Assignment)
		}
	case HeartbeatReply:
		s.printf("%s: heartbeat %s", name, errName(r.Err))
	case LeaveReply:
		for i, e := range r.Members {
			s.printf("%s: left %s", c.leaving[i], errName(e))
			if e == nil {
				s.client(c.leaving[i]).id = ""
			}
		}
	case CommitReply:
		if r.Offsets == nil {
			s.printf("%s: commit %s", name, errName(r.Err))
		}
		for _, e := range r.Offsets {
			s.printf("%s: commit %s", name, errName(e))
		}
	case FetchReply:
		var out []string
		for _, o := range r.Offsets {
			if o.Err != nil {
				out = append(out, fmt.Sprintf("%s %s", o.TopicPartition, o.Err.Message))
				continue
			}
			out = append(out, fmt.Sprintf("%s=%d", o.TopicPartition, o.Offset))
		}
		s.printf("fetch: [%s]", strings.Join(out, " "))
	case DeleteOffsetsReply:
		if r.Err != nil {
			s.printf("%s: %s", name, r.Err.Message)
		}
		for _, e := range r.Partitions {
			s.printf("%s: %s", name, errName(e))
		}
	case DeleteReply:
		s.printf("%s: %s", name, errName(r.Err))
	}
}

func (s *scenario) crash() {
	var md *Metadata
	offsets := map[TopicPartition]Offset{}
	pending := PendingOffsets{}
	for i, r := range s.disk {
		switch r := r.(type) {
		case Metadata:
			md = &r
		case MetadataTombstone:
			md = nil
		case OffsetRecord:
			r.Order = uint64(i)
			offsets[r.TopicPartition] = r.Offset
		case OffsetTombstone:
			delete(offsets, r.TopicPartition)
			pending.Forget(r.TopicPartition)
		case txnOffset:
			r.Order = uint64(i)
			pending.Add(r.producer, r.TopicPartition, r.Offset)
		case txnMarker:
			pending.End(r.ProducerID, r.Commit, offsets)
		}
	}
	s.held, s.holding = nil, false
	if md == nil && len(offsets) == 0 && len(pending) == 0 {
		s.g = New("g", &s.cfg, s.now)
		s.printf("nothing is left")
		return
	}
	g, effects := Restore("g", &s.cfg, s.now, md, offsets)
	g.RestorePending(pending, uint64(len(s.disk)))
	s.g = g
	s.do(effects)
	s.describe()
}

// txnOffset and txnMarker are what lies on disk of transactions.
type txnOffset struct {
	OffsetRecord
	producer int64
}

type txnMarker struct{ EndTxn }

func (txnMarker) record() {}

func onDisk(p Persist) []Record {
	if p.Producer == nil {
		return p.Records
	}
	out := make([]Record, len(p.Records))
	for i, r := range p.Records {
		out[i] = txnOffset{r.(OffsetRecord), p.Producer.ID}
	}
	return out
}

func (s *scenario) describe() {
	d := s.g.Describe()
	s.printf("%s generation=%d leader=%q", d.State, d.Generation, d.Leader)
	for _, m := range d.Members {
		s.printf("  %s [%s]", m.MemberID, m.Assignment)
	}
}

func record(r Record) string {
	switch r := r.(type) {
	case Metadata:
		var ids []string
		for _, m := range r.Members {
			ids = append(ids, fmt.Sprintf("%s[%s]", m.MemberID, m.Assignment))
		}
		return fmt.Sprintf("group generation=%d members=(%s)", r.Generation, strings.Join(ids, " "))
	case MetadataTombstone:
		return "group tombstone"
	case OffsetRecord:
		return fmt.Sprintf("offset %s=%d", r.TopicPartition, r.Offset.Offset)
	case OffsetTombstone:
		return fmt.Sprintf("offset %s tombstone", r.TopicPartition)
	case txnOffset:
		return fmt.Sprintf("offset %s=%d in the transaction of %d", r.TopicPartition, r.Offset.Offset, r.producer)
	case txnMarker:
		return fmt.Sprintf("marker of %d commit=%t", r.ProducerID, r.Commit)
	}
	return "?"
}

func partition(s string) TopicPartition {
	topic, p, _ := strings.Cut(s, "/")
	n, _ := strconv.Atoi(p)
	return TopicPartition{topic, int32(n)}
}

func encodeSubscription(topics []string) []byte {
	b := binary.BigEndian.AppendUint16(nil, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(len(topics)))
	for _, t := range topics {
		b = binary.BigEndian.AppendUint16(b, uint16(len(t)))
		b = append(b, t...)
	}
	return binary.BigEndian.AppendUint32(b, 0xffffffff) // no user data
}
