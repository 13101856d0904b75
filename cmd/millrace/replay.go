package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"millrace/internal/datadir"
	"millrace/internal/rebuild"
	"millrace/internal/terminal"
	"millrace/pkg/messaging/replay"
)

func newReplay(p *program) *cobra.Command {
	var from string
	config := rebuild.Config{}
	c := &cobra.Command{
		Use:   "replay --group GROUP",
		Short: "Build a service's state anew from the log: after its database was lost, or from a backup",
		Long: `Build a service's state anew from the log, into the same state. E-mails are not
sent again, nothing is published again. No instance of the service may run; its
database may be gone: with a shop that runs on --data it is made anew.

--from says since when the database may be lacking something: the beginning, if
it was lost; the time of a backup, if one was put back. What it has it keeps. Killed
in the middle, the command is run again.

GROUP is inventory-service, order-service or notification-service. Where no shop
runs on --data, --database and --brokers, or DATABASE_URL and the KAFKA_ variables of
the service, say where things are.`,
		Example: `  millrace part stop inventory
  millrace replay --group inventory-service --dry-run
  millrace replay --group inventory-service
  millrace replay --group order-service --from 2026-11-27T06:00:00Z     # a backup of then was put back`,
		Args: cobra.NoArgs,
	}
	c.Flags().StringVar(&config.Group, "group", "", "the service's consumer group: "+strings.Join(rebuild.Groups, ", "))
	c.Flags().StringVar(&from, "from", "beginning", "where to start: beginning, a time (RFC 3339), an offset, or PARTITION:OFFSET,…")
	c.Flags().BoolVar(&config.Options.DryRun, "dry-run", false, "say what would be done, change nothing")
	c.Flags().BoolVar(&config.Options.AllowGaps, "allow-gaps", false, "go on when the log has lost records; what was in them stays lost")
	c.Flags().StringVar(&config.Data, "data", datadir.Default, "folder of the shop that `millrace up` runs")
	c.Flags().StringVar(&config.Database, "database", "", "the service's database, postgres://… (default: that of the shop, else DATABASE_URL)")
	c.Flags().StringVar(&config.Brokers, "brokers", "", "where the log is, host:port (default: that of the shop, else KAFKA_BROKERS)")
	_ = c.MarkFlagRequired("group")
	_ = c.RegisterFlagCompletionFunc("group", cobra.FixedCompletions(rebuild.Groups, cobra.ShellCompDirectiveNoFileComp))
	output := addOutputFlag(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		name, ok := rebuild.Service(config.Group)
		if !ok {
			return &usageError{fmt.Errorf("--group %q has no state that could be rebuilt; allowed: %s", config.Group, strings.Join(rebuild.Groups, ", "))}
		}
		start, err := replay.ParseFrom(from)
		if err != nil {
			return &usageError{fmt.Errorf("--from: %w", err)}
		}
		config.Environ, config.Options.From = p.environ, start
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		log := terminal.NewLog(p.stderr)
		config.Options.Progress = replayProgress(p.stderr.Animation, log.Progress)
		report, err := rebuild.Run(ctx, config)
		log.EndProgress()
		if err != nil {
			return adviseReplay(err, name)
		}
		if *output == formatJSON {
			return printJSON(p.stdout, report)
		}
		fmt.Fprint(p.stdout, replayText(p.stdout, report, name))
		return nil
	}
	return c
}

// replayProgress says how far it is: all the time on a line that moves, now and then on
// lines of their own.
func replayProgress(moving bool, say func(format string, args ...any)) func(replay.Progress) {
	const sayEvery = 2 * time.Second
	last := time.Now()
	return func(at replay.Progress) {
		if now := time.Now(); moving || now.Sub(last) >= sayEvery {
			last = now
			say("Reading %s: %s of %s records", at.Topic, grouped(at.Read), grouped(at.Total))
		}
	}
}

// adviseReplay adds what to try.
func adviseReplay(err error, service string) error {
	var (
		active   *replay.ActiveGroupError
		gap      *replay.GapError
		progress *replay.UnknownProgressError
		outside  *replay.RangeError
		setting  *rebuild.SettingError
		noShop   *rebuild.NoShopError
	)
	var hint string
	switch {
	case errors.As(err, &active):
		hint = fmt.Sprintf("Stop all instances of the service first: millrace part stop %s, or Ctrl-C where it runs.\nOne that was killed leaves its group after 10 s. Nothing was changed.", service)
	case errors.As(err, &gap):
		hint = "Put a backup back and say of when it is: --from TIME. Or go on without what is missing: --allow-gaps.\nNothing was changed."
	case errors.As(err, &progress):
		hint = "Set the group to where it had come to, as with Kafka's kafka-consumer-groups --reset-offsets, and run this again.\nNothing was changed."
	case errors.As(err, &outside):
		hint = "The dry run shows what there is: --dry-run --from beginning. Nothing was changed."
	case errors.As(err, &noShop):
		hint = fmt.Sprintf("Start it (millrace up) and stop the service (millrace part stop %s).\nOr say where things are: --data FOLDER, or --database URL and --brokers HOST:PORT.", service)
		return &usageError{&hinted{err: err, hint: hint}}
	case errors.As(err, &setting):
		return &usageError{&hinted{err: err, hint: "The settings are those of the service: services/" + service + "/README.md"}}
	case errors.Is(err, context.Canceled):
		hint = "Run it again: it goes on from what is there."
	default:
		return err
	}
	return &hinted{err: err, hint: hint}
}

// replayText is the report for people.
func replayText(o terminal.Output, r replay.Report, service string) string {
	var b strings.Builder
	if r.Database == "missing" {
		b.WriteString("There was no database" + map[bool]string{true: "; it would be made.", false: ": it was made."}[r.DryRun] + "\n\n")
	}
	t := terminal.Table{Right: []bool{false, false, true, true, true, true, true, true}}
	t.Add("TOPIC", "ROLE", "PARTITION", "FROM", "TO", "READ", "COMMITTED", "AGAIN")
	for _, topic := range r.Topics {
		for _, part := range topic.Partitions {
			committed := "-"
			if part.Committed >= 0 {
				committed = strconv.FormatInt(part.Committed, 10)
			}
			if topic.Role == replay.Retry && part.Read == 0 && part.Redelivered == 0 {
				continue
			}
			t.Add(topic.Topic, string(topic.Role), strconv.Itoa(int(part.Partition)), strconv.FormatInt(part.From, 10), strconv.FormatInt(part.To, 10),
				grouped(part.Read), committed, grouped(part.Redelivered))
		}
	}
	b.WriteString(t.Render(o) + "\n")
	counts := terminal.Table{Right: []bool{false, true}}
	counts.Add(map[bool]string{true: "WOULD BE RESTORED", false: "RESTORED"}[r.DryRun], "COUNT")
	for _, c := range r.Restored {
		counts.Add(c.What, grouped(c.Count))
	}
	counts.Add("delivered again", grouped(r.Redelivered))
	counts.Add("unfinished, left where they wait", grouped(r.Unfinished))
	for _, s := range r.Skipped {
		counts.Add("skipped: "+s.Reason, grouped(s.Count))
	}
	b.WriteString(counts.Render(o))
	for _, s := range r.Skipped {
		fmt.Fprintf(&b, "\nskipped, %s: one is %s", s.Reason, terminal.Safe(s.Example))
	}
	for _, g := range r.Gaps {
		fmt.Fprintf(&b, "\n%s %s", o.Paint(terminal.Yellow, "missing:"), g)
	}
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "\n%s %s", o.Paint(terminal.Yellow, "note:"), terminal.Safe(f))
	}
	if len(r.Skipped)+len(r.Gaps)+len(r.Findings) > 0 {
		b.WriteString("\n")
	}
	if r.DryRun {
		b.WriteString("\nThis was a dry run: nothing was changed.\n")
	} else {
		fmt.Fprintf(&b, "\n%s in %.1f s. Start the service: millrace part start %s\n", o.Paint(terminal.Green, "Done"), r.Seconds, service)
	}
	return b.String()
}

// grouped writes a number with commas.
func grouped(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
