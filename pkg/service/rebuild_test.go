package service_test

import (
	"context"
	"strings"
	"testing"
	"testing/fstest"

	"millrace/pkg/events"
	"millrace/pkg/messaging/replay"
	"millrace/pkg/postgres"
	"millrace/pkg/postgres/postgrestest"
	"millrace/pkg/service"
	"millrace/pkg/service/servicetest"
)

var things = postgres.Migrations{Name: "things", FS: fstest.MapFS{
	"00001_things.sql": {Data: []byte("-- +goose Up\nCREATE TABLE things (id int);\n-- +goose Down\nDROP TABLE things;\n")},
}}

// insert stores something, as a service's rebuild does.
func insert(ctx context.Context, _ *replay.Replay, db postgres.Beginner) (replay.Report, error) {
	var n int
	return replay.Report{}, postgres.ForEach(ctx, db, []any{&n}, func() error { return nil }, `INSERT INTO things VALUES (1) RETURNING id`)
}

func TestRebuild_Databases(t *testing.T) {
	t.Parallel()
	kafka, database := servicetest.Broker(t), postgrestest.NewURL(t)
	rebuild := func(url string, o service.RebuildOptions, restore func(context.Context, *replay.Replay, postgres.Beginner) (replay.Report, error)) error {
		c := service.Config{Kafka: kafka}
		c.Postgres.URL = url
		_, err := service.Rebuild(t.Context(), service.RebuildProgram{
			Group: events.GroupInventory, Config: c, Migrations: []postgres.Migrations{things}, Restore: restore,
		}, o)
		return err
	}
	count := func() int { return len(servicetest.Rows(t, database, `SELECT * FROM things`)) }
	refused := func(err error, want string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	refused(rebuild(strings.Replace(database, "/test_", "/no_test_", 1), service.RebuildOptions{}, insert), "the database does not exist")
	refused(rebuild("postgres://u:secret@127.0.0.1:1/d", service.RebuildOptions{}, insert), "open the database")
	refused(rebuild(database, service.RebuildOptions{DryRun: true}, insert), "lacks migrations")
	if n := len(servicetest.Rows(t, database, `SELECT * FROM pg_tables WHERE schemaname = 'public'`)); n != 0 {
		t.Errorf("a dry run made %d tables", n)
	}
	if err := rebuild(database, service.RebuildOptions{}, insert); err != nil || count() != 1 {
		t.Errorf("%d, %v", count(), err)
	}
	if err := rebuild(database, service.RebuildOptions{DryRun: true}, insert); err != nil || count() != 1 {
		t.Errorf("after a dry run %d, %v", count(), err)
	}
	// One at a time.
	err := rebuild(database, service.RebuildOptions{}, func(ctx context.Context, r *replay.Replay, db postgres.Beginner) (replay.Report, error) {
		refused(rebuild(database, service.RebuildOptions{}, insert), "another replay is at work")
		return insert(ctx, r, db)
	})
	if err != nil || count() != 2 {
		t.Errorf("%d, %v", count(), err)
	}
	// A database that was made for a dry run is used as it is, and given back.
	released := false
	err = rebuild("", service.RebuildOptions{DryRun: true, Database: func(context.Context, bool) (service.RebuildDatabase, error) {
		return service.RebuildDatabase{URL: database, Scratch: true, Release: func() error {
			released = true
			return nil
		}}, nil
	}}, insert)
	if err != nil || !released || count() != 3 {
		t.Errorf("released %v, %d, %v", released, count(), err)
	}
}
