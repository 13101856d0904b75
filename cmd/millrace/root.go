package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"millrace/internal/terminal"
)

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// program is what a run of the command gets from outside.
type program struct {
	stdin   io.Reader
	stdout  terminal.Output
	stderr  terminal.Output
	environ []string

	data string // --data of the commands that look for a shop
	ran  bool   // a command's own code was reached: errors before that are about usage
}

func (p *program) getenv(name string) string {
	for _, kv := range p.environ {
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			return value
		}
	}
	return ""
}

// logger is for parts, whose lines up reads or a person does.
func (p *program) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.String(a.Key, a.Value.Time().Format("15:04:05.000"))
		}
		return a
	}}))
}

// usageError is an error in how the command was called.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// hinted is an error with what to try.
type hinted struct {
	err  error
	hint string
}

func (e *hinted) Error() string { return e.err.Error() }
func (e *hinted) Unwrap() error { return e.err }

// run executes a command line and returns the exit code.
func run(ctx context.Context, args []string, p *program) int {
	root := newRoot(p) //nolint:contextcheck // commands get their context from cobra
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	var usage *usageError
	isUsage := errors.As(err, &usage) || !p.ran
	fmt.Fprintf(p.stderr, "%s %s\n", p.stderr.Paint(terminal.Red, "millrace:"), strings.TrimSpace(err.Error()))
	var hint *hinted
	switch {
	case errors.As(err, &hint):
		fmt.Fprintln(p.stderr, hint.hint)
	case isUsage:
		command, _, findErr := root.Find(args)
		if findErr != nil {
			command = root
		}
		fmt.Fprintf(p.stderr, "Try: %s --help\n", command.CommandPath())
	}
	if isUsage {
		return exitUsage
	}
	return exitFailure
}

// Groups of the help.
const (
	groupStart = "start"
	groupUse   = "use"
	groupParts = "parts"
)

func newRoot(p *program) *cobra.Command {
	root := &cobra.Command{
		Use:   "millrace",
		Short: "An online shop's order flow, from the HTTP request to the e-mail",
		Long: `An online shop's order flow, three services and the broker between them.

  millrace up                     starts everything, no Docker needed
  millrace order create …         places an order
  millrace trace ORDER_ID         follows it through every hop

Exit codes: 0 done, 1 failed, 2 wrong usage.`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.AddGroup(
		&cobra.Group{ID: groupStart, Title: "Run the shop:"},
		&cobra.Group{ID: groupUse, Title: "Use it:"},
		&cobra.Group{ID: groupParts, Title: "Its parts, each a process of its own (settings come from the environment):"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add(groupStart, newUp(p))
	add(groupUse, newOrder(p), newProducts(p), newTrace(p), newDLQ(p), newReplay(p), newScenario(p), newPart(p), newFault(p))
	add(groupParts, newBroker(p), newService(p, inventoryService), newService(p, notificationService), newPostgres(p), newMail(p), newCollector(p))
	root.AddCommand(newVersion(p), newHealth(p), newSecrets(p), newProvision(p))
	noteRuns(p, root)
	return root
}

// noteRuns makes every command note that its own code was reached.
func noteRuns(p *program, c *cobra.Command) {
	if runE := c.RunE; runE != nil {
		c.RunE = func(cmd *cobra.Command, args []string) error {
			p.ran = true
			return runE(cmd, args)
		}
	}
	for _, sub := range c.Commands() {
		noteRuns(p, sub)
	}
}
