package dlq_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"millrace/internal/dlq"
	"millrace/pkg/events"
	"millrace/pkg/fault"
)

// A message goes to the retry topic of its group, with key, headers and message id as
// they were, and the letter is marked; a second run sends nothing.
func TestRedrive_SendsOnceAndMarks(t *testing.T) {
	t.Parallel()
	k := start(t)
	topic := k.topic()
	retryTopic := events.RetryTopic(topic, "billing")
	k.create(retryTopic, 4)
	id := k.letter(topic)
	spans := tracetest.NewSpanRecorder()
	c := k.dlq("ann@here", func(c *dlq.Config) {
		c.Traces = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	})

	dry := mustRedrive(t, c, dlq.RedriveOptions{IDs: []events.LetterID{id}, DryRun: true})[id.String()]
	if dry.Outcome != dlq.WouldSend || dry.Topic != retryTopic || len(k.records(retryTopic)) != 0 {
		t.Fatalf("dry run: %+v, %d records", dry, len(k.records(retryTopic)))
	}
	if s := k.status(c, id); s != dlq.Open {
		t.Fatalf("after the dry run it is %s", s)
	}

	got := mustRedrive(t, c, dlq.RedriveOptions{IDs: []events.LetterID{id}})[id.String()]
	sent := k.records(retryTopic)
	if got.Outcome != dlq.Sent || len(sent) != 1 || *got.Partition != sent[0].Partition || *got.Offset != sent[0].Offset {
		t.Fatalf("got %s and %d records", asJSON(got), len(sent))
	}
	r, h := sent[0], headers(sent[0])
	want := deadLetter(topic)
	if !bytes.Equal(r.Value, want.OriginalMessage) || !bytes.Equal(r.Key, want.OriginalKey) {
		t.Errorf("sent %q with key %q", r.Value, r.Key)
	}
	for name, value := range want.Headers {
		if h[name] != value {
			t.Errorf("header %s is %q, was %q", name, h[name], value)
		}
	}
	if h[events.HeaderMessageID] != "m-1" || h[events.HeaderEdited] != "" {
		t.Errorf("message id %q, edited %q", h[events.HeaderMessageID], h[events.HeaderEdited])
	}
	retry, ok, err := events.ParseRetry(h)
	if !ok || err != nil || retry.Reason != events.RetryRedrive || retry.Group != "billing" || retry.Topic != topic || retry.Partition != 2 ||
		retry.Offset != 41 || !retry.Timestamp.Equal(want.OriginalTimestamp) || retry.Attempts != 3 || !retry.FirstFailure.Equal(want.FirstFailure) ||
		retry.RedriveID != got.RedriveID {
		t.Errorf("got %+v, %v, %v", retry, ok, err)
	}
	ended := spans.Ended()
	if len(ended) != 1 || ended[0].Name() != "redrive "+events.RetryTopic(topic, "billing") || len(ended[0].Links()) != 1 || ended[0].Parent().IsValid() {
		t.Fatalf("spans %v", ended)
	}
	link, own := ended[0].Links()[0].SpanContext, ended[0].SpanContext()
	if link.TraceID().String() != traceparent[3:35] || link.SpanID().String() != traceparent[36:52] {
		t.Errorf("the span links to %v", link)
	}
	if wantParent := "00-" + own.TraceID().String() + "-" + own.SpanID().String() + "-01"; retry.RedriveTraceparent != wantParent {
		t.Errorf("redrive traceparent %s, want %s", retry.RedriveTraceparent, wantParent)
	}

	var actions []string
	for _, a := range k.audits(topic) {
		actions = append(actions, string(a.Action))
		if a.Who != "ann@here" || a.Letter != id || a.MessageID != "m-1" || a.RedriveID != got.RedriveID || a.TargetTopic != retryTopic {
			t.Errorf("audit record %+v", a)
		}
	}
	if !slices.Equal(actions, []string{"redrive_intent", "redrive_done"}) {
		t.Errorf("audit records %v", actions)
	}
	again := mustRedrive(t, k.dlq("bob@there"), dlq.RedriveOptions{IDs: []events.LetterID{id}})[id.String()]
	if again.Outcome != dlq.Refused || !strings.Contains(again.Reason, "redriven before, by ann@here") || !strings.Contains(again.Hint, "--again") {
		t.Errorf("second run: %s", asJSON(again))
	}
	if n := len(k.records(retryTopic)); n != 1 {
		t.Errorf("%d records after the second run", n)
	}
	if third := mustRedrive(t, c, dlq.RedriveOptions{IDs: []events.LetterID{id}, Again: true})[id.String()]; third.Outcome != dlq.Sent || len(k.records(retryTopic)) != 2 {
		t.Errorf("with again: %s", asJSON(third))
	}
}

// Whatever ends a redrive at any point, the next one brings it to its end: each message
// is sent once, and no letter is left.
func TestRedrive_EndedAnywhereIsCompleted(t *testing.T) {
	t.Parallel()
	for _, point := range dlq.Points() {
		for _, kind := range []string{"error", "crash"} {
			t.Run(string(point)+" "+kind, func(t *testing.T) {
				t.Parallel()
				k := start(t)
				topic := k.topic()
				retryTopic := events.RetryTopic(topic, "billing")
				k.create(retryTopic, 4)
				for n := range 5 {
					k.letter(topic, func(d *events.DeadLetter) { d.MessageID = fmt.Sprintf("m-%d", n) })
				}
				rule := string(point) + "=" + kind + ",skip=2,times=1"
				if kind == "crash" {
					if code := k.runChild(topic, rule); code == 0 {
						t.Fatal("the child was to be killed")
					}
				} else {
					results := mustRedrive(t, k.dlq("ann@here", withLease(shortLease)), dlq.RedriveOptions{Topics: []string{topic}, Faults: faults(t, rule)})
					failed := 0
					for _, r := range results {
						if r.Outcome == dlq.Failed {
							failed++
							if !strings.Contains(r.Reason, "injected fault at "+string(point)) {
								t.Errorf("reason %q", r.Reason)
							}
						}
					}
					if failed != 1 || len(results) != 5 {
						t.Errorf("%d of %d failed", failed, len(results))
					}
				}
				c := k.dlq("bob@there", withLease(shortLease))
				filter := dlq.Filter{Statuses: []dlq.Status{dlq.Open, dlq.Redriving}}
				for letter, r := range mustRedrive(t, c, dlq.RedriveOptions{Topics: []string{topic}, Filter: filter}) {
					if r.Outcome != dlq.Sent && r.Outcome != dlq.Completed {
						t.Errorf("%s: %s", letter, asJSON(r))
					}
				}
				once := map[string]int{}
				for _, r := range k.records(retryTopic) {
					once[headers(r)[events.HeaderMessageID]]++
				}
				for n := range 5 {
					if got := once[fmt.Sprintf("m-%d", n)]; got != 1 {
						t.Errorf("m-%d was sent %d times", n, got)
					}
				}
				stats, err := c.Stats(k.ctx(), []string{topic}, dlq.Filter{})
				if err != nil || len(stats.Rows) != 1 || stats.Rows[0].Status != dlq.Redriven || stats.Rows[0].Letters != 5 {
					t.Errorf("got %s, %v", asJSON(stats), err)
				}
			})
		}
	}
}

const childVar = "MILLRACE_TEST_DLQ_CHILD"

// runChild redrives a topic in a process of its own and returns its exit code.
func (k *kafka) runChild(topic, rules string) int {
	k.t.Helper()
	cmd := exec.CommandContext(k.ctx(), os.Args[0])
	cmd.Env = append(os.Environ(), childVar+"="+strings.Join([]string{strings.Join(k.brokers, ","), topic, rules}, " "))
	out, err := cmd.CombinedOutput()
	k.t.Logf("child: %v\n%s", err, out)
	return cmd.ProcessState.ExitCode()
}

// child is the body of that process.
func child() int {
	words := strings.Split(os.Getenv(childVar), " ")
	ctx := context.Background()
	faults := fault.New(fault.Options{}, dlq.Points()...)
	rules, err := fault.ParseRules(words[2])
	if err == nil {
		err = faults.SetAll(rules)
	}
	var c *dlq.Client
	if err == nil {
		c, err = dlq.Connect(ctx, dlq.Config{Brokers: strings.Split(words[0], ","), Who: "child@here", Lease: shortLease})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 0
	}
	o := dlq.RedriveOptions{Topics: []string{words[1]}, Faults: faults, Report: func(r dlq.Result) { fmt.Fprintln(os.Stderr, asJSON(r)) }}
	choice, err := c.Choose(ctx, &o)
	if err == nil {
		err = c.Redrive(ctx, choice, o)
	}
	fmt.Fprintln(os.Stderr, "not killed:", err)
	return 0
}

// Two people redrive the same letters at the same time: each letter is sent by one of
// them, and the other one is told.
func TestRedrive_TwoAtOnce(t *testing.T) {
	t.Parallel()
	k := start(t)
	topic := k.topic()
	retryTopic := events.RetryTopic(topic, "billing")
	k.create(retryTopic, 4)
	const letters = 150 // more than a chunk
	for n := range letters {
		k.letter(topic, func(d *events.DeadLetter) {
			d.MessageID, d.OriginalPartition = fmt.Sprintf("m-%d", n), int32(n%4)
		})
	}
	type outcome struct {
		results map[string]dlq.Result
		err     error
	}
	done := make(chan outcome)
	clients := []*dlq.Client{k.dlq("ann@here"), k.dlq("bob@there")}
	for _, c := range clients {
		go func() {
			results := map[string]dlq.Result{}
			o := dlq.RedriveOptions{Topics: []string{topic}, Report: func(r dlq.Result) { results[r.Letter] = r }}
			choice, err := c.Choose(context.Background(), &o)
			if err == nil {
				err = c.Redrive(context.Background(), choice, o)
			}
			done <- outcome{results, err}
		}()
	}
	sent := map[string]int{}
	for range clients {
		o := <-done
		if o.err != nil {
			t.Fatal(o.err)
		}
		for letter, r := range o.results {
			switch r.Outcome {
			case dlq.Sent:
				sent[letter]++
			case dlq.Refused:
				if !strings.Contains(r.Reason, "somebody was faster") && !strings.Contains(r.Reason, "redriven before") {
					t.Errorf("%s: %s", letter, asJSON(r))
				}
			case dlq.Completed: // the other one was between sending and marking for longer than the lease
			default:
				t.Errorf("%s: %s", letter, asJSON(r))
			}
		}
	}
	once := map[string]int{}
	for _, r := range k.records(retryTopic) {
		once[headers(r)[events.HeaderMessageID]]++
	}
	for id, n := range once {
		if n != 1 {
			t.Errorf("%s was sent %d times", id, n)
		}
	}
	if len(once) != letters || len(sent) != letters {
		t.Errorf("%d messages, %d letters are said to be redriven, want %d", len(once), len(sent), letters)
	}
}

func TestRedrive_Refuses(t *testing.T) {
	t.Parallel()
	k := start(t)
	topic := k.topic()
	k.create(events.RetryTopic(topic, "billing"), 4)
	c := k.dlq("ann@here")
	noGroup := func(d *events.DeadLetter) { d.Group = "" }
	for name, test := range map[string]struct {
		letter  events.LetterID
		options dlq.RedriveOptions
		field   string
		reason  string
		hint    string
	}{
		"no group":       {letter: k.letter(topic, noGroup), field: "group", reason: "field group is empty", hint: "--group GROUP"},
		"another group":  {letter: k.letter(topic), options: dlq.RedriveOptions{Group: "other"}, field: "group", reason: "it is of group billing, not of other"},
		"no retry topic": {letter: k.letter(topic, func(d *events.DeadLetter) { d.Group = "foreign" }), reason: "there is no topic " + topic + "-retry-foreign", hint: "--create-topic (4 partitions, like " + topic + ")"},
		"bad group":      {letter: k.letter(topic, func(d *events.DeadLetter) { d.Group = "a b/\x1b[31m" }), field: "group", reason: "is no name of a topic"},
		"no message":     {letter: k.letter(topic, func(d *events.DeadLetter) { d.OriginalMessage = nil }), field: "original_message", reason: "field original_message is absent", hint: "--file"},
		"not JSON":       {letter: k.put(&kgo.Record{Topic: topic + "-dlq", Value: []byte("{oops")})[0], reason: "no dead letter in the form: event is no readable JSON"},
		"wrong type":     {letter: k.put(&kgo.Record{Topic: topic + "-dlq", Value: []byte(`{"original_topic":7}`)})[0], field: "original_topic", reason: "must be a string"},
		"negative offset": {letter: k.put(&kgo.Record{Topic: topic + "-dlq", Value: []byte(`{"original_topic":"t","original_offset":-1}`)})[0],
			field: "original_offset", reason: "must be zero or more", hint: "discard"},
	} {
		t.Run(name, func(t *testing.T) {
			test.options.IDs = []events.LetterID{test.letter}
			got := mustRedrive(t, c, test.options)[test.letter.String()]
			if got.Outcome != dlq.Refused || got.Field != test.field || !strings.Contains(got.Reason, test.reason) || !strings.Contains(got.Hint, test.hint) {
				t.Errorf("got %s", asJSON(got))
			}
		})
	}
	t.Run("discarded", func(t *testing.T) {
		id := k.letter(topic)
		f, err := c.Find(k.ctx(), id)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.Discard(k.ctx(), f, "test data"); err != nil {
			t.Fatal(err)
		}
		got := mustRedrive(t, c, dlq.RedriveOptions{IDs: []events.LetterID{id}, Again: true})[id.String()]
		if got.Outcome != dlq.Refused || !strings.Contains(got.Reason, "discarded by ann@here: test data") || !strings.Contains(got.Hint, "--undo") {
			t.Errorf("got %s", asJSON(got))
		}
	})
	t.Run("unknown id", func(t *testing.T) {
		for _, test := range []struct {
			id   events.LetterID
			want string
		}{
			{events.LetterID{Topic: topic + "-dlq", Partition: 2, Offset: 999}, "the partition ends at "},
			{events.LetterID{Topic: topic + "-dlq", Partition: 77}, "no such partition"},
			{events.LetterID{Topic: "nowhere-dlq"}, "no dead letter topic of that name"},
			{events.LetterID{Topic: topic + "-dlq", Partition: 3, Offset: 5}, "the partition is empty"},
		} {
			_, err := c.Choose(k.ctx(), &dlq.RedriveOptions{IDs: []events.LetterID{test.id}})
			var unknown *dlq.UnknownError
			if !errors.As(err, &unknown) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: got %v, want %q", test.id, err, test.want)
			}
		}
	})
	for _, a := range k.audits(topic) {
		if a.Action != events.AuditDiscard {
			t.Errorf("a refusal has left %+v", a)
		}
	}
}

// A group that does not know of retry topics yet: the topic is made on demand.
func TestRedrive_CreatesTheRetryTopic(t *testing.T) {
	t.Parallel()
	k := start(t)
	topic := k.topic()
	id := k.letter(topic, func(d *events.DeadLetter) { d.Group, d.OriginalKey = "", nil })
	got := mustRedrive(t, k.dlq("ann@here"), dlq.RedriveOptions{IDs: []events.LetterID{id}, Group: "newcomer", CreateTopic: true})[id.String()]
	if got.Outcome != dlq.Sent || got.Topic != topic+"-retry-newcomer" || *got.Partition != 2 {
		t.Fatalf("got %s", asJSON(got))
	}
	details, err := k.admin.ListTopics(k.ctx(), got.Topic)
	if err != nil || len(details[got.Topic].Partitions) != 4 {
		t.Errorf("it has %d partitions, %v", len(details[got.Topic].Partitions), err)
	}
	if sent := k.records(got.Topic); len(sent) != 1 || sent[0].Key != nil {
		t.Errorf("sent %v", sent)
	}
}

// A letter that came without its message, for its size, is redriven from the original
// record.
func TestRedrive_MessageFromTheOriginalPlace(t *testing.T) {
	t.Parallel()
	k := start(t)
	topic := k.topic()
	retryTopic := events.RetryTopic(topic, "billing")
	k.create(retryTopic, 4)
	big := bytes.Repeat([]byte("x"), 2<<20)
	now := time.Now().Truncate(time.Millisecond)
	place := k.put(&kgo.Record{Topic: topic, Partition: 1, Key: []byte("k"), Value: big, Timestamp: now, Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("v")}}})[0]
	omitted := func(d *events.DeadLetter) {
		d.OriginalMessage, d.Headers, d.Omitted = nil, nil, true
		d.OriginalPartition, d.OriginalOffset, d.OriginalKey, d.OriginalTimestamp = place.Partition, place.Offset, []byte("k"), now
	}
	id := k.letter(topic, omitted)
	other := k.letter(topic, omitted, func(d *events.DeadLetter) { d.OriginalTimestamp = now.Add(time.Second) })
	c := k.dlq("ann@here")
	results := mustRedrive(t, c, dlq.RedriveOptions{IDs: []events.LetterID{id, other}})
	if got := results[other.String()]; got.Outcome != dlq.Refused || !strings.Contains(got.Reason, "another record lies there now") {
		t.Errorf("got %s", asJSON(got))
	}
	sent := k.records(retryTopic)
	if got := results[id.String()]; got.Outcome != dlq.Sent || len(sent) != 1 || !bytes.Equal(sent[0].Value, big) || headers(sent[0])["h"] != "v" || headers(sent[0])["traceparent"] != traceparent {
		t.Errorf("got %s, %d records", asJSON(got), len(sent))
	}
}

// What the broker refuses is said, and the letter is open again.
func TestRedrive_RefusedByTheBroker(t *testing.T) {
	t.Parallel()
	k := start(t)
	topic := k.topic()
	retryTopic := events.RetryTopic(topic, "billing")
	small := "1000"
	if _, err := k.admin.CreateTopic(k.ctx(), 4, 1, map[string]*string{"max.message.bytes": &small}, retryTopic); err != nil {
		t.Fatal(err)
	}
	large := k.letter(topic, func(d *events.DeadLetter) { d.OriginalMessage = bytes.Repeat([]byte("x"), 5000) })
	c := k.dlq("ann@here")
	got := mustRedrive(t, c, dlq.RedriveOptions{IDs: []events.LetterID{large}})[large.String()]
	if got.Outcome != dlq.Failed || !strings.Contains(got.Reason, "MESSAGE_TOO_LARGE") || !strings.Contains(got.Reason, "the letter is open") {
		t.Errorf("got %s", asJSON(got))
	}
	if s := k.status(c, large); s != dlq.Open {
		t.Errorf("it is %s", s)
	}
}

// Messages of one key keep their order, and the rate is kept.
func TestRedrive_OrderAndRate(t *testing.T) {
	t.Parallel()
	k := start(t)
	topic := k.topic()
	retryTopic := events.RetryTopic(topic, "billing")
	k.create(retryTopic, 4)
	const letters = 12
	for n := range letters {
		k.letter(topic, func(d *events.DeadLetter) { d.MessageID = fmt.Sprintf("m-%02d", n) })
	}
	began := time.Now()
	mustRedrive(t, k.dlq("ann@here"), dlq.RedriveOptions{Topics: []string{topic}, Rate: 10})
	if took := time.Since(began); took < time.Second {
		t.Errorf("%d letters at 10/s took %s", letters, took)
	}
	var order []string
	for _, r := range k.records(retryTopic) {
		order = append(order, headers(r)[events.HeaderMessageID])
	}
	if len(order) != letters || !slices.IsSorted(order) {
		t.Errorf("sent in the order %v", order)
	}
}

// The wrong way sends to the topic of all groups, and its records look like any other.
func TestRedrive_SharedTopicIsTheWrongWay(t *testing.T) {
	t.Parallel()
	k := start(t)
	topic := k.topic()
	id := k.letter(topic)
	got := mustRedrive(t, k.dlq("ann@here"), dlq.SharedTopic(dlq.RedriveOptions{IDs: []events.LetterID{id}}))[id.String()]
	sent := k.records(topic)
	if got.Outcome != dlq.Sent || got.Topic != topic || len(sent) != 1 {
		t.Fatalf("got %s", asJSON(got))
	}
	if _, isRetry, _ := events.ParseRetry(headers(sent[0])); isRetry {
		t.Error("it has the headers of a retry topic")
	}
	if headers(sent[0])[events.HeaderMessageID] != "m-1" {
		t.Error("it has lost its message id")
	}
}
