// Package faultbook has the faults of the shop by plain names, for people: what each does,
// to which part, and by which rules, process signals or records it is done.
//
//	inventory handler-fails    consume.before-effect=error
//	broker    frozen           SIGSTOP
//	broker    poison-message   a record that no handler can read
//
// docs/faults.md has them as a table, with what one sees and what stays guaranteed.
package faultbook

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"millrace/internal/shop"
	"millrace/pkg/fault"
)

// Action is a fault that no rule can be set for.
type Action string

// The actions. The first three are what a part's operator can do to its process.
const (
	Stop   Action = "stop"
	Freeze Action = "freeze"
	Kill   Action = "kill"
	Poison Action = "poison" // see [PublishPoison]
	Storm  Action = "storm"  // see [RebalanceStorm]
)

// Fault is one thing that can go wrong.
type Fault struct {
	Name    string
	Parts   []string // services, for all their instances, and other parts
	Summary string   // what goes wrong
	// Rules are set at the part; none: Action is done.
	Rules  []fault.Rule
	Action Action
	// OfProduct are the rules when only one product is meant; none: it cannot be told.
	OfProduct []fault.Rule
}

var (
	services = shop.Services
	anyPart  = append([]string{"postgres", "broker", "mail", "collector"}, services...)
)

func rule(p fault.Point, k fault.Kind) fault.Rule { return fault.Rule{Point: p, Kind: k} }

func once(p fault.Point, k fault.Kind) fault.Rule { return fault.Rule{Point: p, Kind: k, Times: 1} }

func slow(p fault.Point, d time.Duration) fault.Rule {
	return fault.Rule{Point: p, Kind: fault.Delay, Delay: d}
}

// How slow slow is, unless it is said: longer than one would wait, shorter than any timeout.
const (
	slowHandler = 2 * time.Second
	slowBroker  = 500 * time.Millisecond
	slowMail    = 2 * time.Second
)

// The broker's points; package broker stands alone and has a catalogue of its own.
const (
	connectionAccept    fault.Point = "connection.accept"
	requestBeforeHandle fault.Point = "request.before-handle"
	produceBeforeAppend fault.Point = "produce.before-append"
	produceAfterAppend  fault.Point = "produce.after-append"
	fetchBeforeRead     fault.Point = "fetch.before-read"
	storageAppend       fault.Point = "storage.append"
)

var book = []Fault{
	{
		Name: "handler-fails", Parts: services, Summary: "the handler of a message fails; with --permanent no further try cures it",
		Rules:     []fault.Rule{rule(fault.ConsumeBeforeEffect, fault.Error)},
		OfProduct: []fault.Rule{rule(fault.EffectBeforeCommit, fault.Error)},
	},
	{Name: "slow-handler", Parts: services, Summary: "the handler of a message takes long", Rules: []fault.Rule{slow(fault.ConsumeBeforeEffect, slowHandler)}},
	{Name: "crash-before-effect", Parts: services, Summary: "the service dies with a message in hand, before it has done anything", Rules: []fault.Rule{once(fault.ConsumeBeforeEffect, fault.Crash)}},
	{Name: "crash-after-effect", Parts: services, Summary: "the service dies when the effect of a message is stored, and the message not acknowledged", Rules: []fault.Rule{once(fault.ConsumeAfterEffect, fault.Crash)}},
	{Name: "crash-after-ack", Parts: services, Summary: "the service dies right after it has acknowledged a message", Rules: []fault.Rule{once(fault.ConsumeAfterAck, fault.Crash)}},
	{Name: "duplicate-delivery", Parts: services, Summary: "each message is handled twice", Rules: []fault.Rule{rule(fault.ConsumeAfterEffect, fault.Duplicate)}},
	{Name: "rebalance-storm", Parts: services, Summary: "a further member joins the service's group and leaves it, again and again", Action: Storm},
	{Name: "relay-paused", Parts: []string{shop.Order, shop.Inventory}, Summary: "events stay in the outbox", Rules: []fault.Rule{rule(fault.RelayBeforePublish, fault.Hang)}},
	{Name: "crash-after-publish", Parts: []string{shop.Order, shop.Inventory}, Summary: "the service dies when the broker has acknowledged an event, and the outbox does not know", Rules: []fault.Rule{once(fault.RelayAfterPublish, fault.Crash)}},
	{Name: "orders-refused", Parts: []string{shop.Order}, Summary: "POST /orders fails before anything is stored", Rules: []fault.Rule{rule(fault.OrderBeforeCommit, fault.Error)}, OfProduct: []fault.Rule{rule(fault.OrderBeforeCommit, fault.Error)}},
	{Name: "lost-reply", Parts: []string{shop.Order}, Summary: "POST /orders stores the order, and the client gets no answer", Rules: []fault.Rule{once(fault.OrderAfterCommit, fault.Error)}, OfProduct: []fault.Rule{once(fault.OrderAfterCommit, fault.Error)}},
	{Name: "crash-after-mail", Parts: []string{shop.Notification}, Summary: "the service dies when the mail server has taken a mail, and nothing is committed", Rules: []fault.Rule{once(fault.MailAfterSend, fault.Crash)}},

	{Name: "slow", Parts: []string{"broker"}, Summary: "Produce and Fetch are answered late", Rules: []fault.Rule{slow(produceBeforeAppend, slowBroker), slow(fetchBeforeRead, slowBroker)}},
	{Name: "lost-answer", Parts: []string{"broker"}, Summary: "records are on disk, and the producer gets no answer", Rules: []fault.Rule{once(produceAfterAppend, fault.Error)}},
	{Name: "refuse", Parts: []string{"broker"}, Summary: "connections and requests are refused", Rules: []fault.Rule{rule(connectionAccept, fault.Error), rule(requestBeforeHandle, fault.Error)}},
	{Name: "full-disk", Parts: []string{"broker"}, Summary: "no record can be written for lack of room", Rules: []fault.Rule{rule(storageAppend, fault.Error)}},
	{Name: "poison-message", Parts: []string{"broker"}, Summary: "a record that no handler can read is published to a topic", Action: Poison},

	{Name: "refuse", Parts: []string{"mail"}, Summary: "mails are refused for now (451); with --permanent for good (554)", Rules: []fault.Rule{rule(fault.SMTPBeforeTake, fault.Error)}},
	{Name: "slow", Parts: []string{"mail"}, Summary: "mails are taken slowly", Rules: []fault.Rule{slow(fault.SMTPBeforeTake, slowMail)}},
	{Name: "lost-answer", Parts: []string{"mail"}, Summary: "a mail is kept, and the sender gets no answer", Rules: []fault.Rule{once(fault.SMTPAfterTake, fault.Error)}},
	{Name: "hang-up", Parts: []string{"mail"}, Summary: "connections are closed", Rules: []fault.Rule{rule(fault.SMTPConnect, fault.Error)}},

	{Name: "down", Parts: anyPart, Summary: "the part is stopped and stays down", Action: Stop},
	{Name: "frozen", Parts: anyPart, Summary: "the part is there and does nothing (SIGSTOP)", Action: Freeze},
	{Name: "killed", Parts: anyPart, Summary: "the part dies as by kill -9 and is started again", Action: Kill},
}

// All returns every fault, in the order in which they are shown.
func All() []Fault { return slices.Clone(book) }

// Of returns the faults of a part, or of a service.
func Of(part string) []Fault {
	return slices.DeleteFunc(All(), func(f Fault) bool { return !slices.Contains(f.Parts, part) })
}

// UnknownError is returned for a fault that a part does not have.
type UnknownError struct {
	Part, Name string
	Names      []string // those that it has
	Nearest    string   // or ""
}

func (e *UnknownError) Error() string {
	const shown = 60
	name := e.Name
	if len(name) > shown {
		name = name[:shown] + "…"
	}
	text := fmt.Sprintf("%s has no fault %q; it has: %s", e.Part, name, strings.Join(e.Names, ", "))
	if e.Nearest != "" {
		text += "; the nearest is " + e.Nearest
	}
	return text
}

// Find returns a fault of a part by its name, or an *UnknownError.
func Find(part, name string) (Fault, error) {
	var names []string
	for _, f := range Of(part) {
		if f.Name == name {
			return f, nil
		}
		names = append(names, f.Name)
	}
	return Fault{}, &UnknownError{part, name, names, fault.Nearest(name, names)}
}

// Options say how a fault is set, where it can be said.
type Options struct {
	Times, Skip int           // 0: what the fault has
	Always      bool          // however often the fault happens by itself
	Delay       time.Duration // 0: what the fault has
	Permanent   bool          // errors that no further try cures
	Product     string        // only for orders with this product
	Order       string        // only for this order
}

// Set returns the rules of a fault with options, or an error that names the option that
// the fault has no place for.
func (f Fault) Set(o Options) ([]fault.Rule, error) {
	refuse := func(option, why string) ([]fault.Rule, error) {
		return nil, fmt.Errorf("%s cannot be set with %s: %s", f.Name, option, why)
	}
	if len(f.Rules) == 0 {
		if o != (Options{}) {
			return refuse("options", "it is something that is done, not a rule")
		}
		return nil, nil
	}
	rules := f.Rules
	if o.Product != "" {
		if rules = f.OfProduct; rules == nil {
			return refuse("a product", "it does not know what the order has")
		}
	}
	rules = slices.Clone(rules)
	for i := range rules {
		r := &rules[i]
		if o.Times != 0 || o.Always {
			r.Times = o.Times
		}
		r.Skip = o.Skip
		if o.Delay != 0 {
			if r.Kind != fault.Delay {
				return refuse("a delay", "it does not wait")
			}
			r.Delay = o.Delay
		}
		if o.Permanent {
			if r.Kind != fault.Error || !mayBePermanent(r.Point) {
				return refuse("--permanent", "nobody tries again because of it")
			}
			r.Kind = fault.Permanent
		}
		if o.Order != "" && !knows(r.Point, fault.OrderID) {
			return refuse("an order", "it does not know which order it is about")
		}
		r.Match = match(o)
		if err := r.Validate(); err != nil {
			return nil, err
		}
	}
	return rules, nil
}

// knows tells whether a point has an attribute; the broker's know nothing of orders.
func knows(p fault.Point, key string) bool {
	info, known := fault.Lookup(p)
	return known && slices.Contains(info.Match, key)
}

func mayBePermanent(p fault.Point) bool {
	info, known := fault.Lookup(p)
	return known && slices.Contains(info.Kinds, fault.Permanent)
}

func match(o Options) map[string]string {
	m := map[string]string{}
	if o.Product != "" {
		m[fault.ProductID] = o.Product
	}
	if o.Order != "" {
		m[fault.OrderID] = o.Order
	}
	if len(m) == 0 {
		return nil
	}
	return m
}
