package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/broker/internal/record"
	"millrace/broker/internal/storage"
	"millrace/broker/internal/vfs"
)

var update = flag.Bool("update", false, "rewrite golden files")

// logFolder writes a small log and returns its folder.
func logFolder(t *testing.T) string {
	t.Helper()
	now := time.UnixMilli(1_700_000_000_000)
	dir := t.TempDir()
	d, err := storage.OpenDir(vfs.OS{}, dir, storage.DirOptions{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	p := storage.Partition{Topic: "orders"}
	c := storage.DefaultLogConfig()
	c.IndexIntervalBytes = 100
	l, err := d.Create(p, storage.TopicID{1}, c)
	if err != nil {
		t.Fatal(err)
	}
	for i, codec := range []record.Compression{record.None, record.Gzip, record.Zstd} {
		b := record.Builder{Compression: codec, Idempotent: true, ProducerID: 7, BaseSequence: int32(2 * i)}
		b.Add(now.UnixMilli(), []byte("customer_123"), []byte("order placed, order placed, order placed"), record.Header{Key: "trace", Value: []byte{1}})
		b.Add(now.UnixMilli()+int64(i), nil, nil)
		batch, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Append(batch, storage.AppendOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for i, id := range []int64{8, 9} { // one transaction is aborted, one stays open
		b := record.Builder{Transactional: true, Idempotent: true, ProducerID: id}
		b.Add(now.UnixMilli(), nil, []byte("in a transaction"))
		batch, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		guard, err := l.BeginVerify(id, 0, 0, true)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Append(batch, storage.AppendOptions{Guard: guard}); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			marker := record.EndTxn(id, 1, now.UnixMilli(), record.Marker{CoordinatorEpoch: 3})
			if _, err := l.Append(marker, storage.AppendOptions{Origin: storage.FromCoordinator, TxnVersion: 2}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, p.String())
}

func TestRun_PrintsFolder(t *testing.T) {
	t.Parallel()
	dir := logFolder(t)
	var out, errOut bytes.Buffer
	if code := run([]string{"-records", dir}, &out, &errOut); code != 0 || errOut.Len() > 0 {
		t.Fatalf("exit %d: %s", code, errOut.String())
	}
	got := strings.ReplaceAll(filepath.ToSlash(out.String()), filepath.ToSlash(dir)+"/", "")
	golden := filepath.Join("testdata", "folder.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("output differs from %s; run with -update and read the diff\n%s", golden, got)
	}
}

func TestRun_ReportsDamage(t *testing.T) {
	t.Parallel()
	dir := logFolder(t)
	file := filepath.Join(dir, "00000000000000000000.log")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[80] ^= 4
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	var out, errOut bytes.Buffer
	if code := run([]string{file}, &out, &errOut); code != 1 || !strings.Contains(errOut.String(), "position 0: checksum") {
		t.Errorf("exit %d: %s", code, errOut.String())
	}
}

func TestRun_Usage(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		code int
	}{{nil, 2}, {[]string{"-nonsense"}, 2}, {[]string{"/no/such/file.log"}, 2}, {[]string{"-h"}, 0}, {[]string{"main.go"}, 1}} {
		var out, errOut bytes.Buffer
		if code := run(test.args, &out, &errOut); code != test.code || errOut.Len() == 0 {
			t.Errorf("%v: exit %d: %s", test.args, code, errOut.String())
		}
	}
}
