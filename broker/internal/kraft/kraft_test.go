package kraft_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"millrace/broker/internal/kraft"
	"millrace/broker/internal/record"
	"millrace/broker/internal/vfs"
)

// fields writes a metadata record, field by field.
type fields []byte

func rec(kind, version byte) fields   { return fields{1, kind, version} }
func (f fields) text(s string) fields { return append(append(f, byte(len(s)+1)), s...) }
func (f fields) null() fields         { return append(f, 0) }
func (f fields) byte(b byte) fields   { return append(f, b) }
func (f fields) id(b byte) fields     { return append(append(f, make([]byte, 15)...), b) }
func (f fields) int32(v int32) fields { return binary.BigEndian.AppendUint32(f, uint32(v)) }
func (f fields) int64(v int64) fields { return binary.BigEndian.AppendUint64(f, uint64(v)) }
func (f fields) list(v ...int32) fields {
	f = append(f, byte(len(v)+1))
	for _, n := range v {
		f = f.int32(n)
	}
	return f
}

func topic(name string, id byte) fields { return rec(2, 0).text(name).id(id).byte(0) }
func partition(index int32, id byte) fields {
	return rec(3, 2).int32(index).id(id).list(1).list(1).list().list().int32(1).int32(4).int32(5).byte(1).id(9).byte(0)
}
func access(id byte, topic string) fields {
	return rec(18, 0).id(id).byte(2).text(topic).byte(3).text("User:alice").text("*").byte(3).byte(2).byte(0)
}
func setting(kind byte, resource, name, value string) fields {
	return rec(4, 0).byte(kind).text(resource).text(name).text(value).byte(0)
}

func limit(kind, name, key string, value float64, remove bool) fields {
	f := rec(14, 1).byte(2).text(kind)
	if name == "" {
		f = f.null()
	} else {
		f = f.text(name)
	}
	f = f.byte(0).text(key).int64(int64(math.Float64bits(value)))
	if remove {
		return f.byte(1).byte(0)
	}
	return f.byte(0).byte(0)
}

// batches puts each list of records into a batch, from an offset on.
func batches(t testing.TB, base int64, lists ...[]fields) []byte {
	t.Helper()
	var out []byte
	for _, list := range lists {
		var b record.Builder
		for _, f := range list {
			b.Add(0, nil, f)
		}
		batch, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		batch.SetBaseOffset(record.Offset(base))
		base += int64(len(list))
		out = append(out, batch...)
	}
	return out
}

// folder has files of the given contents.
func folder(t testing.TB, files map[string][]byte) *vfs.Mem {
	t.Helper()
	m := vfs.NewMem()
	if err := m.MkdirAll("meta"); err != nil {
		t.Fatal(err)
	}
	for name, data := range files {
		f, err := m.Open(filepath.Join("meta", name), os.O_RDWR|os.O_CREATE)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(data, 0); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

const firstSegment = "00000000000000000000.log"

// shown is a state in one line.
func shown(s kraft.State) string {
	var b strings.Builder
	for _, t := range s.Topics {
		fmt.Fprintf(&b, "%s#%d", t.Name, t.ID[15])
		for _, p := range t.Partitions {
			fmt.Fprintf(&b, " %v/%v leader %d epoch %d.%d", p.Replicas, p.ISR, p.Leader, p.LeaderEpoch, p.PartitionEpoch)
		}
		b.WriteString("; ")
	}
	for r, set := range s.Configs {
		for name, value := range set {
			fmt.Fprintf(&b, "%d %s: %s=%s; ", r.Type, r.Name, name, *value)
		}
	}
	for _, q := range s.Quotas {
		for _, p := range q.Entity {
			name := "default"
			if p.Name != nil {
				name = *p.Name
			}
			fmt.Fprintf(&b, "%s %s ", p.Type, name)
		}
		fmt.Fprintf(&b, "%s=%v; ", q.Key, q.Value)
	}
	for key, c := range s.Scram {
		fmt.Fprintf(&b, "%v {%s %s %s %d}; ", key, c.Salt, c.StoredKey, c.ServerKey, c.Iterations)
	}
	for _, rule := range s.ACLs {
		fmt.Fprintf(&b, "%s %s of %s %s to %s\n", rule.Permission, rule.Operation, rule.Type, rule.Name, rule.Principal)
	}
	fmt.Fprintf(&b, "next id %d, without %v", s.NextProducerID, s.LeftOut)
	return b.String()
}

func TestLoad(t *testing.T) {
	t.Parallel()
	orders := []fields{topic("orders", 7), partition(0, 7)}
	const justOrders = "orders#7 [1]/[1] leader 1 epoch 4.5; next id 0, without map[]"
	for name, c := range map[string]struct {
		files map[string][]byte
		want  string
	}{
		"nothing":           {nil, "next id 0, without map[]"},
		"a topic":           {map[string][]byte{firstSegment: batches(t, 0, orders)}, justOrders},
		"in two batches":    {map[string][]byte{firstSegment: batches(t, 0, orders[:1], orders[1:])}, justOrders},
		"in two segments":   {map[string][]byte{firstSegment: batches(t, 0, orders[:1]), "00000000000000000001.log": batches(t, 1, orders[1:])}, justOrders},
		"a torn last batch": {map[string][]byte{firstSegment: append(batches(t, 0, orders), batches(t, 2, []fields{topic("torn", 8)})[:70]...)}, justOrders},
		"deleted": {map[string][]byte{firstSegment: batches(t, 0, orders, []fields{
			setting(2, "orders", "retention.ms", "1"), rec(9, 0).id(7).byte(0),
		})}, "next id 0, without map[]"},
		"settings": {map[string][]byte{firstSegment: batches(t, 0, []fields{
			setting(4, "", "a", "1"), setting(4, "", "a", "2"), setting(4, "", "b", "1"), rec(4, 0).byte(4).text("").text("b").null().byte(0),
		})}, "4 : a=2; next id 0, without map[]"},
		"producer ids": {map[string][]byte{firstSegment: batches(t, 0, []fields{rec(15, 0).int32(1).int64(9).int64(2000).byte(0)})}, "next id 2000, without map[]"},
		"limits of clients": {map[string][]byte{firstSegment: batches(t, 0, []fields{
			limit("user", "bob", "producer_byte_rate", 5, false), limit("user", "", "producer_byte_rate", 6, false),
			limit("user", "bob", "producer_byte_rate", 7, false), limit("user", "", "producer_byte_rate", 0, true),
		})}, "user bob producer_byte_rate=7; next id 0, without map[]"},
		"SCRAM users": {map[string][]byte{firstSegment: batches(t, 0, []fields{
			rec(11, 0).text("bob").byte(1).text("salt").text("stored").text("server").int32(4096).byte(0),
			rec(11, 0).text("bob").byte(2).text("salt").text("stored").text("server").int32(4096).byte(0), rec(22, 0).text("bob").byte(1).byte(0),
		})}, "{bob 2} {salt stored server 4096}; next id 0, without map[]"},
		"ACLs":                           {map[string][]byte{firstSegment: batches(t, 0, []fields{access(1, "orders"), access(2, "gone"), access(3, "other"), rec(19, 0).id(2).byte(0)})}, "DENY READ of TOPIC orders to User:alice\nDENY READ of TOPIC other to User:alice\nnext id 0, without map[]"},
		"delegation tokens are left out": {map[string][]byte{firstSegment: batches(t, 0, []fields{rec(10, 0).byte(0)})}, "next id 0, without map[delegation tokens:1]"},
		"a transaction":                  {map[string][]byte{firstSegment: batches(t, 0, []fields{rec(23, 0).byte(0)}, orders, []fields{rec(24, 0).byte(0)})}, justOrders},
		"an aborted one":                 {map[string][]byte{firstSegment: batches(t, 0, []fields{rec(23, 0).byte(0)}, orders, []fields{rec(25, 0).byte(0)})}, "next id 0, without map[]"},
		"an unfinished one":              {map[string][]byte{firstSegment: batches(t, 0, []fields{rec(23, 0).byte(0)}, orders)}, "next id 0, without map[]"},
		"the leader again":               {map[string][]byte{firstSegment: batches(t, 0, orders, []fields{rec(5, 2).int32(0).id(7).byte(1).byte(1).byte(4).int32(1)})}, "orders#7 [1]/[1] leader 1 epoch 5.6; next id 0, without map[]"},
		"replicas, no leader":            {map[string][]byte{firstSegment: batches(t, 0, orders, []fields{rec(5, 0).int32(0).id(7).byte(2).byte(0).byte(5).list(2).byte(2).byte(9).list(1, 2)})}, "orders#7 [1 2]/[2] leader 1 epoch 4.6; next id 0, without map[]"},
		"a snapshot, and the log after it": {map[string][]byte{
			"00000000000000000000-0000000000.checkpoint": batches(t, 0, []fields{topic("old", 1)}),
			"00000000000000000005-0000000001.checkpoint": batches(t, 0, orders),
			"00000000000000000004.log":                   batches(t, 4, []fields{topic("in the snapshot already", 2), rec(15, 0).int32(1).int64(9).int64(3).byte(0)}),
		}, "orders#7 [1]/[1] leader 1 epoch 4.5; next id 3, without map[]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			state, err := kraft.Load(folder(t, c.files), "meta")
			if err != nil {
				t.Fatal(err)
			}
			if got := shown(state); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestLoad_Refuses(t *testing.T) {
	t.Parallel()
	good := batches(t, 0, []fields{topic("orders", 7), partition(0, 7)})
	flipped := append(append([]byte{}, good...), good...)
	flipped[len(good)-1] ^= 1
	log := func(list ...fields) map[string][]byte { return map[string][]byte{firstSegment: batches(t, 0, list)} }
	for name, c := range map[string]struct {
		files map[string][]byte
		want  error
	}{
		"a flipped bit":                 {map[string][]byte{firstSegment: flipped}, record.ErrCorrupt},
		"a torn snapshot":               {map[string][]byte{"00000000000000000005-0000000001.checkpoint": good[:70]}, record.ErrCorrupt},
		"a log that starts late":        {map[string][]byte{"00000000000000000005.log": batches(t, 5, []fields{topic("orders", 7)})}, record.ErrCorrupt},
		"a newer Kafka":                 {log(rec(2, 1).text("orders").id(7).byte(0)), kraft.ErrBadRecord},
		"another frame":                 {log(fields{2, 2, 0}), kraft.ErrBadRecord},
		"an empty record":               {log(fields{}), kraft.ErrBadRecord},
		"a name longer than its record": {log(rec(2, 0).byte(200)), kraft.ErrBadRecord},
		"a list of 2^32 replicas":       {log(topic("t", 1), append(rec(3, 0).int32(0).id(1), 0xff, 0xff, 0xff, 0xff, 0x0f)), kraft.ErrBadRecord},
		"a partition of no topic":       {log(partition(0, 7)), kraft.ErrBadRecord},
		"a partition in the clouds":     {log(topic("t", 7), partition(1<<30, 7)), kraft.ErrBadRecord},
		"a partition below nothing":     {log(topic("t", 7), partition(-1, 7)), kraft.ErrBadRecord},
		"a gap between partitions":      {log(topic("t", 7), partition(1, 7)), kraft.ErrBadRecord},
		"a topic without partitions":    {log(topic("t", 7)), kraft.ErrBadRecord},
		"a change of nothing":           {log(topic("t", 7), rec(5, 0).int32(0).id(7).byte(0)), kraft.ErrBadRecord},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			state, err := kraft.Load(folder(t, c.files), "meta")
			if !errors.Is(err, c.want) || !reflect.DeepEqual(state, kraft.State{}) {
				t.Errorf("got %v, %v; want %v", state, err, c.want)
			}
		})
	}
}

// Whatever a record holds, it is read or refused, and costs no more than its own size.
func FuzzRecord(f *testing.F) {
	for _, seed := range []fields{topic("orders", 7), partition(0, 7), setting(2, "orders", "a", "b"), rec(23, 0).byte(0)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		state, err := kraft.Load(folder(t, map[string][]byte{firstSegment: batches(t, 0, []fields{topic("t", 7), partition(0, 7), value})}), "meta")
		if err == nil && len(state.Topics) > 2 {
			t.Errorf("one record made %d topics", len(state.Topics)-1)
		}
	})
}
