// Package txn is what Kafka's transaction coordinator knows of one transactional id,
// as a state machine.
//
// A [Transaction] does no I/O, reads no clock and starts no goroutine. What happens to it
// comes in as an [Input] with the time; what has to be done about it comes back as
// [Effects], in order:
//
//	requests, ticks, "written", "markers are there" ──▶ Step(now, input)
//	                                        ──▶ answers, records to write, markers to send
//
// The life of a transactional id (Kafka's TransactionState):
//
//	                 partitions are added               EndTxn, or its time is over
//	┌───────┐                          ┌─────────┐                       ┌───────────────────────────┐
//	│ Empty │─────────────────────────▶│ Ongoing │──────────────────────▶│ PrepareCommit/PrepareAbort│
//	└───────┘                          └─────────┘                       └───────────────────────────┘
//	  ▲   ▲                                 ▲                                          │ every partition
//	  │   │ InitProducerId                  │ partitions are added                     ▼ has its marker
//	  │   │                            ┌──────────────────────────────────────────────────────────┐
//	  │   └────────────────────────────│             CompleteCommit/CompleteAbort                 │
//	  new                              └──────────────────────────────────────────────────────────┘
//
// What is prepared is decided: after a crash the markers are sent again, which changes
// nothing where they are already. An idle id is forgotten after transactional.id.expiration.ms.
//
// # Epochs
//
// InitProducerId raises the producer's epoch, which fences off whoever had the id before:
// PRODUCER_FENCED. With transactions of version 2 (KIP-890) each end of a transaction raises
// it too, so that a late request of one transaction cannot become part of the next. Before
// epochs run out, the id gets a new producer id.
//
// # Durability
//
// Nothing is shown before it is on disk. [Persist] asks the caller to write the record;
// [Persisted] tells that it is durable, and only then is it applied and answered. Until
// then, and while markers are on their way, requests get CONCURRENT_TRANSACTIONS and are
// repeated by the client.
//
// # What the caller must do
//
//   - feed inputs one at a time, with a time that does not go back;
//   - carry out the effects in order, and write the records in the order they came;
//   - answer each Persist with one Persisted, each SendMarkers with one MarkersSent, each
//     NeedProducerID with one FreshProducerID;
//   - feed [Tick] when [Transaction.Deadline] has come.
//
// Sources: KIP-98 (transactions), KIP-360 (epoch bumps by clients), KIP-588 (PRODUCER_FENCED),
// KIP-890 (version 2), KIP-664 (what tools are told); where a KIP is silent, Kafka's
// TransactionCoordinator and TransactionMetadata.
package txn
