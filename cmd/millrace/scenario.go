package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"millrace/internal/datadir"
	"millrace/internal/part"
	"millrace/internal/scenario"
	"millrace/internal/scenario/course"
	"millrace/internal/terminal"
)

func newScenario(p *program) *cobra.Command {
	c := &cobra.Command{
		Use:   "scenario",
		Short: "Watch what the course teaches happen, explained, with a verdict",
		Long: `Watch what the course teaches happen on a real broker or a real shop: each scenario
shows what happens as it happens, explains it, and ends in a verdict computed from
the data. What it needs it starts by itself, and ends and removes afterwards.`,
		Example: `  millrace scenario list
  millrace scenario run rebalance
  millrace scenario run queue-vs-broadcast --lang vi
  millrace scenario run acks --json`,
	}
	c.AddCommand(newScenarioList(p), newScenarioRun(p), newScenarioMember(p))
	return c
}

// errScenarioFailed is returned when a scenario has said itself what is wrong.
var errScenarioFailed = errors.New("the scenario did not pass")

// addLangFlag gives a command --lang.
func (p *program) addLangFlag(c *cobra.Command) func() (scenario.Lang, error) {
	lang := c.Flags().String("lang", "", "language of the explanations: vi, en (default: that of LC_ALL, LC_MESSAGES or LANG)")
	_ = c.RegisterFlagCompletionFunc("lang", cobra.FixedCompletions([]string{"vi", "en"}, cobra.ShellCompDirectiveNoFileComp))
	return func() (scenario.Lang, error) {
		if *lang == "" {
			return scenario.LangOf(p.getenv), nil
		}
		l, err := scenario.ParseLang(*lang)
		if err != nil {
			return "", &usageError{fmt.Errorf("--lang: %w", err)}
		}
		return l, nil
	}
}

func newScenarioList(p *program) *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List the scenarios",
		Args:  cobra.NoArgs,
	}
	lang, output := p.addLangFlag(c), addOutputFlag(c)
	c.RunE = func(*cobra.Command, []string) error {
		l, err := lang()
		if err != nil {
			return err
		}
		if *output == formatJSON {
			type row struct {
				Name    string         `json:"name"`
				Needs   scenario.Needs `json:"needs"`
				Course  []string       `json:"course"`
				Title   string         `json:"title"`
				Summary string         `json:"summary"`
			}
			rows := []row{}
			for _, s := range course.All() {
				rows = append(rows, row{s.Name, s.Needs, s.Course, s.Texts[l]["title"], s.Texts[l]["summary"]})
			}
			return printJSON(p.stdout, rows)
		}
		t := terminal.Table{}
		t.Add("SCENARIO", "COURSE", "WHAT IT SHOWS")
		for _, s := range course.All() {
			t.Add(s.Name, strings.Join(s.Course, " "), s.Texts[l]["summary"])
		}
		fmt.Fprint(p.stdout, t.Render(p.stdout))
		fmt.Fprintln(p.stderr, "Watch one: millrace scenario run NAME")
		return nil
	}
	return c
}

// scenarioFlags are those of scenario run.
type scenarioFlags struct {
	json, private bool
	brokers       string
	options       scenario.Options
}

func newScenarioRun(p *program) *cobra.Command {
	var f scenarioFlags
	c := &cobra.Command{
		Use:   "run NAME",
		Short: "Play a scenario: what happens, why, and a verdict",
		Long: `Play a scenario: what happens, why, and a verdict computed from the data.

Scenarios that need a broker alone use that of the running shop, with topics of
their own, or start a private one. Those that break things start a private shop in
a temporary folder, and leave a running one alone. Exit code 0 means: passed.`,
		Example: `  millrace scenario run keys-and-order
  millrace scenario run burst --events 100000 --svg burst-lag.svg
  millrace scenario run acks --json 2>/dev/null | jq .evidence`,
		Args: cobra.ExactArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return scenarioNames(), cobra.ShellCompDirectiveNoFileComp
		},
	}
	c.Flags().BoolVar(&f.json, "json", false, "the last line on stdout is the verdict with its evidence; the narration goes to stderr")
	c.Flags().BoolVar(&f.private, "private", false, "start a private broker even when a shop runs")
	c.Flags().StringVar(&f.brokers, "brokers", "", "use this Kafka (host:port, several with commas), for scenarios that need a broker alone")
	c.Flags().StringVar(&p.data, "data", datadir.Default, "folder of a shop that may be running")
	c.Flags().IntVar(&f.options.Events, "events", 0, "burst: how many events (0: what fits into half a minute)")
	c.Flags().StringVar(&f.options.SVG, "svg", "", "burst: write the plot of lag over time to this file")
	lang := p.addLangFlag(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		l, err := lang()
		if err != nil {
			return err
		}
		return p.runScenario(cmd.Context(), args[0], l, f)
	}
	return c
}

func scenarioNames() []string {
	var names []string
	for _, s := range course.All() {
		names = append(names, s.Name)
	}
	return names
}

// check refuses flags that are wrong before anything is started.
func (f scenarioFlags) check(sc scenario.Scenario) error {
	for addr := range strings.SplitSeq(f.brokers, ",") {
		if f.brokers != "" && !strings.Contains(addr, ":") {
			return fmt.Errorf("--brokers: %q is not of the form host:port", addr)
		}
	}
	switch {
	case f.brokers != "" && sc.Needs != scenario.AnyBroker:
		return fmt.Errorf("--brokers: %s breaks what it runs on, so it starts that by itself", sc.Name)
	case f.brokers != "" && f.private:
		return errors.New("--brokers and --private exclude one another")
	case (f.options.Events != 0 || f.options.SVG != "") && sc.MaxEvents == 0:
		return fmt.Errorf("--events and --svg are for burst, %s has neither", sc.Name)
	case f.options.Events < 0 || f.options.Events > sc.MaxEvents:
		return fmt.Errorf("--events %d, allowed: 1 to %d", f.options.Events, sc.MaxEvents)
	}
	return nil
}

func (p *program) runScenario(ctx context.Context, name string, lang scenario.Lang, f scenarioFlags) error {
	sc, err := scenario.Find(course.All(), name)
	var unknown *scenario.UnknownError
	if errors.As(err, &unknown) {
		return &usageError{&hinted{err: err, hint: "There are: " + strings.Join(unknown.Names, ", ") + "\nWhat each shows: millrace scenario list"}}
	}
	if err := f.check(sc); err != nil {
		return &usageError{err}
	}
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	hurry, stopSignals := followSignals(cancel)
	defer stopSignals()
	if startedByGoRun() {
		go followParent(ctx, cancel)
	}
	config := scenario.EnvConfig{Executable: executable, Environ: p.environ, Data: p.data, Hurry: hurry}
	if f.brokers != "" {
		config.Brokers = strings.Split(f.brokers, ",")
	}
	if f.private {
		config.Data = ""
	}
	out := p.stdout
	if f.json {
		out = p.stderr
	}
	env := scenario.NewEnv(config)
	outcome := scenario.Perform(ctx, sc, scenario.NewStage(sc, lang, out, env, f.options))
	closeErr := closeScenario(ctx, env)
	switch {
	case ctx.Err() != nil:
		return errors.Join(errors.New("stopped before there was a verdict; what was started is ended and removed"), closeErr)
	case f.json:
		line, err := json.Marshal(outcome)
		if err != nil {
			return errors.Join(err, closeErr)
		}
		fmt.Fprintf(p.stdout, "%s\n", line)
	}
	if closeErr != nil {
		return fmt.Errorf("clean up: %w", closeErr)
	}
	if outcome.Verdict != scenario.Pass {
		return errScenarioFailed
	}
	return nil
}

// closeScenario ends what was started, whether or not ctx has ended.
func closeScenario(ctx context.Context, env *scenario.Env) error {
	const patience = time.Minute
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	return env.Close(ctx)
}

// newScenarioMember is a consumer that a scenario starts as a process of its own.
func newScenarioMember(p *program) *cobra.Command {
	var m scenario.MemberConfig
	c := &cobra.Command{
		Use:    "member",
		Short:  "Read a topic as a member of a group, for scenarios",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return part.Run(cmd.Context(), func(ctx context.Context) error { return scenario.RunMember(ctx, m, p.stdout) })
		},
	}
	c.Flags().StringVar(&m.Brokers, "brokers", "", "bootstrap addresses")
	c.Flags().StringVar(&m.Group, "group", "", "consumer group")
	c.Flags().StringVar(&m.Topic, "topic", "", "topic")
	c.Flags().StringVar(&m.ClientID, "client-id", "", "client id")
	c.Flags().DurationVar(&m.Session, "session", 10*time.Second, "session timeout")
	for _, name := range []string{"brokers", "group", "topic", "client-id"} {
		_ = c.MarkFlagRequired(name)
	}
	return c
}
