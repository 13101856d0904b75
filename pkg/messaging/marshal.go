package messaging

import (
	"maps"
	"slices"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"

	"millrace/pkg/events"
)

// marshaler translates between Watermill's message and Kafka's record:
//
//	UUID                 header _watermill_message_uuid, as watermill-kafka has it
//	Metadata[MetadataKey] record key
//	other metadata       headers, sorted by name
type marshaler struct{}

func (marshaler) Marshal(topic string, m *message.Message) (*sarama.ProducerMessage, error) {
	record := &sarama.ProducerMessage{Topic: topic, Value: sarama.ByteEncoder(m.Payload)}
	record.Headers = make([]sarama.RecordHeader, 0, len(m.Metadata)+1)
	if m.UUID != "" {
		record.Headers = append(record.Headers, sarama.RecordHeader{Key: []byte(events.HeaderMessageID), Value: []byte(m.UUID)})
	}
	for _, name := range slices.Sorted(maps.Keys(m.Metadata)) {
		switch name {
		case MetadataKey:
			record.Key = sarama.StringEncoder(m.Metadata[name])
		case metadataCreatedAt, events.HeaderMessageID: // not for the wire; the UUID is it
		default:
			record.Headers = append(record.Headers, sarama.RecordHeader{Key: []byte(name), Value: []byte(m.Metadata[name])})
		}
	}
	return record, nil
}

// Unmarshal never fails: an error here would make watermill-kafka read the same offset
// forever.
func (marshaler) Unmarshal(record *sarama.ConsumerMessage) (*message.Message, error) {
	m := message.NewMessage("", record.Value)
	for _, header := range record.Headers {
		if string(header.Key) == events.HeaderMessageID {
			m.UUID = string(header.Value)
		} else {
			m.Metadata[string(header.Key)] = string(header.Value)
		}
	}
	if record.Key != nil {
		m.Metadata[MetadataKey] = string(record.Key)
	}
	return m, nil
}
