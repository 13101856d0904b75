package storage

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"millrace/broker/internal/record"
	"millrace/broker/internal/vfs"
)

// TestKafka_DumpLogReadsOurFiles lets Apache Kafka's own tool read what we write. It needs java and the path of a
// script that runs Kafka's tools by name: kafka-tool.sh kafka-dump-log --files ...
func TestKafka_DumpLogReadsOurFiles(t *testing.T) {
	t.Parallel()
	tool := kafkaTool(t)
	dir := filepath.Join(t.TempDir(), "data")
	o := testOptions()
	d, err := OpenDir(vfs.OS{}, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	c := DefaultLogConfig()
	c.SegmentBytes = 40_000
	l, err := d.Create(orders, topicID, c)
	if err != nil {
		t.Fatal(err)
	}
	codecs := []record.Compression{record.None, record.Gzip, record.Snappy, record.LZ4, record.Zstd}
	seq := int32(0)
	for i := range 600 {
		n := i%7 + 1
		b := batch(t, i, n, epoch0.UnixMilli()+int64(i*10), producer1(3, seq), func(b *record.Builder) { b.Compression = codecs[i%len(codecs)] })
		seq += int32(n)
		info, err := l.Append(b, AppendOptions{LeaderEpoch: record.Epoch(i / 200)})
		if err != nil {
			t.Fatal(err)
		}
		if i%100 == 0 {
			if err := l.WaitSynced(context.Background(), info.Last+1); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	files := func(suffix string) string {
		list, err := filepath.Glob(filepath.Join(dir, orders.String(), "*"+suffix))
		if err != nil || len(list) < 2 {
			t.Fatalf("files %s: %v, %v", suffix, list, err)
		}
		return strings.Join(list, ",")
	}
	out := tool("--files", files(".log"), "--print-data-log", "--deep-iteration")
	if got := strings.Count(out, "| offset: "); got != int(l.EndOffset()) {
		t.Errorf("kafka-dump-log sees %d records, want %d", got, l.EndOffset())
	}
	if got := strings.Count(out, "isvalid: true"); got != 600 {
		t.Errorf("kafka-dump-log finds %d valid batches, want 600", got)
	}
	for _, want := range []string{"compresscodec: zstd", "partitionLeaderEpoch: 2", "producerId: 1 producerEpoch: 3", "payload: value 0 of batch 599"} {
		if !strings.Contains(out, want) {
			t.Errorf("kafka-dump-log does not show %q", want)
		}
	}
	out = tool("--files", files(".index"), "--index-sanity-check")
	if strings.Count(out, "passed sanity check") != strings.Count(files(".index"), ",")+1 {
		t.Errorf("offset indexes: %s", out)
	}
	// Without --index-sanity-check every entry is compared with the log; mismatches are printed.
	out = tool("--files", files(".index")+","+files(".timeindex"))
	for _, bad := range []string{"Mismatches", "Found", "out of order", "not found", "rror"} {
		if strings.Contains(out, bad) {
			t.Errorf("indexes: %s", out)
		}
	}
	if !strings.Contains(out, "timestamp: ") || !strings.Contains(out, "position: ") {
		t.Errorf("indexes are empty: %s", out)
	}
	out = tool("--files", files(".snapshot"))
	if !strings.Contains(out, "producerId: 1 producerEpoch: 3") {
		t.Errorf("snapshots: %s", out)
	}
}

// The same for what transactions leave: markers, the index of aborted ones, open ones in snapshots.
func TestKafka_DumpLogReadsTransactions(t *testing.T) {
	t.Parallel()
	tool := kafkaTool(t)
	dir := filepath.Join(t.TempDir(), "data")
	d, err := OpenDir(vfs.OS{}, dir, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	c := DefaultLogConfig()
	c.SegmentBytes = 2000
	l, err := d.Create(orders, topicID, c)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, dir: d}
	var aborted []string
	for i := range 30 {
		info, err := f.sendTxn(l, 7, int16(i), 0, 2)
		if err != nil {
			t.Fatal(err)
		}
		end, err := f.mark(l, 7, int16(i+1), i%3 != 0)
		if err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 {
			aborted = append(aborted, fmt.Sprintf("version: 0 producerId: 7 firstOffset: %d lastOffset: %d lastStableOffset: %d", info.First, end.First, end.First+1))
		}
	}
	open, err := f.sendTxn(l, 8, 0, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	files := func(suffix string) string {
		list, err := filepath.Glob(filepath.Join(dir, orders.String(), "*"+suffix))
		if err != nil || len(list) < 2 {
			t.Fatalf("files %s: %v, %v", suffix, list, err)
		}
		return strings.Join(list, ",")
	}
	out := tool("--files", files(txnIndexSuffix))
	for _, want := range aborted {
		if !strings.Contains(out, want) {
			t.Errorf("aborted transactions do not show %q: %s", want, out)
		}
	}
	if got := strings.Count(out, "producerId: "); got != len(aborted) {
		t.Errorf("kafka-dump-log sees %d aborted transactions, want %d", got, len(aborted))
	}
	out = tool("--files", files(logSuffix), "--print-data-log")
	if commits, aborts := strings.Count(out, "endTxnMarker: COMMIT"), strings.Count(out, "endTxnMarker: ABORT"); commits != 20 || aborts != 10 || strings.Contains(out, "isvalid: false") {
		t.Errorf("%d commits, %d aborts: %s", commits, aborts, out)
	}
	out = tool("--files", files(snapshotSuffix))
	if want := fmt.Sprintf("currentTxnFirstOffset: OptionalLong[%d]", open.First); !strings.Contains(out, want) {
		t.Errorf("snapshots do not show %q: %s", want, out)
	}
}

// The same for segments that were cleaned: batches with gaps, empty ones, delete horizons, and their indexes.
func TestKafka_DumpLogReadsCleanedSegments(t *testing.T) {
	t.Parallel()
	tool := kafkaTool(t)
	dir := filepath.Join(t.TempDir(), "data")
	d, err := OpenDir(vfs.OS{}, dir, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	c := DefaultLogConfig()
	c.SegmentBytes, c.IndexIntervalBytes, c.Delete, c.Compact, c.MinCleanableRatio = 2000, 200, false, true, 0
	l, err := d.Create(orders, topicID, c)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, dir: d}
	// Older than the rest: an emptied batch with the largest timestamp gets the time index entry, in Kafka's files too, and the
	// tool, which looks for a record, calls that a mismatch.
	f.append(l, batch(t, 1, 3, epoch0.UnixMilli()-1000, producer1(0, 0)))
	for _, commit := range []bool{true, false} {
		if _, err := f.sendTxn(l, 7, map[bool]int16{true: 0, false: 1}[commit], 0, 2); err != nil {
			t.Fatal(err)
		}
		if _, err := f.mark(l, 7, map[bool]int16{true: 1, false: 2}[commit], commit); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 120 {
		f.put(l, fmt.Sprintf("k%d=v%d", i%9, i), fmt.Sprintf("k1=v%d", i), fmt.Sprintf("d%d=-", i%20))
	}
	if f.clean() == 0 {
		t.Fatal("nothing was cleaned")
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	files := func(suffix string) string {
		list, err := filepath.Glob(filepath.Join(dir, orders.String(), "*"+suffix))
		if err != nil || len(list) < 2 {
			t.Fatalf("files %s: %v, %v", suffix, list, err)
		}
		return strings.Join(list, ",")
	}
	out := tool("--files", files(logSuffix), "--print-data-log", "--deep-iteration")
	if strings.Contains(out, "isvalid: false") || !strings.Contains(out, "deleteHorizonMs: OptionalLong[") || !strings.Contains(out, "count: 0 ") {
		t.Errorf("logs: %s", out)
	}
	out = tool("--files", files(offsetIndexSuffix)+","+files(timeIndexSuffix))
	for _, bad := range []string{"Mismatches", "Found", "out of order", "not found", "rror"} {
		if strings.Contains(out, bad) {
			t.Errorf("indexes: %s", out)
		}
	}
}

// kafkaTool returns a function that runs kafka-dump-log. Without Kafka the test is skipped, or fails where peers are required.
func kafkaTool(t *testing.T) func(args ...string) string {
	t.Helper()
	script := os.Getenv("MILLRACE_KAFKA_TOOL")
	_, noJava := exec.LookPath("java")
	if script == "" || noJava != nil {
		const why = "needs java and MILLRACE_KAFKA_TOOL, the path of a script that runs Kafka's tools"
		if os.Getenv("MILLRACE_REQUIRE_PEERS") == "1" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	return func(args ...string) string {
		t.Helper()
		out, err := exec.Command(script, slices.Concat([]string{"kafka-dump-log"}, args)...).CombinedOutput()
		if err != nil {
			t.Fatalf("kafka-dump-log %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
}
