//go:build unix

package chaos

import (
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"millrace/internal/orderrun"
)

// underFire is how many orders pass while parts are killed.
const underFire = 2000

// Broker, Postgres and both are killed, again and again, while orders pass.
func TestKill_UnderLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of orders; runs without -short")
	}
	for name, parts := range map[string][]string{
		"broker":              {"broker"},
		"postgres":            {"postgres"},
		"broker and postgres": {"broker", "postgres"},
	} {
		t.Run(name, func(t *testing.T) {
			if parts[0] == "broker" && os.Getenv(brokersVar) != "" {
				t.Skip("the broker is not ours to kill: " + brokersVar + " names it")
			}
			s := start(t, nil)
			c := s.orderrun(underFire, 1)
			kills := &killer{t: t, shop: s, parts: parts}
			c.Placed = kills.placed
			r, err := orderrun.Run(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d kills, %+v", kills.done.Load(), r)
			if n := kills.done.Load(); n != wantedKills {
				t.Errorf("there were %d kills, want %d", n, wantedKills)
			}
			survived(t, r, underFire)
		})
	}
}

// wantedKills is how often each part is killed.
const wantedKills = 3

// killer kills parts when a quarter, a half and three quarters of the orders are
// placed, however fast that goes: the others are still being placed then.
type killer struct {
	t     *testing.T
	shop  *aShop
	parts []string

	mu   sync.Mutex // one kill at a time
	done atomic.Int32
}

func (k *killer) placed(n int) {
	if n%(underFire/(wantedKills+1)) != 0 || n == underFire {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.done.Add(1)
	for _, part := range k.parts {
		if err := k.shop.Kill(k.t.Context(), part); err != nil {
			k.t.Errorf("kill %s: %v", part, err)
		}
	}
}

// survived judges a run in which Postgres may have died between the mail server's
// answer and the commit, also twice for one mail: there, and only there, a mail may have come again.
func survived(t *testing.T, r orderrun.Result, n int) {
	t.Helper()
	if r.Lost != 0 || r.Duplicates != r.MailsTwice || r.Orders != n || r.Confirmed+r.Rejected != n {
		t.Errorf("%+v\n%s", r, strings.Join(r.Findings, "\n"))
	}
}
