// Package share is one partition as a share group reads it (KIP-932), as a state machine:
// which records are out with whom, which are done, and from where on there are more.
//
// A partition of the log becomes a queue: any number of members take records from it, each
// for a while, and say of each record what became of it. The window that the group works on
// lies between two offsets:
//
//	done, for good          in flight: each record has a state             not looked at yet
//	───────────────┼──────────────────────────────────────────────┼────────────────────────▶
//	             start                                           next
//
// The states of a record in flight:
//
//	                        accept                  ┌──────────────┐
//	              ┌────────────────────────────────▶│ Acknowledged │
//	┌───────────┐ │ acquire ┌──────────┐            └──────────────┘
//	│ Available │─┼────────▶│ Acquired │  reject,
//	└───────────┘ │         └──────────┘  or delivered ┌──────────┐
//	      ▲       └──────────────│─────────────────────▶│ Archived │
//	      └──────────────────────┘  too often           └──────────┘
//	       release, lock ran out, member gone
//
// Acquiring counts a delivery and starts the record's lock. start moves over records that
// are acknowledged or archived. There is no order between members.
//
// # Durability
//
// That a record was acquired is not written: after a crash it is available again. What a
// member says of it is written before it is answered ([Persist], [Partition.Written]), and so
// is a lock that ran out: deliveries that are counted survive, as in Kafka.
//
// The machine does no I/O, reads no clock and starts nothing. Its caller reads the log at
// [Partition.NextFetch], offers what it found to [Partition.Acquire], and feeds
// [Partition.Tick] when [Partition.Deadline] has come.
//
// Sources: KIP-932, KIP-1206 (strict record limit), KIP-1222 (renewing a lock), KIP-1226 (delivery
// complete count); where they are silent, Kafka's SharePartition.
package share
