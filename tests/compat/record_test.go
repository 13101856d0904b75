package compat

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// record is what every client library can say about a Kafka record.
type record struct {
	topic     string
	partition int32
	offset    int64
	key       []byte // nil: a null key
	value     []byte // nil: a null value
	headers   []header
}

type header struct {
	key   string
	value []byte
}

func (r record) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "key=%s value=%s headers=[", nullable(r.key), nullable(r.value))
	for _, h := range r.sortedHeaders() {
		fmt.Fprintf(&b, " %s=%q", h.key, h.value)
	}
	b.WriteString(" ]")
	return b.String()
}

// sortedHeaders leaves out Watermill's own header and puts the others in order: Watermill keeps
// metadata in a map, so it can promise neither.
func (r record) sortedHeaders() []header {
	kept := make([]header, 0, len(r.headers))
	for _, h := range r.headers {
		if h.key != watermillUUID {
			kept = append(kept, h)
		}
	}
	slices.SortFunc(kept, func(a, b header) int { return strings.Compare(a.key, b.key) })
	return kept
}

func nullable(b []byte) string {
	if b == nil {
		return "null"
	}
	return fmt.Sprintf("%q", b)
}

// samples are n records whose values begin with prefix and are all different: some keyed, some with
// null or empty keys, with no header, one, or several, of text and of bytes that are no text.
func samples(prefix string, n int) []record {
	records := make([]record, n)
	for i := range records {
		r := record{value: fmt.Appendf(nil, "%s-%04d %s", prefix, i, bytes.Repeat([]byte("grain "), i%40))}
		switch i % 4 {
		case 0: // null key
		case 1:
			r.key = []byte("customer_123")
		case 2:
			r.key = fmt.Appendf(nil, "khách-hàng-%d", i)
		case 3:
			r.key = []byte{0, 0xff, 0x80, byte(i)}
		}
		if i%3 > 0 {
			r.headers = append(r.headers, header{"trace", fmt.Appendf(nil, "00-%04d-01", i)})
		}
		if i%3 > 1 {
			r.headers = append(r.headers, header{"empty", []byte{}}, header{"bytes", []byte{0xff, 0, 0xfe}})
		}
		records[i] = r
	}
	return records
}

// sameRecords fails unless got holds exactly the records of want, in any order.
func sameRecords(t *testing.T, want, got []record) {
	t.Helper()
	lines := func(records []record) []string {
		out := make([]string, len(records))
		for i, r := range records {
			out[i] = r.String()
		}
		slices.Sort(out)
		return out
	}
	w, g := lines(want), lines(got)
	if slices.Equal(w, g) {
		return
	}
	seen := map[string]int{}
	for _, line := range w {
		seen[line]++
	}
	for _, line := range g {
		seen[line]--
	}
	shown := 0
	for line, n := range seen {
		if n != 0 && shown < 10 {
			shown++
			t.Errorf("%+d × %.300s", -n, line)
		}
	}
	t.Fatalf("read %d records, want %d (− missing, + not expected)", len(got), len(want))
}

// inOrder fails unless each partition's records have growing offsets.
func inOrder(t *testing.T, records []record) {
	t.Helper()
	last := map[int32]int64{}
	for _, r := range records {
		if prev, ok := last[r.partition]; ok && r.offset <= prev {
			t.Fatalf("partition %d: offset %d came after %d", r.partition, r.offset, prev)
		}
		last[r.partition] = r.offset
	}
}
