//go:build unix

package e2e

import (
	"strings"
	"testing"

	"millrace/internal/orderrun"
)

// trimmed makes a run smaller for -short.
func trimmed(n int) int {
	if testing.Short() {
		return n / 10
	}
	return n
}

func check(t *testing.T, r orderrun.Result, orders int) {
	t.Helper()
	t.Logf("%+v", r)
	if r.Orders != orders || r.Lost != 0 || r.Duplicates != 0 {
		t.Errorf("%d orders, %d lost, %d duplicates; want %d, 0, 0", r.Orders, r.Lost, r.Duplicates, orders)
	}
	if r.Confirmed == 0 || r.Rejected == 0 || r.Confirmed+r.Rejected != orders || r.Emails != 2*orders {
		t.Errorf("%d confirmed, %d rejected, %d e-mails of %d orders", r.Confirmed, r.Rejected, r.Emails, orders)
	}
}

func TestUp_Orders(t *testing.T) {
	n := trimmed(200)
	u := startUp(t, newData(t), "--orders", itoa(n), "--exit", "--quiet")
	check(t, u.result(), n)
	if said := strings.Join(u.stderr, "\n"); !strings.Contains(said, "process orders by inventory-service") {
		t.Errorf("no trace of an order on stderr:\n%s", said)
	}
}

func TestUp_OrdersWithThreeInstances(t *testing.T) {
	n := trimmed(200)
	u := startUp(t, newData(t), "--orders", itoa(n), "--exit", "--quiet", "--instances", "inventory=3")
	check(t, u.result(), n)
}

// A second run on the same folder finds the orders of the first and is judged on
// its own.
func TestUp_OrdersAgainOnTheSameFolder(t *testing.T) {
	data, n := newData(t), trimmed(100)
	for _, seed := range []string{"1", "2"} {
		u := startUp(t, data, "--orders", itoa(n), "--exit", "--quiet", "--seed", seed)
		check(t, u.result(), n)
	}
}

// The broker, then inventory, then order are killed while orders are under way.
func TestUp_OrdersWhilePartsAreKilled(t *testing.T) {
	const n = 2000 // with -short too: fewer are over before anything can be killed
	u := startUp(t, newData(t), "--orders", itoa(n), "--exit", "--quiet", "--restart", "on-failure")
	u.waitReady()
	u.waitLine("Placing orders")
	for _, part := range []string{"broker", "inventory", "order"} {
		select {
		case <-u.exited:
			t.Fatalf("the run was over before %s could be killed", part)
		default:
		}
		u.kill(part)
		u.waitNews() // let some orders pass before the next blow
	}
	check(t, u.result(), n)
	said := strings.Join(u.stderr, "\n")
	for _, part := range []string{"broker", "inventory", "order"} {
		if !strings.Contains(said, part+" ended: signal: killed") || !strings.Contains(said, part+" runs (pid ") {
			t.Errorf("up did not tell of the end and the restart of %s", part)
		}
	}
}
