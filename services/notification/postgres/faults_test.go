package postgres_test

import (
	"errors"
	"testing"

	"millrace/pkg/events"
	"millrace/pkg/fault"
	"millrace/pkg/postgres/postgrestest"
	"millrace/services/notification/postgres"
)

// How many mails go out when the first try fails at a point: two only in the window
// between the mail server's answer and the commit.
func TestStore_Faults(t *testing.T) {
	t.Parallel()
	for point, want := range map[fault.Point]struct{ rows, sent int }{ // rows after the failure, mails in all
		fault.MailBeforeSend:     {0, 1},
		fault.MailAfterSend:      {0, 2},
		fault.EffectBeforeCommit: {0, 2},
		fault.EffectAfterCommit:  {1, 1},
	} {
		t.Run(string(point), func(t *testing.T) {
			t.Parallel()
			faults := fault.New(fault.Options{}, point)
			pool := postgrestest.New(t, postgres.Migrations()...)
			out := &sender{}
			s := postgres.NewStore(pool, out, faults)
			if err := faults.Set(fault.Rule{Point: point, Kind: fault.Permanent, Times: 1, Match: map[string]string{fault.OrderID: "o-1"}}); err != nil {
				t.Fatal(err)
			}
			var injected *fault.InjectedError
			if sent, err := s.SendOnce(t.Context(), events.GroupNotification, "m-1", confirmation); sent || !errors.As(err, &injected) || !injected.Permanent() {
				t.Errorf("sent %v, %v", sent, err)
			}
			if n := rows(t, pool, "mails"); n != want.rows {
				t.Errorf("%d mails are marked, want %d", n, want.rows)
			}
			if _, err := s.SendOnce(t.Context(), events.GroupNotification, "m-1", confirmation); err != nil {
				t.Error(err)
			}
			if n := rows(t, pool, "mails"); n != 1 || out.sent != want.sent {
				t.Errorf("%d mails are marked, %d went out; want 1 and %d", n, out.sent, want.sent)
			}
		})
	}
}
