package config

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestNewBroker_Defaults(t *testing.T) {
	t.Parallel()
	b, err := NewBroker(nil)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case b.NodeID != 1, b.NumPartitions != 1, !b.AutoCreateTopicsEnable, b.SocketRequestMaxBytes != 104857600:
		t.Errorf("defaults: %+v", b)
	case b.Topic.FlushMessages != 1, b.Topic.RetentionMs != 604800000, b.Topic.SegmentBytes != 1<<30, b.Topic.MaxMessageBytes != 1048588:
		t.Errorf("topic defaults: %+v", b.Topic)
	case !b.Topic.Delete() || b.Topic.Compact() || b.Topic.LogAppendTime():
		t.Errorf("cleanup policy %v", b.Topic.CleanupPolicy)
	case len(b.Listeners) != 1 || b.Listeners[0] != Listener{"PLAINTEXT", "127.0.0.1", 9092}:
		t.Errorf("listeners %v", b.Listeners)
	case !slices.Equal(b.AdvertisedListeners, b.Listeners):
		t.Errorf("advertised %v", b.AdvertisedListeners)
	}
}

// A setting is found through its synonyms, in the order that Kafka has.
func TestNewBroker_Synonyms(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		set  string
		want int64
	}{
		{"", 604800000},
		{"log.retention.hours=1", 3600000},
		{"log.retention.hours=1 log.retention.minutes=3", 180000},
		{"log.retention.hours=1 log.retention.minutes=3 log.retention.ms=7", 7},
		{"log.retention.hours=-1", -1},
		{"log.retention.minutes=-1 log.retention.hours=5", -1},
		{"log.retention.hours=2147483647", 2147483647 * 3600000},
	} {
		b, err := NewBroker(pairs(t, c.set))
		if err != nil {
			t.Errorf("%s: %v", c.set, err)
		} else if b.Topic.RetentionMs != c.want {
			t.Errorf("%s: retention.ms is %d, want %d", c.set, b.Topic.RetentionMs, c.want)
		}
	}
	b, err := NewBroker(pairs(t, "log.roll.hours=2 log.flush.scheduler.interval.ms=500 broker.id=7 log.dir=/d"))
	if err != nil {
		t.Fatal(err)
	}
	if b.Topic.SegmentMs != 7200000 || b.Topic.FlushMs != 500 || b.NodeID != 7 || !slices.Equal(b.LogDirs, []string{"/d"}) {
		t.Errorf("through synonyms: %+v", b)
	}
}

// What is set at run time goes before the properties file, this broker's before all
// brokers', and a topic's before both.
func TestBroker_Layers(t *testing.T) {
	t.Parallel()
	base, err := NewBroker(pairs(t, "log.segment.bytes=2000000 num.partitions=3"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := base.With(pairs(t, "log.segment.bytes=3000000 message.max.bytes=9"), pairs(t, "log.segment.bytes=4000000"))
	if err != nil {
		t.Fatal(err)
	}
	if b.Topic.SegmentBytes != 4000000 || b.Topic.MaxMessageBytes != 9 || b.NumPartitions != 3 || base.Topic.SegmentBytes != 2000000 {
		t.Errorf("layers: %+v", b.Topic)
	}
	topic, err := b.NewTopic(pairs(t, "segment.bytes=5000000"))
	if err != nil {
		t.Fatal(err)
	}
	if topic.SegmentBytes != 5000000 || topic.MaxMessageBytes != 9 {
		t.Errorf("topic: %+v", topic)
	}
	var got []string
	for _, e := range b.DescribeTopic(pairs(t, "segment.bytes=5000000")) {
		if e.Def.Name == "segment.bytes" {
			for _, v := range e.Values {
				got = append(got, v.Name+"="+v.Value)
			}
		}
	}
	if want := "segment.bytes=5000000 log.segment.bytes=4000000 log.segment.bytes=3000000 log.segment.bytes=2000000 log.segment.bytes=1073741824"; strings.Join(got, " ") != want {
		t.Errorf("described as %v", got)
	}
}

func TestNewBroker_Refuses(t *testing.T) {
	t.Parallel()
	for set, want := range map[string]string{
		"num.partition=3":              `unknown broker setting "num.partition"; did you mean num.partitions?`,
		"retention.ms=3":               `did you mean log.retention.ms`,
		"min_insync_replicas=1":        `did you mean min.insync.replicas`,
		"zzz=1":                        `unknown broker setting "zzz"`,
		"num.partitions=0":             "Invalid value 0 for configuration num.partitions: Value must be at least 1 (allowed: 1 to 2147483647)",
		"num.partitions=many":          "Not a number of type INT (allowed: 1 to 2147483647)",
		"auto.create.topics.enable=":   "Expected value to be either true or false (allowed: true, false)",
		"compression.type=best":        "allowed: one of uncompressed, zstd",
		"log.segment.bytes=1000":       "at least 1048576",
		"log.dirs=/a,/b":               "one folder",
		"listeners=:9092":              "NAME://host:port",
		"listeners=PLAINTEXT://:99999": "port",
		"listeners=A://:1,a://:2":      "twice",
		"listeners=PLAINTEXT://:1 advertised.listeners=OTHER://h:1":           "not among the names",
		"listeners=PLAINTEXT://:1 advertised.listeners=PLAINTEXT://0.0.0.0:1": "cannot connect",
		"listeners=CONTROLLER://:1 controller.listener.names=CONTROLLER":      "at least one listener",
		"broker.id=1 node.id=2": "both name the same",
		"log.retention.ms=0":    "or equal to -1",
		"group.min.session.timeout.ms=10 group.max.session.timeout.ms=5": "above group.max",
	} {
		_, err := NewBroker(pairs(t, set))
		var refused *Error
		if err == nil || !errors.As(err, &refused) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", set, err, want)
		}
	}
	// All that is wrong is told at once.
	_, err := NewBroker(pairs(t, "nosuch=1 num.partitions=x"))
	if err == nil || !strings.Contains(err.Error(), "nosuch") || !strings.Contains(err.Error(), "num.partitions") {
		t.Errorf("two mistakes: %v", err)
	}
}

func TestListeners(t *testing.T) {
	t.Parallel()
	b, err := NewBroker(pairs(t, "listeners=PLAINTEXT://0.0.0.0:9092,external://[::]:9094,CONTROLLER://:9093 advertised.listeners=PLAINTEXT://broker:9092,EXTERNAL://localhost:9094 controller.listener.names=CONTROLLER"))
	if err != nil {
		t.Fatal(err)
	}
	if want := []Listener{{"PLAINTEXT", "0.0.0.0", 9092}, {"EXTERNAL", "::", 9094}}; !slices.Equal(b.Listeners, want) {
		t.Errorf("listeners %v", b.Listeners)
	}
	if want := []Listener{{"PLAINTEXT", "broker", 9092}, {"EXTERNAL", "localhost", 9094}}; !slices.Equal(b.AdvertisedListeners, want) {
		t.Errorf("advertised %v", b.AdvertisedListeners)
	}
	for _, s := range []string{"PLAINTEXT://127.0.0.1:9092", "A://[::1]:0", "B://:1"} {
		if l, err := ParseListener(s); err != nil || l.String() != s {
			t.Errorf("%s: %v, %v", s, l, err)
		}
	}
}

func TestReadProperties(t *testing.T) {
	t.Parallel()
	got, err := ReadProperties([]byte("# comment\n! another\nnum.partitions = 4 \nlog.dirs:/data/${user}\nlisteners=PLAINTEXT://:1,\\\n  OTHER://:2\nnum.partitions=5\nempty=\nbroker.rack=ph\\u1ed1\n"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"num.partitions": "5", "log.dirs": "/data/${user}", "listeners": "PLAINTEXT://:1,OTHER://:2", "empty": "", "broker.rack": "phố",
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %q, want %q", name, v, want)
		}
	}
}

func TestIgnored(t *testing.T) {
	t.Parallel()
	b, err := NewBroker(pairs(t, "num.io.threads=8 process.roles=broker num.partitions=2"))
	if err != nil || !slices.Equal(b.Ignored(), []string{"num.io.threads", "process.roles"}) {
		t.Errorf("ignored %v, %v", b.Ignored(), err)
	}
}

func pairs(t *testing.T, list string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, s := range strings.Fields(list) {
		k, v, err := ParseSetting(s)
		if err != nil {
			t.Fatal(err)
		}
		out[k] = v
	}
	return out
}

// Whatever stands in a properties file, reading it and resolving it ends with a broker
// or with an error that names a setting.
func FuzzProperties(f *testing.F) {
	f.Add([]byte("num.partitions=4\nlog.retention.hours=1\n"))
	f.Add([]byte("a=${a}\nb=${c}\n\\u00"))
	f.Add([]byte("listeners=PLAINTEXT://[::1%25eth0]:1\nadvertised.listeners=x"))
	if text, err := os.ReadFile("testdata/kafka-4.3.1.tsv"); err == nil {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		set, err := ReadProperties(text)
		if err != nil {
			return
		}
		b, err := NewBroker(set)
		if (b == nil) == (err == nil) {
			t.Fatalf("broker %v, error %v", b, err)
		}
		if err != nil && err.Error() == "" {
			t.Fatal("error without words")
		}
		if b != nil {
			b.Describe()
			b.DescribeTopic(set)
		}
	})
}

// A value that is accepted for a topic gives settings that can be described, and the
// same ones again.
func FuzzTopicSetting(f *testing.F) {
	f.Add("retention.ms", "5")
	f.Add("cleanup.policy", "compact,delete")
	f.Add("min.cleanable.dirty.ratio", "1e-3")
	f.Add("leader.replication.throttled.replicas", "0:1,1:2")
	base, err := NewBroker(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		set := map[string]string{name: value}
		topic, err := base.NewTopic(set)
		if err != nil {
			return
		}
		again, err := base.NewTopic(set)
		if err != nil || again.RetentionMs != topic.RetentionMs || again.SegmentBytes <= 0 {
			t.Fatalf("%v: %+v, %v", set, again, err)
		}
	})
}

// What Apache Kafka 4.3.1 answered with log.retention.hours=1, log.roll.ms=5000 and
// log.flush.scheduler.interval.ms=9000 in its properties file, and log.retention.ms=7000
// set at run time.
func TestDescribe_Synonyms(t *testing.T) {
	t.Parallel()
	static := pairs(t, "log.retention.hours=1 log.roll.ms=5000 log.flush.scheduler.interval.ms=9000")
	before, err := NewBroker(static)
	if err != nil {
		t.Fatal(err)
	}
	after, err := before.With(nil, pairs(t, "log.retention.ms=7000"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		entries []Entry
		name    string
		want    string
	}{
		{before.DescribeTopic(nil), "retention.ms", "3600000 from 5"},
		{before.DescribeTopic(nil), "segment.ms", "5000 from 4: 4:log.roll.ms=5000 5:log.roll.hours=168"},
		{before.DescribeTopic(nil), "flush.ms", "9000 from 5"},
		{before.DescribeTopic(nil), "segment.jitter.ms", "0 from 5"},
		{before.DescribeTopic(nil), "retention.bytes", "-1 from 5: 5:log.retention.bytes=-1"},
		{before.Describe(), "log.retention.ms", "null from 5"},
		{before.Describe(), "log.retention.hours", "1 from 4: 4:log.retention.hours=1 5:log.retention.hours=168"},
		{before.Describe(), "log.roll.ms", "5000 from 4: 4:log.roll.ms=5000 5:log.roll.hours=168"},
		{before.Describe(), "log.flush.interval.ms", "null from 5"},
		{after.DescribeTopic(nil), "retention.ms", "7000 from 2: 2:log.retention.ms=7000 4:log.retention.hours=1 5:log.retention.hours=168"},
		{after.Describe(), "log.retention.ms", "7000 from 2: 2:log.retention.ms=7000 4:log.retention.hours=1 5:log.retention.hours=168"},
		{after.DescribeTopic(pairs(t, "retention.ms=5")), "retention.ms", "5 from 1: 1:retention.ms=5 2:log.retention.ms=7000 4:log.retention.hours=1 5:log.retention.hours=168"},
	} {
		i := slices.IndexFunc(c.entries, func(e Entry) bool { return e.Def.Name == c.name })
		e := c.entries[i]
		value := e.Value
		if e.Null {
			value = "null"
		}
		var layers []string
		for _, v := range e.Values {
			layers = append(layers, strconv.Itoa(int(v.Source))+":"+v.Name+"="+v.Value)
		}
		got := value + " from " + strconv.Itoa(int(e.Source))
		if layers != nil {
			got += ": " + strings.Join(layers, " ")
		}
		if got != c.want {
			t.Errorf("%s is %s\nwant %s", c.name, got, c.want)
		}
	}
}
