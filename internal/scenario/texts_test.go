package scenario

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseTexts(t *testing.T) {
	t.Parallel()
	got, err := parseTexts([]byte("# c\na: one {n}\n  two\n\nb:\n  only below\n"))
	want := Texts{"a": "one {n} two", "b": "only below"}
	if err != nil || !maps.Equal(got, want) {
		t.Fatalf("got %q, %v, want %q", got, err, want)
	}
	for text, problem := range map[string]string{
		"  no key\n":  "without a key",
		"no colon\n":  "want KEY: TEXT",
		"a: 1\na: 2":  "second time",
		"two words:x": "want KEY: TEXT",
	} {
		if _, err := parseTexts([]byte(text)); err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("%q: %v, want %q", text, err, problem)
		}
	}
}

func TestFill(t *testing.T) {
	t.Parallel()
	got := fill("{n} of {list} in {took}, {part}, {p50}, {missing}", A{"n": 3, "p50": 7, "list": []int32{0, 2}, "took": 1500 * time.Millisecond, "part": 0.5})
	if want := "3 of 0, 2 in 1.50 s, 0.50, 7, {missing}"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := showDuration(1234 * time.Microsecond); got != "1.23 ms" {
		t.Errorf("duration %q", got)
	}
}

func TestWrap_CountsRunes(t *testing.T) {
	t.Parallel()
	lines := wrap("một hai ba bốn  năm", 11)
	if want := []string{"một hai ba", "bốn năm"}; !slices.Equal(lines, want) {
		t.Errorf("got %q, want %q", lines, want)
	}
	if lines := wrap("", 5); len(lines) != 1 {
		t.Errorf("nothing is %q", lines)
	}
}

func TestLangs(t *testing.T) {
	t.Parallel()
	if _, err := ParseLang("xx"); err == nil || !strings.Contains(err.Error(), "allowed: en, vi") {
		t.Errorf("xx: %v", err)
	}
	for _, c := range []struct {
		env  map[string]string
		want Lang
	}{
		{nil, English},
		{map[string]string{"LANG": "vi_VN.UTF-8"}, Vietnamese},
		{map[string]string{"LANG": "vi_VN.UTF-8", "LC_ALL": "C"}, English},
		{map[string]string{"LANG": "C", "LC_MESSAGES": "VI"}, Vietnamese},
	} {
		if got := LangOf(func(k string) string { return c.env[k] }); got != c.want {
			t.Errorf("%v: %s, want %s", c.env, got, c.want)
		}
	}
}

// The engine's texts exist in every language with the same placeholders.
func TestStageTexts_Parity(t *testing.T) {
	t.Parallel()
	for key, text := range stageTexts[English] {
		other, ok := stageTexts[Vietnamese][key]
		if !ok || !slices.Equal(Placeholders(text), Placeholders(other)) {
			t.Errorf("%s: %q and %q", key, text, other)
		}
	}
	if len(stageTexts[English]) != len(stageTexts[Vietnamese]) {
		t.Errorf("%d and %d texts", len(stageTexts[English]), len(stageTexts[Vietnamese]))
	}
}
