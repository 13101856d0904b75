package principal

import (
	"fmt"
	"regexp"
	"strings"
)

// Rules turn a certificate's name into a principal's. The first that matches counts.
type Rules []rule

type rule struct {
	pattern     *regexp.Regexp // nil: DEFAULT, the name as it is
	replacement string
	letters     byte // 'L' lower case, 'U' upper case, 0 as they are
}

// ParseRules reads ssl.principal.mapping.rules:
//
//	DEFAULT
//	RULE:PATTERN/REPLACEMENT/[L|U]
//
// with commas between. A slash in a pattern or replacement has a backslash before it. $1 in the
// replacement is the pattern's first group. Patterns are Go's (RE2), which take a time linear in
// the name; lookahead and back references are refused.
func ParseRules(s string) (Rules, error) {
	var rules Rules
	rest := strings.TrimSpace(s)
	for rest != "" {
		var r rule
		after, isDefault := strings.CutPrefix(rest, "DEFAULT")
		if !isDefault {
			body, ok := strings.CutPrefix(rest, "RULE:")
			if !ok {
				return nil, fmt.Errorf("%q is neither DEFAULT nor RULE:PATTERN/REPLACEMENT/[L|U]", rest)
			}
			pattern, body, ok1 := cutSlash(body)
			replacement, body, ok2 := cutSlash(body)
			if !ok1 || !ok2 {
				return nil, fmt.Errorf("%q is not of the form RULE:PATTERN/REPLACEMENT/[L|U]", rest)
			}
			// As in Java the whole name has to match.
			compiled, err := regexp.Compile(`^(?:` + pattern + `)$`)
			if err != nil {
				return nil, fmt.Errorf("pattern %q: %w", pattern, err)
			}
			r.pattern, r.replacement = compiled, template(replacement)
			after = body
			if after != "" && (after[0] == 'L' || after[0] == 'U') {
				r.letters, after = after[0], after[1:]
			}
		}
		rules = append(rules, r)
		after = strings.TrimSpace(after)
		if after == "" {
			return rules, nil
		}
		next, ok := strings.CutPrefix(after, ",")
		if !ok {
			return nil, fmt.Errorf("%q follows a rule; rules have commas between", after)
		}
		rest = strings.TrimSpace(next)
	}
	return rules, nil
}

// template writes a replacement of Java's as one of Go's: $1 is ${1}, as Go reads $1x as a
// name, and a backslash makes a letter stand for itself.
func template(replacement string) string {
	var b strings.Builder
	for i := 0; i < len(replacement); i++ {
		c := replacement[i]
		switch next := i + 1; {
		case c == '\\' && next < len(replacement):
			i = next
			c = replacement[i]
		case c == '$' && next < len(replacement) && replacement[next] >= '0' && replacement[next] <= '9':
			i = next
			b.WriteString("${" + replacement[i:i+1] + "}")
			continue
		}
		if c == '$' {
			b.WriteByte('$')
		}
		b.WriteByte(c)
	}
	return b.String()
}

// cutSlash splits at the first slash without a backslash before it.
func cutSlash(s string) (before, after string, ok bool) {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '/':
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

// Apply returns the principal's name. An error means that no rule matches: the client
// cannot be told from others and has to be turned away.
func (rs Rules) Apply(name string) (string, error) {
	if len(rs) == 0 {
		return name, nil
	}
	for _, r := range rs {
		if r.pattern == nil {
			return name, nil
		}
		m := r.pattern.FindStringSubmatchIndex(name)
		if m == nil {
			continue
		}
		out := string(r.pattern.ExpandString(nil, r.replacement, name, m))
		switch r.letters {
		case 'L':
			out = strings.ToLower(out)
		case 'U':
			out = strings.ToUpper(out)
		}
		return out, nil
	}
	return "", fmt.Errorf("no rule of ssl.principal.mapping.rules applies to %q", name)
}
