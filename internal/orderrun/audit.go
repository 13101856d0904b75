package orderrun

import (
	"context"
	"fmt"
	"time"
)

// Audit judges all orders of a shop by what is stored, as Run does; ids are those
// that were accepted. There must have been stock for all of them.
func Audit(ctx context.Context, c Config, ids []string) (Result, error) {
	r, done, err := look(ctx, c, ids)
	if err != nil {
		return Result{}, err
	}
	defer done()
	return r.judge(ctx)
}

// AwaitDone waits until each order has its outcome and both its mails, by the
// services' databases.
func AwaitDone(ctx context.Context, c Config, ids []string) error {
	const pollEvery = 50 * time.Millisecond
	r, done, err := look(ctx, c, ids)
	if err != nil {
		return err
	}
	defer done()
	for {
		pending, err := r.db.pending(ctx, "")
		if err != nil {
			return fmt.Errorf("read orders: %w", err)
		}
		mails, err := r.db.mails(ctx, ids)
		if err != nil {
			return fmt.Errorf("read mails: %w", err)
		}
		if pending == 0 && mails >= len(mailKinds)*len(ids) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d orders have no outcome, %d of %d mails are sent: %w", pending, mails, len(mailKinds)*len(ids), ctx.Err())
		case <-time.After(pollEvery):
		}
	}
}

// look opens what a judgement reads. The empty run means all orders.
func look(ctx context.Context, c Config, ids []string) (r *run, done func(), err error) {
	r = newRun(c, "")
	r.ids = ids
	if r.db, err = openDatabases(ctx, c); err != nil {
		r.close()
		return nil, nil, err
	}
	return r, func() {
		r.db.close()
		r.close()
	}, nil
}
