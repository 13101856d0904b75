package course

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/scenario"
)

// sessionOf is the session timeout of members: short where the broker allows it, so
// that a death is noticed soon.
func sessionOf(b *scenario.Broker) time.Duration { return max(b.MinSession, time.Second) }

// group is a topic with a group of members, each a process of its own.
type group struct {
	broker      *scenario.Broker
	topic, name string
	partitions  int32
	session     time.Duration
	watch       *scenario.GroupWatch
	producer    *kgo.Client
	members     []*scenario.Member
	sent        []string // values
}

// newGroup makes the topic and starts to show the group. Call end.
func newGroup(ctx context.Context, s *scenario.Stage, topic, name string, partitions int32) (*group, error) {
	b, err := s.Env.Broker(ctx, scenario.AnyBroker)
	if err != nil {
		return nil, err
	}
	g := &group{broker: b, partitions: partitions, session: sessionOf(b)}
	if g.topic, err = b.Topic(ctx, topic, partitions); err != nil {
		return nil, err
	}
	g.name = b.Group(name)
	if g.producer, err = b.Client(kgo.DefaultProduceTopic(g.topic), kgo.RecordPartitioner(kgo.ManualPartitioner())); err != nil {
		return nil, err
	}
	g.watch = s.WatchGroup(ctx, b.Admin(), g.name, g.topic)
	return g, nil
}

func (g *group) end() { g.watch.Stop() }

// join starts a further member.
func (g *group) join(name string) *scenario.Member {
	m := g.broker.Member(name, g.name, g.topic, g.session)
	g.members = append(g.members, m)
	return m
}

// send writes so many records to each partition.
func (g *group) send(ctx context.Context, each int) error {
	var records []*kgo.Record
	for range each {
		for p := range g.partitions {
			value := fmt.Sprintf("record %d", len(g.sent))
			g.sent = append(g.sent, value)
			records = append(records, &kgo.Record{Partition: p, Value: []byte(value)})
		}
	}
	return produce(ctx, g.producer, records...)
}

// delivery is what became of the records.
type delivery struct {
	Sent int `json:"sent"`
	Lost int `json:"lost"`
	// Again counts records that were read more than once: after a death, those whose
	// offsets the dead one had not committed.
	Again int `json:"read_again"`
}

// delivered waits until everything that was sent has been read, and counts.
func (g *group) delivered(ctx context.Context) (delivery, error) {
	err := scenario.AwaitAll(ctx, g.sent, g.members...)
	times := map[string]int{}
	for _, m := range g.members {
		for _, got := range m.Got() {
			times[got.Value]++
		}
	}
	d := delivery{Sent: len(g.sent)}
	for _, value := range g.sent {
		switch n := times[value]; {
		case n == 0:
			d.Lost++
		case n > 1:
			d.Again += n - 1
		}
	}
	return d, err
}
