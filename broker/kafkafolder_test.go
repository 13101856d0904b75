package broker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"millrace/broker"
	"millrace/broker/brokertest"
)

// theirs is an Apache Kafka on a folder of its own.
type theirs struct {
	t               *testing.T
	start, stop     string // scripts
	folder, address string
	running         bool
}

// toolScript is the script that runs Kafka's tools. It needs java.
func toolScript(t *testing.T) string {
	t.Helper()
	tool := os.Getenv("MILLRACE_KAFKA_TOOL")
	_, noJava := exec.LookPath("java")
	if tool == "" || noJava != nil {
		const why = "needs java and MILLRACE_KAFKA_TOOL, the path of a script beside kafka-start.sh and kafka-stop.sh"
		if os.Getenv("MILLRACE_REQUIRE_PEERS") == "1" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	return tool
}

func kafkaFor(t *testing.T) *theirs {
	t.Helper()
	tool := toolScript(t)
	k := &theirs{
		t: t, start: filepath.Join(filepath.Dir(tool), "kafka-start.sh"), stop: filepath.Join(filepath.Dir(tool), "kafka-stop.sh"),
		folder: t.TempDir(), address: brokertest.FreeAddr(t),
	}
	t.Cleanup(k.end)
	_, port, _ := strings.Cut(k.address, ":")
	k.run(append(os.Environ(), "KAFKA_HEAP=-Xms128M -Xmx512M", "KAFKA_EXTRA=group.initial.rebalance.delay.ms=0\nlog.cleaner.backoff.ms=100"), k.start, port, k.folder)
	k.running = true
	return k
}

func (k *theirs) run(env []string, name string, args ...string) {
	k.t.Helper()
	// Not CombinedOutput: the node that the script leaves running has inherited a pipe.
	out, err := os.Create(filepath.Join(k.folder, "script.log"))
	if err != nil {
		k.t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(name, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, out, out
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(out.Name())
		k.t.Fatalf("%s: %v\n%s", name, err, said)
	}
}

func (k *theirs) end() {
	if k.running {
		k.running = false
		k.run(os.Environ(), k.stop, k.folder)
	}
}

func (k *theirs) data() string { return filepath.Join(k.folder, "node-1") }

func client(t *testing.T, address string, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append(options, kgo.SeedBrokers(address), kgo.MetadataMinAge(10*time.Millisecond))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// readAll returns what a reader of committed records sees of a topic's first n.
func readAll(t *testing.T, address, topic string, n int) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := client(t, address, kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	var list []string
	for len(list) < n {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatalf("%d of %d records of %s: %v", len(list), n, topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			list = append(list, fmt.Sprintf("%d/%d %s=%s %v", r.Partition, r.Offset, r.Key, r.Value, r.Headers))
		})
	}
	slices.Sort(list)
	return list
}

// TestKafka_FolderIsTakenOver has Apache Kafka write a folder, which our broker then
// opens: topics, settings, records in every compression, what was committed and what
// was aborted, offsets of groups, producers that go on.
func TestKafka_FolderIsTakenOver(t *testing.T) {
	k := kafkaFor(t)
	ctx := t.Context()
	writer := client(t, k.address)
	admin := kadm.NewClient(writer)
	if _, err := admin.CreateTopics(ctx, 3, 1, map[string]*string{"retention.ms": kadm.StringPtr("-1"), "segment.bytes": kadm.StringPtr("1048576")}, "plain", "gone"); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.CreateTopic(ctx, 1, 1, map[string]*string{"cleanup.policy": kadm.StringPtr("compact")}, "compacted"); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.CreateTopic(ctx, 1, 1, nil, "money"); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.UpdatePartitions(ctx, 4, "plain"); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.DeleteTopic(ctx, "gone"); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.AlterBrokerConfigs(ctx, []kadm.AlterConfig{{Name: "log.retention.ms", Value: kadm.StringPtr("-1")}}); err != nil {
		t.Fatal(err)
	}
	limits := []kadm.AlterClientQuotaEntry{{
		Entity: kadm.ClientQuotaEntity{{Type: "user", Name: kadm.StringPtr("bob")}},
		Ops:    []kadm.AlterClientQuotaOp{{Key: "producer_byte_rate", Value: 12345}},
	}}
	if _, err := admin.AlterClientQuotas(ctx, limits); err != nil {
		t.Fatal(err)
	}
	setScram(t, k.address, "carol", "carol-secret")
	plain := 0
	for i, codec := range []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()} {
		c := client(t, k.address, kgo.ProducerBatchCompression(codec))
		for j := range 100 {
			for _, topic := range []string{"plain", "compacted"} {
				c.Produce(ctx, &kgo.Record{
					Topic: topic, Key: fmt.Appendf(nil, "key %d", j%10), Value: bytes.Repeat(fmt.Appendf(nil, "%d-%d ", i, j), 20),
					Headers: []kgo.RecordHeader{{Key: "h", Value: []byte{byte(i)}}},
				}, func(_ *kgo.Record, err error) {
					if err != nil {
						t.Error(err)
					}
				})
			}
			plain++
		}
		if err := c.Flush(ctx); err != nil {
			t.Fatal(err)
		}
	}
	payments := client(t, k.address, kgo.TransactionalID("payments"), kgo.DefaultProduceTopic("money"))
	for i, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit} {
		if err := payments.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := payments.ProduceSync(ctx, kgo.StringRecord(fmt.Sprintf("payment %d", i))).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := payments.EndTransaction(ctx, end); err != nil {
			t.Fatal(err)
		}
	}
	offsets := kadm.Offsets{}
	offsets.AddOffset("plain", 2, 7, -1)
	offsets.AddOffset("money", 0, 2, -1)
	if err := admin.CommitAllOffsets(ctx, "clerks", offsets); err != nil {
		t.Fatal(err)
	}
	// A transaction that is open when Kafka stops: nothing of it may be seen.
	open := client(t, k.address, kgo.TransactionalID("open"), kgo.DefaultProduceTopic("money"), kgo.TransactionTimeout(5*time.Minute))
	if err := open.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := open.ProduceSync(ctx, kgo.StringRecord("never committed")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	topics := describe(t, admin)
	wantPlain, wantMoney := readAll(t, k.address, "plain", plain), readAll(t, k.address, "money", 2)
	ends, err := admin.ListEndOffsets(ctx, "plain", "compacted", "money")
	if err != nil {
		t.Fatal(err)
	}

	// While Kafka runs, the folder is its own.
	cfg := broker.Config{DataDir: k.data(), Listen: []broker.Listen{{Address: "127.0.0.1:0"}}, Log: quiet()}
	if b, err := broker.Open(ctx, cfg); err == nil {
		_ = b.Close()
		t.Fatal("the folder of a running Kafka was opened")
	}
	k.end()

	var said bytes.Buffer
	plaintext, logIn := brokertest.FreeAddr(t), brokertest.FreeAddr(t)
	ours := brokertest.Start(t, brokertest.WithDir(k.data()), brokertest.WithListen("PLAINTEXT://"+plaintext), brokertest.WithListen("SASL_PLAINTEXT://"+logIn), brokertest.WithLog(slog.New(slog.NewTextHandler(&said, nil))))
	check := func() {
		t.Helper()
		admin := kadm.NewClient(client(t, ours.Addr))
		got := describe(t, admin)
		maps.DeleteFunc(got, func(topic, _ string) bool { return strings.HasPrefix(topic, "testkafka_") }) // of carol's
		if !maps.Equal(got, topics) {
			t.Errorf("topics are\n%v\nwant\n%v", got, topics)
		}
		if got := readAll(t, ours.Addr, "plain", plain); !slices.Equal(got, wantPlain) {
			t.Errorf("records of plain differ: %d, want %d", len(got), len(wantPlain))
		}
		if got := readAll(t, ours.Addr, "money", 2); !slices.Equal(got, wantMoney) {
			t.Errorf("money has %q, want %q", got, wantMoney)
		}
		committed, err := admin.FetchOffsets(ctx, "clerks")
		if err != nil {
			t.Fatal(err)
		}
		if !maps.EqualFunc(committed.Offsets()["plain"], offsets["plain"], sameOffset) || !maps.EqualFunc(committed.Offsets()["money"], offsets["money"], sameOffset) {
			t.Errorf("group has %v, want %v", committed.Offsets(), offsets)
		}
		quotas, err := admin.DescribeClientQuotas(ctx, true, []kadm.DescribeClientQuotaComponent{{Type: "user", MatchName: kadm.StringPtr("bob")}})
		if err != nil || len(quotas) != 1 || len(quotas[0].Values) != 1 || quotas[0].Values[0].Value != 12345 {
			t.Errorf("limits of bob: %+v, %v", quotas, err)
		}
		if err := roundTrip(t, logIn, kgo.SASL(scram.Auth{User: "carol", Pass: "carol-secret"}.AsSha512Mechanism())); err != nil {
			t.Errorf("carol cannot log in: %v", err)
		}
		txns, err := admin.DescribeTransactions(ctx, "payments", "open")
		if err != nil || txns["payments"].State != "CompleteCommit" || txns["open"].State != "Ongoing" {
			t.Errorf("transactions %+v, %v", txns, err)
		}
	}
	check()
	now, err := kadm.NewClient(client(t, ours.Addr)).ListEndOffsets(ctx, "plain", "compacted", "money")
	if err != nil {
		t.Fatal(err)
	}
	ends.Each(func(want kadm.ListedOffset) {
		if got, _ := now.Lookup(want.Topic, want.Partition); got.Offset != want.Offset {
			t.Errorf("%s-%d ends at %d, want %d", want.Topic, want.Partition, got.Offset, want.Offset)
		}
	})
	if !strings.Contains(said.String(), "took over the folder") {
		t.Errorf("the log does not tell of it: %s", said.String())
	}
	ours.Restart()
	check()

	// Life goes on: the open transaction is fenced and ended.
	again := client(t, ours.Addr, kgo.TransactionalID("open"), kgo.DefaultProduceTopic("money"))
	if err := again.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := again.ProduceSync(ctx, kgo.StringRecord("payment 3")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := again.EndTransaction(ctx, kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, ours.Addr, "money", 3); strings.Contains(strings.Join(got, "\n"), "never committed") {
		t.Errorf("money has %q", got)
	}
}

func sameOffset(a, b kadm.Offset) bool { return a.At == b.At }

// describe gives each topic's id, partitions and settings that are its own.
func describe(t *testing.T, admin *kadm.Client) map[string]string {
	t.Helper()
	ctx := t.Context()
	topics, err := admin.ListTopicsWithInternal(ctx)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	configs, err := admin.DescribeTopicConfigs(ctx, topics.Names()...)
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range topics.Sorted() {
		if topic.Err != nil {
			t.Fatal(topic.Err)
		}
		own := map[string]string{}
		resource, err := configs.On(topic.Topic, nil)
		if err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
			t.Fatal(err)
		}
		for _, c := range resource.Configs {
			if c.Source.String() == "DYNAMIC_TOPIC_CONFIG" {
				own[c.Key] = c.MaybeValue()
			}
		}
		out[topic.Topic] = fmt.Sprintf("%s %d %v %v", topic.ID, len(topic.Partitions), topic.IsInternal, own)
	}
	return out
}
