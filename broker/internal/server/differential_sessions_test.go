package server_test

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fetchSessions is the life of one (KIP-227), and what its client may get wrong.
func fetchSessions(c *conversation) {
	topic := c.name("")
	c.topicID = c.newTopic(topic, 3, "retention.ms", "-1")
	c.write(topic, fixedBatch(c.t, 3))
	fetch := func(session, epoch int32, partitions ...int32) *kmsg.FetchRequest {
		r := fetchRequest(topic, c.topicID, 0, 0)
		r.SessionID, r.SessionEpoch = session, epoch
		of := r.Topics[0].Partitions[0]
		r.Topics[0].Partitions = nil
		for _, p := range partitions {
			of.Partition = p
			r.Topics[0].Partitions = append(r.Topics[0].Partitions, of)
		}
		if len(partitions) == 0 {
			r.Topics = nil
		}
		return r
	}
	for _, v := range []int16{7, 12, 13, 18} {
		var id int32
		if r, ok := c.ask("opens", v, fetch(0, 0, 0, 1)).(*kmsg.FetchResponse); ok {
			id = r.SessionID
		}
		c.ask("goes on without naming any", v, fetch(id, 1))
		forward := fetch(id, 2, 0)
		forward.Topics[0].Partitions[0].FetchOffset = 3
		c.ask("has read on", v, forward)
		c.ask("nothing is new", v, fetch(id, 3))
		c.ask("adds a partition", v, fetch(id, 4, 2))
		c.ask("adds one that is not there", v, fetch(id, 5, 9))
		c.ask("it is still not there", v, fetch(id, 6))
		forget := fetch(id, 7)
		forget.ForgottenTopics = []kmsg.FetchRequestForgottenTopic{{Topic: topic, TopicID: c.topicID, Partitions: []int32{9, 0}}}
		c.ask("forgets two", v, forget)
		c.ask("an epoch that is skipped", v, fetch(id, 12))
		c.ask("an epoch again", v, fetch(id, 7))
		if v >= 13 {
			c.ask(fmt.Sprintf("by name in a session of version %d", v), 12, fetch(id, 8)) // the session goes on with 8
		}
		c.ask("a session that nobody knows", v, fetch(id+1000, 1))
		c.ask("closes", v, fetch(id, -1, 0))
		c.ask("goes on when it is closed", v, fetch(id, 8))
	}
}

// descriptions are what tools ask for.
func descriptions(c *conversation) {
	topic, group := c.name(""), c.name("-group")
	c.topicID = c.newTopic(topic, 3, "retention.ms", "-1")
	c.newTopic(c.name("-second"), 2)
	for limit := int32(1); limit <= 4; limit++ {
		r := kmsg.NewPtrDescribeTopicPartitionsRequest()
		r.Topics = []kmsg.DescribeTopicPartitionsRequestTopic{{Topic: c.name("-second")}, {Topic: topic}, {Topic: c.name("-none")}}
		r.ResponsePartitionLimit = limit
		c.ask("partitions, a few at a time: "+string('0'+limit), 0, r)
		r.Cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: topic, Partition: 1}
		c.ask("partitions from the second one on, a few at a time: "+string('0'+limit), 0, r)
	}
	past := kmsg.NewPtrDescribeTopicPartitionsRequest()
	past.Topics = []kmsg.DescribeTopicPartitionsRequestTopic{{Topic: topic}}
	past.Cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: topic, Partition: 7}
	c.ask("partitions beyond the last one", 0, past)
	past.Cursor.Partition = -1
	c.ask("partitions from -1 on", 0, past)

	must(c, 9, c.commitRequest(group, "", -1, topic, 1), func(r *kmsg.OffsetCommitResponse) bool { return r.Topics[0].Partitions[0].ErrorCode == 0 })
	must(c, 1, consumerHeartbeat(c.name("-modern"), "one", topic), func(r *kmsg.ConsumerGroupHeartbeatResponse) bool { return r.ErrorCode == 0 })
	for _, f := range []struct {
		what          string
		states, types []string
	}{
		{"all", nil, nil},
		{"empty ones", []string{"Empty"}, nil},
		{"stable or dead ones", []string{"Stable", "Dead"}, nil},
		{"in small letters", []string{"empty"}, nil},
		{"of a state that is none", []string{"Happy"}, nil},
		{"classic ones", nil, []string{"classic"}},
		{"consumers", nil, []string{"Consumer"}},
		{"of a kind that is none", nil, []string{"queue"}},
		{"classic ones that are stable", []string{"Stable"}, []string{"classic"}},
	} {
		r := kmsg.NewPtrListGroupsRequest()
		r.StatesFilter, r.TypesFilter = f.states, f.types
		c.ask("groups: "+f.what, 5, r)
	}
	for _, v := range []int16{0, 3, 4} {
		c.ask("groups", v, kmsg.NewPtrListGroupsRequest())
	}

	for _, names := range [][]string{{"log.retention.hours"}, {"message.max.bytes", "num.partitions"}, {"unclean.leader.election.enable"}, {"nothing"}, {}} {
		for _, broker := range []string{"1", "", "7", "one"} {
			if len(names) == 0 && broker == "1" {
				continue // all of them: docs/SETTINGS.md
			}
			r := kmsg.NewPtrDescribeConfigsRequest()
			r.IncludeSynonyms = true
			r.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeBroker, ResourceName: broker, ConfigNames: names}}
			what := "nothing asked for"
			if len(names) > 0 {
				what = names[0]
			}
			c.ask("settings of broker '"+broker+"': "+what, 4, r)
		}
	}
	for _, kind := range []kmsg.ConfigResourceType{kmsg.ConfigResourceTypeGroupConfig, kmsg.ConfigResourceTypeClientMetrics} {
		r := kmsg.NewPtrDescribeConfigsRequest()
		r.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kind, ResourceName: group}}
		c.ask("settings of "+kind.String(), 4, r)
	}
	finding := kmsg.NewPtrFindCoordinatorRequest()
	finding.CoordinatorKeys = []string{group, "", c.name("-none")}
	for kind := range int8(4) {
		finding.CoordinatorType = kind
		c.ask("coordinators of type "+string('0'+rune(kind)), 6, finding)
	}
	finding.CoordinatorType, finding.CoordinatorKeys = 2, []string{group + ":" + topic + ":0", "a:b"}
	c.ask("coordinators of share groups", 6, finding)
	c.ask("the cluster", 2, kmsg.NewPtrDescribeClusterRequest())
	producers := kmsg.NewPtrListTransactionsRequest()
	for _, state := range []string{"Ongoing", "Happy", "ongoing"} {
		producers.StateFilters = []string{state}
		c.ask("transactions: "+state, 2, producers)
	}
	producers.StateFilters, producers.ProducerIDFilters, producers.DurationFilterMillis = nil, []int64{-1}, -1
	c.ask("transactions of producer -1", 2, producers)
	producers.TransactionalIDPattern = kmsg.StringPtr("(")
	c.ask("transactions by a broken pattern", 2, producers)
}
