package server_test

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

// administration is what changes topics, settings, quotas and users. testdata/admin tells more of it in words.
func administration(c *conversation) {
	topics(c)
	settings(c)
	quotasAndUsers(c)
}

func topics(c *conversation) {
	topic := c.name("")
	c.topicID = c.newTopic(topic, 2, "retention.ms", "-1")
	create := func(name string, partitions int32, factor int16, configs ...string) *kmsg.CreateTopicsRequest {
		r := kmsg.NewPtrCreateTopicsRequest()
		t := kmsg.NewCreateTopicsRequestTopic()
		t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, factor
		for i := 0; i < len(configs); i += 2 {
			t.Configs = append(t.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: configs[i], Value: &configs[i+1]})
		}
		r.Topics, r.TimeoutMillis = append(r.Topics, t), 30_000
		return r
	}
	assigned := func(name string, replicas ...[]int32) *kmsg.CreateTopicsRequest {
		r := create(name, -1, -1)
		for i, list := range replicas {
			r.Topics[0].ReplicaAssignment = append(r.Topics[0].ReplicaAssignment, kmsg.CreateTopicsRequestTopicReplicaAssignment{Partition: int32(i), Replicas: list})
		}
		return r
	}
	c.ask("create: it is there", 7, create(topic, 1, 1))
	c.ask("create: no partitions", 7, create(c.name("-a"), 0, 1))
	c.ask("create: partitions -2", 7, create(c.name("-a"), -2, 1))
	c.ask("create: replicas 0", 7, create(c.name("-a"), 1, 0))
	c.ask("create: replicas 3", 7, create(c.name("-a"), 1, 3))
	c.ask("create: partitions and replicas left open", 7, create(c.name("-open"), -1, -1))
	c.ask("create: left open by an old client", 2, create(c.name("-old"), -1, -1))
	c.ask("create: an unknown setting", 7, create(c.name("-a"), 1, 1, "retention.millis", "1"))
	c.ask("create: a bad value", 7, create(c.name("-a"), 1, 1, "retention.ms", "long"))
	c.ask("create: a bad policy", 7, create(c.name("-a"), 1, 1, "cleanup.policy", "shred"))
	c.ask("create: min above max lag", 7, create(c.name("-a"), 1, 1, "min.compaction.lag.ms", "9", "max.compaction.lag.ms", "5"))
	null := create(c.name("-a"), 1, 1, "retention.ms", "1")
	null.Topics[0].Configs[0].Value = nil
	c.ask("create: a null value", 7, null)
	c.ask("create: '.'", 7, create(".", 1, 1))
	c.ask("create: '..'", 7, create("..", 1, 1))
	c.ask("create: a blank in it", 7, create("a b", 1, 1))
	c.ask("create: 250 letters", 7, create(string(make([]byte, 250)), 1, 1))
	c.ask("create: internal", 7, create("__consumer_offsets", 1, 1))
	c.ask("create: assigned", 7, assigned(c.name("-assigned"), []int32{1}, []int32{1}))
	c.ask("create: assigned to nobody", 7, assigned(c.name("-a"), []int32{}))
	c.ask("create: assigned to another broker", 7, assigned(c.name("-a"), []int32{7}))
	c.ask("create: assigned twice to one", 7, assigned(c.name("-a"), []int32{1, 1}))
	both := assigned(c.name("-a"), []int32{1})
	both.Topics[0].NumPartitions = 1
	c.ask("create: assigned and counted", 7, both)
	gap := assigned(c.name("-a"), []int32{1}, []int32{1})
	gap.Topics[0].ReplicaAssignment[1].Partition = 5
	c.ask("create: assigned with a gap", 7, gap)
	c.settle()
	c.ask("create: collides", 7, create(c.name(".b"), 1, 1))
	c.settle()
	c.ask("create: collides with it", 7, create(c.name("_b"), 1, 1))

	grow := func(name string, count int32, assignment ...[]int32) *kmsg.CreatePartitionsRequest {
		r := kmsg.NewPtrCreatePartitionsRequest()
		t := kmsg.NewCreatePartitionsRequestTopic()
		t.Topic, t.Count = name, count
		for _, a := range assignment {
			t.Assignment = append(t.Assignment, kmsg.CreatePartitionsRequestTopicAssignment{Replicas: a})
		}
		r.Topics, r.TimeoutMillis = append(r.Topics, t), 30_000
		return r
	}
	c.ask("grow: fewer", 3, grow(topic, 1))
	c.ask("grow: as many", 3, grow(topic, 2))
	c.ask("grow: none", 3, grow(topic, 0))
	c.ask("grow: an unknown topic", 3, grow(c.name("-none"), 3))
	c.ask("grow: by one", 3, grow(topic, 3))
	c.settle()
	c.ask("grow: by one, assigned", 3, grow(topic, 4, []int32{1}))
	c.settle()
	c.ask("grow: by one, assigned to two", 3, grow(topic, 5, []int32{1}, []int32{1}))
	c.ask("grow: by two, assigned to one", 3, grow(topic, 6, []int32{1}))
	c.ask("grow: assigned to another broker", 3, grow(topic, 5, []int32{7}))
	metadata := kmsg.NewPtrMetadataRequest()
	metadata.Topics = []kmsg.MetadataRequestTopic{{Topic: &topic}, {Topic: kmsg.StringPtr(c.name("-open"))}}
	for v := int16(4); v <= 13; v++ {
		c.ask("metadata", v, metadata)
	}
	auto := kmsg.NewPtrMetadataRequest()
	auto.AllowAutoTopicCreation = true
	auto.Topics = []kmsg.MetadataRequestTopic{{Topic: kmsg.StringPtr(c.name("-auto"))}, {Topic: kmsg.StringPtr("a b")}}
	c.ask("metadata makes a topic", 12, auto)

	c.write(topic, fixedBatch(c.t, 5))
	remove := func(offset int64) *kmsg.DeleteRecordsRequest {
		r := kmsg.NewPtrDeleteRecordsRequest()
		r.TimeoutMillis = 30_000
		r.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: topic, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Offset: offset}}}}
		return r
	}
	c.ask("delete records: beyond the end", 2, remove(6))
	c.ask("delete records: -2", 2, remove(-2))
	c.ask("delete records: before 3", 2, remove(3))
	c.ask("delete records: before 1", 2, remove(1))
	offset := func(timestamp int64) *kmsg.ListOffsetsRequest {
		r := kmsg.NewPtrListOffsetsRequest()
		r.ReplicaID = -1
		r.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: topic, Partitions: []kmsg.ListOffsetsRequestTopicPartition{{CurrentLeaderEpoch: -1, Timestamp: timestamp}}}}
		return r
	}
	for _, at := range []struct {
		what string
		time int64
	}{{"latest", -1}, {"earliest", -2}, {"greatest time", -3}, {"earliest local", -4}, {"latest tiered", -5}, {"earliest pending upload", -6}, {"unknown -7", -7}, {"time 0", 0}, {"time 1004", 1004}, {"time 9999", 9999}} {
		for v := int16(1); v <= 11; v++ {
			c.ask("offset: "+at.what, v, offset(at.time))
		}
	}
	c.ask("delete records: all", 2, remove(-1))
	c.ask("offset: of an empty log", 11, offset(-3))
	reading := fetchRequest(topic, c.topicID, 0, 2)
	c.ask("fetch before the start", 12, reading)
	reading.Topics[0].Partitions[0].FetchOffset = 6
	c.ask("fetch after the end", 12, reading)

	reassign := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	reassign.TimeoutMillis = 30_000
	reassign.Topics = []kmsg.AlterPartitionAssignmentsRequestTopic{{Topic: topic, Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{
		{Partition: 0, Replicas: []int32{1}}, {Partition: 1, Replicas: []int32{2}}, {Partition: 2, Replicas: nil}, {Partition: 3, Replicas: []int32{}}, {Partition: 9, Replicas: []int32{1}},
	}}}
	c.ask("reassign", 1, reassign)
	elect := kmsg.NewPtrElectLeadersRequest()
	elect.TimeoutMillis = 30_000
	elect.Topics = []kmsg.ElectLeadersRequestTopic{{Topic: topic, Partitions: []int32{0, 9}}}
	c.ask("elect", 2, elect)
	elect.ElectionType = 1
	c.ask("elect uncleanly", 2, elect)

	deletion := kmsg.NewPtrDeleteTopicsRequest()
	deletion.TimeoutMillis = 30_000
	byName := func(names ...string) *kmsg.DeleteTopicsRequest {
		r := *deletion
		for _, n := range names {
			t := kmsg.NewDeleteTopicsRequestTopic()
			t.Topic = &n
			r.Topics = append(r.Topics, t)
		}
		r.TopicNames = names
		return &r
	}
	c.ask("delete: one and one that is not there", 6, byName(c.name("-open"), c.name("-none")))
	c.ask("delete: by an old client", 3, byName(c.name("-old"), c.name("-none")))
	byID := *deletion
	byID.Topics = []kmsg.DeleteTopicsRequestTopic{{TopicID: c.topicID}, {TopicID: [16]byte{1, 2, 3}}}
	c.ask("delete: by id", 6, &byID)
	c.settle()
	c.ask("delete: again", 6, byName(topic))
	c.ask("metadata when it is gone", 12, metadata)
	c.ask("offset: of a topic that is gone", 11, offset(-1))
	c.ask("write to a topic that is gone", 13, produceRequest(topic, c.topicID, 0, -1, fixedBatch(c.t, 1)))
}

func settings(c *conversation) {
	topic := c.name("-settings")
	c.newTopic(topic, 1)
	type op struct {
		name  string
		kind  kmsg.IncrementalAlterConfigOp
		value string
	}
	change := func(ops ...op) *kmsg.IncrementalAlterConfigsRequest {
		r := kmsg.NewPtrIncrementalAlterConfigsRequest()
		resource := kmsg.IncrementalAlterConfigsRequestResource{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: topic}
		for _, o := range ops {
			resource.Configs = append(resource.Configs, kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: o.name, Op: o.kind, Value: &o.value})
		}
		r.Resources = append(r.Resources, resource)
		return r
	}
	get := kmsg.NewPtrDescribeConfigsRequest()
	get.IncludeSynonyms = true
	get.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: topic, ConfigNames: []string{"retention.ms", "cleanup.policy", "max.message.bytes", "nothing"}}}
	const assign, remove, more, less = kmsg.IncrementalAlterConfigOpSet, kmsg.IncrementalAlterConfigOpDelete, kmsg.IncrementalAlterConfigOpAppend, kmsg.IncrementalAlterConfigOpSubtract
	for _, s := range []struct {
		what string
		ops  []op
	}{
		{"set", []op{{"retention.ms", assign, "1000"}}},
		{"set what does not fit", []op{{"retention.ms", assign, "soon"}}},
		{"set below what is allowed", []op{{"max.message.bytes", assign, "-1"}}},
		{"set what nobody knows", []op{{"retention", assign, "1"}}},
		{"set and delete at once", []op{{"retention.ms", assign, "1"}, {"retention.ms", remove, ""}}},
		{"append to a list", []op{{"cleanup.policy", more, "compact"}}},
		{"append what is there", []op{{"cleanup.policy", more, "compact"}}},
		{"subtract from a list", []op{{"cleanup.policy", less, "delete"}}},
		{"subtract what is not there", []op{{"cleanup.policy", less, "delete"}}},
		{"append to what is no list", []op{{"retention.ms", more, "1"}}},
		{"append what is not allowed", []op{{"cleanup.policy", more, "shred"}}},
		{"delete", []op{{"retention.ms", remove, ""}}},
		{"delete what is not set", []op{{"retention.ms", remove, ""}}},
		{"delete what nobody knows", []op{{"retention", remove, ""}}},
		{"an empty value", []op{{"retention.ms", assign, ""}}},
		{"an empty list", []op{{"cleanup.policy", assign, ""}}},
		{"subtract all", []op{{"cleanup.policy", less, "compact"}}},
	} {
		c.ask("settings: "+s.what, 1, change(s.ops...))
		c.settle()
		c.ask("settings after: "+s.what, 4, get)
	}
	old := kmsg.NewPtrAlterConfigsRequest()
	old.Resources = []kmsg.AlterConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: topic, Configs: []kmsg.AlterConfigsRequestResourceConfig{{Name: "max.message.bytes", Value: kmsg.StringPtr("2000")}}}}
	c.ask("settings: replaced", 2, old)
	c.settle()
	c.ask("settings after: replaced", 4, get)
	unknown := change(op{"retention.ms", assign, "1"})
	unknown.Resources[0].ResourceName = c.name("-none")
	c.ask("settings: of an unknown topic", 1, unknown)
}

func quotasAndUsers(c *conversation) {
	user := c.name("")
	quota := func(kind string, name *string, key string, value float64, remove bool) *kmsg.AlterClientQuotasRequest {
		r := kmsg.NewPtrAlterClientQuotasRequest()
		r.Entries = []kmsg.AlterClientQuotasRequestEntry{{
			Entity: []kmsg.AlterClientQuotasRequestEntryEntity{{Type: kind, Name: name}},
			Ops:    []kmsg.AlterClientQuotasRequestEntryOp{{Key: key, Value: value, Remove: remove}},
		}}
		return r
	}
	described := kmsg.NewPtrDescribeClientQuotasRequest()
	described.Components = []kmsg.DescribeClientQuotasRequestComponent{{EntityType: "user", Match: &user}}
	c.ask("quota: set", 1, quota("user", &user, "producer_byte_rate", 5000, false))
	c.settle()
	c.ask("quota: described", 1, described)
	c.ask("quota: negative", 1, quota("user", &user, "producer_byte_rate", -1, false))
	c.ask("quota: a part of a byte", 1, quota("user", &user, "producer_byte_rate", 0.5, false))
	c.ask("quota: an unknown key", 1, quota("user", &user, "speed", 1, false))
	c.ask("quota: an unknown entity", 1, quota("planet", &user, "producer_byte_rate", 1, false))
	c.ask("quota: an empty name", 1, quota("user", kmsg.StringPtr(""), "producer_byte_rate", 1, false))
	c.ask("quota: of an address for a user", 1, quota("user", &user, "connection_creation_rate", 1, false))
	c.ask("quota: removed", 1, quota("user", &user, "producer_byte_rate", 0, true))
	c.ask("quota: removed again", 1, quota("user", &user, "producer_byte_rate", 0, true))
	c.settle()
	c.ask("quota: described when gone", 1, described)

	scram := func(name string, mechanism int8, iterations int32) *kmsg.AlterUserSCRAMCredentialsRequest {
		r := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
		r.Upsertions = []kmsg.AlterUserSCRAMCredentialsRequestUpsertion{{Name: name, Mechanism: mechanism, Iterations: iterations, Salt: []byte("salt"), SaltedPassword: []byte("salted")}}
		return r
	}
	drop := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
	drop.Deletions = []kmsg.AlterUserSCRAMCredentialsRequestDeletion{{Name: user, Mechanism: 1}}
	who := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()
	who.Users = []kmsg.DescribeUserSCRAMCredentialsRequestUser{{Name: user}, {Name: c.name("-none")}}
	c.ask("scram: set", 0, scram(user, 1, 4096))
	c.settle()
	c.ask("scram: described", 0, who)
	c.ask("scram: too few iterations", 0, scram(user, 1, 100))
	c.ask("scram: too many iterations", 0, scram(user, 1, 1<<20))
	c.ask("scram: an unknown mechanism", 0, scram(user, 3, 4096))
	c.ask("scram: mechanism 0", 0, scram(user, 0, 4096))
	c.ask("scram: no name", 0, scram("", 1, 4096))
	both := scram(user, 1, 4096)
	both.Deletions = drop.Deletions
	c.ask("scram: set and deleted", 0, both)
	c.ask("scram: deleted", 0, drop)
	c.settle()
	c.ask("scram: deleted again", 0, drop)
	c.ask("scram: described when gone", 0, who)
}
