package dlq_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/dlq"
	"millrace/pkg/events"
)

func TestList_FiltersAndLimits(t *testing.T) {
	t.Parallel()
	k := start(t)
	topic, other := k.topic(), k.topic()
	for n := range 10 {
		k.letter(topic, func(d *events.DeadLetter) {
			d.OriginalPartition, d.LastFailure = int32(n%4), failedAt.Add(time.Duration(n)*time.Minute)
			d.Group = []string{"billing", "shipping"}[n%2]
		})
	}
	k.letter(other)
	c := k.dlq("ann@here")
	letters, total, err := c.List(k.ctx(), []string{topic}, dlq.Filter{Group: "billing"}, 3)
	if err != nil || total != 5 || len(letters) != 3 {
		t.Fatalf("%d of %d, %v", len(letters), total, err)
	}
	for i, l := range letters { // the newest, oldest first
		if want := failedAt.Add(time.Duration(4+2*i) * time.Minute); !l.Time.Equal(want) || l.Group != "billing" || l.Status != dlq.Open {
			t.Errorf("%d: %s, want one of %s", i, asJSON(l), want)
		}
	}
	if _, total, err = c.List(k.ctx(), []string{topic, other}, dlq.Filter{}, 3); err != nil || total != 11 {
		t.Errorf("%d in both, %v", total, err)
	}
	_, _, err = c.List(k.ctx(), []string{"nowhere"}, dlq.Filter{}, 3)
	var unknown *dlq.UnknownError
	if !errors.As(err, &unknown) || !strings.Contains(unknown.Hint, topic+"-dlq") {
		t.Errorf("got %v", err)
	}
	stats, err := c.Stats(k.ctx(), []string{topic}, dlq.Filter{})
	if err != nil || len(stats.Rows) != 2 || stats.Rows[0].Letters != 5 || !stats.Oldest.Equal(failedAt) {
		t.Errorf("got %s, %v", asJSON(stats), err)
	}
}

// Without any dead letter topic, and without the audit topic, there is nothing to see.
func TestList_NothingThere(t *testing.T) {
	t.Parallel()
	if external != "" {
		t.Skip("needs a broker without topics")
	}
	k := start(t)
	letters, total, err := k.dlq("ann@here").List(k.ctx(), nil, dlq.Filter{}, 10)
	if err != nil || total != 0 || len(letters) != 0 {
		t.Errorf("%d of %d, %v", len(letters), total, err)
	}
}

func TestConnect_NobodyAnswers(t *testing.T) {
	t.Parallel()
	_, err := dlq.Connect(t.Context(), dlq.Config{Brokers: []string{"127.0.0.1:1"}, Patience: 100 * time.Millisecond})
	var unreachable *dlq.UnreachableError
	if !errors.As(err, &unreachable) {
		t.Errorf("got %v", err)
	}
}

// Whatever lies in a dead letter topic: it is listed, shown and refused, and what is in
// the form beside it is redriven.
func TestHostileRecords(t *testing.T) {
	t.Parallel()
	k := start(t)
	topic := k.topic()
	k.create(events.RetryTopic(topic, "billing"), 4)
	records := dlq.Hostile()
	records["huge"] = `{"original_topic":"t","error":"` + strings.Repeat("x", 3<<20) + `"}`
	ids := map[events.LetterID]string{}
	for name, value := range records {
		ids[k.put(&kgo.Record{Topic: topic + "-dlq", Key: []byte("\x1b[2J\xff"), Value: []byte(value)})[0]] = name
	}
	k.put(&kgo.Record{Topic: topic + "-dlq", Value: nil})
	good := k.letter(topic)
	c := k.dlq("ann@here")
	letters, total, err := c.List(k.ctx(), []string{topic}, dlq.Filter{}, 100)
	if err != nil || total != len(records)+2 {
		t.Fatalf("%d letters, want %d; %v", total, len(records)+2, err)
	}
	for _, l := range letters {
		if size := len(asJSON(l)); size > 8<<10 {
			t.Errorf("%s: the summary has %d bytes", l.ID, size)
		}
	}
	for id, name := range ids {
		f, err := c.Find(k.ctx(), id)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := c.Diff(k.ctx(), f); f.Letter.Problem != nil && err == nil {
			t.Errorf("%s: diff of a letter that is not in the form", name)
		}
	}
	results := mustRedrive(t, c, dlq.RedriveOptions{Topics: []string{topic}})
	for id, r := range results {
		if want := map[bool]dlq.Outcome{true: dlq.Sent, false: dlq.Refused}[id == good.String()]; r.Outcome != want {
			t.Errorf("%s: %.300s", id, asJSON(r))
		}
	}
	if len(results) != total {
		t.Errorf("%d results of %d letters", len(results), total)
	}
}

// The audit topic is as open to others as any topic: what is not in the form is counted
// and does not count.
func TestHostileAuditRecords(t *testing.T) {
	t.Parallel()
	k := start(t)
	topic := k.topic()
	id := k.letter(topic)
	c := k.dlq("ann@here")
	f, err := c.Find(k.ctx(), id)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Discard(k.ctx(), f, "first"); err != nil { // makes the topic
		t.Fatal(err)
	}
	for _, value := range []string{"", "x", "{}", `{"action":"restore","letter":"` + id.String() + `"}`, strings.Repeat("[", 50_000)} {
		k.put(&kgo.Record{Topic: events.TopicDLQAudit, Value: []byte(value)})
	}
	stats, err := c.Stats(k.ctx(), []string{topic}, dlq.Filter{})
	if err != nil || stats.Audit.Unreadable < 5 || k.status(c, id) != dlq.Discarded {
		t.Errorf("got %s, %v", asJSON(stats), err)
	}
}

func TestEdit_IsSentByTheNextRedrive(t *testing.T) {
	t.Parallel()
	k := start(t)
	topic := k.topic()
	retryTopic := events.RetryTopic(topic, "billing")
	k.create(retryTopic, 4)
	id := k.letter(topic)
	c := k.dlq("ann@here")
	f, err := c.Find(k.ctx(), id)
	if err != nil {
		t.Fatal(err)
	}
	current, err := c.Current(k.ctx(), f)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Edit(k.ctx(), f, current, ""); err == nil || !strings.Contains(err.Error(), "the same as before") {
		t.Errorf("an edit without a change: %v", err)
	}
	edited, err := dlq.SetPaths(current, []string{"n=2", "why=typo"})
	if err != nil {
		t.Fatal(err)
	}
	if f.State, err = c.Edit(k.ctx(), f, edited, "n was wrong"); err != nil {
		t.Fatal(err)
	}
	d, err := c.Diff(k.ctx(), f)
	if err != nil || d.Against != "edit" || len(d.Changes) != 2 || d.Changes[0].Path != "n" || *d.Changes[0].Old != "1" || *d.Changes[0].New != "2" {
		t.Errorf("got %s, %v", asJSON(d), err)
	}
	got := mustRedrive(t, c, dlq.RedriveOptions{IDs: []events.LetterID{id}})[id.String()]
	sent := k.records(retryTopic)
	if got.Outcome != dlq.Sent || !got.Edited || len(sent) != 1 || !bytes.Equal(sent[0].Value, edited) {
		t.Fatalf("got %s", asJSON(got))
	}
	if h := headers(sent[0]); h[events.HeaderMessageID] != "m-1" || h[events.HeaderEdited] != "true" {
		t.Errorf("headers %v", h)
	}
	history, err := c.History(k.ctx(), f.Letter)
	if err != nil || len(history) != 3 || history[0].Action != events.AuditEdit || history[0].Reason != "n was wrong" || !history[1].Edited {
		t.Errorf("got %s, %v", asJSON(history), err)
	}
}

// An edit that breaks the schema changes nothing.
func TestEdit_BreaksTheSchema(t *testing.T) {
	t.Parallel()
	k := start(t)
	topic := k.topic()
	order := `{"event_type":"ORDER_CREATED","order_id":"parcel-7","customer_id":"c","items":[{"product_id":"p","quantity":2}],"total":25.00,"timestamp":"2026-11-27T08:00:00Z"}`
	id := k.letter(topic, func(d *events.DeadLetter) {
		d.OriginalMessage, d.Headers = []byte(order), map[string]string{"event_type": "ORDER_CREATED"}
	})
	c := k.dlq("ann@here")
	f, err := c.Find(k.ctx(), id)
	if err != nil {
		t.Fatal(err)
	}
	broken, err := dlq.SetPaths([]byte(order), []string{"items[0].quantity=0"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Edit(k.ctx(), f, broken, "")
	var refused *dlq.RefusedError
	if !errors.As(err, &refused) || refused.Field != "items[0].quantity" || !strings.Contains(refused.Reason, "must be 1 or more, is 0") {
		t.Errorf("got %v", err)
	}
	if f, err = c.Find(k.ctx(), id); err != nil || f.State.Edit >= 0 {
		t.Errorf("something was stored: %+v, %v", f.State, err)
	}
}

func TestDiff_WithTheOriginalPlace(t *testing.T) {
	t.Parallel()
	k := start(t)
	topic := k.topic()
	now := time.Now().Truncate(time.Millisecond)
	record := func(value string) events.LetterID {
		return k.put(&kgo.Record{Topic: topic, Partition: 2, Key: []byte("parcel-7"), Value: []byte(value), Timestamp: now})[0]
	}
	original := string(deadLetter(topic).OriginalMessage)
	for name, test := range map[string]struct {
		adjust func(*events.DeadLetter)
		check  func(dlq.Difference) bool
	}{
		"still there": {
			func(d *events.DeadLetter) { d.OriginalOffset, d.OriginalTimestamp = record(original).Offset, now },
			func(d dlq.Difference) bool { return d.Same },
		},
		"changed": {
			func(d *events.DeadLetter) {
				d.OriginalOffset, d.OriginalTimestamp = record(`{"event_type":"PARCEL_SENT","n":2}`).Offset, now
			},
			func(d dlq.Difference) bool { return !d.Same && len(d.Changes) == 1 && d.Changes[0].Path == "n" },
		},
		"another record": {
			func(d *events.DeadLetter) {
				d.OriginalOffset, d.OriginalTimestamp, d.OriginalKey = record(original).Offset, now.Add(time.Hour), []byte("x")
			},
			func(d dlq.Difference) bool { return !d.Same && fmt.Sprint(d.Differs) == "[key timestamp]" },
		},
		"gone": {
			func(d *events.DeadLetter) { d.OriginalOffset = 1 << 40 },
			func(d dlq.Difference) bool { return strings.Contains(d.Gone, "the topic does not hold it") },
		},
		"no such partition": {
			func(d *events.DeadLetter) { d.OriginalPartition = 400 },
			func(d dlq.Difference) bool { return d.Gone == "the topic has 4 partitions" },
		},
		"no such topic": {
			func(d *events.DeadLetter) { d.OriginalTopic = "nowhere" },
			func(d dlq.Difference) bool { return d.Gone == "there is no topic of that name" },
		},
	} {
		t.Run(name, func(t *testing.T) {
			id := k.letter(topic, test.adjust)
			c := k.dlq("ann@here")
			f, err := c.Find(k.ctx(), id)
			if err != nil {
				t.Fatal(err)
			}
			if d, err := c.Diff(k.ctx(), f); err != nil || !test.check(d) {
				t.Errorf("got %s, %v", asJSON(d), err)
			}
		})
	}
}

// A discard tells the group, and may be taken back.
func TestDiscard_TellsTheGroup(t *testing.T) {
	t.Parallel()
	k := start(t)
	topic := k.topic()
	retryTopic := events.RetryTopic(topic, "billing")
	k.create(retryTopic, 4)
	id := k.letter(topic)
	c := k.dlq("ann@here")
	find := func() dlq.Found {
		f, err := c.Find(k.ctx(), id)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	for range 2 { // twice: the first one may have died before it told
		if s, told, err := c.Discard(k.ctx(), find(), "test data"); err != nil || !told || s.Status != dlq.Discarded {
			t.Fatalf("got %+v, %v, %v", s, told, err)
		}
	}
	sent := k.records(retryTopic)
	if len(sent) != 2 {
		t.Fatalf("%d notices", len(sent))
	}
	for _, r := range sent {
		retry, ok, err := events.ParseRetry(headers(r))
		if !ok || err != nil || retry.Reason != events.RetryDiscard || retry.Offset != 41 || string(r.Key) != "parcel-7" {
			t.Errorf("notice %+v, %v", retry, err)
		}
	}
	if n := len(k.audits(topic)); n != 1 {
		t.Errorf("%d audit records", n)
	}
	if _, err := c.Restore(k.ctx(), find(), ""); err != nil {
		t.Fatal(err)
	}
	if s := find().State.Status; s != dlq.Open {
		t.Errorf("it is %s", s)
	}
	mustRedrive(t, c, dlq.RedriveOptions{IDs: []events.LetterID{id}})
	var refused *dlq.RefusedError
	if _, _, err := c.Discard(k.ctx(), find(), "too late"); !errors.As(err, &refused) {
		t.Errorf("discard of a redriven letter: %v", err)
	}
	if _, err := c.Restore(k.ctx(), find(), ""); !errors.As(err, &refused) {
		t.Errorf("restore of a redriven letter: %v", err)
	}
}
