package compat

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/broker/brokertest"
)

// compactionSeeds are brokers whose cleaner does not rest for long.
func compactionSeeds(t *testing.T) []string {
	t.Helper()
	if external == "" {
		return []string{brokertest.Start(t, brokertest.WithSetting("log.cleaner.backoff.ms", "100")).Addr}
	}
	seeds := strings.Split(external, ",")
	admin := newAdmin(t, seeds)
	brokers, err := admin.ListBrokers(within(t, patience))
	if err != nil {
		t.Fatal(err)
	}
	backoff := "100"
	set := func(change kadm.AlterConfig) {
		for _, id := range brokers.NodeIDs() {
			answer, err := admin.AlterBrokerConfigs(within(t, patience), []kadm.AlterConfig{change}, id)
			if err == nil {
				_, err = answer.On(fmt.Sprint(id), func(r *kadm.AlterConfigsResponse) error { return r.Err })
			}
			if err != nil {
				t.Fatalf("log.cleaner.backoff.ms of broker %d: %v", id, err)
			}
		}
	}
	set(kadm.AlterConfig{Op: kadm.SetConfig, Name: "log.cleaner.backoff.ms", Value: &backoff})
	t.Cleanup(func() { set(kadm.AlterConfig{Op: kadm.DeleteConfig, Name: "log.cleaner.backoff.ms"}) })
	return seeds
}

// compactedLog writes to a compacted topic of one partition. Each step has a time of its own, so that segment.ms makes it a
// segment: they lie ahead of the clock, because the markers of transactions are of now.
type compactedLog struct {
	t      *testing.T
	seeds  []string
	topic  string
	client *kgo.Client
	at     time.Time
	end    int64
}

func newCompactedLog(t *testing.T, seeds []string, policy string, more map[string]string) *compactedLog {
	t.Helper()
	configs := map[string]*string{}
	for name, value := range map[string]string{
		"cleanup.policy": policy, "min.cleanable.dirty.ratio": "0.001", "segment.ms": "1000",
	} {
		configs[name] = &value
	}
	for name, value := range more {
		configs[name] = &value
	}
	l := &compactedLog{t: t, seeds: seeds, at: time.Now().Truncate(time.Millisecond)}
	l.topic = newTopic(t, seeds, 1, configs)
	l.client = newKgo(t, seeds, kgo.DisableIdempotentWrite(), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	return l
}

// records are one step's: "key=value", the value "-" for a tombstone.
func (l *compactedLog) records(pairs []string) (out []*kgo.Record) {
	l.at = l.at.Add(2 * time.Second)
	for _, p := range pairs {
		key, value, _ := strings.Cut(p, "=")
		r := &kgo.Record{Topic: l.topic, Key: []byte(key), Timestamp: l.at, Headers: []kgo.RecordHeader{{Key: "of", Value: []byte(key)}}}
		if value != "-" {
			r.Value = []byte(value)
		}
		out = append(out, r)
	}
	return out
}

// write sends one batch, which begins a segment.
func (l *compactedLog) write(pairs ...string) {
	l.t.Helper()
	if err := l.client.ProduceSync(within(l.t, patience), l.records(pairs)...).FirstErr(); err != nil {
		l.t.Fatal(err)
	}
	l.end += int64(len(pairs))
}

// transact sends one batch in a transaction, each from a producer of its own, which stays active. It returns when the marker is
// in the log: the next record does not come before it.
func (l *compactedLog) transact(commit bool, pairs ...string) {
	l.t.Helper()
	client := newKgo(l.t, l.seeds, kgo.TransactionalID(uniqueName(l.t, "txn")), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := client.BeginTransaction(); err != nil {
		l.t.Fatal(err)
	}
	if err := client.ProduceSync(within(l.t, patience), l.records(pairs)...).FirstErr(); err != nil {
		l.t.Fatal(err)
	}
	if err := client.EndTransaction(within(l.t, patience), kgo.TransactionEndTry(commit)); err != nil {
		l.t.Fatal(err)
	}
	l.end += int64(len(pairs)) + 1
	eventually(l.t, "marker of the transaction", func(ctx context.Context) (bool, string) {
		ends, err := newAdmin(l.t, l.seeds).ListEndOffsets(ctx, l.topic)
		end, _ := ends.Lookup(l.topic, 0)
		return end.Offset == l.end, fmt.Sprintf("end %d, want %d, %v", end.Offset, l.end, err)
	})
}

// see reads all from the beginning up to the end: "offset key=value".
func (l *compactedLog) see(ctx context.Context, opts ...kgo.Opt) (out []string) {
	l.t.Helper()
	ends, err := newAdmin(l.t, l.seeds).ListEndOffsets(ctx, l.topic)
	if ctx.Err() != nil {
		return []string{"nothing in time"}
	}
	if err != nil {
		l.t.Fatal(err)
	}
	end, _ := ends.Lookup(l.topic, 0)
	client := newKgo(l.t, l.seeds, append(opts, kgo.KeepControlRecords(), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{l.topic: {0: kgo.NewOffset().AtStart()}}))...)
	defer client.Close()
	for next := int64(0); next < end.Offset; {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return append(out, "and no more")
		}
		if err := fetches.Err(); err != nil {
			l.t.Fatalf("after offset %d of %d: %v; read %v", next, end.Offset, err, out)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			next = r.Offset + 1
			switch {
			case r.Attrs.IsControl():
			case r.Value == nil:
				out = append(out, fmt.Sprintf("%d %s=-", r.Offset, r.Key))
			default:
				out = append(out, fmt.Sprintf("%d %s=%s", r.Offset, r.Key, r.Value))
			}
			if !r.Attrs.IsControl() && (len(r.Headers) != 1 || string(r.Headers[0].Value) != string(r.Key)) {
				l.t.Errorf("headers at offset %d: %v", r.Offset, r.Headers)
			}
		})
	}
	return out
}

// wait reads until the log is as wanted.
func (l *compactedLog) wait(what string, want []string) {
	l.t.Helper()
	var last []string
	eventually(l.t, what, func(ctx context.Context) (bool, string) {
		got := l.see(ctx)
		if ctx.Err() == nil {
			last = got
		}
		return slices.Equal(got, want), strings.Join(last, ", ")
	})
}

// TestCompaction lets both brokers clean the same records and compares what is left, offset by offset.
func TestCompaction(t *testing.T) {
	t.Parallel()
	seeds := compactionSeeds(t)
	for name, test := range map[string]func(*testing.T, []string){
		"keys": compactKeys, "codecs": compactCodecs, "and delete": compactAndDelete,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, seeds)
		})
	}
}

// What a reader from the beginning sees of a compacted topic: the latest record of each key with its offset, nothing
// of aborted transactions, tombstones once more and then not.
func compactKeys(t *testing.T, seeds []string) {
	t.Helper()
	l := newCompactedLog(t, seeds, "compact", nil)
	l.write("a=1", "b=1", "c=1", "d=1")   // 0-3
	l.write("a=2", "d=-")                 // 4, 5
	l.transact(true, "a=3", "x=1", "y=1") // 6-8, marker 9
	l.transact(false, "b=lost", "z=lost") // 10, 11, marker 12
	l.write("y=2", "e=1", "e=2", "e=3")   // 13-16
	l.transact(true, "x=-")               // 17, marker 18
	l.write("active=1")                   // 19: not cleaned
	kept := []string{"1 b=1", "2 c=1", "5 d=-", "6 a=3", "13 y=2", "16 e=3", "17 x=-"}
	l.wait("cleaned, with tombstones", append(kept, "19 active=1"))
	if got := l.see(within(t, patience), kgo.FetchIsolationLevel(kgo.ReadCommitted())); !slices.Equal(got, append(kept, "19 active=1")) {
		t.Errorf("a reader of committed records sees %v", got)
	}

	zero := "0"
	if _, err := newAdmin(t, seeds).AlterTopicConfigs(within(t, patience), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "delete.retention.ms", Value: &zero}}, l.topic); err != nil {
		t.Fatal(err)
	}
	l.write("g=1")      // 20
	l.write("g=-")      // 21
	l.write("active=2") // 22
	l.wait("a tombstone whose horizon is now", append(kept, "19 active=1", "21 g=-", "22 active=2"))
	l.write("active=3") // 23
	l.wait("it is gone, the earlier ones are not", append(kept, "22 active=2", "23 active=3"))

	// Offsets that are not there any more lead to the next that is.
	client := newKgo(t, seeds, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{l.topic: {0: kgo.NewOffset().At(7)}}))
	first := client.PollFetches(within(t, patience))
	if r := first.Records(); len(r) == 0 || r[0].Offset != 13 {
		t.Errorf("first record from offset 7: %v, %v", r, first.Err())
	}
}

// Batches of every codec lose records and stay readable, to every library.
func compactCodecs(t *testing.T, seeds []string) {
	t.Helper()
	l := newCompactedLog(t, seeds, "compact", nil)
	var want []string
	for i, codec := range []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()} {
		l.client = newKgo(t, seeds, kgo.DisableIdempotentWrite(), kgo.ProducerBatchCompression(codec))
		l.write("old="+strings.Repeat("x", 500), fmt.Sprintf("k%d=%s", i, strings.Repeat("y", 500)), "old="+strings.Repeat("z", 500))
		want = append(want, fmt.Sprintf("%d k%d=%s", i*3+1, i, strings.Repeat("y", 500)))
	}
	l.write("old=new")
	l.write("active=1")
	l.wait("cleaned", append(want, "15 old=new", "16 active=1"))
}

// With both policies, old segments go as well. A record without a key is refused by either.
func compactAndDelete(t *testing.T, seeds []string) {
	t.Helper()
	l := newCompactedLog(t, seeds, "compact,delete", map[string]string{"retention.ms": "3600000"})
	l.at = time.Now().Add(-3 * time.Hour)
	l.write("a=1", "b=1") // 0, 1: old
	l.write("c=1")        // 2: old
	l.at = time.Now()
	l.write("d=1", "d=2") // 3, 4
	l.wait("old segments deleted", []string{"3 d=1", "4 d=2"})
	l.write("active=1") // 5
	l.wait("the rest compacted", []string{"4 d=2", "5 active=1"})
	starts, err := newAdmin(t, seeds).ListStartOffsets(within(t, patience), l.topic)
	if start, _ := starts.Lookup(l.topic, 0); err != nil || start.Offset != 3 {
		t.Errorf("log start %d, %v", start.Offset, err)
	}
	err = l.client.ProduceSync(within(t, patience), &kgo.Record{Topic: l.topic, Value: []byte("no key")}).FirstErr()
	if err == nil || !strings.Contains(err.Error(), "INVALID_RECORD") {
		t.Errorf("a record without a key: %v", err)
	}
}
