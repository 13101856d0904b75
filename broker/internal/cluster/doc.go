// Package cluster holds the cluster's metadata: which topics there are, with which
// partitions, settings and leaders, and which brokers serve them.
//
// Every change is a [Command], a JSON record in one log, `__cluster_metadata-0`.
// A command is durable before anybody sees its effect. Applying the log from its
// start gives the metadata again, on every node the same:
//
//	request ─▶ check against the image ─▶ commands ─▶ log, fsync ─▶ apply ─▶ new image ─▶ subscribers
//
// [Image] is what the log amounts to at one offset. It never changes: readers load
// the current one from an atomic pointer, keep it as long as they like, and need no
// lock. [Apply] is a pure function of an image and commands; it does no I/O, reads
// no clock and draws no random number (topic ids are drawn before the command is
// written).
//
// One node commits alone: the log's fsync is the commit. With more nodes the same
// commands will be committed by a majority before they are applied; nothing that
// reads images or applies commands has to know.
//
// When the log has grown well past what the image needs, the controller writes the
// whole image into it, as the commands that make it out of nothing, in one batch, and
// drops what came before. A batch is on disk whole or not at all; loading starts at
// the last one that is a snapshot.
package cluster
