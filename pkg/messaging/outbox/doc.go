// Package outbox publishes what a transaction has stored: a service inserts its rows
// and the message in one transaction ([Writer]); the [Relay] sends stored messages
// to the broker, and marks them only after the broker has acknowledged. So a message
// is sent if, and only if, its transaction has committed, and at least once.
//
// One relay at a time is at work, chosen by a session advisory lock; it reads rows
// in the order of their ids. Other instances stand by. Workers that shared the rows
// among them (SKIP LOCKED) could send two messages of one key in the wrong order.
//
// Ids are given before commit, so a row may become visible after one with a higher
// id. Messages of one key keep their order when Add is called after the transaction
// has locked what the key stands for, such as by an UPDATE of the order's row.
//
// A transaction wakes the relay by NOTIFY, which Postgres delivers at commit. Since
// NOTIFY makes commits wait for one another, a Writer sends one in a while only; the
// relay looks again by itself for longer than that after it had something to do, and
// every [RelayConfig.PollInterval] in any case.
package outbox
