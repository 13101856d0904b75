//go:build unix

package chaos

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/internal/orderrun"
	"millrace/internal/shop"
	"millrace/pkg/fault"
)

// kinds are the faults of the matrix.
var kinds = []fault.Kind{fault.Crash, fault.Error, fault.Delay}

// delay is how long the fault of that kind takes: long enough for everything else to
// overtake, short enough for no deadline.
const delay = 300 * time.Millisecond

// ordersPerCell pass while a fault is set: enough for every partition and for both
// outcomes.
const ordersPerCell = 6

// cell is one field of the matrix: what is done to which program, and what came of it.
type cell struct {
	program string
	point   fault.Point
	kind    fault.Kind
	// first are rules that lead to the point.
	first []fault.Rule
	// letters says that a dead letter comes of it, which is redriven.
	letters bool

	result string
}

func (c cell) name() string { return string(c.point) + "/" + string(c.kind) }

// mailWindow tells whether the fault strikes after the mail server took a mail and
// before that is recorded: the one place where a mail may come twice.
func (c cell) mailWindow() bool {
	return c.program == shop.Notification && c.kind != fault.Delay &&
		slices.Contains([]fault.Point{fault.MailAfterSend, fault.EffectBeforeCommit}, c.point)
}

// The results of a cell, as the table has them.
const (
	resultOnce      = "once"
	resultMailTwice = "once, but a mail twice"
	// Notification works on several partitions at a time: a kill at any point may find
	// the mail of another one in that window.
	resultMailInHand = "once; a mail in hand may come twice"
)

// lead are the rules by which a message comes to the points that a healthy shop never
// reaches.
func lead(point fault.Point) (rules []fault.Rule, letters bool) {
	switch point {
	case fault.DeadLetterBeforePublish, fault.DeadLetterAfterPublish:
		return []fault.Rule{{Point: fault.ConsumeBeforeEffect, Kind: fault.Permanent, Times: 1}}, true
	case fault.RetryBeforePublish, fault.RetryAfterPublish:
		// Always, until the fault has struck: the tries of other messages count too.
		return []fault.Rule{{Point: fault.ConsumeBeforeEffect, Kind: fault.Error}}, false
	default:
		return nil, false
	}
}

// cells are all fields for a service: each point that it says it has, with each kind
// that the point allows.
func cells(t *testing.T, s *aShop, program string) []cell {
	t.Helper()
	var all []cell
	for _, state := range s.points(t, program) {
		for _, kind := range kinds {
			if !slices.Contains(state.Kinds, kind) {
				continue
			}
			c := cell{program: program, point: state.Point, kind: kind}
			c.first, c.letters = lead(state.Point)
			all = append(all, c)
		}
	}
	return all
}

// The crash matrix of the services: every fault point × kill -9, error, delay. After
// recovery no order is without its events, no event without its effects, the stock is
// what it was minus the reservations, and each effect is there once.
func TestMatrix_Services(t *testing.T) {
	if testing.Short() {
		t.Skip("several minutes; runs without -short")
	}
	done := make([][]cell, len(shop.Services))
	// Most of a crash is waiting until the group misses the dead member, so each service
	// is struck in a shop of its own; a Kafka that is given has room for one shop.
	t.Run("struck", func(t *testing.T) {
		for n, program := range shop.Services {
			t.Run(program, func(t *testing.T) {
				if os.Getenv(brokersVar) == "" {
					t.Parallel()
				}
				s := start(t, nil, "RETRY_MAX_ATTEMPTS=3", "RETRY_INITIAL_WAIT=20ms", "RETRY_DELAYS=1s")
				for i, c := range cells(t, s, program) {
					t.Run(c.name(), func(t *testing.T) { c.result = s.play(t, c, uint64(i)) })
					done[n] = append(done[n], c)
				}
			})
		}
	})
	if slices.ContainsFunc(done, func(cells []cell) bool { return len(cells) == 0 }) {
		t.Log("some of the services were not struck; the table is not compared")
		return
	}
	table(t, "services", slices.Concat(done...))
}

// play sets the fault, lets orders pass and judges.
func (s *aShop) play(t *testing.T, c cell, seed uint64) string {
	t.Helper()
	before := s.ready(t, c.program) // the fault may strike as soon as it is set
	s.set(t, c.program, append(slices.Clone(c.first), rule(c.point, c.kind))...)
	judged := s.passing(t, seed)
	// The fault strikes, or the test proves nothing.
	eventually(t, "the fault strikes", func() error {
		now, err := s.part(c.program)
		if err != nil {
			return err
		}
		if c.kind == fault.Crash {
			if now.PID == before.PID {
				return fmt.Errorf("%s has not died", c.program)
			}
			return nil
		}
		fired, err := s.fired(t.Context(), now, c.point)
		if err == nil && fired == 0 {
			err = fmt.Errorf("%s was not reached", c.point)
		}
		return err
	})
	s.clear(t, c.program)
	if c.letters {
		s.redriveAll(t, judged)
	}
	r, ok := <-judged
	if !ok {
		t.FailNow()
	}
	return verdict(t, c, r)
}

func rule(point fault.Point, kind fault.Kind) fault.Rule {
	r := fault.Rule{Point: point, Kind: kind, Times: 1}
	if kind == fault.Delay {
		r.Delay = delay
	}
	return r
}

// verdict judges a cell's result by what is promised for it.
func verdict(t *testing.T, c cell, r orderrun.Result) string {
	t.Helper()
	mailsTwice := 0
	for _, finding := range r.Findings {
		if strings.HasPrefix(finding, "done twice: order ") && strings.HasSuffix(finding, " mails") {
			mailsTwice++
		}
	}
	if killed := c.program == shop.Notification && c.kind == fault.Crash; r.Lost == 0 && r.Duplicates == mailsTwice && (killed || c.mailWindow() && mailsTwice == 1) {
		switch {
		case !c.mailWindow():
			return resultMailInHand
		case mailsTwice > 0:
			return resultMailTwice
		}
	}
	if !r.Good() || r.Orders != ordersPerCell {
		t.Errorf("%+v\n%s", r, strings.Join(r.Findings, "\n"))
		return fmt.Sprintf("**%d lost, %d twice**", r.Lost, r.Duplicates)
	}
	return resultOnce
}

// redriveAll redrives dead letters until the run has come to its end.
func (s *aShop) redriveAll(t *testing.T, ended chan orderrun.Result) {
	t.Helper()
	eventually(t, "the dead letters are redriven", func() error {
		if len(ended) > 0 {
			return nil
		}
		_, stderr, code := s.millrace(t, nil, "dlq", "redrive", "--all", "--yes")
		if code != 0 {
			return fmt.Errorf("exit code %d: %s", code, stderr)
		}
		return fmt.Errorf("orders are still under way")
	})
}
