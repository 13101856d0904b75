package servicetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
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

// SameRows compares what Rows and the like have found.
func SameRows(t testing.TB, what string, got, want []string) {
	t.Helper()
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("%s: missing %s", what, line)
		}
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("%s: too much %s", what, line)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: %d rows, want %d", what, len(got), len(want))
	}
}

// RebuildEnv is the environment of a rebuild, with faults.
func RebuildEnv(c messaging.Config, databaseURL string, faults ...string) []string {
	return []string{
		"DATABASE_URL=" + databaseURL, "KAFKA_BROKERS=" + strings.Join(c.Brokers, ","),
		"FAULTS_ENABLED=true", "FAULTS=" + strings.Join(faults, ";"),
	}
}

// AwaitCommitted waits until a group has committed n records of these topics in all.
func AwaitCommitted(t testing.TB, c messaging.Config, group string, n int, topics ...string) {
	t.Helper()
	Eventually(t, fmt.Sprintf("%d records are committed", n), func() bool {
		sum := int64(0)
		for place, offset := range Committed(t, c, group) {
			if topic, _, _ := strings.Cut(place, "/"); slices.Contains(topics, topic) {
				sum += offset
			}
		}
		return sum == int64(n)
	}, func() string { return fmt.Sprint(Committed(t, c, group)) })
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
