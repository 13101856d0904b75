// Package cleaner has the rules of log compaction, as Apache Kafka's cleaner follows them: what of a log may be cleaned and when
// (plan.go), which records stay (filter.go), what becomes of transactions (transactions.go), and the table of the
// newest offset of each key (offsetmap.go). It does no I/O and reads no clock; package storage feeds it batches
// and puts away what it gives back.
//
//	log start       first dirty           first uncleanable        end
//	|--- cleaned ---|------- dirty -------|------ untouched -------|
//
// A run reads the dirty part and notes the newest offset of each key, until the table is full. Then it goes through all from the log
// start up to where it has read: a record stays when no newer one has its key. Offsets do not change.
//
// A record without a value, a tombstone, says that its key is gone. It has to stay until everybody who reads the log has had time
// to see it: the first run that meets it writes the delete horizon into its batch, now + delete.retention.ms, and a run
// after the horizon drops it (KIP-534). The same holds for the marker of a transaction, once no record of
// the transaction is left.
//
//	attributes bit 6 set: base timestamp of the batch = delete horizon
package cleaner
