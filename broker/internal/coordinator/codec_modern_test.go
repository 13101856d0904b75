package coordinator

import (
	"reflect"
	"testing"
	"time"

	"millrace/broker/internal/group"
)

func modernRecords() []group.Record {
	at := time.UnixMilli(1_700_000_000_000)
	orders, mails := group.TopicID{1}, group.TopicID{2}
	held := group.Held{{Topic: orders, Index: 0}: 3, {Topic: orders, Index: 5}: 7, {Topic: mails, Index: 1}: 7}
	return []group.Record{
		group.EpochRecord{Kind: group.Consumer, GroupEpoch: &group.GroupEpoch{Epoch: 9, Hash: -5}},
		group.EpochRecord{Kind: group.Share, GroupEpoch: &group.GroupEpoch{Epoch: 9, Hash: 77}},
		group.MemberRecord{Kind: group.Consumer, Member: "m", Subscription: &group.Subscription{
			Instance: "i", Rack: "r", ClientID: "c", ClientHost: "/127.0.0.1", Topics: []string{"mails", "orders"}, Regex: "o.*",
			RebalanceTimeout: time.Minute, Assignor: "range",
		}},
		group.MemberRecord{Kind: group.Consumer, Member: "old", Subscription: &group.Subscription{
			ClientID: "c", ClientHost: "h", Topics: []string{"orders"}, RebalanceTimeout: -1,
			Classic: &group.ClassicMember{SessionTimeout: 10 * time.Second, Protocols: []group.Protocol{{Name: "range", Metadata: []byte{0, 1, 2}}}},
		}},
		group.MemberRecord{Kind: group.Share, Member: "s", Subscription: &group.Subscription{Rack: "r", ClientID: "c", ClientHost: "h", Topics: []string{"orders"}, RebalanceTimeout: -1}},
		group.TargetEpochRecord{Kind: group.Consumer, TargetEpoch: &group.TargetEpoch{Epoch: 8, At: at}},
		group.TargetEpochRecord{Kind: group.Share, TargetEpoch: &group.TargetEpoch{Epoch: 8}},
		group.TargetRecord{Kind: group.Consumer, Member: "m", Target: &group.Target{Partitions: held.Sorted()}},
		group.CurrentRecord{Kind: group.Consumer, Member: "m", Current: &group.Current{
			Epoch: 7, Previous: 6, State: group.MemberRevoking, Assigned: held, Revoking: group.Held{{Topic: mails, Index: 2}: 1},
		}},
		group.CurrentRecord{Kind: group.Share, Member: "s", Current: &group.Current{Epoch: 7, Previous: 6, Assigned: group.Held{{Topic: orders, Index: 0}: 0}}},
		group.RegexRecord{Regex: "o.*", Resolved: &group.Resolved{Topics: []string{"orders"}, Version: 12, At: at}},
		group.StateRecord{ShareState: &group.ShareState{Topics: []group.ShareTopic{{
			TopicPartitions: group.TopicPartitions{Topic: orders, Partitions: []int32{0, 1}}, Name: "orders",
		}}}},
	}
}

// What is written is read again, and a tombstone takes it away.
func TestModernCodec_RoundTrip(t *testing.T) {
	t.Parallel()
	for _, r := range modernRecords() {
		rec, ok := encodeModern("g", r)
		if !ok {
			t.Fatalf("%T is not written", r)
		}
		l := &loading{groups: map[string]*loaded{}}
		if err := l.add(rec); err != nil {
			t.Fatalf("%T: %v", r, err)
		}
		got := l.groups["g"].modern[string(rec.Key)]
		if !reflect.DeepEqual(got, r) {
			t.Errorf("wrote %#v\nread %#v", r, got)
		}
		if err := l.add(Record{Key: rec.Key}); err != nil {
			t.Fatal(err)
		}
		if n := len(l.groups["g"].modern); n != 0 {
			t.Errorf("%T: %d records after the tombstone", r, n)
		}
	}
}

// FuzzModernRecords: what lies in the topic is refused or read, and does not break the broker.
func FuzzModernRecords(f *testing.F) {
	for _, r := range modernRecords() {
		rec, _ := encodeModern("g", r)
		f.Add(rec.Key, rec.Value)
	}
	f.Fuzz(func(_ *testing.T, key, value []byte) {
		l := &loading{groups: map[string]*loaded{}}
		_ = l.add(Record{Key: key, Value: value})
	})
}
