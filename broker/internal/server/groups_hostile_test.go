package server_test

import (
	"math"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/brokertest"
)

// Requests about groups where the broker assigns, with fields that no client would send: each gets Kafka's
// error, and the broker goes on as if nothing had been.
func TestGroupRequests_AbsurdFields(t *testing.T) {
	t.Parallel()
	var lines logLines
	b := brokertest.Start(t, append(quick, brokertest.WithLog(lines.logger()))...)
	c := dialBroker(t, b)
	id := c.createTopic("orders", 2)
	text := func(s string) *string { return &s }
	name := strings.Repeat("g/", 150)

	heartbeat := func(f func(*kmsg.ConsumerGroupHeartbeatRequest)) int16 {
		req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
		req.Group, req.MemberID, req.RebalanceTimeoutMillis = name, "m", 1000
		req.SubscribedTopicNames, req.Topics = []string{"orders"}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
		f(req)
		return ask[*kmsg.ConsumerGroupHeartbeatResponse](c, req, 1).ErrorCode
	}
	for what, tt := range map[string]struct {
		f    func(*kmsg.ConsumerGroupHeartbeatRequest)
		want *kerr.Error
	}{
		"epoch far below":   {func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberEpoch = math.MinInt32 }, kerr.InvalidRequest},
		"epoch far above":   {func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberEpoch = math.MaxInt32 }, kerr.GroupIDNotFound},
		"longest rebalance": {func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.RebalanceTimeoutMillis = math.MaxInt32 }, nil},
		"long names of topics": {func(r *kmsg.ConsumerGroupHeartbeatRequest) {
			r.SubscribedTopicNames = []string{"", "/", strings.Repeat("t", 30_000)}
		}, nil},
		"expression too large": {func(r *kmsg.ConsumerGroupHeartbeatRequest) {
			r.SubscribedTopicRegex = text(strings.Repeat("(a{30}){30}", 50))
		}, kerr.InvalidRegularExpression},
		"expression too deep": {func(r *kmsg.ConsumerGroupHeartbeatRequest) {
			r.SubscribedTopicRegex = text(strings.Repeat("(", 5000) + strings.Repeat(")", 5000))
		}, kerr.InvalidRegularExpression},
		"expression too long": {func(r *kmsg.ConsumerGroupHeartbeatRequest) {
			r.SubscribedTopicRegex = text(strings.Repeat("a", 30_000))
		}, kerr.InvalidRegularExpression},
		"owns what is not": {func(r *kmsg.ConsumerGroupHeartbeatRequest) {
			r.MemberEpoch = 2
			r.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{{TopicID: [16]byte{9}, Partitions: []int32{-1, math.MaxInt32, -1}}}
		}, nil},
	} {
		want := int16(0)
		if tt.want != nil {
			want = tt.want.Code
		}
		name = "absurd/" + what // a group each
		if what == "owns what is not" {
			heartbeat(func(*kmsg.ConsumerGroupHeartbeatRequest) {})
		}
		if got := heartbeat(tt.f); got != want {
			t.Errorf("%s: %s, want %v", what, kerr.ErrorForCode(got), tt.want)
		}
	}

	share := kmsg.NewPtrShareGroupHeartbeatRequest()
	share.GroupID, share.MemberID, share.SubscribedTopicNames = "s", "m", []string{"orders", "orders", "nowhere"}
	if r := ask[*kmsg.ShareGroupHeartbeatResponse](c, share, 1); r.ErrorCode != 0 {
		t.Fatalf("share heartbeat: %v", kerr.ErrorForCode(r.ErrorCode))
	}
	fetch := kmsg.NewPtrShareFetchRequest()
	fetch.GroupID, fetch.MemberID, fetch.MaxBytes, fetch.MaxRecords, fetch.BatchSize = text("s"), text("m"), math.MaxInt32, math.MaxInt32, math.MinInt32
	for range 3 { // the same partition again and again, and some that are not
		fetch.Topics = append(fetch.Topics, kmsg.ShareFetchRequestTopic{TopicID: id, Partitions: []kmsg.ShareFetchRequestTopicPartition{{Partition: 0}, {Partition: 0}, {Partition: -1}, {Partition: math.MaxInt32}}})
	}
	if r := ask[*kmsg.ShareFetchResponse](c, fetch, 2); r.ErrorCode != 0 {
		t.Errorf("share fetch: %v", kerr.ErrorForCode(r.ErrorCode))
	}
	epoch := int32(1)
	for what, batch := range map[string]kmsg.ShareAcknowledgeRequestTopicPartitionAcknowledgementBatch{
		"negative offsets":       {FirstOffset: -5, LastOffset: -1, AcknowledgeTypes: []int8{1}},
		"all there will ever be": {FirstOffset: 0, LastOffset: math.MaxInt64, AcknowledgeTypes: []int8{1}},
		"a million types":        {FirstOffset: 0, LastOffset: 999_999, AcknowledgeTypes: make([]int8, 1_000_000)},
		"types below":            {FirstOffset: 0, LastOffset: 0, AcknowledgeTypes: []int8{-128}},
		"a range that overflows": {FirstOffset: math.MinInt64, LastOffset: math.MaxInt64, AcknowledgeTypes: []int8{1, 1}},
	} {
		req := kmsg.NewPtrShareAcknowledgeRequest()
		req.GroupID, req.MemberID, req.ShareSessionEpoch = text("s"), text("m"), epoch
		req.Topics = []kmsg.ShareAcknowledgeRequestTopic{{TopicID: id, Partitions: []kmsg.ShareAcknowledgeRequestTopicPartition{{AcknowledgementBatches: []kmsg.ShareAcknowledgeRequestTopicPartitionAcknowledgementBatch{batch}}}}}
		r := ask[*kmsg.ShareAcknowledgeResponse](c, req, 2)
		if r.ErrorCode != 0 || r.Topics[0].Partitions[0].ErrorCode != kerr.InvalidRequest.Code {
			t.Errorf("%s: %v %v", what, kerr.ErrorForCode(r.ErrorCode), kerr.ErrorForCode(r.Topics[0].Partitions[0].ErrorCode))
		}
		epoch++
	}

	write := kmsg.NewPtrWriteShareGroupStateRequest()
	write.GroupID = "s"
	p := kmsg.NewWriteShareGroupStateRequestTopicPartition()
	p.LeaderEpoch, p.StateEpoch, p.StartOffset = math.MaxInt32, math.MaxInt32, math.MinInt64
	for i := range int64(40_000) {
		p.StateBatches = append(p.StateBatches, kmsg.WriteShareGroupStateRequestTopicPartitionStateBatch{FirstOffset: 2 * i, LastOffset: 2 * i, DeliveryState: 2 * int8(i%2), DeliveryCount: int16(i % 3)})
	}
	write.Topics = []kmsg.WriteShareGroupStateRequestTopic{{TopicID: id, Partitions: []kmsg.WriteShareGroupStateRequestTopicPartition{p}}}
	if r := ask[*kmsg.WriteShareGroupStateResponse](c, write, 1); r.Topics[0].Partitions[0].ErrorCode != kerr.InvalidRequest.Code {
		t.Errorf("40,000 batches: %v", kerr.ErrorForCode(r.Topics[0].Partitions[0].ErrorCode))
	}
	alter := kmsg.NewPtrAlterShareGroupOffsetsRequest()
	alter.GroupID = "other"
	alter.Topics = []kmsg.AlterShareGroupOffsetsRequestTopic{{Topic: "orders", Partitions: []kmsg.AlterShareGroupOffsetsRequestTopicPartition{{Partition: -1}, {Partition: 0, StartOffset: -2}, {Partition: 1, StartOffset: math.MaxInt64}}}}
	r := ask[*kmsg.AlterShareGroupOffsetsResponse](c, alter, 0)
	for i, want := range []int16{kerr.UnknownTopicOrPartition.Code, kerr.InvalidRequest.Code, 0} {
		if got := r.Topics[0].Partitions[i].ErrorCode; got != want {
			t.Errorf("alter %d: %v", i, kerr.ErrorForCode(got))
		}
	}
	for _, l := range lines.warnings() {
		if strings.Contains(l, "level=ERROR") || strings.Contains(l, "handler failed") {
			t.Error(l)
		}
	}
}
