//go:build unix

package e2e

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"millrace/internal/faultbook"
	"millrace/internal/shopclient"
)

// Every fault by its name, in a running shop: it can be set as the command offers it, it
// happens, and when it is cleared the order that was caught in it comes through, once.
func TestFaults_ByName(t *testing.T) {
	u, at, _ := operator(t)
	service := shopclient.New(at.OrderURL)
	defer service.Close()
	for _, c := range []struct {
		part, name string
		flags      []string
		pending    bool // the order cannot come through before it is cleared
		fired      string
	}{
		{"inventory", "handler-fails", []string{"--times", "2"}, false, "consume.before-effect=error,times=2"},
		{"inventory", "slow-handler", []string{"--delay", "100ms"}, false, "consume.before-effect=delay"},
		{"inventory", "duplicate-delivery", nil, false, "consume.after-effect=duplicate"},
		{"order", "relay-paused", nil, true, "relay.before-publish=hang"},
		{"broker", "slow", []string{"--delay", "50ms"}, false, "produce.before-append=delay"},
		{"broker", "lost-answer", nil, false, "produce.after-append=error"},
		{"broker", "full-disk", nil, true, "storage.append=error"},
		{"broker", "refuse", nil, true, ""}, // by the kept connections, if the services have any
		{"mail", "refuse", []string{"--times", "1"}, false, "smtp.before-take=error"},
		{"broker", "frozen", nil, true, ""},
		{"broker", "down", nil, true, ""},
	} {
		t.Run(c.part+" "+c.name, func(t *testing.T) {
			millrace(t, append([]string{"fault", "set", c.part, c.name, "--data", u.data}, c.flags...)...)
			o := createOrder(t, u.data)
			if c.fired != "" {
				u.eventually("the fault fires", func() error { return firedOnce(millrace(t, "fault", "list", c.part, "--data", u.data), c.fired) })
			}
			if !c.pending {
				u.confirmed(o.ID)
			} else if now := showOrder(t, u.data, o.ID); now.Status != shopclient.Pending {
				t.Errorf("the order is %s in spite of it", now.Status)
			}
			millrace(t, "fault", "clear", "--data", u.data)
			u.confirmed(o.ID)
			if list := millrace(t, "fault", "list", "--data", u.data); !strings.Contains(list, "No fault is set") {
				t.Errorf("after fault clear:\n%s", list)
			}
		})
	}
}

// firedOnce looks for a rule that has fired in what fault list prints.
func firedOnce(list, rule string) error {
	for line := range strings.Lines(list) {
		fields := strings.Fields(line)
		if len(fields) == 4 && strings.HasPrefix(fields[1], rule) && fields[2] != "0" {
			return nil
		}
	}
	return fmt.Errorf("%s has not fired:\n%s", rule, list)
}

func showOrder(t *testing.T, data, id string) (o shopclient.Order) {
	t.Helper()
	if err := json.Unmarshal([]byte(millrace(t, "order", "show", id, "--data", data, "-o", "json")), &o); err != nil {
		t.Fatal(err)
	}
	return o
}

// A poison message goes to the dead letters of both groups; a storm of rebalances and a
// lost reply lose nothing.
func TestFaults_PoisonStormAndLostReply(t *testing.T) {
	u, _, _ := operator(t)
	said := millrace(t, "fault", "set", "broker", "poison-message", "--data", u.data)
	if !strings.Contains(said, "orders/") {
		t.Errorf("said %s", said)
	}
	u.eventually("both groups have a dead letter", func() error {
		list := millrace(t, "dlq", "list", "--data", u.data)
		if n := strings.Count(list, "unreadable"); n != 2 {
			return fmt.Errorf("%d of them:\n%s", n, list)
		}
		return nil
	})
	o := createOrder(t, u.data)
	if said := millrace(t, "fault", "set", "inventory", "rebalance-storm", "--for", "3s", "--data", u.data); !strings.Contains(said, "and left it") || strings.Contains(said, " 0 times") {
		t.Errorf("said %s", said)
	}
	u.confirmed(o.ID)

	millrace(t, "fault", "set", "order", "lost-reply", "--data", u.data)
	create := []string{"order", "create", "--data", u.data, "--customer", "c", "--item", "kettle=1", "--idempotency-key", "k-1", "-o", "json"}
	if out, err := exec.Command(binary, create...).CombinedOutput(); err == nil {
		t.Errorf("the answer was not lost: %s", out)
	}
	var again shopclient.Order
	if err := json.Unmarshal([]byte(millrace(t, create...)), &again); err != nil {
		t.Fatal(err)
	}
	u.confirmed(again.ID)
	if list := millrace(t, "order", "list", "--customer", "c", "--data", u.data); strings.Count(list, "CONFIRMED") != 1 {
		t.Errorf("the customer has\n%s", list)
	}
}

// The broker's points are its own: what the book sets there, a real broker has to take.
func TestFaults_OfTheBrokerAreTaken(t *testing.T) {
	u, _, _ := operator(t)
	for _, f := range faultbook.Of("broker") {
		if len(f.Rules) == 0 {
			continue
		}
		said := millrace(t, "fault", "set", "broker", f.Name, "--data", u.data)
		for _, r := range f.Rules {
			if !strings.Contains(said, r.String()) {
				t.Errorf("%s: said %s, want %s", f.Name, said, r)
			}
		}
	}
	millrace(t, "fault", "clear", "--data", u.data)
}
