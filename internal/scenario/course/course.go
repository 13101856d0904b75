// Package course holds the scenarios, one file each: what the course teaches, to
// watch on a real broker or a real shop, and the wrong ways, to watch fail.
//
// A scenario has its texts in texts/NAME.LANG.txt, its evidence as a struct of
// numbers, and its verdict as a pure function of that struct.
package course

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/scenario"
)

// a are values for the placeholders of texts.
type a = scenario.A

//go:embed texts/*.txt
var files embed.FS

// All lists the scenarios in the order of the course.
func All() []scenario.Scenario {
	all := slices.Concat([]scenario.Scenario{queueVsBroadcast}, logScenarios(), shopScenarios(), wrongWays())
	for i := range all {
		all[i].Texts = scenario.MustLoad(files, all[i].Name)
	}
	return all
}

// logScenarios need a broker alone.
func logScenarios() []scenario.Scenario {
	return []scenario.Scenario{
		keysAndOrder, startPositions, surplusConsumer, rebalance, acks, brokerRestart, connections,
	}
}

// shopScenarios break a shop, and see it mend itself.
func shopScenarios() []scenario.Scenario {
	return []scenario.Scenario{consumerDown, burst, poison, redrive, replayState, duplicateDelivery}
}

// is makes a check; its text has the key "check." and the name.
func is(name string, ok bool, args a) scenario.Check {
	return scenario.Check{Name: name, OK: ok, Args: args}
}

// produce sends records and waits for the acknowledgement of each.
func produce(ctx context.Context, client *kgo.Client, records ...*kgo.Record) error {
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return fmt.Errorf("produce: %w", err)
	}
	return nil
}

// readAll reads a topic from its first record, without a group, until it has n
// records, and returns them in the order in which they came.
func readAll(ctx context.Context, b *scenario.Broker, topic string, n int) ([]*kgo.Record, error) {
	client, err := b.Client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return take(ctx, client, n)
}

// take polls until n records have come.
func take(ctx context.Context, client *kgo.Client, n int) ([]*kgo.Record, error) {
	var got []*kgo.Record
	for len(got) < n {
		records, err := poll(ctx, client)
		if err != nil {
			return got, fmt.Errorf("read, with %d of %d records: %w", len(got), n, err)
		}
		got = append(got, records...)
	}
	return got, nil
}

// poll waits for the next records.
func poll(ctx context.Context, client *kgo.Client) ([]*kgo.Record, error) {
	fetches := client.PollFetches(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	var failed error
	fetches.EachError(func(topic string, partition int32, err error) {
		failed = errors.Join(failed, fmt.Errorf("%s/%d: %w", topic, partition, err))
	})
	return fetches.Records(), failed
}

// readWhole reads a topic from its first record to what its last one is now.
func readWhole(ctx context.Context, b *scenario.Broker, topic string) ([]*kgo.Record, error) {
	ends, err := b.Admin().ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("end of topic %s: %w", topic, err)
	}
	n := 0
	for _, partition := range ends[topic] {
		n += int(partition.Offset)
	}
	return readAll(ctx, b, topic, n)
}

// seconds rounds to hundredths.
func seconds(d time.Duration) float64 { return math.Round(100*d.Seconds()) / 100 }
