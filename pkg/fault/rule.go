package fault

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Kind is what happens at a point.
type Kind string

const (
	// Error returns an error that another try may cure.
	Error Kind = "error"
	// Permanent returns an error that no further try cures.
	Permanent Kind = "permanent"
	// Delay waits for Rule.Delay, or until the context ends, and goes on.
	Delay Kind = "delay"
	// Hang waits until the context ends or the rule is cleared.
	Hang Kind = "hang"
	// Crash ends the process at once, as kill -9 does: nothing deferred runs.
	Crash Kind = "crash"
	// Panic panics.
	Panic Kind = "panic"
	// Duplicate makes the point do once more what it has just done.
	Duplicate Kind = "duplicate"
)

// Kinds are all kinds there are.
var Kinds = []Kind{Error, Permanent, Delay, Hang, Crash, Panic, Duplicate}

// Limits of a rule.
const (
	MaxCount = 1_000_000_000    // Times and Skip
	MaxDelay = 10 * time.Minute // Delay
	MaxValue = 256              // bytes of a value to match
)

// Rule says what happens at a point. Its JSON form is
//
//	{"point":"effect.before-commit","kind":"delay","times":3,"skip":1,"delay":"500ms","match":{"product_id":"kettle"}}
//
// in which everything but kind may be left out, and point where the address says it.
// [ParseRules] has the text form.
type Rule struct {
	Point Point
	Kind  Kind
	// Times is how often it happens; 0: always.
	Times int
	// Skip is how many hits that match pass before it happens for the first time.
	Skip int
	// Delay is for the kind delay alone, and is needed there.
	Delay time.Duration
	// Match are attributes that a hit must have; of several with one key, one has to fit.
	Match map[string]string
}

// InvalidError is returned for a rule that there cannot be.
type InvalidError struct {
	Field   string // point, kind, times, skip, delay, match or match.KEY
	Value   string
	Allowed string
}

func (e *InvalidError) Error() string {
	return fmt.Sprintf("%s is %q; allowed is %s", e.Field, e.Value, e.Allowed)
}

// Validate checks what can be checked without knowing the point; a [Set] checks the rest.
func (r Rule) Validate() error {
	if !slices.Contains(Kinds, r.Kind) {
		return &InvalidError{"kind", clip(string(r.Kind)), near(string(r.Kind), Kinds)}
	}
	for _, count := range []struct {
		field string
		n     int
	}{{"times", r.Times}, {"skip", r.Skip}} {
		if count.n < 0 || count.n > MaxCount {
			return &InvalidError{count.field, strconv.Itoa(count.n), "a whole number from 0 to " + strconv.Itoa(MaxCount)}
		}
	}
	switch {
	case r.Kind == Delay && (r.Delay <= 0 || r.Delay > MaxDelay):
		return &InvalidError{"delay", r.Delay.String(), "a duration above 0 and up to " + MaxDelay.String() + ", as 500ms: the kind delay needs one"}
	case r.Kind != Delay && r.Delay != 0:
		return &InvalidError{"delay", r.Delay.String(), "nothing: the kind " + string(r.Kind) + " has none"}
	}
	for key, value := range r.Match {
		if value == "" || len(value) > MaxValue || !utf8.ValidString(value) || strings.ContainsFunc(value, unwritable) {
			return &InvalidError{"match." + clip(key), clip(value), "1 to " + strconv.Itoa(MaxValue) + " bytes of printable text without comma and semicolon"}
		}
	}
	return nil
}

// unwritable tells whether the text form has no room for a character.
func unwritable(r rune) bool { return r == ',' || r == ';' || !unicode.IsPrint(r) }

// validFor checks a rule against its point.
func (r Rule) validFor(i Info) error {
	if !slices.Contains(i.Kinds, r.Kind) {
		return &InvalidError{"kind", string(r.Kind), "at " + string(i.Point) + " " + list(i.Kinds)}
	}
	for _, key := range slices.Sorted(maps.Keys(r.Match)) {
		if slices.Contains(i.Match, key) {
			continue
		}
		allowed := "nothing: " + string(i.Point) + " knows no attributes"
		if len(i.Match) > 0 {
			allowed = "at " + string(i.Point) + " " + near(key, i.Match)
		}
		return &InvalidError{"match", clip(key), allowed}
	}
	return nil
}

// matches tells whether a hit with these attributes is meant.
func (r Rule) matches(attrs []Attr) bool {
	for key, value := range r.Match {
		if !slices.Contains(attrs, Attr{key, value}) {
			return false
		}
	}
	return true
}

// jsonRule is a Rule as JSON has it.
type jsonRule struct {
	Point Point             `json:"point,omitempty"`
	Kind  Kind              `json:"kind"`
	Times int               `json:"times,omitempty"`
	Skip  int               `json:"skip,omitempty"`
	Delay string            `json:"delay,omitempty"`
	Match map[string]string `json:"match,omitempty"`
}

// MarshalJSON writes the form that [Rule] shows.
func (r Rule) MarshalJSON() ([]byte, error) {
	j := jsonRule{Point: r.Point, Kind: r.Kind, Times: r.Times, Skip: r.Skip, Match: r.Match}
	if r.Delay != 0 {
		j.Delay = r.Delay.String()
	}
	return json.Marshal(j)
}

// UnmarshalJSON reads the form that [Rule] shows. It refuses fields that it does not
// know; it does not validate.
func (r *Rule) UnmarshalJSON(text []byte) error {
	var j jsonRule
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&j); err != nil {
		return fmt.Errorf("fault rule: %w", err)
	}
	read := Rule{Point: j.Point, Kind: j.Kind, Times: j.Times, Skip: j.Skip, Match: j.Match}
	if j.Delay != "" {
		var err error
		if read.Delay, err = ParseDelay(j.Delay); err != nil {
			return err
		}
	}
	*r = read
	return nil
}

// ParseDelay reads a delay, as 500ms or 1m30s.
func ParseDelay(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, &InvalidError{"delay", clip(text), "a duration above 0 and up to " + MaxDelay.String() + ", as 500ms or 1m30s"}
	}
	return d, nil
}

var errEmpty = errors.New("there is no rule; the form is POINT=KIND[,times=N][,skip=N][,delay=DURATION][,match.KEY=VALUE]")
