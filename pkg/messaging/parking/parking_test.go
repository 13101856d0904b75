package parking_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"millrace/pkg/messaging"
	"millrace/pkg/messaging/inbox"
	"millrace/pkg/messaging/parking"
	"millrace/pkg/postgres/postgrestest"
)

func TestMain(m *testing.M) {
	code := postgrestest.Main(m)
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func store(t *testing.T) (*parking.Store, *pgxpool.Pool) {
	t.Helper()
	pool := postgrestest.New(t, inbox.Migrations, parking.Migrations)
	return parking.NewStore(pool), pool
}

func place(offset int64, key string) messaging.Place {
	return messaging.Place{Group: "g", Topic: "orders", Partition: 1, Offset: offset, Key: []byte(key), MessageID: fmt.Sprintf("m-%d", offset)}
}

func ahead(t *testing.T, s *parking.Store, m messaging.Place) messaging.Ahead {
	t.Helper()
	a, err := s.Ahead(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	a.NotBefore = a.NotBefore.UTC()
	return a
}

func aside(t *testing.T, s *parking.Store, m messaging.Place, where messaging.Aside, due time.Time) {
	t.Helper()
	if err := s.PutAside(t.Context(), m, where, due); err != nil {
		t.Fatal(err)
	}
}

func TestStore_TellsWhatIsAhead(t *testing.T) {
	t.Parallel()
	s, _ := store(t)
	due := time.Date(2026, 11, 27, 8, 0, 0, 0, time.UTC)
	if got := ahead(t, s, place(5, "k")); got != (messaging.Ahead{}) {
		t.Errorf("nothing was put aside: %+v", got)
	}
	aside(t, s, place(3, "k"), messaging.AsideRetry, due)
	aside(t, s, place(4, "k"), messaging.AsideRetry, due.Add(time.Minute))
	waits := messaging.Ahead{Where: messaging.AsideRetry, Offset: 3, NotBefore: due}
	for _, c := range []struct {
		name   string
		change func(*messaging.Place)
		want   messaging.Ahead
	}{
		{"later", func(*messaging.Place) {}, waits},
		{"itself", func(m *messaging.Place) { m.Offset = 3 }, messaging.Ahead{Itself: true}},
		{"itself behind another", func(m *messaging.Place) { m.Offset = 4 }, messaging.Ahead{Itself: true, Where: messaging.AsideRetry, Offset: 3, NotBefore: due}},
		{"earlier", func(m *messaging.Place) { m.Offset = 2 }, messaging.Ahead{}},
		{"another key", func(m *messaging.Place) { m.Key = []byte("l") }, messaging.Ahead{}},
		{"another partition", func(m *messaging.Place) { m.Partition = 2 }, messaging.Ahead{}},
		{"another topic", func(m *messaging.Place) { m.Topic = "inventory" }, messaging.Ahead{}},
		{"another group", func(m *messaging.Place) { m.Group = "h" }, messaging.Ahead{}},
	} {
		m := place(5, "k")
		c.change(&m)
		if got := ahead(t, s, m); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}

	// A dead letter anywhere ahead takes people; where it comes back from, it does not.
	aside(t, s, place(4, "k"), messaging.AsideDeadLetter, time.Time{})
	if got, want := ahead(t, s, place(5, "k")), (messaging.Ahead{Where: messaging.AsideDeadLetter, Offset: 4}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := ahead(t, s, place(4, "k")); got.Where != messaging.AsideRetry {
		t.Errorf("a dead letter is ahead of itself: %+v", got)
	}
	for _, offset := range []int64{3, 4, 4} {
		if err := s.WorkedOff(t.Context(), place(offset, "k")); err != nil {
			t.Fatal(err)
		}
	}
	if got := ahead(t, s, place(5, "k")); got != (messaging.Ahead{}) {
		t.Errorf("all is worked off: %+v", got)
	}
}

// A row that an instance wrote when it had lost its partition, and whose message
// another has processed, holds nobody up.
func TestStore_WhatTheInboxHasDoesNotCount(t *testing.T) {
	t.Parallel()
	s, pool := store(t)
	aside(t, s, place(3, "k"), messaging.AsideDeadLetter, time.Time{})
	aside(t, s, place(4, "k"), messaging.AsideRetry, time.Now())
	for _, step := range []struct {
		group, id string
		want      messaging.Aside
	}{{"another group", "m-3", messaging.AsideDeadLetter}, {"g", "m-3", messaging.AsideRetry}, {"g", "m-4", ""}} {
		if _, err := inbox.Insert(t.Context(), pool, step.group, step.id); err != nil {
			t.Fatal(err)
		}
		if got := ahead(t, s, place(5, "k")); got.Where != step.want {
			t.Errorf("after %s %s: %+v, want %q", step.group, step.id, got, step.want)
		}
	}
}

// What comes from strangers must not make a row impossible: the message would be
// neither put aside nor acknowledged, and its partition would stand still.
func TestStore_TakesAnyKeyAndID(t *testing.T) {
	t.Parallel()
	s, _ := store(t)
	for i, m := range []messaging.Place{
		{Key: []byte{}, MessageID: "x"},
		{Key: []byte{0xff, 0}, MessageID: "\xff"},
		{Key: bytes.Repeat([]byte{1}, 1<<20), MessageID: string(bytes.Repeat([]byte("i"), 1<<20))},
		{Key: []byte("k"), MessageID: "nul\x00"},
	} {
		m.Group, m.Topic, m.Offset = "g", "orders", 7
		m.Partition = int32(i)
		aside(t, s, m, messaging.AsideRetry, time.Now())
		behind := m
		behind.Offset++
		if got := ahead(t, s, behind); got.Where != messaging.AsideRetry {
			t.Errorf("%d: %+v", i, got)
		}
	}
}

func TestStore_Cleanup(t *testing.T) {
	t.Parallel()
	s, pool := store(t)
	for offset := range int64(4) {
		aside(t, s, place(offset, "k"), messaging.AsideRetry, time.Now())
	}
	if _, err := pool.Exec(context.Background(), `UPDATE parked_messages SET parked_at = now() - record_offset * interval '1 hour'`); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Cleanup(t.Context(), 150*time.Minute); n != 1 || err != nil {
		t.Errorf("deleted %d, %v", n, err)
	}
}
