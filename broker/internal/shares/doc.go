// Package shares holds the partitions that share groups read here (package share), while they
// are read, and the sessions of their members.
//
//	handlers ──▶ Manager ──▶ Partition (a share.Partition, its lock, its timer) ──▶ States
//	                 └─────▶ Session (a member's view of its partitions, between its fetches)
//
// A partition is loaded by the first request that names it, from what States keeps, and
// forgotten when an administrator changes that, its topic or group is deleted, or it is fenced: then
// the next request loads it again.
//
// What has to be kept is written in order, one write of a partition at a time; what comes in
// meanwhile goes into the next one.
//
// # Locks
//
//	Partition.mu ──▶ Manager.mu | Session.mu, each held for a moment
package shares
