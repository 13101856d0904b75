package app

import (
	"context"
	"time"

	"millrace/pkg/events"
	"millrace/pkg/messaging/replay"
	pg "millrace/pkg/postgres"
	"millrace/pkg/service"
	"millrace/services/order/postgres"
	"millrace/services/order/rebuild"
)

// Rebuild builds the orders anew from the log, see package rebuild. No instance of the
// service may run.
func Rebuild(ctx context.Context, c Config, o service.RebuildOptions) (replay.Report, error) {
	return service.Rebuild(ctx, service.RebuildProgram{
		Group: events.GroupOrder, Own: []string{events.TopicOrders}, Config: c.Config, Migrations: postgres.Migrations(),
		Restore: func(ctx context.Context, r *replay.Replay, db pg.Beginner) (replay.Report, error) {
			return rebuild.Run(ctx, r, postgres.NewRestorer(db), time.Now(), c.IdempotencyKeep)
		},
	}, o)
}
