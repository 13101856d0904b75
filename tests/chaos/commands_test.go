//go:build unix

package chaos

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"millrace/internal/shop"
	"millrace/pkg/events"
	"millrace/pkg/fault"
	"millrace/pkg/postgres"
	"millrace/tests/shopstate"
)

// pointsOf are the fault points of a command: those whose names begin so.
func pointsOf(prefix string) []fault.Info {
	return slices.DeleteFunc(fault.Catalogue(), func(i fault.Info) bool { return !strings.HasPrefix(string(i.Point), prefix) })
}

// faultEnv are the variables by which a command gets a rule.
func faultEnv(r fault.Rule) []string {
	return []string{"FAULTS_ENABLED=true", "FAULTS=" + r.String()}
}

// strikes runs a command that a fault strikes, and checks that it did.
func (s *aShop) strikes(t *testing.T, c cell, args ...string) {
	t.Helper()
	stdout, stderr, code := s.millrace(t, faultEnv(rule(c.point, c.kind)), args...)
	want := map[fault.Kind]bool{
		fault.Crash: code == -1, // a signal
		fault.Error: code > 0,
		fault.Delay: code == 0,
	}[c.kind]
	if !want || c.kind != fault.Crash && !strings.Contains(stderr, "fault injected") {
		t.Errorf("%s: exit code %d\n%s%s", c.name(), code, stdout, stderr)
	}
}

// The crash matrix of `millrace dlq redrive`: it is struck while it sends a dead letter
// to the group that failed, then run again. The message is dealt with once, by that
// group alone.
func TestMatrix_Redrive(t *testing.T) {
	if testing.Short() {
		t.Skip("runs without -short")
	}
	s := start(t, nil, "RETRY_INITIAL_WAIT=20ms")
	var done []cell
	for _, info := range pointsOf("redrive.") {
		for i, kind := range kinds {
			if !slices.Contains(info.Kinds, kind) {
				continue
			}
			c := cell{program: "dlq redrive", point: info.Point, kind: kind}
			t.Run(c.name(), func(t *testing.T) { c.result = s.playRedrive(t, c, uint64(i)) })
			done = append(done, c)
		}
	}
	table(t, "redrive", done)
}

func (s *aShop) playRedrive(t *testing.T, c cell, seed uint64) string {
	t.Helper()
	s.set(t, shop.Inventory, fault.Rule{Point: fault.ConsumeBeforeEffect, Kind: fault.Permanent, Times: 1})
	judged := s.passing(t, seed)
	eventually(t, "a dead letter is there", func() error {
		open, err := s.openLetters(t)
		if err == nil && open != 1 {
			err = fmt.Errorf("%d open letters", open)
		}
		return err
	})
	s.clear(t, shop.Inventory)
	s.strikes(t, c, "dlq", "redrive", "--all", "--yes")
	if _, stderr, code := s.millrace(t, nil, "dlq", "redrive", "--all", "--yes"); code != 0 {
		t.Errorf("run again: exit code %d\n%s", code, stderr)
	}
	r, ok := <-judged
	if !ok {
		t.FailNow()
	}
	if open, err := s.openLetters(t); open != 0 || err != nil {
		t.Errorf("%d letters are still open, %v", open, err)
	}
	return verdict(t, c, r)
}

// openLetters counts dead letters with which nothing was done to the end.
func (s *aShop) openLetters(t *testing.T) (int, error) {
	t.Helper()
	stdout, stderr, code := s.millrace(t, nil, "dlq", "list", "--status", "open,redriving", "-o", "json")
	var list struct {
		Letters []json.RawMessage `json:"letters"`
	}
	if code != 0 {
		return 0, fmt.Errorf("exit code %d: %s", code, stderr)
	}
	err := json.Unmarshal([]byte(stdout), &list)
	return len(list.Letters), err
}

// The crash matrix of `millrace replay`: the database of each service is dropped, the
// replay is struck, then run again. The state is what it was, row by row, no mail goes
// out again, and the shop goes on.
func TestMatrix_Replay(t *testing.T) {
	if testing.Short() {
		t.Skip("runs without -short")
	}
	s := start(t, nil)
	good(t, s.orders(t, ordersPerCell, 1), ordersPerCell)
	groups := map[string]string{shop.Order: events.GroupOrder, shop.Inventory: events.GroupInventory, shop.Notification: events.GroupNotification}
	var done []cell
	for _, info := range pointsOf("replay.") {
		for i, kind := range kinds {
			if !slices.Contains(info.Kinds, kind) {
				continue
			}
			c := cell{program: "replay", point: info.Point, kind: kind}
			t.Run(c.name(), func(t *testing.T) {
				for _, service := range shop.Services {
					s.playReplay(t, c, service, groups[service])
				}
				c.result = verdict(t, c, s.orders(t, ordersPerCell, uint64(i)))
			})
			done = append(done, c)
		}
	}
	table(t, "replay", done)
}

func (s *aShop) playReplay(t *testing.T, c cell, service, group string) {
	t.Helper()
	if err := s.Stop(t.Context(), service); err != nil {
		t.Fatal(err)
	}
	before, err := shopstate.Of(t.Context(), s.data, service)
	if err != nil {
		t.Fatal(err)
	}
	url, err := shopstate.AdminURL(s.data)
	if err == nil {
		err = postgres.Drop(t.Context(), url, service)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.strikes(t, c, "replay", "--group", group)
	if _, stderr, code := s.millrace(t, nil, "replay", "--group", group); code != 0 {
		t.Errorf("replay of %s, run again: exit code %d\n%s", group, code, stderr)
	}
	after, err := shopstate.Of(t.Context(), s.data, service)
	if err != nil || !slices.Equal(before, after) {
		t.Errorf("%s before:\n  %s\nafter (%v):\n  %s", service, strings.Join(before, "\n  "), err, strings.Join(after, "\n  "))
	}
	if err := s.Start(t.Context(), service); err != nil {
		t.Fatal(err)
	}
	s.ready(t, service)
}
