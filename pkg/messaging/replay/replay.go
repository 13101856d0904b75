package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/IBM/sarama"

	"millrace/pkg/events"
	"millrace/pkg/fault"
	"millrace/pkg/messaging"
)

// Config says what is replayed.
type Config struct {
	Kafka messaging.Config
	// Group is the service's consumer group.
	Group string
	// Own are the topics that the service writes and whose records are its state.
	Own []string
	// NeedsProgress is set where the state can only be built by the group's committed
	// offsets: Open refuses a group that has none.
	NeedsProgress bool

	From From
	// DryRun reads everything and changes no offsets; the caller sees to it that the
	// database stays as it is.
	DryRun bool
	// AllowGaps goes on when records are missing in the log, and reports them.
	AllowGaps bool
	// Progress is told a few times a second; nil: nobody is.
	Progress func(Progress)
	Faults   *fault.Set
}

// Points are the fault points of a replay.
func Points() []fault.Point {
	return []fault.Point{fault.ReplayBeforeRestore, fault.ReplayAfterRestore, fault.ReplayAfterReset}
}

// Step is one topic whose records the service takes.
type Step struct {
	Topic string
	// ToEnd reads an input to its end, and not only what was handled. Own topics are.
	ToEnd bool
	// Accept is asked once about each record; it returns nil, or why the record leaves no
	// trace: an error of this package's [Misplaced] or [Refuse], or any other.
	Accept func(Record) error
	// Apply takes a batch of records that can be read as events. Records of a partition
	// come in their order, those of the group's retry topic before the others. It stores
	// all of them or none: when the database refuses the data of one, the batch comes
	// again in parts, until only that one is left out.
	Apply func(ctx context.Context, batch []Record) error
}

// Replay is one that was opened. It is used by one goroutine.
type Replay struct {
	config Config
	client sarama.Client
	admin  sarama.ClusterAdmin

	topics     []*topic // own, then inputs, each input followed by its retry topic
	existing   map[string]sarama.TopicDetail
	unfinished unfinished
	report     Report
	began      time.Time
}

// topic is a topic of the group as it was found.
type topic struct {
	name       string
	role       Role
	exists     bool
	partitions []*partition
}

type partition struct {
	PartitionReport
	again int64 // the first offset that has to be delivered again, -1: none
}

// fetchWait is how long the broker may hold an answer back until there is more to it. The
// end of a topic is known here, and closing a reader waits for the answer.
const fetchWait = 20 * time.Millisecond

// marginBefore is taken off a time: clocks differ, and what was stored at a moment
// may be in the log a little later.
const marginBefore = time.Minute

// Open connects and checks that the replay may begin. It changes nothing. The caller
// closes the Replay.
func Open(ctx context.Context, c Config) (_ *Replay, err error) {
	settings, err := c.Kafka.Sarama()
	if err != nil {
		return nil, err
	}
	settings.Consumer.Offsets.AutoCommit.Enable = false
	settings.Consumer.MaxWaitTime = fetchWait
	r := &Replay{config: c, began: time.Now(), report: Report{
		Group: c.Group, From: c.From.String(), DryRun: c.DryRun, Database: "found",
		Topics: []TopicReport{}, Restored: []Count{}, Skipped: []Skip{}, Findings: []string{}, Gaps: []Gap{},
	}}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	if r.client, err = sarama.NewClient(c.Kafka.Brokers, settings); err != nil {
		return nil, fmt.Errorf("connect to broker %v: %w", c.Kafka.Brokers, err)
	}
	if r.admin, err = sarama.NewClusterAdminFromClient(r.client); err != nil {
		return nil, err
	}
	for _, name := range c.Own {
		r.topics = append(r.topics, &topic{name: name, role: Own})
	}
	for _, s := range events.Subscriptions() {
		if s.Group == c.Group {
			r.topics = append(r.topics, &topic{name: s.Topic, role: Input}, &topic{name: events.RetryTopic(s.Topic, s.Group), role: Retry})
		}
	}
	for _, check := range []func() error{r.checkIdle, r.locate, r.checkProgress, r.choose} {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := check(); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// Close disconnects. It may be called twice.
func (r *Replay) Close() error {
	switch {
	case r.admin != nil: // closes the client too
		admin := r.admin
		r.admin, r.client = nil, nil
		return admin.Close()
	case r.client != nil:
		client := r.client
		r.client = nil
		return client.Close()
	}
	return nil
}

// checkIdle refuses while somebody is a member of the group.
func (r *Replay) checkIdle() error {
	groups, err := r.admin.DescribeConsumerGroups([]string{r.config.Group})
	if err != nil {
		return fmt.Errorf("describe group %s: %w", r.config.Group, err)
	}
	for _, g := range groups {
		if g.Err != sarama.ErrNoError && g.Err != sarama.ErrGroupIDNotFound {
			return fmt.Errorf("describe group %s: %w", r.config.Group, g.Err)
		}
		if len(g.Members) == 0 {
			continue
		}
		active := &ActiveGroupError{Group: r.config.Group}
		for id, m := range g.Members {
			active.Members = append(active.Members, Member{ID: id, ClientID: m.ClientId, Host: m.ClientHost})
		}
		slices.SortFunc(active.Members, func(a, b Member) int {
			if a.ID < b.ID {
				return -1
			}
			return 1
		})
		return active
	}
	return nil
}

// locate finds the topics: where their logs begin and end, and where the group is.
func (r *Replay) locate() error {
	var err error
	if r.existing, err = r.admin.ListTopics(); err != nil {
		return fmt.Errorf("list topics: %w", err)
	}
	wanted := map[string][]int32{}
	for _, t := range r.topics {
		detail, ok := r.existing[t.name]
		if !ok {
			continue
		}
		t.exists = true
		for p := range detail.NumPartitions {
			t.partitions = append(t.partitions, &partition{PartitionReport: PartitionReport{Partition: p, Committed: -1}, again: -1})
			if t.role != Own {
				wanted[t.name] = append(wanted[t.name], p)
			}
		}
	}
	if !slices.ContainsFunc(r.topics, func(t *topic) bool { return t.exists && t.role != Retry }) {
		return fmt.Errorf("no topic of group %s is on broker %v: is it the right one?", r.config.Group, r.config.Kafka.Brokers)
	}
	if err := r.bounds(r.topics...); err != nil {
		return err
	}
	committed, err := r.admin.ListConsumerGroupOffsets(r.config.Group, wanted)
	if err == nil && committed.Err != sarama.ErrNoError && committed.Err != sarama.ErrGroupIDNotFound {
		err = committed.Err
	}
	if errors.Is(err, sarama.ErrGroupIDNotFound) {
		return nil // it has never committed anything
	}
	if err != nil {
		return fmt.Errorf("offsets of group %s: %w", r.config.Group, err)
	}
	for _, t := range r.topics {
		for _, p := range t.partitions {
			block := committed.GetBlock(t.name, p.Partition)
			if block == nil || t.role == Own {
				continue
			}
			if block.Err != sarama.ErrNoError {
				return fmt.Errorf("offset of group %s in %s/%d: %w", r.config.Group, t.name, p.Partition, block.Err)
			}
			p.Committed = block.Offset
			if p.Committed > p.End {
				return &RangeError{fmt.Sprintf("group %s has committed offset %d of %s/%d, which ends at %d: the topic was made anew since, or the broker is another one",
					r.config.Group, p.Committed, t.name, p.Partition, p.End)}
			}
		}
	}
	return nil
}

// bounds reads where logs begin and end.
func (r *Replay) bounds(topics ...*topic) error {
	for _, of := range []struct {
		at int64
		to func(*partition) *int64
	}{
		{sarama.OffsetOldest, func(p *partition) *int64 { return &p.Start }},
		{sarama.OffsetNewest, func(p *partition) *int64 { return &p.End }},
	} {
		if err := r.offsetsAt(of.at, of.to, topics...); err != nil {
			return err
		}
	}
	return nil
}

// offsetsAt asks for offsets by time in milliseconds, or by one of sarama's marks.
func (r *Replay) offsetsAt(at int64, to func(*partition) *int64, topics ...*topic) error {
	request := map[string]map[int32]int64{}
	for _, t := range topics {
		for _, p := range t.partitions {
			if request[t.name] == nil {
				request[t.name] = map[int32]int64{}
			}
			request[t.name][p.Partition] = at
		}
	}
	if len(request) == 0 {
		return nil
	}
	found, err := r.admin.ListOffsets(request, nil)
	if err != nil {
		return fmt.Errorf("list offsets: %w", err)
	}
	for _, t := range topics {
		for _, p := range t.partitions {
			result := found[t.name][p.Partition]
			if result == nil {
				return fmt.Errorf("list offsets of %s/%d: the broker did not answer for it", t.name, p.Partition)
			}
			if result.Err != nil && !errors.Is(result.Err, sarama.ErrNoError) {
				return fmt.Errorf("list offsets of %s/%d: %w", t.name, p.Partition, result.Err)
			}
			*to(p) = result.Offset
		}
	}
	return nil
}

func (r *Replay) checkProgress() error {
	records := int64(0)
	for _, t := range r.topics {
		for _, p := range t.partitions {
			if t.role != Input {
				continue
			}
			if p.Committed >= 0 {
				return nil
			}
			records += p.End - p.Start
		}
	}
	if records == 0 {
		return nil
	}
	if r.config.NeedsProgress {
		return &UnknownProgressError{Group: r.config.Group, Records: records}
	}
	r.report.find("group %s has committed no offset: it will get all that is in its topics", r.config.Group)
	return nil
}

// choose finds where each partition is read from, and whether that is possible.
func (r *Replay) choose() error {
	from := r.config.From
	for _, o := range from.Offsets {
		known := false
		for _, t := range r.topics {
			known = known || t.role == Input && (o.Topic == "" || o.Topic == t.name) &&
				slices.ContainsFunc(t.partitions, func(p *partition) bool { return p.Partition == o.Partition })
		}
		if !known {
			return &RangeError{fmt.Sprintf("start %q names a partition that group %s does not read", from, r.config.Group)}
		}
	}
	if !from.Time.IsZero() {
		at := max(0, from.Time.Add(-marginBefore).UnixMilli())
		if err := r.offsetsAt(at, func(p *partition) *int64 { return &p.From }, r.topics...); err != nil {
			return err
		}
	}
	gaps := &GapError{}
	for _, t := range r.topics {
		for _, p := range t.partitions {
			switch chosen, given := from.of(t.name, p.Partition); {
			case t.role == Retry: // few, and put there long after the record that they repeat
				p.From = p.Start
			case !from.Time.IsZero():
				if p.From < 0 || p.From > p.End { // no record is as young
					p.From = p.End
				}
			case given && t.role == Input:
				if chosen < p.Start || chosen > p.End {
					return &RangeError{fmt.Sprintf("offset %d of %s/%d is not in the log, which has %d to %d", chosen, t.name, p.Partition, p.Start, p.End)}
				}
				p.From = chosen
			default:
				p.From = p.Start
			}
			p.Next = p.Committed
			// From a time on: if the first record that is left is young enough, those
			// that are gone may have been, too.
			if given := from.Each != nil || len(from.Offsets) > 0; p.Start > 0 && p.From == p.Start && t.role != Retry && !(given && t.role == Input) {
				gaps.Gaps = append(gaps.Gaps, Gap{Topic: t.name, Partition: p.Partition, From: 0, To: p.Start})
			}
		}
	}
	if len(gaps.Gaps) > 0 && !r.config.AllowGaps {
		return gaps
	}
	r.report.Gaps = append(r.report.Gaps, gaps.Gaps...)
	return nil
}
