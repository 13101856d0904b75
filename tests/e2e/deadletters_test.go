//go:build unix

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"millrace/internal/datadir"
	"millrace/internal/dlq"
	"millrace/internal/shop"
	"millrace/internal/shopclient"
	"millrace/pkg/events"
	"millrace/pkg/fault"
)

// processed counts the messages of a topic that an instance has worked on for its group.
func processed(t *testing.T, url, topic string) (n int) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(body)) {
		if strings.HasPrefix(line, "messaging_processed_messages_total{") && strings.Contains(line, `topic="`+topic+`"`) {
			value, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndexByte(line, ' ')+1:]), 64)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			n += int(value)
		}
	}
	return n
}

// letters waits until an order has so many dead letters in a status.
func (u *up) letters(orderID string, status dlq.Status, n int) []dlq.Summary {
	u.t.Helper()
	var list struct{ Letters []dlq.Summary }
	u.eventually(fmt.Sprintf("%d letters of order %s are %s", n, orderID, status), func() error {
		out := millrace(u.t, "dlq", "list", "--data", u.data, "--key", orderID, "--status", string(status), "-o", "json")
		if err := json.Unmarshal([]byte(out), &list); err != nil {
			return err
		}
		if len(list.Letters) != n {
			return fmt.Errorf("there are %d", len(list.Letters))
		}
		return nil
	})
	return list.Letters
}

// What a group gave up is mended and sent to that group again: it is done once, the other
// groups see nothing of it, and all of it stands in the trace of the order.
func TestDLQ_RedriveReachesTheGroupThatFailed(t *testing.T) {
	u, at, _ := operator(t)
	inventory, notification := shopclient.New(at.InventoryURL), u.notification()
	defer inventory.Close()
	defer notification.Close()
	stock := func() shopclient.Stock {
		all, err := inventory.StockByProduct(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return all["coffee-beans"]
	}
	before := stock()
	if _, err := inventory.SetFault(t.Context(), fault.Rule{Point: fault.EffectBeforeCommit, Kind: fault.Error}); err != nil {
		t.Fatal(err)
	}
	o := createOrder(t, u.data)
	letter := u.letters(o.ID, dlq.Open, 1)[0]
	if letter.Group != events.GroupInventory || letter.Class != events.ClassTransient || letter.Attempts != 3 || !strings.Contains(letter.Error, "injected fault") {
		t.Errorf("letter %+v", letter)
	}
	u.mails(at, o.ID, 1)
	others := processed(t, notification.Base(), events.TopicOrders)

	if err := inventory.ClearFaults(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if out := millrace(t, "dlq", "redrive", letter.ID, "--data", u.data); !strings.Contains(out, "1 redriven, 0 completed, 0 refused, 0 failed") {
		t.Errorf("redrive said\n%s", out)
	}
	u.confirmed(o.ID)
	u.mails(at, o.ID, 2)
	want := before.Reserved + 2
	if now := stock(); now.Reserved != want || now.Available != before.Available-2 {
		t.Errorf("stock was %+v, is %+v", before, now)
	}
	if now := processed(t, notification.Base(), events.TopicOrders); now != others {
		t.Errorf("notification-service has worked on %d messages of orders, %d before the redrive", now, others)
	}
	u.checkRedriveTrace(o.ID)

	// A second run is refused; sent all the same, the inbox drops it.
	again := exec.CommandContext(t.Context(), binary, "dlq", "redrive", letter.ID, "--data", u.data)
	again.Env = environ()
	if out, err := again.CombinedOutput(); err == nil || !strings.Contains(string(out), "it was redriven before") {
		t.Errorf("second run: %v\n%s", err, out)
	}
	retryTopic := events.RetryTopic(events.TopicOrders, events.GroupInventory)
	done := processed(t, at.InventoryURL, retryTopic)
	millrace(t, "dlq", "redrive", "--again", letter.ID, "--data", u.data)
	u.eventually("the second copy is worked on", func() error {
		if now := processed(t, at.InventoryURL, retryTopic); now <= done {
			return fmt.Errorf("%d messages of %s are done", now, retryTopic)
		}
		return nil
	})
	if now := stock(); now.Reserved != want {
		t.Errorf("after a second copy %d are reserved, want %d", now.Reserved, want)
	}
}

// The mail server is away: both mails of an order become dead letters, and are sent once
// it is back.
func TestDLQ_MailsAreSentOnceTheServerIsBack(t *testing.T) {
	u, at, control := operator(t)
	act(t, control, "mail", "stop", shop.Stopped)
	o := createOrder(t, u.data)
	u.confirmed(o.ID)
	u.letters(o.ID, dlq.Open, 2)
	reserved := processed(t, at.InventoryURL, events.TopicOrders)
	act(t, control, "mail", "start", shop.Running)
	out := millrace(t, "dlq", "redrive", "--all", "--group", events.GroupNotification, "--yes", "--data", u.data)
	if !strings.Contains(out, "2 redriven, 0 completed, 0 refused, 0 failed") {
		t.Errorf("redrive said\n%s", out)
	}
	u.mails(at, o.ID, 2)
	u.letters(o.ID, dlq.Redriven, 2)
	if now := processed(t, at.InventoryURL, events.TopicOrders); now != reserved {
		t.Errorf("inventory-service has worked on %d messages of orders, %d before the redrive", now, reserved)
	}
}

// notification is a client of the notification service.
func (u *up) notification() *shopclient.Client {
	return shopclient.New("http://" + stored(u.t, u.data, "notification").Address)
}

// mails waits until an order has so many mails, and no more.
func (u *up) mails(at datadir.Shop, orderID string, n int) {
	u.t.Helper()
	box := shopclient.New(at.MailURL)
	defer box.Close()
	u.eventually(fmt.Sprintf("order %s has %d mails", orderID, n), func() error {
		mails, err := box.Mails(u.t.Context(), orderID)
		if err == nil && len(mails) != n {
			err = fmt.Errorf("it has %d", len(mails))
		}
		return err
	})
}

// checkRedriveTrace looks for the redrive in the order's trace: the failed work and the
// work after the redrive are of one trace, the redrive links to it.
func (u *up) checkRedriveTrace(orderID string) {
	u.t.Helper()
	type step struct {
		Kind, Title, Group, Error string
		TraceID                   string `json:"trace_id"`
		Attempts                  int64
		Retry                     string
		Steps                     []step
	}
	u.eventually("the trace tells of the redrive", func() error {
		var tree struct{ Steps []step }
		if err := json.Unmarshal([]byte(millrace(u.t, "trace", orderID, "--data", u.data, "-o", "json")), &tree); err != nil {
			return err
		}
		var all []step
		for queue := tree.Steps; len(queue) > 0; queue = queue[1:] {
			all = append(all, queue[0])
			queue = append(queue, queue[0].Steps...)
		}
		find := func(is func(step) bool) (step, error) {
			if i := slices.IndexFunc(all, is); i >= 0 {
				return all[i], nil
			}
			return step{}, errors.New("a step is missing")
		}
		request, err := find(func(s step) bool { return s.Kind == "request" })
		failed, failedErr := find(func(s step) bool {
			return s.Kind == "process" && s.Group == events.GroupInventory && s.Error != ""
		})
		worked, workedErr := find(func(s step) bool {
			return s.Kind == "process" && s.Group == events.GroupInventory && s.Error == "" && s.Retry == "redrive"
		})
		redrive, redriveErr := find(func(s step) bool { return strings.HasPrefix(s.Title, "redrive orders-retry-") })
		if err := errors.Join(err, failedErr, workedErr, redriveErr); err != nil {
			return err
		}
		if failed.TraceID != request.TraceID || worked.TraceID != request.TraceID || redrive.TraceID == request.TraceID || worked.Attempts != 4 {
			return fmt.Errorf("request %+v, failed %+v, worked %+v, redrive %+v", request, failed, worked, redrive)
		}
		return nil
	})
}
