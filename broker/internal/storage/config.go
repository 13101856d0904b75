package storage

import (
	"math"
	"math/rand/v2"
	"time"

	"millrace/broker/internal/record"
)

// LogConfig are the topic settings that storage obeys. Names in comments are Kafka's.
// Times are milliseconds, as there; -1 is no limit where the comment says so.
type LogConfig struct {
	SegmentBytes         int   // segment.bytes
	SegmentMs            int64 // segment.ms, by record time
	SegmentJitterMs      int64 // segment.jitter.ms: up to how much earlier, at random
	SegmentIndexBytes    int   // segment.index.bytes
	IndexIntervalBytes   int   // index.interval.bytes
	RetentionMs          int64 // retention.ms; -1 keeps for ever
	RetentionBytes       int64 // retention.bytes; -1 keeps any size
	MaxMessageBytes      int   // max.message.bytes
	LogAppendTime        bool  // message.timestamp.type=LogAppendTime
	Recompress           bool  // compression.type is not producer: Codec is what clients' batches are stored in
	Codec                record.Codec
	TimestampBeforeMaxMs int64 // message.timestamp.before.max.ms
	TimestampAfterMaxMs  int64 // message.timestamp.after.max.ms
	FileDeleteDelayMs    int64 // file.delete.delay.ms; 0 removes the files of a segment at once
	Delete, Compact      bool  // cleanup.policy; Compact also asks each record for a key

	// Of logs that are compacted.
	MinCleanableRatio float64 // min.cleanable.dirty.ratio
	MinCompactionLag  int64   // min.compaction.lag.ms
	MaxCompactionLag  int64   // max.compaction.lag.ms
	DeleteRetentionMs int64   // delete.retention.ms

	// FlushMessages 1 (the default here, not in Kafka) acknowledges only what is on disk.
	// With more, a record counts as acknowledged when the operating system has it, and
	// the disk is asked every so many records.
	FlushMessages int64 // flush.messages
	FlushMs       int64 // flush.ms, only with FlushMessages > 1
}

// rollMs is how long a segment is written to, before its jitter is taken off: what waits for compaction must not wait
// for a segment to be full (Kafka's LogConfig.maxSegmentMs).
func (c *LogConfig) rollMs() int64 {
	if c.Compact && c.MaxCompactionLag > 0 {
		return min(c.SegmentMs, c.MaxCompactionLag)
	}
	return c.SegmentMs
}

// jitter is by how much earlier than rollMs a new segment is full (Kafka's LogConfig.randomSegmentJitter).
func (c *LogConfig) jitter() int64 {
	if limit := min(c.SegmentJitterMs, c.SegmentMs); limit > 0 {
		return rand.Int64N(limit)
	}
	return 0
}

// DefaultLogConfig returns Kafka's defaults, except that acknowledged means on disk.
func DefaultLogConfig() LogConfig {
	return LogConfig{
		SegmentBytes:         1 << 30,
		SegmentMs:            (7 * 24 * time.Hour).Milliseconds(),
		SegmentIndexBytes:    10 << 20,
		IndexIntervalBytes:   4096,
		RetentionMs:          (7 * 24 * time.Hour).Milliseconds(),
		RetentionBytes:       -1,
		MaxMessageBytes:      1<<20 + 12,
		TimestampBeforeMaxMs: math.MaxInt64,
		TimestampAfterMaxMs:  time.Hour.Milliseconds(),
		Delete:               true,
		MinCleanableRatio:    0.5,
		MaxCompactionLag:     math.MaxInt64,
		DeleteRetentionMs:    (24 * time.Hour).Milliseconds(),
		FlushMessages:        1,
		FlushMs:              math.MaxInt64,
	}
}
