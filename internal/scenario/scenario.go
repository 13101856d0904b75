package scenario

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"millrace/pkg/fault"
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
	Nearest string   // what may have been meant; or empty
	Names   []string // all there are
}

func (e *UnknownError) Error() string {
	s := fmt.Sprintf("there is no scenario %.64q", e.Name)
	if e.Nearest != "" {
		s += ", did you mean " + e.Nearest + "?"
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
	const prefix = "wrong-" // easily left away
	lower := strings.ToLower(name)
	near := fault.Nearest(lower, names)
	if near == "" {
		near = fault.Nearest(prefix+lower, names)
	}
	return Scenario{}, &UnknownError{Name: name, Nearest: near, Names: names}
}
