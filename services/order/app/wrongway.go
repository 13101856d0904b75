package app

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"millrace/pkg/service"
	"millrace/pkg/wrongway"
	"millrace/pkg/wrongway/dualwrite"
	"millrace/services/order"
	"millrace/services/order/postgres"
)

// This file is the only one of the service that knows of the wrong ways.

// newStore returns the right store, or the one that WRONG_WAYS puts in its place.
func newStore(env *service.Env) store {
	if slices.Contains(env.Config.WrongWays, wrongway.DualWrite) {
		return dualWriteStore{
			Store: postgres.NewStore(env.Pool, dualwrite.Outbox{}, env.Faults, time.Now), events: env.EventPublisher(), log: env.Log,
		}
	}
	return rightStore(env)
}

// dualWriteStore is WRONG ON PURPOSE, see package dualwrite: it commits the order, then publishes its event.
type dualWriteStore struct {
	*postgres.Store

	events message.Publisher
	log    *slog.Logger
}

// Insert implements order.Store. An order whose event cannot be sent stays, and its customer hears that all is well.
func (s dualWriteStore) Insert(ctx context.Context, o order.Order, key order.Key) (order.Order, error) {
	ctx, pending := dualwrite.Begin(ctx)
	placed, err := s.Store.Insert(ctx, o, key)
	if err != nil || placed.ID != o.ID { // not stored, or stored before under the same key
		return placed, err
	}
	if err := pending.Publish(ctx, s.events); err != nil {
		s.log.ErrorContext(ctx, "order is stored, its event was not sent and never will be", "order_id", o.ID, "error", err)
	}
	return placed, nil
}
