package service

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"millrace/pkg/messaging/inbox"
	"millrace/pkg/messaging/parking"
)

// Janitor is a component that tidies up at once and then every hour. Failing is no
// harm: the next round does the work.
func Janitor(log *slog.Logger, rounds ...func(ctx context.Context) error) Component {
	const every = time.Hour
	return Component{Name: "janitor", Run: func(ctx context.Context) error {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			for _, round := range rounds {
				if err := round(ctx); err != nil && ctx.Err() == nil {
					log.WarnContext(ctx, "tidying up failed, the next round is in an hour", "error", err)
				}
			}
			select {
			case <-ctx.Done():
				return nil
			case <-ticker.C:
			}
		}
	}}
}

// ForgetMessages is the Janitor's round for the inbox, and for what was put aside so long
// ago that the topics have it no more.
func (e *Env) ForgetMessages(ctx context.Context) error {
	_, err := inbox.Cleanup(ctx, e.Pool, e.Config.InboxKeep)
	_, parkedErr := parking.NewStore(e.Pool).Cleanup(ctx, e.Config.InboxKeep)
	return errors.Join(err, parkedErr)
}
