// Package quota says how long a client has to wait because it used more than it may. It is a pure
// state machine: what was used and the time go in, waits come out.
//
// Who may use what is a [Limits], made of entities and their limits (KIP-13, 124, 546, 599, 612). For a user and
// a client id the first entity of this list that has a limit of the kind decides, and so does it whose
// use is added up together:
//
//	1  user=U, client-id=C              5  user=<default>, client-id=<default>
//	2  user=U, client-id=<default>      6  user=<default>
//	3  user=U                           7  client-id=C
//	4  user=<default>, client-id=C      8  client-id=<default>
//
// 1, 2, 4 and 5 count each user with each client id on its own, 3 and 6 each user, 7 and 8 each client id.
//
// Rates are what Kafka measures: the sum over the last windows (quota.window.num, the running one
// among them), divided by the time that they span, and at least all windows but one. Ten times a limit
// in one go is thus within it. Changes of topics and partitions are paid from a bucket of tokens (KIP-599).
package quota
