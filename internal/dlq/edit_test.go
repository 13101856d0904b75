package dlq

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

const orderJSON = `{"event_type":"ORDER_CREATED","order_id":"k","customer_id":"c","items":[{"product_id":"p","quantity":2}],"total":25.00,"timestamp":"2026-11-27T08:00:00Z"}`

func TestSetPaths(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ message, changes, want string }{
		{`{"b":1.0,"a":{"x":[1,2]}}`, `a.x[1]=7`, `{"b":1.0,"a":{"x":[1,7]}}`},
		{`{ "b" : 1.50 , "é" : "\u00e9" }`, `new=[1, 2]`, `{"b":1.50,"é":"\u00e9","new":[1,2]}`},
		{`{"x":[1]}`, `x[1]=2`, `{"x":[1,2]}`},
		{`{"x":1}`, `x=free text`, `{"x":"free text"}`},
		{`{"x":1}`, `x="7"`, `{"x":"7"}`},
		{`{"x":1}`, `x=`, `{"x":""}`},
		{`{"x":1}`, `x=a=b`, `{"x":"a=b"}`},
		{`{"a.b":1}`, `["a.b"]=2`, `{"a.b":2}`},
		{`{"a":1,"a":2}`, `a=3`, `{"a":1,"a":3}`},
		{`[{"a":1}]`, `[0].a=null`, `[{"a":null}]`},
		{`{"x":1}`, `y.z=1`, `there is no y`},
		{`{"x":1}`, `x.z=1`, `x is no object`},
		{`{"x":1}`, `x[0]=1`, `x is no array`},
		{`{"x":[]}`, `x[1]=1`, `x has 0 elements`},
		{`{"x":[]}`, `x[-1]=1`, `an index is a whole number in []`},
		{`{"x":[]}`, `x[0=1`, `an index is a whole number in []`},
		{`{"x":1}`, `x`, `is not of the form PATH=VALUE`},
		{`{"x":1}`, `=1`, `it is empty`},
		{`{"x":1}`, `x..y=1`, `a name is empty`},
		{`{"x":[{}]}`, `x[0]y=1`, `a . or [ is missing`},
		{`{"x":1}`, `["x=1`, `does not end`},
		{`no json`, `x=1`, `the message has no fields to set: it is no JSON`},
		{strings.Repeat("[", 300) + strings.Repeat("]", 300), `[0]=1`, `nested more than 200 levels deep`},
		{`{"x":1}`, `x=` + strings.Repeat("[", 300) + strings.Repeat("]", 300), `nested more than 200 levels deep`},
	} {
		got, err := SetPaths([]byte(c.message), []string{c.changes})
		text := string(got)
		if err != nil {
			text = err.Error()
		}
		if err == nil && text != c.want || err != nil && (!strings.Contains(text, c.want) || strings.HasPrefix(c.want, "{")) {
			t.Errorf("%.40s, %.40s: got %s, want %s", c.message, c.changes, text, c.want)
		}
	}
}

// An edit that breaks the schema names field and rule.
func TestCheckEdit(t *testing.T) {
	t.Parallel()
	ours := sample() // of the topic orders, key k
	header := sample()
	header.Dead.OriginalTopic, header.Dead.Headers = "elsewhere", map[string]string{"event_type": "ORDER_CREATED"}
	newer := sample()
	newer.Dead.Headers = map[string]string{"event_version": "99"}
	foreign := sample()
	foreign.Dead.OriginalTopic, foreign.Dead.Headers = "parcels", map[string]string{"event_type": "PARCEL_SENT"}
	set := func(change string) string {
		b, err := SetPaths([]byte(orderJSON), []string{change})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, c := range []struct {
		name         string
		letter       *Letter
		edited       string
		field, wrong string // wrong is empty for an edit that is taken
	}{
		{"valid", ours, set("items[0].quantity=3"), "", ""},
		{"valid by header", header, orderJSON, "", ""},
		{"zero", ours, set("items[0].quantity=0"), "items[0].quantity", "field items[0].quantity must be 1 or more, is 0"},
		{"type", ours, set("items[0].quantity=two"), "items.quantity", "must be a whole number"},
		{"missing", ours, set("items=[]"), "items", "must hold at least one item"},
		{"not JSON", ours, "{", "", "no readable JSON"},
		{"not JSON, by header", header, "{", "", "no readable JSON"},
		{"unknown type", ours, set("event_type=NEWS"), "event_type", `unknown event_type "NEWS"`},
		{"unknown type, by header", header, set("event_type=NEWS"), "event_type", `unknown event_type "NEWS"`},
		{"another topic's type", ours, `{"event_type":"INVENTORY_RESERVED","order_id":"k","customer_id":"c","items":[{"product_id":"p","quantity":2}],"timestamp":"2026-11-27T08:00:00Z"}`, "event_type", "must be of topic orders"},
		{"another type than the header", header, `{"event_type":"INVENTORY_RESERVED","order_id":"k","customer_id":"c","items":[{"product_id":"p","quantity":2}],"timestamp":"2026-11-27T08:00:00Z"}`, "event_type", "must stay ORDER_CREATED"},
		{"another order", ours, set("order_id=other"), "order_id", "must stay k, the key of the record"},
		{"newer version", newer, orderJSON, "event_version", "is not supported"},
		{"foreign", foreign, `{"anything":1}`, "", ""},
		{"foreign, not JSON", foreign, "anything", "", ""},
		{"foreign, says it is ours", foreign, set("items=[]"), "items", "must hold at least one item"},
	} {
		err := checkEdit(c.letter, []byte(c.edited))
		if c.wrong == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		var refused *RefusedError
		if !errors.As(err, &refused) || refused.Field != c.field || !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: got %+v, want field %q and %q", c.name, err, c.field, c.wrong)
		}
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ old, new, want string }{
		{`{"a":1}`, `{"a":1}`, ""},
		{`{"a":1,"b":[1,2],"c":{"d":"x"}}`, `{"a":1,"b":[1,3,4],"c":{"e":"x"}}`, `b[1]: 2 → 3|b[2]: → 4|c.d: "x" →|c.e: → "x"`},
		{`{"a":{"b":1}}`, `{"a":[1]}`, `a: {"b":1} → [1]`},
		{`{"x.y":1}`, `{"x.y":2}`, `["x.y"]: 1 → 2`},
		{`{"a":1}`, `{ "a":1 }`, `: 7 bytes → 9 bytes, the same but for white space or spelling`},
		{`{"a":1,"a":2}`, `{"a":3}`, `a: 2 → 3`},
		{`hello world`, `hello there`, `: 11 bytes, from byte 0 on: "hello world" → 11 bytes, from byte 0 on: "hello there"`},
		{"\xff\x00", "\xff\x01", ": 2 bytes, from byte 0 on: ff 00 → 2 bytes, from byte 0 on: ff 01"},
		{"", "x", `: 0 bytes, from byte 0 on: "" → 1 bytes, from byte 0 on: "x"`},
	} {
		changes, left := Compare([]byte(c.old), []byte(c.new))
		var lines []string
		for _, change := range changes {
			line := change.Path + ":"
			if change.Old != nil {
				line += " " + *change.Old
			}
			line += " →"
			if change.New != nil {
				line += " " + *change.New
			}
			lines = append(lines, line)
		}
		if got := strings.Join(lines, "|"); got != c.want || left != 0 {
			t.Errorf("%q and %q:\n got %s\nwant %s", c.old, c.new, got, c.want)
		}
	}
}

func TestCompare_IsBounded(t *testing.T) {
	t.Parallel()
	numbers := func(from int) []byte {
		var b strings.Builder
		for i := range 2000 {
			fmt.Fprintf(&b, ",%d", from+i)
		}
		return []byte("[" + b.String()[1:] + "]")
	}
	changes, left := Compare(numbers(0), numbers(10_000))
	if len(changes) != maxChanges || left != 2000-maxChanges {
		t.Errorf("%d changes and %d more", len(changes), left)
	}
}

// FuzzSetPaths: what comes out is JSON in which the change, and nothing else, is made.
func FuzzSetPaths(f *testing.F) {
	f.Add(orderJSON, "items[0].quantity", "3")
	f.Add(`[[],{"":0}]`, `[1][""]`, "x")
	f.Fuzz(func(t *testing.T, message, path, value string) {
		out, err := SetPaths([]byte(message), []string{path + "=" + value})
		if err != nil {
			return
		}
		if _, err := parseJSON(out); err != nil {
			t.Fatalf("%q: %v", out, err)
		}
		again, err := SetPaths(out, []string{path + "=" + value})
		if err != nil || string(again) != string(out) && !strings.Contains(path, "=") {
			t.Fatalf("once %q, twice %q, %v", out, again, err)
		}
	})
}
