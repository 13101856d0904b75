package app

import (
	"context"

	"millrace/pkg/events"
	"millrace/pkg/messaging/replay"
	pg "millrace/pkg/postgres"
	"millrace/pkg/service"
	"millrace/services/inventory/postgres"
	"millrace/services/inventory/rebuild"
)

// Rebuild builds stock and reservations anew from the log, see package rebuild. No
// instance of the service may run.
func Rebuild(ctx context.Context, c Config, o service.RebuildOptions) (replay.Report, error) {
	return service.Rebuild(ctx, service.RebuildProgram{
		Group: events.GroupInventory, Own: []string{events.TopicStock, events.TopicInventory}, Config: c.Config, Migrations: postgres.Migrations(),
		Restore: func(ctx context.Context, r *replay.Replay, db pg.Beginner) (replay.Report, error) {
			return rebuild.Run(ctx, r, postgres.NewRestorer(db))
		},
	}, o)
}
