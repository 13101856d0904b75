package app

import (
	"context"

	"millrace/pkg/events"
	"millrace/pkg/messaging/replay"
	pg "millrace/pkg/postgres"
	"millrace/pkg/service"
	"millrace/services/notification/postgres"
	"millrace/services/notification/rebuild"
)

// Rebuild builds the memory of which mails went out anew from the log, and sends none,
// see package rebuild. No instance of the service may run.
func Rebuild(ctx context.Context, c Config, o service.RebuildOptions) (replay.Report, error) {
	return service.Rebuild(ctx, service.RebuildProgram{
		Group: events.GroupNotification, NeedsProgress: true, Config: c.Config, Migrations: postgres.Migrations(),
		Restore: func(ctx context.Context, r *replay.Replay, db pg.Beginner) (replay.Report, error) {
			return rebuild.Run(ctx, r, postgres.NewRestorer(db))
		},
	}, o)
}
