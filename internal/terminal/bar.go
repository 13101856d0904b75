package terminal

import (
	"fmt"
	"strings"
	"time"
)

// Bar shows how far a piece of work is, on a terminal; elsewhere it shows nothing. It is
// for one goroutine.
type Bar struct {
	out         Output
	title       string
	done, total int
	began       time.Time
	drawn       time.Time // zero: not on the screen
}

// drawEvery bounds how often the bar is drawn.
const drawEvery = 50 * time.Millisecond

// NewBar makes a bar that appears with the first Set.
func NewBar(out Output, title string, total int) *Bar {
	return &Bar{out: out, title: title, total: total, began: time.Now()}
}

// Set says how much is done.
func (b *Bar) Set(done int) {
	b.done = done
	if time.Since(b.drawn) >= drawEvery || done == b.total {
		b.draw()
	}
}

func (b *Bar) draw() {
	if !b.out.Animation {
		return
	}
	const width = 30
	full, empty := "█", "░"
	if !b.out.Unicode {
		full, empty = "#", "-"
	}
	filled := width
	if b.total > 0 {
		filled = min(width, width*b.done/b.total)
	}
	rate := float64(b.done) / max(time.Since(b.began).Seconds(), 0.001)
	fmt.Fprintf(b.out, "\r\x1b[K%s %s%s %d of %d, %.0f/s", b.title, strings.Repeat(full, filled), strings.Repeat(empty, width-filled), b.done, b.total, rate)
	b.drawn = time.Now()
}

// Say writes a line above the bar.
func (b *Bar) Say(text string) {
	b.erase()
	fmt.Fprintln(b.out, text)
	if b.done > 0 {
		b.draw()
	}
}

// End removes the bar.
func (b *Bar) End() { b.erase() }

func (b *Bar) erase() {
	if !b.drawn.IsZero() {
		fmt.Fprint(b.out, "\r\x1b[K")
		b.drawn = time.Time{}
	}
}
