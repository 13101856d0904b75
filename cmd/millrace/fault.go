package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"millrace/internal/datadir"
	"millrace/internal/faultbook"
	"millrace/internal/shop"
	"millrace/internal/shopclient"
	"millrace/pkg/fault"
)

func newFault(p *program) *cobra.Command {
	f := &faultFlags{}
	c := &cobra.Command{
		Use:   "fault",
		Short: "Make things go wrong on purpose, and watch what the shop makes of it",
		Long: `Make things go wrong on purpose in a shop that was started for it: millrace up --faults.

A fault has a plain name (handler-fails, slow-handler, lost-answer, down, frozen, …), or
is a rule at a point of the code:

  POINT=KIND[,times=N][,skip=N][,delay=DURATION][,match.KEY=VALUE]

The name of a service means all its instances. docs/faults.md says of each fault what one
sees then and what is guaranteed all the same.`,
		Example: `  millrace fault list
  millrace fault set inventory handler-fails --times 2
  millrace fault set inventory handler-fails --product kettle
  millrace fault set broker frozen
  millrace fault set order relay.after-publish=crash,times=1
  millrace fault clear`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.PersistentFlags().StringVar(&p.data, "data", datadir.Default, "folder of the shop that millrace up runs")
	c.PersistentFlags().StringVar(&f.part, "part", "", "one part or service, instead of the argument PART")
	c.PersistentFlags().StringVar(&f.url, "url", "", "HTTP address of a program that runs without up, as http://127.0.0.1:8081; then there is no PART")
	c.AddCommand(newFaultList(p, f), newFaultSet(p, f), newFaultClear(p, f))
	return c
}

// faultFlags are the flags of all fault commands.
type faultFlags struct{ part, url string }

// takePart returns the part that is meant, and the arguments after it.
func (f *faultFlags) takePart(args []string) (part string, rest []string) {
	switch {
	case f.url != "":
		return "", args
	case f.part != "":
		return f.part, args
	case len(args) > 0:
		return args[0], args[1:]
	default:
		return "", nil
	}
}

// target is a program in which faults can be set.
type target struct {
	datadir.Part

	client *shopclient.Client // nil: it answers no HTTP
}

// targets are the programs that are meant: that at --url, a part, all instances of a
// service, or all parts. The caller calls done.
func (p *program) targets(f *faultFlags, name string) (list []target, s datadir.Shop, done func(), err error) {
	done = func() {
		for _, t := range list {
			if t.client != nil {
				t.client.Close()
			}
		}
	}
	if f.url != "" {
		return []target{{datadir.Part{Name: f.url, URL: f.url}, shopclient.New(f.url)}}, s, done, nil
	}
	if s, err = p.runningShop(); err != nil {
		return nil, s, done, err
	}
	var names []string
	for _, part := range s.Parts {
		names = append(names, part.Name)
		if name != "" && part.Name != name && part.Service != name {
			continue
		}
		t := target{Part: part}
		if part.URL != "" {
			t.client = shopclient.New(part.URL)
		}
		list = append(list, t)
	}
	if len(list) == 0 {
		return nil, s, done, &hinted{err: notThere("part", name, names), hint: "What can be set: millrace fault list"}
	}
	if !s.Faults {
		return nil, s, done, &hinted{err: errors.New("faults are not enabled in this shop"), hint: "Start it with: millrace up --faults"}
	}
	return list, s, done, nil
}

// reach does something with a program's faults. One that does not answer may have died of a
// fault a moment ago: it is waited for, unless it is down on purpose.
func (p *program) reach(ctx context.Context, s datadir.Shop, t target, do func(*shopclient.Client) error) error {
	if down := t.down(); down != nil {
		return down
	}
	err := do(t.client)
	var unreachable *shopclient.UnreachableError
	if s.ControlURL == "" || !errors.As(err, &unreachable) {
		return err
	}
	control := shopclient.NewPatient(s.ControlURL)
	defer control.Close()
	list, listErr := control.Parts(ctx)
	if listErr != nil {
		return err
	}
	for _, part := range list.Parts {
		switch {
		case part.Name != t.Name:
		case part.State == shop.Running, part.State == shop.Restarting:
			if _, err := control.Part(ctx, t.Name, "start"); err != nil { // waits until it works
				return err
			}
			return do(t.client)
		default:
			t.State = string(part.State)
			return t.down()
		}
	}
	return err
}

// down says that a part cannot be asked, and how to bring it back; nil when it can.
func (t target) down() error {
	switch shop.State(t.State) {
	case shop.Stopped, shop.Frozen, shop.Ended:
		return &hinted{err: fmt.Errorf("it is %s", t.State), hint: "Bring it back with: millrace fault clear " + t.Name}
	}
	return nil
}

// kindOf is the name under which the book has a part: the service, for an instance.
func (t target) kindOf() string {
	if t.Service != "" {
		return t.Service
	}
	return t.Name
}

func newFaultSet(p *program, f *faultFlags) *cobra.Command {
	var o setOptions
	c := &cobra.Command{
		Use:   "set PART FAULT|POINT=KIND[,…]",
		Short: "Set a fault: by its name, or as a rule",
		Example: `  millrace fault set inventory handler-fails --times 2
  millrace fault set notification slow-handler --delay 5s
  millrace fault set inventory rebalance-storm --for 20s
  millrace fault set broker poison-message --topic orders
  millrace fault set --url http://127.0.0.1:8081 order.after-commit=error,times=1`,
		Args: cobra.ArbitraryArgs,
	}
	c.Flags().IntVar(&o.Times, "times", 0, "how often it happens (default: what the fault has)")
	c.Flags().BoolVar(&o.Always, "always", false, "however often it has happened")
	c.Flags().IntVar(&o.Skip, "skip", 0, "how often it passes before")
	c.Flags().DurationVar(&o.Delay, "delay", 0, "how long what is slow takes (default: what the fault has)")
	c.Flags().BoolVar(&o.Permanent, "permanent", false, "fail in a way that no further try cures")
	c.Flags().StringVar(&o.Product, "product", "", "only for orders with this product")
	c.Flags().StringVar(&o.Order, "order", "", "only for this order")
	c.Flags().DurationVar(&o.storm, "for", 10*time.Second, "how long a rebalance-storm lasts; Ctrl-C ends it sooner")
	c.Flags().StringVar(&o.topic, "topic", "orders", "where a poison-message goes")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		part, rest := f.takePart(args)
		if part == "" && f.url == "" {
			return &usageError{errors.New("which part? As in: millrace fault set inventory handler-fails")}
		}
		if len(rest) == 0 {
			return p.askWhich(f, part)
		}
		if o.Always && o.Times != 0 {
			return &usageError{errors.New("--times and --always exclude one another")}
		}
		return p.setFaults(cmd.Context(), f, part, rest, o)
	}
	return c
}

// setOptions are the flags of fault set.
type setOptions struct {
	faultbook.Options

	storm time.Duration
	topic string
}

// askWhich says what can be set in a part.
func (p *program) askWhich(f *faultFlags, part string) error {
	list, _, done, err := p.targets(f, part)
	defer done()
	if err != nil {
		return err
	}
	var names []string
	for _, known := range faultbook.Of(list[0].kindOf()) {
		names = append(names, known.Name)
	}
	return &usageError{fmt.Errorf("which fault of %s? There is: %s, or POINT=KIND", part, strings.Join(names, ", "))}
}

// setFaults sets faults, each given by its name or as a rule.
func (p *program) setFaults(ctx context.Context, f *faultFlags, part string, faults []string, o setOptions) error {
	list, s, done, err := p.targets(f, part)
	defer done()
	if err != nil {
		return err
	}
	for _, text := range faults {
		if strings.Contains(text, "=") {
			if err := p.setRule(ctx, s, list, text, o); err != nil {
				return err
			}
			continue
		}
		if f.url != "" {
			return &usageError{fmt.Errorf("%q is no rule; with --url it has to be one: POINT=KIND[,…]", text)}
		}
		known, err := faultbook.Find(list[0].kindOf(), text)
		if err != nil {
			return &hinted{err: err, hint: "What can be set: millrace fault list " + part}
		}
		if err := p.setKnown(ctx, s, list, known, o); err != nil {
			return err
		}
	}
	return nil
}

func (p *program) setRule(ctx context.Context, s datadir.Shop, list []target, text string, o setOptions) error {
	if o.Options != (faultbook.Options{}) {
		return &usageError{fmt.Errorf("options are for faults by their names; write them into the rule, as %s,times=2", text)}
	}
	rule, err := fault.ParseRule(text)
	if err != nil {
		return &usageError{fmt.Errorf("rule %q: %w", text, err)}
	}
	return p.setEverywhere(ctx, s, list, []fault.Rule{rule})
}

// setEverywhere sets rules in all programs that are meant.
func (p *program) setEverywhere(ctx context.Context, s datadir.Shop, list []target, rules []fault.Rule) error {
	for _, t := range list {
		if t.client == nil {
			return &hinted{err: fmt.Errorf("%s has no points for rules", t.Name), hint: "What can be set: millrace fault list " + t.Name}
		}
		for _, rule := range rules {
			err := p.reach(ctx, s, t, func(c *shopclient.Client) error {
				_, err := c.SetFault(ctx, rule)
				return err
			})
			if err != nil {
				return adviseOperator(fmt.Errorf("%s: %w", t.Name, err))
			}
			fmt.Fprintf(p.stdout, "%s: %s\n", t.Name, rule)
		}
	}
	return nil
}

// setKnown sets a fault of the book.
func (p *program) setKnown(ctx context.Context, s datadir.Shop, list []target, known faultbook.Fault, o setOptions) error {
	rules, err := known.Set(o.Options)
	if err != nil {
		return &usageError{err}
	}
	if len(rules) > 0 {
		return p.setEverywhere(ctx, s, list, rules)
	}
	switch known.Action {
	case faultbook.Poison:
		return p.poison(ctx, s, o.topic)
	case faultbook.Storm:
		return p.storm(ctx, s, list[0].kindOf(), o.storm)
	default:
		return p.actOn(ctx, s, list, string(known.Action))
	}
}

// actOn does something to the processes of parts.
func (p *program) actOn(ctx context.Context, s datadir.Shop, list []target, verb string) error {
	client := shopclient.NewPatient(s.ControlURL)
	defer client.Close()
	for _, t := range list {
		part, err := client.Part(ctx, t.Name, verb)
		if err != nil {
			return adviseOperator(err)
		}
		fmt.Fprintf(p.stdout, "%s is %s\n", part.Name, stateText(p.stdout, part.State))
	}
	return nil
}

func newFaultClear(p *program, f *faultFlags) *cobra.Command {
	c := &cobra.Command{
		Use:   "clear [PART [FAULT|POINT]]",
		Short: "Make all well again, or one part, or take one fault away",
		Long: `Make all well again, or one part, or take one fault away.

Rules are cleared, frozen parts go on, and parts that are stopped are started again.`,
		Args: cobra.MaximumNArgs(2),
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		part, rest := f.takePart(args)
		if len(rest) > 1 {
			return &usageError{errors.New("one fault at a time, or all: millrace fault clear PART")}
		}
		list, s, done, err := p.targets(f, part)
		defer done()
		if err != nil {
			return err
		}
		if len(rest) == 1 {
			return p.clearOne(cmd.Context(), s, list, rest[0])
		}
		return p.clearAll(cmd.Context(), s, list)
	}
	return c
}

// clearAll brings parts back and takes their rules away. A part that cannot be reached is
// told of at the end: the others are well then.
func (p *program) clearAll(ctx context.Context, s datadir.Shop, list []target) error {
	var failed []error
	for _, t := range list {
		if err := p.bringBack(ctx, s, t); err != nil {
			failed = append(failed, err)
			continue
		}
		if t.client == nil {
			continue
		}
		t.State = string(shop.Running)
		n := 0
		err := p.reach(ctx, s, t, func(c *shopclient.Client) (err error) {
			n, err = clearRules(ctx, c)
			return err
		})
		switch {
		case isNoPoints(err): // a part without any
		case err != nil:
			failed = append(failed, fmt.Errorf("%s: %w", t.Name, err))
		case n > 0:
			fmt.Fprintf(p.stdout, "%s: %d cleared\n", t.Name, n)
		}
	}
	if err := errors.Join(failed...); err != nil {
		return adviseOperator(err)
	}
	fmt.Fprintln(p.stdout, "No fault is set.")
	return nil
}

// bringBack thaws or starts a part.
func (p *program) bringBack(ctx context.Context, s datadir.Shop, t target) error {
	verb := map[string]string{"frozen": "thaw", "stopped": "start", "ended": "start"}[t.State]
	if verb == "" {
		return nil
	}
	return p.actOn(ctx, s, []target{t}, verb)
}

// clearRules clears a program's rules and returns how many there were.
func clearRules(ctx context.Context, client *shopclient.Client) (n int, err error) {
	points, err := client.Faults(ctx)
	if err != nil {
		return 0, err
	}
	for _, s := range points {
		if s.Rule != nil {
			n++
		}
	}
	if n == 0 {
		return 0, nil
	}
	return n, client.ClearFaults(ctx, "")
}

// isNoPoints tells whether a program has no faults at all, as the collector.
func isNoPoints(err error) bool {
	var answer *shopclient.Problem
	return errors.As(err, &answer) && answer.Status == http.StatusNotFound
}

// clearOne takes one fault away.
func (p *program) clearOne(ctx context.Context, s datadir.Shop, list []target, name string) error {
	points := []fault.Point{fault.Point(name)}
	if known, err := faultbook.Find(list[0].kindOf(), name); err == nil {
		switch known.Action {
		case "":
		case faultbook.Poison, faultbook.Storm, faultbook.Kill:
			return fmt.Errorf("%s happens once: there is nothing to clear", name)
		default:
			for _, t := range list {
				if err := p.bringBack(ctx, s, t); err != nil {
					return err
				}
			}
			return nil
		}
		points = nil
		for _, r := range slices.Concat(known.Rules, known.OfProduct) {
			if !slices.Contains(points, r.Point) {
				points = append(points, r.Point)
			}
		}
	}
	for _, t := range list {
		for _, point := range points {
			if t.client == nil {
				return fmt.Errorf("%s has no points for rules", t.Name)
			}
			if err := p.reach(ctx, s, t, func(c *shopclient.Client) error { return c.ClearFaults(ctx, point) }); err != nil {
				return adviseOperator(fmt.Errorf("%s: %w", t.Name, err))
			}
			fmt.Fprintf(p.stdout, "%s: nothing is set at %s\n", t.Name, point)
		}
	}
	return nil
}
