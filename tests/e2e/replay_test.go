//go:build unix

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"millrace/internal/shop"
	"millrace/internal/shopclient"
	"millrace/pkg/messaging/replay"
	"millrace/pkg/postgres"
	"millrace/tests/shopstate"
)

func adminURL(t *testing.T, data string) string {
	t.Helper()
	url, err := shopstate.AdminURL(data)
	if err != nil {
		t.Fatal(err)
	}
	return url
}

func stateOf(t *testing.T, data, service string) []string {
	t.Helper()
	lines, err := shopstate.Of(t.Context(), data, service)
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// stopService tells a service to stop, and waits until it is gone.
func (u *up) stopService(name string) {
	u.t.Helper()
	process := pid(u.t, u.data, name)
	if err := syscall.Kill(process, syscall.SIGTERM); err != nil {
		u.t.Fatal(err)
	}
	u.eventually(name+" has stopped", func() error {
		if err := syscall.Kill(process, 0); !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("process %d is there: %w", process, err)
		}
		return nil
	})
}

func setStock(t *testing.T, url, product string, available int) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url+"/stock/"+product, strings.NewReader(fmt.Sprintf(`{"available":%d}`, available)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		t.Fatal(answer.Status)
	}
}

// killed runs a replay that dies at a fault point as by kill -9.
func killed(t *testing.T, data, group, point string) {
	t.Helper()
	cmd := exec.Command(binary, "replay", "--data", data, "--group", group)
	cmd.Env = append(environ(), "FAULTS_ENABLED=true", "FAULTS="+point+"=crash")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("replay that crashes at %s: %v\n%s", point, err, out)
	}
}

// The database of each service is dropped in turn, and comes back from the log as it was,
// row by row, though the replay is killed at every point where that could matter. No mail
// goes out again, and the shop goes on.
func TestReplay_DroppedDatabasesComeBack(t *testing.T) {
	data := newData(t)
	first := startUp(t, data, "--quiet", "--restart", "never")
	where := first.waitReady()
	const n = 24
	setStock(t, where.InventoryURL, "green-tea", 777)
	var last shopclient.Order
	for i := range n {
		item := []string{"kettle=2", "lotus-tea=1", "green-tea=3"}[i%3] // of 5 kettles, two orders get theirs
		last = createOrder(t, data, "--item", item, "--idempotency-key", fmt.Sprint("key-", i))
	}
	mailbox := shopclient.New(where.MailURL)
	defer mailbox.Close()
	mails := func(u *up, want int) {
		t.Helper()
		u.eventually(fmt.Sprintf("%d mails", want), func() error {
			all, err := mailbox.Mails(t.Context(), "")
			if err == nil && len(all) != want {
				err = fmt.Errorf("there are %d", len(all))
			}
			return err
		})
	}
	mails(first, 2*n)
	first.eventually("all orders have their outcome", func() error {
		if list := millrace(t, "order", "list", "--data", data, "--limit", "100"); strings.Contains(list, shopclient.Pending) {
			return errors.New(list)
		}
		return nil
	})
	setStock(t, where.InventoryURL, "kettle", 0)
	setStock(t, where.InventoryURL, "new-thing", 7)

	for _, service := range shop.Services {
		group := service + "-service"
		if out, err := exec.Command(binary, "replay", "--data", data, "--group", group).CombinedOutput(); err == nil || !strings.Contains(string(out), "millrace part stop "+service) {
			t.Errorf("replay while %s runs: %v\n%s", service, err, out)
		}
		first.eventually("the outbox is empty", func() error { return outboxEmpty(t, data, service) })
		first.stopService(service)
		before := stateOf(t, data, service)
		if err := postgres.Drop(t.Context(), adminURL(t, data), service); err != nil {
			t.Fatal(err)
		}
		if out := millrace(t, "replay", "--data", data, "--group", group, "--dry-run"); !strings.Contains(out, "nothing was changed") {
			t.Errorf("dry run:\n%s", out)
		}
		if exists, _, err := postgres.Look(t.Context(), adminURL(t, data), service); exists || err != nil {
			t.Errorf("after the dry run there is a database: %v, %v", exists, err)
		}
		for _, point := range replay.Points() {
			killed(t, data, group, string(point))
		}
		var report replay.Report
		if err := json.Unmarshal([]byte(millrace(t, "replay", "--data", data, "--group", group, "-o", "json")), &report); err != nil {
			t.Fatal(err)
		}
		if len(report.Findings) != 0 || len(report.Skipped) != 0 || report.Redelivered != 0 || report.Group != group {
			t.Errorf("report %+v", report)
		}
		if after := stateOf(t, data, service); !slices.Equal(after, before) {
			t.Errorf("%s is\n%s\nwas\n%s", service, strings.Join(after, "\n"), strings.Join(before, "\n"))
		}
	}
	mails(first, 2*n)
	first.stop()

	second := startUp(t, data, "--quiet")
	now := second.waitReady()
	mailbox = shopclient.New(now.MailURL)
	var again shopclient.Order
	if err := json.Unmarshal([]byte(millrace(t, "order", "show", last.ID, "--data", data, "-o", "json")), &again); err != nil || again.Total != last.Total || again.TraceID != last.TraceID || again.TraceID == "" {
		t.Errorf("after the restart %+v, was %+v; %v", again, last, err)
	}
	if repeated := createOrder(t, data, "--item", "green-tea=3", "--idempotency-key", fmt.Sprint("key-", n-1)); repeated.ID != last.ID {
		t.Errorf("the repeated request got order %s, was %s", repeated.ID, last.ID)
	}
	if o := createOrder(t, data, "--wait"); o.Status != shopclient.Confirmed {
		t.Errorf("a new order: %+v", o)
	}
	mails(second, 2*n+2)
}

func outboxEmpty(t *testing.T, data, service string) error {
	t.Helper()
	if service == shop.Notification { // has none
		return nil
	}
	config, err := pgx.ParseConfig(adminURL(t, data))
	if err != nil {
		return err
	}
	config.Database = service
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.Background()) }()
	var waiting int
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM outbox WHERE published_at IS NULL`).Scan(&waiting); err != nil {
		return err
	}
	if waiting > 0 {
		return fmt.Errorf("%d events wait", waiting)
	}
	return nil
}
