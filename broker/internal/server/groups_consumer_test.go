package server_test

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/broker/brokertest"
)

// consumerProtocol are the options of a franz-go consumer that lets the broker assign.
func consumerProtocol() []kgo.Opt {
	return []kgo.Opt{kgo.ServerSideBalancer(), kgo.SessionTimeout(45 * time.Second)}
}

// quick has members report often, so that tests need not wait.
var quick = []brokertest.Option{
	brokertest.InMemory(),
	brokertest.WithSetting("group.consumer.min.heartbeat.interval.ms", "50"), brokertest.WithSetting("group.consumer.heartbeat.interval.ms", "100"),
	brokertest.WithSetting("group.consumer.assignment.interval.ms", "0"),
	brokertest.WithSetting("group.share.min.heartbeat.interval.ms", "50"), brokertest.WithSetting("group.share.heartbeat.interval.ms", "100"),
	brokertest.WithSetting("group.share.assignment.interval.ms", "0"),
	brokertest.WithSetting("group.consumer.min.session.timeout.ms", "1000"), brokertest.WithSetting("group.consumer.session.timeout.ms", "3000"),
}

// Two members of a group of the consumer protocol share four partitions; when one dies
// without a word, the other takes over.
func TestConsumerGroups_TakeOver(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, quick...)
	createOrders(t, b)
	one := startConsumer(t, b, "g", consumerProtocol()...)
	one.waitFor(t, "one member has all", owns(4))
	two := startConsumer(t, b, "g", consumerProtocol()...)
	one.waitFor(t, "two members share", owns(2))
	two.waitFor(t, "two members share", owns(2))
	produceOrders(t, b, 0, 20)
	two.die()
	one.waitFor(t, "the one that stays takes over", owns(4))
}
