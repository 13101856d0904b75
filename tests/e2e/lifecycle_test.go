//go:build unix

package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"millrace/internal/datadir"
	"millrace/internal/shopclient"
)

func itoa(n int) string { return strconv.Itoa(n) }

func createOrder(t *testing.T, data string, args ...string) shopclient.Order {
	t.Helper()
	var o shopclient.Order
	out := millrace(t, append([]string{"order", "create", "--data", data, "-o", "json", "--customer", "customer_123", "--item", "coffee-beans=2"}, args...)...)
	if err := json.Unmarshal([]byte(out), &o); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return o
}

// One order by the commands of the README, its trace, its mails; then Ctrl-C.
func TestUp_OneOrderByHand(t *testing.T) {
	data := newData(t)
	u := startUp(t, data, "--quiet")
	shop := u.waitReady()
	o := createOrder(t, data, "--wait")
	if o.Status != shopclient.Confirmed {
		t.Fatalf("order: %+v", o)
	}
	if list := millrace(t, "order", "list", "--data", data); !strings.Contains(list, o.ID) {
		t.Errorf("list without the order:\n%s", list)
	}
	trace := millrace(t, "trace", o.ID, "--data", data)
	for _, step := range []string{
		"POST /orders", "database transaction", "create orders", "wait in the outbox", "send orders", "partition",
		"process orders by inventory-service", "process orders by notification-service", "e-mail: confirmation",
		"process inventory by order-service", "process inventory by notification-service", "e-mail: outcome",
	} {
		if !strings.Contains(trace, step) {
			t.Errorf("the trace has no %q", step)
		}
	}
	if t.Failed() {
		t.Logf("trace:\n%s", trace)
	}
	mail := shopclient.New(shop.MailURL)
	defer mail.Close()
	mails, err := mail.Mails(t.Context(), o.ID)
	if err != nil || len(mails) != 2 {
		t.Errorf("mails: %+v, %v", mails, err)
	}
	u.stop()
	if code := u.waitExit(); code != 0 {
		t.Errorf("exit code %d after SIGINT", code)
	}
	if _, err := datadir.ReadShop(data); !os.IsNotExist(err) {
		t.Errorf("shop.json after the end: %v", err)
	}
}

// kill -9 of up: every part ends by itself, Postgres cleanly, and the next up
// goes on with the same orders.
func TestUp_KilledAndStartedAgain(t *testing.T) {
	data := newData(t)
	first := startUp(t, data, "--quiet")
	first.waitReady()
	o := createOrder(t, data, "--wait")
	if err := first.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-first.exited
	assertNothingRuns(t, data)
	control, err := os.ReadFile(data + "/postgres.json")
	if err == nil {
		t.Errorf("the Postgres part did not stop its server in order: %s is left", control)
	}

	second := startUp(t, data, "--quiet")
	second.waitReady()
	var again shopclient.Order
	if err := json.Unmarshal([]byte(millrace(t, "order", "show", o.ID, "--data", data, "-o", "json")), &again); err != nil {
		t.Fatal(err)
	}
	if again.Status != shopclient.Confirmed || again.Total != o.Total {
		t.Errorf("after the restart %+v, was %+v", again, o)
	}
	if trace := millrace(t, "trace", o.ID, "--data", data); !strings.Contains(trace, "POST /orders") {
		t.Errorf("the trace is gone:\n%s", trace)
	}
	if next := createOrder(t, data, "--wait"); next.Status != shopclient.Confirmed {
		t.Errorf("a new order: %+v", next)
	}
}

// When go run is killed, nobody tells up: it notices that its parent is gone.
func TestUp_EndsWithGoRun(t *testing.T) {
	data := newData(t)
	cmd := exec.Command("go", "run", "millrace/cmd/millrace", "up", "--quiet", "--data", data)
	cmd.Env = environ()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-exited
		assertNothingRuns(t, data)
	})
	u := &up{t: t, data: data, cmd: cmd, exited: exited}
	u.eventually("shop is ready", func() error {
		_, err := datadir.ReadShop(data)
		return err
	})
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-exited
	assertNothingRuns(t, data)
}

func TestUp_SecondOnTheSameFolder(t *testing.T) {
	data := newData(t)
	u := startUp(t, data, "--quiet")
	u.waitReady()
	out, err := exec.Command(binary, "up", "--data", data).CombinedOutput()
	if err == nil || !strings.Contains(string(out), fmt.Sprintf("in use by process %d", u.cmd.Process.Pid)) {
		t.Errorf("second up: %v\n%s", err, out)
	}
}

// A taken port: another one is picked, said, and found by the command line.
func TestUp_TakenPort(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:8081")
	if err == nil {
		defer func() { _ = taken.Close() }()
	} // else somebody else has taken it, which is as good
	data := newData(t)
	u := startUp(t, data, "--quiet")
	shop := u.waitReady()
	if shop.OrderURL == "http://127.0.0.1:8081" {
		t.Fatal("the order service is said to be at a taken port")
	}
	if o := createOrder(t, data); o.ID == "" {
		t.Fatalf("order: %+v", o)
	}
	u.stop()
	if said := u.stdout.String(); !strings.Contains(said, "Port 8081 is taken, so order uses ") {
		t.Errorf("up did not say that it picked another port:\n%s", said)
	}
}

// While the broker is away orders are accepted; they come through when it is back.
func TestUp_BrokerAway(t *testing.T) {
	data := newData(t)
	u := startUp(t, data, "--quiet")
	u.waitReady()
	broker := pid(t, data, "broker")
	if err := syscall.Kill(broker, syscall.SIGSTOP); err != nil { // away, but not restarted
		t.Fatal(err)
	}
	o := createOrder(t, data)
	if o.Status != shopclient.Pending {
		t.Errorf("order without a broker: %+v", o)
	}
	if err := syscall.Kill(broker, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	var now shopclient.Order
	u.eventually("the order comes through", func() error {
		if err := json.Unmarshal([]byte(millrace(t, "order", "show", o.ID, "--data", data, "-o", "json")), &now); err != nil {
			return err
		}
		if now.Status != shopclient.Confirmed {
			return fmt.Errorf("it is %s", now.Status)
		}
		return nil
	})
}

// --restart never: a part that dies stays away, the others go on.
func TestUp_RestartNever(t *testing.T) {
	data := newData(t)
	u := startUp(t, data, "--quiet", "--restart", "never")
	u.waitReady()
	if err := syscall.Kill(pid(t, data, "notification"), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if o := createOrder(t, data, "--wait"); o.Status != shopclient.Confirmed {
		t.Errorf("order without notification: %+v", o)
	}
	u.stop()
	if said := u.stdout.String(); !strings.Contains(said, "notification is not started again") {
		t.Errorf("up did not say that it leaves notification away:\n%s", said)
	}
}
