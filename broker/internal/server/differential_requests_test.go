package server_test

import (
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/record"
	"millrace/broker/internal/server"
)

type apiRange = server.APIRange

func registered() []apiRange { return server.Registered() }

// base is a request that makes sense, and which the changes are made to.
type base struct {
	name   string
	from   int16 // below this version it is not sent
	adjust func(c *conversation, req kmsg.Request)
}

// changedAt tells whether a change is tried at a version. A group that is named by a change is another in each script, but not for each
// request: who joins it a second time would wait for the first.
func changedAt(v int16, api apiRange, c change) bool {
	joins := api.Key == 11 || api.Key == 68 || api.Key == 76
	if api.Key == 78 && strings.HasPrefix(c.what, "MaxRecords") {
		return false // Kafka's answer depends on how far it is with the partition's state
	}
	return v == api.MaxVersion || !joins || !strings.HasPrefix(c.what, "Group")
}

// basesOf has the requests that need more than fillIn does.
var basesOf = map[int16][]base{
	0: {{from: 3, adjust: func(c *conversation, req kmsg.Request) {
		req.(*kmsg.ProduceRequest).Topics[0].Partitions[0].Records = fixedBatch(c.t, 1)
	}}},
	1: {{adjust: func(_ *conversation, req kmsg.Request) {
		req.(*kmsg.FetchRequest).Topics[0].Partitions[0].PartitionMaxBytes = 1 << 20
	}}},
	// Up to version 3 a topic that is asked for is made.
	3: {{from: 4, adjust: func(c *conversation, req kmsg.Request) {
		req.(*kmsg.MetadataRequest).Topics[0].Topic = kmsg.StringPtr(c.name(""))
		req.(*kmsg.MetadataRequest).Topics[0].TopicID = [16]byte{}
	}}, {name: "by id", from: 12, adjust: func(c *conversation, req kmsg.Request) {
		req.(*kmsg.MetadataRequest).Topics[0].Topic = nil
	}}},
	11: {{adjust: func(c *conversation, req kmsg.Request) {
		r := req.(*kmsg.JoinGroupRequest)
		r.Group, r.ProtocolType = c.unique(), "consumer"
		r.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: []byte("m")}}
	}}},
	19: {{adjust: func(c *conversation, req kmsg.Request) {
		r := req.(*kmsg.CreateTopicsRequest)
		r.ValidateOnly = true
		t := &r.Topics[0]
		t.Topic, t.NumPartitions, t.ReplicationFactor, t.ReplicaAssignment = c.unique(), 1, 1, nil
		t.Configs[0].Name, t.Configs[0].Value = "retention.ms", kmsg.StringPtr("1000")
	}}, {name: "assigned", adjust: func(c *conversation, req kmsg.Request) {
		r := req.(*kmsg.CreateTopicsRequest)
		r.ValidateOnly = true
		t := &r.Topics[0]
		t.Topic, t.NumPartitions, t.ReplicationFactor, t.Configs = c.unique(), -1, -1, nil
		t.ReplicaAssignment[0].Replicas = []int32{1}
	}}},
	20: {{adjust: func(c *conversation, req kmsg.Request) {
		r := req.(*kmsg.DeleteTopicsRequest)
		r.TopicNames = []string{c.name("-none")}
		r.Topics[0].Topic, r.Topics[0].TopicID = kmsg.StringPtr(c.name("-none")), [16]byte{}
	}}},
	29: {{adjust: func(c *conversation, req kmsg.Request) {
		r := req.(*kmsg.DescribeACLsRequest)
		r.ResourceType, r.ResourcePatternType, r.Operation, r.PermissionType = kmsg.ACLResourceTypeTopic, kmsg.ACLResourcePatternTypeLiteral, kmsg.ACLOperationRead, kmsg.ACLPermissionTypeAllow
	}}},
	30: {{adjust: func(c *conversation, req kmsg.Request) {
		r := &req.(*kmsg.CreateACLsRequest).Creations[0]
		r.ResourceType, r.ResourcePatternType, r.Operation, r.PermissionType = kmsg.ACLResourceTypeTopic, kmsg.ACLResourcePatternTypeLiteral, kmsg.ACLOperationRead, kmsg.ACLPermissionTypeAllow
		r.ResourceName, r.Principal, r.Host = c.name(""), "User:"+c.name(""), "*"
	}}},
	31: {{adjust: func(c *conversation, req kmsg.Request) {
		r := &req.(*kmsg.DeleteACLsRequest).Filters[0]
		r.ResourceType, r.ResourcePatternType, r.Operation, r.PermissionType = kmsg.ACLResourceTypeTopic, kmsg.ACLResourcePatternTypeLiteral, kmsg.ACLOperationRead, kmsg.ACLPermissionTypeAllow
	}}},
	32: {{adjust: func(c *conversation, req kmsg.Request) {
		r := &req.(*kmsg.DescribeConfigsRequest).Resources[0]
		r.ResourceType, r.ResourceName, r.ConfigNames = kmsg.ConfigResourceTypeTopic, c.name(""), []string{"retention.ms"}
	}}},
	33: {{adjust: func(c *conversation, req kmsg.Request) {
		req.(*kmsg.AlterConfigsRequest).ValidateOnly = true
		r := &req.(*kmsg.AlterConfigsRequest).Resources[0]
		r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, c.name("")
		r.Configs[0].Name, r.Configs[0].Value = "retention.ms", kmsg.StringPtr("1000")
	}}},
	37: {{adjust: func(_ *conversation, req kmsg.Request) {
		r := req.(*kmsg.CreatePartitionsRequest)
		r.ValidateOnly, r.Topics[0].Count, r.Topics[0].Assignment = true, 4, nil
	}}, {name: "assigned", adjust: func(_ *conversation, req kmsg.Request) {
		r := req.(*kmsg.CreatePartitionsRequest)
		r.ValidateOnly, r.Topics[0].Count, r.Topics[0].Assignment[0].Replicas = true, 4, []int32{1}
	}}},
	44: {{adjust: func(c *conversation, req kmsg.Request) {
		req.(*kmsg.IncrementalAlterConfigsRequest).ValidateOnly = true
		r := &req.(*kmsg.IncrementalAlterConfigsRequest).Resources[0]
		r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, c.name("")
		r.Configs[0].Name, r.Configs[0].Value = "retention.ms", kmsg.StringPtr("1000")
	}}},
	49: {{adjust: func(c *conversation, req kmsg.Request) {
		r := req.(*kmsg.AlterClientQuotasRequest)
		r.ValidateOnly = true
		r.Entries[0].Entity[0].Type, r.Entries[0].Entity[0].Name = "user", kmsg.StringPtr(c.name(""))
		r.Entries[0].Ops[0].Key, r.Entries[0].Ops[0].Value = "producer_byte_rate", 1000
	}}},
	57: {{adjust: func(_ *conversation, req kmsg.Request) {
		r := req.(*kmsg.UpdateFeaturesRequest)
		r.ValidateOnly = true
		r.FeatureUpdates[0].Feature, r.FeatureUpdates[0].UpgradeType, r.FeatureUpdates[0].MaxVersionLevel = "differential.version", 1, 1
	}}},
	68: {{adjust: func(c *conversation, req kmsg.Request) {
		r := req.(*kmsg.ConsumerGroupHeartbeatRequest)
		r.Group, r.MemberID, r.Topics = c.unique(), "member", []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	}}, {name: "owning"}},
	78: {{adjust: func(_ *conversation, req kmsg.Request) {
		r := req.(*kmsg.ShareFetchRequest)
		r.MemberID = kmsg.StringPtr("member")
		r.Topics[0].Partitions[0].AcknowledgementBatches, r.ForgottenTopicsData = nil, nil
	}}, {name: "acknowledging"}},
	79: {{adjust: func(_ *conversation, req kmsg.Request) {
		req.(*kmsg.ShareAcknowledgeRequest).MemberID = kmsg.StringPtr("member")
	}}},
	80: {{adjust: func(_ *conversation, req kmsg.Request) {
		req.(*kmsg.AddRaftVoterRequest).Listeners[0].Name = "CONTROLLER"
	}}},
	76: {{adjust: func(c *conversation, req kmsg.Request) {
		r := req.(*kmsg.ShareGroupHeartbeatRequest)
		r.GroupID, r.MemberID = c.unique(), "member"
	}}},
}

// unique is another group or topic for each request.
func (c *conversation) unique() string { return c.name("-" + strconv.Itoa(c.counter)) }

// harmful are changes after which a Kafka would not be what it was.
var harmful = []struct {
	key  int16
	what string
}{
	{37, "Topics.Count 2147483647"}, // its controller stands down, and what comes next is not answered
	{44, "Resources.Configs.Op -2"},
	{44, "Resources.Configs.Op -1"},
	{44, "Resources.Configs.Op 99"},
	{80, "Listeners.Name ''"},    // it ends
	{64, "BrokerID 1"},           // it would unregister itself
	{49, "ValidateOnly flipped"}, // the quota of a user would be seen by all
}

func isHarmful(key int16, what string) bool {
	return slices.ContainsFunc(harmful, func(h struct {
		key  int16
		what string
	},
	) bool {
		return h.key == key && h.what == what
	})
}

// fixedBatch makes a batch of n records with the same times always.
func fixedBatch(t *testing.T, n int) record.Batch {
	t.Helper()
	var b record.Builder
	for i := range n {
		b.Add(1000+int64(i), []byte("key"), []byte("value"))
	}
	out, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// fillIn gives the fields of a request values that make sense: the topic, its id, the group, short waits, one element
// in each array. What has no meaning by its name keeps its default.
func (c *conversation) fillIn(v reflect.Value, topic, group string) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !isField(f) {
			continue
		}
		x, name := v.Field(i), f.Name
		isText := x.Kind() == reflect.String || x.Type() == reflect.TypeFor[*string]()
		switch {
		case name == "Acks":
			x.SetInt(-1)
		case name == "TopicID":
			x.Set(reflect.ValueOf(c.topicID))
		case isText && (name == "Topic" || name == "Name" && strings.Contains(v.Type().Name(), "Topic")):
			setText(x, topic)
		case isText && strings.HasPrefix(name, "Group"):
			setText(x, group)
		case x.Type() == reflect.TypeFor[[]string]():
			x.Set(reflect.ValueOf([]string{topic}))
			if strings.Contains(name, "Group") {
				x.Set(reflect.ValueOf([]string{group}))
			}
		case name == "MaxWaitMillis":
			x.SetInt(1)
		case strings.Contains(name, "Session") && strings.Contains(name, "Millis"), strings.Contains(name, "Rebalance") && x.CanInt():
			x.SetInt(10_000)
		case strings.Contains(name, "Timeout") && strings.Contains(name, "Millis") && x.CanInt():
			x.SetInt(30_000)
		case strings.Contains(name, "Millis") && x.CanInt():
			x.SetInt(1000)
		case x.Kind() == reflect.Slice && x.Type().Elem().Kind() == reflect.Struct:
			one := reflect.MakeSlice(x.Type(), 1, 1)
			setDefaults(one.Index(0).Addr())
			c.fillIn(one.Index(0), topic, group)
			x.Set(one)
		case x.Kind() == reflect.Slice && x.Type().Elem().Kind() != reflect.Uint8:
			x.Set(reflect.MakeSlice(x.Type(), 1, 1))
		case x.Kind() == reflect.Struct:
			c.fillIn(x, topic, group)
		}
	}
}

func isField(f reflect.StructField) bool {
	return f.IsExported() && f.Name != "UnknownTags" && f.Name != "Version"
}

func setDefaults(pointer reflect.Value) {
	if m := pointer.MethodByName("Default"); m.IsValid() {
		m.Call(nil)
	}
}

func setText(x reflect.Value, s string) {
	if x.Kind() == reflect.Pointer {
		x.Set(reflect.ValueOf(&s))
	} else {
		x.SetString(s)
	}
}

// change makes one field of a request absurd.
type change struct {
	what  string // the field and what becomes of it, as in "Topics.Partitions.Offset -2"
	apply func(request reflect.Value)
}

// changes lists what can be done to the fields of a type, one at a time. path leads to the type, through the first
// element of each array; nowhere is a name that nothing has.
func changes(t reflect.Type, path []int, name, nowhere string) []change {
	var list []change
	add := func(what string, f func(reflect.Value)) {
		list = append(list, change{name + " " + what, func(request reflect.Value) {
			if v, ok := follow(request, path); ok {
				f(v)
			}
		}})
	}
	switch t.Kind() {
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); isField(f) {
				list = append(list, changes(f.Type, append(slices.Clone(path), i), strings.TrimPrefix(name+"."+f.Name, "."), nowhere)...)
			}
		}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			add("junk", func(v reflect.Value) { v.SetBytes([]byte("junk")) })
			add("nothing", func(v reflect.Value) { v.SetBytes([]byte{}) })
			break
		}
		add("empty", func(v reflect.Value) { v.Set(reflect.MakeSlice(t, 0, 0)) })
		add("null", func(v reflect.Value) { v.SetZero() })
		add("twice", func(v reflect.Value) {
			if v.Len() > 0 {
				v.Set(reflect.Append(v, v.Index(0)))
			}
		})
		if t.Elem().Kind() == reflect.Struct {
			list = append(list, changes(t.Elem(), path, name, nowhere)...)
		}
	case reflect.String, reflect.Pointer:
		if t != reflect.TypeFor[string]() && t != reflect.TypeFor[*string]() {
			break
		}
		for _, s := range [][2]string{{"''", ""}, {"unknown", nowhere}, {"slash", nowhere + "/b"}, {"long", nowhere + strings.Repeat("x", 300-len(nowhere))}} {
			add(s[0], func(v reflect.Value) { setText(v, s[1]) })
		}
		if t.Kind() == reflect.Pointer {
			add("null", reflect.Value.SetZero)
		}
	case reflect.Bool:
		add("flipped", func(v reflect.Value) { v.SetBool(!v.Bool()) })
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		for _, n := range []int64{-2, -1, 0, 1, 99, math.MaxInt32} {
			waits := n > 0 && (strings.Contains(name, "MaxWait") || strings.Contains(name, "Timeout"))
			if !waits && !reflect.Zero(t).OverflowInt(n) {
				add(strconv.FormatInt(n, 10), func(v reflect.Value) { v.SetInt(n) })
			}
		}
	case reflect.Array: // a topic id
		add("unknown", func(v reflect.Value) { v.Index(3).SetUint(v.Index(3).Uint() ^ 1) })
		add("zero", reflect.Value.SetZero)
	}
	return list
}

// follow goes from field to field, and through the first element of arrays between.
func follow(v reflect.Value, path []int) (reflect.Value, bool) {
	for _, i := range path {
		if v.Kind() == reflect.Slice {
			if v.Len() == 0 {
				return v, false
			}
			v = v.Index(0)
		}
		v = v.Field(i)
	}
	return v, true
}
