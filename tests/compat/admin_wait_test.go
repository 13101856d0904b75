package compat

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// eventuallyPartitions waits until the topic has so many partitions, and the leader of each knows that it
// is: a controller answers before the brokers have heard, and metadata tells of a leader that has not yet.
func eventuallyPartitions(t *testing.T, admin *kadm.Client, topic string, n int) kadm.TopicDetail {
	t.Helper()
	var detail kadm.TopicDetail
	eventually(t, fmt.Sprintf("%d partitions of %s", n, topic), func(ctx context.Context) (bool, string) {
		topics, err := admin.ListTopics(ctx, topic)
		if err != nil {
			return false, err.Error()
		}
		detail = topics[topic]
		led := 0
		for _, p := range detail.Partitions {
			if p.Err == nil && p.Leader >= 0 {
				led++
			}
		}
		if led != n {
			return false, fmt.Sprintf("%d with a leader", led)
		}
		ends, err := admin.ListEndOffsets(ctx, topic)
		if err == nil {
			err = ends.Error()
		}
		return err == nil, fmt.Sprint(err)
	})
	return detail
}

// eventuallyConfig waits until the topic has these settings: Kafka applies a change after it has answered.
func eventuallyConfig(t *testing.T, admin *kadm.Client, topic string, want map[string]string) {
	t.Helper()
	eventually(t, "settings of "+topic, func(ctx context.Context) (bool, string) {
		configs, err := admin.DescribeTopicConfigs(ctx, topic)
		if err != nil {
			return false, err.Error()
		}
		got := map[string]string{}
		for _, c := range configs[0].Configs {
			if _, ok := want[c.Key]; ok {
				got[c.Key] = c.MaybeValue()
			}
		}
		return fmt.Sprint(got) == fmt.Sprint(want), fmt.Sprint(got)
	})
}

// eventuallyAfter waits until the clock has passed a moment.
func eventuallyAfter(t *testing.T, moment time.Time) {
	t.Helper()
	eventually(t, "time passes", func(context.Context) (bool, string) {
		return time.Now().After(moment), time.Now().String()
	})
}
