package events

// Topics of the shop.
const (
	TopicOrders    = "orders"
	TopicInventory = "inventory"

	TopicOrdersDLQ    = TopicOrders + deadLetterSuffix
	TopicInventoryDLQ = TopicInventory + deadLetterSuffix

	deadLetterSuffix = "-dlq"
)

// Consumer groups of the shop. Each group receives every event; the instances
// within a group share them.
const (
	GroupOrder        = "order-service"
	GroupInventory    = "inventory-service"
	GroupNotification = "notification-service"
)

// Partitions is how many partitions each topic has, and so how many instances of
// one group can work at the same time.
const Partitions = 4

// Names of the record headers that go with an event.
const (
	// HeaderMessageID identifies a message for the inbox of its readers. It is the
	// name under which watermill-kafka keeps a message's UUID.
	HeaderMessageID = "_watermill_message_uuid"
	// HeaderEventType repeats event_type, so that tools need not open the payload.
	HeaderEventType = "event_type"
	// HeaderEventVersion holds the version of the form, see [Version].
	HeaderEventVersion = "event_version"
	// HeaderContentType is always application/json.
	HeaderContentType = "content-type"
)

// ContentType is the value of [HeaderContentType].
const ContentType = "application/json"

// Topic is a topic as it has to exist before the services start.
type Topic struct {
	Name       string
	Partitions int32
}

// Topics lists all topics of the shop.
func Topics() []Topic {
	return []Topic{
		{TopicOrders, Partitions},
		{TopicInventory, Partitions},
		{TopicOrdersDLQ, Partitions},
		{TopicInventoryDLQ, Partitions},
	}
}

// DeadLetterTopic names the topic that takes what could not be processed of another.
func DeadLetterTopic(topic string) string { return topic + deadLetterSuffix }
