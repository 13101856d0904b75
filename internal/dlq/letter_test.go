package dlq

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/pkg/events"
)

func sample() *Letter {
	return &Letter{
		ID: events.LetterID{Topic: "orders-dlq", Partition: 2, Offset: 17}, Timestamp: storyTime,
		Dead: events.DeadLetter{
			Group: "g", ErrorClass: events.ClassPermanent, LastFailure: storyTime.Add(-time.Minute), OriginalKey: []byte("k"),
			OriginalTopic: "orders", OriginalPartition: 1, OriginalOffset: 5,
		},
	}
}

func TestFilter_Match(t *testing.T) {
	t.Parallel()
	text := func(s string) *string { return &s }
	redriven := NewState()
	redriven.Status = Redriven
	at := storyTime.Add(-time.Minute) // when it failed
	for name, c := range map[string]struct {
		filter Filter
		state  State
		want   bool
	}{
		"nothing asked":       {Filter{}, NewState(), true},
		"group":               {Filter{Group: "g"}, NewState(), true},
		"another group":       {Filter{Group: "h"}, NewState(), false},
		"class":               {Filter{Class: events.ClassPermanent}, NewState(), true},
		"another class":       {Filter{Class: events.ClassPanic}, NewState(), false},
		"key":                 {Filter{Key: text("k")}, NewState(), true},
		"part of the key":     {Filter{Key: text("")}, NewState(), false},
		"since is within":     {Filter{Since: at}, NewState(), true},
		"before since":        {Filter{Since: at.Add(1)}, NewState(), false},
		"until is not within": {Filter{Until: at}, NewState(), false},
		"before until":        {Filter{Until: at.Add(1)}, NewState(), true},
		"status":              {Filter{Statuses: []Status{Open, Redriven}}, redriven, true},
		"another status":      {Filter{Statuses: []Status{Open}}, redriven, false},
	} {
		if got := c.filter.Match(sample(), c.state); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	broken := readLetter(&kgo.Record{Topic: "a-dlq", Value: []byte("x"), Timestamp: storyTime})
	if !(Filter{Class: ClassNotInForm}).Match(broken, NewState()) || (Filter{Key: text("")}).Match(broken, NewState()) {
		t.Error("a record that is not in the form is of the class not_in_form and has no key")
	}
}

func TestLetter_MessageIDOfOneWithout(t *testing.T) {
	t.Parallel()
	if got := sample().MessageID(); got != "orders/1/5" {
		t.Errorf("got %s", got)
	}
}

func TestNewest_KeepsTheNewest(t *testing.T) {
	t.Parallel()
	n := newest{limit: 3}
	for i := range 100 {
		n.add(Summary{ID: strconv.Itoa(i), Time: storyTime.Add(time.Duration(i*37%100) * time.Second)})
	}
	n.cut()
	var times []int
	for _, s := range n.kept {
		times = append(times, int(s.Time.Sub(storyTime)/time.Second))
	}
	if fmt.Sprint(times) != "[97 98 99]" || n.total != 100 {
		t.Errorf("kept %v of %d", times, n.total)
	}
}

func TestCounter_IsBounded(t *testing.T) {
	t.Parallel()
	var c counter
	l := sample()
	for i := range 3 * maxStatsRows {
		l.Dead.Group = fmt.Sprint("group ", i)
		c.add(l, NewState())
	}
	stats := c.result(NewLedger(nil))
	if len(stats.Rows) > maxStatsRows+1 || stats.Letters != 3*maxStatsRows {
		t.Errorf("%d rows of %d letters", len(stats.Rows), stats.Letters)
	}
	sum := 0
	for _, row := range stats.Rows {
		sum += row.Letters
	}
	if sum != stats.Letters || !stats.Oldest.Equal(l.Time()) {
		t.Errorf("the rows sum to %d, the oldest is %v", sum, stats.Oldest)
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	dlq := []extent{{"a-dlq", 0, 0, 10}, {"a-dlq", 1, 3, 5}, {"b-dlq", 0, 8, 20}}
	for text, want := range map[string]string{
		"a-dlq/0/9": "a-dlq/0/9",
		"a/0/9":     "a-dlq/0/9",
		"1/4":       "a-dlq/1/4",
		"0/15":      "b-dlq/0/15",
		"0/8":       "0/8 may be one of several letters",
		"a-dlq/1/2": "it was removed by retention; the first one left is 3",
		"a-dlq/1/5": "the partition ends at 4",
		"a-dlq/7/0": "no such partition or offset",
		"7/0":       "there is no letter 7/0",
		"c/0/0":     "there is no dead letter topic of that name",
	} {
		id, err := ParseID(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		found, err := resolve(dlq, []events.LetterID{id, id})
		got := fmt.Sprint(err)
		if err == nil {
			got = found[0].letterID().String()
			if len(found) != 1 {
				t.Errorf("%s: given twice, found %d times", text, len(found))
			}
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
	for _, text := range []string{"", "7", "a/b", "a-dlq/1", "/1/2", "1/-2", "a/1/2/3"} {
		if id, err := ParseID(text); err == nil {
			t.Errorf("%q is taken for %v", text, id)
		}
	}
}

func TestPick_IsKafkasPartition(t *testing.T) {
	t.Parallel()
	// From Apache Kafka's UtilsTest.testMurmur2, with the sign bit off, modulo 4.
	for key, hash := range map[string]int32{"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536, "abc": 479470107} {
		l := sample()
		l.Dead.OriginalKey = []byte(key)
		if got, want := pick(l, 4), (hash&0x7fffffff)%4; got != want {
			t.Errorf("%s: partition %d, want %d", key, got, want)
		}
	}
	l := sample()
	l.Dead.OriginalKey, l.Dead.OriginalPartition = nil, 6
	if got := pick(l, 4); got != 2 {
		t.Errorf("without a key: partition %d", got)
	}
}

// What a letter says is no header that its readers refuse: it is kept within bounds, or
// the letter is refused.
func TestCompose_ReadersTakeIt(t *testing.T) {
	t.Parallel()
	l := sample()
	l.Dead.Attempts, l.Dead.FirstFailure, l.Dead.OriginalTimestamp = -5, time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC), time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC)
	l.Dead.Headers = map[string]string{events.HeaderRetryReason: "nonsense", events.HeaderDelays: "x", "own": "kept"}
	record, err := compose(l, original{nil, l.Dead.Headers}, target{"orders-retry-g", 1}, retry(l, "g", "r", ""), true)
	if err != nil {
		t.Fatal(err)
	}
	headers := map[string]string{}
	for _, h := range record.Headers {
		headers[h.Key] = string(h.Value)
	}
	r, ok, err := events.ParseRetry(headers)
	if !ok || err != nil || r.Reason != events.RetryRedrive || r.Attempts != 0 || headers["own"] != "kept" || headers[events.HeaderEdited] != "true" || headers[events.HeaderMessageID] != "orders/1/5" {
		t.Errorf("got %+v, %v; headers %q", r, err, headers)
	}
	l.Dead.OriginalTopic = "no topic!"
	if _, err := compose(l, original{}, target{"x", 0}, retry(l, "g", "r", ""), false); err == nil || !strings.Contains(err.Error(), events.HeaderOriginalTopic) {
		t.Errorf("got %v, want the name of the header", err)
	}
}

// FuzzLetter: whatever a record holds, it is read, summed up in valid JSON, compared and
// judged without a panic.
func FuzzLetter(f *testing.F) {
	for _, seed := range hostile() {
		f.Add([]byte(seed), int64(0))
	}
	f.Fuzz(func(t *testing.T, value []byte, millis int64) {
		l := readLetter(&kgo.Record{Topic: "a-dlq", Value: value, Timestamp: time.UnixMilli(millis)})
		if _, err := json.Marshal(Summarize(l, NewState())); err != nil {
			t.Fatal(err)
		}
		var c counter
		c.add(l, NewState())
		if _, err := json.Marshal(c.result(NewLedger(nil))); err != nil {
			t.Fatal(err)
		}
		if group, err := judge(l, NewState(), "", false); err == nil {
			_, _ = compose(l, original{l.Dead.OriginalMessage, l.Dead.Headers}, target{"t", pick(l, 4)}, retry(l, group, "r", ""), false)
		}
		Compare(value, l.Dead.OriginalMessage)
		_ = checkEdit(l, value)
	})
}

// hostile are records that nobody should write into a dead letter topic.
func hostile() map[string]string {
	return map[string]string{
		"empty":         "",
		"not JSON":      "{oops",
		"null":          "null",
		"array":         "[]",
		"no fields":     "{}",
		"wrong types":   `{"original_topic":"t","original_partition":"2","headers":[1]}`,
		"negative":      `{"original_topic":"t","original_partition":-1,"original_offset":-9}`,
		"big numbers":   `{"original_topic":"t","original_offset":99999999999999999999999}`,
		"far times":     `{"original_topic":"t","last_failure":"9999-12-31T23:59:59-14:00","first_failure":"0000-01-01T00:00:00+14:00"}`,
		"deep":          strings.Repeat(`{"original_message":`, 20_000) + "1" + strings.Repeat("}", 20_000),
		"deep message":  `{"original_topic":"t","original_message":{"a":` + strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000) + `}}`,
		"escapes":       `{"original_topic":"t\u001b[2J","group":"\u001b]0;pwned\u0007","error":"\u001b[31mred\u009b2J\u202e","original_key":"a\nb\u0000","error_class":"\u001b[1m"}`,
		"invalid UTF-8": "{\"original_topic\":\"t\",\"error\":\"\xff\xfe\x1b[2J\"}",
		"bad base64":    `{"original_topic":"t","original_message":"%%%","original_message_encoding":"base64"}`,
		"many fields":   `{"original_topic":"t","headers":{` + strings.TrimSuffix(strings.Repeat(`"h":"v",`, 50_000), ",") + `}}`,
	}
}
