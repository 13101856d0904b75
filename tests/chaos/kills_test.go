//go:build unix

package chaos

import (
	"fmt"
	"os"
	"strings"
	"sync"
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
			c.Progress = kills.progress
			r, err := orderrun.Run(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			kills.mu.Lock()
			defer kills.mu.Unlock()
			t.Logf("%d kills, %+v", kills.done, r)
			if kills.done < wantedKills {
				t.Errorf("the run was over after %d kills, want %d", kills.done, wantedKills)
			}
			survived(t, r, underFire)
		})
	}
}

// wantedKills is how often each part is killed.
const wantedKills = 3

// killer kills parts each time that the run tells of progress, about once a second,
// while orders are still being placed.
type killer struct {
	t     *testing.T
	shop  *aShop
	parts []string

	mu   sync.Mutex // guards done
	done int
}

func (k *killer) progress(format string, args ...any) {
	if !strings.HasPrefix(fmt.Sprintf(format, args...), "Placing orders") {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.done >= wantedKills {
		return
	}
	k.done++
	for _, part := range k.parts {
		if err := k.shop.Kill(k.t.Context(), part); err != nil {
			k.t.Errorf("kill %s: %v", part, err)
		}
	}
}

// survived judges a run in which Postgres may have died between the mail server's
// answer and the commit: there, and only there, a mail may have come twice.
func survived(t *testing.T, r orderrun.Result, n int) {
	t.Helper()
	twice := 0
	for _, finding := range r.Findings {
		if strings.HasPrefix(finding, "done twice: order ") && strings.HasSuffix(finding, "mails") {
			twice++
		}
	}
	if r.Lost != 0 || r.Duplicates != twice || r.Orders != n || r.Confirmed+r.Rejected != n {
		t.Errorf("%+v\n%s", r, strings.Join(r.Findings, "\n"))
	}
}
