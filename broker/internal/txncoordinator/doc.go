// Package txncoordinator runs transactions: it joins the state machines of package txn
// to the runtime of package statelog, which has the locks, timers and the disk.
//
//	handlers ──▶ Coordinator ──▶ statelog (a partition of __transaction_state) ──▶ txn
//	                  │
//	                  ├──▶ Markers: to the partitions of a transaction that is decided
//	                  └──▶ IDs: producer ids that were never used
//
// Records are Kafka's own, so that Kafka's tools can read them:
//
//	key:   version 0, transactional id
//	value: version 1, producer id and epoch, time-out, state, partitions, times,
//	       the producer ids before and after, and the client's transaction version as tags
//
// A request is answered when its own record is durable. After a crash the transactions that
// are decided get their markers again.
package txncoordinator
