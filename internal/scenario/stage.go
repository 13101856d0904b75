package scenario

import (
	"fmt"
	"strings"
	"time"

	"millrace/internal/terminal"
)

// textWidth is where explanations are wrapped; the block of lanes is narrower.
const textWidth = 78

// Stage is where a scenario is played: it narrates, and has the environment. It
// is safe for many goroutines.
type Stage struct {
	Env     *Env
	Options Options

	name   string
	lang   Lang
	texts  Texts
	screen *screen
	began  time.Time

	watches watchList
}

// Options are what the user may ask of scenarios that know it.
type Options struct {
	Events int    // burst: how many; 0 is the scenario's own choice
	SVG    string // burst: file for the plot; empty writes none
}

// NewStage makes a stage for one play.
func NewStage(sc Scenario, lang Lang, out terminal.Output, env *Env, o Options) *Stage {
	s := &Stage{Env: env, Options: o, name: sc.Name, lang: lang, texts: sc.Texts[lang], screen: &screen{out: out}, began: time.Now()}
	env.say = s.Note
	return s
}

// Lang is the language of the play.
func (s *Stage) Lang() Lang { return s.lang }

// Text is a text of the scenario, or of the engine, with its values.
func (s *Stage) Text(key string, args A) string {
	text, ok := s.texts[key]
	if !ok {
		text, ok = stageTexts[s.lang][key]
	}
	if !ok {
		return "{" + key + "}" // seen by the reader, and by the test of keys
	}
	return fill(text, args)
}

// Explain prints a paragraph for the learner.
func (s *Stage) Explain(key string, args A) {
	s.screen.write(append([]string{""}, wrap(s.Text(key, args), textWidth)...)...)
}

// Event prints a line about what has just happened, with the time since the start.
func (s *Stage) Event(key string, args A) {
	const indent = 11 // the width of the time
	lines := wrap(s.Text(key, args), textWidth-indent)
	stamp := fmt.Sprintf("%7.2f s  ", time.Since(s.began).Seconds())
	lines[0] = s.screen.out.Paint(terminal.Faint, stamp) + lines[0]
	for i := range lines[1:] {
		lines[i+1] = strings.Repeat(" ", indent+2) + lines[i+1]
	}
	s.screen.write(lines...)
}

// Note prints an event whose text is the engine's.
func (s *Stage) Note(key string, args A) { s.Event(key, args) }

// line prints an assignment where lanes cannot be redrawn.
func (s *Stage) line(group string, v View) {
	s.screen.write(fmt.Sprintf("%7.2f s    %s: %s", time.Since(s.began).Seconds(), group, v.line()))
}

// Table prints rows of numbers.
func (s *Stage) Table(t terminal.Table) {
	for line := range strings.Lines(t.Render(s.screen.out)) {
		s.screen.write("          " + strings.TrimRight(line, "\n"))
	}
}

// open prints the head of the play.
func (s *Stage) open() {
	s.screen.write(s.screen.out.Paint(terminal.Bold, s.name+" — "+s.Text("title", nil)))
	s.Explain("intro", nil)
	s.screen.write("")
}

// conclude prints the checks, the verdict and, when it passed, the lesson.
func (s *Stage) conclude(o Outcome) {
	s.screen.keepBlock()
	s.screen.write("")
	for _, c := range o.checks {
		mark, colour := "✓", terminal.Green
		if !c.OK {
			mark, colour = "✗", terminal.Red
		}
		lines := wrap(s.Text("check."+c.Name, c.Args), textWidth-2)
		lines[0] = s.screen.out.Paint(colour, mark) + " " + lines[0]
		for i := range lines[1:] {
			lines[i+1] = "  " + lines[i+1]
		}
		s.screen.write(lines...)
	}
	word, colour := s.Text("verdict_pass", nil), terminal.Green
	switch {
	case o.Error != "":
		word, colour = s.Text("verdict_error", nil), terminal.Red
		s.screen.write(o.Error)
	case o.Verdict == Fail:
		word, colour = s.Text("verdict_fail", nil), terminal.Red
	}
	s.screen.write("", s.screen.out.Paint(colour, word)+"  "+s.Text("took", A{"name": s.name, "seconds": o.Seconds}))
	if o.Verdict == Pass {
		s.screen.write("", s.screen.out.Paint(terminal.Bold, s.Text("lesson", nil)))
		s.screen.write(wrap(s.Text("lesson_text", nil), textWidth)...)
	}
}
