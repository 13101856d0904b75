// Package sharestate keeps what share groups know of partitions: where each begins and what
// became of the records after that. It is Kafka's share coordinator (KIP-932), one state machine
// for each partition of each share group, in the topic __share_group_state.
//
//	a partition's leader ──Write──▶ Machine ──▶ snapshot, in the log
//	                     ◀──Read───
//
// Each write is a snapshot of the whole, which is small: neighbours in the same state are one
// entry. So the last record of a partition is all that counts, and the topic can be compacted.
// Kafka writes what has changed in between, and removes old records itself; such logs are read
// too. Records are Kafka's, so that Kafka's tools can read them:
//
//	key:   0, group, topic id, partition     value: epochs, start, complete count, times, batches
//	key:   1, group, topic id, partition     value: what has changed since (read, not written)
//
// One snapshot at a time is on its way to the disk; writes that come in meanwhile share the
// next one.
//
// Two epochs fence: that of the state, which grows when an administrator moves the start,
// and that of the partition's leader. What an earlier one writes is refused.
package sharestate
