package faultbook

import (
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"millrace/internal/shop"
	"millrace/pkg/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// brokerPoints are the points of package broker/internal/fault, which cannot be seen from here; that they are right is
// tested with a real broker, in tests/e2e.
var brokerPoints = []fault.Point{connectionAccept, requestBeforeHandle, produceBeforeAppend, produceAfterAppend, fetchBeforeRead, storageAppend}

// pointsOf are the points that a part has.
func pointsOf(part string) []fault.Point {
	switch part {
	case "broker":
		return brokerPoints
	case "mail":
		return fault.SMTPPoints()
	case shop.Order:
		return append(append(fault.ConsumerPoints(), fault.RelayPoints()...), fault.OrderBeforeCommit, fault.OrderAfterCommit, fault.EffectBeforeCommit, fault.EffectAfterCommit)
	case shop.Inventory:
		return append(append(fault.ConsumerPoints(), fault.RelayPoints()...), fault.EffectBeforeCommit, fault.EffectAfterCommit)
	case shop.Notification:
		return append(fault.ConsumerPoints(), fault.MailBeforeSend, fault.MailAfterSend, fault.EffectBeforeCommit, fault.EffectAfterCommit)
	}
	return nil
}

// Every fault of the book is one that its parts take: as it is, and for one product.
func TestBook_IsTakenByItsParts(t *testing.T) {
	t.Parallel()
	for _, f := range All() {
		if (len(f.Rules) == 0) == (f.Action == "") || f.Summary == "" || len(f.Parts) == 0 {
			t.Errorf("%s has %d rules and the action %q", f.Name, len(f.Rules), f.Action)
		}
		for _, part := range f.Parts {
			var known []fault.Point
			for _, p := range pointsOf(part) {
				if _, ok := fault.Lookup(p); ok {
					known = append(known, p)
				}
			}
			set := fault.New(fault.Options{}, known...)
			for _, r := range append(f.Rules, f.OfProduct...) {
				if part == "broker" {
					if err := r.Validate(); err != nil {
						t.Errorf("%s of %s: %v", f.Name, part, err)
					}
					continue
				}
				if err := set.Set(r); err != nil {
					t.Errorf("%s of %s: %v", f.Name, part, err)
				}
			}
		}
	}
}

// A name means one thing in one part.
func TestBook_NamesAreUnique(t *testing.T) {
	t.Parallel()
	for _, part := range anyPart {
		seen := map[string]bool{}
		for _, f := range Of(part) {
			if seen[f.Name] {
				t.Errorf("%s has %s twice", part, f.Name)
			}
			seen[f.Name] = true
		}
		if len(seen) < 3 {
			t.Errorf("%s has %v only", part, seen)
		}
	}
}

func TestFind_NamesWhatThereIs(t *testing.T) {
	t.Parallel()
	if f, err := Find("mail", "refuse"); err != nil || f.Rules[0].Point != fault.SMTPBeforeTake {
		t.Errorf("%+v, %v", f, err)
	}
	var unknown *UnknownError
	if _, err := Find("broker", "full-disc"); !errors.As(err, &unknown) || unknown.Nearest != "full-disk" || !strings.Contains(err.Error(), "slow, lost-answer") {
		t.Errorf("%v", err)
	}
	if _, err := Find("postgres", strings.Repeat("x", 1000)); err == nil || len(err.Error()) > 200 {
		t.Errorf("%v", err)
	}
}

func TestFault_Set(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		part, fault string
		options     Options
		want        string // the rules, or part of the error
	}{
		"as it is":        {"inventory", "handler-fails", Options{}, "consume.before-effect=error"},
		"n times":         {"inventory", "handler-fails", Options{Times: 2, Skip: 1}, "consume.before-effect=error,times=2,skip=1"},
		"permanent":       {"inventory", "handler-fails", Options{Permanent: true}, "consume.before-effect=permanent"},
		"one product":     {"inventory", "handler-fails", Options{Product: "kettle"}, "effect.before-commit=error,match.product_id=kettle"},
		"one order":       {"inventory", "slow-handler", Options{Order: "o-1", Delay: time.Second}, "consume.before-effect=delay,delay=1s,match.order_id=o-1"},
		"once":            {"order", "crash-after-ack", Options{}, "consume.after-ack=crash,times=1"},
		"always":          {"order", "crash-after-ack", Options{Always: true}, "consume.after-ack=crash"},
		"two rules":       {"broker", "slow", Options{Delay: time.Second}, "produce.before-append=delay,delay=1s;fetch.before-read=delay,delay=1s"},
		"refused mails":   {"mail", "refuse", Options{Permanent: true, Times: 3}, "smtp.before-take=permanent,times=3"},
		"delay of none":   {"inventory", "handler-fails", Options{Delay: time.Second}, "it does not wait"},
		"no such product": {"notification", "slow-handler", Options{Product: "kettle"}, "does not know what the order has"},
		"no order":        {"broker", "slow", Options{Order: "o-1"}, "does not know which order"},
		"not permanent":   {"inventory", "slow-handler", Options{Permanent: true}, "nobody tries again"},
		"of a broker":     {"broker", "full-disk", Options{Permanent: true}, "nobody tries again"},
		"action":          {"broker", "down", Options{Times: 1}, "not a rule"},
		"times":           {"inventory", "handler-fails", Options{Times: -1}, "times is"},
		"long delay":      {"inventory", "slow-handler", Options{Delay: time.Hour}, "up to 10m0s"},
		"product":         {"inventory", "handler-fails", Options{Product: "a,b"}, "match.product_id"},
	} {
		f, err := Find(c.part, c.fault)
		if err != nil {
			t.Fatal(err)
		}
		rules, err := f.Set(c.options)
		got := fault.FormatRules(rules)
		if err != nil {
			got = err.Error()
		}
		if err == nil && got != c.want || err != nil && !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	if rules := Of("inventory")[0].Rules; rules[0].Match != nil || rules[0].Times != 0 {
		t.Errorf("setting has changed the book: %+v", rules)
	}
}

func TestPublishPoison_NamesTheTopics(t *testing.T) {
	t.Parallel()
	if _, _, err := PublishPoison(t.Context(), "order"); err == nil || !strings.Contains(err.Error(), "they read: orders, inventory; the nearest is orders") {
		t.Error(err)
	}
}

func TestRebalanceStorm_IsForServices(t *testing.T) {
	t.Parallel()
	if err := RebalanceStorm(t.Context(), "broker", func(int) {}); err == nil {
		t.Error("the broker has a group")
	}
}
