package cluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// An image that somebody holds does not change, whatever is applied on top of it.
func TestApply_LeavesImageAlone(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	config := testConfig()
	image := NewImage(config)
	offset := int64(0)
	for range 400 {
		before := describe(image)
		command := randomCommand(r, image)
		next, err := Apply(image, offset, command)
		if got := describe(image); got != before {
			t.Fatalf("%s changed its argument from\n%s\nto\n%s", command.Encode(), before, got)
		}
		if err != nil {
			continue
		}
		again, err := Apply(image, offset, command)
		if err != nil || describe(again) != describe(next) {
			t.Fatalf("%s: applied twice, two outcomes", command.Encode())
		}
		image = next
		offset++
	}
	// A snapshot makes the same image out of nothing.
	whole, err := Apply(NewImage(config), 0, image.snapshot()...)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := describe(whole), describe(image); got != want {
		t.Fatalf("snapshot gives\n%s\nwant\n%s", got, want)
	}
}

func describe(i *Image) string {
	var b strings.Builder
	for t := range i.Topics() {
		fmt.Fprintln(&b, t.Name, t.ID, t.Partitions, t.Set, t.Config.SegmentBytes)
	}
	for _, x := range i.Brokers() {
		fmt.Fprintln(&b, *x)
	}
	fmt.Fprintln(&b, i.brokerSet, i.groupSet, i.partitions, i.nextPID, len(i.topics), len(i.ids), i.Config.Topic.SegmentBytes)
	return b.String()
}

func randomCommand(r *rand.Rand, i *Image) Command {
	name := fmt.Sprintf("t%d", r.IntN(6))
	var id TopicID
	if t := i.Topic(name); t != nil {
		id = t.ID
	}
	value := strconv.Itoa(1<<20 + r.IntN(1000))
	set := map[string]*string{"segment.bytes": &value}
	if r.IntN(3) == 0 {
		set["segment.bytes"] = nil
	}
	switch r.IntN(7) {
	case 0:
		return Command{RegisterBroker: &RegisterBroker{ID: int32(1 + r.IntN(3)), Unclean: r.IntN(2) == 0, Endpoints: []Endpoint{{"P", "h", 1}}}}
	case 1, 2:
		return Command{CreateTopic: &CreateTopic{Name: name, ID: newTopicID(), Partitions: []Partition{newPartition(0, []int32{1})}}}
	case 3:
		return Command{DeleteTopic: &DeleteTopic{ID: id}}
	case 4:
		n := 0
		if t := i.Topic(name); t != nil {
			n = len(t.Partitions)
		}
		return Command{CreatePartitions: &CreatePartitions{ID: id, Partitions: []Partition{newPartition(int32(n), []int32{1})}}}
	case 5:
		if r.IntN(2) == 0 {
			return Command{SetConfigs: &SetConfigs{Resource: BrokerResource, Set: map[string]*string{"log.segment.bytes": set["segment.bytes"]}}}
		}
		return Command{SetConfigs: &SetConfigs{Resource: TopicResource, Name: name, Set: set}}
	default:
		return Command{ProducerIDs: &ProducerIDs{Next: i.nextPID + 1000}}
	}
}

// Commands that do not fit are refused: the log of a correct controller has none.
func TestApply_Refuses(t *testing.T) {
	t.Parallel()
	image := NewImage(testConfig())
	one := newPartition(0, []int32{1})
	topic := Command{CreateTopic: &CreateTopic{Name: "a", ID: TopicID{1}, Partitions: []Partition{one}}}
	image, err := Apply(image, 0, topic, Command{ProducerIDs: &ProducerIDs{Next: 1000}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]Command{
		"empty":               {},
		"same name":           {CreateTopic: &CreateTopic{Name: "a", ID: TopicID{2}, Partitions: []Partition{one}}},
		"same id":             {CreateTopic: &CreateTopic{Name: "b", ID: TopicID{1}, Partitions: []Partition{one}}},
		"no id":               {CreateTopic: &CreateTopic{Name: "b", Partitions: []Partition{one}}},
		"no partitions":       {CreateTopic: &CreateTopic{Name: "b", ID: TopicID{2}}},
		"gap":                 {CreateTopic: &CreateTopic{Name: "b", ID: TopicID{2}, Partitions: []Partition{newPartition(1, []int32{1})}}},
		"no replicas":         {CreateTopic: &CreateTopic{Name: "b", ID: TopicID{2}, Partitions: []Partition{{}}}},
		"delete unknown":      {DeleteTopic: &DeleteTopic{ID: TopicID{9}}},
		"partitions unknown":  {CreatePartitions: &CreatePartitions{ID: TopicID{9}}},
		"partition twice":     {CreatePartitions: &CreatePartitions{ID: TopicID{1}, Partitions: []Partition{one}}},
		"settings unknown":    {SetConfigs: &SetConfigs{Resource: TopicResource, Name: "zz"}},
		"settings of nothing": {SetConfigs: &SetConfigs{Resource: "door"}},
		"producer ids back":   {ProducerIDs: &ProducerIDs{Next: 999}},
	} {
		if _, err := Apply(image, 2, c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// Whatever bytes stand in a record, decoding gives a command or an error; what is
// decoded is written the same again; applying it does not panic.
func FuzzDecodeCommand(f *testing.F) {
	image, err := Apply(NewImage(testConfig()), 0, Command{CreateTopic: &CreateTopic{Name: "a", ID: TopicID{1}, Partitions: []Partition{newPartition(0, []int32{1})}}})
	if err != nil {
		f.Fatal(err)
	}
	for _, c := range image.snapshot() {
		f.Add(c.Encode())
	}
	f.Add([]byte(`{"v":2,"snapshot":{}}`))
	f.Add([]byte(`{"v":1,"create_topic":{"name":"b","id":"AAAAAAAAAAAAAAAAAAAAAg","partitions":[{"partition":0,"replicas":[1]}]}}`))
	f.Add([]byte(`{"v":1,"create_topic":{"id":"-"},"delete_topic":{}}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		c, err := DecodeCommand(value)
		if err != nil {
			if !errors.Is(err, ErrBadCommand) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		again, err := DecodeCommand(c.Encode())
		if err != nil {
			t.Fatalf("%s: %v", c.Encode(), err)
		}
		if string(again.Encode()) != string(c.Encode()) {
			t.Fatalf("%s became %s", c.Encode(), again.Encode())
		}
		before := describe(image)
		_, _ = Apply(image, 1, c)
		if describe(image) != before {
			t.Fatal("image changed")
		}
	})
}

func TestTopicID(t *testing.T) {
	t.Parallel()
	seen := map[TopicID]bool{}
	for range 5000 {
		id := newTopicID()
		if id.IsZero() || seen[id] || strings.HasPrefix(id.String(), "-") || len(id.String()) != 22 {
			t.Fatalf("id %s", id)
		}
		seen[id] = true
		back, err := ParseTopicID(id.String())
		if err != nil || back != id {
			t.Fatalf("%s read back as %s, %v", id, back, err)
		}
	}
	for _, s := range []string{"", "abc", strings.Repeat("A", 23), "AAAAAAAAAAAAAAAAAAAAA=", "AAAAAAAAAAAAAAAAAAAAAB"} {
		if id, err := ParseTopicID(s); err == nil {
			t.Errorf("%q read as %s", s, id)
		}
	}
}

func TestCommand_Forms(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "null", "{}", `{"v":1}`, `{"v":0,"snapshot":{}}`, `{"v":2,"snapshot":{}}`, `{"v":1,"move_moon":{}}`, `{"v":1,"snapshot":{},"delete_topic":{"id":"AAAAAAAAAAAAAAAAAAAAAg"}}`} {
		if _, err := DecodeCommand([]byte(bad)); !errors.Is(err, ErrBadCommand) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	// A field that a later version adds is no reason to stop.
	c, err := DecodeCommand([]byte(`{"v":1,"producer_ids":{"next":5,"colour":"red"}}`))
	if err != nil || !reflect.DeepEqual(c, Command{ProducerIDs: &ProducerIDs{Next: 5}}) {
		t.Errorf("got %+v, %v", c, err)
	}
}
