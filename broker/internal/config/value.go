package config

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Error is a setting that was refused.
type Error struct {
	Name   string // of the setting
	Value  string // as given; not shown where the setting is sensitive
	Reason string // in Kafka's words where Kafka has some
	// Unknown says that there is no such setting; Nearest are names much like it.
	Unknown bool
	Level   Level
	Nearest []string
	Allowed string
	// Whole replaces the sentence made of the above.
	Whole string

	sensitive bool
}

// Error is a full sentence for somebody who typed the setting.
func (e *Error) Error() string {
	if e.Unknown {
		s := fmt.Sprintf("unknown %s setting %q", e.Level, e.Name)
		if len(e.Nearest) > 0 {
			s += "; did you mean " + strings.Join(e.Nearest, ", ") + "?"
		}
		return s
	}
	s := e.Kafka()
	if e.Allowed != "" {
		s += " (allowed: " + e.Allowed + ")"
	}
	return s
}

// Kafka is the message that Apache Kafka gives.
func (e *Error) Kafka() string {
	switch {
	case e.Unknown && e.Level == TopicLevel:
		return "Unknown topic config name: " + e.Name
	case e.Unknown && e.Level == GroupLevel:
		return "Unknown group config name: " + e.Name
	case e.Unknown:
		return "Unknown broker config name: " + e.Name
	}
	if e.Whole != "" {
		return e.Whole
	}
	value := e.Value
	if e.sensitive {
		value = "[hidden]"
	}
	return fmt.Sprintf("Invalid value %s for configuration %s: %s", value, e.Name, e.Reason)
}

// Unknown makes the error for a name that the level does not have.
func Unknown(l Level, name string) *Error {
	return &Error{Name: name, Unknown: true, Level: l, Nearest: Nearest(l, name)}
}

// bad makes the error for a value that the setting cannot have.
func (d *Def) bad(value, reason string) *Error {
	return &Error{Name: d.Name, Value: value, Reason: reason, Level: d.level, Allowed: d.Allowed(), sensitive: d.Sensitive()}
}

// parse reads a value: bool, int64, float64, string or []string, by type.
func (d *Def) parse(text string) (any, error) {
	trimmed := strings.TrimSpace(text)
	var v any
	switch d.Type {
	case Boolean:
		switch {
		case strings.EqualFold(trimmed, "true"):
			v = true
		case strings.EqualFold(trimmed, "false"):
			v = false
		default:
			return nil, d.bad(text, "Expected value to be either true or false")
		}
	case Int, Short, Long:
		bits := map[Type]int{Short: 16, Int: 32, Long: 64}[d.Type]
		n, err := strconv.ParseInt(trimmed, 10, bits)
		if err != nil {
			return nil, d.bad(text, "Not a number of type "+d.Type.String())
		}
		v = n
	case Double:
		f, err := strconv.ParseFloat(trimmed, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, d.bad(text, "Not a number of type DOUBLE")
		}
		v = f
	case List:
		v = splitList(trimmed)
	default:
		v = trimmed
	}
	if reason := d.rule.refuses(v); reason != "" {
		if d.Type == List { // as Java prints one
			text = "[" + strings.Join(v.([]string), ", ") + "]"
			if strings.HasPrefix(reason, "String must") {
				text = v.([]string)[slices.IndexFunc(v.([]string), func(w string) bool { return d.rule.refuses([]string{w}) != "" })]
			}
		}
		return nil, d.bad(text, reason)
	}
	return v, nil
}

// splitList takes "a, b" apart; nothing is an empty list.
func splitList(text string) []string {
	if text == "" {
		return []string{}
	}
	list := strings.Split(text, ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

// store puts a parsed value into the field that target points to.
func store(target, value any) {
	switch p := target.(type) {
	case *bool:
		*p = value.(bool)
	case *int16:
		*p = int16(value.(int64))
	case *int32:
		*p = int32(value.(int64))
	case *int64:
		*p = value.(int64)
	case *float64:
		*p = value.(float64)
	case *string:
		*p = value.(string)
	case *[]string:
		*p = value.([]string)
	default:
		panic(fmt.Sprintf("config: no setting has the type %T", target))
	}
}

// rule says which values of the right type are allowed. refuses returns why one is
// not, in Kafka's words.
type rule struct {
	allowed string
	check   func(any) string
}

func (r rule) refuses(v any) string {
	if r.check == nil {
		return ""
	}
	return r.check(v)
}

func atLeast(low int64) rule {
	return rule{fmt.Sprintf("%d or more", low), func(v any) string {
		if v.(int64) < low {
			return fmt.Sprintf("Value must be at least %d", low)
		}
		return ""
	}}
}

func between(low, high int64) rule {
	return rule{fmt.Sprintf("%d to %d", low, high), func(v any) string {
		switch n := v.(int64); {
		case n < low:
			return fmt.Sprintf("Value must be at least %d", low)
		case n > high:
			return fmt.Sprintf("Value must be no more than %d", high)
		}
		return ""
	}}
}

func fraction() rule {
	return rule{"0 to 1", func(v any) string {
		switch f := v.(float64); {
		case f < 0:
			return "Value must be at least 0"
		case f > 1:
			return "Value must be no more than 1"
		}
		return ""
	}}
}

func oneOf(words ...string) rule {
	all := strings.Join(words, ", ")
	return rule{"one of " + all, func(v any) string {
		if !slices.Contains(words, v.(string)) {
			return "String must be one of: " + all
		}
		return ""
	}}
}

// listOf allows words of a list, in any number.
func listOf(words ...string) rule {
	all := strings.Join(words, ", ")
	return rule{"any of " + all, func(v any) string {
		for _, w := range v.([]string) {
			if !slices.Contains(words, w) {
				return "String must be one of: " + all
			}
		}
		return ""
	}}
}

// orUnlimited allows -1 besides the values of a rule.
func orUnlimited(r rule) rule {
	return rule{"-1, or " + r.allowed, func(v any) string {
		if v.(int64) == -1 {
			return ""
		}
		if reason := r.check(v); reason != "" {
			return reason + " or equal to -1"
		}
		return ""
	}}
}

// gzipLevel is 1 to 9 or -1, in the words that Kafka has for it.
func gzipLevel() rule {
	return rule{"-1, or 1 to 9", func(v any) string {
		if n := v.(int64); n != -1 && (n < 1 || n > 9) {
			return "Value must be between 1 and 9 or equal to -1"
		}
		return ""
	}}
}

func text(allowed, reason string, ok func(string) bool) rule {
	return rule{allowed, func(v any) string {
		if !ok(v.(string)) {
			return reason
		}
		return ""
	}}
}
