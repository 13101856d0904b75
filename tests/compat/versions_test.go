package compat

import (
	"testing"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
)

// A client of each age works: sarama sends the protocol versions of the Kafka it is told of, with
// and without asking for the broker's ApiVersions first.
func TestVersions_Sarama(t *testing.T) {
	for _, version := range []sarama.KafkaVersion{
		sarama.V0_11_0_0, sarama.V1_0_0_0, sarama.V2_0_0_0, sarama.V2_1_0_0, sarama.V2_3_0_0, sarama.V2_4_0_0,
		sarama.V2_8_0_0, sarama.V3_0_0_0, sarama.V3_6_0_0, sarama.V4_0_0_0, sarama.MaxVersion,
	} {
		for _, ask := range []bool{false, true} {
			name := version.String()
			if ask {
				name += " asks ApiVersions"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				seeds := seeds(t)
				config := saramaConfig(version)
				config.ApiVersionsRequest = ask
				topic := newTopic(t, seeds, 2, nil)
				want := samples("old", 20)
				produceSaramaWith(t, config, seeds, topic, want)
				m := joinSaramaWith(t, config, seeds, uniqueName(t, "group"), topic)
				waitForRecords(t, m, len(want))
				m.close()
				sameRecords(t, want, m.records())
			})
		}
	}
}

// Watermill as it comes: its own defaults, protocol version 1.0 and no ApiVersions.
func TestVersions_WatermillDefaults(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	topic := newTopic(t, seeds, 2, nil)
	want := samples("defaults", 20)
	produceWatermillWith(t, kafka.DefaultSaramaSyncPublisherConfig(), seeds, topic, want)
	config := kafka.DefaultSaramaSubscriberConfig()
	config.Consumer.Offsets.Initial = sarama.OffsetOldest // the one that loses messages
	m := joinWatermillWith(t, config, seeds, uniqueName(t, "group"), topic)
	waitForRecords(t, m, len(want))
	m.close()
	sameRecords(t, want, m.records())
}
