package dlq_test

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/dlq"
	"millrace/pkg/events"
	"millrace/pkg/fault"
)

func faults(t *testing.T, text string) *fault.Set {
	t.Helper()
	set := fault.New(fault.Options{}, dlq.Points()...)
	rules, err := fault.ParseRules(text)
	if err == nil {
		err = set.SetAll(rules)
	}
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// Between the look at a letter and the intent somebody does something else with it: the
// message that was looked at is not sent.
func TestRedrive_SomebodyElseInBetween(t *testing.T) {
	t.Parallel()
	k := start(t)
	topic := k.topic()
	retryTopic := events.RetryTopic(topic, "billing")
	k.create(retryTopic, 4)
	for name, test := range map[string]struct {
		act     func(*dlq.Client, dlq.Found) error
		outcome dlq.Outcome
		reason  string
		status  dlq.Status
	}{
		"an edit": {
			func(c *dlq.Client, f dlq.Found) error {
				_, err := c.Edit(k.ctx(), f, []byte(`{"n":2}`), "")
				return err
			}, dlq.Failed, "it was edited meanwhile", dlq.Open,
		},
		"a discard": {
			func(c *dlq.Client, f dlq.Found) error {
				f.Letter.Dead.Group = "" // nobody is told, so that the retry topic stays empty
				_, _, err := c.Discard(k.ctx(), f, "why")
				return err
			}, dlq.Refused, "bob@there has it as discarded", dlq.Discarded,
		},
	} {
		t.Run(name, func(t *testing.T) {
			id := k.letter(topic)
			ann, bob := k.dlq("ann@here"), k.dlq("bob@there")
			var results []dlq.Result
			o := dlq.RedriveOptions{IDs: []events.LetterID{id}, Report: func(r dlq.Result) { results = append(results, r) }}
			choice, err := ann.Choose(k.ctx(), &o) // ann looks
			if err != nil {
				t.Fatal(err)
			}
			f, err := bob.Find(k.ctx(), id)
			if err == nil {
				err = test.act(bob, f)
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := ann.Redrive(k.ctx(), choice, o); err != nil {
				t.Fatal(err)
			}
			if len(results) != 1 || results[0].Outcome != test.outcome || !strings.Contains(results[0].Reason, test.reason) {
				t.Errorf("got %s", asJSON(results))
			}
			if s := k.status(bob, id); s != test.status {
				t.Errorf("it is %s", s)
			}
			if n := len(k.records(retryTopic)); n != 0 {
				t.Errorf("%d messages were sent", n)
			}
		})
	}
}

// Who edits a letter that is being redriven is told, and so is who discards it.
func TestEdit_WhileARedriveIsUnderWay(t *testing.T) {
	t.Parallel()
	k := start(t)
	topic := k.topic()
	k.create(events.RetryTopic(topic, "billing"), 4)
	id := k.letter(topic)
	bob := k.dlq("bob@there")
	f, err := bob.Find(k.ctx(), id) // bob looks
	if err != nil {
		t.Fatal(err)
	}
	mustRedrive(t, k.dlq("ann@here"), dlq.RedriveOptions{IDs: []events.LetterID{id}, Faults: faults(t, "redrive.after-intent=error")})
	for what, err := range map[string]error{
		"edit":    second(bob.Edit(k.ctx(), f, []byte("x"), "")),
		"discard": third(bob.Discard(k.ctx(), f, "why")),
	} {
		if err == nil || !strings.Contains(err.Error(), "somebody was faster: a redrive, ") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func second[A any](_ A, err error) error        { return err }
func third[A, B any](_ A, _ B, err error) error { return err }

// A process that sleeps between intent and sending does not send: others may have.
func TestRedrive_SleepsTooLong(t *testing.T) {
	t.Parallel()
	k := start(t)
	topic := k.topic()
	retryTopic := events.RetryTopic(topic, "billing")
	k.create(retryTopic, 4)
	id := k.letter(topic)
	got := mustRedrive(t, k.dlq("ann@here", withLease(shortLease)), dlq.RedriveOptions{IDs: []events.LetterID{id}, Faults: faults(t, "redrive.after-intent=delay,delay=3100ms")})[id.String()]
	if got.Outcome != dlq.Failed || !strings.Contains(got.Reason, "nothing was sent: more than 3s passed") {
		t.Errorf("got %s", asJSON(got))
	}
	if n := len(k.records(retryTopic)); n != 0 {
		t.Fatalf("%d messages were sent", n)
	}
	bob := k.dlq("bob@there")
	if s := k.status(bob, id); s != dlq.Open {
		t.Errorf("it is %s", s)
	}
	got = mustRedrive(t, bob, dlq.RedriveOptions{IDs: []events.LetterID{id}})[id.String()]
	if got.Outcome != dlq.Sent || len(k.records(retryTopic)) != 1 {
		t.Errorf("got %s", asJSON(got))
	}
}

// Who finds a redrive that another one has just begun waits until its owner has had the
// time to send.
func TestRedrive_WaitsForTheOwner(t *testing.T) {
	t.Parallel()
	k := start(t)
	topic := k.topic()
	k.create(events.RetryTopic(topic, "billing"), 4)
	id := k.letter(topic)
	const lease = time.Minute
	sleepy := faults(t, "redrive.after-intent=delay,delay=1s")
	began := make(chan dlq.Result, 1)
	done := make(chan error, 1)
	go func() { // ann sends after a second
		o := dlq.RedriveOptions{IDs: []events.LetterID{id}, Faults: sleepy, Report: func(r dlq.Result) { began <- r }}
		ann, err := dlq.Connect(k.ctx(), dlq.Config{Brokers: k.brokers, Who: "ann@here", Lease: lease})
		if err != nil {
			done <- err
			return
		}
		defer ann.Close()
		choice, err := ann.Choose(k.ctx(), &o)
		if err == nil {
			err = ann.Redrive(k.ctx(), choice, o)
		}
		done <- err
	}()
	bob := k.dlq("bob@there", withLease(lease))
	for k.status(bob, id) == dlq.Open {
	}
	got := mustRedrive(t, bob, dlq.RedriveOptions{IDs: []events.LetterID{id}})[id.String()]
	if got.Outcome != dlq.Refused || !strings.Contains(got.Reason, "redriven before, by ann@here") {
		t.Errorf("got %s", asJSON(got))
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if r := <-began; r.Outcome != dlq.Sent {
		t.Errorf("ann got %s", asJSON(r))
	}
}

// Retention has removed what would tell whether a message was sent: it is not sent on a
// guess.
func TestRedrive_CannotTellAnyMore(t *testing.T) {
	t.Parallel()
	k := start(t)
	topic := k.topic()
	retryTopic := events.RetryTopic(topic, "billing")
	k.create(retryTopic, 1)
	id := k.letter(topic)
	c := k.dlq("ann@here", withLease(shortLease))
	mustRedrive(t, c, dlq.RedriveOptions{IDs: []events.LetterID{id}, Faults: faults(t, "redrive.after-intent=error")})
	k.put(&kgo.Record{Topic: retryTopic, Value: []byte("other")}, &kgo.Record{Topic: retryTopic, Value: []byte("other")})
	var gone kadm.Offsets
	gone.AddOffset(retryTopic, 0, 1, -1)
	deleted, err := k.admin.DeleteRecords(k.ctx(), gone)
	if err == nil {
		err = deleted.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	got := mustRedrive(t, c, dlq.RedriveOptions{IDs: []events.LetterID{id}})[id.String()]
	if got.Outcome != dlq.Refused || !strings.Contains(got.Reason, "retention has removed what would tell") || !strings.Contains(got.Hint, "--again") {
		t.Errorf("got %s", asJSON(got))
	}
	if got = mustRedrive(t, c, dlq.RedriveOptions{IDs: []events.LetterID{id}, Again: true})[id.String()]; got.Outcome != dlq.Sent {
		t.Errorf("with again: %s", asJSON(got))
	}
}
