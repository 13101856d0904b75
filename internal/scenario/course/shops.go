package course

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/scenario"
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
