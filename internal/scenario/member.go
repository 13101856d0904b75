package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// MemberConfig is a consumer of a group that runs as a process of its own, so that
// it can be killed for real.
type MemberConfig struct {
	Brokers  string // bootstrap addresses, with commas
	Group    string
	Topic    string
	ClientID string
	Session  time.Duration // session.timeout.ms
}

// fetchMaxWait is the default of fetch.max.wait.ms.
const fetchMaxWait = 500 * time.Millisecond

// Got is a record that a member has read, as it prints it.
type Got struct {
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Key       string `json:"key"`
	Value     string `json:"value"`
}

// RunMember is the member's process: it prints each record as a line of JSON and
// commits afterwards, until ctx ends.
func RunMember(ctx context.Context, c MemberConfig, out io.Writer) error {
	const beats = 4 // heartbeats in a session
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(c.Brokers, ",")...), kgo.ClientID(c.ClientID),
		kgo.ConsumerGroup(c.Group), kgo.ConsumeTopics(c.Topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(c.Session), kgo.HeartbeatInterval(c.Session/beats),
		// As in Kafka's own consumer: new partitions are asked for when the running fetch is back.
		kgo.FetchMaxWait(fetchMaxWait),
		kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
	)
	if err != nil {
		return err
	}
	defer client.CloseAllowingRebalance() // leaves the group
	encoder := json.NewEncoder(out)
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		var failed error
		fetches.EachError(func(topic string, _ int32, err error) { failed = errors.Join(failed, fmt.Errorf("%s: %w", topic, err)) })
		fetches.EachRecord(func(r *kgo.Record) {
			failed = errors.Join(failed, encoder.Encode(Got{Partition: r.Partition, Offset: r.Offset, Key: string(r.Key), Value: string(r.Value)}))
		})
		if failed != nil {
			return failed
		}
		// Commit after the work. One that comes too late for a rebalance is refused: the
		// records come again, to the next holder.
		_ = client.CommitUncommittedOffsets(ctx)
		client.AllowRebalance()
	}
}

// Member is a running member, seen from the scenario.
type Member struct {
	Name    string
	process *process

	mu  sync.Mutex // guards got
	got []Got
}

const memberStop = 5 * time.Second

// Member starts a consumer of a group as a process of its own. It is ended at Close.
func (b *Broker) Member(name, group, topic string, session time.Duration) *Member {
	m := &Member{Name: name}
	m.process = b.env.start(name, []string{
		"scenario", "member", "--brokers", strings.Join(b.Addrs, ","), "--group", group, "--topic", topic,
		"--client-id", name, "--session", session.String(),
	}, m.line)
	b.env.atEnd(func(ctx context.Context) error {
		m.process.stop(ctx, memberStop)
		return nil
	})
	return m
}

func (m *Member) line(line []byte) {
	var g Got
	if json.Unmarshal(line, &g) != nil {
		return // a message; shown when the process fails
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.got = append(m.got, g)
}

// Got lists what it has read so far.
func (m *Member) Got() []Got {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.got[:len(m.got):len(m.got)]
}

// Kill ends it as kill -9 does: it does not leave its group.
func (m *Member) Kill() error { return m.process.kill() }

// AwaitAll waits until the members together have read every one of the values.
func AwaitAll(ctx context.Context, values []string, members ...*Member) error {
	return Poll(ctx, "the members", func(context.Context) error {
		seen := map[string]bool{}
		for _, m := range members {
			for _, g := range m.Got() {
				seen[g.Value] = true
			}
		}
		missing := 0
		for _, v := range values {
			if !seen[v] {
				missing++
			}
		}
		if missing > 0 {
			return fmt.Errorf("%d of %d records have not been read", missing, len(values))
		}
		return nil
	})
}
