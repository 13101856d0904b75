// Package kraft reads the metadata that Apache Kafka keeps in its own folder, so that a
// broker can take the folder over: `__cluster_metadata-0` with a log of records
// (KIP-500, KIP-631) and snapshots of them (KIP-630).
//
//	snapshot END-EPOCH.checkpoint ─▶ records ┐
//	segments from END on          ─▶ records ┴▶ State: topics, settings, producer ids
//
// It only reads. What the records mean here is for package cluster to say.
package kraft
