package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/IBM/sarama"

	"millrace/pkg/events"
	"millrace/pkg/fault"
	"millrace/pkg/postgres"
)

// Reasons of a Skip.
const (
	// Unreadable: no event that this program knows. The service gives such a record up.
	Unreadable = "unreadable"
	// Foreign: an event that does not belong into its topic.
	Foreign = "misplaced"
	// Refused: an event that the database does not take.
	Refused = "refused"
)

// maxRounds bounds how often own topics are looked at again because they grew.
const maxRounds = 10

// Run reads the topics and has the steps take them, in their order; verify then looks
// at the result and finds what is wrong with it. The group's offsets are set last.
func (r *Replay) Run(ctx context.Context, steps []Step, verify func(context.Context) error) (Report, error) {
	group := fault.Attr{Key: fault.Group, Value: r.config.Group}
	if err := r.config.Faults.Hit(ctx, fault.ReplayBeforeRestore, group); err != nil {
		return r.report, err
	}
	if err := r.findUnfinished(ctx); err != nil {
		return r.report, err
	}
	for _, s := range steps {
		if err := r.step(ctx, s); err != nil {
			return r.report, err
		}
	}
	if err := verify(ctx); err != nil {
		return r.report, err
	}
	if err := r.config.Faults.Hit(ctx, fault.ReplayAfterRestore, group); err != nil {
		return r.report, err
	}
	if err := r.reset(); err != nil {
		return r.report, err
	}
	if err := r.config.Faults.Hit(ctx, fault.ReplayAfterReset, group); err != nil {
		return r.report, err
	}
	r.describe()
	return r.report, nil
}

// DatabaseMade notes that there was no database.
func (r *Replay) DatabaseMade() { r.report.Database = "missing" }

// Restored counts things that were not there and are now.
func (r *Replay) Restored(what string, n int64) { r.report.restored(what, n) }

// Skip notes that a record left no trace.
func (r *Replay) Skip(reason string, record Record, why string) {
	r.report.skipped(reason, fmt.Sprintf("%s %s: %s", record.Event.Type(), record.Event.Key(), why))
}

// Find puts something in words that somebody should know of.
func (r *Replay) Find(format string, args ...any) { r.report.find(format, args...) }

// Again has a record delivered to the group again: it was handled, but its effect is
// nowhere. The records behind it come again, too, which changes nothing.
func (r *Replay) Again(record Record) {
	if p := record.partition; p.again < 0 || record.offset < p.again {
		p.again = record.offset
	}
}

func (r *Replay) topic(name string, role Role) *topic {
	for _, t := range r.topics {
		if t.name == name && t.role == role {
			return t
		}
	}
	panic("replay: a step for topic " + name + ", which is none of group " + r.config.Group)
}

// step replays one topic.
func (r *Replay) step(ctx context.Context, s Step) error {
	for _, t := range r.topics {
		if t.name == s.Topic && t.role == Own {
			return r.own(ctx, t, s)
		}
	}
	t := r.topic(s.Topic, Input)
	retry := r.topic(events.RetryTopic(s.Topic, r.config.Group), Retry)
	if err := r.take(ctx, retry, s, false); err != nil {
		return err
	}
	if s.ToEnd {
		// As of now: decisions that were read before this are about records that lie here.
		if err := r.bounds(t); err != nil {
			return err
		}
	}
	return r.take(ctx, t, s, s.ToEnd)
}

// own replays a topic of the service itself to its end. Should it have grown meanwhile
// (what was on its way when the service ended), what is new is read, too.
func (r *Replay) own(ctx context.Context, t *topic, s Step) error {
	for range maxRounds {
		if err := r.bounds(t); err != nil {
			return err
		}
		grown := false
		for _, p := range t.partitions {
			grown = grown || max(p.From, p.To) < p.End
		}
		if !grown {
			return nil
		}
		if err := r.take(ctx, t, s, true); err != nil {
			return err
		}
	}
	return fmt.Errorf("topic %s keeps growing, but only the service of group %s writes it: stop all of its instances", t.name, r.config.Group)
}

// take reads what was not read yet of a topic and applies it.
func (r *Replay) take(ctx context.Context, t *topic, s Step, toEnd bool) error {
	spans := make([]span, 0, len(t.partitions))
	at := map[int32]*partition{}
	for _, p := range t.partitions {
		to := p.End
		if !toEnd {
			to = max(p.Committed, p.From)
		}
		spans = append(spans, span{t.name, p, max(p.From, p.To), to})
		at[p.Partition] = p
		p.To = max(p.From, to)
	}
	return r.read(ctx, spans, func(ctx context.Context, batch []*sarama.ConsumerMessage) error {
		records := make([]Record, 0, len(batch))
		for _, m := range batch {
			p := at[m.Partition]
			p.Read++
			record, ok := r.record(t, p, m)
			if !ok {
				continue
			}
			if err := s.Accept(record); err != nil {
				because := &refusal{Refused, err.Error()}
				_ = errors.As(err, &because)
				r.Skip(because.reason, record, because.why)
				continue
			}
			records = append(records, record)
		}
		if len(records) == 0 {
			return nil
		}
		return r.apply(ctx, s, records)
	})
}

// record reads a record as the group's handler does.
func (r *Replay) record(t *topic, p *partition, m *sarama.ConsumerMessage) (Record, bool) {
	headers := headersOf(m)
	place := Position{Topic: t.name, Partition: m.Partition, Offset: m.Offset}
	timestamp := m.Timestamp
	unreadable := func(err error) (Record, bool) {
		r.report.skipped(Unreadable, fmt.Sprintf("%s/%d offset %d: %v", m.Topic, m.Partition, m.Offset, err))
		return Record{}, false
	}
	if t.role == Retry {
		retry, ok, err := events.ParseRetry(headers)
		if err == nil && !ok {
			err = errors.New("no record of a retry topic")
		}
		if err != nil {
			return unreadable(err)
		}
		place = Position{Topic: retry.Topic, Partition: retry.Partition, Offset: retry.Offset}
		if !retry.Timestamp.IsZero() {
			timestamp = retry.Timestamp
		}
	}
	if err := events.CheckVersion(headers[events.HeaderEventVersion]); err != nil {
		return unreadable(err)
	}
	event, err := events.Decode(m.Value)
	if err != nil {
		return unreadable(err)
	}
	record := Record{
		ID: idOf(headers, place.Topic, place.Partition, place.Offset), Key: m.Key, Headers: headers, Timestamp: timestamp.UTC(),
		Event: event, partition: p, offset: m.Offset,
	}
	if t.role != Own {
		record.Unfinished = r.unfinished.has(record.ID)
		record.Handled = m.Offset < p.Committed && !record.Unfinished
		if record.Unfinished && t.role == Input {
			r.report.Unfinished++
		}
	}
	return record, true
}

// apply halves a batch whose data the database refuses, until the culprit is alone.
func (r *Replay) apply(ctx context.Context, s Step, records []Record) error {
	err := s.Apply(ctx, records)
	switch {
	case err == nil || !postgres.IsDataError(err):
		return err
	case len(records) == 1:
		r.Skip(Refused, records[0], err.Error())
		return nil
	}
	half := len(records) / 2
	if err := r.apply(ctx, s, records[:half]); err != nil {
		return err
	}
	return r.apply(ctx, s, records[half:])
}

// reset sets the group's offsets back to what has to be delivered again, in one request.
func (r *Replay) reset() error {
	offsets := map[string]map[int32]sarama.OffsetAndMetadata{}
	for _, t := range r.topics {
		for _, p := range t.partitions {
			if p.again < 0 || p.again >= p.Committed {
				continue
			}
			p.Next = p.again
			p.Redelivered = p.Committed - p.Next
			r.report.Redelivered += p.Redelivered
			if offsets[t.name] == nil {
				offsets[t.name] = map[int32]sarama.OffsetAndMetadata{}
			}
			offsets[t.name][p.Partition] = sarama.OffsetAndMetadata{Offset: p.Next, LeaderEpoch: -1, Metadata: "millrace replay"}
		}
	}
	if r.config.DryRun || len(offsets) == 0 {
		return nil
	}
	// A member that has joined meanwhile is told of by name; one that joins after this
	// makes the broker refuse the request.
	if err := r.checkIdle(); err != nil {
		return err
	}
	answer, err := r.admin.AlterConsumerGroupOffsets(r.config.Group, offsets, nil)
	if err != nil {
		return fmt.Errorf("set the offsets of group %s: %w", r.config.Group, err)
	}
	for name, partitions := range answer.Errors {
		for number, code := range partitions {
			if code != sarama.ErrNoError {
				return fmt.Errorf("set the offset of group %s in %s/%d: %w", r.config.Group, name, number, code)
			}
		}
	}
	return nil
}

// describe completes the report. Partitions are read side by side; what is told of them
// is sorted, so that the same replay gives the same report.
func (r *Replay) describe() {
	slices.SortFunc(r.report.Skipped, func(a, b Skip) int { return strings.Compare(a.Reason, b.Reason) })
	slices.Sort(r.report.Findings)
	for _, t := range r.topics {
		if !t.exists {
			continue
		}
		report := TopicReport{Topic: t.name, Role: t.role, Partitions: []PartitionReport{}}
		for _, p := range t.partitions {
			report.Partitions = append(report.Partitions, p.PartitionReport)
		}
		r.report.Topics = append(r.report.Topics, report)
	}
	r.report.Seconds = time.Since(r.began).Round(time.Millisecond).Seconds()
}
