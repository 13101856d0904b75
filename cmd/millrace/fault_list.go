package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"millrace/internal/faultbook"
	"millrace/internal/terminal"
	"millrace/pkg/fault/faultapi"
)

// partFaults is what can go wrong in one part, and what does.
type partFaults struct {
	Part    string           `json:"part"`
	Service string           `json:"service,omitempty"`
	State   string           `json:"state,omitempty"`
	URL     string           `json:"url,omitempty"`
	Faults  []namedFault     `json:"faults"` // by plain names
	Points  []faultapi.State `json:"points"` // for rules
	Error   string           `json:"error,omitempty"`
}

type namedFault struct {
	Name    string `json:"name"`
	Summary string `json:"summary"`
	Rule    string `json:"rule,omitempty"`
	Action  string `json:"action,omitempty"`
}

func newFaultList(p *program, f *faultFlags) *cobra.Command {
	c := &cobra.Command{
		Use:   "list [PART]",
		Short: "List the faults that can be set, and those that are, with how often they happened",
		Args:  cobra.MaximumNArgs(1),
	}
	output := addOutputFlag(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		name, rest := f.takePart(args)
		if len(rest) > 0 {
			return &usageError{fmt.Errorf("%q is one part too many", rest[0])}
		}
		list, _, done, err := p.targets(f, name)
		defer done()
		if err != nil {
			return err
		}
		parts := lookAt(cmd.Context(), list)
		if f.url != "" && parts[0].err != nil {
			return adviseOperator(parts[0].err)
		}
		if *output == formatJSON {
			all := make([]partFaults, len(parts))
			for i := range parts {
				all[i] = parts[i].partFaults
			}
			return printJSON(p.stdout, map[string]any{"parts": all})
		}
		fmt.Fprint(p.stdout, faultText(p.stdout, parts, name != "" || f.url != ""))
		return nil
	}
	return c
}

// askTimeout bounds the wait for the answers of all parts.
const askTimeout = 5 * time.Second

// seen is a part with why it could not be asked.
type seen struct {
	partFaults

	kind string
	err  error
}

// lookAt asks all programs at the same time: one that is frozen does not answer.
func lookAt(ctx context.Context, list []target) []seen {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	parts := make([]seen, len(list))
	var wg sync.WaitGroup
	for i, t := range list {
		s := &parts[i]
		s.kind = t.kindOf()
		s.partFaults = partFaults{Part: t.Name, Service: t.Service, State: t.State, URL: t.URL, Faults: []namedFault{}, Points: []faultapi.State{}}
		for _, known := range faultbook.Of(s.kind) {
			rules := make([]string, len(known.Rules))
			for i, r := range known.Rules {
				rules[i] = r.String()
			}
			s.Faults = append(s.Faults, namedFault{known.Name, known.Summary, strings.Join(rules, ";"), string(known.Action)})
		}
		if t.client == nil || t.State != "" && t.State != "running" {
			continue
		}
		wg.Go(func() {
			points, err := t.client.Faults(ctx)
			switch {
			case err == nil:
				s.Points = points
			case !isNoPoints(err):
				s.err, s.Error = err, err.Error()
			}
		})
	}
	wg.Wait()
	return parts
}

// faultText shows what is set, then what can be set: by plain names for all parts, with
// all points when details are asked for.
func faultText(out terminal.Output, parts []seen, details bool) string {
	var b strings.Builder
	set := terminal.Table{Right: []bool{false, false, true, true}}
	set.Add("PART", "SET NOW", "FIRED", "SEEN")
	for _, s := range parts {
		if s.State != "" && s.State != "running" {
			set.Add(s.Part, s.State, "-", "-")
		}
		if s.Error != "" {
			set.Add(s.Part, "(does not answer)", "-", "-")
		}
		for _, point := range s.Points {
			if point.Rule != nil {
				set.Add(s.Part, point.Rule.String(), strconv.FormatInt(point.Fired, 10), strconv.FormatInt(point.Seen, 10))
			}
		}
	}
	if len(set.Rows) > 1 {
		b.WriteString(set.Render(out) + "\n")
	} else {
		b.WriteString("No fault is set.\n\n")
	}
	b.WriteString(canText(out, parts, details))
	if !details {
		b.WriteString("\nSet one: millrace fault set PART FAULT. Points for rules: millrace fault list PART\n")
		return b.String()
	}
	points := terminal.Table{}
	points.Add("POINT", "KINDS", "MATCH", "WHERE")
	for _, s := range parts[:1] {
		for _, point := range s.Points {
			kinds := make([]string, len(point.Kinds))
			for i, k := range point.Kinds {
				kinds[i] = string(k)
			}
			points.Add(string(point.Point), strings.Join(kinds, " "), strings.Join(point.Match, " "), point.Summary)
		}
	}
	if len(points.Rows) > 1 {
		b.WriteString("\n" + points.Render(out) + "\nA rule: POINT=KIND[,times=N][,skip=N][,delay=DURATION][,match.KEY=VALUE]\n")
	}
	return b.String()
}

// canText lists the faults with plain names: those of one part, or all with their parts.
func canText(out terminal.Output, parts []seen, details bool) string {
	kinds := map[string]bool{}
	for _, s := range parts {
		kinds[s.kind] = true
	}
	can := terminal.Table{}
	can.Add("FAULT", "OF", "WHAT GOES WRONG")
	for _, known := range faultbook.All() {
		var of []string
		for _, part := range known.Parts {
			if kinds[part] {
				of = append(of, part)
			}
		}
		switch {
		case len(of) == 0:
			continue
		case len(of) == len(kinds) && !details:
			of = []string{"any part"}
		}
		can.Add(known.Name, strings.Join(of, ", "), known.Summary)
	}
	if len(can.Rows) == 1 {
		return ""
	}
	return can.Render(out)
}
