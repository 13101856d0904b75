package fault

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Limits of the text form.
const (
	MaxText  = 16 << 10 // bytes
	MaxRules = 64
)

// ParseRules reads rules in their text form, separated by semicolons:
//
//	POINT=KIND[,times=N][,skip=N][,delay=DURATION][,match.KEY=VALUE]…
//	effect.before-commit=error,times=3;mail.before-send=delay,delay=500ms
//
// White space round the parts does not count, nor does an empty part between two
// semicolons. Points are not checked; an empty text has no rules.
func ParseRules(text string) ([]Rule, error) {
	if len(text) > MaxText {
		return nil, fmt.Errorf("the rules have %d bytes; allowed is up to %d", len(text), MaxText)
	}
	var rules []Rule
	for part := range strings.SplitSeq(text, ";") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		r, err := ParseRule(part)
		if err != nil {
			return nil, fmt.Errorf("rule %q: %w", clip(part), err)
		}
		if slices.ContainsFunc(rules, func(other Rule) bool { return other.Point == r.Point }) {
			return nil, fmt.Errorf("rule %q: %s is set twice; a point has one rule", clip(part), clip(string(r.Point)))
		}
		if len(rules) == MaxRules {
			return nil, fmt.Errorf("there are more than %d rules", MaxRules)
		}
		rules = append(rules, r)
	}
	return rules, nil
}

// ParseRule reads one rule.
func ParseRule(text string) (Rule, error) {
	var r Rule
	first, rest, more := strings.Cut(strings.TrimSpace(text), ",")
	point, kind, found := strings.Cut(first, "=")
	if !found || strings.TrimSpace(point) == "" {
		return r, errEmpty
	}
	r.Point, r.Kind = Point(strings.TrimSpace(point)), Kind(strings.TrimSpace(kind))
	seen := map[string]bool{}
	for more {
		var part string
		part, rest, more = strings.Cut(rest, ",")
		name, value, _ := strings.Cut(part, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if seen[name] {
			return Rule{}, fmt.Errorf("%s is given twice", clip(name))
		}
		seen[name] = true
		if err := setField(&r, name, value); err != nil {
			return Rule{}, err
		}
	}
	if err := r.Validate(); err != nil {
		return Rule{}, err
	}
	return r, nil
}

// setField takes one NAME=VALUE.
func setField(r *Rule, name, value string) (err error) {
	key, isMatch := strings.CutPrefix(name, "match.")
	switch {
	case name == "times":
		r.Times, err = parseCount(name, value)
	case name == "skip":
		r.Skip, err = parseCount(name, value)
	case name == "delay":
		r.Delay, err = ParseDelay(value)
		if err == nil && r.Delay == 0 { // not the same as none
			err = &InvalidError{"delay", value, "a duration above 0 and up to " + MaxDelay.String()}
		}
	case isMatch && key != "":
		if r.Match == nil {
			r.Match = map[string]string{}
		}
		r.Match[key] = value
	default:
		err = fmt.Errorf("%q is no part of a rule; after POINT=KIND there may be times=N, skip=N, delay=DURATION and match.KEY=VALUE", clip(name))
	}
	return err
}

func parseCount(field, value string) (int, error) {
	n, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		return 0, &InvalidError{field, clip(value), "a whole number from 0 to " + strconv.Itoa(MaxCount)}
	}
	return int(n), nil
}

// String writes the text form; ParseRule reads it back.
func (r Rule) String() string {
	var b strings.Builder
	b.WriteString(string(r.Point) + "=" + string(r.Kind))
	if r.Times != 0 {
		b.WriteString(",times=" + strconv.Itoa(r.Times))
	}
	if r.Skip != 0 {
		b.WriteString(",skip=" + strconv.Itoa(r.Skip))
	}
	if r.Delay != 0 {
		b.WriteString(",delay=" + r.Delay.String())
	}
	for _, key := range slices.Sorted(maps.Keys(r.Match)) {
		b.WriteString(",match." + key + "=" + r.Match[key])
	}
	return b.String()
}

// FormatRules writes several rules; ParseRules reads them back.
func FormatRules(rules []Rule) string {
	texts := make([]string, len(rules))
	for i, r := range rules {
		texts[i] = r.String()
	}
	return strings.Join(texts, ";")
}

// near lists what there is, the nearest to what was given first when one is near.
func near[S ~string](given string, all []S) string {
	if n := Nearest(given, all); n != "" {
		return list(all) + "; the nearest is " + string(n)
	}
	return list(all)
}

// list is "a, b or c".
func list[S ~string](all []S) string {
	var b strings.Builder
	for i, s := range all {
		switch {
		case i == 0:
		case i == len(all)-1:
			b.WriteString(" or ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(string(s))
	}
	return b.String()
}

// Nearest returns the name that differs least from what was given, or "" when none is
// near: at most a third of the letters may differ (Levenshtein distance).
func Nearest[S ~string](given string, all []S) (nearest S) {
	const longest = 64 // bounds the work: no name is longer
	if len(given) > longest {
		return ""
	}
	best := max(len(given)/3, 1) + 1
	for _, name := range all {
		if d := distance(given, string(name)); d < best {
			best, nearest = d, name
		}
	}
	return nearest
}

// distance is how many letters have to be put in, left out or changed.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// clip shortens what came from outside before it is shown.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.ToValidUTF8(s, "?")
}
