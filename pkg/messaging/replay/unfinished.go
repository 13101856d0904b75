package replay

import (
	"context"
	"fmt"
	"hash/maphash"

	"github.com/IBM/sarama"

	"millrace/pkg/events"
)

// unfinished knows the messages that the group had given up or put off. It keeps 16
// bytes of each, by a hash that nobody outside can foresee.
type unfinished struct {
	seed    maphash.Seed
	waiting map[uint64]struct{} // lies in a retry topic and was not looked at yet
	dead    map[uint64]int64    // time of its latest dead letter, in milliseconds
	retried map[uint64]int64    // time of its latest record in a retry topic that was looked at
}

func newUnfinished() unfinished {
	return unfinished{seed: maphash.MakeSeed(), waiting: map[uint64]struct{}{}, dead: map[uint64]int64{}, retried: map[uint64]int64{}}
}

// has tells whether the effect of a message is still to come from somewhere else. A
// dead letter that is as old as the latest try counts as younger: to take a mail for
// sent that was not would be worse than to know nothing of one that was.
func (u *unfinished) has(id string) bool {
	h := maphash.String(u.seed, id)
	if _, waits := u.waiting[h]; waits {
		return true
	}
	died, dead := u.dead[h]
	tried, again := u.retried[h]
	return dead && (!again || died >= tried)
}

// findUnfinished reads the dead letter topics and the retry topics of the group.
func (r *Replay) findUnfinished(ctx context.Context) error {
	r.unfinished = newUnfinished()
	u := &r.unfinished
	for _, t := range r.topics {
		switch t.role {
		case Retry:
			var spans []span
			committed := map[int32]int64{}
			for _, p := range t.partitions {
				spans = append(spans, span{t.name, p, p.Start, p.End})
				committed[p.Partition] = p.Committed
			}
			err := r.read(ctx, spans, func(_ context.Context, batch []*sarama.ConsumerMessage) error {
				for _, m := range batch {
					headers := headersOf(m)
					retry, ok, err := events.ParseRetry(headers)
					if !ok || err != nil {
						continue // the group gives it up too; it is counted where it is replayed
					}
					h := maphash.String(u.seed, idOf(headers, retry.Topic, retry.Partition, retry.Offset))
					if m.Offset >= committed[m.Partition] {
						u.waiting[h] = struct{}{}
					} else {
						u.retried[h] = max(u.retried[h], m.Timestamp.UnixMilli())
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
		case Input:
			if err := r.findDeadLetters(ctx, events.DeadLetterTopic(t.name)); err != nil {
				return err
			}
		case Own:
		}
	}
	return nil
}

func (r *Replay) findDeadLetters(ctx context.Context, name string) error {
	letters := &topic{name: name}
	for p := range r.existing[name].NumPartitions { // none: nothing was ever given up
		letters.partitions = append(letters.partitions, &partition{PartitionReport: PartitionReport{Partition: p}})
	}
	if err := r.bounds(letters); err != nil {
		return err
	}
	var spans []span
	for _, p := range letters.partitions {
		spans = append(spans, span{name, p, p.Start, p.End})
	}
	u := &r.unfinished
	return r.read(ctx, spans, func(_ context.Context, batch []*sarama.ConsumerMessage) error {
		for _, m := range batch {
			letter, err := events.DecodeDeadLetter(m.Value)
			if err != nil {
				r.report.skipped("no readable dead letter", fmt.Sprintf("%s/%d offset %d: %v", m.Topic, m.Partition, m.Offset, err))
				continue
			}
			if letter.Group != r.config.Group {
				continue
			}
			id := letter.MessageID
			if id == "" {
				id = idOf(letter.Headers, letter.OriginalTopic, letter.OriginalPartition, letter.OriginalOffset)
			}
			h := maphash.String(u.seed, id)
			u.dead[h] = max(u.dead[h], m.Timestamp.UnixMilli())
		}
		return nil
	})
}
