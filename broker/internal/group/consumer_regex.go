package group

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"time"
)

// Topics by regular expression. The syntax is RE2's, which Go's package has too: the
// time of a match grows with the name's length alone. What an expression stands for is
// kept by expression, not by member: members that share one resolve it once.

// maxRegexSize bounds what an expression may compile to, roughly in instructions.
const maxRegexSize = 20_000

// errRegexSize is returned for an expression that would take too much memory.
var errRegexSize = errors.New("expression is too large")

// compileTopicRegex compiles an expression that has to match whole names.
func compileTopicRegex(text string) (*regexp.Regexp, error) {
	if len(text) > maxRegexSize {
		return nil, fmt.Errorf("%w: %d bytes, %d are allowed", errRegexSize, len(text), maxRegexSize)
	}
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, err
	}
	if n := regexSize(parsed); n > maxRegexSize {
		return nil, fmt.Errorf("%w: about %d instructions, %d are allowed", errRegexSize, n, maxRegexSize)
	}
	return regexp.Compile("^(?:" + text + ")$")
}

// regexSize estimates how many instructions an expression compiles to.
func regexSize(re *syntax.Regexp) int {
	n := 1 + len(re.Rune)/2
	for _, sub := range re.Sub {
		n += regexSize(sub)
	}
	if re.Op == syntax.OpRepeat {
		n *= max(re.Min, re.Max, 1)
	}
	return min(n, 1<<30)
}

// resolve finds what an expression stands for, unless that is known.
func (g *Group) resolve(regex string) {
	if regex == "" || g.modern.regexes[regex] != nil {
		return
	}
	g.emit(RegexRecord{regex, g.resolved(regex)})
}

func (g *Group) resolved(regex string) *Resolved {
	r := &Resolved{Topics: []string{}, Version: g.cluster.Version(), At: g.now.Truncate(time.Millisecond)}
	compiled, err := compileTopicRegex(regex)
	if err != nil { // loaded from a log that another broker wrote
		return r
	}
	g.cluster.EachTopic(func(name string) bool {
		if compiled.MatchString(name) && (g.visible == nil || g.visible(name)) {
			r.Topics = append(r.Topics, strings.Clone(name))
		}
		return true
	})
	return r
}

// resolveAgain looks whether the expressions stand for other topics by now.
func (g *Group) resolveAgain() {
	for _, regex := range slices.Sorted(maps.Keys(g.modern.regexes)) {
		r := g.modern.regexes[regex]
		if r.Version == g.cluster.Version() {
			continue
		}
		if now := g.resolved(regex); !slices.Equal(now.Topics, r.Topics) {
			g.emit(RegexRecord{regex, now})
		}
	}
}

// dropUnusedRegex forgets an expression that no member subscribes by any more.
func (g *Group) dropUnusedRegex(regex string) {
	if regex == "" || g.modern.regexes[regex] == nil {
		return
	}
	for _, member := range g.modern.members {
		if member.sub.Regex == regex {
			return
		}
	}
	g.emit(RegexRecord{regex, nil})
}
