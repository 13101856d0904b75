package course

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/scenario"
	"millrace/internal/shop"
	"millrace/internal/shopclient"
)

// header is the value of a record's header, or "".
func header(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// count asks a service's database for a number.
func count(ctx context.Context, sh *scenario.Shop, service, sql string, args ...any) (n int, err error) {
	conn, err := pgx.Connect(ctx, sh.Addresses().Databases[service])
	if err != nil {
		return 0, fmt.Errorf("look into the database of %s: %w", service, err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if err := conn.QueryRow(ctx, sql, args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("look into the database of %s: %w", service, err)
	}
	return n, nil
}

// inboxed counts which of the messages a group has dealt with, by its inbox.
func inboxed(ctx context.Context, sh *scenario.Shop, service, group string, messages []string) (int, error) {
	return count(ctx, sh, service, `SELECT count(*) FROM inbox WHERE consumer_group = $1 AND message_id = ANY ($2)`, group, messages)
}

// awaitConfirmed waits until so many orders are confirmed, by the order service's database.
func awaitConfirmed(ctx context.Context, sh *scenario.Shop, n int) error {
	return scenario.Poll(ctx, fmt.Sprintf("%d confirmed orders", n), func(ctx context.Context) error {
		have, err := count(ctx, sh, shop.Order, `SELECT count(*) FROM orders WHERE status = $1`, shopclient.Confirmed)
		if err == nil && have < n {
			err = fmt.Errorf("%d are", have)
		}
		return err
	})
}

// lagOf is the lag of a group on a topic.
func lagOf(ctx context.Context, sh *scenario.Shop, group, topic string) (int64, error) {
	v, err := scenario.Look(ctx, sh.Broker.Admin(), group, topic)
	return v.Lag(), err
}

// endOf counts the records that were ever written to a topic.
func endOf(ctx context.Context, sh *scenario.Shop, topic string) (int, error) {
	ends, err := sh.Broker.Admin().ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return 0, fmt.Errorf("end of topic %s: %w", topic, err)
	}
	n := 0
	for _, p := range ends[topic] {
		n += int(p.Offset)
	}
	return n, nil
}

// audited is what an audit says of a shop's orders.
type audited struct {
	Confirmed int `json:"confirmed"`
	Emails    int `json:"emails"`
	Lost      int `json:"lost"`
	Twice     int `json:"done_twice"`
}

func audit(ctx context.Context, sh *scenario.Shop, ids []string) (audited, error) {
	r, err := sh.Audit(ctx, ids)
	return audited{Confirmed: r.Confirmed, Emails: r.Emails, Lost: r.Lost, Twice: r.Duplicates}, err
}

// good reports whether every one of n orders is confirmed, with both mails, and
// nothing is lost or done twice.
func (r audited) good(n int) bool {
	return n > 0 && r.Confirmed == n && r.Emails == 2*n && r.Lost == 0 && r.Twice == 0
}

// auditCheck is the last check of the scenarios that place orders.
func auditCheck(r audited, n int) scenario.Check {
	return is("nothing_lost", r.good(n), a{"confirmed": r.Confirmed, "orders": n, "emails": r.Emails, "lost": r.Lost, "twice": r.Twice})
}
