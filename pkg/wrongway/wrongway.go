// Package wrongway lists what this shop can be made to do wrong on purpose, so that one can watch it
// fail: each [Way] names the invariant that it breaks and how to see that. The implementations are in
// the packages below this one, each marked WRONG ON PURPOSE.
//
// Nothing of the right way knows of them. A service that is started with WRONG_WAYS is put together
// from other parts, in the files called wrongway.go and nowhere else; tests/layout keeps it so.
package wrongway

import (
	"fmt"
	"slices"
	"strings"

	"millrace/pkg/fault"
)

// The names of the ways.
const (
	DualWrite          = "dual-write"
	CursorOutbox       = "cursor-outbox"
	AckBeforeWork      = "ack-before-work"
	DedupBeforeHandler = "dedup-before-handler"
	AutoCommit         = "auto-commit"
	NoKey              = "no-key"
	UnboundedNack      = "unbounded-nack"
	SharedRedrive      = "shared-redrive"
)

// Part is what a way puts something else in the place of. Of two ways with the same part one at most
// can be taken.
type Part string

// The parts.
const (
	Consumer  Part = "consumer"
	Relay     Part = "outbox relay"
	Publisher Part = "publisher"
	Store     Part = "store"
	Tool      Part = "tool"
)

// Way is one thing done wrong.
type Way struct {
	Name string
	// Does says what happens in place of what should, in a sentence.
	Does string
	// Breaks is the invariant that no longer holds.
	Breaks string
	// Watch says how to see it.
	Watch    string
	Replaces Part
	// Services that can be made to do it; none: it is a switch of a tool, which Watch names.
	Services []string
}

// In tells whether a service can be made to do it.
func (w Way) In(service string) bool { return slices.Contains(w.Services, service) }

var (
	all = []Way{
		{
			Name:     DualWrite,
			Does:     "The order is committed, then its event is published, with no outbox between them.",
			Breaks:   "no order without its event",
			Watch:    "fault order.after-commit=error or =crash, or stop the broker, and place an order: it stays PENDING for ever",
			Replaces: Store, Services: []string{"order"},
		},
		{
			Name:     CursorOutbox,
			Does:     "The relay reads the outbox by id > last, where it should read what is not published yet.",
			Breaks:   "every committed event is sent",
			Watch:    "let one transaction commit later than one that began after it: its row stays in the outbox, outbox_oldest_age_seconds grows",
			Replaces: Relay, Services: []string{"order", "inventory"},
		},
		{
			Name:     AckBeforeWork,
			Does:     "A message is acknowledged and its offset committed before the handler runs.",
			Breaks:   "no event without its effect",
			Watch:    "fault consume.before-effect=error or =crash: the message is not tried again, is in no dead letter topic, and the lag is 0",
			Replaces: Consumer, Services: []string{"order", "inventory", "notification"},
		},
		{
			Name:     DedupBeforeHandler,
			Does:     "Watermill's Deduplicator stands before the handler and remembers a message before the work is done.",
			Breaks:   "no event without its effect",
			Watch:    "fault consume.before-effect=error,times=1: the second delivery is taken for a duplicate and acknowledged unhandled",
			Replaces: Consumer, Services: []string{"order", "inventory", "notification"},
		},
		{
			Name:     AutoCommit,
			Does:     "Offsets are committed by a timer for all that was fetched, whatever became of it.",
			Breaks:   "no event without its effect",
			Watch:    "fault consume.before-effect=delay, then kill the service: what it had fetched is gone, and the lag is 0",
			Replaces: Consumer, Services: []string{"order", "inventory", "notification"},
		},
		{
			Name:     NoKey,
			Does:     "Events are published without the order id as their key.",
			Breaks:   "events of one order are read in their order",
			Watch:    "two events of one order lie in different partitions, so the reader of the second may be the faster one",
			Replaces: Publisher, Services: []string{"order", "inventory"},
		},
		{
			Name:     UnboundedNack,
			Does:     "A message that fails is redelivered at once, for ever; there are no dead letters.",
			Breaks:   "one bad message does not hold up the others, nor the group",
			Watch:    "one order for a product with fault consume.before-effect=error: its partition stands still, and another instance gets no partition before the rebalance timeout",
			Replaces: Consumer, Services: []string{"order", "inventory", "notification"},
		},
		{
			Name:     SharedRedrive,
			Does:     "A dead letter is sent to its original topic again, which every group reads.",
			Breaks:   "a redrive concerns the group that failed, and no other",
			Watch:    "millrace dlq redrive with --wrong-way shared-redrive: the groups that had dealt with the message get it once more",
			Replaces: Tool,
		},
	}
)

// All lists the ways, in the order in which an order meets them.
func All() []Way { return slices.Clone(all) }

// Names lists their names.
func Names() []string {
	names := make([]string, len(all))
	for i, w := range all {
		names[i] = w.Name
	}
	return names
}

// Parse returns the ways with these names. It refuses an unknown name, one that is given twice, and
// two that replace the same part.
func Parse(names []string) ([]Way, error) {
	var ways []Way
	for _, name := range names {
		name = strings.TrimSpace(name)
		i := slices.IndexFunc(all, func(w Way) bool { return w.Name == name })
		if i < 0 {
			meant := ""
			if nearest := fault.Nearest(name, Names()); nearest != "" {
				meant = " did you mean " + nearest + "?"
			}
			return nil, fmt.Errorf("there is no wrong way %.64q;%s there are %s", name, meant, strings.Join(Names(), ", "))
		}
		way := all[i]
		for _, other := range ways {
			switch {
			case other.Name == way.Name:
				return nil, fmt.Errorf("wrong way %s is given twice", name)
			case other.Replaces == way.Replaces:
				return nil, fmt.Errorf("wrong ways %s and %s both replace the %s: take one of them", other.Name, way.Name, way.Replaces)
			}
		}
		ways = append(ways, way)
	}
	return ways, nil
}

// ParseFor is Parse for the ways of one service.
func ParseFor(service string, names []string) ([]Way, error) {
	ways, err := Parse(names)
	if err != nil {
		return nil, err
	}
	for _, w := range ways {
		switch {
		case len(w.Services) == 0:
			return nil, fmt.Errorf("wrong way %s is not one of a service: %s", w.Name, w.Watch)
		case !w.In(service):
			return nil, fmt.Errorf("service %s has no wrong way %s; %s has it", service, w.Name, strings.Join(w.Services, " or "))
		}
	}
	return ways, nil
}
