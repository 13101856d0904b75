// Package statelog runs state machines whose state lies in an internal topic, one
// machine for each id: consumer groups in __consumer_offsets, transactions in
// __transaction_state. It is the layer of locks, timers and disk around them.
//
//	Runtime ──▶ shard (a partition of the topic) ──▶ Entry (a machine, its lock)
//	   │           │
//	 timers      writer ──▶ Log (append, fsync)
//
// Each machine belongs to one partition, chosen by the hash of its id as Kafka does. A
// shard is loaded by reading its partition from the start. Until then requests for its
// machines are answered with COORDINATOR_LOAD_IN_PROGRESS; a machine that is not loaded
// is never mistaken for one that does not exist.
//
// Writes are grouped: while one batch of a shard is being written and synced, what
// comes in gathers for the next. A machine hears of its own record when it is durable.
//
// When the topic is deleted, its machines are forgotten; it is made again, empty, for the next who looks for
// a coordinator.
//
// The machines themselves are pure: a [Rules] feeds them and carries out what they
// want done, with the methods of their [Entry].
//
// # Locks
//
//	Entry.mu ──▶ shard.mu | writer.mu ──▶ Runtime.mu | timers.mu, each held for a moment
//
// An entry's lock is never held while waiting for the disk or for a client.
package statelog
