package dlq

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/pkg/events"
	"millrace/pkg/fault"
)

// send takes a chunk through intent, message and mark.
func (r *redrive) send(ctx context.Context, items []*item) error {
	if len(items) == 0 {
		return nil
	}
	if err := r.pace(ctx, len(items)); err != nil {
		return r.failAll(items, err)
	}
	if err := r.ensureAudit(ctx); err != nil {
		return r.failAll(items, err)
	}
	began := time.Now()
	if err := r.intend(ctx, items); err != nil {
		return r.failAll(items, err)
	}
	for _, i := range working(items) {
		if err := r.hit(ctx, fault.RedriveAfterIntent, i); err != nil {
			r.result(i, Failed, fmt.Errorf("%w; the letter is left as %s", err, Redriving))
		}
	}
	if time.Since(began) > r.config.Lease/2 { // others may have taken over
		r.giveBack(ctx, working(items), fmt.Sprintf("more than %s passed between the intent and the sending", r.config.Lease/2))
		return nil
	}
	var records []*kgo.Record
	sending := working(items)
	for _, i := range sending {
		records = append(records, i.record)
	}
	var audits []events.Audit
	var marking []*item
	for n, sent := range r.produce(ctx, records) {
		i := sending[n]
		switch {
		case sent.err == nil:
			i.audit.Action, i.audit.TargetOffset = events.AuditRedriveDone, sent.offset
			i.traced.sent(sent.offset)
			if err := r.hit(ctx, fault.RedriveAfterSend, i); err != nil {
				r.result(i, Failed, fmt.Errorf("%w; the message is sent, the letter is left as %s", err, Redriving))
				continue
			}
		case refusedForGood(sent.err):
			i.audit.Action, i.audit.Reason = events.AuditRedriveFailed, Shorten(sent.err.Error(), events.MaxAuditText-10)
		default:
			r.result(i, Failed, fmt.Errorf("send to %s: %w; the letter is left as %s, the next redrive looks whether it was sent", i.to.topic, sent.err, Redriving))
			continue
		}
		marking = append(marking, i)
		audits = append(audits, i.audit)
	}
	return r.mark(ctx, marking, audits)
}

// pace waits until the rate allows n more letters.
func (r *redrive) pace(ctx context.Context, n int) error {
	if r.Rate <= 0 {
		return nil
	}
	if err := sleep(ctx, time.Until(r.due)); err != nil {
		return err
	}
	r.due = time.Now().Add(time.Duration(float64(n) / r.Rate * float64(time.Second)))
	return nil
}

func (r *redrive) hit(ctx context.Context, p fault.Point, i *item) error {
	return r.Faults.Hit(ctx, p, fault.Attr{Key: fault.Group, Value: i.group}, fault.Attr{Key: fault.Topic, Value: i.to.topic})
}

// intend writes the intents, reads the audit topic up to them, and lets go of letters
// that somebody else took first.
func (r *redrive) intend(ctx context.Context, items []*item) error {
	ends := map[string]map[int32]int64{}
	for _, i := range items {
		if ends[i.to.topic] != nil {
			continue
		}
		listed, err := r.endOffsets(ctx, i.to.topic)
		if err != nil {
			return err
		}
		ends[i.to.topic] = map[int32]int64{}
		for partition, o := range listed[i.to.topic] {
			ends[i.to.topic][partition] = o.Offset
		}
	}
	audits := make([]events.Audit, len(items))
	for n, i := range items {
		i.audit = events.Audit{
			Action: events.AuditRedriveIntent, Letter: i.letter.ID, LetterTimestamp: i.letter.Timestamp,
			Group: i.group, MessageID: i.letter.MessageID(), RedriveID: i.id, Replaces: i.state.Redrive.ID, Edited: i.edited,
			TargetTopic: i.to.topic, TargetPartition: i.to.partition, TargetEnd: ends[i.to.topic][i.to.partition],
		}
		audits[n] = i.audit
	}
	written, err := r.write(ctx, audits)
	if err != nil {
		return fmt.Errorf("nothing was sent: %w", err)
	}
	last := int64(none)
	for n, w := range written {
		if w.err != nil {
			r.result(items[n], Failed, fmt.Errorf("nothing was sent: write the intent to %s: %w", events.TopicDLQAudit, w.err))
			continue
		}
		items[n].intent = w.offset
		last = max(last, w.offset)
	}
	if last == none {
		return nil
	}
	if err := r.follow(ctx, last+1); err != nil {
		return fmt.Errorf("nothing was sent: read the intents back: %w", err)
	}
	for _, i := range working(items) {
		now := r.ledger.State(i.letter.ID, i.letter.Timestamp)
		if now.Status == Redriving && now.Redrive.ID == i.id {
			if now.Edit != i.state.Edit { // between our look and our intent
				r.giveBack(ctx, []*item{i}, "it was edited meanwhile")
			}
			continue
		}
		reason := fmt.Sprintf("somebody was faster: %s has it as %s since %s; nothing was sent from here", now.Who, now.Status, now.When.Format(time.RFC3339))
		r.result(i, Refused, &RefusedError{Letter: i.letter.ID, Reason: reason, Hint: "See what was done: millrace dlq show " + i.letter.ID.String()})
	}
	return nil
}

// giveBack makes letters open again whose messages were not sent.
func (r *redrive) giveBack(ctx context.Context, items []*item, reason string) {
	audits := make([]events.Audit, len(items))
	for n, i := range items {
		i.audit.Action, i.audit.Reason = events.AuditRedriveFailed, Shorten(reason, events.MaxAuditText-10)
		audits[n] = i.audit
	}
	written, err := r.write(ctx, audits)
	for n, i := range items {
		itemErr := err
		if itemErr == nil {
			itemErr = written[n].err
		}
		if itemErr != nil {
			r.result(i, Failed, fmt.Errorf("nothing was sent: %s; the letter is left as %s: %w", reason, Redriving, itemErr))
		} else {
			r.result(i, Failed, errors.New("nothing was sent: "+reason+"; run it again"))
		}
	}
}

// mark writes what became of the messages.
func (r *redrive) mark(ctx context.Context, items []*item, audits []events.Audit) error {
	if len(items) == 0 {
		return nil
	}
	// What was sent is marked even if the user has just ended the command.
	ctx = context.WithoutCancel(ctx)
	written, err := r.write(ctx, audits)
	if err != nil {
		return r.failAll(items, fmt.Errorf("the message is sent, but not marked: %w", err))
	}
	for n, w := range written {
		i := items[n]
		if w.err != nil {
			r.result(i, Failed, fmt.Errorf("not marked: write to %s: %w; the next redrive looks whether it was sent", events.TopicDLQAudit, w.err))
			continue
		}
		if i.audit.Action == events.AuditRedriveFailed {
			r.result(i, Failed, fmt.Errorf("the broker refuses it: %s; the letter is %s", i.audit.Reason, Open))
			continue
		}
		if err := r.hit(ctx, fault.RedriveAfterMark, i); err != nil {
			r.result(i, Failed, fmt.Errorf("%w; the message is sent and marked", err))
			continue
		}
		r.result(i, Sent, nil)
	}
	return nil
}

// settle deals with letters whose redrive has begun and not ended: it waits until the
// owner of the intent is out of time, looks for the message, and marks it where it is.
// Letters whose message was not sent go on as open ones.
func (r *redrive) settle(ctx context.Context, items []*item) error {
	unsure := begun(items)
	if len(unsure) == 0 {
		return nil
	}
	var wait time.Duration
	for _, i := range unsure {
		// A clock that is ahead of ours must not make us wait for ever.
		wait = max(wait, min(r.config.Lease-time.Since(i.state.Redrive.Begun), r.config.Lease))
	}
	if wait > 0 && !r.DryRun {
		r.Say("Waiting for up to %s: %d of them are being redriven by %s", wait.Round(time.Second/10), len(unsure), unsure[0].state.Who)
	}
	const lookEvery = 200 * time.Millisecond
	for deadline := time.Now().Add(wait); !r.DryRun && len(unsure) > 0 && time.Now().Before(deadline); {
		if err := sleep(ctx, min(lookEvery, time.Until(deadline))); err != nil {
			return err
		}
		if err := r.catchUp(ctx); err != nil {
			return err
		}
		for _, i := range unsure {
			i.state = r.ledger.State(i.letter.ID, i.letter.Timestamp)
		}
		unsure = begun(unsure)
	}
	found, err := r.look(ctx, unsure)
	if err != nil {
		return err
	}
	return r.complete(ctx, found)
}

// begun are the items whose redrive has begun and not ended.
func begun(items []*item) []*item {
	var some []*item
	for _, i := range items {
		if i.state.Status == Redriving && i.letter.Problem == nil {
			some = append(some, i)
		}
	}
	return some
}

// look searches target partitions for the messages of redrives that have not ended, and
// returns the items whose message is there.
func (r *redrive) look(ctx context.Context, items []*item) ([]*item, error) {
	sought := map[string]*item{}
	var extents []extent
	for _, i := range items {
		d := i.state.Redrive
		e, err := r.behind(ctx, d)
		var refused *RefusedError
		if errors.As(err, &refused) && r.Again {
			continue // sent again, whatever became of it
		}
		if errors.As(err, &refused) {
			refused.Letter = i.letter.ID
			r.result(i, Refused, refused)
			continue
		}
		if err != nil {
			return nil, err
		}
		sought[d.ID] = i
		extents = merge(extents, e)
	}
	var found []*item
	err := r.read(ctx, extents, func(record *kgo.Record) error {
		for _, h := range record.Headers {
			if i := sought[string(h.Value)]; h.Key == events.HeaderRedriveID && i != nil {
				delete(sought, string(h.Value))
				i.audit.TargetOffset = record.Offset
				found = append(found, i)
			}
		}
		if len(sought) == 0 {
			return errEnough
		}
		return nil
	})
	return found, err
}

// behind is what to search for the message of a redrive.
func (r *redrive) behind(ctx context.Context, d Redrive) (extent, error) {
	const hint = "Send it once more: --again. The inbox of the group drops it if it was done."
	n, err := r.partitions(ctx, d.Topic)
	if err != nil {
		return extent{}, err
	}
	if d.Partition >= n {
		return extent{}, &RefusedError{Reason: fmt.Sprintf("redrive %s has not ended, and there is no topic %s with partition %d any more to see whether it was sent", d.ID, d.Topic, d.Partition), Hint: hint}
	}
	extents, err := r.extents(ctx, d.Topic)
	if err != nil {
		return extent{}, err
	}
	for _, e := range extents {
		if e.partition != d.Partition {
			continue
		}
		if e.from > d.End {
			return extent{}, &RefusedError{Reason: fmt.Sprintf("redrive %s has not ended, and retention has removed what would tell whether it was sent", d.ID), Hint: hint}
		}
		e.from = d.End
		return e, nil
	}
	return extent{}, fmt.Errorf("the broker does not tell of %s partition %d", d.Topic, d.Partition)
}

// merge adds an extent, or widens the one of its partition.
func merge(extents []extent, e extent) []extent {
	for n := range extents {
		if extents[n].topic == e.topic && extents[n].partition == e.partition {
			extents[n].from, extents[n].to = min(extents[n].from, e.from), max(extents[n].to, e.to)
			return extents
		}
	}
	return append(extents, e)
}

// complete marks messages that an earlier redrive had sent.
func (r *redrive) complete(ctx context.Context, items []*item) error {
	audits := make([]events.Audit, len(items))
	for n, i := range items {
		d := i.state.Redrive
		i.group, i.id, i.edited, i.to = d.Group, d.ID, d.Edited, target{d.Topic, d.Partition}
		i.note = "an earlier redrive by " + i.state.Who + " had sent it"
		i.audit = events.Audit{
			Action: events.AuditRedriveDone, Letter: i.letter.ID, LetterTimestamp: i.letter.Timestamp,
			Group: d.Group, MessageID: i.letter.MessageID(), RedriveID: d.ID, Edited: d.Edited,
			TargetTopic: d.Topic, TargetPartition: d.Partition, TargetOffset: i.audit.TargetOffset,
		}
		audits[n] = i.audit
	}
	if len(items) == 0 {
		return nil
	}
	outcome := Completed
	if r.DryRun {
		outcome = WouldComplete
	} else {
		written, err := r.write(ctx, audits)
		if err != nil {
			return err
		}
		for n, w := range written {
			if w.err != nil {
				r.result(items[n], Failed, fmt.Errorf("an earlier redrive had sent it; write that to %s: %w", events.TopicDLQAudit, w.err))
			}
		}
	}
	for _, i := range items {
		r.result(i, outcome, nil)
	}
	return nil
}
