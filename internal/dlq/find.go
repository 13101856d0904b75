package dlq

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/pkg/events"
)

// UnknownError is returned for a letter, a topic or an id that there is not.
type UnknownError struct{ Reason, Hint string }

func (e *UnknownError) Error() string { return e.Reason }

const hintList = "See what there is: millrace dlq list"

// survey looks at dead letter topics, all where none is named, and reads the audit topic.
// A topic may be named by the topic that it belongs to.
func (c *Client) survey(ctx context.Context, names []string) ([]extent, error) {
	all, err := c.Topics(ctx)
	if err != nil {
		return nil, err
	}
	chosen := all
	if len(names) > 0 {
		chosen = nil
		for _, name := range names {
			switch {
			case slices.Contains(all, name):
			case slices.Contains(all, events.DeadLetterTopic(name)):
				name = events.DeadLetterTopic(name)
			default:
				return nil, &UnknownError{fmt.Sprintf("there is no dead letter topic %s", name), "There are: " + orNone(all)}
			}
			if !slices.Contains(chosen, name) {
				chosen = append(chosen, name)
			}
		}
	}
	extents, err := c.extents(ctx, chosen...)
	if err != nil {
		return nil, err
	}
	return extents, c.load(ctx, extents)
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none yet; the first message that a group gives up makes one"
	}
	return strings.Join(names, ", ")
}

// ParseID reads TOPIC/PARTITION/OFFSET, or PARTITION/OFFSET, which leaves the topic empty.
func ParseID(text string) (events.LetterID, error) {
	if strings.Count(text, "/") == 1 {
		id, err := events.ParseLetterID("x/" + text)
		id.Topic = ""
		if err == nil {
			return id, nil
		}
	}
	return events.ParseLetterID(text)
}

// resolve finds the letters that ids name, in the order of partition and offset.
func resolve(dlq []extent, ids []events.LetterID) ([]extent, error) {
	var found []extent
	for _, id := range ids {
		var here []extent
		sameTopic := false
		for _, e := range dlq {
			if id.Topic != "" && id.Topic != e.topic && events.DeadLetterTopic(id.Topic) != e.topic {
				continue
			}
			sameTopic = true
			if e.partition == id.Partition && id.Offset >= e.from && id.Offset < e.to {
				here = append(here, extent{e.topic, e.partition, id.Offset, id.Offset + 1})
			}
		}
		switch {
		case len(here) > 1:
			var names []string
			for _, e := range here {
				names = append(names, e.letterID().String())
			}
			return nil, &UnknownError{fmt.Sprintf("%d/%d may be one of several letters", id.Partition, id.Offset), "Name one: " + strings.Join(names, ", ")}
		case len(here) == 0:
			return nil, unknownLetter(dlq, id, sameTopic)
		case !slices.Contains(found, here[0]):
			found = append(found, here[0])
		}
	}
	slices.SortFunc(found, func(a, b extent) int { return compareIDs(a.letterID(), b.letterID()) })
	return found, nil
}

func (e extent) letterID() events.LetterID {
	return events.LetterID{Topic: e.topic, Partition: e.partition, Offset: e.from}
}

func compareIDs(a, b events.LetterID) int {
	if c := strings.Compare(a.Topic, b.Topic); c != 0 {
		return c
	}
	if a.Partition != b.Partition {
		return int(a.Partition) - int(b.Partition)
	}
	switch {
	case a.Offset < b.Offset:
		return -1
	case a.Offset > b.Offset:
		return 1
	}
	return 0
}

// unknownLetter says what is wrong with an id that names nothing.
func unknownLetter(dlq []extent, id events.LetterID, sameTopic bool) error {
	name := id.String()
	if id.Topic == "" {
		name = strings.TrimPrefix(name, "/")
	}
	if !sameTopic {
		return &UnknownError{fmt.Sprintf("there is no letter %s: there is no dead letter topic of that name", name), hintList}
	}
	for _, e := range dlq {
		if (id.Topic == e.topic || events.DeadLetterTopic(id.Topic) == e.topic) && e.partition == id.Partition {
			what := "the partition is empty"
			switch {
			case id.Offset < e.from:
				what = "it was removed by retention; the first one left is " + strconv.FormatInt(e.from, 10)
			case e.to > 0:
				what = "the partition ends at " + strconv.FormatInt(e.to-1, 10)
			}
			return &UnknownError{fmt.Sprintf("there is no letter %s: %s", name, what), hintList}
		}
	}
	return &UnknownError{fmt.Sprintf("there is no letter %s: there is no such partition or offset", name), hintList}
}

// Found is a letter with its state.
type Found struct {
	Letter *Letter
	State  State
}

// Find reads one letter.
func (c *Client) Find(ctx context.Context, id events.LetterID) (Found, error) {
	dlq, err := c.survey(ctx, nil)
	if err != nil {
		return Found{}, err
	}
	where, err := resolve(dlq, []events.LetterID{id})
	if err != nil {
		return Found{}, err
	}
	var f Found
	err = c.read(ctx, where, func(r *kgo.Record) error {
		f.Letter = readLetter(r)
		f.State = c.ledger.State(f.Letter.ID, f.Letter.Timestamp)
		return errEnough
	})
	if err == nil && f.Letter == nil {
		err = &UnknownError{fmt.Sprintf("there is no letter %s any more", where[0].letterID()), hintList}
	}
	return f, err
}

// List returns the newest letters that the filter chooses, oldest first, and how many
// it chooses in all.
func (c *Client) List(ctx context.Context, topics []string, f Filter, limit int) (kept []Summary, total int, err error) {
	n := newest{limit: limit}
	_, err = c.scan(ctx, topics, func(l *Letter, s State) {
		if f.Match(l, s) {
			n.add(Summarize(l, s))
		}
	})
	n.cut()
	return n.kept, n.total, err
}

// Stats counts the letters that the filter chooses.
func (c *Client) Stats(ctx context.Context, topics []string, f Filter) (Stats, error) {
	var counts counter
	_, err := c.scan(ctx, topics, func(l *Letter, s State) {
		if f.Match(l, s) {
			counts.add(l, s)
		}
	})
	if err != nil {
		return Stats{}, err
	}
	return counts.result(c.ledger), nil
}

// scan hands all letters to visit, with their states.
func (c *Client) scan(ctx context.Context, topics []string, visit func(*Letter, State)) ([]extent, error) {
	dlq, err := c.survey(ctx, topics)
	if err != nil {
		return nil, err
	}
	return dlq, c.read(ctx, dlq, func(r *kgo.Record) error {
		l := readLetter(r)
		visit(l, c.ledger.State(l.ID, l.Timestamp))
		return nil
	})
}

// maxHistory bounds the audit records that History returns: the latest ones.
const maxHistory = 100

// History is what was done with a letter, oldest first.
func (c *Client) History(ctx context.Context, l *Letter) ([]Entry, error) {
	var entries []Entry
	state := NewState()
	err := c.readAudit(ctx, func(r *kgo.Record) {
		a, err := events.DecodeAudit(r.Value)
		if err != nil || a.Letter != l.ID || !a.LetterTimestamp.IsZero() && !a.LetterTimestamp.Equal(l.Timestamp) {
			return
		}
		entries = append(entries, Entry{Audit: a, Offset: r.Offset, Void: state.Apply(r.Offset, &a)})
		if len(entries) > 2*maxHistory {
			entries = slices.Delete(entries, 0, len(entries)-maxHistory)
		}
	})
	return entries[max(0, len(entries)-maxHistory):], err
}

// Entry is one audit record about a letter.
type Entry struct {
	events.Audit
	Offset int64  // in the audit topic
	Void   string // why it does not count; empty when it does
}
