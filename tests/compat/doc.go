// Package compat holds the tests that judge a broker by its clients: franz-go, sarama, kafka-go and
// Watermill (watermill-kafka) write, read, share groups, commit and administer, each reading what the
// others wrote; so do confluent-kafka, kafka-python, KafkaJS, kcat, Java's clients, PySpark, Kafka
// Streams and Kafka's command-line tools where they are installed (folder foreign). Nothing here knows whose broker it talks to.
//
// By default the broker is the bundled one, started inside the test. With
//
//	MILLRACE_COMPAT_BROKERS=127.0.0.1:9092 go test ./tests/compat/
//
// the same tests judge another, such as Apache Kafka: what passes there and fails here is a fault of
// ours. They create topics and groups with names of their own and remove the topics again.
package compat
