package plot

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "rewrite testdata")

func chart() Chart {
	c := Chart{
		Lang: "vi", Title: "Lag theo thời gian <1.000 & hơn>", Summary: "Lag tăng rồi giảm.", XLabel: "thời gian, s", YLabel: "lag, record",
		Series: []Series{{Name: "inventory-service"}, {Name: "notification-service"}},
		Marks:  []Mark{{Name: "đơn cuối cùng", X: 3}},
	}
	for i := range 11 {
		c.Series[0].Points = append(c.Series[0].Points, Point{float64(i), float64(i * (10 - i) * 40)})
		c.Series[1].Points = append(c.Series[1].Points, Point{float64(i), float64(i * (10 - i) * 48)})
	}
	return c
}

func TestWrite_Golden(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := Write(&b, chart()); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/lag.svg"
	if *update {
		if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || !bytes.Equal(b.Bytes(), want) {
		t.Errorf("%v; the drawing differs from %s (-update rewrites it):\n%s", err, golden, b.Bytes())
	}
}

// It is well-formed XML, whatever the texts are, and stays small.
func TestWrite_IsWellFormed(t *testing.T) {
	t.Parallel()
	c := chart()
	c.Title = `</title><script>x</script>"'&`
	c.Series[0].Points = nil
	for i := range 100_000 {
		c.Series[1].Points = append(c.Series[1].Points, Point{float64(i), float64(i % 977)})
	}
	var b bytes.Buffer
	if err := Write(&b, c); err != nil {
		t.Fatal(err)
	}
	const most = 32 << 10
	if b.Len() > most {
		t.Errorf("%d bytes, want at most %d", b.Len(), most)
	}
	decoder := xml.NewDecoder(&b)
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == "script" {
			t.Error("a text became an element")
		}
	}
}

func TestWrite_RefusesWhatItCannotDraw(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 5} {
		if err := Write(io.Discard, Chart{Series: make([]Series, n)}); err == nil {
			t.Errorf("%d lines were drawn", n)
		}
	}
	if err := Write(io.Discard, Chart{Series: make([]Series, 1)}); err != nil {
		t.Errorf("a line without points: %v", err)
	}
}

func TestStepAndNumber(t *testing.T) {
	t.Parallel()
	for limit, want := range map[float64]float64{0: 1, 4: 1, 9: 2, 29: 5, 31: 10, 1107: 200, 100_000: 20_000} {
		if got := step(limit); got != want {
			t.Errorf("step(%g) = %g, want %g", limit, got, want)
		}
	}
	for v, want := range map[float64]string{0: "0", 0.5: "0.5", 1200: "1\u2009200", 1_000_000: "1\u2009000\u2009000"} {
		if got := number(v); got != want {
			t.Errorf("number(%g) = %q, want %q", v, got, want)
		}
	}
}
