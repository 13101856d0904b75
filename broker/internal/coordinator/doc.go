// Package coordinator runs consumer groups: it is the thin layer of locks, timers
// and disk around the state machines of package group.
//
//	handlers ──▶ Coordinator ──▶ shard (a partition of __consumer_offsets) ──▶ entry (a group, its lock)
//	                 │                    │
//	               timers               writer ──▶ Log (append, fsync)
//
// Each group belongs to one partition of the internal topic, chosen by the hash of
// its id as Kafka does. A shard is loaded by reading its partition from the start:
// the last record of each key counts. Until then requests for its groups are answered
// with COORDINATOR_LOAD_IN_PROGRESS; a group that is not loaded is never mistaken for
// one that does not exist.
//
// Records are Kafka's own, so that Kafka's tools can read them:
//
//	key:   version 1, group, topic, partition     value: version 4, offset, epoch, metadata, time
//	key:   version 2, group                       value: version 3, generation, members, assignments
//
// Writes are grouped: while one batch of a shard is being written and synced, what
// comes in gathers for the next. A request is answered when its own record is durable.
//
// # Locks
//
//	entry.mu ──▶ shard.mu | writer.mu ──▶ Coordinator.mu | timers.mu, each held for a moment
//
// An entry's lock is never held while waiting for the disk or for a client.
package coordinator
