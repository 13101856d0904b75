package observability

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// selector is a metric with what an expression asks of its labels.
type selector struct {
	metric string
	labels []matcher
}

type matcher struct {
	name, value string
	exact       bool // =, not =~, != or !~
}

// What of PromQL has to be told apart to find its selectors. Whether an expression parses is for promtool to say; this only
// has to see every metric and label in it, and TestSelectors shows that it does. The parser of Prometheus would bring its
// server's dependencies into the workspace. Braces inside of label values are not looked through; none of ours has any.
var (
	quoted      = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	grouping    = regexp.MustCompile(`\b(by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)`)
	name        = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*`)
	withLabels  = regexp.MustCompile(`([a-zA-Z_:][a-zA-Z0-9_:]*)?\s*\{([^}]*)\}`)
	labelTerm   = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"`)
	durations   = regexp.MustCompile(`\[[^\]]*\]|\boffset\s+\S+`)
	variables   = regexp.MustCompile(`\$\{?[a-zA-Z_]+\}?`)
	keywords    = []string{"and", "or", "unless", "bool", "inf", "nan", "Inf", "NaN"}
	callOrAfter = regexp.MustCompile(`^\s*\(`)
)

// selectors finds the metrics of an expression. Labels of by, on and without are asked of all of them.
func selectors(expression string) []selector {
	expression = variables.ReplaceAllString(expression, "1m")
	var shared []matcher
	for _, m := range grouping.FindAllStringSubmatch(expression, -1) {
		for _, label := range name.FindAllString(m[2], -1) {
			shared = append(shared, matcher{name: label})
		}
	}
	expression = grouping.ReplaceAllString(expression, " ")
	var found []selector
	for _, m := range withLabels.FindAllStringSubmatch(expression, -1) {
		s := selector{metric: m[1], labels: slices.Clone(shared)}
		for _, l := range labelTerm.FindAllStringSubmatch(m[2], -1) {
			s.labels = append(s.labels, matcher{l[1], l[3], l[2] == "="})
		}
		found = append(found, s)
	}
	expression = withLabels.ReplaceAllString(expression, " ")
	expression = durations.ReplaceAllString(quoted.ReplaceAllString(expression, " "), " ")
	for _, at := range name.FindAllStringIndex(expression, -1) {
		word, rest := expression[at[0]:at[1]], expression[at[1]:]
		isNumber := at[0] > 0 && strings.ContainsAny(expression[at[0]-1:at[0]], "0123456789.")
		if callOrAfter.MatchString(rest) || slices.Contains(keywords, word) || isNumber {
			continue
		}
		// An aggregation may have its grouping between its name and its parenthesis; that is cut out above.
		found = append(found, selector{word, slices.Clone(shared)})
	}
	return found
}

func TestSelectors(t *testing.T) {
	for expression, want := range map[string][]string{
		`up == 0`: {"up"},
		`sum by (group, topic) (rate(a_total{outcome="ok",x=~"y|z"}[5m])) > 0.1`:       {"a_total group topic outcome=ok x"},
		`histogram_quantile(0.99, sum by (le) (rate(b_bucket[5m]))) > 1e3`:             {"b_bucket le"},
		`sum(rate(a[1m])) by (job) / on (job) group_left () sum(rate(c[1m])) by (job)`: {"a job job job", "c job job job"},
		`max_over_time(a{job="x"}[10m:1m]) offset 5m and b unless c`:                   {"a job=x", "b", "c"},
		`label_replace(a, "dst", "$1", "src", "(.*)")`:                                 {"a"},
	} {
		var got []string
		for _, s := range selectors(expression) {
			text := s.metric
			for _, l := range s.labels {
				text += " " + l.name
				if l.exact {
					text += "=" + l.value
				}
			}
			got = append(got, text)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s\ngot  %q\nwant %q", expression, got, want)
		}
	}
}
