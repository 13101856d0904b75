package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"millrace/internal/datadir"
	"millrace/internal/dlq"
	"millrace/internal/terminal"
	"millrace/pkg/events"
	"millrace/pkg/service"
	"millrace/pkg/telemetry"
	"millrace/pkg/wrongway"
)

type redriveFlags struct {
	all, again, dryRun, yes, createTopic bool
	rate, wrongWay                       string
}

// wrongWays are the values of --wrong-way: what it does, and its name among the others.
var wrongWays = []string{"shared-topic", wrongway.SharedRedrive}

func newDLQRedrive(p *program, common *dlqFlags) *cobra.Command {
	var f redriveFlags
	c := &cobra.Command{
		Use:   "redrive ID… | --all",
		Short: "Send the messages of dead letters to the group that failed, and to no other",
		Long: `Send the messages of dead letters to the retry topic of the group that failed:
ORIGINAL_TOPIC-retry-GROUP. No other group sees them again. Key, headers, trace and
message id stay what they were, so the group's inbox drops a message that was done
after all. The letter stays where it is; dlq-audit says what was done.

It may be ended or killed at any moment and run again: a message that was sent before
that was marked is found in the retry topic and not sent a second time.

--all takes the open letters that the filters choose, oldest first. Exit code 1 says
that a letter was refused or failed; the others were sent.`,
		Example: `  millrace dlq redrive orders-dlq/2/17 --dry-run
  millrace dlq redrive orders-dlq/2/17 orders-dlq/0/3
  millrace dlq redrive --all --group notification-service --class transient --rate 20/s --yes`,
	}
	filters := addFilterFlags(c, "only of the consumer group that failed; with IDs: the group of letters that name none")
	flags := c.Flags()
	flags.BoolVar(&f.all, "all", false, "all letters that the filters choose")
	flags.BoolVar(&f.dryRun, "dry-run", false, "say what would be sent where, and change nothing")
	flags.BoolVar(&f.again, "again", false, "also letters that were redriven before")
	flags.BoolVar(&f.yes, "yes", false, "do not ask before more than one letter is sent")
	flags.BoolVar(&f.createTopic, "create-topic", false, "make the retry topic if there is none, with as many partitions as the original topic")
	flags.StringVar(&f.rate, "rate", "", "at most so many letters, as 20/s or 100/m (default: no limit)")
	flags.StringVar(&f.wrongWay, "wrong-way", "", "to watch it fail: shared-topic (or shared-redrive) sends to the topic that all groups read; needs FAULTS_ENABLED=true")
	output := addOutputFlag(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		options, err := f.options(args, filters)
		if err != nil {
			return err
		}
		faults, err := service.FromEnv[service.FaultConfig](p.environ)
		if err != nil {
			return &usageError{err}
		}
		if f.wrongWay != "" {
			if options, err = p.wrongWay(f.wrongWay, faults, options); err != nil {
				return err
			}
		}
		// What was sent is marked before the command ends.
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		report, err := p.telemetryForTools(ctx, "millrace-dlq")
		if err != nil {
			return err
		}
		defer func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			_ = report.Shutdown(ctx) // an absent collector is no error
		}()
		if options.Faults, err = faults.NewSet(report.Logger, report.Registry, dlq.Points()...); err != nil {
			return &usageError{err}
		}
		client, err := p.connectDLQ(ctx, common, func(c *dlq.Config) { c.Traces = report.TracerProvider })
		if err != nil {
			return err
		}
		defer client.Close()
		return p.redrive(ctx, client, options, f, *output)
	}
	return c
}

// options reads flags and arguments.
func (f *redriveFlags) options(args []string, filters *filterFlags) (dlq.RedriveOptions, error) {
	o := dlq.RedriveOptions{Topics: filters.topics, Again: f.again, DryRun: f.dryRun, CreateTopic: f.createTopic}
	switch given := filters.given(); {
	case len(args) == 0 && !f.all:
		return o, &usageError{errors.New("say which letters: their ids, or --all with filters")}
	case len(args) > 0 && f.all:
		return o, &usageError{errors.New("ids and --all together: give one of them")}
	case len(args) > 0 && given != "":
		return o, &usageError{fmt.Errorf("--%s chooses among all letters: leave the ids out and say --all", given)}
	}
	var err error
	if o.Rate, err = parseRate(f.rate); err != nil {
		return o, &usageError{err}
	}
	for _, arg := range args {
		id, err := dlq.ParseID(arg)
		if err != nil {
			return o, &usageError{err}
		}
		o.IDs = append(o.IDs, id)
	}
	if o.Filter, err = filters.filter(); err != nil {
		return o, err
	}
	if len(o.IDs) > 0 {
		o.Group, o.Filter = filters.group, dlq.Filter{}
		return o, nil
	}
	if len(o.Filter.Statuses) == 0 {
		o.Filter.Statuses = []dlq.Status{dlq.Open, dlq.Redriving}
		if f.again {
			o.Filter.Statuses = append(o.Filter.Statuses, dlq.Redriven)
		}
	}
	return o, nil
}

// parseRate reads N/s, N/m or N; 0: no limit.
func parseRate(text string) (perSecond float64, err error) {
	if text == "" {
		return 0, nil
	}
	number, unit, _ := strings.Cut(text, "/")
	n, err := strconv.ParseFloat(number, 64)
	seconds, known := map[string]float64{"": 1, "s": 1, "m": 60, "h": 3600}[unit]
	const most = 1e6
	if err != nil || !known || !(n > 0 && n <= most) {
		return 0, fmt.Errorf("--rate %q: want letters a second, minute or hour, as 20/s, 100/m or 500/h, up to %.0f", text, most)
	}
	return n / seconds, nil
}

// wrongWay is --wrong-way.
func (p *program) wrongWay(name string, faults service.FaultConfig, o dlq.RedriveOptions) (dlq.RedriveOptions, error) {
	if !slices.Contains(wrongWays, name) {
		return o, &usageError{fmt.Errorf("--wrong-way %q: there is %s", name, strings.Join(wrongWays, ", also called "))}
	}
	if !faults.Allowed {
		return o, &usageError{&hinted{err: errors.New("--wrong-way is refused: FAULTS_ENABLED is not true"), hint: "It does harm on purpose. To watch that: FAULTS_ENABLED=true millrace dlq redrive … --wrong-way " + name}}
	}
	fmt.Fprintln(p.stderr, p.stderr.Paint(terminal.Red, dlq.SharedTopicWarning))
	return dlq.SharedTopic(o), nil
}

// telemetryForTools reports to the collector that the environment names, else to that of
// the shop, else to nobody.
func (p *program) telemetryForTools(ctx context.Context, name string) (*telemetry.Telemetry, error) {
	c, err := service.FromEnv[telemetry.Config](p.environ)
	if err != nil {
		return nil, &usageError{err}
	}
	if c.OTLPEndpoint == "" {
		if c.OTLPEndpoint, err = p.locate("", collectorURLVar, "", func(s datadir.Shop) string { return s.CollectorURL }); err != nil {
			return nil, err
		}
	}
	return telemetry.New(ctx, c, name, p.stderr)
}

// redriveReport is the JSON form of redrive. It is stable.
type redriveReport struct {
	DryRun    bool         `json:"dry_run"`
	Redriven  int          `json:"redriven"`
	Completed int          `json:"completed"`
	Refused   int          `json:"refused"`
	Failed    int          `json:"failed"`
	WouldSend int          `json:"would_send,omitempty"`
	WouldEnd  int          `json:"would_complete,omitempty"`
	Letters   []dlq.Result `json:"letters"`
	Left      int          `json:"letters_left_out,omitempty"` // of the list, for their number
}

// errNotAll is returned when letters were refused or failed; they were printed.
var errNotAll = errors.New("not all letters were redriven")

func (r *redriveReport) add(res dlq.Result) {
	const most = 10_000
	switch res.Outcome {
	case dlq.Sent:
		r.Redriven++
	case dlq.Completed:
		r.Completed++
	case dlq.Refused:
		r.Refused++
	case dlq.Failed:
		r.Failed++
	case dlq.WouldSend:
		r.WouldSend++
	case dlq.WouldComplete:
		r.WouldEnd++
	}
	if len(r.Letters) < most {
		r.Letters = append(r.Letters, res)
	} else {
		r.Left++
	}
}

func (r *redriveReport) done() int {
	return r.Redriven + r.Completed + r.Refused + r.Failed + r.WouldSend + r.WouldEnd
}

func (p *program) redrive(ctx context.Context, client *dlq.Client, o dlq.RedriveOptions, f redriveFlags, output format) error {
	choice, err := client.Choose(ctx, &o)
	if err != nil {
		return adviseDLQ(err)
	}
	if choice.Letters > 1 && !o.DryRun && !f.yes {
		if ok, err := p.confirm(ctx, fmt.Sprintf("Redrive %d letters?", choice.Letters), "See them first: --dry-run"); err != nil || !ok {
			return err
		}
	}
	report := redriveReport{DryRun: o.DryRun, Letters: []dlq.Result{}}
	bar := terminal.NewBar(p.stderr, "Redriving", choice.Letters)
	o.Report = func(res dlq.Result) {
		report.add(res)
		bar.Set(report.done())
	}
	o.Say = func(format string, args ...any) { bar.Say(terminal.Safe(fmt.Sprintf(format, args...))) }
	err = client.Redrive(ctx, choice, o)
	bar.End()
	if output == formatJSON {
		err = errors.Join(err, printSafeJSON(p.stdout, report))
	} else {
		p.showRedrive(&report)
	}
	switch {
	case errors.Is(err, context.Canceled):
		err = &hinted{err: errors.New("interrupted"), hint: "Run it again: what was sent is not sent a second time."}
	case err == nil && report.Refused+report.Failed > 0:
		err = errNotAll
	}
	return adviseDLQ(err)
}

// confirm asks on a terminal; elsewhere there is nobody to ask, and the answer is yes.
func (p *program) confirm(ctx context.Context, question, hint string) (bool, error) {
	in, ok := p.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return true, nil
	}
	fmt.Fprintf(p.stderr, "%s (%s) [y/N] ", question, hint)
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(in).ReadString('\n') // no line is a no
		answer <- line
	}()
	select {
	case line := <-answer:
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "y", "yes":
			return true, nil
		}
		fmt.Fprintln(p.stderr, "Nothing was sent.")
		return false, nil
	case <-ctx.Done():
		fmt.Fprintln(p.stderr)
		return false, ctx.Err()
	}
}

// shownRows bounds the table: of many letters only those that went wrong are listed.
const shownRows = 50

func (p *program) showRedrive(r *redriveReport) {
	t := terminal.Table{}
	t.Add("LETTER", "OUTCOME", "GROUP", "TO", "KEY", "NOTE")
	rows, wrong := 0, map[string]bool{}
	for i := range r.Letters {
		res := &r.Letters[i]
		bad := res.Outcome == dlq.Refused || res.Outcome == dlq.Failed
		if len(r.Letters) > shownRows && !bad || rows >= shownRows {
			continue
		}
		rows++
		t.Add(res.Letter, strings.ReplaceAll(string(res.Outcome), "_", " "), orDash(column(res.Group, 30)), column(destination(res), 80), orDash(column(res.Key, 36)), column(noteOf(res), 300))
		if res.Hint != "" {
			wrong[res.Hint] = true
		}
	}
	if rows > 0 {
		fmt.Fprint(p.stdout, t.Render(p.stdout))
	}
	if r.DryRun {
		fmt.Fprintf(p.stdout, "Dry run, nothing was changed: %d would be sent, %d are sent and would be marked, %d refused.\n", r.WouldSend, r.WouldEnd, r.Refused)
	} else {
		fmt.Fprintf(p.stdout, "%d redriven, %d completed, %d refused, %d failed.\n", r.Redriven, r.Completed, r.Refused, r.Failed)
	}
	for hint := range wrong {
		fmt.Fprintln(p.stderr, terminal.Safe(hint))
	}
}

func destination(res *dlq.Result) string {
	if res.Topic == "" {
		return "-"
	}
	to := events.LetterID{Topic: res.Topic, Partition: *res.Partition}.String()
	to = strings.TrimSuffix(to, "0")
	if res.Offset != nil {
		return to + strconv.FormatInt(*res.Offset, 10)
	}
	return strings.TrimSuffix(to, "/")
}

func noteOf(res *dlq.Result) string {
	var notes []string
	if res.Edited {
		notes = append(notes, "edited")
	}
	for _, note := range []string{res.Note, res.Reason} {
		if note != "" {
			notes = append(notes, note)
		}
	}
	return strings.Join(notes, "; ")
}
