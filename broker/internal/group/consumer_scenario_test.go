package group

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/storytest"
)

// TestConsumerScenarios runs the stories in testdata/consumer: groups where the broker
// assigns. The README there has the commands.
func TestConsumerScenarios(t *testing.T) {
	storytest.Run(t, "testdata/consumer", func() func(*testing.T, *datadriven.TestData) string {
		s := newStory()
		return s.run
	})
}

// story is a group, its disk, the cluster's topics, and clients of both protocols.
type story struct {
	cfg     Config
	cluster *fakeCluster
	g       *Group
	now     time.Time
	disk    *disk
	clients map[string]*reader
	calls   map[Ref]*reader
	names   map[Ref]string
	ref     Ref
	holding bool
	held    []Persist
	inits   [][]Partition // asked for, of a share group
	written []Record      // by the last commands, for "disk"
	out     strings.Builder
}

// reader is a client. It does at once what the broker asks for.
type reader struct {
	name     string
	id       string
	instance *string
	epoch    int32
	topics   []string
	regex    *string
	assignor *string
	timeout  time.Duration
	owned    []Partition
	told     bool // the broker knows what it owns
	classic  bool
	members  []JoinedMember // as a classic leader
	lives    int
}

func newStory() *story {
	s := &story{
		cfg: DefaultConfig(), cluster: newFakeCluster(), now: time.Unix(1_000_000_000, 0).UTC(), disk: newDisk(),
		clients: map[string]*reader{}, calls: map[Ref]*reader{}, names: map[Ref]string{},
	}
	s.cfg.InitialRebalanceDelay = 0
	s.g = New("g", &s.cfg, s.now)
	return s
}

func (s *story) printf(format string, args ...any) { fmt.Fprintf(&s.out, format+"\n", args...) }

func (s *story) run(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	s.out.Reset()
	s.written = nil
	for _, line := range storytest.Lines(d) {
		command, args, opts := storytest.Words(line, isOption)
		s.command(t, command, args, opts)
		checkOwners(t, s.g)
	}
	if s.out.Len() == 0 {
		return "ok\n"
	}
	return s.out.String()
}

func (s *story) client(name string) *reader {
	c := s.clients[name]
	if c == nil {
		c = &reader{name: name, topics: []string{"orders"}, timeout: time.Minute}
		s.clients[name] = c
	}
	return c
}

func (s *story) command(t *testing.T, cmd string, args []string, opts map[string]string) {
	t.Helper()
	duration := func(v string) time.Duration {
		d, err := time.ParseDuration(v)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	number := func(v string) int32 {
		n, err := strconv.ParseInt(v, 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		return int32(n)
	}
	switch cmd {
	case "topic":
		s.cluster.set(args[0], number(opts["partitions"]))
	case "delete-topic":
		s.cluster.set(args[0], 0)
	case "config":
		for k, v := range opts {
			switch k {
			case "session":
				s.cluster.settings.SessionTimeout = duration(v)
			case "assignment-interval":
				s.cluster.settings.AssignmentInterval = duration(v)
			case "share-assignment-interval":
				s.cluster.settings.ShareAssignment = duration(v)
			case "max-size":
				s.cfg.ConsumerMaxSize = int(number(v))
			case "migration":
				s.cfg.Migration, _ = ParseMigration(v)
			case "retention":
				s.cfg.OffsetRetention = duration(v)
			default:
				t.Fatalf("unknown setting %q", k)
			}
		}
	case "join":
		for _, name := range args {
			c := s.client(name)
			s.take(c, opts, duration)
			s.join(c)
		}
	case "beat":
		for _, name := range args {
			s.beat(s.client(name), opts)
		}
	case "leave", "away":
		for _, name := range args {
			c := s.client(name)
			in := ConsumerHeartbeat{MemberID: c.id, Epoch: -1, InstanceID: c.instance, RebalanceTimeout: -1}
			if cmd == "away" {
				in.Epoch = -2
			}
			in.Ref = s.call(c, cmd)
			s.step(in)
		}
	case "restart": // the process: it forgets everything but its instance id
		for _, name := range args {
			c := s.client(name)
			c.id, c.owned = "", nil
			s.join(c)
		}
	case "classic-join":
		for _, name := range args {
			c := s.client(name)
			s.take(c, opts, duration)
			c.classic = true
			s.classicJoin(c)
		}
	case "classic-sync":
		for _, name := range args {
			c := s.client(name)
			s.step(Sync{Ref: s.call(c, "sync"), MemberID: c.id, InstanceID: orEmpty(c.instance), Generation: c.epoch, Assignments: s.assign(c.members)})
		}
	case "classic-beat":
		for _, name := range args {
			c := s.client(name)
			s.step(Heartbeat{Ref: s.call(c, "heartbeat"), MemberID: c.id, InstanceID: orEmpty(c.instance), Generation: c.epoch})
		}
	case "classic-leave":
		for _, name := range args {
			c := s.client(name)
			s.step(Leave{Ref: s.call(c, "leave"), Members: []Leaving{{MemberID: c.id, InstanceID: orEmpty(c.instance)}}})
		}
	case "tick":
		s.tick(duration(args[0]), strings.Split(opts["beat"], ","))
	case "commit":
		c := s.client(args[0])
		in := Commit{MemberID: c.id, Generation: c.epoch, KnowsGroupNotFound: opts["version"] != "8"}
		if args[0] == "anyone" {
			in.MemberID, in.Generation = "", -1
		}
		if v, ok := opts["epoch"]; ok {
			in.Generation = number(v)
		}
		for _, a := range args[1:] {
			where, n, _ := strings.Cut(a, "=")
			tp := partition(where)
			in.Offsets = append(in.Offsets, CommitOffset{TopicPartition: tp, TopicID: s.cluster.topics[tp.Topic].id, Offset: int64(number(n)), LeaderEpoch: -1})
		}
		in.Ref = s.call(c, "commit")
		s.step(in)
	case "fetch":
		in := Fetch{All: true, MemberEpoch: -1, Ref: s.call(&reader{name: "fetch"}, "fetch")}
		if len(args) > 0 {
			c := s.client(args[0])
			in.MemberID, in.MemberEpoch = &c.id, c.epoch
		}
		s.step(in)
	case "delete-offsets":
		in := DeleteOffsets{Ref: s.call(&reader{name: "delete-offsets"}, "")}
		for _, a := range args {
			in.Partitions = append(in.Partitions, partition(a))
		}
		s.step(in)
	case "delete-group":
		s.step(Delete{Ref: s.call(&reader{name: "delete-group"}, "")})
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
				s.step(Persisted{p.Seq, kerr.CoordinatorNotAvailable})
				continue
			}
			s.disk.write(p.Records)
			s.step(Persisted{p.Seq, nil})
		}
	case "crash": // the broker's process: what is on disk comes back
		s.held, s.holding = nil, false
		g, effects := s.disk.restore(&s.cfg, s.now, s.cluster)
		s.g = g
		s.do(effects)
		s.describe()
	case "describe":
		s.describe()
	case "disk":
		for _, r := range s.written {
			s.printf("%s", s.record(r))
		}
	default:
		if !s.shareCommand(cmd, args, opts) {
			t.Fatalf("unknown command %q", cmd)
		}
	}
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func (s *story) take(c *reader, opts map[string]string, duration func(string) time.Duration) {
	for k, v := range opts {
		switch k {
		case "topics":
			c.topics = strings.Split(v, ",")
			if v == "" {
				c.topics = nil
			}
		case "regex":
			c.regex = &v
		case "instance":
			c.instance = &v
		case "assignor":
			c.assignor = &v
		case "rebalance":
			c.timeout = duration(v)
		}
	}
}

func (s *story) call(c *reader, what string) Ref {
	s.ref++
	s.calls[s.ref], s.names[s.ref] = c, what
	return s.ref
}

func (s *story) newID(c *reader) string {
	c.lives++
	return c.name + "-" + strconv.Itoa(c.lives)
}

func (s *story) join(c *reader) {
	c.classic = false
	if c.id == "" {
		c.id = s.newID(c)
	}
	c.owned = nil
	s.step(ConsumerHeartbeat{
		Ref: s.call(c, "join"), MemberID: c.id, InstanceID: c.instance, RebalanceTimeout: c.timeout, Topics: c.topics, Regex: c.regex,
		Assignor: c.assignor, Owned: []Partition{}, ClientID: c.name, ClientHost: "/127.0.0.1", MustHaveID: true,
	})
}

// beat sends a heartbeat, with what the client owns if that has changed.
func (s *story) beat(c *reader, opts map[string]string) {
	in := ConsumerHeartbeat{Ref: s.call(c, "beat"), MemberID: c.id, Epoch: c.epoch, InstanceID: c.instance, RebalanceTimeout: -1, ClientID: c.name, ClientHost: "/127.0.0.1"}
	if !c.told {
		in.Owned = append([]Partition{}, c.owned...)
		c.told = true
	}
	for k, v := range opts {
		switch k {
		case "epoch":
			n, _ := strconv.Atoi(v)
			in.Epoch = int32(n)
		case "id":
			in.MemberID = v
		case "topics":
			c.topics = strings.Split(v, ",")
			in.Topics = c.topics
		case "regex":
			c.regex = &v
			in.Regex = &v
		case "owned": // says nothing, or as much as it had
			in.Owned = nil
			c.told = false
			if v == "all" {
				in.Owned = append([]Partition{}, c.owned...)
			}
		}
	}
	s.step(in)
}

func (s *story) classicJoin(c *reader) {
	meta := kmsg.ConsumerMemberMetadata{Version: 3, Topics: c.topics}
	for _, t := range ByTopic(c.owned) {
		meta.OwnedPartitions = append(meta.OwnedPartitions, kmsg.ConsumerMemberMetadataOwnedPartition{Topic: s.cluster.TopicName(t.Topic), Partitions: t.Partitions})
	}
	s.step(Join{
		Ref: s.call(c, "join"), MemberID: c.id, InstanceID: orEmpty(c.instance), ClientID: c.name, ClientHost: "/127.0.0.1",
		SessionTimeout: 10 * time.Second, RebalanceTimeout: c.timeout, ProtocolType: "consumer",
		Protocols: []Protocol{{"range", meta.AppendTo(nil)}}, NewMemberID: s.newID(c), RequireMemberID: true, CanSkipAssignment: true,
	})
}

// assign is what a classic leader does: it deals the partitions of orders out in order.
func (s *story) assign(members []JoinedMember) (out []Assignment) {
	n := int(s.cluster.topics["orders"].partitions)
	for i, m := range members {
		a := kmsg.ConsumerMemberAssignment{Topics: []kmsg.ConsumerMemberAssignmentTopic{{Topic: "orders"}}}
		for p := i * n / len(members); p < (i+1)*n/len(members); p++ {
			a.Topics[0].Partitions = append(a.Topics[0].Partitions, int32(p))
		}
		out = append(out, Assignment{m.MemberID, a.AppendTo(nil)})
	}
	return out
}

func (s *story) tick(d time.Duration, alive []string) {
	end := s.now.Add(d)
	for s.now.Before(end) {
		next := s.now.Add(time.Second)
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
			if name == "" {
				continue
			}
			keep := s.out.String()
			if c := s.client(name); c.classic {
				s.step(Heartbeat{Ref: s.call(c, "heartbeat"), MemberID: c.id, Generation: c.epoch})
			} else {
				s.beat(c, nil)
			}
			s.out.Reset()
			s.out.WriteString(keep)
		}
	}
}

func (s *story) step(in Input) {
	s.g.Observe(s.cluster)
	s.do(s.g.Step(s.now, in))
}

func (s *story) do(effects Effects) {
	for _, e := range effects {
		switch e := e.(type) {
		case Event:
			switch e.Kind {
			case MemberRemoved:
				s.printf("[%s: %s]", e.Kind, strings.TrimSpace(e.Member+" "+e.Reason))
			case RebalanceStarted:
				if e.Reason != "group epoch raised" {
					s.printf("[%s: %s]", e.Kind, e.Reason)
				}
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
			s.disk.write(e.Records)
			s.written = append(s.written, e.Records...)
			s.step(Persisted{e.Seq, nil})
		case InitShare:
			s.inits = append(s.inits, e.Partitions)
			s.printf("[states wanted: %s]", s.cluster.show(e.Partitions))
		case DropShare:
			s.printf("[states dropped: %d]", len(e.Partitions))
		case Reply:
			s.answered(s.calls[e.Ref], s.names[e.Ref], e.Body)
		}
	}
}

func errName(e *kerr.Error) string {
	if e == nil {
		return "ok"
	}
	return e.Message
}

func (s *story) answered(c *reader, what string, body any) {
	switch r := body.(type) {
	case ConsumerHeartbeatReply:
		switch {
		case r.Err != nil:
			s.printf("%s: %s %s", c.name, what, r.Err.Message)
		case what == "leave":
			s.printf("%s: left", c.name)
			c.id, c.owned = "", nil
		case what == "away":
			s.printf("%s: away", c.name)
		default:
			c.id, c.epoch = r.MemberID, r.Epoch
			if !r.Assigned {
				s.printf("%s: epoch %d", c.name, r.Epoch)
				return
			}
			now := flat(r.Assignment)
			c.told = slices.Equal(now, c.owned)
			c.owned = now
			s.printf("%s: epoch %d has %s", c.name, r.Epoch, s.cluster.show(now))
		}
	case JoinReply:
		if r.Err == kerr.MemberIDRequired {
			c.id = r.MemberID
			s.classicJoin(c)
			return
		}
		if r.Err != nil {
			s.printf("%s: classic join %s", c.name, r.Err.Message)
			return
		}
		c.id, c.epoch, c.members = r.MemberID, r.Generation, r.Members
		s.printf("%s: joined generation %d", c.name, r.Generation)
	case SyncReply:
		if r.Err != nil {
			s.printf("%s: sync %s", c.name, r.Err.Message)
			return
		}
		held, _ := s.g.readAssignment(r.Assignment, 0)
		c.owned = held.Sorted()
		s.printf("%s: sync has %s", c.name, s.cluster.show(c.owned))
	case HeartbeatReply:
		s.printf("%s: heartbeat %s", c.name, errName(r.Err))
	case LeaveReply:
		for _, e := range r.Members {
			s.printf("%s: left %s", c.name, errName(e))
		}
		c.id, c.owned = "", nil
	case CommitReply:
		if r.Offsets == nil {
			s.printf("%s: commit %s", c.name, errName(r.Err))
		}
		for _, e := range r.Offsets {
			s.printf("%s: commit %s", c.name, errName(e))
		}
	case FetchReply:
		if r.Err != nil {
			s.printf("fetch: %s", r.Err.Message)
			return
		}
		var out []string
		for _, o := range r.Offsets {
			out = append(out, fmt.Sprintf("%s=%d", o.TopicPartition, o.Offset))
		}
		s.printf("fetch: [%s]", strings.Join(out, " "))
	case DeleteOffsetsReply:
		if r.Err != nil {
			s.printf("%s: %s", c.name, r.Err.Message)
		}
		for _, e := range r.Partitions {
			s.printf("%s: %s", c.name, errName(e))
		}
	case DeleteReply:
		s.printf("%s: %s", c.name, errName(r.Err))
	}
}

func (s *story) describe() {
	d := s.g.Describe()
	if d.Modern == nil {
		s.printf("%s %s generation=%d, %d members", d.Kind, d.State, d.Generation, len(d.Members))
		return
	}
	s.printf("%s %s epoch=%d target=%d", d.Kind, d.State, d.Modern.Epoch, d.Modern.AssignmentEpoch)
	for _, m := range d.Modern.Members {
		member := s.g.modern.members[m.ID]
		line := fmt.Sprintf("  %s epoch=%d %s has %s", m.ID, m.Epoch, member.cur.State, s.cluster.show(flat(m.Assigned)))
		if len(member.cur.Revoking) > 0 {
			line += " gives " + s.cluster.show(member.cur.Revoking.Sorted())
		}
		if target := s.cluster.show(flat(m.Target)); target != s.cluster.show(flat(m.Assigned)) {
			line += " shall " + target
		}
		s.printf("%s", line)
	}
}

func (s *story) record(r Record) string {
	tombstone := func(gone bool, live func() string) string {
		if gone {
			return "tombstone"
		}
		return live()
	}
	switch r := r.(type) {
	case EpochRecord:
		return "group epoch " + tombstone(r.GroupEpoch == nil, func() string { return strconv.Itoa(int(r.Epoch)) })
	case MemberRecord:
		return "member " + r.Member + " " + tombstone(r.Subscription == nil, func() string { return fmt.Sprint(r.Topics, " ", r.Regex) })
	case TargetEpochRecord:
		return "target epoch " + tombstone(r.TargetEpoch == nil, func() string { return strconv.Itoa(int(r.Epoch)) })
	case TargetRecord:
		return "target " + r.Member + " " + tombstone(r.Target == nil, func() string { return s.cluster.show(r.Partitions) })
	case CurrentRecord:
		return "current " + r.Member + " " + tombstone(r.Current == nil, func() string {
			return fmt.Sprintf("epoch %d %s %s %s", r.Epoch, r.State, s.cluster.show(r.Assigned.Sorted()), s.cluster.show(r.Revoking.Sorted()))
		})
	case StateRecord:
		return "states " + tombstone(r.ShareState == nil, func() string {
			all := make([]TopicPartitions, len(r.Topics))
			for i, t := range r.Topics {
				all[i] = t.TopicPartitions
			}
			return s.cluster.show(flat(all))
		})
	case RegexRecord:
		return "regex " + r.Regex + " " + tombstone(r.Resolved == nil, func() string { return fmt.Sprint(r.Topics) })
	}
	return record(r)
}
