// Package group is Kafka's group protocols as one state machine: the classic one
// (JoinGroup, SyncGroup, Heartbeat, LeaveGroup), those where the broker assigns
// (ConsumerGroupHeartbeat, ShareGroupHeartbeat), and the committed offsets.
//
// A [Group] does no I/O, reads no clock, starts no goroutine and draws no random
// number. What happens to it comes in as an [Input] with the time; what has to be
// done about it comes back as [Effects], in order:
//
//	requests, ticks, "written" ──▶ Step(now, input) ──▶ answers, records to write, events
//
// The life of a classic group (Kafka's ClassicGroupState):
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
// # Where the broker assigns
//
// Each member sends heartbeats and nothing else. What changes the group raises its
// epoch, for which a target assignment is computed (package assignor), towards which
// each member is brought by its own heartbeats: it first gives back what is not its
// own any more, and a partition goes to its next owner only when the last one has said
// that it does not read it. Files modern_*.go are what consumer and share groups have in
// common, consumer_*.go is KIP-848, migrate.go how a group changes its protocol.
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
// in the requests), KIP-814 (the leader skips the assignment), KIP-848 (the broker
// assigns), KIP-932 (share groups), KIP-1251 (commits of an earlier epoch), KIP-1263
// (assignment interval); where a KIP is silent, Kafka's GroupMetadataManager and ClassicGroup.
package group
