package scenario

import (
	"fmt"
	"strings"
	"sync"

	"millrace/internal/terminal"
)

// screen writes lines, and keeps a block below them that is drawn again at each
// change where the output can do that. It is safe for many goroutines.
type screen struct {
	out terminal.Output

	mu    sync.Mutex // guards what follows and the order of writes
	block []string
	drawn int // lines of the block that stand on the terminal
}

// write writes lines above the block.
func (s *screen) write(lines ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	for _, line := range lines {
		fmt.Fprintln(s.out, line)
	}
	s.draw()
}

// setBlock replaces the block; it does nothing where lines cannot be redrawn.
func (s *screen) setBlock(lines []string) {
	if !s.out.Animation {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	s.block = lines
	s.draw()
}

// keepBlock leaves the block where it stands and begins anew below it.
func (s *screen) keepBlock() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.block, s.drawn = nil, 0
}

func (s *screen) erase() {
	if s.drawn > 0 {
		// Up to the block's first line, then clear to the end of the screen (ECMA-48 CPL, ED).
		fmt.Fprintf(s.out, "\x1b[%dF\x1b[J", s.drawn)
		s.drawn = 0
	}
}

func (s *screen) draw() {
	if len(s.block) > 0 {
		fmt.Fprintln(s.out, strings.Join(s.block, "\n"))
		s.drawn = len(s.block)
	}
}
