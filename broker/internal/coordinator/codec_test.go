package coordinator

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"millrace/broker/internal/group"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var (
	noon     = time.UnixMilli(1_700_000_000_000)
	protocol = "range"
	leader   = "a-1"
)

var examples = []struct {
	name   string
	record group.Record
}{
	{"offset", group.OffsetRecord{TopicPartition: group.TopicPartition{Topic: "orders", Partition: 3}, Offset: group.Offset{
		Offset: 42, LeaderEpoch: 7, Metadata: "note", TopicID: [16]byte{1, 2, 3}, Committed: noon}}},
	{"offset that expires by itself", group.OffsetRecord{TopicPartition: group.TopicPartition{Topic: "orders", Partition: 3}, Offset: group.Offset{
		Offset: 42, LeaderEpoch: -1, Committed: noon, Expires: noon.Add(time.Hour)}}},
	{"offset tombstone", group.OffsetTombstone{TopicPartition: group.TopicPartition{Topic: "orders", Partition: 3}}},
	{"group", group.Metadata{ProtocolType: "consumer", Generation: 5, Protocol: &protocol, Leader: &leader, StateSince: noon,
		Members: []group.MemberMetadata{
			{MemberID: "a-1", InstanceID: "a", ClientID: "c", ClientHost: "/127.0.0.1", RebalanceTimeout: time.Minute, SessionTimeout: 10 * time.Second, Subscription: []byte("sub"), Assignment: []byte("all")},
			{MemberID: "b-1", ClientID: "c", ClientHost: "/127.0.0.1", RebalanceTimeout: time.Minute, SessionTimeout: 10 * time.Second, Subscription: []byte("sub")},
		}}},
	{"empty group", group.Metadata{ProtocolType: "consumer", Generation: 6, StateSince: noon}},
	{"group tombstone", group.MetadataTombstone{}},
}

// The bytes are Kafka's: kafka-dump-log --offsets-decoder reads them. A change of the
// golden file is a change of what is on people's disks.
func TestCodec_Golden(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	for _, e := range examples {
		r := encode("g", e.record)
		fmt.Fprintf(&out, "# %s\nkey   %s\n", e.name, hex.EncodeToString(r.Key))
		if r.Value == nil {
			out.WriteString("value null\n\n")
		} else {
			fmt.Fprintf(&out, "value %s\n\n", hex.EncodeToString(r.Value))
		}
	}
	const golden = "testdata/records.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

// What is written is read back the same.
func TestCodec_RoundTrip(t *testing.T) {
	t.Parallel()
	for _, e := range examples {
		l := newLoading(rules{}, 0)
		if err := l.add(encode("g", e.record)); err != nil {
			t.Fatalf("%s: %v", e.name, err)
		}
		switch r := e.record.(type) {
		case group.OffsetRecord:
			want := r.Offset
			want.Order = 1 // the first that was read
			if !want.Expires.IsZero() {
				want.LeaderEpoch, want.TopicID = -1, [16]byte{} // version 1 has neither
			}
			if got := l.groups["g"].offsets[r.TopicPartition]; got != want {
				t.Errorf("%s: %+v, want %+v", e.name, got, want)
			}
		case group.Metadata:
			got := *l.groups["g"].metadata
			for i := range got.Members {
				if len(got.Members[i].Assignment) == 0 {
					got.Members[i].Assignment = nil
				}
			}
			if !reflect.DeepEqual(got, r) {
				t.Errorf("%s: %+v, want %+v", e.name, got, r)
			}
		default:
			if g := l.groups["g"]; g.metadata != nil || len(g.offsets) != 0 {
				t.Errorf("%s: %+v", e.name, g)
			}
		}
	}
}

// Records of older brokers, which Kafka still reads.
func TestCodec_OldVersions(t *testing.T) {
	t.Parallel()
	key := "0000" + "000167" + "000174" + "00000000" // version 0, g, t, 0
	for value, want := range map[string]group.Offset{
		// offset, metadata "m", commit time; version 1: expiry; version 2; version 3: leader epoch
		"0000" + "0000000000000005" + "00016d" + "0000018bcfe56800":                      {Offset: 5, LeaderEpoch: -1, Metadata: "m", Committed: noon},
		"0001" + "0000000000000005" + "00016d" + "0000018bcfe56800" + "0000018bcfe56801": {Offset: 5, LeaderEpoch: -1, Metadata: "m", Committed: noon, Expires: noon.Add(time.Millisecond)},
		"0002" + "0000000000000005" + "00016d" + "0000018bcfe56800":                      {Offset: 5, LeaderEpoch: -1, Metadata: "m", Committed: noon},
		"0003" + "0000000000000005" + "00000009" + "00016d" + "0000018bcfe56800":         {Offset: 5, LeaderEpoch: 9, Metadata: "m", Committed: noon},
	} {
		l := newLoading(rules{}, 0)
		if err := l.add(Record{Key: unhex(key), Value: unhex(value)}); err != nil {
			t.Errorf("%s: %v", value, err)
			continue
		}
		want.Order = 1 // the first that was read
		if got := l.groups["g"].offsets[group.TopicPartition{Topic: "t"}]; got != want {
			t.Errorf("%s: %+v, want %+v", value, got, want)
		}
	}
	// Version 0 of a group has no rebalance time-out: it is the session's.
	groupV0 := "0000" + "0008" + hex.EncodeToString([]byte("consumer")) + "00000001" + "000172" + "00016d" + "00000001" +
		"00016d" + "000163" + "000168" + "00002710" + "00000000" + "00000000"
	l := newLoading(rules{}, 0)
	if err := l.add(Record{Key: unhex("0002" + "000167"), Value: unhex(groupV0)}); err != nil {
		t.Fatal(err)
	}
	m := l.groups["g"].metadata.Members[0]
	if m.SessionTimeout != 10*time.Second || m.RebalanceTimeout != 10*time.Second {
		t.Errorf("member %+v", m)
	}
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// FuzzLoad feeds records to the loader. Whatever they are: no crash, and what was
// accepted can be written and read again.
func FuzzLoad(f *testing.F) {
	for _, e := range examples {
		r := encode("g", e.record)
		f.Add(r.Key, r.Value)
	}
	f.Add([]byte{0, 3, 0}, []byte{1}) // another group protocol's
	f.Add([]byte{0}, []byte(nil))
	cfg := group.DefaultConfig()
	f.Fuzz(func(t *testing.T, key, value []byte) {
		l := newLoading(rules{}, 0)
		if err := l.add(Record{Key: key, Value: value}); err != nil {
			return
		}
		for id, g := range l.groups {
			restored, _ := group.Restore(id, &cfg, noon, g.metadata, g.offsets)
			restored.Step(noon.Add(time.Hour), group.Tick{})
			again := newLoading(rules{}, 0)
			for tp, o := range g.offsets {
				if err := again.add(encode(id, group.OffsetRecord{TopicPartition: tp, Offset: o})); err != nil {
					t.Fatalf("offset does not come back: %v", err)
				}
			}
			if g.metadata != nil {
				if err := again.add(encode(id, *g.metadata)); err != nil {
					t.Fatalf("group does not come back: %v", err)
				}
			}
		}
	})
}
