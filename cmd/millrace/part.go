package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"millrace/internal/datadir"
	"millrace/internal/shop"
	"millrace/internal/shopclient"
	"millrace/internal/terminal"
	"millrace/pkg/fault"
)

func newPart(p *program) *cobra.Command {
	c := &cobra.Command{
		Use:   "part",
		Short: "Look at the parts of the running shop; stop, start, kill, freeze, add and remove them",
		Long: `Look at the parts of the shop that ` + "`millrace up`" + ` runs, and take them away.

A part that is stopped stays down until it is started; one that is killed is started
again by the restart policy of up. Killing and freezing need ` + "`millrace up --faults`" + `.`,
		Example: `  millrace part list
  millrace part stop inventory
  millrace part kill postgres
  millrace part freeze broker       # later: millrace part thaw broker
  millrace part add inventory       # one more instance; millrace part remove inventory-2`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(
		newPartList(p),
		newPartVerb(p, "stop", "Stop parts in order; they stay down until started"),
		newPartVerb(p, "start", "Start parts that are stopped, and wait until they work"),
		newPartVerb(p, "kill", "End parts as kill -9 does; the restart policy decides what follows"),
		newPartVerb(p, "freeze", "Hold parts (SIGSTOP): they are there and do nothing"),
		newPartVerb(p, "thaw", "Let frozen parts go on"),
		newPartAdd(p), newPartRemove(p),
	)
	return c
}

// runningShop is what shop.json of --data tells.
func (p *program) runningShop() (datadir.Shop, error) {
	s, err := datadir.ReadShop(p.data)
	if errors.Is(err, fs.ErrNotExist) {
		return s, &hinted{
			err:  fmt.Errorf("no shop runs on %s", p.data),
			hint: "Start it with: millrace up\nIf it keeps its data elsewhere, name the folder: --data FOLDER",
		}
	}
	if err != nil {
		return s, fmt.Errorf("read where the shop is: %w", err)
	}
	return s, nil
}

// control is a client of the running shop's control.
func (p *program) control() (*shopclient.Client, error) {
	s, err := p.runningShop()
	if err != nil {
		return nil, err
	}
	return shopclient.NewPatient(s.ControlURL), nil
}

func (p *program) addDataFlag(c *cobra.Command) {
	c.Flags().StringVar(&p.data, "data", datadir.Default, "folder of the shop that millrace up runs")
}

// adviseOperator adds what to try to errors of the control and of faults.
func adviseOperator(err error) error {
	var answer *shopclient.Problem
	switch {
	case errors.As(err, &answer) && answer.Type == "/problems/faults-disabled":
		return &hinted{err: err, hint: "Start the shop with: millrace up --faults"}
	case errors.As(err, &answer) && answer.Type == "/problems/no-such-part":
		return &hinted{err: err, hint: "What there is: millrace part list"}
	case errors.As(err, &answer) && (answer.Type == "/problems/no-such-fault-point" || answer.Type == "/problems/invalid-fault"):
		return &hinted{err: err, hint: "What there is: millrace fault list PART"}
	}
	return advise(err)
}

func newPartList(p *program) *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List the parts: what they do, where they are", Args: cobra.NoArgs}
	p.addDataFlag(c)
	output := addOutputFlag(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := p.control()
		if err != nil {
			return err
		}
		defer client.Close()
		list, err := client.Parts(cmd.Context())
		if err != nil {
			return adviseOperator(err)
		}
		if *output == formatJSON {
			return printJSON(p.stdout, list)
		}
		t := terminal.Table{Right: []bool{false, false, false, true}}
		t.Add("PART", "STATE", "ADDRESS", "PID")
		for _, part := range list.Parts {
			t.Add(part.Name, string(part.State), part.Address, pidText(part.PID))
		}
		fmt.Fprint(p.stdout, t.Render(p.stdout))
		return nil
	}
	return c
}

func stateText(out terminal.Output, s shop.State) string {
	colour, known := map[shop.State]terminal.Colour{shop.Running: terminal.Green, shop.Frozen: terminal.Yellow, shop.Restarting: terminal.Yellow}[s]
	if !known {
		colour = terminal.Red
	}
	return out.Paint(colour, string(s))
}

func pidText(pid int) string {
	if pid == 0 {
		return "-"
	}
	return strconv.Itoa(pid)
}

func newPartVerb(p *program, verb, short string) *cobra.Command {
	c := &cobra.Command{Use: verb + " PART…", Short: short, Args: cobra.MinimumNArgs(1)}
	p.addDataFlag(c)
	output := addOutputFlag(c)
	c.RunE = func(cmd *cobra.Command, names []string) error {
		client, err := p.control()
		if err != nil {
			return err
		}
		defer client.Close()
		var done []shop.PartInfo
		for _, name := range names {
			part, err := client.Part(cmd.Context(), name, verb)
			if err != nil {
				return adviseOperator(err)
			}
			done = append(done, part)
			if *output == formatTable {
				fmt.Fprintf(p.stdout, "%s is %s\n", part.Name, stateText(p.stdout, part.State))
			}
		}
		if *output == formatJSON {
			return printJSON(p.stdout, done)
		}
		return nil
	}
	return c
}

func newPartAdd(p *program) *cobra.Command {
	c := &cobra.Command{Use: "add SERVICE", Short: "Start one more instance of a service", Args: cobra.ExactArgs(1)}
	p.addDataFlag(c)
	output := addOutputFlag(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := p.control()
		if err != nil {
			return err
		}
		defer client.Close()
		part, err := client.AddInstance(cmd.Context(), args[0])
		if err != nil {
			return adviseOperator(err)
		}
		if *output == formatJSON {
			return printJSON(p.stdout, part)
		}
		fmt.Fprintf(p.stdout, "%s is %s at %s\n", part.Name, stateText(p.stdout, part.State), part.Address)
		return nil
	}
	return c
}

func newPartRemove(p *program) *cobra.Command {
	c := &cobra.Command{Use: "remove INSTANCE", Short: "Stop an instance of a service in order, and forget it", Args: cobra.ExactArgs(1)}
	p.addDataFlag(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := p.control()
		if err != nil {
			return err
		}
		defer client.Close()
		list, err := client.Parts(cmd.Context())
		if err != nil {
			return adviseOperator(err)
		}
		service, err := serviceOf(list.Parts, args[0])
		if err != nil {
			return err
		}
		if err := client.RemoveInstance(cmd.Context(), service, args[0]); err != nil {
			return adviseOperator(err)
		}
		fmt.Fprintf(p.stdout, "%s is gone\n", args[0])
		return nil
	}
	return c
}

// serviceOf is the service that an instance belongs to.
func serviceOf(parts []shop.PartInfo, instance string) (string, error) {
	var instances []string
	for _, part := range parts {
		switch {
		case part.Name == instance && part.Service == "":
			return "", fmt.Errorf("%s is no instance of a service: stop it instead", instance)
		case part.Name == instance:
			return part.Service, nil
		case part.Service != "":
			instances = append(instances, part.Name)
		}
	}
	return "", notThere("instance", instance, instances)
}

// notThere says that there is no such thing, what there is, and what was meant perhaps.
func notThere(what, name string, names []string) error {
	text := fmt.Sprintf("there is no %s %.60q; there is: %s", what, name, strings.Join(names, ", "))
	if n := fault.Nearest(name, names); n != "" {
		text += "; the nearest is " + n
	}
	return errors.New(text)
}
