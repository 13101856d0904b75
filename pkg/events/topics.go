package events

// Topics of the shop.
const (
	TopicOrders    = "orders"
	TopicInventory = "inventory"
	TopicStock     = "stock"

	TopicOrdersDLQ    = TopicOrders + deadLetterSuffix
	TopicInventoryDLQ = TopicInventory + deadLetterSuffix

	// TopicDLQAudit takes what was done with dead letters: who sent which one anew, or
	// gave it up. It is never cleaned.
	TopicDLQAudit = "dlq-audit"

	deadLetterSuffix = "-dlq"
	retryInfix       = "-retry-"
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
	// HeaderUnitPrices, on ORDER_CREATED, holds the price of one of each item, in the
	// order of the items, see [FormatUnitPrices]. The course's payload has the total alone.
	HeaderUnitPrices = "unit_prices"
	// HeaderIdempotencyKeyHash, on ORDER_CREATED, is the SHA-256 of the Idempotency-Key
	// of the request, in hexadecimal; absent: the request had none. It is what the order
	// service needs to answer a repeated request after its state was built anew.
	HeaderIdempotencyKeyHash = "idempotency_key_sha256"
)

// ContentType is the value of [HeaderContentType].
const ContentType = "application/json"

// Topic is a topic as it has to exist before the services start.
type Topic struct {
	Name       string
	Partitions int32
	// Configs are the topic's settings, by Kafka's names, where they are not the
	// broker's defaults.
	Configs map[string]string
}

// Subscription says that a group reads a topic.
type Subscription struct {
	Topic, Group string
}

// Subscriptions lists who reads what in the shop. Each group also reads the retry
// topic that belongs to it, see [RetryTopic].
func Subscriptions() []Subscription {
	return []Subscription{
		{TopicOrders, GroupInventory},
		{TopicOrders, GroupNotification},
		{TopicInventory, GroupOrder},
		{TopicInventory, GroupNotification},
	}
}

// Topics lists all topics of the shop.
func Topics() []Topic {
	topics := []Topic{
		{Name: TopicOrders, Partitions: Partitions, Configs: kept()},
		{Name: TopicInventory, Partitions: Partitions, Configs: kept()},
		{Name: TopicStock, Partitions: Partitions, Configs: kept()},
		{Name: TopicOrdersDLQ, Partitions: Partitions, Configs: kept()},
		{Name: TopicInventoryDLQ, Partitions: Partitions, Configs: kept()},
	}
	for _, s := range Subscriptions() {
		topics = append(topics, Topic{Name: RetryTopic(s.Topic, s.Group), Partitions: Partitions})
	}
	// One partition: the entries are few, and their order is the story.
	return append(topics, Topic{Name: TopicDLQAudit, Partitions: 1, Configs: kept()})
}

// kept are the settings of a topic that is never cleaned: what the services know can
// be built anew from it, or somebody has still to look at it.
func kept() map[string]string {
	return map[string]string{"retention.ms": "-1", "retention.bytes": "-1"}
}

// ValidTopic tells whether Kafka takes a name for a topic: 1 to 249 of a-z A-Z 0-9 . _ -,
// but neither . nor ..
func ValidTopic(name string) bool {
	const longest = 249
	ok := name != "" && name != "." && name != ".." && len(name) <= longest
	for i := range len(name) {
		c := name[i]
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-')
	}
	return ok
}

// DeadLetterTopic names the topic that takes what could not be processed of another.
func DeadLetterTopic(topic string) string { return topic + deadLetterSuffix }

// RetryTopic names the topic that holds what one group alone is to get again of
// another topic: tries that wait, dead letters that were sent anew, and events kept
// behind one of those. Its records are described by [Retry].
func RetryTopic(topic, group string) string { return topic + retryInfix + group }
