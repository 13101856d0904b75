package messaging

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"millrace/pkg/events"
)

// due returns a record of a retry topic that is due some time after base; 0: at once.
func dueRecord(offset int64, base time.Time, after time.Duration) *sarama.ConsumerMessage {
	retry := events.Retry{Reason: events.RetryDelay, Topic: "orders", Group: "g", Attempts: 3}
	if after > 0 {
		retry.NotBefore = base.Add(after)
	}
	record := &sarama.ConsumerMessage{Offset: offset, Timestamp: base, Value: []byte(strconv.FormatInt(offset, 10))}
	for name, value := range retry.Headers() {
		record.Headers = append(record.Headers, &sarama.RecordHeader{Key: []byte(name), Value: []byte(value)})
	}
	return record
}

func TestHold_TheEarliestDueComesFirst(t *testing.T) {
	base := time.Now().Truncate(time.Millisecond)
	var h hold
	for offset, after := range []time.Duration{time.Hour, 5 * time.Second, 0, 30 * time.Second, 5 * time.Second, 0} {
		h.add(dueRecord(int64(offset), base, after))
	}
	tooFar := dueRecord(6, base, 48*time.Hour) // nothing of ours waits for so long
	h.add(tooFar)
	var got []int64
	for {
		next, ok := h.first()
		if !ok {
			break
		}
		got = append(got, next.record.Offset)
		h.remove(next.record)
	}
	if want := []int64{2, 5, 6, 1, 4, 3, 0}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if h.bytes != 0 {
		t.Errorf("%d bytes are left", h.bytes)
	}
}

func TestHold_IsBounded(t *testing.T) {
	base := time.Now()
	var many hold
	for offset := int64(0); !many.full(); offset++ {
		many.add(dueRecord(offset, base, time.Hour))
	}
	if len(many.records) != maxHeld {
		t.Errorf("holds %d records", len(many.records))
	}
	var large hold
	record := dueRecord(0, base, time.Hour)
	record.Value = make([]byte, maxHeldBytes)
	large.add(record)
	if !large.full() {
		t.Error("a large record does not fill it")
	}
	if _, found := large.at(1); found {
		t.Error("found what is not there")
	}
	if held, found := large.at(0); !found || held.record != record {
		t.Error("did not find what is there")
	}
}

// The ledger against the plain rule: what may be committed is the lowest offset that
// was taken and is not finished.
func TestLedger_NeverStepsOverAnUnfinishedRecord(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test that repeats
	for range 200 {
		l := newLedger(7)
		next, unfinished := int64(7), []int64{}
		last := int64(7)
		for range 300 {
			if len(unfinished) == 0 || random.IntN(2) == 0 {
				next += int64(1 + random.IntN(3)) // a compacted log has gaps
				l.take(next)
				unfinished = append(unfinished, next)
			} else {
				i := random.IntN(len(unfinished))
				l.finish(unfinished[i])
				unfinished = slices.Delete(unfinished, i, i+1)
			}
			want := next + 1
			if len(unfinished) > 0 {
				want = slices.Min(unfinished)
			}
			got, _ := l.at()
			if got != want || got < last {
				t.Fatalf("position %d after %d, want %d; unfinished %v", got, last, want, unfinished)
			}
			last = got
		}
	}
}

func TestLedger_Moves(t *testing.T) {
	l := newLedger(-2) // sarama's "from the oldest on"
	if position, crowded := l.at(); position != -1 || crowded {
		t.Errorf("begins with %d, %t", position, crowded)
	}
	for offset := range int64(4) {
		l.take(offset)
	}
	for _, step := range []struct {
		finish, position int64
		moved            bool
	}{{2, 0, false}, {0, 1, true}, {0, 1, false}, {9, 1, false}, {1, 3, true}, {3, 4, true}} {
		position, moved := l.finish(step.finish)
		if position != step.position || moved != step.moved {
			t.Errorf("finish %d: %d, %t, want %d, %t", step.finish, position, moved, step.position, step.moved)
		}
	}
	for offset := range int64(maxSpan + maxHeld + 1) {
		l.take(10 + offset)
	}
	if _, crowded := l.at(); !crowded {
		t.Error("not crowded")
	}
}
