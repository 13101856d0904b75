package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Group holds what rules one group where the broker assigns (KIP-848, KIP-932): its own
// settings, or else the broker's. Units are in the names.
type Group struct {
	ConsumerSessionTimeoutMs     int32
	ConsumerHeartbeatIntervalMs  int32
	ConsumerAssignmentIntervalMs int32

	ShareSessionTimeoutMs        int32
	ShareHeartbeatIntervalMs     int32
	ShareAssignmentIntervalMs    int32
	ShareRecordLockDurationMs    int32
	ShareDeliveryCountLimit      int32
	SharePartitionMaxRecordLocks int32
	ShareAutoOffsetReset         string // earliest, latest, by_duration:PnDTnHnMn.nS
	ShareIsolationLevel          string // read_uncommitted, read_committed
	ShareRenewAcknowledge        bool
}

// limited makes three broker settings of one: the value for all groups, and the bounds
// within which a group may have its own.
func limited(name, value, low, high string, u Update, doc string, bind func(*Group) any) []Def {
	prefix := "group.consumer."
	if strings.HasPrefix(name, "group.share.") {
		prefix = "group.share."
	}
	rest := strings.TrimPrefix(name, prefix)
	own := strings.TrimPrefix(name, "group.")
	rule := atLeast(1)
	if low == "0" {
		rule = atLeast(0)
	}
	return []Def{
		{Name: name, Type: Int, Default: value, rule: rule, Update: u, Doc: doc, bind: func(b *Broker) any { return bind(&b.Group) }},
		{Name: prefix + "min." + rest, Type: Int, Default: low, rule: rule, Doc: "The least " + own + " that a group may be given."},
		{Name: prefix + "max." + rest, Type: Int, Default: high, rule: rule, Doc: "The most " + own + " that a group may be given."},
	}
}

// modernGroupDefs are about groups where the broker assigns.
var modernGroupDefs = slices.Concat(
	limited("group.consumer.session.timeout.ms", "45000", "45000", "60000", ReadOnly,
		"After how long without a heartbeat a member of a consumer group (KIP-848) is taken for gone.",
		func(g *Group) any { return &g.ConsumerSessionTimeoutMs }),
	limited("group.consumer.heartbeat.interval.ms", "5000", "5000", "15000", ReadOnly,
		"How often members of consumer groups (KIP-848) are told to send a heartbeat.",
		func(g *Group) any { return &g.ConsumerHeartbeatIntervalMs }),
	limited("group.consumer.assignment.interval.ms", "1000", "0", "15000", PerBroker,
		"How long at least lies between two assignments of a consumer group (KIP-848).",
		func(g *Group) any { return &g.ConsumerAssignmentIntervalMs }),
	limited("group.share.session.timeout.ms", "45000", "45000", "60000", ReadOnly,
		"After how long without a heartbeat a member of a share group (KIP-932) is taken for gone.",
		func(g *Group) any { return &g.ShareSessionTimeoutMs }),
	limited("group.share.heartbeat.interval.ms", "5000", "5000", "15000", ReadOnly,
		"How often members of share groups (KIP-932) are told to send a heartbeat.",
		func(g *Group) any { return &g.ShareHeartbeatIntervalMs }),
	limited("group.share.assignment.interval.ms", "1000", "0", "15000", PerBroker,
		"How long at least lies between two assignments of a share group (KIP-932).",
		func(g *Group) any { return &g.ShareAssignmentIntervalMs }),
	limited("group.share.record.lock.duration.ms", "30000", "15000", "60000", ReadOnly,
		"How long a member of a share group has for a record, until it is given to another.",
		func(g *Group) any { return &g.ShareRecordLockDurationMs }),
	limited("group.share.delivery.count.limit", "5", "2", "10", ReadOnly,
		"How often a share group delivers a record; then it is archived: no member gets it again.",
		func(g *Group) any { return &g.ShareDeliveryCountLimit }),
	limited("group.share.partition.max.record.locks", "2000", "100", "4000", ReadOnly,
		"How many records of a partition a share group may have out or unfinished at a time.",
		func(g *Group) any { return &g.SharePartitionMaxRecordLocks }),
	[]Def{
		{Name: "group.consumer.assignors", Type: List, Default: "uniform,range", rule: someOf("uniform", "range"),
			Doc:  "How the broker may share partitions out in consumer groups (KIP-848); the first is used where members ask for none.",
			bind: func(b *Broker) any { return &b.GroupConsumerAssignors }},
		{Name: "group.consumer.max.size", Type: Int, Default: maxInt, rule: atLeast(1),
			Doc:  "How many members a consumer group (KIP-848) may have.",
			bind: func(b *Broker) any { return &b.GroupConsumerMaxSize }},
		{Name: "group.consumer.migration.policy", Type: String, Default: "bidirectional", rule: oneOf("bidirectional", "upgrade", "downgrade", "disabled"),
			Doc:  "Which groups with members may change between the classic and the consumer protocol: upgrade is to the new one.",
			bind: func(b *Broker) any { return &b.GroupConsumerMigrationPolicy }},
		{Name: "group.share.assignors", Type: List, Default: "simple", rule: someOf("simple"),
			Doc: "How the broker shares partitions out in share groups (KIP-932)."},
		{Name: "group.share.max.share.sessions", Type: Int, Default: "2000", rule: atLeast(1),
			Doc:  "How many share sessions there may be: each is a member's view of its partitions, kept between its fetches.",
			bind: func(b *Broker) any { return &b.GroupShareMaxSessions }},
		{Name: "group.share.max.size", Type: Int, Default: "200", rule: between(1, 1000),
			Doc:  "How many members a share group may have.",
			bind: func(b *Broker) any { return &b.GroupShareMaxSize }},
		{Name: "share.coordinator.state.topic.min.isr", Type: Short, Default: "1", rule: atLeast(1),
			Doc:  "The min.insync.replicas of __share_group_state. Kafka's own default is 2.",
			bind: func(b *Broker) any { return &b.ShareStateMinISR }},
		{Name: "share.coordinator.state.topic.num.partitions", Type: Int, Default: "50", rule: atLeast(1),
			Doc:  "How many partitions __share_group_state gets when it is created.",
			bind: func(b *Broker) any { return &b.ShareStateNumPartitions }},
		{Name: "share.coordinator.state.topic.replication.factor", Type: Short, Default: "1", rule: atLeast(1),
			Doc:  "How many replicas __share_group_state gets when it is created. Kafka's own default is 3.",
			bind: func(b *Broker) any { return &b.ShareStateReplicationFactor }},
		{Name: "share.coordinator.state.topic.segment.bytes", Type: Int, Default: "104857600", rule: atLeast(1),
			Doc:  "The segment.bytes of __share_group_state.",
			bind: func(b *Broker) any { return &b.ShareStateSegmentBytes }},
	},
)

// someOf is listOf for a list that must not be empty.
func someOf(words ...string) rule {
	r := listOf(words...)
	return rule{"one or more of " + strings.Join(words, ", "), func(v any) string {
		if len(v.([]string)) == 0 {
			return "the list must not be empty"
		}
		return r.check(v)
	}}
}

// groupDefs are the settings of one group.
var groupDefs = []Def{
	{Name: "consumer.assignment.interval.ms", Type: Int, Default: "1000", rule: atLeast(0), Synonyms: brokerName("group.consumer.assignment.interval.ms"),
		Doc:   "How long at least lies between two assignments of a consumer group.",
		group: func(g *Group) any { return &g.ConsumerAssignmentIntervalMs }},
	{Name: "consumer.heartbeat.interval.ms", Type: Int, Default: "5000", rule: atLeast(1), Synonyms: brokerName("group.consumer.heartbeat.interval.ms"),
		Doc:   "How often the members of a consumer group report.",
		group: func(g *Group) any { return &g.ConsumerHeartbeatIntervalMs }},
	{Name: "consumer.session.timeout.ms", Type: Int, Default: "45000", rule: atLeast(1), Synonyms: brokerName("group.consumer.session.timeout.ms"),
		Doc:   "After how long without a report a member of a consumer group is taken for gone.",
		group: func(g *Group) any { return &g.ConsumerSessionTimeoutMs }},
	{Name: "share.assignment.interval.ms", Type: Int, Default: "1000", rule: atLeast(0), Synonyms: brokerName("group.share.assignment.interval.ms"),
		Doc:   "How long at least lies between two assignments of a share group.",
		group: func(g *Group) any { return &g.ShareAssignmentIntervalMs }},
	{Name: "share.auto.offset.reset", Type: String, Default: "latest", rule: offsetReset(),
		Doc:   "Where a share group begins in a partition that it has not read: earliest, latest, or by_duration: and how long ago, in ISO 8601.",
		group: func(g *Group) any { return &g.ShareAutoOffsetReset }},
	{Name: "share.delivery.count.limit", Type: Int, Default: "5", rule: atLeast(1), Synonyms: brokerName("group.share.delivery.count.limit"),
		Doc:   "How often a share group delivers a record before it is archived.",
		group: func(g *Group) any { return &g.ShareDeliveryCountLimit }},
	{Name: "share.heartbeat.interval.ms", Type: Int, Default: "5000", rule: atLeast(1), Synonyms: brokerName("group.share.heartbeat.interval.ms"),
		Doc:   "How often the members of a share group report.",
		group: func(g *Group) any { return &g.ShareHeartbeatIntervalMs }},
	{Name: "share.isolation.level", Type: String, Default: "read_uncommitted", rule: oneOf("read_committed", "read_uncommitted"),
		Doc:   "Whether a share group delivers the records of transactions that were aborted: read_uncommitted does.",
		group: func(g *Group) any { return &g.ShareIsolationLevel }},
	{Name: "share.partition.max.record.locks", Type: Int, Default: "2000", rule: atLeast(1), Synonyms: brokerName("group.share.partition.max.record.locks"),
		Doc:   "How many records of a partition a share group may have out or unfinished at a time.",
		group: func(g *Group) any { return &g.SharePartitionMaxRecordLocks }},
	{Name: "share.record.lock.duration.ms", Type: Int, Default: "30000", rule: atLeast(1), Synonyms: brokerName("group.share.record.lock.duration.ms"),
		Doc:   "How long a member of a share group has for a record, until it is given to another.",
		group: func(g *Group) any { return &g.ShareRecordLockDurationMs }},
	{Name: "share.renew.acknowledge.enable", Type: Boolean, Default: "true",
		Doc:   "Whether a member of a share group may ask for more time for a record.",
		group: func(g *Group) any { return &g.ShareRenewAcknowledge }},
	{Name: "share.session.timeout.ms", Type: Int, Default: "45000", rule: atLeast(1), Synonyms: brokerName("group.share.session.timeout.ms"),
		Doc:   "After how long without a report a member of a share group is taken for gone.",
		group: func(g *Group) any { return &g.ShareSessionTimeoutMs }},
	{Name: "streams.assignment.interval.ms", Type: Int, Default: "1000", rule: atLeast(0), Ignored: true, Synonyms: brokerName("group.streams.assignment.interval.ms"),
		Doc: "How long at least lies between two assignments of a streams group (KIP-1071)."},
	{Name: "streams.heartbeat.interval.ms", Type: Int, Default: "5000", rule: atLeast(1), Ignored: true, Synonyms: brokerName("group.streams.heartbeat.interval.ms"),
		Doc: "How often the members of a streams group report."},
	{Name: "streams.initial.rebalance.delay.ms", Type: Int, Default: "3000", rule: atLeast(0), Ignored: true, Synonyms: brokerName("group.streams.initial.rebalance.delay.ms"),
		Doc: "How long a new streams group waits for more members."},
	{Name: "streams.num.standby.replicas", Type: Int, Default: "0", rule: atLeast(0), Ignored: true, Synonyms: brokerName("group.streams.num.standby.replicas"),
		Doc: "How many standby copies of each task a streams group has."},
	{Name: "streams.session.timeout.ms", Type: Int, Default: "45000", rule: atLeast(1), Ignored: true, Synonyms: brokerName("group.streams.session.timeout.ms"),
		Doc: "After how long without a report a member of a streams group is taken for gone."},
}

// NewGroup resolves the settings of a group that sets these itself. A value that the
// broker's bounds do not allow any more counts as the nearest one that they do.
func (b *Broker) NewGroup(set map[string]string) *Group {
	g := b.Group
	for name, text := range set {
		d := Lookup(GroupLevel, name)
		if d == nil || d.group == nil {
			continue
		}
		v, err := d.parse(text)
		if err != nil {
			continue
		}
		if n, ok := v.(int64); ok {
			v = b.withinLimits(d, n)
		}
		store(d.group(&g), v)
	}
	return &g
}

// groupDefaults fills what only groups can set.
func (b *Broker) groupDefaults() {
	for _, d := range defs[GroupLevel] {
		if len(d.Synonyms) > 0 {
			continue
		}
		if v, err := d.parse(d.Default); err == nil {
			store(d.group(&b.Group), v)
		}
	}
}

// limit is the broker's bound for a group's setting, if it has one. which is min or max.
func (b *Broker) limit(d *Def, which string) (name string, limit int64, ok bool) {
	kind, rest, _ := strings.Cut(d.Name, ".")
	name = "group." + kind + "." + which + "." + strings.TrimPrefix(rest, "num.")
	def := Lookup(BrokerLevel, name)
	if def == nil {
		return name, 0, false
	}
	text, _ := b.value(def)
	v, err := def.parse(text)
	if err != nil {
		return name, 0, false
	}
	n, ok := v.(int64)
	return name, n, ok
}

func (b *Broker) withinLimits(d *Def, n int64) int64 {
	if _, low, ok := b.limit(d, "min"); ok {
		n = max(n, low)
	}
	if _, high, ok := b.limit(d, "max"); ok {
		n = min(n, high)
	}
	return n
}

// checkGroupLimit holds group.consumer.min.session.timeout.ms and its like against a
// group's setting.
func (b *Broker) checkGroupLimit(d *Def, value int64) error {
	refused := func(than, of string) error {
		return &Error{Name: d.Name, Level: GroupLevel, Whole: fmt.Sprintf("%s must be %s %s", d.Name, than, of)}
	}
	if of, low, ok := b.limit(d, "min"); ok && value < low {
		return refused("greater than or equal to", of)
	}
	if of, high, ok := b.limit(d, "max"); ok && value > high {
		return refused("less than or equal to", of)
	}
	return nil
}

// checkGroupDefaults refuses a broker whose values for all groups break its own bounds.
func (b *Broker) checkGroupDefaults() error {
	for _, d := range groupDefs {
		if len(d.Synonyms) == 0 {
			continue
		}
		def := Lookup(BrokerLevel, d.Synonyms[0].Name)
		text, _ := b.value(def)
		v, err := def.parse(text)
		if err != nil {
			return err
		}
		n := v.(int64)
		if of, low, ok := b.limit(&d, "min"); ok && n < low {
			return def.bad(text, "it is below "+of)
		}
		if of, high, ok := b.limit(&d, "max"); ok && n > high {
			return def.bad(text, "it is above "+of)
		}
	}
	return nil
}

// offsetReset allows what share.auto.offset.reset can be.
func offsetReset() rule {
	return text("earliest, latest, by_duration:PnDTnHnMn.nS", "Invalid value for share.auto.offset.reset", func(s string) bool {
		if s == "earliest" || s == "latest" {
			return true
		}
		_, err := ResetDuration(s)
		return err == nil
	})
}

var isoDuration = regexp.MustCompile(`^P(?:(\d{1,6})D)?(?:T(?:(\d{1,8})H)?(?:(\d{1,9})M)?(?:(\d{1,10})(?:\.(\d{1,9}))?S)?)?$`)

// ResetDuration reads by_duration:<ISO 8601 duration> as share.auto.offset.reset has it.
func ResetDuration(s string) (time.Duration, error) {
	iso, ok := strings.CutPrefix(s, "by_duration:")
	m := isoDuration.FindStringSubmatch(strings.ToUpper(iso))
	if !ok || m == nil || strings.HasSuffix(iso, "P") || strings.HasSuffix(strings.ToUpper(iso), "T") {
		return 0, fmt.Errorf("%q is not by_duration:PnDTnHnMn.nS", s)
	}
	var d time.Duration
	for i, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second} {
		if m[i+1] == "" {
			continue
		}
		n, err := strconv.ParseInt(m[i+1], 10, 64)
		if err != nil || n > int64((1<<62)/unit) {
			return 0, fmt.Errorf("%q is too long", s)
		}
		d += time.Duration(n) * unit
	}
	if d < 0 {
		return 0, fmt.Errorf("%q is too long", s)
	}
	if frac := m[5]; frac != "" {
		n, err := strconv.ParseInt((frac + "000000000")[:9], 10, 64)
		if err != nil {
			return 0, err
		}
		d += time.Duration(n)
	}
	return d, nil
}
