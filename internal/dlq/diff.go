package dlq

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Change is one difference between two messages. Its JSON form is stable.
type Change struct {
	// Path names the field, as items[0].quantity; empty: the message as a whole.
	Path string `json:"path"`
	// Old and New are JSON as it stands there, shortened; absent: the field is not there.
	Old *string `json:"old,omitempty"`
	New *string `json:"new,omitempty"`
}

// Bounds of a comparison.
const (
	maxChanges    = 500
	maxChangeText = 300
)

// Compare tells in what two messages differ: field by field where both are JSON, else by
// the first byte that is another. left counts changes past the first 500.
func Compare(old, changed []byte) (changes []Change, left int) {
	if bytes.Equal(old, changed) {
		return nil, 0
	}
	a, errA := parseJSON(old)
	b, errB := parseJSON(changed)
	if errA != nil || errB != nil {
		return []Change{compareBytes(old, changed)}, 0
	}
	d := differ{}
	d.compare("", a, b)
	if d.changes == nil {
		was, is := strconv.Itoa(len(old))+" bytes", strconv.Itoa(len(changed))+" bytes, the same but for white space or spelling"
		return []Change{{Old: &was, New: &is}}, 0
	}
	return d.changes, d.left
}

type differ struct {
	changes []Change
	left    int
}

func (d *differ) add(path string, old, changed *node) {
	if len(d.changes) == maxChanges {
		d.left++
		return
	}
	c := Change{Path: path}
	if old != nil {
		text := Shorten(string(old.appendTo(nil)), maxChangeText)
		c.Old = &text
	}
	if changed != nil {
		text := Shorten(string(changed.appendTo(nil)), maxChangeText)
		c.New = &text
	}
	d.changes = append(d.changes, c)
}

func (d *differ) compare(path string, a, b *node) {
	switch {
	case a.kind != b.kind:
		d.add(path, a, b)
	case a.kind == '{':
		for i, name := range a.keys {
			if slices.Contains(a.keys[:i], name) {
				continue // a field that is there twice is compared once
			}
			at := join(path, name)
			if other := b.field(name); other == nil {
				d.add(at, a.field(name), nil)
			} else {
				d.compare(at, a.field(name), other)
			}
		}
		for i, name := range b.keys {
			if a.field(name) == nil && !slices.Contains(b.keys[:i], name) {
				d.add(join(path, name), nil, b.field(name))
			}
		}
	case a.kind == '[':
		for i := range max(len(a.values), len(b.values)) {
			at := path + "[" + strconv.Itoa(i) + "]"
			switch {
			case i >= len(a.values):
				d.add(at, nil, b.values[i])
			case i >= len(b.values):
				d.add(at, a.values[i], nil)
			default:
				d.compare(at, a.values[i], b.values[i])
			}
		}
	case !bytes.Equal(a.raw, b.raw):
		d.add(path, a, b)
	}
}

// compareBytes shows where two payloads begin to differ.
func compareBytes(old, changed []byte) Change {
	at := 0
	for at < len(old) && at < len(changed) && old[at] == changed[at] {
		at++
	}
	excerpt := func(b []byte) *string {
		const before, after = 20, 60
		from, to := max(0, at-before), min(len(b), at+after)
		part := b[min(from, len(b)):to]
		text := fmt.Sprintf("%d bytes, from byte %d on: ", len(b), min(from, len(b)))
		if utf8.Valid(b) {
			text += strconv.Quote(string(part))
		} else {
			text += fmt.Sprintf("% x", part)
		}
		return &text
	}
	return Change{Old: excerpt(old), New: excerpt(changed)}
}

// Difference is what [Client.Diff] finds. Its JSON form is stable.
type Difference struct {
	Letter string `json:"letter"`
	// Against is edit, or original_place when there is no edit.
	Against string `json:"against"`
	// Place is where the original record lay, TOPIC/PARTITION/OFFSET.
	Place string `json:"place,omitempty"`
	// Gone says why there is nothing at the original place.
	Gone string `json:"gone,omitempty"`
	// Differs names what of the record beside its value is another: key, timestamp. Then
	// it is another message.
	Differs []string `json:"differs,omitempty"`
	// Same tells that there is nothing to tell.
	Same    bool     `json:"same"`
	Changes []Change `json:"changes"`
	// Left counts the changes that are not listed.
	Left int `json:"changes_left_out,omitempty"`
}

// Diff compares the message of a letter with its edit, or where there is none with the
// record that lies at the original place.
func (c *Client) Diff(ctx context.Context, f Found) (Difference, error) {
	d := Difference{Letter: f.Letter.ID.String(), Changes: []Change{}}
	if f.Letter.Problem != nil {
		return d, notInForm(f.Letter)
	}
	var old, changed []byte
	if f.State.Edit != none {
		d.Against = "edit"
		o, err := c.original(ctx, f.Letter)
		if err != nil {
			return d, err
		}
		old = o.value
		if changed, err = c.edited(ctx, f.Letter, f.State); err != nil {
			return d, err
		}
	} else {
		d.Against, d.Place = "original_place", f.Letter.place()
		place, err := c.place(ctx, f.Letter)
		if err != nil {
			return d, err
		}
		if place.Record == nil {
			d.Gone = place.Gone
			return d, nil
		}
		d.Differs = place.Differs
		old, changed = f.Letter.Dead.OriginalMessage, place.Record.Value
		if old == nil && f.Letter.Dead.Omitted {
			d.Same = len(place.Differs) == 0 // the letter has no message to compare
			return d, nil
		}
	}
	changes, left := Compare(old, changed)
	d.Changes, d.Left = append(d.Changes, changes...), left
	d.Same = len(changes) == 0 && len(d.Differs) == 0
	return d, nil
}
