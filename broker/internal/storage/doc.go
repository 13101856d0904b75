// Package storage keeps the logs of a broker in one data folder, in the files of Apache Kafka:
// docs/storage-format.md draws them.
//
// A Dir is the folder, a Log one partition in it. What a caller may rely on:
//
//   - Append gives batches their offsets and hands them to the operating system; WaitSynced returns when
//     they are on disk. With the default flush.messages=1 nothing above SyncedOffset was ever
//     promised to anybody, and everything below it survives kill -9 and a power cut.
//   - One fdatasync serves all appends that came while the one before it ran. The first one of a log or of
//     a segment syncs the folders too, so that the names survive.
//   - After a failed sync the folder is offline and stays so: every call returns ErrOffline. A full disk
//     is not that: ErrNoSpace, and the next append may succeed.
//   - Opening after a crash reads the log from the last checkpoint on. A torn tail is cut and reported as an
//     Event; damage that is not a torn tail is a *CorruptionError, and nothing is changed.
//   - Bytes in a Span belong to storage until Release. Batches given to Append are patched in place
//     (base offset, leader epoch, log append time) and belong to the caller again when it returns.
//
// The way through the files: dir.go and log.go hold the state; append.go → segment.go → index.go write, cache.go
// remembers; syncer.go asks the disk; read.go, lookup.go and span.go answer; open.go, recovery.go
// and damage.go bring a log back; housekeeping.go, retention.go, snapshots.go and checkpoint.go
// look after it; cleaners.go → clean.go → swap.go compact it by the rules of package cleaner; close.go and delete.go end it. producers.go, transactions.go and verify.go are about who wrote:
// sequences, transactions and what is asked of their coordinators.
//
// Transactions (KIP-98): a log knows which are open and which were aborted, so that LastStableOffset and AbortedTxns
// answer readers of committed records. That is state of the producers: it comes back from the newest synced
// snapshot and the batches behind it.
//
// Lock order: Dir.openMu → Log.cleanMu → Dir.checkpointMu → Log.appendMu → tailCache.mu → Log.mu → those of one segment or
// index. Dir.mu, syncer.mu, unstable.mu and Log.syncMu are taken last and for a few instructions.
//
// Non-obvious:
//
//   - The indexes, that of aborted transactions too, snapshots and leader epochs are written lazily:
//     recovery makes them again from the recovery point on, and a checkpoint syncs them before it moves that point.
//   - A full segment is synced before the next one is begun (with flush.messages=1), so that only the last
//     segment can be torn.
//   - Compaction puts a segment in the place of others in one moment. Who reads one of those goes on in its open
//     files; what the tail cache has of them is dropped.
//   - Creating a log syncs nothing. Its folder becomes durable with its first records; a log
//     that a power cut takes before that was empty.
package storage
