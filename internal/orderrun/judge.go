package orderrun

import (
	"context"
	"fmt"

	"millrace/internal/shopclient"
	"millrace/pkg/events"
)

// verdict collects what is wrong.
type verdict struct{ result Result }

// maxFindings caps how many are put in words.
const maxFindings = 50

func (v *verdict) lost(n int, format string, args ...any) {
	if n > 0 {
		v.result.Lost += n
		v.say("lost: "+format, args...)
	}
}

func (v *verdict) twice(n int, format string, args ...any) {
	if n > 0 {
		v.result.Duplicates += n
		v.say("done twice: "+format, args...)
	}
}

func (v *verdict) say(format string, args ...any) {
	if len(v.result.Findings) < maxFindings {
		v.result.Findings = append(v.result.Findings, fmt.Sprintf(format, args...))
	}
}

// evidence is everything that is stored about the orders of a run.
type evidence struct {
	accepted     []string // ids that the API answered
	expected     plan
	orders       []storedOrder
	reservations map[string]string
	created      map[eventKey]copies // in topic orders
	decided      map[eventKey]copies // in topic inventory
	mails        map[string]map[string]int
	before       map[string]shopclient.Stock
	stock        []stockRow
	unprocessed  map[string]int // group and topic → messages without an inbox row
}

func (r *run) judge(ctx context.Context) (Result, error) {
	e, err := r.gather(ctx)
	if err != nil {
		return Result{}, err
	}
	return judge(e), nil
}

// gather reads the databases, the topics and the mail box.
func (r *run) gather(ctx context.Context) (evidence, error) {
	e := evidence{accepted: r.ids, expected: r.plan, before: r.before, mails: map[string]map[string]int{}, unprocessed: map[string]int{}}
	var err error
	if e.orders, err = r.db.ordersOf(ctx, r.id); err != nil {
		return e, fmt.Errorf("read orders: %w", err)
	}
	ids := map[string]bool{}
	for _, id := range r.ids {
		ids[id] = true
	}
	for _, o := range e.orders {
		ids[o.ID] = true
	}
	all := make([]string, 0, len(ids))
	for id := range ids {
		all = append(all, id)
	}
	if e.reservations, err = r.db.reservations(ctx, all); err != nil {
		return e, fmt.Errorf("read reservations: %w", err)
	}
	if e.stock, err = r.db.stock(ctx); err != nil {
		return e, fmt.Errorf("read stock: %w", err)
	}
	if e.created, err = readTopic(ctx, r.Kafka, events.TopicOrders, ids); err != nil {
		return e, err
	}
	if e.decided, err = readTopic(ctx, r.Kafka, events.TopicInventory, ids); err != nil {
		return e, err
	}
	for _, read := range []struct {
		topic  string
		found  map[eventKey]copies
		groups []string
	}{
		{events.TopicOrders, e.created, []string{events.GroupInventory, events.GroupNotification}},
		{events.TopicInventory, e.decided, []string{events.GroupOrder, events.GroupNotification}},
	} {
		messages := messageIDs(read.found)
		for _, group := range read.groups {
			n, err := r.db.unprocessed(ctx, group, messages)
			if err != nil {
				return e, fmt.Errorf("read the inbox of %s: %w", group, err)
			}
			e.unprocessed[group+" of topic "+read.topic] = n
		}
	}
	if r.MailTable {
		if e.mails, err = r.db.sentMails(ctx, all); err != nil {
			return e, fmt.Errorf("read mails: %w", err)
		}
		return e, nil
	}
	mails, err := r.mail.Mails(ctx, "")
	if err != nil {
		return e, fmt.Errorf("read the mail box: %w", err)
	}
	for _, m := range mails {
		if ids[m.OrderID] {
			if e.mails[m.OrderID] == nil {
				e.mails[m.OrderID] = map[string]int{}
			}
			e.mails[m.OrderID][m.Kind]++
		}
	}
	return e, nil
}

func messageIDs(found map[eventKey]copies) []string {
	var ids []string
	for _, c := range found {
		for id := range c {
			ids = append(ids, id)
		}
	}
	return ids
}

// Kinds of mail that every order brings.
var mailKinds = []string{"CONFIRMATION", "OUTCOME"}

// judge compares what is stored with what has to be.
func judge(e evidence) Result {
	v := &verdict{result: Result{Orders: len(e.accepted)}}
	rows := map[string]storedOrder{}
	for _, o := range e.orders {
		rows[o.ID] = o
	}
	accepted := map[string]int{}
	for _, id := range e.accepted {
		accepted[id]++
	}
	for id, n := range accepted {
		v.lost(n-1, "%d requests with different keys were answered with the one order %s", n, id)
		v.order(id, rows, e)
	}
	for id := range rows {
		if accepted[id] == 0 {
			v.twice(1, "order %s was stored, but its request was answered with another one", id)
		}
	}
	v.stock(e)
	for reader, n := range e.unprocessed {
		v.lost(n, "%d messages were not processed by %s", n, reader)
	}
	if over := v.result.Rejected - e.expected.rejected(); v.result.Lost == 0 && v.result.Duplicates == 0 {
		v.lost(over, "%d orders were rejected though there was stock", over)
		v.twice(-over, "%d orders were confirmed with stock that another had", -over)
	}
	return v.result
}

// order judges the effects of one accepted order.
func (v *verdict) order(id string, rows map[string]storedOrder, e evidence) {
	row, ok := rows[id]
	if !ok {
		v.lost(1, "order %s was accepted, but is not in the database", id)
		return
	}
	wantReservation, wantEvent := "RESERVED", events.TypeInventoryReserved
	switch row.Status {
	case shopclient.Confirmed:
		v.result.Confirmed++
		v.result.Example = max(v.result.Example, id) // the newest: its trace is the last to be dropped
	case shopclient.Rejected:
		v.result.Rejected++
		wantReservation, wantEvent = "REJECTED", events.TypeInventoryRejected
	default:
		v.lost(1, "order %s is still %s", id, row.Status)
		return
	}
	switch got := e.reservations[id]; got {
	case wantReservation:
	case "":
		v.lost(1, "order %s is %s without a decision of inventory", id, row.Status)
	default:
		v.lost(1, "order %s is %s, but inventory says %s", id, row.Status, got)
	}
	v.event(id, events.TypeOrderCreated, e.created)
	v.event(id, wantEvent, e.decided)
	for _, other := range []events.Type{events.TypeInventoryReserved, events.TypeInventoryRejected} {
		if other != wantEvent {
			n := len(e.decided[eventKey{id, other}])
			v.twice(n, "order %s is %s, but there is also %s", id, row.Status, other)
		}
	}
	for _, kind := range mailKinds {
		n := e.mails[id][kind]
		v.result.Emails += n
		if n == 0 {
			v.lost(1, "order %s has no %s mail", id, kind)
		}
		v.result.MailsTwice += max(n-1, 0)
		v.twice(n-1, "order %s has %d %s mails", id, n, kind)
	}
}

// event judges an event that every order with its outcome brings once.
func (v *verdict) event(id string, kind events.Type, found map[eventKey]copies) {
	messages := found[eventKey{id, kind}]
	if len(messages) == 0 {
		v.lost(1, "%s of order %s is not in its topic", kind, id)
	}
	v.twice(len(messages)-1, "%s of order %s was sent as %d different messages", kind, id, len(messages))
	for _, n := range messages {
		v.result.Redelivered += n - 1
	}
}

// stock judges the arithmetic: what is reserved is the sum of all reservations,
// and what is available went down by as much as reserved went up.
func (v *verdict) stock(e evidence) {
	for _, s := range e.stock {
		v.lost(int(s.ByOrders-s.Reserved), "%s: orders hold %d, the stock knows of %d", s.Product, s.ByOrders, s.Reserved)
		v.twice(int(s.Reserved-s.ByOrders), "%s: the stock gave %d, orders hold %d", s.Product, s.Reserved, s.ByOrders)
		set, ours := e.before[s.Product].Available+e.expected.demand[s.Product], e.expected.demand[s.Product] > 0
		if s.Product == e.expected.scarce {
			set, ours = e.expected.stock, true
		}
		if !ours {
			continue
		}
		gone := set - s.Available
		taken := s.Reserved - e.before[s.Product].Reserved
		v.lost(int(gone-taken), "%s: %d left the stock, %d were reserved", s.Product, gone, taken)
		v.twice(int(taken-gone), "%s: %d were reserved, %d left the stock", s.Product, taken, gone)
	}
}
