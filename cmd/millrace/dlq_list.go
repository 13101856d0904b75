package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"millrace/internal/dlq"
	"millrace/internal/terminal"
)

// maxListed bounds --limit.
const maxListed = 10_000

func newDLQList(p *program, common *dlqFlags) *cobra.Command {
	var limit int
	c := &cobra.Command{
		Use:   "list",
		Short: "List dead letters, the newest last",
		Long: `List dead letters with their status, the newest last:

  open        nobody has dealt with it
  redriving   a redrive has begun and has not ended
  redriven    its message was sent to the group again
  discarded   it is not to be sent again`,
		Example: `  millrace dlq list --status open --group notification-service
  millrace dlq list --class permanent --since 2h
  millrace dlq list --key 019ab1f6-7a3c-7d52-9c0e-6f2a8d4b1c90 -o json`,
		Args: cobra.NoArgs,
	}
	filters := addFilterFlags(c, "only of the consumer group that failed")
	c.Flags().IntVar(&limit, "limit", 100, "how many, the newest of those chosen; 1 to "+strconv.Itoa(maxListed))
	output := addOutputFlag(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if limit < 1 || limit > maxListed {
			return &usageError{fmt.Errorf("--limit %d: allowed is 1 to %d", limit, maxListed)}
		}
		filter, err := filters.filter()
		if err != nil {
			return err
		}
		client, err := p.connectDLQ(cmd.Context(), common, nil)
		if err != nil {
			return err
		}
		defer client.Close()
		letters, total, err := client.List(cmd.Context(), filters.topics, filter, limit)
		if err != nil {
			return adviseDLQ(err)
		}
		if *output == formatJSON {
			if letters == nil {
				letters = []dlq.Summary{}
			}
			return printSafeJSON(p.stdout, struct {
				Letters []dlq.Summary `json:"letters"`
				Total   int           `json:"total"`
			}{letters, total})
		}
		if total == 0 {
			fmt.Fprintln(p.stderr, "No dead letters.")
			return nil
		}
		t := terminal.Table{Right: []bool{false, false, false, false, true}}
		t.Add("LETTER", "STATUS", "GROUP", "CLASS", "TRIES", "FAILED", "KEY", "ERROR")
		for i := range letters {
			l := &letters[i]
			key := "-"
			if l.Key != nil {
				key = *l.Key
			}
			t.Add(l.ID, string(l.Status), orDash(column(l.Group, 30)), orDash(column(string(l.Class), 12)), strconv.Itoa(l.Attempts),
				moment(l.Time), column(key, 36), column(l.Error, 60))
		}
		fmt.Fprint(p.stdout, t.Render(p.stdout))
		if total > len(letters) {
			fmt.Fprintf(p.stderr, "%d older ones are not shown: --limit, --since, --group, --status, … choose others.\n", total-len(letters))
		}
		fmt.Fprintf(p.stderr, "Look at one: millrace dlq show %s\n", letters[len(letters)-1].ID)
		return nil
	}
	return c
}

func newDLQStats(p *program, common *dlqFlags) *cobra.Command {
	c := &cobra.Command{
		Use:   "stats",
		Short: "Count dead letters by topic, group, error class and status",
		Args:  cobra.NoArgs,
	}
	filters := addFilterFlags(c, "only of the consumer group that failed")
	output := addOutputFlag(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		filter, err := filters.filter()
		if err != nil {
			return err
		}
		client, err := p.connectDLQ(cmd.Context(), common, nil)
		if err != nil {
			return err
		}
		defer client.Close()
		stats, err := client.Stats(cmd.Context(), filters.topics, filter)
		if err != nil {
			return adviseDLQ(err)
		}
		if *output == formatJSON {
			return printSafeJSON(p.stdout, stats)
		}
		if stats.Letters == 0 {
			fmt.Fprintln(p.stderr, "No dead letters.")
			return nil
		}
		t := terminal.Table{Right: []bool{false, false, false, false, true}}
		t.Add("TOPIC", "GROUP", "CLASS", "STATUS", "LETTERS", "OLDEST", "NEWEST")
		for _, row := range stats.Rows {
			t.Add(column(row.Topic, 60), orDash(column(row.Group, 40)), orDash(column(string(row.Class), 20)), string(row.Status),
				strconv.Itoa(row.Letters), moment(row.Oldest), moment(row.Newest))
		}
		fmt.Fprint(p.stdout, t.Render(p.stdout))
		if stats.Oldest != nil {
			fmt.Fprintf(p.stdout, "\nThe oldest open one failed %s ago.\n", age(time.Since(*stats.Oldest)))
		}
		if n := stats.Audit.Unreadable; n > 0 {
			fmt.Fprintf(p.stderr, "%d records of dlq-audit are not in the form and do not count.\n", n)
		}
		return nil
	}
	return c
}

// age is a duration as people say it.
func age(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= 2*day {
		return strconv.Itoa(int(d/day)) + " days"
	}
	return d.Round(time.Second).String()
}
