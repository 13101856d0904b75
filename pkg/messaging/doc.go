// Package messaging connects a service to the broker: publishing in batches,
// consuming with bounded retries and dead letters, tracing across the topic, and a
// shutdown that finishes the message in hand.
//
// It is built on Watermill's router and on watermill-kafka's subscriber; any broker
// with Kafka's protocol will do. A [Consumer] wraps each [Handler] in, outer to inner:
//
//	dead letter   what failed for good goes to TOPIC-dlq; if that cannot be written,
//	              the message is not acknowledged
//	tracing       one "process TOPIC" span
//	retry         bounded tries with growing waits; an error from [Permanent] ends them
//	time limit    of each try
//	recoverer     a panic is an error
//	handler
//
// Delivery is at least once: package inbox makes the effect of a message happen once.
package messaging
