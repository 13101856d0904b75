// Package strictjson reads a small JSON document field by field and says exactly
// what is wrong with it: where the text breaks off (line and column), and for a
// document that is JSON but not the one expected, each field by its JSON pointer
// (RFC 6901) with the rule it breaks.
//
// It is stricter than encoding/json on purpose: unknown names, names given
// twice, null where a value is due and anything after the document are errors,
// because each of them is a misunderstanding that a client would rather hear of.
//
//	r, err := strictjson.NewReader(body)          // *SyntaxError
//	r.Object(func(name string) bool {
//		switch name {
//		case "customer_id":
//			request.CustomerID = r.String()
//		default:
//			return false                           // an unknown field
//		}
//		return true
//	}, "customer_id")
//	err = r.Err()                                  // *ShapeError
//
// Nothing is kept in proportion to the document except what the caller keeps.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// maxViolations bounds the answer to a document that is wrong all over.
const maxViolations = 20

// Violation is one field that is not as expected.
type Violation struct {
	Pointer string // JSON pointer to the field; "" is the whole document
	Rule    string // the JSON Schema keyword it breaks
	Detail  string // one sentence with what is expected
}

// SyntaxError is returned when a text is no JSON document.
type SyntaxError struct {
	Offset       int // bytes before the place
	Line, Column int // the same place, both from 1; columns count bytes
	Reason       string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("not JSON at line %d, column %d: %s", e.Line, e.Column, e.Reason)
}

// ShapeError is returned when a document is JSON but not the expected one.
type ShapeError struct{ Violations []Violation }

func (e *ShapeError) Error() string {
	first := e.Violations[0]
	return fmt.Sprintf("%d field(s) not as expected, first: %q %s", len(e.Violations), first.Pointer, first.Detail)
}

// Reader walks through one document. Each reading method takes the value that
// stands next; one of another type is noted as a violation and skipped.
type Reader struct {
	decoder    *json.Decoder
	path       []string
	violations []Violation
}

// NewReader checks that text is exactly one JSON document and starts before it.
func NewReader(text []byte) (*Reader, error) {
	var whole json.RawMessage
	if err := json.Unmarshal(text, &whole); err != nil {
		return nil, syntaxError(text, err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return &Reader{decoder: d}, nil
}

func syntaxError(text []byte, err error) error {
	e := &SyntaxError{Reason: err.Error()}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		// encoding/json counts the byte it stumbled over; the end has none.
		e.Offset = max(0, int(syntax.Offset)-1)
		if strings.Contains(e.Reason, "unexpected end") {
			e.Offset = len(text)
		}
	}
	before := text[:min(e.Offset, len(text))]
	e.Line = 1 + bytes.Count(before, []byte("\n"))
	e.Column = 1 + len(before) - (bytes.LastIndexByte(before, '\n') + 1)
	return e
}

// Err returns what was noted so far: nil or a *ShapeError.
func (r *Reader) Err() error {
	if len(r.violations) == 0 {
		return nil
	}
	return &ShapeError{Violations: r.violations}
}

// Object reads an object. For each name it calls field, which reads the value
// and returns true, or returns false to say that there is no such field. Names
// in required must be there.
func (r *Reader) Object(field func(name string) bool, required ...string) {
	if !r.open('{', "object") {
		return
	}
	var seen []string
	for r.decoder.More() {
		name, _ := r.next().(string)
		r.path = append(r.path, name)
		switch {
		case slices.Contains(seen, name):
			r.note("uniqueNames", "is given twice")
			r.skip()
		case !field(name):
			r.note("additionalProperties", "is not a field of this document")
			r.skip()
		default:
			seen = append(seen, name)
		}
		r.path = r.path[:len(r.path)-1]
	}
	r.next()
	for _, name := range required {
		if !slices.Contains(seen, name) {
			r.path = append(r.path, name)
			r.note("required", "is missing")
			r.path = r.path[:len(r.path)-1]
		}
	}
}

// Array reads an array and calls element for each of its values, which it has
// to read. It stops reading values after limit of them and returns how many
// there are, or limit+1 if more.
func (r *Reader) Array(limit int, element func(i int)) int {
	if !r.open('[', "array") {
		return 0
	}
	n := 0
	for ; r.decoder.More(); n++ {
		if n >= limit {
			r.skip()
			continue
		}
		r.path = append(r.path, strconv.Itoa(n))
		element(n)
		r.path = r.path[:len(r.path)-1]
	}
	r.next()
	return min(n, limit+1)
}

// String reads a string.
func (r *Reader) String() string {
	token := r.next()
	if s, ok := token.(string); ok {
		return s
	}
	r.mismatch("string", token)
	return ""
}

// Int reads a whole number, also one written 2.0 or 2e3. One that is too large
// for an int64 becomes the largest (or smallest), for the caller's own limits
// to refuse.
func (r *Reader) Int() int64 {
	token := r.next()
	number, ok := token.(json.Number)
	if !ok {
		r.mismatch("integer", token)
		return 0
	}
	n, err := strconv.ParseInt(string(number), 10, 64)
	if err == nil || errors.Is(err, strconv.ErrRange) {
		return n // ParseInt saturates
	}
	f, _ := strconv.ParseFloat(string(number), 64)
	switch {
	case f >= math.MaxInt64:
		return math.MaxInt64
	case f <= math.MinInt64:
		return math.MinInt64
	case f != math.Trunc(f):
		r.note("type", "must be a whole number, not "+clip(string(number)))
		return 0
	}
	return int64(f)
}

// open takes the delimiter that starts a container, or notes the mismatch.
func (r *Reader) open(delimiter json.Delim, kind string) bool {
	token := r.next()
	if token == delimiter {
		return true
	}
	r.mismatch(kind, token)
	return false
}

// next takes a token. It cannot fail: NewReader saw the whole text.
func (r *Reader) next() json.Token {
	token, _ := r.decoder.Token()
	return token
}

// mismatch notes that token is no want, and skips what token began.
func (r *Reader) mismatch(want string, token json.Token) {
	article := "a "
	if strings.ContainsRune("aeiou", rune(want[0])) {
		article = "an "
	}
	r.note("type", "must be "+article+want+", not "+kindOf(token))
	if d, ok := token.(json.Delim); ok && (d == '{' || d == '[') {
		r.skipRest()
	}
}

// skip takes a whole value without looking at it.
func (r *Reader) skip() {
	if d, ok := r.next().(json.Delim); ok && (d == '{' || d == '[') {
		r.skipRest()
	}
}

// skipRest takes what is left of a container whose start is already taken.
func (r *Reader) skipRest() {
	for depth := 1; depth > 0; {
		switch r.next() {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'), nil:
			depth--
		}
	}
}

func (r *Reader) note(rule, detail string) {
	if len(r.violations) < maxViolations {
		r.violations = append(r.violations, Violation{Pointer: r.pointer(), Rule: rule, Detail: detail})
	}
}

var pointerEscape = strings.NewReplacer("~", "~0", "/", "~1")

// pointer is the path of the value at hand as RFC 6901 writes it.
func (r *Reader) pointer() string {
	var b strings.Builder
	for _, step := range r.path {
		b.WriteByte('/')
		b.WriteString(pointerEscape.Replace(clip(step)))
	}
	return b.String()
}

// clip shortens what a client sent before it is sent back.
func clip(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

func kindOf(token json.Token) string {
	switch t := token.(type) {
	case string:
		return "a string"
	case json.Number:
		return "a number"
	case bool:
		return "a boolean"
	case json.Delim:
		if t == '{' {
			return "an object"
		}
		return "an array"
	default:
		return "null"
	}
}
