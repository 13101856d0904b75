package terminal

import (
	"bytes"
	"strings"
	"testing"
)

func TestBar(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	bar := NewBar(Output{Writer: &b, Animation: true, Unicode: true}, "Redriving", 4)
	bar.Set(1)
	bar.Say("waiting")
	bar.Set(4)
	bar.End()
	bar.End()
	text := b.String()
	for _, want := range []string{"Redriving " + strings.Repeat("█", 7) + strings.Repeat("░", 23) + " 1 of 4", "\r\x1b[Kwaiting\n", strings.Repeat("█", 30) + " 4 of 4"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %q", want, text)
		}
	}
	if !strings.HasSuffix(text, "\r\x1b[K") {
		t.Errorf("the bar is left on the screen: %q", text)
	}
}

func TestBar_ShowsNothingElsewhere(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	bar := NewBar(Plain(&b), "Redriving", 4)
	bar.Set(4)
	bar.Say("waiting")
	bar.End()
	if b.String() != "waiting\n" {
		t.Errorf("got %q", b.String())
	}
}
