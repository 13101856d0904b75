package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"millrace/internal/datadir"
	"millrace/internal/dlq"
	"millrace/internal/terminal"
	"millrace/pkg/events"
)

func newDLQ(p *program) *cobra.Command {
	c := &cobra.Command{
		Use:   "dlq",
		Short: "Dead letters: look at them, mend them, send them to the group that failed",
		Long: `Dead letters are the messages that a consumer group gave up after its tries: those
of topic T lie in T-dlq. Nothing here deletes one. What is done with a letter is
written to the topic dlq-audit: who, when, what.

A letter's id is TOPIC/PARTITION/OFFSET, as orders-dlq/2/17; where only one topic has
such a letter, 2/17 will do. docs/dead-letters.md has the form and the procedure.

It works with any Kafka and any group whose letters have the form: --brokers names it,
and the variables KAFKA_TLS_… and KAFKA_SASL_… say how to log in, as for the services.`,
		Example: `  millrace dlq list
  millrace dlq show orders-dlq/2/17
  millrace dlq redrive orders-dlq/2/17 --dry-run
  millrace dlq redrive --all --group inventory-service --since 2h --rate 50/s`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	f := &dlqFlags{}
	c.PersistentFlags().StringVar(&f.brokers, "brokers", "", "bootstrap servers, host:port[,…] (default: "+brokersVar+", else the shop that runs on --data, else "+defaultBrokers+")")
	c.PersistentFlags().StringVar(&p.data, "data", datadir.Default, "folder of the shop that `millrace up` runs")
	c.AddCommand(newDLQList(p, f), newDLQShow(p, f), newDLQDiff(p, f), newDLQStats(p, f), newDLQRedrive(p, f), newDLQEdit(p, f), newDLQDiscard(p, f))
	return c
}

// dlqFlags are the flags of all dlq commands.
type dlqFlags struct{ brokers string }

const (
	brokersVar     = "KAFKA_BROKERS"
	defaultBrokers = "localhost:9092"
)

// connectDLQ connects to the Kafka that the flags, the environment or the shop name.
func (p *program) connectDLQ(ctx context.Context, f *dlqFlags, adjust func(*dlq.Config)) (*dlq.Client, error) {
	bundled := false // the shop's own broker has neither TLS nor a login
	brokers, err := p.locate(f.brokers, brokersVar, defaultBrokers, func(s datadir.Shop) string {
		bundled = slices.ContainsFunc(s.Parts, func(part datadir.Part) bool { return part.Name == "broker" })
		return s.Brokers
	})
	if err != nil {
		return nil, err
	}
	kafka, err := kafkaClient(strings.Split(brokers, ","), p.environ, !bundled)
	if err != nil {
		return nil, err
	}
	config := dlq.Config{Brokers: kafka.Brokers, Options: kafka.Options, Who: who()}
	if adjust != nil {
		adjust(&config)
	}
	client, err := dlq.Connect(ctx, config)
	return client, adviseDLQ(err)
}

// who is at work, as user@host.
func who() string {
	name, host := "unknown", "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if h, err := os.Hostname(); err == nil {
		host = h
	}
	return dlq.Shorten(strings.ToValidUTF8(name+"@"+host, "\uFFFD"), events.MaxAuditText/2)
}

// adviseDLQ adds what to try.
func adviseDLQ(err error) error {
	var refused *dlq.RefusedError
	var unknown *dlq.UnknownError
	var unreachable *dlq.UnreachableError
	switch {
	case errors.As(err, &refused):
		return &hinted{err: errors.New(terminal.Safe(err.Error())), hint: terminal.Safe(refused.Hint)}
	case errors.As(err, &unknown):
		return &hinted{err: errors.New(terminal.Safe(err.Error())), hint: terminal.Safe(unknown.Hint)}
	case errors.As(err, &unreachable):
		return &hinted{err: err, hint: "Is the shop up? Start it with: millrace up\nAnother Kafka: --brokers host:port, and KAFKA_TLS_… and KAFKA_SASL_… for its login."}
	}
	return err
}

// filterFlags choose letters.
type filterFlags struct {
	topics            []string
	group, class, key string
	since, until      string
	statuses          []string
	names             []string // of the flags but --group
	command           *cobra.Command
}

func addFilterFlags(c *cobra.Command, groupHelp string) *filterFlags {
	f := &filterFlags{command: c}
	flags := c.Flags()
	flags.StringArrayVar(&f.topics, "topic", nil, "dead letter topic, or the topic that it belongs to; may be repeated (default: all)")
	flags.StringVar(&f.group, "group", "", groupHelp)
	flags.StringVar(&f.class, "class", "", "only of an error class: transient, permanent, unreadable, panic, not_in_form, …")
	flags.StringVar(&f.key, "key", "", "only with this original key, as an order id")
	flags.StringVar(&f.since, "since", "", "only failed at or after a time: 2h, 3d, 2026-11-27 or 2026-11-27T08:00:00Z")
	flags.StringVar(&f.until, "until", "", "only failed before a time")
	flags.StringSliceVar(&f.statuses, "status", nil, "only open, redriving, redriven or discarded ones")
	f.names = []string{"topic", "class", "key", "since", "until", "status"}
	return f
}

// given names a filter flag that was set; empty: none was.
func (f *filterFlags) given() string {
	for _, name := range f.names {
		if f.command.Flags().Changed(name) {
			return name
		}
	}
	return ""
}

func (f *filterFlags) filter() (dlq.Filter, error) {
	filter := dlq.Filter{Group: f.group, Class: events.ErrorClass(f.class)}
	if f.command.Flags().Changed("key") {
		filter.Key = &f.key
	}
	var err error
	if filter.Since, err = parseMoment(f.since, time.Now()); err != nil {
		return filter, &usageError{fmt.Errorf("--since: %w", err)}
	}
	if filter.Until, err = parseMoment(f.until, time.Now()); err != nil {
		return filter, &usageError{fmt.Errorf("--until: %w", err)}
	}
	for _, s := range f.statuses {
		status := dlq.Status(strings.ToLower(s))
		if !slices.Contains(dlq.Statuses(), status) {
			return filter, &usageError{fmt.Errorf("--status %q: allowed are open, redriving, redriven, discarded", s)}
		}
		filter.Statuses = append(filter.Statuses, status)
	}
	return filter, nil
}

// parseMoment reads a time, or how long ago it was. A time without a zone is local.
func parseMoment(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if d, err := time.ParseDuration(days + "h"); err == nil && d >= 0 && d <= 36500*time.Hour {
			return now.Add(-24 * d), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateTime, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time: want how long ago, as 30m, 2h or 3d, or a moment, as 2026-11-27 or 2026-11-27T08:00:00Z", text)
}

// printSafeJSON prints a document whose texts came from outside.
func printSafeJSON(out terminal.Output, v any) error {
	var b bytes.Buffer
	if err := printJSON(&b, v); err != nil {
		return err
	}
	_, err := out.Write(terminal.SafeJSON(b.Bytes()))
	return err
}

// column is a text from outside that fits into a table.
func column(text string, width int) string {
	safe := []rune(terminal.Safe(text))
	if len(safe) > width {
		return string(safe[:width-1]) + "…"
	}
	return string(safe)
}

// moment is a time as people read it.
func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}

func orDash(text string) string { return cmp.Or(text, "-") }

var statusColours = map[dlq.Status]terminal.Colour{
	dlq.Open: terminal.Yellow, dlq.Redriving: terminal.Yellow, dlq.Redriven: terminal.Green, dlq.Discarded: terminal.Faint,
}
