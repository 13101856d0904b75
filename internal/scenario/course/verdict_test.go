package course

import (
	"slices"
	"testing"

	"millrace/internal/scenario"
)

// judged is evidence with the checks that must not hold; none means it passes.
type judged struct {
	evidence scenario.Evidence
	broken   []string
}

// judge compares each verdict with what it has to be. Every check of a scenario
// must be broken by some evidence: one that cannot fail proves nothing.
func judge(t *testing.T, cases map[string]judged) {
	t.Helper()
	all, failed := map[string]bool{}, map[string]bool{}
	passes := 0
	for name, c := range cases {
		var broken []string
		for _, check := range c.evidence.Verdict() {
			all[check.Name] = true
			if !check.OK {
				broken = append(broken, check.Name)
				failed[check.Name] = true
			}
		}
		slices.Sort(broken)
		slices.Sort(c.broken)
		if !slices.Equal(broken, c.broken) {
			t.Errorf("%s: the checks %v do not hold, want %v", name, broken, c.broken)
		}
		if len(c.broken) == 0 {
			passes++
		}
	}
	for check := range all {
		if !failed[check] {
			t.Errorf("no evidence breaks the check %q", check)
		}
	}
	if passes == 0 {
		t.Error("no evidence passes")
	}
}

// with returns a changed copy of evidence.
func with[E any](e E, change func(*E)) E {
	change(&e)
	return e
}

func TestVerdict_KeysAndOrder(t *testing.T) {
	t.Parallel()
	good := func() keysEvidence {
		e := keysEvidence{Partitions: keysPartitions, Across: 40, VIPRecords: keysPerKey,
			Null: keyRead{Records: keysPerKey, In: []int32{0, 1, 2}, OutOfOrder: 20}}
		for _, k := range keysNames {
			e.Keys = append(e.Keys, keyRead{Key: k, Records: keysPerKey, In: []int32{1}})
		}
		return e
	}
	judge(t, map[string]judged{
		"good":                         {good(), nil},
		"a key in two partitions":      {with(good(), func(e *keysEvidence) { e.Keys[1].In = []int32{0, 1} }), []string{"one_partition"}},
		"a record of a key is missing": {with(good(), func(e *keysEvidence) { e.Keys[1].Records-- }), []string{"one_partition"}},
		"a key out of order":           {with(good(), func(e *keysEvidence) { e.Keys[0].OutOfOrder = 1 }), []string{"order_in_key"}},
		"all in order":                 {with(good(), func(e *keysEvidence) { e.Across = 0 }), []string{"no_order_across"}},
		"no key, one partition":        {with(good(), func(e *keysEvidence) { e.Null.In = []int32{2} }), []string{"null_spread"}},
		"VIP elsewhere":                {with(good(), func(e *keysEvidence) { e.VIPElsewhere = 1 }), []string{"custom"}},
		"others with the VIP":          {with(good(), func(e *keysEvidence) { e.OthersInLane = 1 }), []string{"custom"}},
		"nothing was read":             {keysEvidence{}, []string{"one_partition", "no_order_across", "null_spread", "custom"}},
	})
}

func TestVerdict_StartPositions(t *testing.T) {
	t.Parallel()
	good := startEvidence{Records: startOld, FromBeginning: startOld, ChosenFirst: startChosen, FromChosen: startOld - startChosen,
		Committed: startDone, ResumedAt: startDone, Resumed: startOld - startDone, LatestNew: startNew, NoneRefused: true}
	judge(t, map[string]judged{
		"good":                      {good, nil},
		"a record is missing":       {with(good, func(e *startEvidence) { e.FromBeginning-- }), []string{"beginning"}},
		"started one later":         {with(good, func(e *startEvidence) { e.ChosenFirst++ }), []string{"chosen"}},
		"the commit was ignored":    {with(good, func(e *startEvidence) { e.ResumedAt, e.Resumed = 0, startOld }), []string{"committed"}},
		"the commit is another one": {with(good, func(e *startEvidence) { e.Committed = 9 }), []string{"committed"}},
		"latest read old ones":      {with(good, func(e *startEvidence) { e.LatestOld = 1 }), []string{"latest"}},
		"none was not refused":      {with(good, func(e *startEvidence) { e.NoneRefused = false }), []string{"none"}},
		"none read something":       {with(good, func(e *startEvidence) { e.NoneGot = 1 }), []string{"none"}},
	})
}

func TestVerdict_SurplusConsumer(t *testing.T) {
	t.Parallel()
	good := surplusEvidence{Partitions: 3, Before: []int{1, 1, 1, 0}, After: []int{1, 1, 1}, StandbyIn: 1, StandbyRead: surplusEach,
		delivery: delivery{Sent: 2 * surplusEach * 3, Again: 2}}
	judge(t, map[string]judged{
		"good":                 {good, nil},
		"two for one":          {with(good, func(e *surplusEvidence) { e.Before = []int{2, 1, 0, 0} }), []string{"one_each"}},
		"three members":        {with(good, func(e *surplusEvidence) { e.Before = []int{1, 1, 1} }), []string{"one_each"}},
		"the idle one read":    {with(good, func(e *surplusEvidence) { e.IdleRead = 1 }), []string{"idle"}},
		"another took over":    {with(good, func(e *surplusEvidence) { e.StandbyIn, e.StandbyRead = 0, 0 }), []string{"takes_over", "works"}},
		"nobody took over":     {with(good, func(e *surplusEvidence) { e.After = []int{1, 1, 0} }), []string{"takes_over"}},
		"a record is lost":     {with(good, func(e *surplusEvidence) { e.Lost = 1 }), []string{"nothing_lost"}},
		"not all was sent":     {with(good, func(e *surplusEvidence) { e.Sent = 0 }), []string{"nothing_lost"}},
		"it did not work then": {with(good, func(e *surplusEvidence) { e.StandbyRead = 3 }), []string{"works"}},
	})
}

func TestVerdict_Rebalance(t *testing.T) {
	t.Parallel()
	good := rebalanceEvidence{Partitions: 4, Alone: []int{4}, Both: []int{2, 2}, After: []int{4}, ByDead: 50, ByOther: 250, delivery: delivery{Sent: 300}}
	judge(t, map[string]judged{
		"good":                 {good, nil},
		"alone with three":     {with(good, func(e *rebalanceEvidence) { e.Alone = []int{3} }), []string{"alone"}},
		"three and one":        {with(good, func(e *rebalanceEvidence) { e.Both = []int{3, 1} }), []string{"both"}},
		"two are left over":    {with(good, func(e *rebalanceEvidence) { e.After = []int{2} }), []string{"survivor"}},
		"the dead did nothing": {with(good, func(e *rebalanceEvidence) { e.ByDead = 0 }), []string{"shared"}},
		"a record is lost":     {with(good, func(e *rebalanceEvidence) { e.Lost = 1 }), []string{"nothing_lost"}},
	})
}

func TestVerdict_Acks(t *testing.T) {
	t.Parallel()
	const sent = acksBefore + acksDuring
	good := func() acksEvidence {
		kept := acksLevel{Sent: sent, Confirmed: acksBefore, Stored: acksBefore, Open: acksDuring}
		return acksEvidence{Levels: []acksLevel{
			{Acks: "0", Sent: sent, Confirmed: sent, DuringFreeze: acksDuring, Stored: acksBefore, Lost: acksDuring},
			with(kept, func(l *acksLevel) { l.Acks = "1" }), with(kept, func(l *acksLevel) { l.Acks = "all" }),
		}}
	}
	judge(t, map[string]judged{
		"good":                          {good(), nil},
		"acks=0 lost nothing":           {with(good(), func(e *acksEvidence) { e.Levels[0].Lost = 0 }), []string{"none_loses"}},
		"acks=1 lost one":               {with(good(), func(e *acksEvidence) { e.Levels[1].Lost = 1 }), []string{"one_keeps"}},
		"acks=all lost one":             {with(good(), func(e *acksEvidence) { e.Levels[2].Lost = 1 }), []string{"all_keeps"}},
		"a frozen broker confirmed one": {with(good(), func(e *acksEvidence) { e.Levels[2].DuringFreeze = 1 }), []string{"all_keeps"}},
		"a level is missing":            {with(good(), func(e *acksEvidence) { e.Levels = e.Levels[:2] }), []string{"all_keeps"}},
	})
}

func TestVerdict_BrokerRestart(t *testing.T) {
	t.Parallel()
	good := restartEvidence{Records: restartRecords, Acknowledged: restartRecords, AckedBefore: restartKillAfter, InTopic: restartRecords, Read: restartRecords}
	judge(t, map[string]judged{
		"good":                       {good, nil},
		"killed when all was done":   {with(good, func(e *restartEvidence) { e.AckedBefore = restartRecords }), []string{"in_the_middle"}},
		"the producer stopped":       {with(good, func(e *restartEvidence) { e.Acknowledged-- }), []string{"goes_on"}},
		"a record is lost":           {with(good, func(e *restartEvidence) { e.Lost = 1 }), []string{"nothing_lost"}},
		"a record stands twice":      {with(good, func(e *restartEvidence) { e.Twice = 1 }), []string{"once_in_order"}},
		"a record is out of order":   {with(good, func(e *restartEvidence) { e.OutOfOrder = 1 }), []string{"once_in_order"}},
		"the consumer did not go on": {with(good, func(e *restartEvidence) { e.Read, e.ConsumerLost = 900, 1100 }), []string{"consumer"}},
	})
}

func TestVerdict_Connections(t *testing.T) {
	t.Parallel()
	good := connectionsEvidence{Services: 4, Servers: 5, Direct: 20, ThroughBroker: 9, DirectDelivered: 200, BrokerDelivered: 200, Wanted: 200}
	judge(t, map[string]judged{
		"good":                    {good, nil},
		"one connection is gone":  {with(good, func(e *connectionsEvidence) { e.Direct = 19 }), []string{"direct"}},
		"ten at the broker":       {with(good, func(e *connectionsEvidence) { e.ThroughBroker = 10 }), []string{"broker"}},
		"others were connected":   {with(good, func(e *connectionsEvidence) { e.BrokerBefore = 1 }), []string{"broker"}},
		"an event is missing":     {with(good, func(e *connectionsEvidence) { e.BrokerDelivered = 199 }), []string{"same_work"}},
		"nothing was there to do": {connectionsEvidence{}, []string{"direct", "same_work"}},
	})
}

func TestVerdict_QueueVsBroadcast(t *testing.T) {
	t.Parallel()
	const n = queueOrders
	good := func() queueEvidence {
		return queueEvidence{Orders: n, Records: n, Shares: map[string]int{"inventory": n / 3, "inventory-2": n - n/3}, Steady: true,
			Inventory: n, Mails: n, Confirmed: n, Emails: 2 * n}
	}
	judge(t, map[string]judged{
		"good":                        {good(), nil},
		"a record stands twice":       {with(good(), func(e *queueEvidence) { e.Records++; e.Shares["inventory"]++ }), []string{"one_record"}},
		"one instance got everything": {with(good(), func(e *queueEvidence) { e.Shares = map[string]int{"inventory": n, "inventory-2": 0} }), []string{"queue"}},
		"both got everything":         {with(good(), func(e *queueEvidence) { e.Shares = map[string]int{"inventory": n, "inventory-2": n} }), []string{"queue"}},
		"a rebalance meanwhile":       {with(good(), func(e *queueEvidence) { e.Steady = false }), []string{"queue"}},
		"inventory left one out":      {with(good(), func(e *queueEvidence) { e.Inventory-- }), []string{"inventory_once"}},
		"notification got half":       {with(good(), func(e *queueEvidence) { e.Mails = n / 2 }), []string{"broadcast"}},
		"a mail too many":             {with(good(), func(e *queueEvidence) { e.Emails++; e.Twice = 1 }), []string{"nothing_lost"}},
	})
}
