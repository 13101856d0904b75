package terminal

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDetect_FileIsPlain(t *testing.T) {
	t.Parallel()
	f, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for _, c := range []struct {
		name string
		env  map[string]string
		want bool
	}{
		{"not a terminal", nil, false},
		{"forced", map[string]string{"CLICOLOR_FORCE": "1"}, true},
		{"forced with 0", map[string]string{"CLICOLOR_FORCE": "0"}, false},
		{"NO_COLOR wins", map[string]string{"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, false},
	} {
		o := Detect(f, func(k string) string { return c.env[k] })
		if o.Colour != c.want || o.Animation {
			t.Errorf("%s: colour %v, animation %v", c.name, o.Colour, o.Animation)
		}
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	table := Table{Right: []bool{false, true, false}}
	table.Add("PART", "PID", "ADDRESS")
	table.Add("broker", "7", "127.0.0.1:9092")
	table.Add("đơn", "12345", "")
	want := "PART      PID  ADDRESS\nbroker      7  127.0.0.1:9092\nđơn     12345\n"
	if got := table.Render(Plain(nil)); got != want {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}
}

func TestLog_PrefixesAndStripsColour(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	l := NewLog(Plain(&b), "order", "inventory")
	l.Line("order", []byte("\x1b[31mred\x1b[0m and plain"))
	l.Progress("waiting for %s", "broker")
	l.EndProgress()
	want := "order     | red and plain\nwaiting for broker\n"
	if b.String() != want {
		t.Fatalf("got %q, want %q", b.String(), want)
	}
}

func TestLog_ProgressStaysBelowTheLines(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	l := NewLog(Output{Writer: &b, Animation: true}, "order")
	l.Progress("starting")
	l.Line("order", []byte("hello"))
	l.EndProgress()
	l.EndProgress()
	if got := b.String(); !strings.Contains(got, "\r\x1b[Korder | hello\n") || !strings.HasSuffix(got, "\r\x1b[K") {
		t.Fatalf("got %q", got)
	}
}
