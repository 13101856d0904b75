// Package group is Kafka's classic consumer-group protocol (JoinGroup, SyncGroup,
// Heartbeat, LeaveGroup and the group's committed offsets) as a state machine.
//
// A [Group] does no I/O, reads no clock, starts no goroutine and draws no random
// number. What happens to it comes in as an [Input] with the time; what has to be
// done about it comes back as [Effects], in order:
//
//	requests, ticks, "written" ──▶ Step(now, input) ──▶ answers, records to write, events
//
// The life of a group (Kafka's ClassicGroupState):
//
//	          a member joins            all have joined, or the
//	           ┌─────────────┐            rebalance time-out is over
//	           │             ▼             │
//	┌───────┐  │  ┌────────────────────┐   │   ┌─────────────────────┐
//	│ Empty │──┘  │ PreparingRebalance │───┴──▶│ CompletingRebalance │
//	└───────┘◀────│  (members join)    │       │ (the leader assigns)│
//	    │  nobody └────────────────────┘       └─────────────────────┘
//	    │  joined      ▲           ▲   a member comes,  │      │ the assignment
//	    │              │           └─── goes, changes ──┘      │ is durable
//	    ▼              │                                       ▼
//	┌──────┐           │ a member comes, goes, changes    ┌────────┐
//	│ Dead │           └──────────────────────────────────│ Stable │
//	└──────┘ deleted                                      └────────┘
//
// Each time the members settle, the generation grows by one. One member, the
// leader, gets everybody's subscriptions and returns everybody's assignment: which
// partition goes to whom is decided by the clients, the broker only carries bytes.
//
// # Durability
//
// Nothing that has to survive a crash is shown before it is on disk. [Persist] asks
// the caller to write records; [Persisted] tells that they are durable, and only
// then are they applied and answered: assignments handed out, offsets readable.
// A crash in between forgets what nobody has been told.
//
// # What the caller must do
//
//   - feed inputs one at a time, with a time that does not go back;
//   - carry out the effects in order, and write the records of one group in the
//     order they came; several may be under way at once;
//   - answer each Persist with one Persisted, in order of Seq;
//   - feed [Tick] when [Group.Deadline] has come.
//
// Sources: KIP-62 (heartbeats apart from poll), KIP-134 (initial delay), KIP-211
// (expiry of offsets), KIP-345 (static members), KIP-394 (member id required),
// KIP-447 (stable offsets), KIP-496 (OffsetDelete), KIP-559 (protocol type and name
// in the requests), KIP-814 (the leader skips the assignment); where a KIP is
// silent, Kafka's GroupMetadataManager and ClassicGroup.
package group
