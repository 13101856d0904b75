package scenario

import (
	"bufio"
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Lang is a language that the texts exist in.
type Lang string

// The languages.
const (
	English    Lang = "en"
	Vietnamese Lang = "vi"
)

// Langs lists them.
var Langs = []Lang{English, Vietnamese}

// ParseLang reads a language by its code.
func ParseLang(s string) (Lang, error) {
	if slices.Contains(Langs, Lang(s)) {
		return Lang(s), nil
	}
	return "", fmt.Errorf("language %q is not known, allowed: en, vi", s)
}

// LangOf is the language of an environment: Vietnamese where LC_ALL, LC_MESSAGES
// or LANG, the first that is set, begins with vi; else English.
func LangOf(getenv func(string) string) Lang {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if v := getenv(name); v != "" {
			if strings.HasPrefix(strings.ToLower(v), "vi") {
				return Vietnamese
			}
			return English
		}
	}
	return English
}

// A are the values for the placeholders of a text, by name.
type A map[string]any

// Texts are the texts of one language by their keys. A text may hold placeholders
// as {n}: a translation can put them in another order.
type Texts map[string]string

//go:embed texts/*.txt
var stageFiles embed.FS

var stageTexts = MustLoad(stageFiles, "stage")

// MustLoad reads texts/NAME.LANG.txt for every language from embedded files. It
// panics when one is missing or malformed, which the tests of the package find.
func MustLoad(files fs.FS, name string) map[Lang]Texts {
	all := map[Lang]Texts{}
	for _, lang := range Langs {
		path := fmt.Sprintf("texts/%s.%s.txt", name, lang)
		b, err := fs.ReadFile(files, path)
		if err != nil {
			panic(err)
		}
		if all[lang], err = parseTexts(b); err != nil {
			panic(fmt.Sprintf("%s: %v", path, err))
		}
	}
	return all
}

// parseTexts reads the form of the files:
//
//	# a comment
//	key: a text
//	  that goes on in indented lines
func parseTexts(b []byte) (Texts, error) {
	texts := Texts{}
	var key string
	lines := bufio.NewScanner(bytes.NewReader(b))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimRight(lines.Text(), " ")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, " "):
			if key == "" {
				return nil, fmt.Errorf("line %d: a text without a key", n)
			}
			texts[key] = strings.TrimSpace(texts[key] + " " + strings.TrimSpace(line))
		default:
			k, text, ok := strings.Cut(line, ":")
			if !ok || strings.ContainsAny(k, " \t") {
				return nil, fmt.Errorf("line %d: want KEY: TEXT, got %q", n, line)
			}
			if _, twice := texts[k]; twice {
				return nil, fmt.Errorf("line %d: key %q for the second time", n, k)
			}
			key, texts[k] = k, strings.TrimSpace(text)
		}
	}
	return texts, lines.Err()
}

var placeholder = regexp.MustCompile(`\{[a-z0-9_]+\}`)

// Placeholders lists the names of the placeholders of a text, sorted.
func Placeholders(text string) []string {
	var names []string
	for _, p := range placeholder.FindAllString(text, -1) {
		names = append(names, p[1:len(p)-1])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// fill puts values into a text. A placeholder without a value stays, to be seen.
func fill(text string, args A) string {
	return placeholder.ReplaceAllStringFunc(text, func(p string) string {
		if v, ok := args[p[1:len(p)-1]]; ok {
			return show(v)
		}
		return p
	})
}

// show formats a value for a reader.
func show(v any) string {
	switch v := v.(type) {
	case time.Duration:
		return showDuration(v)
	case float64:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case []int32:
		return joined(v)
	case []int:
		return joined(v)
	case []string:
		return strings.Join(v, ", ")
	default:
		return fmt.Sprint(v)
	}
}

func joined[T any](list []T) string {
	words := make([]string, 0, len(list))
	for _, v := range list {
		words = append(words, fmt.Sprint(v))
	}
	return strings.Join(words, ", ")
}

// showDuration gives three figures, in ms below a second.
func showDuration(d time.Duration) string {
	if d < time.Second {
		return strconv.FormatFloat(float64(d.Microseconds())/1000, 'g', 3, 64) + " ms"
	}
	return strconv.FormatFloat(d.Seconds(), 'f', 2, 64) + " s"
}

// wrap breaks a text into lines of at most width runes.
func wrap(text string, width int) []string {
	var lines []string
	var line []rune
	for word := range strings.FieldsSeq(text) {
		w := []rune(word)
		if len(line) > 0 && len(line)+1+len(w) > width {
			lines = append(lines, string(line))
			line = nil
		}
		if len(line) > 0 {
			line = append(line, ' ')
		}
		line = append(line, w...)
	}
	return append(lines, string(line))
}
