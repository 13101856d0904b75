// Package terminal knows what may be written to a terminal and what may not:
// colour, a moving progress line, tables.
//
// Colour follows the usual conventions: NO_COLOR (no-color.org) and TERM=dumb
// turn it off, CLICOLOR_FORCE turns it on, otherwise it depends on whether the
// output is a terminal. Animation needs a terminal in every case.
package terminal

import (
	"io"
	"os"

	"golang.org/x/term"
)

// Output is a stream with what it can show.
type Output struct {
	io.Writer
	Colour    bool // ANSI colours may be written
	Animation bool // a line may be drawn again and again
	Unicode   bool // box-drawing characters will be shown
}

// Detect looks at a file and the environment.
func Detect(f *os.File, getenv func(string) string) Output {
	isTerminal := term.IsTerminal(int(f.Fd()))
	dumb := getenv("TERM") == "dumb"
	colour := isTerminal && !dumb
	if force := getenv("CLICOLOR_FORCE"); force != "" && force != "0" {
		colour = true
	}
	if getenv("NO_COLOR") != "" {
		colour = false
	}
	return Output{Writer: f, Colour: colour, Animation: isTerminal && !dumb, Unicode: !dumb}
}

// Plain is an output without any decoration, for files and tests.
func Plain(w io.Writer) Output { return Output{Writer: w, Unicode: true} }

// Colour is an ANSI foreground colour or attribute.
type Colour string

// The colours in use: the eight of every terminal, readable on light and dark.
const (
	Bold    Colour = "1"
	Faint   Colour = "2"
	Red     Colour = "31"
	Green   Colour = "32"
	Yellow  Colour = "33"
	Blue    Colour = "34"
	Magenta Colour = "35"
	Cyan    Colour = "36"
)

// PartColours are given to the parts of the shop in turn.
var PartColours = []Colour{Cyan, Green, Magenta, Yellow, Blue, Red}

// Paint puts s in a colour where the output can show it.
func (o Output) Paint(c Colour, s string) string {
	if !o.Colour || s == "" {
		return s
	}
	return "\x1b[" + string(c) + "m" + s + "\x1b[0m"
}
