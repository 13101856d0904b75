package terminal

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// Log writes lines of several parts to one output, each with a prefix, and keeps
// a progress line below them while there is one. It is safe for many goroutines.
type Log struct {
	out Output

	mu       sync.Mutex // guards what follows and the order of writes
	width    int        // of the prefix
	colours  map[string]Colour
	progress string // what the moving line says; empty when there is none
	frame    int
	drawn    bool
	stopSpin chan struct{}
	spun     chan struct{}
}

// NewLog makes a log whose prefix is wide enough for the given names.
func NewLog(out Output, names ...string) *Log {
	l := &Log{out: out, colours: map[string]Colour{}}
	for i, name := range names {
		l.width = max(l.width, len(name))
		l.colours[name] = PartColours[i%len(PartColours)]
	}
	return l
}

// Line writes one line of a part.
func (l *Log) Line(part string, line []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.erase()
	prefix := fmt.Sprintf("%-*s |", l.width, part)
	text := string(line)
	if !l.out.Colour {
		text = stripEscapes(text)
	}
	fmt.Fprintf(l.out, "%s %s\n", l.out.Paint(l.colour(part), prefix), text)
	l.draw()
}

// Say writes a line of the program itself.
func (l *Log) Say(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.erase()
	fmt.Fprintf(l.out, format+"\n", args...)
	l.draw()
}

func (l *Log) colour(part string) Colour {
	if c, ok := l.colours[part]; ok {
		return c
	}
	c := PartColours[len(l.colours)%len(PartColours)]
	l.colours[part] = c
	return c
}

// spinEvery is one frame of the moving line.
const spinEvery = 100 * time.Millisecond

var frames = []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}

// Progress shows what is going on: as a moving line on a terminal, as a line of
// its own elsewhere. The next call replaces it, EndProgress removes it.
func (l *Log) Progress(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !l.out.Animation {
		l.Say("%s", text)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.erase()
	l.progress = text
	l.draw()
	if l.stopSpin == nil {
		l.stopSpin, l.spun = make(chan struct{}), make(chan struct{})
		go l.spin(l.stopSpin, l.spun)
	}
}

func (l *Log) spin(stop <-chan struct{}, done chan<- struct{}) {
	defer close(done)
	ticker := time.NewTicker(spinEvery)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
			l.mu.Lock()
			l.frame++
			l.erase()
			l.draw()
			l.mu.Unlock()
		}
	}
}

// EndProgress removes the moving line. It may be called without one.
func (l *Log) EndProgress() {
	l.mu.Lock()
	l.erase()
	l.progress = ""
	stop, spun := l.stopSpin, l.spun
	l.stopSpin, l.spun = nil, nil
	l.mu.Unlock()
	if stop != nil {
		close(stop)
		<-spun
	}
}

func (l *Log) erase() {
	if l.drawn {
		fmt.Fprint(l.out, "\r\x1b[K")
		l.drawn = false
	}
}

func (l *Log) draw() {
	if l.progress == "" || !l.out.Animation {
		return
	}
	fmt.Fprintf(l.out, "%s %s", frames[l.frame%len(frames)], l.progress)
	l.drawn = true
}

// stripEscapes removes ANSI colour sequences that a part wrote on its own account.
func stripEscapes(s string) string {
	if !strings.Contains(s, "\x1b[") {
		return s
	}
	var b strings.Builder
	for {
		start := strings.Index(s, "\x1b[")
		if start < 0 {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:start])
		s = s[start+2:]
		end := strings.IndexFunc(s, func(r rune) bool { return r >= '@' && r <= '~' })
		if end < 0 {
			return b.String()
		}
		s = s[end+1:]
	}
}
