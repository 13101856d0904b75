package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"millrace/internal/dlq"
	"millrace/internal/terminal"
	"millrace/pkg/events"
)

func newDLQShow(p *program, common *dlqFlags) *cobra.Command {
	var message bool
	c := &cobra.Command{
		Use:   "show ID",
		Short: "Show one dead letter: error, message, headers, and what was done with it",
		Example: `  millrace dlq show orders-dlq/2/17
  millrace dlq show orders-dlq/2/17 --message > message.json     # its bytes, as they were`,
		Args: cobra.ExactArgs(1),
	}
	c.Flags().BoolVar(&message, "message", false, "only the message that a redrive would send, byte for byte")
	output := addOutputFlag(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := dlq.ParseID(args[0])
		if err != nil {
			return &usageError{err}
		}
		client, err := p.connectDLQ(cmd.Context(), common, nil)
		if err != nil {
			return err
		}
		defer client.Close()
		found, err := client.Find(cmd.Context(), id)
		if err != nil {
			return adviseDLQ(err)
		}
		if message {
			b, err := client.Message(cmd.Context(), found)
			if err != nil {
				return adviseDLQ(err)
			}
			if p.stdout.Animation { // a terminal
				b = []byte(terminal.SafeLines(string(b)) + "\n")
			}
			_, err = p.stdout.Write(b)
			return err
		}
		history, err := client.History(cmd.Context(), found.Letter)
		if err != nil {
			return err
		}
		if *output == formatJSON {
			return printSafeJSON(p.stdout, letterJSON(found, history))
		}
		p.showLetter(found, history)
		return nil
	}
	return c
}

// shownLetter is the JSON form of show. It is stable.
type shownLetter struct {
	dlq.Summary
	// DeadLetter is the letter in the form of asyncapi.yaml; absent when it is not in the form.
	DeadLetter json.RawMessage `json:"dead_letter,omitempty"`
	// Raw is what a letter that is not in the form holds.
	Raw         string         `json:"raw,omitempty"`
	RawEncoding string         `json:"raw_encoding,omitempty"` // base64, or absent
	History     []historyEntry `json:"history"`
}

type historyEntry struct {
	Offset int64           `json:"audit_offset"`
	Record json.RawMessage `json:"record"`
	Void   string          `json:"void,omitempty"` // why it does not count
}

func letterJSON(f dlq.Found, history []dlq.Entry) shownLetter {
	shown := shownLetter{Summary: dlq.Summarize(f.Letter, f.State), History: []historyEntry{}}
	if f.Letter.Problem != nil {
		shown.Raw, shown.RawEncoding = dlq.AsText(f.Letter.Value)
	} else if b, err := events.EncodeDeadLetter(f.Letter.Dead); err == nil {
		shown.DeadLetter = b
	}
	for _, e := range history {
		if b, err := events.EncodeAudit(e.Audit); err == nil {
			shown.History = append(shown.History, historyEntry{e.Offset, b, e.Void})
		}
	}
	return shown
}

// maxShown bounds a message on the screen, in bytes.
const maxShown = 16 << 10

func (p *program) showLetter(f dlq.Found, history []dlq.Entry) {
	out, d := p.stdout, &f.Letter.Dead
	line := func(name, value string) { fmt.Fprintf(out, "%-14s %s\n", name, value) }
	line("Letter", f.Letter.ID.String())
	line("Status", out.Paint(statusColours[f.State.Status], string(f.State.Status))+statusNote(f.State))
	if f.Letter.Problem != nil {
		line("Not in form", out.Paint(terminal.Red, terminal.Safe(f.Letter.Problem.Error())))
		line("Written", moment(f.Letter.Timestamp))
		fmt.Fprintf(out, "\nRecord (%d bytes)\n%s\n", len(f.Letter.Value), indented(bytesText(f.Letter.Value)))
		p.showHistory(history)
		return
	}
	line("Group", orDash(terminal.Safe(d.Group)))
	line("Error", out.Paint(terminal.Red, terminal.Safe(firstLine(d.Error))))
	line("Class", orDash(terminal.Safe(string(d.ErrorClass))))
	line("Tries", fmt.Sprintf("%d, the first failed %s, the last %s", d.Attempts, moment(d.FirstFailure), moment(d.LastFailure)))
	line("Original", terminal.Safe(fmt.Sprintf("%s/%d/%d, written %s", d.OriginalTopic, d.OriginalPartition, d.OriginalOffset, moment(d.OriginalTimestamp))))
	line("Message id", orDash(terminal.Safe(f.Letter.MessageID())))
	if d.OriginalKey != nil {
		line("Key", bytesText(d.OriginalKey))
	} else {
		line("Key", "-")
	}
	if d.Traceparent != "" {
		line("Trace", terminal.Safe(d.Traceparent))
	}
	if rest := strings.TrimPrefix(d.Error, firstLine(d.Error)); strings.TrimSpace(rest) != "" {
		fmt.Fprintf(out, "\nError in full\n%s\n", indented(terminal.SafeLines(d.Error)))
	}
	if len(d.Headers) > 0 {
		fmt.Fprintln(out, "\nHeaders")
		for _, name := range slices.Sorted(maps.Keys(d.Headers)) {
			fmt.Fprintf(out, "  %s: %s\n", terminal.Safe(name), bytesText([]byte(d.Headers[name])))
		}
	}
	switch {
	case d.OriginalMessage != nil:
		fmt.Fprintf(out, "\nMessage (%d bytes)\n%s\n", len(d.OriginalMessage), indented(bytesText(d.OriginalMessage)))
	case d.Omitted:
		fmt.Fprintln(out, "\nThe message was left out for its size; a redrive reads it from the original place.")
	default:
		fmt.Fprintln(out, "\nThe letter has no message: the payload was null.")
	}
	if f.State.Edit >= 0 {
		fmt.Fprintf(p.stderr, "It was edited; the edit: millrace dlq diff %s\n", f.Letter.ID)
	}
	p.showHistory(history)
	p.hintLetter(f)
}

func (p *program) hintLetter(f dlq.Found) {
	if slices.Contains([]string{events.TopicOrders, events.TopicInventory}, f.Letter.Dead.OriginalTopic) && f.Letter.Dead.OriginalKey != nil {
		fmt.Fprintf(p.stderr, "The order's way: millrace trace %s\n", terminal.Safe(string(f.Letter.Dead.OriginalKey)))
	}
	if f.State.Status == dlq.Open {
		fmt.Fprintf(p.stderr, "Send it to the group again: millrace dlq redrive %s\n", f.Letter.ID)
	}
}

func statusNote(s dlq.State) string {
	var note string
	switch s.Status {
	case dlq.Redriving:
		note = "since " + moment(s.Redrive.Begun)
	case dlq.Redriven:
		note = fmt.Sprintf("to %s/%d/%d at %s", s.Redrive.Topic, s.Redrive.Partition, s.Redrive.Offset, moment(s.When))
	case dlq.Discarded:
		note = "at " + moment(s.When) + ": " + s.Reason
	default:
		if s.Edit < 0 {
			return ""
		}
		note = "edited at " + moment(s.When)
	}
	return terminal.Safe(" " + note + ", by " + s.Who)
}

func (p *program) showHistory(history []dlq.Entry) {
	if len(history) == 0 {
		return
	}
	fmt.Fprintln(p.stdout, "\nHistory")
	t := terminal.Table{}
	t.Add("  AUDIT", "WHEN", "WHO", "ACTION", "DETAIL")
	for _, e := range history {
		var detail string
		switch e.Action {
		case events.AuditRedriveIntent:
			detail = fmt.Sprintf("to %s/%d", e.TargetTopic, e.TargetPartition)
		case events.AuditRedriveDone:
			detail = fmt.Sprintf("to %s/%d/%d", e.TargetTopic, e.TargetPartition, e.TargetOffset)
		default:
			detail = e.Reason
		}
		if e.Void != "" {
			detail = strings.TrimSpace(detail + " (does not count: " + e.Void + ")")
		}
		t.Add("  "+strconv.FormatInt(e.Offset, 10), e.When.Local().Format(time.DateTime), column(e.Who, 40), string(e.Action), column(detail, 200))
	}
	fmt.Fprint(p.stdout, t.Render(p.stdout))
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// bytesText is a payload as people read it: JSON with indents, text as it is, else hexadecimal.
func bytesText(b []byte) string {
	cut := ""
	if len(b) > maxShown {
		cut = fmt.Sprintf("\n… %d bytes more; all of it: --message, or -o json", len(b)-maxShown)
	}
	if len(b) > 0 && (b[0] == '{' || b[0] == '[') && cut == "" && dlq.Depth(b) < 50 {
		var pretty bytes.Buffer
		if json.Indent(&pretty, b, "", "  ") == nil {
			return terminal.SafeLines(pretty.String())
		}
	}
	shown := b[:min(len(b), maxShown)]
	if utf8.Valid(shown) || utf8.Valid(b) {
		return terminal.SafeLines(strings.ToValidUTF8(string(shown), "")) + cut
	}
	return fmt.Sprintf("% x", shown[:min(len(shown), 256)]) + cut
}

func indented(text string) string {
	return "  " + strings.ReplaceAll(text, "\n", "\n  ")
}

func newDLQDiff(p *program, common *dlqFlags) *cobra.Command {
	c := &cobra.Command{
		Use:   "diff ID",
		Short: "Compare a dead letter's message with its edit, or with what lies at the original place",
		Args:  cobra.ExactArgs(1),
	}
	output := addOutputFlag(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := dlq.ParseID(args[0])
		if err != nil {
			return &usageError{err}
		}
		client, err := p.connectDLQ(cmd.Context(), common, nil)
		if err != nil {
			return err
		}
		defer client.Close()
		found, err := client.Find(cmd.Context(), id)
		if err != nil {
			return adviseDLQ(err)
		}
		d, err := client.Diff(cmd.Context(), found)
		if err != nil {
			return adviseDLQ(err)
		}
		if *output == formatJSON {
			return printSafeJSON(p.stdout, d)
		}
		p.showDiff(d)
		return nil
	}
	return c
}

func (p *program) showDiff(d dlq.Difference) {
	place := terminal.Safe(d.Place)
	switch {
	case d.Gone != "":
		fmt.Fprintf(p.stdout, "Nothing lies at %s any more: %s. The letter has the message.\n", place, d.Gone)
		return
	case d.Same && d.Against == "edit":
		fmt.Fprintln(p.stdout, "The edit is the same as the message.")
		return
	case d.Same:
		fmt.Fprintf(p.stdout, "%s still holds the same message; there is no edit.\n", place)
		return
	case d.Against == "edit":
		fmt.Fprintln(p.stdout, "The message (-) and its edit (+), which a redrive sends:")
	case len(d.Differs) > 0:
		fmt.Fprintf(p.stdout, "Another message lies at %s now (its %s is another). The letter (-), the record (+):\n", place, strings.Join(d.Differs, " and "))
	default:
		fmt.Fprintf(p.stdout, "The letter's message (-) is not the one at %s (+):\n", place)
	}
	for _, change := range d.Changes {
		if change.Path != "" {
			fmt.Fprintln(p.stdout, p.stdout.Paint(terminal.Bold, terminal.Safe(change.Path)))
		}
		if change.Old != nil {
			fmt.Fprintln(p.stdout, p.stdout.Paint(terminal.Red, "  - "+terminal.Safe(*change.Old)))
		}
		if change.New != nil {
			fmt.Fprintln(p.stdout, p.stdout.Paint(terminal.Green, "  + "+terminal.Safe(*change.New)))
		}
	}
	if d.Left > 0 {
		fmt.Fprintf(p.stdout, "… and %d changes more\n", d.Left)
	}
}
