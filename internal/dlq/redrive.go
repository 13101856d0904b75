package dlq

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/pkg/events"
	"millrace/pkg/fault"
)

// Outcome is what a redrive did with one letter.
type Outcome string

// Outcomes of a redrive.
const (
	// WouldSend: in a dry run.
	WouldSend Outcome = "would_send"
	// Sent: the message is in the target topic, and that is marked.
	Sent Outcome = "redriven"
	// Completed: an earlier redrive had sent it and died before it could mark that.
	Completed Outcome = "completed"
	// WouldComplete: in a dry run.
	WouldComplete Outcome = "would_complete"
	// Refused: nothing was sent, for a reason that another try does not change.
	Refused Outcome = "refused"
	// Failed: something did not work. What the letter's status is stands in the reason.
	Failed Outcome = "failed"
)

// Result is the outcome for one letter. Its JSON form is stable.
type Result struct {
	Letter    string  `json:"letter"`
	Outcome   Outcome `json:"outcome"`
	Group     string  `json:"group,omitempty"`
	Key       string  `json:"original_key,omitempty"`
	MessageID string  `json:"message_id,omitempty"`
	Topic     string  `json:"target_topic,omitempty"`
	Partition *int32  `json:"target_partition,omitempty"`
	Offset    *int64  `json:"target_offset,omitempty"`
	RedriveID string  `json:"redrive_id,omitempty"`
	Edited    bool    `json:"edited,omitempty"`
	Note      string  `json:"note,omitempty"`
	Reason    string  `json:"reason,omitempty"`
	Field     string  `json:"field,omitempty"`
	Hint      string  `json:"hint,omitempty"`
}

// RedriveOptions say what to redrive, and how.
type RedriveOptions struct {
	// IDs names letters; without any, Filter chooses among all of Topics.
	IDs    []events.LetterID
	Topics []string
	Filter Filter
	// Group is for letters that name none; with IDs only.
	Group string
	// Again sends letters that were redriven before.
	Again bool
	// DryRun does everything but write.
	DryRun bool
	// CreateTopic makes a retry topic that there is not.
	CreateTopic bool
	// Rate bounds the letters a second; 0: as fast as it goes.
	Rate float64
	// Faults has the points of this package; nil: none.
	Faults *fault.Set
	// Report is told of every letter. It must not be nil.
	Report func(Result)
	// Say is told what is waited for; nil: nobody is.
	Say func(format string, args ...any)

	route route
}

// Points are the fault points of this package.
func Points() []fault.Point {
	return []fault.Point{fault.RedriveAfterIntent, fault.RedriveAfterSend, fault.RedriveAfterMark}
}

// Chunks: the letters that are worked on together, with one answer of the broker for
// each step.
const (
	chunkLetters = 64
	chunkBytes   = 4 << 20
)

// Choice is what a redrive is going to work on.
type Choice struct {
	Letters int
	extents []extent
	ids     map[events.LetterID]bool // nil: all that the filter chooses
}

// Choose finds the letters to redrive. It fails for an id that names nothing.
func (c *Client) Choose(ctx context.Context, o *RedriveOptions) (Choice, error) {
	if len(o.IDs) > 0 {
		dlq, err := c.survey(ctx, nil)
		if err != nil {
			return Choice{}, err
		}
		where, err := resolve(dlq, o.IDs)
		if err != nil {
			return Choice{}, err
		}
		choice := Choice{Letters: len(where), ids: map[events.LetterID]bool{}}
		for _, e := range where {
			choice.ids[e.letterID()] = true
			// One extent a partition, from the first wanted offset to the last.
			if n := len(choice.extents); n > 0 && choice.extents[n-1].topic == e.topic && choice.extents[n-1].partition == e.partition {
				choice.extents[n-1].to = e.to
			} else {
				choice.extents = append(choice.extents, e)
			}
		}
		return choice, nil
	}
	var choice Choice
	var err error
	choice.extents, err = c.scan(ctx, o.Topics, func(l *Letter, s State) {
		if o.Filter.Match(l, s) {
			choice.Letters++
		}
	})
	return choice, err
}

// Redrive works on a choice, partition by partition, oldest first. Letters that are
// refused or fail are reported, and the others go on. The error is of what ends the run.
func (c *Client) Redrive(ctx context.Context, choice Choice, o RedriveOptions) error {
	if o.route == nil {
		o.route = events.RetryTopic
	}
	if o.Say == nil {
		o.Say = func(string, ...any) {}
	}
	run := &redrive{Client: c, RedriveOptions: o, readers: map[[2]string]string{}}
	limit := chunkLetters
	if o.Rate > 0 {
		limit = max(1, min(limit, int(o.Rate)))
	}
	missing := maps.Clone(choice.ids) // what is left of it was not found
	var chunk []*Letter
	size := 0
	work := func() error {
		err := run.work(ctx, chunk)
		chunk, size = nil, 0
		return err
	}
	err := c.read(ctx, choice.extents, func(r *kgo.Record) error {
		l := readLetter(r)
		if choice.ids != nil {
			if !choice.ids[l.ID] {
				return nil
			}
			delete(missing, l.ID)
		} else if !o.Filter.Match(l, c.ledger.State(l.ID, l.Timestamp)) {
			return nil
		}
		size += len(l.Value)
		l.Value = nil // Dead has what is needed
		chunk = append(chunk, l)
		if len(chunk) < limit && size < chunkBytes {
			return nil
		}
		return work()
	})
	if err == nil && len(chunk) > 0 {
		err = work()
	}
	if err == nil {
		for id := range missing {
			o.Report(Result{Letter: id.String(), Outcome: Refused, Reason: "there is no such letter any more", Hint: hintList})
		}
	}
	return err
}

// redrive is a run of Redrive.
type redrive struct {
	*Client
	RedriveOptions
	due     time.Time            // when the next chunk may be sent, by the rate
	readers map[[2]string]string // group, topic → note
}

// item is a letter that is worked on.
type item struct {
	letter  *Letter
	state   State
	group   string
	to      target
	id      string // of the redrive
	traced  *redriveSpan
	record  *kgo.Record
	edited  bool
	audit   events.Audit
	intent  int64 // its offset in the audit topic
	note    string
	outcome Outcome // empty while it is worked on
}

// result reports the item, once.
func (r *redrive) result(i *item, outcome Outcome, err error) {
	if i.outcome != "" {
		return
	}
	i.outcome = outcome
	res := Result{Letter: i.letter.ID.String(), Outcome: outcome, Group: i.group, MessageID: i.letter.MessageID(), RedriveID: i.id, Edited: i.edited, Note: i.note}
	if i.letter.Dead.OriginalKey != nil {
		res.Key, _ = AsText(i.letter.Dead.OriginalKey)
	}
	if i.to.topic != "" {
		res.Topic, res.Partition = i.to.topic, &i.to.partition
	}
	if outcome == Sent || outcome == Completed {
		res.Offset = &i.audit.TargetOffset
	}
	if err != nil {
		res.Reason = err.Error()
		var refused *RefusedError
		if errors.As(err, &refused) {
			res.Reason, res.Field, res.Hint = refused.Reason, refused.Field, refused.Hint
		}
	}
	i.traced.end(outcome, err)
	r.Report(res)
}

// work redrives one chunk. The error is of what concerns all letters.
func (r *redrive) work(ctx context.Context, letters []*Letter) error {
	items := make([]*item, len(letters))
	for n, l := range letters {
		items[n] = &item{letter: l, state: r.ledger.State(l.ID, l.Timestamp), group: l.Dead.Group}
	}
	if err := r.settle(ctx, items); err != nil {
		return r.failAll(items, err)
	}
	for _, i := range items {
		if i.outcome != "" {
			continue
		}
		if err := r.prepare(ctx, i); err != nil {
			if ctx.Err() != nil {
				return r.failAll(items, ctx.Err())
			}
			r.result(i, outcomeOf(err), err)
		}
	}
	if r.DryRun {
		for _, i := range working(items) {
			r.result(i, WouldSend, nil)
		}
		return nil
	}
	return r.send(ctx, working(items))
}

// working are the items that have no outcome yet.
func working(items []*item) []*item {
	var left []*item
	for _, i := range items {
		if i.outcome == "" {
			left = append(left, i)
		}
	}
	return left
}

// failAll reports what is left, and hands the error on.
func (r *redrive) failAll(items []*item, err error) error {
	for _, i := range working(items) {
		r.result(i, Failed, err)
	}
	return err
}

func outcomeOf(err error) Outcome {
	var refused *RefusedError
	if errors.As(err, &refused) {
		return Refused
	}
	return Failed
}

// prepare makes the message of an item.
func (r *redrive) prepare(ctx context.Context, i *item) error {
	group, err := judge(i.letter, i.state, r.Group, r.Again)
	if err != nil {
		return err
	}
	i.group = group
	if i.to, err = r.target(ctx, i); err != nil {
		return err
	}
	o, err := r.payload(ctx, i.letter, i.state)
	if err != nil {
		return err
	}
	i.edited = i.state.Edit != none
	traceparent := ""
	if !r.DryRun {
		i.id = newRedriveID()
		i.traced = r.startSpan(ctx, i)
		traceparent = i.traced.traceparent()
	}
	i.record, err = compose(i.letter, o, i.to, retry(i.letter, i.group, i.id, traceparent), i.edited)
	return err
}

// judge tells for which group a letter may be sent again, or why not.
func judge(l *Letter, s State, given string, again bool) (group string, err error) {
	id := l.ID.String()
	if l.Problem != nil {
		return "", notInForm(l)
	}
	switch {
	case s.Status == Discarded:
		return "", &RefusedError{Letter: l.ID, Reason: fmt.Sprintf("it was discarded by %s: %s", s.Who, s.Reason), Hint: "Take that back first: millrace dlq discard --undo " + id}
	case s.Status == Redriven && !again:
		return "", &RefusedError{
			Letter: l.ID, Reason: fmt.Sprintf("it was redriven before, by %s at %s, to %s/%d/%d", s.Who, s.When.Format(time.RFC3339), s.Redrive.Topic, s.Redrive.Partition, s.Redrive.Offset),
			Hint: "Send it once more: --again. The inbox of the group drops it if it was done.",
		}
	}
	group = l.Dead.Group
	switch {
	case group == "" && given == "":
		return "", &RefusedError{Letter: l.ID, Field: "group", Reason: "field group is empty: it does not say which group failed", Hint: "Say it: millrace dlq redrive " + id + " --group GROUP"}
	case group == "":
		group = given
	case given != "" && given != group:
		return "", &RefusedError{Letter: l.ID, Field: "group", Reason: fmt.Sprintf("it is of group %s, not of %s", group, given), Hint: "Leave --group out: the letter knows its group"}
	}
	return group, nil
}

// target finds the topic that the group alone reads.
func (r *redrive) target(ctx context.Context, i *item) (target, error) {
	d := &i.letter.Dead
	topic := r.route(d.OriginalTopic, i.group)
	if !events.ValidTopic(topic) {
		return target{}, &RefusedError{Letter: i.letter.ID, Field: "group", Reason: fmt.Sprintf("%q, the name of the retry topic, is no name of a topic: 1 to 249 of a-z A-Z 0-9 . _ -", topic)}
	}
	n, err := r.partitions(ctx, topic)
	if err != nil {
		return target{}, err
	}
	if n == 0 {
		if n, err = r.retryPartitions(ctx, i); err != nil {
			return target{}, err
		}
		switch {
		case topic == d.OriginalTopic:
			return target{}, &RefusedError{Letter: i.letter.ID, Reason: "there is no topic " + topic}
		case !r.CreateTopic:
			return target{}, &RefusedError{
				Letter: i.letter.ID, Reason: fmt.Sprintf("there is no topic %s, so nobody in group %s reads what is sent there", topic, i.group),
				Hint: fmt.Sprintf("Let the group read that topic too, then make it: --create-topic (%d partitions, like %s)", n, d.OriginalTopic),
			}
		case !r.DryRun:
			if err := r.createTopic(ctx, events.Topic{Name: topic, Partitions: n}); err != nil {
				return target{}, err
			}
		}
		i.note = "the topic is new"
	}
	to := target{topic, pick(i.letter, n)}
	if i.note == "" {
		i.note = r.note(ctx, i.group, topic)
	}
	return to, nil
}

// retryPartitions tells how many partitions a retry topic gets: those of the original topic,
// or else of the dead letter topic.
func (r *redrive) retryPartitions(ctx context.Context, i *item) (int32, error) {
	n, err := r.partitions(ctx, i.letter.Dead.OriginalTopic)
	if err == nil && n == 0 {
		n, err = r.partitions(ctx, i.letter.ID.Topic)
	}
	return n, err
}

// note warns when nobody reads the topic at the moment. It asks once for each group.
func (r *redrive) note(ctx context.Context, group, topic string) string {
	key := [2]string{group, topic}
	note, known := r.readers[key]
	if !known {
		note = r.noReader(ctx, group, topic)
		r.readers[key] = note
	}
	return note
}

func (r *redrive) noReader(ctx context.Context, group, topic string) string {
	const note = "no member of the group reads the topic at the moment; the message waits there"
	groups, err := r.admin.DescribeGroups(ctx, group)
	if err != nil {
		return "" // nothing is known
	}
	d := groups[group]
	switch {
	case errors.Is(d.Err, kerr.GroupIDNotFound): // or one of the newer protocol (KIP-848)
		newer, err := r.admin.DescribeConsumerGroups(ctx, group)
		if err == nil && len(newer.AssignedPartitions()[topic]) > 0 {
			return ""
		}
		return note
	case d.Err != nil || d.ProtocolType != "consumer" && d.ProtocolType != "":
		return "" // no right to look, or another kind of group
	}
	for _, member := range d.Members {
		if assigned, ok := member.Assigned.AsConsumer(); ok {
			for _, t := range assigned.Topics {
				if t.Topic == topic {
					return ""
				}
			}
		}
	}
	return note
}
