package app_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"millrace/pkg/events"
	"millrace/pkg/fault"
	"millrace/pkg/messaging"
	"millrace/pkg/messaging/replay"
	"millrace/pkg/postgres/postgrestest"
	"millrace/pkg/service"
	"millrace/pkg/service/servicetest"
	"millrace/services/notification/app"
	"millrace/services/notification/postgres"
	"millrace/services/notification/rebuild"
)

// state is everything that the service knows. When a mail went out and a message was
// processed is not in the log.
func state(t *testing.T, databaseURL string) []string {
	t.Helper()
	return slices.Concat(
		servicetest.Rows(t, databaseURL, `SELECT order_id, kind, recipient, message_id FROM mails`),
		servicetest.Rows(t, databaseURL, `SELECT consumer_group, message_id FROM inbox`))
}

func rebuildInto(t *testing.T, kafka messaging.Config, databaseURL string, o service.RebuildOptions, faults ...string) (replay.Report, error) {
	t.Helper()
	c, err := app.FromEnv(servicetest.RebuildEnv(kafka, databaseURL, faults...))
	if err != nil {
		t.Fatal(err)
	}
	return app.Rebuild(t.Context(), c, o)
}

// A database that is gone comes back without a mail being sent: what was sent is noted,
// what was given up is not, what had not come yet goes out afterwards.
func TestRebuild_NotesMailsAndSendsNone(t *testing.T) {
	t.Parallel()
	kafka, mails := servicetest.Broker(t), &mailServer{}
	database, addr := postgrestest.NewURL(t), mails.start(t)
	s := start(t, kafka, database, addr)
	s.Ready()
	const n = 20
	for i := range n {
		servicetest.Publish(t, kafka, fmt.Sprint("c-", i), created(fmt.Sprint("o-", i)))
		servicetest.Publish(t, kafka, fmt.Sprint("r-", i), reserved(fmt.Sprint("o-", i)))
	}
	servicetest.Publish(t, kafka, "c-0", created("o-0"))     // a copy
	servicetest.Publish(t, kafka, "other-1", created("o-1")) // another message with the same mail
	refused := created("o-refused")
	refused.CustomerID = refusedCustomer
	servicetest.Publish(t, kafka, "c-refused", refused)
	servicetest.PublishRaw(t, kafka, events.TopicOrders, "x", []byte("{"))
	servicetest.Records(t, kafka, events.TopicOrdersDLQ, 2)
	servicetest.AwaitCommitted(t, kafka, events.GroupNotification, 2*n+4, events.TopicOrders, events.TopicInventory)
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	servicetest.Publish(t, kafka, "c-late", created("o-late"))
	want, committed, sent := state(t, database), servicetest.Committed(t, kafka, events.GroupNotification), mails.count()
	if sent != 2*n {
		t.Fatalf("%d mails", sent)
	}

	fresh := postgrestest.NewURL(t, postgres.Migrations()...)
	rehearsed, err := rebuildInto(t, kafka, fresh, service.RebuildOptions{DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	servicetest.SameRows(t, "after the dry run", state(t, fresh), nil)
	for _, point := range replay.Points() {
		var injected *fault.InjectedError
		if _, err := rebuildInto(t, kafka, fresh, service.RebuildOptions{}, string(point)+"=error,times=1"); !errors.As(err, &injected) {
			t.Errorf("cut off at %s: %v", point, err)
		}
	}
	servicetest.Exec(t, fresh, `TRUNCATE mails, inbox`)
	report, err := rebuildInto(t, kafka, fresh, service.RebuildOptions{})
	if err != nil {
		t.Fatal(err)
	}
	servicetest.SameRows(t, "rebuilt", state(t, fresh), want)
	if report.RestoredOf(rebuild.Mails) != 2*n || report.RestoredOf(rebuild.Messages) != 2*n+1 || report.Unfinished != 1 || report.SkippedFor(replay.Unreadable) != 1 || report.Redelivered != 0 {
		t.Errorf("%+v", report)
	}
	report.DryRun, report.Seconds, rehearsed.Seconds = true, 0, 0
	if got, want := fmt.Sprintf("%+v", rehearsed), fmt.Sprintf("%+v", report); got != want {
		t.Errorf("the dry run said\n%s\nit was\n%s", got, want)
	}
	if now := servicetest.Committed(t, kafka, events.GroupNotification); fmt.Sprint(now) != fmt.Sprint(committed) {
		t.Errorf("offsets %v, were %v", now, committed)
	}
	next := start(t, kafka, fresh, addr)
	next.Ready()
	next.Answers("/metrics", http.StatusOK, `millrace_mails_total{kind="CONFIRMATION"} 1`)
	if kinds := mails.about("o-late"); len(kinds) != 1 {
		t.Errorf("mails about the late order: %v", kinds)
	}
	if now := mails.count(); now != sent+1 {
		t.Errorf("%d mails, were %d before the late one", now, sent)
	}
}

// Without committed offsets nobody can tell which mails went out.
func TestRebuild_RefusesWithoutProgress(t *testing.T) {
	t.Parallel()
	kafka := servicetest.Broker(t)
	servicetest.Publish(t, kafka, "m-1", created("o-1"))
	_, err := rebuildInto(t, kafka, postgrestest.NewURL(t), service.RebuildOptions{})
	var unknown *replay.UnknownProgressError
	if !errors.As(err, &unknown) || unknown.Records != 1 {
		t.Errorf("%v", err)
	}
}
