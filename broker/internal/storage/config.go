package storage

import (
	"math"
	"time"
)

// LogConfig are the topic settings that storage obeys. Names in comments are Kafka's.
// Times are milliseconds, as there; -1 is no limit where the comment says so.
type LogConfig struct {
	SegmentBytes         int   // segment.bytes
	SegmentMs            int64 // segment.ms, by record time
	SegmentIndexBytes    int   // segment.index.bytes
	IndexIntervalBytes   int   // index.interval.bytes
	RetentionMs          int64 // retention.ms; -1 keeps for ever
	RetentionBytes       int64 // retention.bytes; -1 keeps any size
	MaxMessageBytes      int   // max.message.bytes
	LogAppendTime        bool  // message.timestamp.type=LogAppendTime
	TimestampBeforeMaxMs int64 // message.timestamp.before.max.ms
	TimestampAfterMaxMs  int64 // message.timestamp.after.max.ms
	Delete, Compact      bool  // cleanup.policy; Compact also asks each record for a key

	// FlushMessages 1 (the default here, not in Kafka) acknowledges only what is on disk.
	// With more, a record counts as acknowledged when the operating system has it, and
	// the disk is asked every so many records.
	FlushMessages int64 // flush.messages
	FlushMs       int64 // flush.ms, only with FlushMessages > 1
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
		FlushMessages:        1,
		FlushMs:              math.MaxInt64,
	}
}
