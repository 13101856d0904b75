package dlq

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// node is a JSON value that keeps the order of fields and the spelling of numbers and
// strings, so that an edit changes what it means to change and nothing else.
type node struct {
	kind   byte            // '{', '[' or 0 for a value that holds no others
	raw    json.RawMessage // of a value that holds no others
	keys   []string        // of an object: as they read, and
	raws   []json.RawMessage
	values []*node // of an object or array
}

// maxDepth bounds the nesting that is looked into.
const maxDepth = 200

var errTooDeep = fmt.Errorf("it is nested more than %d levels deep", maxDepth)

// parseJSON reads one JSON value.
func parseJSON(text []byte) (*node, error) {
	if Depth(text) > maxDepth {
		return nil, errTooDeep
	}
	if !json.Valid(text) {
		return nil, errors.New("it is no JSON")
	}
	p := parser{text: text, decoder: json.NewDecoder(bytes.NewReader(text))}
	p.decoder.UseNumber()
	return p.value()
}

// Depth is how deep brackets are nested, outside of strings.
func Depth(text []byte) int {
	deepest, now := 0, 0
	inString := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{', c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}', c == ']':
			now--
		}
	}
	return deepest
}

type parser struct {
	text    []byte
	decoder *json.Decoder
}

// token reads the next one, with its spelling.
func (p *parser) token() (json.Token, json.RawMessage, error) {
	before := p.decoder.InputOffset()
	token, err := p.decoder.Token()
	if err != nil {
		return nil, nil, err
	}
	return token, bytes.TrimLeft(p.text[before:p.decoder.InputOffset()], " \t\r\n,:"), nil
}

func (p *parser) value() (*node, error) {
	token, raw, err := p.token()
	if err != nil {
		return nil, err
	}
	opening, ok := token.(json.Delim)
	if !ok {
		return &node{raw: raw}, nil
	}
	n := &node{kind: byte(opening)}
	for p.decoder.More() {
		if n.kind == '{' {
			key, raw, err := p.token()
			if err != nil {
				return nil, err
			}
			name, _ := key.(string)
			n.keys, n.raws = append(n.keys, name), append(n.raws, raw)
		}
		child, err := p.value()
		if err != nil {
			return nil, err
		}
		n.values = append(n.values, child)
	}
	_, _, err = p.token()
	return n, err
}

// appendTo writes the value without white space.
func (n *node) appendTo(b []byte) []byte {
	switch n.kind {
	case '{':
		b = append(b, '{')
		for i, child := range n.values {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(append(b, n.raws[i]...), ':')
			b = child.appendTo(b)
		}
		return append(b, '}')
	case '[':
		b = append(b, '[')
		for i, child := range n.values {
			if i > 0 {
				b = append(b, ',')
			}
			b = child.appendTo(b)
		}
		return append(b, ']')
	default:
		return append(b, n.raw...)
	}
}

// field is the value of an object's field; of several with one name the last, as
// encoding/json has it.
func (n *node) field(name string) *node {
	for i := len(n.keys) - 1; i >= 0; i-- {
		if n.keys[i] == name {
			return n.values[i]
		}
	}
	return nil
}

// step is a part of a path: a field, or an index.
type step struct {
	name  string
	index int // -1: a field
}

// parsePath reads a path, as items[0].quantity; a name in ["…"] may hold anything.
func parsePath(path string) ([]step, error) {
	wrong := func(why string) error {
		return fmt.Errorf("path %q: %s; a path looks like items[0].quantity", path, why)
	}
	if !utf8.ValidString(path) {
		return nil, wrong("it is no UTF-8")
	}
	var steps []step
	for rest := path; rest != ""; {
		switch {
		case strings.HasPrefix(rest, `["`):
			quoted, err := strconv.QuotedPrefix(rest[1:])
			if err != nil || !strings.HasPrefix(rest[1+len(quoted):], "]") {
				return nil, wrong(`a name in [""] does not end`)
			}
			name, err := strconv.Unquote(quoted)
			if err != nil || !utf8.ValidString(name) {
				return nil, wrong(`a name in [""] is no string`)
			}
			steps, rest = append(steps, step{name, -1}), rest[len(quoted)+2:]
		case rest[0] == '[':
			text, after, ok := strings.Cut(rest[1:], "]")
			index, err := strconv.ParseUint(text, 10, 31)
			if !ok || err != nil {
				return nil, wrong("an index is a whole number in []")
			}
			steps, rest = append(steps, step{index: int(index)}), after
		default:
			if len(steps) > 0 {
				if rest[0] != '.' {
					return nil, wrong("a . or [ is missing")
				}
				rest = rest[1:]
			}
			end := strings.IndexAny(rest, ".[")
			if end < 0 {
				end = len(rest)
			}
			if end == 0 {
				return nil, wrong("a name is empty")
			}
			steps, rest = append(steps, step{rest[:end], -1}), rest[end:]
		}
	}
	if len(steps) == 0 {
		return nil, wrong("it is empty")
	}
	return steps, nil
}

// set puts a value at a path. The last field may be new, and the last index one behind
// the end; all before them have to be there.
func (n *node) set(path string, value *node) error {
	steps, err := parsePath(path)
	if err != nil {
		return err
	}
	at := ""
	for i, s := range steps {
		last := i == len(steps)-1
		if s.index < 0 {
			if n.kind != '{' {
				return fmt.Errorf("path %q: %s is no object", path, orWhole(at))
			}
			at = join(at, s.name)
			child := n.field(s.name)
			switch {
			case child == nil && !last:
				return fmt.Errorf("path %q: there is no %s", path, at)
			case child == nil:
				raw, err := json.Marshal(s.name)
				if err != nil {
					return err
				}
				n.keys, n.raws, n.values = append(n.keys, s.name), append(n.raws, raw), append(n.values, value)
				return nil
			}
			n = child
		} else {
			if n.kind != '[' {
				return fmt.Errorf("path %q: %s is no array", path, orWhole(at))
			}
			if s.index > len(n.values) || s.index == len(n.values) && !last {
				return fmt.Errorf("path %q: %s has %d elements", path, orWhole(at), len(n.values))
			}
			at += "[" + strconv.Itoa(s.index) + "]"
			if s.index == len(n.values) {
				n.values = append(n.values, value)
				return nil
			}
			n = n.values[s.index]
		}
	}
	*n = *value
	return nil
}

func orWhole(at string) string {
	if at == "" {
		return "the message"
	}
	return at
}

// join adds a field to a path.
func join(at, name string) string {
	switch {
	case name == "" || strings.ContainsAny(name, `.[]"`) || strconv.Quote(name) != `"`+name+`"`:
		return at + "[" + strconv.Quote(name) + "]"
	case at == "":
		return name
	default:
		return at + "." + name
	}
}

// parseValue reads the value of --set: JSON if it is, else a string.
func parseValue(text string) (*node, error) {
	if n, err := parseJSON([]byte(text)); err == nil {
		return n, nil
	} else if errors.Is(err, errTooDeep) {
		return nil, err
	}
	if !utf8.ValidString(text) {
		return nil, errors.New("it is no UTF-8; --file takes a message byte for byte")
	}
	raw, err := json.Marshal(text)
	return &node{raw: raw}, err
}
