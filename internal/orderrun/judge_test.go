package orderrun

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"millrace/internal/shopclient"
	"millrace/pkg/events"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var products = []shopclient.Product{{ID: "a"}, {ID: "b"}, {ID: "c"}, {ID: "scarce"}}

// perfect is the evidence of a run in which all went well.
func perfect(t *testing.T, n int) evidence {
	t.Helper()
	p, err := makePlan(n, 1, "run", products)
	if err != nil {
		t.Fatal(err)
	}
	e := evidence{
		expected: p, reservations: map[string]string{}, created: map[eventKey]copies{}, decided: map[eventKey]copies{},
		mails: map[string]map[string]int{}, before: map[string]shopclient.Stock{}, unprocessed: map[string]int{},
	}
	left := p.stock
	taken := map[string]int64{}
	for i, o := range p.orders {
		id := fmt.Sprintf("order-%03d", i)
		status, reservation, event := "CONFIRMED", "RESERVED", events.TypeInventoryReserved
		for _, line := range o.Items {
			if line.ProductID == p.scarce {
				if left--; left < 0 {
					status, reservation, event = "REJECTED", "REJECTED", events.TypeInventoryRejected
				}
			}
		}
		if status == "CONFIRMED" {
			for _, line := range o.Items {
				taken[line.ProductID] += line.Quantity
			}
		}
		e.accepted = append(e.accepted, id)
		e.orders = append(e.orders, storedOrder{id, o.CustomerID, status})
		e.reservations[id] = reservation
		e.created[eventKey{id, events.TypeOrderCreated}] = copies{"c" + id: 1}
		e.decided[eventKey{id, event}] = copies{"d" + id: 1}
		e.mails[id] = map[string]int{"CONFIRMATION": 1, "OUTCOME": 1}
	}
	for _, product := range products {
		before := shopclient.Stock{ProductID: product.ID, Available: 100, Reserved: 7}
		e.before[product.ID] = before
		set := before.Available + p.demand[product.ID]
		if product.ID == p.scarce {
			set = p.stock
		}
		e.stock = append(e.stock, stockRow{
			Product: product.ID, Available: set - taken[product.ID],
			Reserved: before.Reserved + taken[product.ID], ByOrders: before.Reserved + taken[product.ID],
		})
	}
	return e
}

func TestJudge_Perfect(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 7, 40} {
		r := judge(perfect(t, n))
		if !r.Good() || len(r.Findings) > 0 || r.Emails != 2*n || r.Orders != n {
			t.Errorf("%d orders: %+v", n, r)
		}
		if n > 1 && (r.Confirmed == 0 || r.Rejected == 0) {
			t.Errorf("%d orders: %d confirmed, %d rejected", n, r.Confirmed, r.Rejected)
		}
	}
}

func TestJudge_FindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	const id = "order-000" // a confirmed one
	for name, c := range map[string]struct {
		spoil            func(*evidence)
		lost, duplicates int
		says             string
	}{
		"order gone": {func(e *evidence) { e.orders = e.orders[1:] }, 1, 0, "is not in the database"},
		"order twice": {func(e *evidence) {
			e.orders = append(e.orders, storedOrder{"order-x", "customer_001-run", "CONFIRMED"})
		}, 0, 1, "answered with another"},
		"still pending":    {func(e *evidence) { e.orders[0].Status = "PENDING" }, 1, 0, "still PENDING"},
		"no reservation":   {func(e *evidence) { delete(e.reservations, id) }, 1, 0, "without a decision"},
		"other decision":   {func(e *evidence) { e.reservations[id] = "REJECTED" }, 1, 0, "inventory says REJECTED"},
		"event not sent":   {func(e *evidence) { delete(e.created, eventKey{id, events.TypeOrderCreated}) }, 1, 0, "not in its topic"},
		"event sent twice": {func(e *evidence) { e.created[eventKey{id, events.TypeOrderCreated}]["other id"] = 1 }, 0, 1, "2 different messages"},
		"both outcomes": {func(e *evidence) {
			e.decided[eventKey{id, events.TypeInventoryRejected}] = copies{"x": 1}
		}, 0, 1, "there is also INVENTORY_REJECTED"},
		"mail missing": {func(e *evidence) { delete(e.mails[id], "OUTCOME") }, 1, 0, "has no OUTCOME mail"},
		"mail twice":   {func(e *evidence) { e.mails[id]["CONFIRMATION"] = 2 }, 0, 1, "2 CONFIRMATION mails"},
		"mail thrice":  {func(e *evidence) { e.mails[id]["OUTCOME"] = 3 }, 0, 2, "3 OUTCOME mails"},
		"unread":       {func(e *evidence) { e.unprocessed["group"] = 3 }, 3, 0, "3 messages were not processed"},
		"stock taken twice": {func(e *evidence) {
			e.stock[0].Reserved += 2
			e.stock[0].Available -= 2
		}, 0, 2, "the stock gave"},
		"stock not taken": {func(e *evidence) {
			e.stock[0].Reserved -= 2
			e.stock[0].Available += 2
		}, 2, 0, "the stock knows of"},
		"stock vanished": {func(e *evidence) { e.stock[0].Available -= 5 }, 5, 0, "left the stock"},
		"oversold": {func(e *evidence) {
			for i := range e.orders { // the last one was rejected; make all of it say otherwise
				o := &e.orders[len(e.orders)-1-i]
				if o.Status == "REJECTED" {
					o.Status, e.reservations[o.ID] = "CONFIRMED", "RESERVED"
					delete(e.decided, eventKey{o.ID, events.TypeInventoryRejected})
					e.decided[eventKey{o.ID, events.TypeInventoryReserved}] = copies{"x": 1}
					return
				}
			}
		}, 0, 1, "confirmed with stock that another had"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := perfect(t, 12)
			c.spoil(&e)
			r := judge(e)
			if r.Lost != c.lost || r.Duplicates != c.duplicates || r.Good() {
				t.Errorf("lost %d, duplicates %d; want %d, %d; %q", r.Lost, r.Duplicates, c.lost, c.duplicates, r.Findings)
			}
			if mails := strings.HasPrefix(name, "mail "); mails && r.MailsTwice != c.duplicates || !mails && r.MailsTwice != 0 {
				t.Errorf("%d of %d duplicates are mails", r.MailsTwice, r.Duplicates)
			}
			if !slices.ContainsFunc(r.Findings, func(f string) bool { return strings.Contains(f, c.says) }) {
				t.Errorf("nothing says %q in %q", c.says, r.Findings)
			}
		})
	}
}

// A message that stands in a topic twice under one id is what at-least-once
// delivery means: told, and no duplicate.
func TestJudge_RedeliveryIsNoDuplicate(t *testing.T) {
	t.Parallel()
	e := perfect(t, 4)
	for _, c := range e.created {
		for id := range c {
			c[id] = 3
		}
	}
	if r := judge(e); !r.Good() || r.Redelivered != 8 {
		t.Errorf("%+v", r)
	}
}

func TestMakePlan_SameSeedSameOrders(t *testing.T) {
	t.Parallel()
	a, errA := makePlan(50, 7, "x", products)
	b, errB := makePlan(50, 7, "x", products)
	c, errC := makePlan(50, 8, "x", products)
	if errA != nil || errB != nil || errC != nil {
		t.Fatal(errA, errB, errC)
	}
	if fmt.Sprint(a) != fmt.Sprint(b) || fmt.Sprint(a) == fmt.Sprint(c) {
		t.Error("a plan depends on its seed alone")
	}
	if a.rejected() == 0 || a.stock == 0 {
		t.Errorf("rejected %d, stock %d", a.rejected(), a.stock)
	}
	for _, o := range a.orders {
		seen := map[string]bool{}
		for _, line := range o.Items {
			if seen[line.ProductID] || line.Quantity < 1 {
				t.Fatalf("order %+v", o)
			}
			seen[line.ProductID] = true
		}
	}
	if _, err := makePlan(1, 1, "x", products[:1]); err == nil {
		t.Error("a shop with one product cannot have a scarce one besides")
	}
}
