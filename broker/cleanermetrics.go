package broker

import (
	"github.com/prometheus/client_golang/prometheus"

	"millrace/broker/internal/storage"
)

// cleanerCollector tells what log compaction has done. Kafka has the same under kafka.log:type=LogCleaner and
// LogCleanerManager.
type cleanerCollector struct{ stats func() storage.CleanerStats }

// cleanerMetrics are the values of a scrape, in order.
var cleanerMetrics = []struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(storage.CleanerStats) float64
}{
	{cleanerDesc("runs_total", "Runs of the cleaner over a log."), prometheus.CounterValue,
		func(s storage.CleanerStats) float64 { return float64(s.Runs) }},
	{cleanerDesc("failures_total", "Runs that failed."), prometheus.CounterValue,
		func(s storage.CleanerStats) float64 { return float64(s.Failures) }},
	{cleanerDesc("read_bytes_total", "Bytes of record batches that the cleaner has read."), prometheus.CounterValue,
		func(s storage.CleanerStats) float64 { return float64(s.BytesRead) }},
	{cleanerDesc("written_bytes_total", "Bytes of record batches that the cleaner has written."), prometheus.CounterValue,
		func(s storage.CleanerStats) float64 { return float64(s.BytesWritten) }},
	{cleanerDesc("read_records_total", "Records in the segments that were cleaned."), prometheus.CounterValue,
		func(s storage.CleanerStats) float64 { return float64(s.RecordsRead) }},
	{cleanerDesc("kept_records_total", "Records of them that stayed."), prometheus.CounterValue,
		func(s storage.CleanerStats) float64 { return float64(s.RecordsKept) }},
	{cleanerDesc("keyless_records_total", "Records that were dropped because they had no key."), prometheus.CounterValue,
		func(s storage.CleanerStats) float64 { return float64(s.WithoutKey) }},
	{cleanerDesc("last_run_timestamp_seconds", "When the last run ended; 0 if there was none."), prometheus.GaugeValue,
		func(s storage.CleanerStats) float64 {
			if s.LastRun.IsZero() {
				return 0
			}
			return float64(s.LastRun.UnixMilli()) / 1000
		}},
	{cleanerDesc("last_run_duration_seconds", "How long it took."), prometheus.GaugeValue,
		func(s storage.CleanerStats) float64 { return s.LastDuration.Seconds() }},
	{cleanerDesc("buffer_utilization_ratio", "How full the table of keys was then, 0 to 1."), prometheus.GaugeValue,
		func(s storage.CleanerStats) float64 { return s.BufferUtilization }},
	{cleanerDesc("max_dirty_ratio", "The largest dirty part of a compacted log, 0 to 1."), prometheus.GaugeValue,
		func(s storage.CleanerStats) float64 { return s.MaxDirtyRatio }},
	{cleanerDesc("max_compaction_delay_seconds", "By how much a log has waited longer than max.compaction.lag.ms, at most."), prometheus.GaugeValue,
		func(s storage.CleanerStats) float64 { return s.MaxCompactionDelay.Seconds() }},
	{cleanerDesc("uncleanable_partitions", "Partitions that are not cleaned any more because of damage."), prometheus.GaugeValue,
		func(s storage.CleanerStats) float64 { return float64(s.Uncleanable) }},
	{cleanerDesc("uncleanable_bytes", "Size of their logs."), prometheus.GaugeValue,
		func(s storage.CleanerStats) float64 { return float64(s.UncleanableBytes) }},
}

func cleanerDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("millrace_broker_cleaner_"+name, help, nil, nil)
}

// Describe implements prometheus.Collector.
func (cleanerCollector) Describe(c chan<- *prometheus.Desc) {
	for _, m := range cleanerMetrics {
		c <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (k cleanerCollector) Collect(c chan<- prometheus.Metric) {
	s := k.stats()
	for _, m := range cleanerMetrics {
		c <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(s))
	}
}
