package compat

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/brokertest"
)

// worker is a member of a share group. decide says what becomes of each record.
type worker struct {
	mu     sync.Mutex
	got    []string // value and delivery
	client *kgo.Client
	stop   func()
	stops  sync.Once
}

func startWorker(t *testing.T, seeds []string, group, topic string, decide func(value string, delivery int32) kgo.AckStatus) *worker {
	t.Helper()
	client := newKgo(t, seeds, kgo.ShareGroup(group), kgo.ConsumeTopics(topic), kgo.FetchMaxWait(500*time.Millisecond))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	w := &worker{client: client}
	w.stop = func() {
		cancel()
		<-done
		client.Close()
	}
	t.Cleanup(w.close)
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			client.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
				w.mu.Lock()
				w.got = append(w.got, fmt.Sprintf("%s #%d", r.Value, r.DeliveryCount()))
				w.mu.Unlock()
				r.Ack(decide(string(r.Value), r.DeliveryCount()))
			})
			if err := client.FlushAcks(ctx); err != nil && ctx.Err() == nil {
				t.Errorf("acknowledge: %v", err)
			}
		}
	}()
	return w
}

func (w *worker) close() { w.stops.Do(w.stop) }

func (w *worker) seen() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.got)
}

func accept(string, int32) kgo.AckStatus { return kgo.AckAccept }

func countedRecords(round string, n int) []record {
	out := make([]record, n)
	for i := range out {
		out[i] = record{value: fmt.Appendf(nil, "%s-%03d", round, i)}
	}
	return out
}

// shareGroup makes a group that reads from the beginning.
func shareGroup(t *testing.T, seeds []string) string {
	t.Helper()
	group := uniqueName(t, "share")
	configureGroup(t, newKgo(t, seeds), group, "share.auto.offset.reset", "earliest")
	return group
}

// waitForLag waits until a share group has so many records left.
func waitForLag(t *testing.T, seeds []string, group, topic string, want int64) {
	t.Helper()
	client := newKgo(t, seeds)
	eventually(t, fmt.Sprintf("lag of %s is %d", group, want), func(ctx context.Context) (bool, string) {
		req := kmsg.NewPtrDescribeShareGroupOffsetsRequest()
		g := kmsg.NewDescribeShareGroupOffsetsRequestGroup()
		g.GroupID, g.Topics = group, nil
		req.Groups = append(req.Groups, g)
		resp, err := req.RequestWith(ctx, client)
		if err != nil {
			return false, err.Error()
		}
		sum, begun := int64(0), false
		for _, t := range resp.Groups[0].Topics {
			for _, p := range t.Partitions {
				if begun = p.Lag >= 0; !begun {
					return false, "a partition is not read yet"
				}
				sum += p.Lag
			}
		}
		return begun && sum == want, strconv.FormatInt(sum, 10)
	})
}

// Three members take the records of one partition between them, each record to one of them: a queue,
// where a consumer group would leave two of them idle.
func TestShare_MembersShareOnePartition(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	topic, group := newTopic(t, seeds, 1, nil), shareGroup(t, seeds)
	var workers []*worker
	for range 3 {
		workers = append(workers, startWorker(t, seeds, group, topic, accept))
	}
	for round := range 20 {
		produceFranz(t, seeds, topic, "none", countedRecords(strconv.Itoa(round), 10))
	}
	var all []string
	eventually(t, "all records came", func(context.Context) (bool, string) {
		all = nil
		for _, w := range workers {
			all = append(all, w.seen()...)
		}
		return len(all) >= 200, strconv.Itoa(len(all))
	})
	slices.Sort(all)
	if once := slices.Compact(slices.Clone(all)); len(all) != 200 || len(once) != 200 {
		t.Errorf("%d deliveries of %d records, want 200 of 200", len(all), len(once))
	}
	waitForLag(t, seeds, group, topic, 0)
}

// A record is released, and comes again with its delivery counted; one that fails each time is
// archived after so many deliveries; one that is rejected never comes again. None of them holds up
// the others.
func TestShare_ReleaseRejectAndLimit(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	topic, group := newTopic(t, seeds, 1, nil), shareGroup(t, seeds)
	configureGroup(t, newKgo(t, seeds), group, "share.delivery.count.limit", "3")
	produceFranz(t, seeds, topic, "none", countedRecords("r", 5))
	w := startWorker(t, seeds, group, topic, func(value string, delivery int32) kgo.AckStatus {
		switch {
		case value == "r-001" && delivery == 1:
			return kgo.AckRelease
		case value == "r-002":
			return kgo.AckReject
		case value == "r-003":
			return kgo.AckRelease
		}
		return kgo.AckAccept
	})
	waitForLag(t, seeds, group, topic, 0)
	got := w.seen()
	slices.Sort(got)
	want := []string{"r-000 #1", "r-001 #1", "r-001 #2", "r-002 #1", "r-003 #1", "r-003 #2", "r-003 #3", "r-004 #1"}
	if !slices.Equal(got, want) {
		t.Errorf("deliveries\n got %v\nwant %v", got, want)
	}
}

// A member that stops without a word gives its records back with its connection, and another has them.
func TestShare_AnotherTakesOver(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	topic, group := newTopic(t, seeds, 1, nil), shareGroup(t, seeds)
	produceFranz(t, seeds, topic, "none", countedRecords("r", 5))
	silent := newKgo(t, seeds, kgo.ShareGroup(group), kgo.ConsumeTopics(topic))
	if n := silent.PollFetches(within(t, patience)).NumRecords(); n == 0 {
		t.Fatal("the first member got nothing")
	}
	silent.Close()
	w := startWorker(t, seeds, group, topic, accept)
	waitForLag(t, seeds, group, topic, 0)
	values := map[string]bool{}
	for _, g := range w.seen() {
		values[g[:5]] = true
	}
	if len(values) == 0 {
		t.Error("the second member got nothing")
	}
}

// The broker is killed while members work: nothing that was accepted comes again, nothing is lost,
// and deliveries are counted on.
func TestShare_SurvivesKills(t *testing.T) {
	t.Parallel()
	if external != "" {
		t.Skip("kills the broker, and that of MILLRACE_COMPAT_BROKERS is not ours to kill")
	}
	broker := brokertest.Start(t)
	seeds := []string{broker.Addr}
	topic, group := newTopic(t, seeds, 2, nil), shareGroup(t, seeds)
	configureGroup(t, newKgo(t, seeds), group, "share.delivery.count.limit", "10")
	var mu sync.Mutex
	tries := map[string]int32{} // the highest delivery count of a record that is released
	decide := func(value string, delivery int32) kgo.AckStatus {
		mu.Lock()
		defer mu.Unlock()
		tries[value] = max(tries[value], delivery)
		if value[len(value)-1] == '7' && delivery < 3 {
			return kgo.AckRelease
		}
		return kgo.AckAccept
	}
	for range 2 {
		startWorker(t, seeds, group, topic, decide)
	}
	for round := range 3 {
		if round > 0 {
			broker.Kill()
			broker.Restart()
		}
		produceFranz(t, seeds, topic, "none", countedRecords(fmt.Sprint("round", round), 40))
		waitForLag(t, seeds, group, topic, 0)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(tries) != 120 {
		t.Errorf("%d records came, want 120", len(tries))
	}
	for value, n := range tries {
		if value[len(value)-1] == '7' && n < 3 {
			t.Errorf("%s was done after %d deliveries", value, n)
		}
	}
}

// A share group that reads committed records only is given those of committed transactions, others are given all; both
// go past markers, the last one too: nothing is left in the end.
func TestShare_Isolation(t *testing.T) {
	t.Parallel()
	committed := []string{"first 0 #1", "first 1 #1", "first 2 #1", "second 0 #1", "second 1 #1", "second 2 #1"}
	for isolation, want := range map[string][]string{
		"read_committed":   committed,
		"read_uncommitted": append([]string{"never 0 #1", "never 1 #1", "never 2 #1"}, committed...),
	} {
		t.Run(isolation, func(t *testing.T) {
			t.Parallel()
			seeds := seeds(t)
			topic, group := newTopic(t, seeds, 1, nil), shareGroup(t, seeds)
			configureGroup(t, newKgo(t, seeds), group, "share.isolation.level", isolation)
			producer := newKgo(t, seeds, kgo.DefaultProduceTopic(topic), kgo.TransactionalID(uniqueName(t, "txn")))
			transaction := func(value string, end kgo.TransactionEndTry) {
				t.Helper()
				if err := producer.BeginTransaction(); err != nil {
					t.Fatal(err)
				}
				for i := range 3 {
					if err := producer.ProduceSync(within(t, patience), kgo.StringRecord(fmt.Sprint(value, i))).FirstErr(); err != nil {
						t.Fatal(err)
					}
				}
				if err := producer.EndTransaction(within(t, patience), end); err != nil {
					t.Fatal(err)
				}
			}
			// It is there from the start: the last marker comes when all records are done.
			w := startWorker(t, seeds, group, topic, accept)
			transaction("first ", kgo.TryCommit)
			transaction("never ", kgo.TryAbort)
			transaction("second ", kgo.TryCommit)
			eventually(t, "records came", func(context.Context) (bool, string) {
				got := w.seen()
				return len(got) >= len(want), fmt.Sprint(got)
			})
			got := w.seen()
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("got %v", got)
			}
			waitForLag(t, seeds, group, topic, 0)
		})
	}
}
