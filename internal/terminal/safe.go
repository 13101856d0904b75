package terminal

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Safe makes text from outside harmless to print: what could steer a terminal (control
// characters, escape sequences), turn the direction of writing or hide itself is shown
// as \n, \x1b or \u202e, bytes that are no UTF-8 as \xff.
func Safe(text string) string { return safe(text, false) }

// SafeLines is Safe for a text of several lines: line ends and tabs stay.
func SafeLines(text string) string { return safe(text, true) }

func safe(text string, lines bool) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case lines && (r == '\n' || r == '\t'):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, r)
		case steers(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
		i += size
	}
	return b.String()
}

// steers tells of characters that do something instead of showing something. U+00AD and
// the tags beyond U+FFFF hide text, U+2028 and U+2029 end a line.
func steers(r rune) bool {
	return r != ' ' && !unicode.IsPrint(r) && !unicode.In(r, unicode.Zs)
}

// SafeJSON makes a JSON document harmless to print: inside of its strings the
// characters that Safe replaces are written as \uXXXX, which means the same.
func SafeJSON(document []byte) []byte {
	var out bytes.Buffer
	out.Grow(len(document))
	for len(document) > 0 {
		r, size := utf8.DecodeRune(document)
		switch {
		case r == utf8.RuneError && size == 1:
			out.WriteString(`\ufffd`)
		case r == '\n', r == '\t', r == '\r', !steers(r):
			out.Write(document[:size])
		case r > 0xffff:
			high, low := (r-0x10000)>>10+0xd800, (r-0x10000)&0x3ff+0xdc00
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
		document = document[size:]
	}
	return out.Bytes()
}
