package scenario

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Needs says on what a scenario can be played.
type Needs string

// What scenarios need.
const (
	// AnyBroker is a broker with topics of the scenario's own: that of the running
	// shop, one that the user names, or a private one.
	AnyBroker Needs = "broker"
	// PrivateBroker is a broker that the scenario may kill or count at.
	PrivateBroker Needs = "private-broker"
	// PrivateShop is a whole shop that the scenario may break.
	PrivateShop Needs = "private-shop"
)

// Scenario is one thing that the course teaches, to watch and to have checked.
type Scenario struct {
	Name   string
	Needs  Needs
	Course []string // what it teaches: rows of the course, as D6
	Texts  map[Lang]Texts
	// Patience bounds the whole play; 0 is defaultPatience.
	Patience time.Duration
	// MaxEvents bounds Options.Events; 0: the scenario knows neither them nor a plot.
	MaxEvents int
	// Play shows it. An error means that it could not come to a verdict.
	Play func(ctx context.Context, s *Stage) (Evidence, error)
}

// defaultPatience is several times what a scenario takes on a slow machine.
const defaultPatience = 3 * time.Minute

// Evidence is what a scenario has measured, as numbers. It is marshalled to JSON.
type Evidence interface {
	// Verdict judges the numbers; it looks at nothing else. The scenario passes when
	// all checks hold.
	Verdict() []Check
}

// Check is one claim and whether the evidence bears it out. The text is that of
// the key "check." and its name.
type Check struct {
	Name string
	OK   bool
	Args A
}

// Passed reports whether there are checks and all of them hold.
func Passed(checks []Check) bool {
	return len(checks) > 0 && !slices.ContainsFunc(checks, func(c Check) bool { return !c.OK })
}

// UnknownError is returned for a scenario that there is not.
type UnknownError struct {
	Name    string
	Nearest []string // likely ones, the likeliest first; empty when there is none
	Names   []string // all there are
}

func (e *UnknownError) Error() string {
	s := fmt.Sprintf("there is no scenario %q", e.Name)
	if len(e.Nearest) > 0 {
		s += ", did you mean " + strings.Join(e.Nearest, " or ") + "?"
	}
	return s
}

// Find looks a scenario up by its name.
func Find(all []Scenario, name string) (Scenario, error) {
	names := make([]string, 0, len(all))
	for _, s := range all {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return Scenario{}, &UnknownError{Name: name, Nearest: nearest(names, name), Names: names}
}

// longestName caps what is compared: a name from outside may be of any length.
const longestName = 64

// nearest returns up to three names that a misspelt one may have meant.
func nearest(names []string, name string) []string {
	if len(name) > longestName {
		return nil
	}
	type candidate struct {
		name     string
		distance int
	}
	var found []candidate
	for _, n := range names {
		d := distance(strings.ToLower(name), n)
		if len(name) >= 4 && strings.Contains(n, strings.ToLower(name)) {
			d = 1
		}
		if d <= 1+len(n)/4 {
			found = append(found, candidate{n, d})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return a.distance - b.distance })
	var out []string
	for _, c := range found[:min(3, len(found))] {
		out = append(out, c.name)
	}
	return out
}

// distance is Levenshtein's, in bytes: names are ASCII.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			diagonal, row[j] = row[j], min(row[j]+1, row[j-1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
