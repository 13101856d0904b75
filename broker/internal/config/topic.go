package config

// Topic holds the settings of one topic, resolved through all layers. Fields
// carry Kafka's names; the unit is in the name. It is read-only once made.
type Topic struct {
	CleanupPolicy []string // delete, compact, both or none

	MaxMessageBytes   int32 // a batch larger than this is refused
	MinInsyncReplicas int32

	RetentionMs    int64 // -1: forever
	RetentionBytes int64 // of one partition; -1: no limit

	SegmentBytes       int32
	SegmentMs          int64
	SegmentJitterMs    int64 // up to how much earlier, at random
	SegmentIndexBytes  int32
	IndexIntervalBytes int32

	FlushMessages int64 // fsync before the ack of every n-th record; 1: of every record
	FlushMs       int64

	MessageTimestampType        string // CreateTime or LogAppendTime
	MessageTimestampBeforeMaxMs int64
	MessageTimestampAfterMaxMs  int64

	CompressionType      string // producer, uncompressed, gzip, snappy, lz4, zstd
	CompressionGzipLevel int32
	CompressionLz4Level  int32
	CompressionZstdLevel int32

	MinCompactionLagMs     int64
	MaxCompactionLagMs     int64
	MinCleanableDirtyRatio float64
	DeleteRetentionMs      int64 // of tombstones
	FileDeleteDelayMs      int64

	internalSegmentBytes int32
}

// Compact reports whether old values of a key are cleaned away, which is why
// records without a key are refused.
func (t *Topic) Compact() bool { return contains(t.CleanupPolicy, "compact") }

// Delete reports whether segments past their retention are deleted.
func (t *Topic) Delete() bool { return contains(t.CleanupPolicy, "delete") }

// LogAppendTime reports whether the broker stamps records with its own clock.
func (t *Topic) LogAppendTime() bool { return t.MessageTimestampType == "LogAppendTime" }

// Codec is how the broker compresses what it stores.
type Codec struct {
	Name  string
	Level int // by the codec's own numbers; 0 where it has none
}

// Codec reports in which codec the broker stores batches, and whether it does: otherwise they stay as the
// producer made them.
func (t *Topic) Codec() (c Codec, compresses bool) {
	c.Name = t.CompressionType
	switch c.Name {
	case "gzip":
		c.Level = int(t.CompressionGzipLevel)
	case "lz4":
		c.Level = int(t.CompressionLz4Level)
	case "zstd":
		c.Level = int(t.CompressionZstdLevel)
	}
	return c, c.Name != "producer" && c.Name != ""
}

func contains(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}
