// Package fetchsession remembers what a client fetches, so that it names a partition again only
// when it wants something else of it, and hears of one only when there is news (KIP-227).
//
//	request: session 0, epoch 0, all partitions ──▶ answer: all partitions, session 7
//	request: session 7, epoch 1, changes only   ──▶ answer: partitions with news
//	request: session 7, epoch 2, …
//	request: session 7, epoch -1                 ──▶ the session is closed
//
// News of a partition are records, an error, a log that parts ways with the client's, or that the high
// watermark or the log start offset moved since the client was told. Who got records goes to the end of the
// order, so that none waits for all before it.
//
// Sessions are kept in memory, so many at most. When there is no room for another, one that was not used for
// EvictAfter makes way, else one that is older than that and has fewer partitions; else the client gets session
// id 0 and goes on without.
//
// A Cache does no I/O and reads no clock. Its one lock is held for the moment of a Begin or an End only.
package fetchsession
