package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"millrace/internal/dlq"
	"millrace/internal/terminal"
)

func newDLQEdit(p *program, common *dlqFlags) *cobra.Command {
	var file, reason string
	var sets []string
	c := &cobra.Command{
		Use:   "edit ID",
		Short: "Change the message of a dead letter before it is redriven",
		Long: `Change the message of a dead letter: in $VISUAL or $EDITOR, from a file, or field by
field. The letter stays as it is; the edited message is stored in dlq-audit, and the
next redrive sends it, with the same key, headers and message id.

A message that is, or says that it is, one of the shop's events has to follow the
rules of the event: an edit that breaks one is refused, and nothing is changed.`,
		Example: `  millrace dlq edit orders-dlq/2/17
  millrace dlq edit orders-dlq/2/17 --set 'items[0].quantity=2' --reason 'quantity was a string'
  millrace dlq show orders-dlq/2/17 --message | jq -c '.total=25' | millrace dlq edit orders-dlq/2/17 --file -`,
		Args: cobra.ExactArgs(1),
	}
	c.Flags().StringVar(&file, "file", "", "take the message from a file, byte for byte; - is standard input")
	c.Flags().StringArrayVar(&sets, "set", nil, "set a field, as items[0].quantity=2; may be repeated. What is no JSON is a string")
	c.Flags().StringVar(&reason, "reason", "", "why, for the audit record")
	c.MarkFlagsMutuallyExclusive("file", "set")
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
		edited, err := p.editedMessage(cmd.Context(), client, found, file, sets)
		if err != nil {
			return adviseDLQ(err)
		}
		state, err := client.Edit(cmd.Context(), found, edited, reason)
		if err != nil {
			return adviseDLQ(p.keepEdit(err, file == "" && len(sets) == 0, edited))
		}
		found.State = state
		d, err := client.Diff(cmd.Context(), found)
		var refused *dlq.RefusedError
		if err != nil && !errors.As(err, &refused) { // there may be no original to compare with
			return err
		}
		if *output == formatJSON {
			return printSafeJSON(p.stdout, struct {
				dlq.Summary
				Diff dlq.Difference `json:"diff"`
			}{dlq.Summarize(found.Letter, state), d})
		}
		if refused == nil {
			p.showDiff(d)
		}
		fmt.Fprintf(p.stdout, "The edit of %s is stored.\n", found.Letter.ID)
		fmt.Fprintf(p.stderr, "Send it: millrace dlq redrive %s%s\n", found.Letter.ID, map[bool]string{true: " --again"}[state.Status == dlq.Redriven])
		return nil
	}
	return c
}

// editedMessage gets the new message: from a file, by --set, or from an editor.
func (p *program) editedMessage(ctx context.Context, client *dlq.Client, f dlq.Found, file string, sets []string) ([]byte, error) {
	if file != "" {
		return p.readMessage(file)
	}
	current, err := client.Current(ctx, f)
	if err != nil {
		return nil, err
	}
	if len(sets) > 0 {
		edited, err := dlq.SetPaths(current, sets)
		if err != nil {
			return nil, &usageError{fmt.Errorf("--set: %w", err)}
		}
		return edited, nil
	}
	return p.inEditor(ctx, current)
}

// maxMessageFile bounds what --file reads.
const maxMessageFile = 32 << 20

func (p *program) readMessage(file string) ([]byte, error) {
	in := p.stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxMessageFile+1))
	if err == nil && len(b) > maxMessageFile {
		err = fmt.Errorf("%s is larger than %d bytes, no topic takes such a message", file, maxMessageFile)
	}
	return b, err
}

// inEditor lets the user edit a message. JSON is shown with indents, and comes back
// without them.
func (p *program) inEditor(ctx context.Context, current []byte) ([]byte, error) {
	editor := p.getenv("VISUAL")
	if editor == "" {
		editor = p.getenv("EDITOR")
	}
	if editor == "" {
		return nil, &usageError{&hinted{err: errors.New("there is no editor: VISUAL and EDITOR are not set"), hint: "Without one: --set PATH=VALUE, or --file FILE"}}
	}
	if !utf8.Valid(current) {
		return nil, &usageError{&hinted{err: errors.New("the message is no text"), hint: "Change it in a file: millrace dlq show ID --message > FILE, then --file FILE"}}
	}
	shown, suffix := current, "*.txt"
	isJSON := len(current) > 0 && dlq.Depth(current) < 200 && json.Valid(current)
	if isJSON {
		var b bytes.Buffer
		if err := json.Indent(&b, current, "", "  "); err != nil {
			return nil, err
		}
		shown, suffix = append(b.Bytes(), '\n'), "*.json"
	}
	f, err := os.CreateTemp("", "millrace-dlq-"+suffix)
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(shown)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if err := p.runEditor(ctx, editor, f.Name()); err != nil {
		return nil, fmt.Errorf("%s: %w; nothing was changed", editor, err)
	}
	edited, err := p.readMessage(f.Name())
	if err != nil {
		return nil, err
	}
	if bytes.Equal(edited, shown) {
		return current, nil
	}
	var compact bytes.Buffer
	if isJSON && json.Compact(&compact, edited) == nil {
		return compact.Bytes(), nil
	}
	return edited, nil
}

// runEditor starts an editor as git does: the variable may hold arguments.
func (p *program) runEditor(ctx context.Context, editor, file string) error {
	var cmd *exec.Cmd
	if runtime.GOOS == "windows" {
		words := append(strings.Fields(editor), file)
		cmd = exec.CommandContext(ctx, words[0], words[1:]...) //nolint:gosec // the user's own editor
	} else {
		cmd = exec.CommandContext(ctx, "sh", "-c", editor+` "$@"`, editor, file) //nolint:gosec // the user's own editor
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = p.stdin, p.stdout.Writer, p.stderr.Writer, p.environ
	return cmd.Run()
}

// keepEdit saves what was typed into an editor when it is refused.
func (p *program) keepEdit(err error, typed bool, edited []byte) error {
	var refused *dlq.RefusedError
	if !typed || !errors.As(err, &refused) || refused.Field == "" && !strings.Contains(refused.Reason, "refused") {
		return err
	}
	f, createErr := os.CreateTemp("", "millrace-dlq-refused-*.json")
	if createErr != nil {
		return err
	}
	_, writeErr := f.Write(edited)
	if errors.Join(writeErr, f.Close()) == nil {
		refused.Hint += "\nWhat you typed is in " + f.Name() + "; when it is mended: --file " + f.Name()
	}
	return err
}

func newDLQDiscard(p *program, common *dlqFlags) *cobra.Command {
	var reason string
	var undo bool
	c := &cobra.Command{
		Use:   "discard ID… --reason WHY",
		Short: "Say that dead letters are not to be sent again, or take that back",
		Long: `Say that dead letters are not to be sent again. The letters stay where they are; the
reason stands in dlq-audit. The group is told, in its retry topic: it may hold back
later events of the same key until it knows that this one does not come.

--undo takes it back. Later events of the key may have been worked off meanwhile.`,
		Example: `  millrace dlq discard orders-dlq/2/17 --reason 'test data'
  millrace dlq discard --undo orders-dlq/2/17`,
		Args: cobra.MinimumNArgs(1),
	}
	c.Flags().StringVar(&reason, "reason", "", "why; required, but with --undo")
	c.Flags().BoolVar(&undo, "undo", false, "make discarded letters open again")
	output := addOutputFlag(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if strings.TrimSpace(reason) == "" && !undo {
			return &usageError{errors.New("--reason is missing: why is the message given up?")}
		}
		client, err := p.connectDLQ(cmd.Context(), common, nil)
		if err != nil {
			return err
		}
		defer client.Close()
		var done []dlq.Summary
		for _, arg := range args {
			id, err := dlq.ParseID(arg)
			if err != nil {
				return &usageError{err}
			}
			found, err := client.Find(cmd.Context(), id)
			if err != nil {
				return adviseDLQ(err)
			}
			what, told := "open again", true
			if undo {
				found.State, err = client.Restore(cmd.Context(), found, reason)
			} else {
				what = "discarded"
				found.State, told, err = client.Discard(cmd.Context(), found, reason)
			}
			if err != nil {
				return adviseDLQ(err)
			}
			done = append(done, dlq.Summarize(found.Letter, found.State))
			if *output != formatJSON {
				fmt.Fprintf(p.stdout, "%s is %s.\n", found.Letter.ID, what)
				if !told && found.Letter.Dead.Group != "" {
					fmt.Fprintf(p.stderr, "Group %s has no retry topic to be told by.\n", terminal.Safe(found.Letter.Dead.Group))
				}
			}
		}
		if *output == formatJSON {
			return printSafeJSON(p.stdout, struct {
				Letters []dlq.Summary `json:"letters"`
			}{done})
		}
		return nil
	}
	return c
}
