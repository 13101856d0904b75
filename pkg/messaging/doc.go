// Package messaging connects a service to the broker: publishing in batches,
// consuming with bounded retries and dead letters, tracing across the topic, and a
// shutdown that finishes the message in hand.
//
// It is built on Watermill's router and on watermill-kafka's subscriber; any broker
// with Kafka's protocol will do. A [Consumer] wraps each [Handler] in, outer to inner:
//
//	settle        what failed for good goes to TOPIC-dlq, what is to be tried later to
//	              the group's TOPIC-retry-GROUP; while that cannot be written, the
//	              message is not acknowledged
//	tracing       one "process TOPIC" span
//	recoverer     a panic is an error that no further try can cure
//	order         with [Parking], a message waits behind an earlier one of its key
//	retry         bounded tries with growing waits; an error from [Permanent] ends them;
//	              while what all messages need is away, tries do not count
//	time limit    of each try
//	handler
//
// The same handler gets the messages of the group's retry topic when they are due: those
// put off by [RetryPolicy].Delays, and the dead letters that people have sent anew.
//
// A message is never refused (Nack): watermill-kafka would deliver it again and again,
// and hold up the group's rebalance. When a rebalance takes its partition away, or the
// service shuts down, a message that has not succeeded is released: its offset is not
// committed, and whoever gets the partition next gets the message again.
//
// Delivery is at least once: package inbox makes the effect of a message happen once.
package messaging
