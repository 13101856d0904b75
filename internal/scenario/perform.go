package scenario

import (
	"context"
	"fmt"
	"math"
	"time"
)

// Verdict is how a scenario ended.
type Verdict string

// The verdicts. A scenario that could not come to one has failed, with an error.
const (
	Pass Verdict = "pass"
	Fail Verdict = "fail"
)

// Outcome is the result of a play. Its JSON form is stable.
type Outcome struct {
	Scenario string          `json:"scenario"`
	Verdict  Verdict         `json:"verdict"`
	Seconds  float64         `json:"seconds"` // from the start to the verdict
	Checks   map[string]bool `json:"checks,omitempty"`
	Evidence Evidence        `json:"evidence,omitempty"`
	Error    string          `json:"error,omitempty"` // why there is no verdict

	checks []Check
}

// Perform plays a scenario and prints its verdict. The caller closes the stage's
// environment.
func Perform(ctx context.Context, sc Scenario, s *Stage) Outcome {
	patience := sc.Patience
	if patience == 0 {
		patience = defaultPatience
	}
	playing, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s.open()
	evidence, err := sc.Play(playing, s)
	o := Outcome{Scenario: sc.Name, Verdict: Fail, Seconds: math.Round(100*time.Since(s.began).Seconds()) / 100}
	switch {
	case err != nil && playing.Err() != nil && ctx.Err() == nil:
		o.Error = fmt.Sprintf("not done after %s: %v", patience, err)
	case err != nil:
		o.Error = err.Error()
	default:
		o.judge(evidence)
	}
	s.conclude(o)
	return o
}

// judge takes the evidence's own verdict.
func (o *Outcome) judge(e Evidence) {
	o.Evidence, o.checks, o.Checks = e, e.Verdict(), map[string]bool{}
	for _, c := range o.checks {
		o.Checks[c.Name] = c.OK
	}
	if Passed(o.checks) {
		o.Verdict = Pass
	}
}
