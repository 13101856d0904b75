// Package replica holds this broker's copies of partitions and knows how far each
// may be read.
//
//	log start        high watermark        log end
//	    │                   │                 │
//	────┼───────────────────┼─────────────────┼────▶ offsets
//	    │  clients may read │  appended, not  │
//	    │  and are answered │  safe yet       │
//
// With one copy the high watermark is the end of what is on disk. With more it
// will be the smallest log end of the in-sync copies; nothing outside this
// package has to know, because all that waits, waits for the high watermark.
//
// Readers of committed records stop earlier where a transaction is open: at the last
// stable offset, which moves with the high watermark when a transaction's marker is safe.
//
// A Manager follows the cluster's metadata: partitions appear and go with their
// topics. Logs are opened when they are first needed, so that a broker with many
// partitions starts at once; Manager.Run opens the others in the background.
//
// Locks: Manager.mu before Partition.mu. Neither is held while the disk is waited
// for, except that Partition.opening is held while a log is opened.
package replica
