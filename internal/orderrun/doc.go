// Package orderrun places many orders on a running shop, waits until every
// consumer group has dealt with each, and then proves by what is stored that
// nothing was lost and nothing was done twice.
//
// The proof uses no counter of any service. It reads the three databases, both
// topics from their first record to their last, and the mail box:
//
//	lost        an accepted order, or one of its effects, that is not there
//	duplicate   an effect that is there more than once
//
// The effects of an order are: its row, one ORDER_CREATED, one reservation or
// refusal and one event about it, its final status, and two e-mails. A record
// that stands in a topic twice with one message id is no duplicate: delivery is
// at least once, and the inbox of each reader takes it once. It is told, though.
package orderrun
