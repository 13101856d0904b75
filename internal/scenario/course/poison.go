package course

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/scenario"
	"millrace/pkg/events"
)

var poison = scenario.Scenario{
	Name: "poison", Needs: scenario.PrivateShop, Course: []string{"F"},
	Play: playPoison,
}

const (
	poisonOrders = 40
	poisonText   = `{"event_type":"ORDER_CREATED","order_id":` // cut off in the middle
)

type poisonEvidence struct {
	Orders int `json:"orders"`
	Poison int `json:"poison_records"`
	// Letters are the dead letters of each group.
	Letters map[string]int `json:"dead_letters"`
	// Complete counts letters with every field of the course's form, and the message
	// as it was, byte for byte.
	Complete int   `json:"complete_letters"`
	Lag      int64 `json:"lag"` // of both groups, in the end
	audited
}

func (e poisonEvidence) Verdict() []scenario.Check {
	all := 0
	for _, n := range e.Letters {
		all += n
	}
	return []scenario.Check{
		is("once_a_group", len(e.Letters) == 2 && e.Letters[events.GroupInventory] == e.Poison && e.Letters[events.GroupNotification] == e.Poison && e.Poison > 0,
			a{"letters": shares(e.Letters), "n": e.Poison}),
		is("complete", e.Complete == all && all > 0, a{"n": e.Complete, "of": all}),
		is("goes_on", e.Lag == 0, a{"lag": e.Lag}),
		auditCheck(e.audited, e.Orders),
	}
}

func playPoison(ctx context.Context, s *scenario.Stage) (scenario.Evidence, error) {
	sh, err := s.Env.Shop(ctx, scenario.ShopNeeds{})
	if err != nil {
		return nil, err
	}
	if err := sh.Plenty(ctx); err != nil {
		return nil, err
	}
	e := poisonEvidence{Orders: poisonOrders, Poison: events.Partitions, Letters: map[string]int{}}
	s.Explain("write", nil)
	client, err := sh.Broker.Client(kgo.DefaultProduceTopic(events.TopicOrders), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return nil, err
	}
	var records []*kgo.Record
	for p := range int32(events.Partitions) {
		records = append(records, &kgo.Record{Partition: p, Key: []byte("poison"), Value: []byte(poisonText)})
	}
	if err := produce(ctx, client, records...); err != nil {
		return nil, err
	}
	s.Event("written", a{"n": len(records)})
	ids, err := sh.Place(ctx, poisonOrders, simpleOrder)
	if err != nil {
		return nil, err
	}
	if err := sh.AwaitDone(ctx, ids); err != nil {
		return nil, err
	}
	s.Event("orders_done", a{"n": poisonOrders})
	if err := scenario.Poll(ctx, "both groups to be done", func(ctx context.Context) error {
		e.Lag = 0
		for _, group := range []string{events.GroupInventory, events.GroupNotification} {
			lag, err := lagOf(ctx, sh, group, events.TopicOrders)
			if err != nil {
				return err
			}
			e.Lag += lag
		}
		if e.Lag > 0 {
			return fmt.Errorf("the lag is %d", e.Lag)
		}
		return nil
	}); err != nil {
		return nil, err
	}
	letters, err := readWhole(ctx, sh.Broker, events.TopicOrdersDLQ)
	if err != nil {
		return nil, err
	}
	for _, r := range letters {
		d, err := events.DecodeDeadLetter(r.Value)
		if err != nil {
			continue // not counted, so the check fails
		}
		e.Letters[d.Group]++
		if string(d.OriginalMessage) == poisonText && d.Error != "" && d.OriginalTopic == events.TopicOrders && d.OriginalOffset >= 0 {
			e.Complete++
		}
	}
	s.Event("letters", a{"letters": shares(e.Letters)})
	e.audited, err = audit(ctx, sh, ids)
	return e, err
}
