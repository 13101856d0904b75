// Command logdump prints what is in the files of a log: batches and records of segments, entries of
// indexes, aborted transactions, producers of snapshots.
//
//	logdump [-records] FILE|FOLDER ...
//
// It only reads, so it may look at a running broker's files. It exits with 1 if something is not as it should be,
// with 2 if it was called wrongly.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/broker/internal/record"
	"millrace/broker/internal/storage"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, out, errOut io.Writer) int {
	flags := flag.NewFlagSet("logdump", flag.ContinueOnError)
	flags.SetOutput(errOut)
	withRecords := flags.Bool("records", false, "print each record, decompressed")
	flags.Usage = func() {
		fmt.Fprintln(errOut, "usage: logdump [-records] FILE|FOLDER ...\n\nFILE is a .log, .index, .timeindex, .txnindex or .snapshot; of a FOLDER all of them are printed.")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if flags.NArg() == 0 {
		flags.Usage()
		return 2
	}
	code := 0
	for _, path := range flags.Args() {
		files, err := expand(path)
		if err != nil {
			fmt.Fprintln(errOut, "logdump:", err)
			return 2
		}
		for _, file := range files {
			fmt.Fprintln(out, file)
			if err := dump(out, file, *withRecords); err != nil {
				fmt.Fprintf(errOut, "logdump: %s: %v\n", file, err)
				code = 1
			}
		}
	}
	return code
}

// dumpers prints one kind of file each.
var dumpers = map[string]func(out io.Writer, data []byte, base record.Offset, records bool) error{
	".log":       dumpSegment,
	".index":     dumpIndex,
	".timeindex": dumpTimeIndex,
	".txnindex":  dumpTxnIndex,
	".snapshot":  dumpSnapshot,
}

// expand lists the files of a folder that can be printed; a file is itself.
func expand(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return []string{path}, err
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if dumpers[filepath.Ext(e.Name())] != nil {
			files = append(files, filepath.Join(path, e.Name()))
		}
	}
	return files, nil
}

func dump(out io.Writer, file string, records bool) error {
	suffix := filepath.Ext(file)
	f := dumpers[suffix]
	if f == nil {
		return errors.New("not a .log, .index, .timeindex, .txnindex or .snapshot")
	}
	base, err := storage.SegmentBase(filepath.Base(file), suffix)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return f(out, data, base, records)
}

func dumpSegment(out io.Writer, data []byte, _ record.Offset, records bool) error {
	size := len(data)
	for len(data) > 0 {
		position := size - len(data)
		b, rest, err := record.Next(data)
		if err != nil {
			return fmt.Errorf("position %d: %w", position, err)
		}
		fmt.Fprintf(out, "  offsets %d..%d  position %d  %d bytes  %s\n", b.BaseOffset(), b.LastOffset(), position, b.Size(), describe(b))
		if !b.Intact() {
			return fmt.Errorf("position %d: checksum is %08x, computed %08x", position, b.CRC(), b.Checksum())
		}
		if records {
			if err := dumpRecords(out, b); err != nil {
				return fmt.Errorf("position %d: %w", position, err)
			}
		}
		data = rest
	}
	return nil
}

func describe(b record.Batch) string {
	parts := []string{b.Compression().String(), fmt.Sprintf("leader epoch %d", b.LeaderEpoch())}
	if b.LogAppendTime() {
		parts = append(parts, "appended "+stamp(b.MaxTimestamp()))
	} else {
		parts = append(parts, "created "+stamp(b.MaxTimestamp()))
	}
	if b.ProducerID() >= 0 {
		parts = append(parts, fmt.Sprintf("producer %d epoch %d sequence %d..%d", b.ProducerID(), b.ProducerEpoch(), b.BaseSequence(), b.LastSequence()))
	}
	if b.Transactional() {
		parts = append(parts, "transactional")
	}
	if b.Control() {
		kind := "control"
		if m, ok, err := b.Marker(); err == nil && ok {
			kind = fmt.Sprintf("abort  coordinator epoch %d", m.CoordinatorEpoch)
			if m.Commit {
				kind = fmt.Sprintf("commit  coordinator epoch %d", m.CoordinatorEpoch)
			}
		}
		parts = append(parts, kind)
	}
	return strings.Join(parts, "  ")
}

func dumpRecords(out io.Writer, b record.Batch) error {
	for r, err := range b.Records(record.MaxDecompressed) {
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "    %d  %s  key %s  value %s", r.Offset, stamp(r.Timestamp), quote(r.Key), quote(r.Value))
		for _, h := range r.Headers {
			fmt.Fprintf(out, "  %s=%s", h.Key, quote(h.Value))
		}
		fmt.Fprintln(out)
	}
	return nil
}

func dumpIndex(out io.Writer, data []byte, base record.Offset, _ bool) error {
	for e := range storage.OffsetIndex(data, base) {
		fmt.Fprintf(out, "  offset %d  position %d\n", e.Offset, e.Position)
	}
	return nil
}

func dumpTimeIndex(out io.Writer, data []byte, base record.Offset, _ bool) error {
	for e := range storage.TimeIndex(data, base) {
		fmt.Fprintf(out, "  %s  offset %d\n", stamp(e.Timestamp), e.Offset)
	}
	return nil
}

func dumpTxnIndex(out io.Writer, data []byte, _ record.Offset, _ bool) error {
	for t := range storage.AbortedIndex(data) {
		fmt.Fprintf(out, "  producer %d  aborted %d..%d  stable %d\n", t.ProducerID, t.First, t.Last, t.Stable)
	}
	return nil
}

func dumpSnapshot(out io.Writer, data []byte, _ record.Offset, _ bool) error {
	producers, err := storage.Snapshot(data)
	for p := range slices.Values(producers) {
		fmt.Fprintf(out, "  producer %d  epoch %d  last sequence %d  %s", p.ID, p.Epoch, p.LastSequence, stamp(p.LastTimestamp))
		if p.TxnFirst >= 0 {
			fmt.Fprintf(out, "  transaction open since %d", p.TxnFirst)
		}
		fmt.Fprintln(out)
	}
	return err
}

func stamp(ms int64) string {
	if ms < 0 {
		return "(no time)"
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
}

func quote(b []byte) string {
	if b == nil {
		return "null"
	}
	return strconv.Quote(string(b))
}
