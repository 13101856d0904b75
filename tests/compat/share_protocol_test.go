package compat

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// configureGroup gives a group settings, as name and value in turn.
func configureGroup(t *testing.T, client *kgo.Client, group string, settings ...string) {
	t.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeGroupConfig, group
	for i := 0; i < len(settings); i += 2 {
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Value = settings[i], &settings[i+1]
		r.Configs = append(r.Configs, c)
	}
	req.Resources = append(req.Resources, r)
	resp, err := req.RequestWith(within(t, patience), client)
	if err != nil || resp.Resources[0].ErrorCode != 0 {
		t.Fatalf("settings of %s: %v %+v", group, err, resp)
	}
}

// sharer sends the requests of a share group's member, one after the other, over one connection.
type sharer struct {
	*transcript
	group, member string
	topic         [16]byte
	session       int32
}

func (s *sharer) heartbeat(what string, epoch int32, topics ...string) *kmsg.ShareGroupHeartbeatResponse {
	s.t.Helper()
	req := kmsg.NewPtrShareGroupHeartbeatRequest()
	req.GroupID, req.MemberID, req.MemberEpoch, req.SubscribedTopicNames = s.group, s.member, epoch, topics
	if len(topics) == 0 {
		req.SubscribedTopicNames = nil
	}
	r := s.ask(req).(*kmsg.ShareGroupHeartbeatResponse)
	if what != "" {
		s.printf("%s: %s", what, code(r.ErrorCode))
	}
	return r
}

type ackOf struct {
	first, last int64
	types       []int8
}

// fetch asks for records of partition 0 in the session's next epoch, unless change says otherwise.
func (s *sharer) fetch(what string, most int32, acks []ackOf, change ...func(*kmsg.ShareFetchRequest)) {
	s.t.Helper()
	req := kmsg.NewPtrShareFetchRequest()
	req.GroupID, req.MemberID, req.ShareSessionEpoch = &s.group, &s.member, s.session
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.MaxRecords, req.BatchSize = 500, 1, 1<<20, most, most
	p := kmsg.NewShareFetchRequestTopicPartition()
	for _, a := range acks {
		p.AcknowledgementBatches = append(p.AcknowledgementBatches, kmsg.ShareFetchRequestTopicPartitionAcknowledgementBatch{FirstOffset: a.first, LastOffset: a.last, AcknowledgeTypes: a.types})
	}
	t := kmsg.NewShareFetchRequestTopic()
	t.TopicID, t.Partitions = s.topic, append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	for _, f := range change {
		f(req)
	}
	r := s.ask(req).(*kmsg.ShareFetchResponse)
	line := fmt.Sprintf("%s: %s", what, code(r.ErrorCode))
	if r.ErrorCode == 0 {
		s.session = max(req.ShareSessionEpoch+1, 1)
		line += fmt.Sprintf(" lock %d", r.AcquisitionLockTimeoutMillis)
	}
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			line += fmt.Sprintf("; %d: %s, acknowledged %s", p.Partition, code(p.ErrorCode), code(p.AcknowledgeErrorCode))
			for _, a := range p.AcquiredRecords {
				line += fmt.Sprintf(", %d-%d delivery %d", a.FirstOffset, a.LastOffset, a.DeliveryCount)
			}
		}
	}
	s.printf("%s", line)
}

func (s *sharer) acknowledge(what string, acks []ackOf, change ...func(*kmsg.ShareAcknowledgeRequest)) {
	s.t.Helper()
	req := kmsg.NewPtrShareAcknowledgeRequest()
	req.GroupID, req.MemberID, req.ShareSessionEpoch = &s.group, &s.member, s.session
	p := kmsg.NewShareAcknowledgeRequestTopicPartition()
	for _, a := range acks {
		p.AcknowledgementBatches = append(p.AcknowledgementBatches, kmsg.ShareAcknowledgeRequestTopicPartitionAcknowledgementBatch{FirstOffset: a.first, LastOffset: a.last, AcknowledgeTypes: a.types})
	}
	t := kmsg.NewShareAcknowledgeRequestTopic()
	t.TopicID, t.Partitions = s.topic, append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	for _, f := range change {
		f(req)
	}
	r := s.ask(req).(*kmsg.ShareAcknowledgeResponse)
	line := fmt.Sprintf("%s: %s", what, code(r.ErrorCode))
	if r.ErrorCode == 0 {
		s.session = req.ShareSessionEpoch + 1
	}
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			line += "; " + code(p.ErrorCode)
		}
	}
	s.printf("%s", line)
}

func (s *sharer) offsets(what string, read bool, topics ...string) {
	s.t.Helper()
	req := kmsg.NewPtrDescribeShareGroupOffsetsRequest()
	g := kmsg.NewDescribeShareGroupOffsetsRequestGroup()
	g.GroupID, g.Topics = s.group, nil
	for _, name := range topics {
		g.Topics = append(g.Topics, kmsg.DescribeShareGroupOffsetsRequestGroupTopic{Topic: name, Partitions: []int32{0}})
	}
	req.Groups = append(req.Groups, g)
	for _, g := range s.ask(req).(*kmsg.DescribeShareGroupOffsetsResponse).Groups {
		line := fmt.Sprintf("%s: %s", what, code(g.ErrorCode))
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				line += fmt.Sprintf("; %s/%d lag %d %s", t.Topic, p.Partition, p.Lag, code(p.ErrorCode))
				if !read { // the start that Kafka tells is that before the last acknowledgement
					line += fmt.Sprintf(" start %d", p.StartOffset)
				}
			}
		}
		s.printf("%s", line)
	}
}

func (s *sharer) alter(what, topic string, start int64) {
	s.t.Helper()
	req := kmsg.NewPtrAlterShareGroupOffsetsRequest()
	req.GroupID = s.group
	t := kmsg.NewAlterShareGroupOffsetsRequestTopic()
	t.Topic, t.Partitions = topic, []kmsg.AlterShareGroupOffsetsRequestTopicPartition{{StartOffset: start}}
	req.Topics = append(req.Topics, t)
	r := s.ask(req).(*kmsg.AlterShareGroupOffsetsResponse)
	line := fmt.Sprintf("%s: %s", what, code(r.ErrorCode))
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			line += "; " + code(p.ErrorCode)
		}
	}
	s.printf("%s", line)
}

// TestShareProtocol_AnswersAreKafkas plays the member of a share group, well and badly, and compares the
// answers with those that Apache Kafka gave.
func TestShareProtocol_AnswersAreKafkas(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	topic, group := newTopic(t, seeds, 1, nil), uniqueName(t, "group")
	client := newKgo(t, seeds)
	s := &sharer{transcript: &transcript{t: t, client: client, hide: strings.NewReplacer(topic, "TOPIC", group, "GROUP")}, group: group, member: "mYW5vdGhlci1tZW1iZXItMQ"}
	meta := kmsg.NewPtrMetadataRequest()
	meta.Topics = []kmsg.MetadataRequestTopic{{Topic: &topic}}
	s.topic = s.ask(meta).(*kmsg.MetadataResponse).Topics[0].TopicID
	configureGroup(t, client, group, "share.auto.offset.reset", "earliest", "share.delivery.count.limit", "3")
	for i := range 10 { // a batch each
		produceFranz(t, seeds, topic, "none", samples(strconv.Itoa(i), 1))
	}

	s.heartbeat("no such group", 1)
	s.heartbeat("joins without topics", 0)
	s.heartbeat("epoch -2", -2)
	empty := *s
	empty.member = ""
	empty.heartbeat("no member id", 0, topic)
	eventually(t, "has the partition", func(context.Context) (bool, string) {
		r := s.heartbeat("", 0, topic)
		return r.ErrorCode == 0 && r.Assignment != nil && len(r.Assignment.TopicPartitions) == 1, code(r.ErrorCode)
	})
	s.printf("joined")
	s.heartbeat("from the future", 100)
	other := *s
	other.member = "mYW5vdGhlci1tZW1iZXItMg"
	other.heartbeat("unknown member", 1)
	other.heartbeat("unknown member leaves", -1)

	one := func(first, last int64, types ...int8) []ackOf { return []ackOf{{first, last, types}} }
	s.session = 5
	s.fetch("no session", 3, nil)
	s.acknowledge("no session to acknowledge in", one(0, 0, 1))
	s.session = 0
	s.acknowledge("a session does not begin with that", one(0, 0, 1))
	s.fetch("acknowledges first thing", 3, one(0, 0, 1))
	s.fetch("opens", 3, nil)
	s.fetch("three more", 3, nil)
	s.session += 3
	s.fetch("an epoch too far", 3, nil)
	s.session -= 3
	s.acknowledge("accepts, releases, rejects", one(0, 2, 1, 2, 3))
	s.acknowledge("again", one(0, 0, 1))
	s.acknowledge("what it gave back", one(1, 1, 1))
	s.acknowledge("what it never had", one(9, 9, 1))
	s.acknowledge("backwards", one(4, 3, 1))
	s.acknowledge("an unknown type", one(3, 3, 7))
	s.acknowledge("too few types", one(3, 5, 1, 1))
	s.acknowledge("no types", one(3, 5))
	s.acknowledge("the first half wrong", []ackOf{{1, 1, []int8{1}}, {3, 3, []int8{1}}})
	s.fetch("again what was given back", 1, nil)
	s.acknowledge("gives it back", one(1, 1, 2))
	s.fetch("for the third time", 1, nil)
	s.acknowledge("gives it back for the last time", one(1, 1, 2))
	s.fetch("it was delivered often enough", 1, nil)
	s.acknowledge("renews without saying so", one(3, 3, 4))
	s.acknowledge("renews", one(3, 3, 4), func(r *kmsg.ShareAcknowledgeRequest) { r.IsRenewAck = true })
	s.fetch("renews and fetches", 1, one(3, 3, 4), func(r *kmsg.ShareFetchRequest) { r.IsRenewAck = true })
	s.acknowledge("all it has", one(3, 6, 1))
	s.acknowledge("an unknown topic", one(0, 0, 1), func(r *kmsg.ShareAcknowledgeRequest) { r.Topics[0].TopicID = [16]byte{1, 2, 3} })
	s.offsets("offsets with a member", true)
	s.alter("moves the start with members", topic, 0)
	s.session = -1
	s.fetch("closes", 1, nil)
	s.fetch("closes again", 1, nil)
	s.heartbeat("leaves", -1)
	s.offsets("offsets", true)

	desc := kmsg.NewPtrShareGroupDescribeRequest()
	desc.GroupIDs = []string{group, topic}
	groups := s.ask(desc).(*kmsg.ShareGroupDescribeResponse).Groups
	slices.SortFunc(groups, func(a, b kmsg.ShareGroupDescribeResponseGroup) int {
		return strings.Compare(s.hide.Replace(a.GroupID), s.hide.Replace(b.GroupID))
	})
	for _, g := range groups {
		s.printf("describe %s: %s %q %q", g.GroupID, code(g.ErrorCode), g.GroupState, g.Assignor)
	}
	join := kmsg.NewPtrJoinGroupRequest()
	join.Group, join.ProtocolType, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis = group, "consumer", 10_000, 10_000
	join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "x", Metadata: []byte{0, 0}}}
	s.printf("classic join: %s", code(s.ask(join).(*kmsg.JoinGroupResponse).ErrorCode))
	s.printf("heartbeat of a consumer: %s", code(s.ask(heartbeat(group, "m", 0, joins(topic))).(*kmsg.ConsumerGroupHeartbeatResponse).ErrorCode))
	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.Group, commit.Generation = group, -1
	commit.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: topic, TopicID: s.topic, Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: 1, LeaderEpoch: -1}}}}
	s.printf("commits an offset: %s", code(s.ask(commit).(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode))

	s.alter("moves the start", topic, 4)
	s.alter("to an unknown topic", topic+"-no", 4)
	s.offsets("moved", false)
	s.offsets("moved, by name", false, topic, topic+"-no")
	del := kmsg.NewPtrDeleteShareGroupOffsetsRequest()
	del.GroupID, del.Topics = group, []kmsg.DeleteShareGroupOffsetsRequestTopic{{Topic: topic}, {Topic: topic + "-no"}}
	dr := s.ask(del).(*kmsg.DeleteShareGroupOffsetsResponse)
	line := "forgets: " + code(dr.ErrorCode)
	for _, t := range dr.Topics {
		line += fmt.Sprintf("; %s %s", t.Topic, code(t.ErrorCode))
	}
	s.printf("%s", line)
	s.offsets("forgotten", false)
	dg := kmsg.NewPtrDeleteGroupsRequest()
	dg.Groups = []string{group}
	s.printf("delete: %s", code(s.ask(dg).(*kmsg.DeleteGroupsResponse).Groups[0].ErrorCode))
	s.offsets("deleted", false)
	s.offsets("deleted, by name", false, topic, topic+"-no")
	s.compare("share_protocol.txt")
}

// TestShareProtocol_LagWithAHole: what is done does not count as lag, though something before it is not (KIP-1226).
func TestShareProtocol_LagWithAHole(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	topic, group := newTopic(t, seeds, 1, nil), uniqueName(t, "group")
	client := newKgo(t, seeds)
	s := &sharer{transcript: &transcript{t: t, client: client, hide: strings.NewReplacer()}, group: group, member: "mYW5vdGhlci1tZW1iZXItNA"}
	meta := kmsg.NewPtrMetadataRequest()
	meta.Topics = []kmsg.MetadataRequestTopic{{Topic: &topic}}
	s.topic = s.ask(meta).(*kmsg.MetadataResponse).Topics[0].TopicID
	configureGroup(t, client, group, "share.auto.offset.reset", "earliest")
	produceFranz(t, seeds, topic, "none", samples("x", 10))
	eventually(t, "has the partition", func(context.Context) (bool, string) {
		r := s.heartbeat("", 0, topic)
		return r.ErrorCode == 0 && r.Assignment != nil && len(r.Assignment.TopicPartitions) == 1, code(r.ErrorCode)
	})
	eventually(t, "has the records", func(context.Context) (bool, string) {
		s.session = 0
		s.out.Reset()
		s.fetch("opens", 10, nil)
		got := s.out.String()
		if strings.Contains(got, "0-9") {
			return true, ""
		}
		s.session = -1
		s.fetch("closes", 10, nil)
		return false, got
	})
	s.acknowledge("two of three", []ackOf{{2, 4, []int8{1}}, {7, 7, []int8{3}}})
	waitForLag(t, seeds, group, topic, 6)
	s.acknowledge("the first", []ackOf{{0, 1, []int8{1}}})
	waitForLag(t, seeds, group, topic, 4)
}

// TestShareProtocol_Resubscribe: a member that does not read a topic any more has it no longer, from the answer
// on, though the next target is computed a second after the last.
func TestShareProtocol_Resubscribe(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	first, second, group := newTopic(t, seeds, 1, nil), newTopic(t, seeds, 1, nil), uniqueName(t, "group")
	client := newKgo(t, seeds)
	s := &sharer{transcript: &transcript{t: t, client: client, hide: strings.NewReplacer()}, group: group, member: "mYW5vdGhlci1tZW1iZXItMw"}
	meta := kmsg.NewPtrMetadataRequest()
	meta.Topics = []kmsg.MetadataRequestTopic{{Topic: &first}, {Topic: &second}}
	ids := map[string][16]byte{}
	for _, t := range s.ask(meta).(*kmsg.MetadataResponse).Topics {
		ids[*t.Topic] = t.TopicID
	}
	var epoch int32
	has := func(r *kmsg.ShareGroupHeartbeatResponse, topic string) bool {
		epoch = r.MemberEpoch
		return r.ErrorCode == 0 && r.Assignment != nil && len(r.Assignment.TopicPartitions) == 1 && r.Assignment.TopicPartitions[0].TopicID == ids[topic]
	}
	eventually(t, "has the first topic", func(context.Context) (bool, string) {
		r := s.heartbeat("", epoch, first)
		return has(r, first), code(r.ErrorCode)
	})
	r := s.heartbeat("", epoch, second)
	if r.ErrorCode != 0 || r.Assignment == nil || has(r, first) {
		t.Fatalf("reads the second topic: %s, has %+v, of which the first is %v", code(r.ErrorCode), r.Assignment, ids[first])
	}
	eventually(t, "has the second topic", func(context.Context) (bool, string) {
		r := s.heartbeat("", epoch, second)
		return has(r, second), code(r.ErrorCode)
	})
	s.heartbeat("leaves", -1)
}
