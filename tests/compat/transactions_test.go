package compat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"

	"millrace/broker/brokertest"
)

// transactor is a producer of one library, at one version of the protocol.
type transactor interface {
	begin(t *testing.T)
	send(t *testing.T, topic string, values ...string)
	end(t *testing.T, commit bool)
}

// transactors are the producers that each test of transactions is run with: those whose
// transactions have an epoch each (KIP-890), those before, and another library.
var transactors = []struct {
	name  string
	start func(t *testing.T, seeds []string, id string) transactor
}{
	{"franz-go", func(t *testing.T, seeds []string, id string) transactor {
		t.Helper()
		return newFranzTxn(t, seeds, id)
	}},
	{"franz-go 3.6", func(t *testing.T, seeds []string, id string) transactor {
		t.Helper()
		return newFranzTxn(t, seeds, id, kgo.MaxVersions(kversion.V3_6_0()))
	}},
	{"sarama", newSaramaTxn},
}

type franzTxn struct{ client *kgo.Client }

func newFranzTxn(t *testing.T, seeds []string, id string, opts ...kgo.Opt) *franzTxn {
	t.Helper()
	return &franzTxn{newKgo(t, seeds, append([]kgo.Opt{kgo.TransactionalID(id), kgo.RecordPartitioner(kgo.RoundRobinPartitioner())}, opts...)...)}
}

func (f *franzTxn) begin(t *testing.T) {
	t.Helper()
	if err := f.client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
}

func (f *franzTxn) send(t *testing.T, topic string, values ...string) {
	t.Helper()
	if err := f.client.ProduceSync(within(t, patience), txnRecords(topic, values)...).FirstErr(); err != nil {
		t.Fatalf("produce: %v", err)
	}
}

func txnRecords(topic string, values []string) (out []*kgo.Record) {
	for _, v := range values {
		out = append(out, &kgo.Record{Topic: topic, Value: []byte(v)})
	}
	return out
}

func (f *franzTxn) end(t *testing.T, commit bool) {
	t.Helper()
	if err := f.client.EndTransaction(within(t, patience), kgo.TransactionEndTry(commit)); err != nil {
		t.Fatalf("end of transaction: %v", err)
	}
}

type saramaTxn struct{ producer sarama.SyncProducer }

func newSaramaTxn(t *testing.T, seeds []string, id string) transactor {
	t.Helper()
	config := saramaConfig(sarama.V2_8_0_0)
	config.Producer.Idempotent, config.Net.MaxOpenRequests = true, 1
	config.Producer.Transaction.ID = id
	config.Producer.Partitioner = sarama.NewRoundRobinPartitioner
	p, err := sarama.NewSyncProducer(seeds, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return &saramaTxn{p}
}

func (s *saramaTxn) begin(t *testing.T) {
	t.Helper()
	if err := s.producer.BeginTxn(); err != nil {
		t.Fatal(err)
	}
}

func (s *saramaTxn) send(t *testing.T, topic string, values ...string) {
	t.Helper()
	var out []*sarama.ProducerMessage
	for _, v := range values {
		out = append(out, &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(v)})
	}
	if err := s.producer.SendMessages(out); err != nil {
		t.Fatal(err)
	}
}

func (s *saramaTxn) end(t *testing.T, commit bool) {
	t.Helper()
	end := s.producer.AbortTxn
	if commit {
		end = s.producer.CommitTxn
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
}

// reader reads a topic from its start and keeps the values.
type reader struct {
	mu     sync.Mutex
	values []string
}

func (r *reader) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.values)
}

func (r *reader) add(v string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.values = append(r.values, v)
}

// readCommitted and readUncommitted follow a topic with franz-go until the test ends.
func readCommitted(t *testing.T, seeds []string, topic string) *reader {
	t.Helper()
	return follow(t, seeds, topic, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
}

func readUncommitted(t *testing.T, seeds []string, topic string) *reader {
	t.Helper()
	return follow(t, seeds, topic)
}

func follow(t *testing.T, seeds []string, topic string, opts ...kgo.Opt) *reader {
	t.Helper()
	client := newKgo(t, seeds, append(opts, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(500*time.Millisecond))...)
	ctx, cancel := context.WithCancel(context.Background())
	r, done := &reader{}, make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			client.PollFetches(ctx).EachRecord(func(rec *kgo.Record) { r.add(string(rec.Value)) })
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return r
}

// readSarama follows a topic's partitions with sarama, committed records only.
func readSarama(t *testing.T, seeds []string, topic string, partitions int32) *reader {
	t.Helper()
	config := saramaConfig(sarama.V2_8_0_0)
	config.Consumer.IsolationLevel = sarama.ReadCommitted
	consumer, err := sarama.NewConsumer(seeds, config)
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{}
	var wg sync.WaitGroup
	var parts []sarama.PartitionConsumer
	for p := range partitions {
		pc, err := consumer.ConsumePartition(topic, p, sarama.OffsetOldest)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for m := range pc.Messages() {
				r.add(string(m.Value))
			}
		})
		wg.Go(func() {
			for range pc.Errors() {
			}
		})
		parts = append(parts, pc)
	}
	t.Cleanup(func() {
		for _, pc := range parts {
			pc.AsyncClose()
		}
		wg.Wait()
		_ = consumer.Close()
	})
	return r
}

// wantValues waits until a reader has exactly these values, in any order.
func wantValues(t *testing.T, what string, r *reader, want []string) {
	t.Helper()
	want = slices.Sorted(slices.Values(want))
	eventually(t, what, func(context.Context) (bool, string) {
		got := r.all()
		slices.Sort(got)
		return slices.Equal(got, want), fmt.Sprintf("has %d values %.300q, want %d", len(got), got, len(want))
	})
}

func numbered(prefix string, n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprintf("%s-%d", prefix, i))
	}
	return out
}

// Readers of committed records get those of committed transactions and no others, from whichever library.
func TestTransactions_CommittedAndAborted(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	for _, c := range transactors {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			const partitions = 3
			topic := newTopic(t, seeds, partitions, nil)
			p := c.start(t, seeds, uniqueName(t, "txn"))
			committed, all, bySarama := readCommitted(t, seeds, topic), readUncommitted(t, seeds, topic), readSarama(t, seeds, topic, partitions)
			var want, every []string
			for round := range 6 {
				commit := round%3 != 1
				values := numbered(fmt.Sprintf("round-%d", round), 20)
				p.begin(t)
				p.send(t, topic, values[:10]...)
				p.send(t, topic, values[10:]...)
				p.end(t, commit)
				every = append(every, values...)
				if commit {
					want = append(want, values...)
				}
			}
			wantValues(t, "committed records", committed, want)
			wantValues(t, "committed records by sarama", bySarama, want)
			wantValues(t, "all records", all, every)
		})
	}
}

// An open transaction keeps readers of committed records back, also from records outside of it that
// follow; when its time is over it is aborted, and they go on.
func TestTransactions_TimeOut(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	for _, version := range []string{"", "3.6"} {
		t.Run("version "+version, func(t *testing.T) {
			t.Parallel()
			topic := newTopic(t, seeds, 1, nil)
			opts := []kgo.Opt{kgo.TransactionTimeout(3 * time.Second)}
			if version != "" {
				opts = append(opts, kgo.MaxVersions(kversion.V3_6_0()))
			}
			silent := newFranzTxn(t, seeds, uniqueName(t, "txn"), opts...)
			silent.begin(t)
			silent.send(t, topic, "never committed")
			if err := newKgo(t, seeds).ProduceSync(within(t, patience), &kgo.Record{Topic: topic, Value: []byte("after")}).FirstErr(); err != nil {
				t.Fatal(err)
			}
			committed, all := readCommitted(t, seeds, topic), readUncommitted(t, seeds, topic)
			wantValues(t, "all records", all, []string{"never committed", "after"})
			if got := committed.all(); len(got) != 0 {
				t.Errorf("committed while the transaction is open: %v", got)
			}
			committedEnd, err := newAdmin(t, seeds).ListCommittedOffsets(within(t, patience), topic)
			if err != nil {
				t.Fatal(err)
			}
			if o, _ := committedEnd.Lookup(topic, 0); o.Offset != 0 && o.Offset != 3 {
				t.Errorf("the last stable offset is %d", o.Offset)
			}
			wantValues(t, "committed records", committed, []string{"after"})

			// The producer is fenced off, and can begin anew.
			err = silent.client.EndTransaction(within(t, patience), kgo.TryCommit)
			if err == nil {
				t.Error("a transaction that was aborted is committed")
			}
		})
	}
}

// A second process takes over the id: whatever the first has written does not count, and it hears of it.
func TestTransactions_ZombieIsFenced(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	for _, version := range []string{"", "3.6"} {
		t.Run("version "+version, func(t *testing.T) {
			t.Parallel()
			var opts []kgo.Opt
			if version != "" {
				opts = append(opts, kgo.MaxVersions(kversion.V3_6_0()))
			}
			topic, id := newTopic(t, seeds, 2, nil), uniqueName(t, "txn")
			zombie := newFranzTxn(t, seeds, id, opts...)
			zombie.begin(t)
			zombie.send(t, topic, numbered("zombie", 10)...)

			next := newFranzTxn(t, seeds, id, opts...)
			next.begin(t)
			next.send(t, topic, numbered("next", 10)...)

			err := zombie.client.ProduceSync(within(t, patience), txnRecords(topic, numbered("late", 4))...).FirstErr()
			if err == nil {
				err = zombie.client.EndTransaction(within(t, patience), kgo.TryCommit)
			}
			if !errors.Is(err, kerr.InvalidProducerEpoch) && !errors.Is(err, kerr.ProducerFenced) && !errors.Is(err, kerr.InvalidTxnState) {
				t.Errorf("the zombie got %v", err)
			}
			next.end(t, true)
			wantValues(t, "committed records", readCommitted(t, seeds, topic), numbered("next", 10))
		})
	}
}

// Consume, transform, produce: each input is in the output once, though members come and go, transactions
// are aborted, and, where the broker is ours to kill, it is killed twice on the way.
func TestTransactions_ExactlyOnce(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"", "3.6"} {
		t.Run("version "+version, func(t *testing.T) {
			t.Parallel()
			var broker *brokertest.Broker
			seeds := strings.Split(external, ",")
			if external == "" {
				broker = brokertest.Start(t)
				seeds = []string{broker.Addr}
			}
			var opts []kgo.Opt
			if version != "" {
				opts = append(opts, kgo.MaxVersions(kversion.V3_6_0()))
			}
			exactlyOnce(t, seeds, broker, opts)
		})
	}
}

func exactlyOnce(t *testing.T, seeds []string, broker *brokertest.Broker, opts []kgo.Opt) {
	t.Helper()
	const records, members = 600, 3
	in, out, group := newTopic(t, seeds, 4, nil), newTopic(t, seeds, 4, nil), uniqueName(t, "group")
	values := numbered("order", records)
	if err := newKgo(t, seeds, kgo.RecordPartitioner(kgo.RoundRobinPartitioner())).ProduceSync(within(t, patience), txnRecords(in, values)...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() { cancel(); wg.Wait() })
	for i := range members {
		s, err := kgo.NewGroupTransactSession(append(opts,
			kgo.SeedBrokers(seeds...), kgo.ConsumerGroup(group), kgo.ConsumeTopics(in), kgo.TransactionalID(uniqueName(t, fmt.Sprint("txn-", i))),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
			kgo.SessionTimeout(sessionTimeout), kgo.RebalanceTimeout(rebalanceTimeout), kgo.HeartbeatInterval(heartbeatInterval),
			kgo.TransactionTimeout(10*time.Second), kgo.FetchMaxPartitionBytes(200), kgo.FetchMaxBytes(400), // a few records at a time
		)...)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { transform(ctx, t, s, out, i) })
	}
	committed := readCommitted(t, seeds, out)
	if broker != nil {
		for _, part := range []int{records / 6, records / 2} {
			eventually(t, "some of the output", func(context.Context) (bool, string) {
				n := len(committed.all())
				return n >= part, strconv.Itoa(n)
			})
			broker.Kill()
			broker.Restart()
		}
	}
	want := make([]string, records)
	for i, v := range values {
		want[i] = "done " + v
	}
	wantValues(t, "output", committed, want)
}

// transform is one member: it aborts every fifth transaction of its own will, and after any error.
func transform(ctx context.Context, t *testing.T, s *kgo.GroupTransactSession, out string, seed int) {
	t.Helper()
	defer s.Close()
	for n := seed; ctx.Err() == nil; n++ {
		fetches := s.PollFetches(ctx)
		if fetches.NumRecords() == 0 {
			continue
		}
		if err := s.Begin(); err != nil {
			t.Errorf("begin: %v", err)
			return
		}
		failed := kgo.AbortingFirstErrPromise(s.Client())
		fetches.EachRecord(func(r *kgo.Record) {
			s.Produce(ctx, &kgo.Record{Topic: out, Value: []byte("done " + string(r.Value))}, failed.Promise())
		})
		commit := failed.Err() == nil && n%5 != 0
		// An error here is told to the session, which goes back to what is committed.
		_, _ = s.End(ctx, kgo.TransactionEndTry(commit))
	}
}
