//go:build unix

package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"millrace/internal/datadir"
	"millrace/internal/shop"
	"millrace/internal/shopclient"
	"millrace/pkg/fault"
)

// operator starts a shop with faults and returns a client of its control.
func operator(t *testing.T, args ...string) (*up, datadir.Shop, *shopclient.Client) {
	t.Helper()
	u := startUp(t, newData(t), append([]string{"--quiet", "--faults"}, args...)...)
	at := u.waitReady()
	c := shopclient.NewPatient(at.ControlURL)
	t.Cleanup(c.Close)
	return u, at, c
}

func act(t *testing.T, c *shopclient.Client, name, verb string, want shop.State) shop.PartInfo {
	t.Helper()
	p, err := c.Part(t.Context(), name, verb)
	if err != nil || p.State != want {
		t.Fatalf("%s %s: %+v, %v; want %s", verb, name, p, err, want)
	}
	return p
}

// stored is a part as shop.json has it.
func stored(t *testing.T, data, name string) (p datadir.Part) {
	t.Helper()
	at, err := datadir.ReadShop(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range at.Parts {
		if p.Name == name {
			return p
		}
	}
	return datadir.Part{}
}

func (u *up) confirmed(id string) {
	u.t.Helper()
	u.eventually("order "+id+" is confirmed", func() error {
		at, err := datadir.ReadShop(u.data)
		if err != nil {
			return err
		}
		c := shopclient.New(at.OrderURL)
		defer c.Close()
		// The order service answers 503 while its database is away.
		o, err := c.Order(u.t.Context(), id)
		if err != nil {
			return err
		}
		if o.Status != shopclient.Confirmed {
			return fmt.Errorf("it is %s", o.Status)
		}
		return nil
	})
}

// A part that is stopped stays down until it is started; one that is killed is started
// again by the policy; a frozen one does nothing, and is no hindrance when all ends.
func TestParts_OfAService(t *testing.T) {
	u, _, c := operator(t)
	before := act(t, c, "inventory", "stop", shop.Stopped)
	if p := stored(t, u.data, "inventory"); p.State != "stopped" || p.PID != 0 {
		t.Errorf("shop.json has %+v", p)
	}
	o := createOrder(t, u.data)
	act(t, c, "inventory", "stop", shop.Stopped)
	after := act(t, c, "inventory", "start", shop.Running)
	if after.Address != before.Address || stored(t, u.data, "inventory").PID != after.PID {
		t.Errorf("was %+v, is %+v, in shop.json %+v", before, after, stored(t, u.data, "inventory"))
	}
	act(t, c, "inventory", "start", shop.Running)
	u.confirmed(o.ID)

	if _, err := c.Part(t.Context(), "inventory", "kill"); err != nil {
		t.Fatal(err)
	}
	u.eventually("inventory runs again", func() error {
		if p := stored(t, u.data, "inventory"); p.State != "running" || p.PID == after.PID {
			return fmt.Errorf("%+v", p)
		}
		return nil
	})
	act(t, c, "inventory", "start", shop.Running) // waits until it is ready
	act(t, c, "inventory", "freeze", shop.Frozen)
	o = createOrder(t, u.data)
	var refused *shopclient.Problem
	if _, err := c.Part(t.Context(), "inventory", "start"); !errors.As(err, &refused) || refused.Status != http.StatusConflict || !strings.Contains(err.Error(), "thaw it") {
		t.Errorf("start of a frozen part: %v", err)
	}
	act(t, c, "inventory", "thaw", shop.Running)
	u.confirmed(o.ID)
	act(t, c, "notification", "freeze", shop.Frozen) // the end of the test thaws it
	u.stop()
	if code := u.waitExit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// Postgres can be taken down, frozen with all its backends, and crashed; orders that were
// taken are there afterwards, and it recovers.
func TestParts_Postgres(t *testing.T) {
	u, at, c := operator(t)
	first := createOrder(t, u.data, "--wait")
	old := act(t, c, "postgres", "freeze", shop.Frozen).PID
	act(t, c, "postgres", "thaw", shop.Running)
	second := createOrder(t, u.data)
	if _, err := c.Part(t.Context(), "postgres", "kill"); err != nil {
		t.Fatal(err)
	}
	u.eventually("Postgres runs again", func() error {
		if p := stored(t, u.data, "postgres"); p.State != "running" || p.PID == old {
			return fmt.Errorf("%+v", p)
		}
		return nil
	})
	act(t, c, "postgres", "start", shop.Running)
	u.waitLogged("postgres", "database system was not properly shut down")
	u.confirmed(first.ID)
	u.confirmed(second.ID)
	act(t, c, "postgres", "stop", shop.Stopped)
	act(t, c, "postgres", "start", shop.Running)
	// Connections of before are dead, which each of them tells once: the answer is 503 then.
	service := shopclient.New(at.OrderURL)
	defer service.Close()
	var third shopclient.Order
	u.eventually("orders are taken again", func() (err error) {
		third, err = service.PlaceOrder(t.Context(), shopclient.NewOrder{CustomerID: "customer_123", Items: []shopclient.Line{{ProductID: "kettle", Quantity: 1}}}, "third")
		return err
	})
	u.confirmed(third.ID)
	act(t, c, "postgres", "freeze", shop.Frozen)
	u.stop()
}

// When up is killed, frozen parts end too, Postgres with all its processes.
func TestParts_FrozenWhenUpIsKilled(t *testing.T) {
	u, _, c := operator(t)
	for _, name := range []string{"postgres", "broker", "order"} {
		act(t, c, name, "freeze", shop.Frozen)
	}
	if err := u.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-u.exited
	assertNothingRuns(t, u.data)
}

// Instances come and go while orders pass.
func TestParts_Instances(t *testing.T) {
	u, _, c := operator(t, "--instances", "inventory=2")
	third, err := c.AddInstance(t.Context(), "inventory")
	if err != nil || third.Name != "inventory-3" || third.State != shop.Running || third.Service != "inventory" {
		t.Fatalf("%+v, %v", third, err)
	}
	if p := stored(t, u.data, "inventory-3"); p.PID != third.PID || p.URL != third.URL {
		t.Errorf("shop.json has %+v, want %+v", p, third)
	}
	for _, name := range []string{"inventory-2", "inventory-3"} {
		if err := c.RemoveInstance(t.Context(), "inventory", name); err != nil {
			t.Fatal(err)
		}
		if p := stored(t, u.data, name); p.Name != "" {
			t.Errorf("shop.json still has %+v", p)
		}
	}
	u.confirmed(createOrder(t, u.data).ID)
	for want, act := range map[string]func() error{
		"is the first instance, which stays": func() error { return c.RemoveInstance(t.Context(), "inventory", "inventory") },
		`no instance of inventory "order"`:   func() error { return c.RemoveInstance(t.Context(), "inventory", "order") },
		"the nearest is notification":        func() error { _, err := c.AddInstance(t.Context(), "notificationx"); return err },
		"the nearest is broker":              func() error { _, err := c.Part(t.Context(), "brokr", "stop"); return err },
	} {
		if err := act(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
}

// A rule that crashes a service fires once: the next process does not have it, and the
// order is dealt with once.
func TestFaults_CrashOfAService(t *testing.T) {
	u, at, c := operator(t)
	service := shopclient.New(at.InventoryURL)
	defer service.Close()
	if _, err := service.SetFault(t.Context(), fault.Rule{Point: fault.EffectBeforeCommit, Kind: fault.Crash}); err != nil {
		t.Fatal(err)
	}
	old := stored(t, u.data, "inventory").PID
	o := createOrder(t, u.data)
	u.confirmed(o.ID)
	if now := stored(t, u.data, "inventory").PID; now == old {
		t.Error("inventory did not crash")
	}
	u.waitLogged("inventory", "fault injected")
	act(t, c, "inventory", "start", shop.Running)
	points, err := service.Faults(t.Context())
	if err != nil || len(points) == 0 || points[0].Rule != nil {
		t.Errorf("%+v, %v", points, err)
	}
}

// Without --faults parts can be stopped and started, but not killed, frozen or made to fail.
func TestParts_WithoutFaults(t *testing.T) {
	u := startUp(t, newData(t), "--quiet")
	at := u.waitReady()
	c := shopclient.NewPatient(at.ControlURL)
	defer c.Close()
	for _, verb := range []string{"kill", "freeze"} {
		var refused *shopclient.Problem
		if _, err := c.Part(t.Context(), "order", verb); !errors.As(err, &refused) || refused.Status != http.StatusForbidden || !strings.Contains(err.Error(), "millrace up --faults") {
			t.Errorf("%s: %v", verb, err)
		}
	}
	for _, url := range []string{at.OrderURL, at.InventoryURL} {
		service := shopclient.New(url)
		defer service.Close()
		if _, err := service.SetFault(t.Context(), fault.Rule{Point: fault.EffectBeforeCommit, Kind: fault.Crash}); err == nil || !strings.Contains(err.Error(), "Faults are not enabled") {
			t.Errorf("%s: %v", url, err)
		}
	}
	act(t, c, "mail", "stop", shop.Stopped)
	act(t, c, "mail", "start", shop.Running)

	// Nor can a web page, also not one whose host name leads here.
	for header, value := range map[string]string{"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site", "Host": "evil.example:8089"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, at.ControlURL+"/parts/mail/stop", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(header, value)
		if header == "Host" {
			r.Host = value
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %s is answered %s", header, value, answer.Status)
		}
	}
}
