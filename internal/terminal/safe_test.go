package terminal

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
)

func TestSafe(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"đơn hàng 世界 ✓":          "đơn hàng 世界 ✓",
		"\x1b[31mred\x1b]0;t\a":  `\x1b[31mred\x1b]0;t\x07`,
		"a\nb\tc\rd":             `a\nb\tc\x0dd`,
		"\xff\xc3":               `\xff\xc3`,
		"\u009b31m":              `\u009b31m`, // CSI in one character
		"abc\u202etxt.exe":       `abc\u202etxt.exe`,
		"zero\u200bwidth\u2028x": `zero\u200bwidth\u2028x`,
		"\x7f":                   `\x7f`,
	} {
		if got := Safe(text); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
	if got := SafeLines("a\n\tb\x1b"); got != "a\n\tb\\x1b" {
		t.Errorf("got %q", got)
	}
}

func TestSafeJSON_MeansTheSame(t *testing.T) {
	t.Parallel()
	want := "a\u009b\u202e\u200b\U000e0041 đ\x7f\u2028 \U0001f600"
	var document strings.Builder
	encoder := json.NewEncoder(&document)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(map[string]string{"k": want}); err != nil {
		t.Fatal(err)
	}
	safe := SafeJSON([]byte(document.String()))
	for _, r := range string(safe) {
		if r != '\n' && r != ' ' && !unicode.IsPrint(r) {
			t.Errorf("%q is left in %s", r, safe)
		}
	}
	var got map[string]string
	if err := json.Unmarshal(safe, &got); err != nil || got["k"] != want {
		t.Errorf("got %q, %v, want %q", got["k"], err, want)
	}
}

// FuzzSafe: nothing that steers a terminal is left, in text or in JSON.
func FuzzSafe(f *testing.F) {
	f.Add("\x1b[2J")
	f.Add("\u009b\u202e\xff")
	f.Fuzz(func(t *testing.T, text string) {
		document, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, out := range []string{Safe(text), string(SafeJSON(document))} {
			for _, r := range out {
				if !unicode.IsPrint(r) && !unicode.In(r, unicode.Zs) {
					t.Fatalf("%q is left in %q", r, out)
				}
			}
		}
	})
}
