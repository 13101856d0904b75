package config

import "math"

const forever = "9223372036854775807"

// topicDefs are the settings of a topic. What a topic does not set it takes from
// the broker, under the name that Synonyms gives.
var topicDefs = []Def{
	{Name: "cleanup.policy", Type: List, Default: "delete", rule: listOf("compact", "delete"), Synonyms: brokerName("log.cleanup.policy"),
		Doc:   "What becomes of old segments: delete removes them past their retention, compact keeps the last value of each key, both do both.",
		topic: func(t *Topic) any { return &t.CleanupPolicy }},
	{Name: "compression.gzip.level", Type: Int, Default: "-1", rule: gzipLevel(), Synonyms: brokerName("compression.gzip.level"),
		Doc:   "How hard gzip works when the broker compresses: 1 is fast, 9 is small, -1 is the library's choice.",
		topic: func(t *Topic) any { return &t.CompressionGzipLevel }},
	{Name: "compression.lz4.level", Type: Int, Default: "9", rule: between(1, 17), Synonyms: brokerName("compression.lz4.level"),
		Doc:   "How hard lz4 works when the broker compresses: 1 is fast, 17 is small.",
		topic: func(t *Topic) any { return &t.CompressionLz4Level }},
	{Name: "compression.type", Type: String, Default: "producer", rule: oneOf("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"), Synonyms: brokerName("compression.type"),
		Doc:   "How batches are stored: producer keeps what the producer chose, anything else names the codec to store with.",
		topic: func(t *Topic) any { return &t.CompressionType }},
	{Name: "compression.zstd.level", Type: Int, Default: "3", rule: between(-131072, 22), Synonyms: brokerName("compression.zstd.level"),
		Doc:   "How hard zstd works when the broker compresses: higher is smaller and slower.",
		topic: func(t *Topic) any { return &t.CompressionZstdLevel }},
	{Name: "delete.retention.ms", Type: Long, Default: "86400000", rule: atLeast(0), Synonyms: brokerName("log.cleaner.delete.retention.ms"),
		Doc:   "How long a compacted topic keeps the mark that a key was deleted, so that a reader who started before can still see it.",
		topic: func(t *Topic) any { return &t.DeleteRetentionMs }},
	{Name: "file.delete.delay.ms", Type: Long, Default: "60000", rule: atLeast(0), Synonyms: brokerName("log.segment.delete.delay.ms"),
		Doc:   "How long the file of a deleted segment stays on disk.",
		topic: func(t *Topic) any { return &t.FileDeleteDelayMs }},
	{Name: "flush.messages", Type: Long, Default: "1", rule: atLeast(1), Synonyms: brokerName("log.flush.interval.messages"),
		Doc:   "After how many records the log is forced to disk. 1, this broker's default, acknowledges nothing that is not on disk; Kafka's own default is " + forever + ", never.",
		topic: func(t *Topic) any { return &t.FlushMessages }},
	{Name: "flush.ms", Type: Long, Default: forever, rule: atLeast(0), Synonyms: []Synonym{{Name: "log.flush.interval.ms"}, {Name: "log.flush.scheduler.interval.ms"}},
		Doc:   "How long a record may lie in the log without being forced to disk. It matters only where flush.messages is not 1.",
		topic: func(t *Topic) any { return &t.FlushMs }},
	{Name: "follower.replication.throttled.replicas", Type: List, Default: "", rule: throttledReplicas("follower.replication.throttled.replicas"), Ignored: true,
		Doc: "Replicas whose fetching is slowed down while partitions move: partition:broker pairs, or * for all."},
	{Name: "index.interval.bytes", Type: Int, Default: "4096", rule: atLeast(0), Synonyms: brokerName("log.index.interval.bytes"),
		Doc:   "One index entry for about so many bytes of log.",
		topic: func(t *Topic) any { return &t.IndexIntervalBytes }},
	{Name: "internal.segment.bytes", Type: Int, Null: true, Hidden: true, rule: atLeast(1),
		Doc:   "A segment.bytes without its lower limit, for tests and for looking at segments.",
		topic: func(t *Topic) any { return &t.internalSegmentBytes }},
	{Name: "leader.replication.throttled.replicas", Type: List, Default: "", rule: throttledReplicas("leader.replication.throttled.replicas"), Ignored: true,
		Doc: "Replicas whose serving is slowed down while partitions move: partition:broker pairs, or * for all."},
	{Name: "local.retention.bytes", Type: Long, Default: "-2", rule: atLeast(-2), Ignored: true, Synonyms: brokerName("log.local.retention.bytes"),
		Doc: "How much of a partition stays here when older segments are in remote storage. There is none."},
	{Name: "local.retention.ms", Type: Long, Default: "-2", rule: atLeast(-2), Ignored: true, Synonyms: brokerName("log.local.retention.ms"),
		Doc: "How long records stay here when older segments are in remote storage. There is none."},
	{Name: "max.compaction.lag.ms", Type: Long, Default: forever, rule: atLeast(1), Synonyms: brokerName("log.cleaner.max.compaction.lag.ms"),
		Doc:   "After how long at most a record of a compacted topic is considered for compaction.",
		topic: func(t *Topic) any { return &t.MaxCompactionLagMs }},
	{Name: "max.message.bytes", Type: Int, Default: "1048588", rule: atLeast(0), Synonyms: brokerName("message.max.bytes"),
		Doc:   "The largest batch that is accepted, as it is sent, so after compression.",
		topic: func(t *Topic) any { return &t.MaxMessageBytes }},
	{Name: "message.timestamp.after.max.ms", Type: Long, Default: "3600000", rule: atLeast(0), Synonyms: brokerName("log.message.timestamp.after.max.ms"),
		Doc:   "How far a record's time may be ahead of the broker's clock. It has no meaning with LogAppendTime.",
		topic: func(t *Topic) any { return &t.MessageTimestampAfterMaxMs }},
	{Name: "message.timestamp.before.max.ms", Type: Long, Default: forever, rule: atLeast(0), Synonyms: brokerName("log.message.timestamp.before.max.ms"),
		Doc:   "How far a record's time may be behind the broker's clock. It has no meaning with LogAppendTime.",
		topic: func(t *Topic) any { return &t.MessageTimestampBeforeMaxMs }},
	{Name: "message.timestamp.type", Type: String, Default: "CreateTime", rule: oneOf("CreateTime", "LogAppendTime"), Synonyms: brokerName("log.message.timestamp.type"),
		Doc:   "Whose clock a record's time comes from: the producer's (CreateTime) or the broker's (LogAppendTime).",
		topic: func(t *Topic) any { return &t.MessageTimestampType }},
	{Name: "min.cleanable.dirty.ratio", Type: Double, Default: "0.5", rule: fraction(), Synonyms: brokerName("log.cleaner.min.cleanable.ratio"),
		Doc:   "How much of a compacted log must be uncleaned before it is cleaned again.",
		topic: func(t *Topic) any { return &t.MinCleanableDirtyRatio }},
	{Name: "min.compaction.lag.ms", Type: Long, Default: "0", rule: atLeast(0), Synonyms: brokerName("log.cleaner.min.compaction.lag.ms"),
		Doc:   "How long at least a record of a compacted topic stays as it was written.",
		topic: func(t *Topic) any { return &t.MinCompactionLagMs }},
	{Name: "min.insync.replicas", Type: Int, Default: "1", rule: between(1, math.MaxInt32), Synonyms: brokerName("min.insync.replicas"),
		Doc:   "How many replicas must have a record before a producer with acks=all is answered.",
		topic: func(t *Topic) any { return &t.MinInsyncReplicas }},
	{Name: "preallocate", Type: Boolean, Default: "false", Synonyms: brokerName("log.preallocate"), Ignored: true,
		Doc: "Whether a new segment's file gets its full size at once."},
	{Name: "remote.log.copy.disable", Type: Boolean, Default: "false", Ignored: true,
		Doc: "Whether nothing more is copied to remote storage. There is none."},
	{Name: "remote.log.delete.on.disable", Type: Boolean, Default: "false", Ignored: true,
		Doc: "Whether remote data go when remote storage is switched off. There is none."},
	{Name: "remote.storage.enable", Type: Boolean, Default: "false", Ignored: true, rule: never(),
		Doc: "Whether old segments are moved to remote storage. This broker has none."},
	{Name: "retention.bytes", Type: Long, Default: "-1", Synonyms: brokerName("log.retention.bytes"),
		Doc:   "How large one partition may become before its oldest segments are deleted; below zero is no limit.",
		topic: func(t *Topic) any { return &t.RetentionBytes }},
	{Name: "retention.ms", Type: Long, Default: "604800000", rule: atLeast(-1), Synonyms: retentionNames,
		Doc:   "How long records are kept, by their own time; -1 is for ever.",
		topic: func(t *Topic) any { return &t.RetentionMs }},
	{Name: "segment.bytes", Type: Int, Default: "1073741824", rule: atLeast(MinSegmentBytes), Synonyms: brokerName("log.segment.bytes"),
		Doc:   "How large a segment may become before the next one is begun. Retention deletes whole segments.",
		topic: func(t *Topic) any { return &t.SegmentBytes }},
	{Name: "segment.index.bytes", Type: Int, Default: "10485760", rule: atLeast(4), Synonyms: brokerName("log.index.size.max.bytes"),
		Doc:   "How large a segment's index may become before the next segment is begun.",
		topic: func(t *Topic) any { return &t.SegmentIndexBytes }},
	{Name: "segment.jitter.ms", Type: Long, Default: "0", rule: atLeast(0), Synonyms: []Synonym{{Name: "log.roll.jitter.ms"}, {Name: "log.roll.jitter.hours", Times: msPerHour}},
		Doc:   "Up to how much earlier than segment.ms a segment is closed, at random, so that not all close together.",
		topic: func(t *Topic) any { return &t.SegmentJitterMs }},
	{Name: "segment.ms", Type: Long, Default: "604800000", rule: atLeast(1), Synonyms: []Synonym{{Name: "log.roll.ms"}, {Name: "log.roll.hours", Times: msPerHour}},
		Doc:   "After how long the next segment is begun even though this one is not full, so that retention can take it.",
		topic: func(t *Topic) any { return &t.SegmentMs }},
	{Name: "unclean.leader.election.enable", Type: Boolean, Default: "false", Synonyms: brokerName("unclean.leader.election.enable"), Ignored: true,
		Doc: "Whether a replica that was behind may lead when no other is left, at the price of lost records."},
}

// MinSegmentBytes is the smallest segment.bytes of Kafka 4 (KIP-1030).
const MinSegmentBytes = 1 << 20

const (
	msPerMinute = 60 * 1000
	msPerHour   = 60 * msPerMinute
)

func brokerName(name string) []Synonym { return []Synonym{{Name: name}} }

var retentionNames = []Synonym{
	{Name: "log.retention.ms"},
	{Name: "log.retention.minutes", Times: msPerMinute},
	{Name: "log.retention.hours", Times: msPerHour},
}
