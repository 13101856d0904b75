package replay

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// From is where a replay starts. The zero value is the beginning.
type From struct {
	// Time is the moment from which the state may be missing something.
	Time time.Time
	// Each is the offset in every partition of the group's topics; nil: see Offsets.
	Each *int64
	// Offsets are given for single partitions; the others are read from their beginning.
	Offsets []Position
}

// Position is a place in the log. An empty topic means all topics of the group.
type Position struct {
	Topic     string
	Partition int32
	Offset    int64
}

const fromForms = "beginning, a time as 2026-11-27T08:15:00Z, an offset as 120, or offsets of partitions as 0:120,1:98 or orders/0:120,orders/1:98"

// maxPositions bounds a list of offsets.
const maxPositions = 1000

// ParseFrom reads what --from takes.
func ParseFrom(text string) (From, error) {
	wrong := func(why string) error {
		if len(text) > 80 {
			text = text[:80] + "…"
		}
		return fmt.Errorf("start %q %s; allowed: %s", text, why, fromForms)
	}
	if text == "beginning" {
		return From{}, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		if t.Unix() <= 0 || t.Year() > 9999 {
			return From{}, wrong("lies outside of the years 1970 to 9999")
		}
		return From{Time: t.UTC()}, nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		if n < 0 {
			return From{}, wrong("is negative")
		}
		return From{Each: &n}, nil
	}
	if strings.Count(text, ",") >= maxPositions {
		return From{}, wrong("has more than " + strconv.Itoa(maxPositions) + " offsets")
	}
	var from From
	for part := range strings.SplitSeq(text, ",") {
		place, offset, ok := strings.Cut(part, ":")
		topic, partition := "", place
		if i := strings.LastIndexByte(place, '/'); i >= 0 {
			topic, partition = place[:i], place[i+1:]
		}
		p, err := strconv.ParseInt(partition, 10, 32)
		n, offsetErr := strconv.ParseInt(offset, 10, 64)
		if !ok || err != nil || offsetErr != nil || p < 0 || n < 0 || topic == "" && strings.Contains(place, "/") {
			return From{}, wrong("is none of the forms")
		}
		position := Position{Topic: topic, Partition: int32(p), Offset: n}
		if slices.ContainsFunc(from.Offsets, func(o Position) bool { return o.Topic == topic && o.Partition == position.Partition }) {
			return From{}, wrong("names a partition twice")
		}
		from.Offsets = append(from.Offsets, position)
	}
	return from, nil
}

// String returns the form that ParseFrom reads.
func (f From) String() string {
	switch {
	case !f.Time.IsZero():
		return f.Time.UTC().Format(time.RFC3339Nano)
	case f.Each != nil:
		return strconv.FormatInt(*f.Each, 10)
	case len(f.Offsets) > 0:
		parts := make([]string, len(f.Offsets))
		for i, o := range f.Offsets {
			parts[i] = fmt.Sprintf("%d:%d", o.Partition, o.Offset)
			if o.Topic != "" {
				parts[i] = o.Topic + "/" + parts[i]
			}
		}
		return strings.Join(parts, ",")
	default:
		return "beginning"
	}
}

// of returns the offset that was given for a partition.
func (f From) of(topic string, partition int32) (offset int64, ok bool) {
	if f.Each != nil {
		return *f.Each, true
	}
	for _, o := range f.Offsets {
		if (o.Topic == "" || o.Topic == topic) && o.Partition == partition {
			return o.Offset, true
		}
	}
	return 0, false
}
