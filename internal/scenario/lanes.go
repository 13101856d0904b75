package scenario

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"millrace/internal/terminal"
)

// View is what the coordinator of a group says about one topic at one moment.
type View struct {
	State   string // Kafka's word: Stable, PreparingRebalance, Empty, …
	Holders []Holder
	Lags    map[int32]int64 // partition → records that are not committed yet
	Commits map[int32]int64 // partition → committed offset, -1 for none
}

// Holder is a member that reads the topic, with what it holds of it, sorted; one
// that holds nothing stands by.
type Holder struct {
	Member     string
	Partitions []int32
}

// Stable reports whether every partition has its member and no rebalance is under way.
func (v View) Stable() bool { return v.State == "Stable" }

// Shape is how many partitions each member holds, the most first: 1, 1, 1, 0.
func (v View) Shape() []int {
	shape := make([]int, 0, len(v.Holders))
	for _, h := range v.Holders {
		shape = append(shape, len(h.Partitions))
	}
	slices.SortFunc(shape, func(a, b int) int { return b - a })
	return shape
}

// Holding returns what a member holds.
func (v View) Holding(member string) []int32 {
	for _, h := range v.Holders {
		if h.Member == member {
			return h.Partitions
		}
	}
	return nil
}

// Lag sums the lag of all partitions.
func (v View) Lag() (sum int64) {
	for _, n := range v.Lags {
		sum += n
	}
	return sum
}

// sameHolders reports whether nothing that the lanes show in a line has changed.
func (v View) sameHolders(o View) bool {
	return v.State == o.State && slices.EqualFunc(v.Holders, o.Holders, func(a, b Holder) bool {
		return a.Member == b.Member && slices.Equal(a.Partitions, b.Partitions)
	})
}

// line is the assignment in one line: "a → 0 1 | b → 2 3 | c → –".
func (v View) line() string {
	var parts []string
	for _, h := range v.Holders {
		held := "–"
		if len(h.Partitions) > 0 {
			held = strings.ReplaceAll(joined(h.Partitions), ",", "")
		}
		parts = append(parts, h.Member+" → "+held)
	}
	if len(parts) == 0 {
		parts = []string{"–"}
	}
	if v.State != "Stable" {
		parts = append(parts, "("+v.State+")")
	}
	return strings.Join(parts, " | ")
}

// lanes draws the assignment, one lane for each partition, then those that stand by.
func (s *Stage) lanes(group, topic string, v View) []string {
	out := s.screen.out
	owner := map[int32]string{}
	colour := map[string]terminal.Colour{}
	for i, h := range v.Holders {
		colour[h.Member] = terminal.PartColours[i%len(terminal.PartColours)]
		for _, p := range h.Partitions {
			owner[p] = h.Member
		}
	}
	wide := 0
	for _, h := range v.Holders {
		wide = max(wide, utf8.RuneCountInString(h.Member))
	}
	partitions := slices.Sorted(maps.Keys(v.Lags))
	for p := range owner {
		if !slices.Contains(partitions, p) {
			partitions = append(partitions, p)
		}
	}
	slices.Sort(partitions)
	lines := []string{out.Paint(terminal.Bold, fmt.Sprintf("  %s %s  %s", s.Text("lanes_group", nil), group, v.State))}
	for _, p := range partitions {
		holder := owner[p]
		shaft := "═══▶ " + pad(holder, wide)
		if holder == "" {
			shaft = "···  " + pad(s.Text("lanes_nobody", nil), wide)
		}
		line := fmt.Sprintf("  %s/%d %s", topic, p, out.Paint(colour[holder], shaft))
		if lag, ok := v.Lags[p]; ok {
			line += fmt.Sprintf("  lag %d", lag)
		}
		lines = append(lines, line)
	}
	for _, h := range v.Holders {
		if len(h.Partitions) == 0 {
			lines = append(lines, out.Paint(terminal.Faint, fmt.Sprintf("  %s: %s", h.Member, s.Text("lanes_idle", nil))))
		}
	}
	return lines
}

func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
}
