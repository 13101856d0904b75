package course

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/shop"
	"millrace/pkg/events"
)

// allGood is the audit of n orders that are all done.
func allGood(n int) audited { return audited{Confirmed: n, Emails: 2 * n} }

func TestVerdict_ConsumerDown(t *testing.T) {
	t.Parallel()
	good := downEvidence{Orders: downOrders, ConfirmedDown: downOrders, LagDown: downOrders, audited: allGood(downOrders)}
	judge(t, map[string]judged{
		"good":                        {good, nil},
		"the others waited for it":    {with(good, func(e *downEvidence) { e.ConfirmedDown-- }), []string{"goes_on"}},
		"it was not down":             {with(good, func(e *downEvidence) { e.LagDown, e.MailsDown = 0, 40 }), []string{"waits"}},
		"it does not catch up":        {with(good, func(e *downEvidence) { e.LagAfter = 3 }), []string{"drains"}},
		"a mail is lost":              {with(good, func(e *downEvidence) { e.Emails--; e.Lost = 1 }), []string{"nothing_lost"}},
		"a mail came twice":           {with(good, func(e *downEvidence) { e.Emails++; e.Twice = 1 }), []string{"nothing_lost"}},
		"nothing was ordered":         {downEvidence{}, []string{"goes_on", "nothing_lost"}},
		"an order was not dealt with": {with(good, func(e *downEvidence) { e.Confirmed-- }), []string{"nothing_lost"}},
	})
}

func TestVerdict_Burst(t *testing.T) {
	t.Parallel()
	const n = 1000
	good := func() burstEvidence {
		return burstEvidence{Orders: n, P50MS: 5, P99MS: 40, DrainSeconds: 4, audited: allGood(n),
			PeakLag: map[string]int64{events.GroupInventory: 700, events.GroupNotification: 300},
			EndLag:  map[string]int64{events.GroupInventory: 0, events.GroupNotification: 0}}
	}
	judge(t, map[string]judged{
		"good":                         {good(), nil},
		"a request was refused":        {with(good(), func(e *burstEvidence) { e.Refused = 1 }), []string{"accepted"}},
		"the answer waits for work":    {with(good(), func(e *burstEvidence) { e.P50MS = 900 }), []string{"api_fast"}},
		"nothing was measured":         {with(good(), func(e *burstEvidence) { e.P50MS = 0 }), []string{"api_fast"}},
		"no lag: no burst":             {with(good(), func(e *burstEvidence) { e.PeakLag[events.GroupNotification] = 20 }), []string{"climbs"}},
		"lag is left":                  {with(good(), func(e *burstEvidence) { e.EndLag[events.GroupInventory] = 1 }), []string{"drains"}},
		"the lag was not looked at":    {with(good(), func(e *burstEvidence) { e.EndLag = nil }), []string{"drains"}},
		"an order is lost":             {with(good(), func(e *burstEvidence) { e.Confirmed--; e.Lost = 2 }), []string{"nothing_lost"}},
		"some orders have no mail yet": {with(good(), func(e *burstEvidence) { e.Emails = n }), []string{"nothing_lost"}},
	})
}

func TestVerdict_Poison(t *testing.T) {
	t.Parallel()
	good := func() poisonEvidence {
		return poisonEvidence{Orders: poisonOrders, Poison: 4, Complete: 8, audited: allGood(poisonOrders),
			Letters: map[string]int{events.GroupInventory: 4, events.GroupNotification: 4}}
	}
	judge(t, map[string]judged{
		"good":                     {good(), nil},
		"one group dropped it":     {with(good(), func(e *poisonEvidence) { delete(e.Letters, events.GroupInventory); e.Complete = 4 }), []string{"once_a_group"}},
		"a letter is there twice":  {with(good(), func(e *poisonEvidence) { e.Letters[events.GroupInventory]++; e.Complete++ }), []string{"once_a_group"}},
		"a letter lacks a field":   {with(good(), func(e *poisonEvidence) { e.Complete-- }), []string{"complete"}},
		"a partition stands still": {with(good(), func(e *poisonEvidence) { e.Lag = 7 }), []string{"goes_on"}},
		"an order behind it waits": {with(good(), func(e *poisonEvidence) { e.Confirmed-- }), []string{"nothing_lost"}},
		"no poison was written":    {with(good(), func(e *poisonEvidence) { e.Poison, e.Letters, e.Complete = 0, nil, 0 }), []string{"once_a_group", "complete"}},
	})
}

func TestVerdict_Redrive(t *testing.T) {
	t.Parallel()
	const n = redriveOrders
	good := redriveEvidence{Orders: n, Letters: n, PendingBefore: n, Redriven: n, InRetryTopic: n, InOrders: n, AuditRecords: 2 * n, audited: allGood(n)}
	judge(t, map[string]judged{
		"good":                        {good, nil},
		"an order was not put aside":  {with(good, func(e *redriveEvidence) { e.PendingBefore-- }), []string{"put_aside"}},
		"a letter was left":           {with(good, func(e *redriveEvidence) { e.Redriven, e.InRetryTopic = n-1, n-1 }), []string{"redriven"}},
		"there is no record of it":    {with(good, func(e *redriveEvidence) { e.AuditRecords = 0 }), []string{"redriven"}},
		"it went to all groups":       {with(good, func(e *redriveEvidence) { e.InOrders, e.InRetryTopic = 2*n, 0 }), []string{"group_alone"}},
		"the second run sent again":   {with(good, func(e *redriveEvidence) { e.SecondRun = n }), []string{"once"}},
		"a mail came twice meanwhile": {with(good, func(e *redriveEvidence) { e.Emails++; e.Twice = 1 }), []string{"nothing_lost"}},
	})
}

func TestVerdict_Replay(t *testing.T) {
	t.Parallel()
	const n = replayOrders
	good := replayEvidence{Orders: n, Before: "abc", After: "abc", Missing: true, Rows: n, MailsBefore: 2 * n, MailsAfter: 2 * n,
		EventsBefore: n, EventsAfter: n, audited: allGood(n + replayAfter)}
	judge(t, map[string]judged{
		"good":                        {good, nil},
		"the database was there":      {with(good, func(e *replayEvidence) { e.Missing = false }), []string{"was_lost"}},
		"another state":               {with(good, func(e *replayEvidence) { e.After = "abd" }), []string{"same_state"}},
		"a reservation is missing":    {with(good, func(e *replayEvidence) { e.Rows-- }), []string{"same_state"}},
		"a mail was sent again":       {with(good, func(e *replayEvidence) { e.MailsAfter++ }), []string{"no_mail_twice"}},
		"an event was sent again":     {with(good, func(e *replayEvidence) { e.EventsAfter++ }), []string{"no_event_twice"}},
		"it does not work afterwards": {with(good, func(e *replayEvidence) { e.Confirmed -= replayAfter }), []string{"nothing_lost"}},
	})
}

func TestVerdict_DuplicateDelivery(t *testing.T) {
	t.Parallel()
	const n = duplicateOrders + 1
	good := func() duplicateEvidence {
		return duplicateEvidence{Orders: n, Copies: 5, Again: map[string]int64{shop.Inventory: 10, shop.Notification: 10}, Starts: 2, audited: allGood(n)}
	}
	judge(t, map[string]judged{
		"good":                     {good(), nil},
		"nothing was sent twice":   {with(good(), func(e *duplicateEvidence) { e.Copies = 0 }), []string{"copies"}},
		"a record is missing":      {with(good(), func(e *duplicateEvidence) { e.Copies = -1 }), []string{"copies"}},
		"nothing was done twice":   {with(good(), func(e *duplicateEvidence) { e.Again[shop.Notification] = 0 }), []string{"again"}},
		"inventory did not die":    {with(good(), func(e *duplicateEvidence) { e.Starts = 1 }), []string{"died"}},
		"an effect happened twice": {with(good(), func(e *duplicateEvidence) { e.Twice = 1 }), []string{"nothing_lost"}},
	})
}

func TestVerdict_WrongWays(t *testing.T) {
	t.Parallel()
	good := wrongEvidence{Least: 1, Wrong: wayRun{Work: 8, Done: 7, Broken: 1, Fired: 1}, Right: wayRun{Work: 8, Done: 8, Fired: 1}}
	judge(t, map[string]judged{
		"good":                               {good, nil},
		"no fault is needed":                 {with(good, func(e *wrongEvidence) { e.NoFault, e.Wrong.Fired, e.Right.Fired = true, 0, 0 }), nil},
		"the right way was spared the fault": {with(good, func(e *wrongEvidence) { e.Right.Fired = 0 }), []string{"same_fault"}},
		"the wrong way works":                {with(good, func(e *wrongEvidence) { e.Wrong.Broken, e.Wrong.Done = 0, 8 }), []string{"wrong_breaks"}},
		"fewer than predicted":               {with(good, func(e *wrongEvidence) { e.Least = 2 }), []string{"wrong_breaks"}},
		"nothing was predicted":              {with(good, func(e *wrongEvidence) { e.Least = 0 }), []string{"wrong_breaks"}},
		"the right way breaks, too":          {with(good, func(e *wrongEvidence) { e.Right.Broken, e.Right.Done = 1, 7 }), []string{"right_holds"}},
		"the right way had nothing to do":    {with(good, func(e *wrongEvidence) { e.Right = wayRun{Fired: 1} }), []string{"right_holds"}},
		"the right way has not done all":     {with(good, func(e *wrongEvidence) { e.Right.Done = 7 }), []string{"right_holds"}},
	})
}

func TestOvertaken(t *testing.T) {
	t.Parallel()
	var read []*kgo.Record
	for _, version := range []int{1, 3, 2, 4, 1} {
		r, err := orderRecord("one", 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		e, err := events.Decode(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		created := e.(events.OrderCreated)
		created.Items[0].Quantity = int64(version)
		if r.Value, err = events.Encode(created); err != nil {
			t.Fatal(err)
		}
		read = append(read, r)
	}
	read = append(read, &kgo.Record{Value: []byte("no event")})
	if n := overtaken(read); n != 2 {
		t.Errorf("%d were overtaken, want 2", n)
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	if got := percentile(nil, 50); got != 0 {
		t.Errorf("of nothing: %g", got)
	}
	values := []int{5, 1, 4, 2, 3}
	for p, want := range map[int]float64{1: 1, 50: 3, 80: 4, 99: 5, 100: 5} {
		if got := percentile(durations(values), p); got != want {
			t.Errorf("p%d = %g, want %g", p, got, want)
		}
	}
}

// What an acknowledged record is counted as when the broker is back.
func TestRestartEvidence_Count(t *testing.T) {
	t.Parallel()
	var stored []*kgo.Record
	for _, i := range []int{0, 1, 1, 4, 2} { // 3 is lost
		stored = append(stored, kgo.StringRecord(ledgerEntry(i)))
	}
	if e := (restartEvidence{Records: 5}).count(stored); e.InTopic != 5 || e.Lost != 1 || e.Twice != 1 || e.OutOfOrder != 1 {
		t.Errorf("%+v", e)
	}
}

func durations(micro []int) []time.Duration {
	var list []time.Duration
	for _, n := range micro {
		list = append(list, time.Duration(n)*time.Microsecond)
	}
	return list
}
