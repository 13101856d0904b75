package servicetest

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"millrace/pkg/messaging"
)

// Rows returns what a query finds, each row as one line of JSON.
func Rows(t testing.TB, databaseURL, sql string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `SELECT row_to_json(q)::text AS line FROM (`+sql+`) AS q ORDER BY line`)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// Exec runs statements.
func Exec(t testing.TB, databaseURL, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatal(err)
	}
}

// PublishRecord publishes a record as it is.
func PublishRecord(t testing.TB, c messaging.Config, record *kgo.Record) {
	t.Helper()
	produce(t, c, record)
}

// Offsets are offsets by "topic/partition".
type Offsets map[string]int64

// Committed returns the offsets that a group has committed.
func Committed(t testing.TB, c messaging.Config, group string) Offsets {
	t.Helper()
	request := kmsg.NewPtrOffsetFetchRequest()
	request.Group = group
	answer := ask(t, c, request).(*kmsg.OffsetFetchResponse)
	found := Offsets{}
	for _, topic := range answer.Topics {
		for _, p := range topic.Partitions {
			if p.Offset >= 0 {
				found[fmt.Sprintf("%s/%d", topic.Topic, p.Partition)] = p.Offset
			}
		}
	}
	return found
}

// Commit sets the offset of a group that has no members.
func Commit(t testing.TB, c messaging.Config, group, topic string, partition int32, offset int64) {
	t.Helper()
	request := kmsg.NewPtrOffsetCommitRequest()
	request.Group, request.Generation = group, -1
	of := kmsg.NewOffsetCommitRequestTopic()
	of.Topic = topic
	at := kmsg.NewOffsetCommitRequestTopicPartition()
	at.Partition, at.Offset = partition, offset
	of.Partitions = append(of.Partitions, at)
	request.Topics = append(request.Topics, of)
	answer := ask(t, c, request).(*kmsg.OffsetCommitResponse)
	if code := answer.Topics[0].Partitions[0].ErrorCode; code != 0 {
		t.Fatalf("commit %s/%d: error %d", topic, partition, code)
	}
}

func ask(t testing.TB, c messaging.Config, request kmsg.Request) kmsg.Response {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Brokers...), kgo.MaxVersions(kversion.V3_6_0())) // before topics had ids
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	answer, err := client.Request(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}
