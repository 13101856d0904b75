package txncoordinator

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"millrace/broker/internal/statelog"
	"millrace/broker/internal/txn"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var noon = time.UnixMilli(1_700_000_000_000)

var examples = []struct {
	name string
	m    *txn.Metadata
}{
	{"a new id", &txn.Metadata{
		ProducerID: 7, PrevProducerID: 7, NextProducerID: -1, LastEpoch: -1, Timeout: time.Minute, Updated: noon}},
	{"ongoing", &txn.Metadata{
		ProducerID: 7, PrevProducerID: 7, NextProducerID: -1, Epoch: 3, LastEpoch: -1, Timeout: time.Minute, State: txn.Ongoing, Version: 2,
		Started: noon, Updated: noon.Add(time.Second), Partitions: []txn.TopicPartition{{Topic: "orders"}, {Topic: "orders", Partition: 2}, {Topic: "payments", Partition: 1}}}},
	{"decided, and out of epochs", &txn.Metadata{
		ProducerID: 7, PrevProducerID: 7, NextProducerID: 8, Epoch: 32767, LastEpoch: -1, Timeout: time.Minute, State: txn.PrepareCommit, Version: 2,
		Started: noon, Updated: noon.Add(time.Second), Partitions: []txn.TopicPartition{{Topic: "orders"}}}},
	{"complete", &txn.Metadata{
		ProducerID: 8, PrevProducerID: 7, NextProducerID: -1, LastEpoch: -1, Timeout: time.Minute, State: txn.CompleteCommit, Version: 2,
		Started: noon, Updated: noon.Add(time.Second)}},
	{"tombstone", nil},
}

// The bytes are Kafka's: kafka-dump-log --transaction-log-decoder reads them. A change of the
// golden file is a change of what is on people's disks.
func TestCodec_Golden(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	for _, e := range examples {
		r := encode("shop", e.m)
		fmt.Fprintf(&out, "# %s\nkey   %s\n", e.name, hex.EncodeToString(r.Key))
		if r.Value == nil {
			out.WriteString("value null\n\n")
		} else {
			fmt.Fprintf(&out, "value %s\n\n", hex.EncodeToString(r.Value))
		}
	}
	const golden = "testdata/records.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestCodec_RoundTrip(t *testing.T) {
	t.Parallel()
	for _, e := range examples {
		id, m, known, err := decode(encode("shop", e.m))
		if id != "shop" || !known || err != nil || !reflect.DeepEqual(m, e.m) {
			t.Errorf("%s: %q %+v %t %v", e.name, id, m, known, err)
		}
	}
}

// A record of a broker before KIP-890: value version 0 has no tags.
func TestCodec_OldVersion(t *testing.T) {
	t.Parallel()
	value := "0000" + "0000000000000007" + "0003" + "0000ea60" + "01" + "00000001" + "0006" + hex.EncodeToString([]byte("orders")) + "00000001" + "00000002" +
		"0000018bcfe56be8" + "0000018bcfe56800"
	raw, err := hex.DecodeString(value)
	if err != nil {
		t.Fatal(err)
	}
	_, m, known, err := decode(statelog.Record{Key: encode("shop", nil).Key, Value: raw})
	want := &txn.Metadata{
		ProducerID: 7, PrevProducerID: -1, NextProducerID: -1, Epoch: 3, LastEpoch: -1, Timeout: time.Minute, State: txn.Ongoing,
		Started: noon, Updated: noon.Add(time.Second + 0), Partitions: []txn.TopicPartition{{Topic: "orders", Partition: 2}},
	}
	if !known || err != nil || !reflect.DeepEqual(m, want) {
		t.Errorf("%+v %t %v, want %+v", m, known, err, want)
	}
}

// Records of versions that are not known are left alone; damaged ones of known versions are not served.
func TestCodec_Foreign(t *testing.T) {
	t.Parallel()
	good := encode("shop", examples[1].m)
	change := func(b []byte, at int, v byte) []byte {
		out := append([]byte(nil), b...)
		out[at] = v
		return out
	}
	for _, test := range []struct {
		name  string
		r     statelog.Record
		known bool
		bad   bool
	}{
		{"another key version", statelog.Record{Key: change(good.Key, 1, 9), Value: good.Value}, false, false},
		{"another value version", statelog.Record{Key: good.Key, Value: change(good.Value, 1, 9)}, false, false},
		{"no key", statelog.Record{Value: good.Value}, false, true},
		{"half a key", statelog.Record{Key: good.Key[:4], Value: good.Value}, false, true},
		{"an empty value", statelog.Record{Key: good.Key, Value: []byte{}}, false, true},
		{"half a value", statelog.Record{Key: good.Key, Value: good.Value[:20]}, false, true},
		{"a state that is none", statelog.Record{Key: good.Key, Value: change(good.Value, 16, 77)}, false, true},
		{"a negative producer id", statelog.Record{Key: good.Key, Value: change(good.Value, 2, 0x80)}, false, true},
	} {
		_, _, known, err := decode(test.r)
		if known != test.known || (err != nil) != test.bad {
			t.Errorf("%s: known %t, %v", test.name, known, err)
		}
	}
}

// FuzzDecode: whatever the record, no crash; what was accepted comes to life, and is written and read the same.
func FuzzDecode(f *testing.F) {
	for _, e := range examples {
		r := encode("shop", e.m)
		f.Add(r.Key, r.Value)
	}
	f.Add([]byte{0}, []byte(nil))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		id, m, known, err := decode(statelog.Record{Key: key, Value: value})
		if err != nil || !known || m == nil {
			return
		}
		cfg := txn.DefaultConfig()
		tx, effects := txn.Restore(&cfg, noon, *m)
		for _, e := range effects {
			if p, ok := e.(txn.Persist); ok {
				tx.Step(noon, txn.Persisted{Seq: p.Seq})
			}
		}
		tx.Step(noon.Add(time.Hour), txn.Tick{})
		again, m2, _, err := decode(encode(id, m))
		if err != nil || again != id || !reflect.DeepEqual(m, m2) {
			t.Fatalf("%+v comes back as %+v, %v", m, m2, err)
		}
	})
}
