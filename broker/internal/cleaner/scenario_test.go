package cleaner

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"millrace/broker/internal/record"
	"millrace/broker/internal/storytest"
)

// TestScenarios runs the stories in testdata; the README there has the commands.
func TestScenarios(t *testing.T) {
	storytest.Run(t, "testdata", func() func(*testing.T, *datadriven.TestData) string {
		s := &story{producers: map[int64]LastRecord{}, open: map[int64]record.Offset{}, sequence: map[int64]int32{}, epoch: map[int64]int16{}}
		return func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			s.out.Reset()
			for _, line := range storytest.Lines(d) {
				if err := s.run(strings.Fields(line)); err != nil {
					t.Fatalf("%s: %q: %v", d.Pos, strings.TrimSpace(line), err)
				}
			}
			return s.out.String()
		}
	})
}

// story is a log, its producers and a clock.
type story struct {
	log       []record.Batch
	end       record.Offset
	dirty     record.Offset
	now       int64
	producers map[int64]LastRecord
	open      map[int64]record.Offset // first offset of the open transaction
	sequence  map[int64]int32
	epoch     map[int64]int16
	aborted   []AbortedTxn
	out       strings.Builder
}

func (s *story) run(words []string) error {
	if len(words) == 0 {
		return nil
	}
	args := words[1:]
	switch words[0] {
	case "write":
		return s.write(&record.Builder{}, args)
	case "send", "txn":
		id, err := strconv.ParseInt(args[0], 10, 64)
		if err != nil {
			return err
		}
		if _, open := s.open[id]; words[0] == "txn" && !open {
			s.open[id] = s.end
		}
		b := &record.Builder{Idempotent: true, ProducerID: id, ProducerEpoch: s.epoch[id], BaseSequence: s.sequence[id], Transactional: words[0] == "txn"}
		s.sequence[id] += int32(len(args) - 1)
		if err := s.write(b, args[1:]); err != nil {
			return err
		}
		s.producers[id] = LastRecord{Offset: s.end - 1, Epoch: b.ProducerEpoch}
		return nil
	case "commit", "abort":
		id, err := strconv.ParseInt(args[0], 10, 64)
		if err != nil {
			return err
		}
		b := record.EndTxn(id, s.epoch[id], s.now, record.Marker{Commit: words[0] == "commit"})
		if words[0] == "abort" {
			s.aborted = append(s.aborted, AbortedTxn{ProducerID: id, First: s.open[id], Last: s.end, Stable: s.end + 1})
		}
		delete(s.open, id)
		s.append(b)
		return nil
	case "forget":
		id, err := strconv.ParseInt(args[0], 10, 64)
		delete(s.producers, id)
		return err
	case "wait":
		n, err := strconv.ParseInt(args[0], 10, 64)
		s.now += n
		return err
	case "log":
		s.print()
		return nil
	case "clean":
		return s.clean(args)
	}
	return fmt.Errorf("no such command")
}

func (s *story) write(b *record.Builder, pairs []string) error {
	for _, p := range pairs {
		key, value, _ := strings.Cut(p, "=")
		var k, v []byte
		if key != "*" {
			k = []byte(key)
		}
		if value != "-" {
			v = []byte(value)
		}
		b.Add(s.now, k, v)
	}
	batch, err := b.Build()
	if err == nil {
		s.append(batch)
	}
	return err
}

func (s *story) append(b record.Batch) {
	b.SetBaseOffset(s.end)
	s.end = b.NextOffset()
	s.log = append(s.log, b)
}

// clean is one run over the whole log. keys is how many the table has room for, retention is delete.retention.ms.
func (s *story) clean(args []string) error {
	until, keys, retention := s.end, int64(1000), int64(100)
	for _, a := range args {
		name, value, _ := strings.Cut(a, "=")
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return err
		}
		switch name {
		case "until":
			until = record.Offset(n)
		case "keys":
			keys = n
		case "retention":
			retention = n
		default:
			return fmt.Errorf("no such argument")
		}
	}
	m := NewOffsetMap((keys+1)*SlotBytes, 1, 1<<30)
	dirty, all := NewTransactions(), NewTransactions()
	dirty.Add(s.aborted)
	all.Add(s.aborted)
	room := true
	for _, b := range s.log {
		if room && b.LastOffset() >= s.dirty && b.BaseOffset() < until {
			var err error
			if room, err = Note(m, dirty, b, s.dirty); err != nil {
				return err
			}
		}
	}
	if room {
		m.Reached(until - 1)
	}
	f := Filter{Keys: m, Txns: all, Now: s.now, DeleteRetention: retention, Until: until, Producers: s.producers}
	var left []record.Batch
	var kept []AbortedTxn
	for _, b := range s.log {
		if b.BaseOffset() >= until {
			left = append(left, b)
			continue
		}
		out, keep, err := f.Batch(b)
		if err != nil {
			return err
		}
		if keep != nil {
			kept = append(kept, *keep)
		}
		if out != nil {
			if !out.Intact() || out.BaseOffset() != b.BaseOffset() || out.LastOffset() != b.LastOffset() {
				return fmt.Errorf("batch %d-%d became %d-%d, intact %v", b.BaseOffset(), b.LastOffset(), out.BaseOffset(), out.LastOffset(), out.Intact())
			}
			left = append(left, slices.Clone(out))
		}
	}
	for _, a := range s.aborted {
		if a.Last >= until {
			kept = append(kept, a)
		}
	}
	s.log, s.aborted, s.dirty = left, kept, m.Latest()+1
	s.print()
	fmt.Fprintf(&s.out, "clean up to %d\n", s.dirty)
	return nil
}

func (s *story) print() {
	for _, b := range s.log {
		fmt.Fprintf(&s.out, "%d-%d:", b.BaseOffset(), b.LastOffset())
		for r, err := range b.Records(1 << 20) {
			switch {
			case err != nil:
				fmt.Fprintf(&s.out, " %v", err)
			case b.Control():
			case r.Value == nil:
				fmt.Fprintf(&s.out, " %d %s=-", r.Offset, r.Key)
			default:
				fmt.Fprintf(&s.out, " %d %s=%s", r.Offset, r.Key, r.Value)
			}
		}
		if m, ok, _ := b.Marker(); b.Control() && ok {
			fmt.Fprintf(&s.out, " %s", map[bool]string{true: "commit", false: "abort"}[m.Commit])
		}
		if b.Count() == 0 {
			fmt.Fprint(&s.out, " empty")
		}
		if id := b.ProducerID(); id >= 0 {
			fmt.Fprintf(&s.out, " producer=%d", id)
		}
		if b.BaseSequence() >= 0 {
			fmt.Fprintf(&s.out, " seq=%d-%d", b.BaseSequence(), b.LastSequence())
		}
		if ms, set := b.DeleteHorizon(); set {
			fmt.Fprintf(&s.out, " horizon=%d", ms)
		}
		fmt.Fprintln(&s.out)
	}
	for _, a := range s.aborted {
		fmt.Fprintf(&s.out, "aborted: producer %d from %d to %d\n", a.ProducerID, a.First, a.Last)
	}
}
