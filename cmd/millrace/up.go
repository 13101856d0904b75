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
	"millrace/internal/shop"
	"millrace/internal/supervise"
	"millrace/pkg/wrongway"
)

func newUp(p *program) *cobra.Command {
	var f upFlags
	c := &cobra.Command{
		Use:   "up",
		Short: "Start the whole shop: broker, Postgres, services, mail catcher, trace collector",
		Long: `Start the whole shop: broker, Postgres, services, mail catcher, trace collector,
each a process of its own. Ctrl-C ends everything in order, a second one faster.
The next up on the same folder goes on with the same orders.

Postgres is the server of DATABASE_URL where that is set, else one found on this
machine, else one fetched once. Spans are also passed on to
OTEL_EXPORTER_OTLP_ENDPOINT where that is set.`,
		Example: `  millrace up
  millrace up --instances inventory=3 --quiet
  millrace up --brokers localhost:9092      # on Apache Kafka
  millrace up --orders 200 --exit           # place orders, prove that none was lost or done twice`,
		Args: cobra.NoArgs,
	}
	c.Flags().StringVar(&f.data, "data", datadir.Default, "folder for everything the shop keeps")
	c.Flags().BoolVar(&f.quiet, "quiet", false, "write the parts' logs to files only (DATA/logs)")
	c.Flags().StringArrayVar(&f.instances, "instances", nil, "run several instances of a service, as inventory=2; may be repeated")
	c.Flags().StringVar(&f.brokers, "brokers", "", "use another Kafka (host:port, several with commas) instead of the bundled broker")
	c.Flags().StringVar(&f.restart, "restart", string(supervise.OnFailure), "when to start a part again that has ended: always, on-failure, never")
	c.Flags().StringSliceVar(&f.wrongWays, "wrong-way", nil, "do something wrong on purpose, to watch it fail (docs/wrong-ways.md), in every service that can, or SERVICE:NAME in one: "+strings.Join(wrongway.Names(), ", "))
	c.Flags().BoolVar(&f.faults, "faults", false, "let parts be made to fail on purpose: millrace fault list (docs/faults.md)")
	c.Flags().IntVar(&f.orders, "orders", 0, "place this many orders, then check that none was lost or done twice")
	c.Flags().Uint64Var(&f.seed, "seed", 1, "what the orders of --orders are made from")
	c.Flags().BoolVar(&f.exit, "exit", false, "with --orders: stop afterwards; the last line on stdout is the result as JSON")
	c.RunE = func(cmd *cobra.Command, _ []string) error { return p.up(cmd.Context(), f) }
	return c
}

type upFlags struct {
	data, brokers, restart string
	quiet, exit, faults    bool
	instances, wrongWays   []string
	orders                 int
	seed                   uint64
}

// maxOrders caps --orders: the mail catcher keeps two mails of each.
const maxOrders = 50_000

func (p *program) shopConfig(f upFlags) (shop.Config, error) {
	restart, err := supervise.ParsePolicy(f.restart)
	if err != nil {
		return shop.Config{}, fmt.Errorf("--restart: %w", err)
	}
	instances := map[string]int{}
	for _, v := range f.instances {
		name, number, ok := strings.Cut(v, "=")
		n, err := strconv.Atoi(number)
		if !ok || err != nil {
			return shop.Config{}, fmt.Errorf("--instances %q is not of the form SERVICE=NUMBER, as inventory=2", v)
		}
		instances[name] = n
	}
	switch {
	case f.orders < 0 || f.orders > maxOrders:
		return shop.Config{}, fmt.Errorf("--orders %d, allowed: 0 to %d", f.orders, maxOrders)
	case f.exit && f.orders == 0:
		return shop.Config{}, errors.New("--exit needs --orders N")
	}
	faults, err := p.upFaults(f)
	if err != nil {
		return shop.Config{}, err
	}
	executable, err := os.Executable()
	if err != nil {
		return shop.Config{}, err
	}
	c := shop.Config{
		Data: f.data, Quiet: f.quiet, Instances: instances, Brokers: f.brokers, Restart: restart, WrongWays: f.wrongWays, Faults: faults,
		Executable: executable, Invocation: "millrace", Environ: p.environ, Out: p.stdout,
	}
	if f.exit {
		c.Out = p.stderr // stdout is for the result
	}
	if startedByGoRun() {
		c.Invocation = "go run ./cmd/millrace"
	}
	return c, c.Validate()
}

// upFaults tells whether parts may be made to fail: by --faults, by a wrong way, which is
// watched with them, or by the variable that says so to each part.
func (p *program) upFaults(f upFlags) (bool, error) {
	if rules := p.getenv("FAULTS"); rules != "" {
		return false, errors.New("FAULTS has rules for one part, and up starts many: set them with millrace fault set, once it runs")
	}
	asked := f.faults || len(f.wrongWays) > 0
	value := p.getenv("FAULTS_ENABLED")
	if value == "" {
		return asked, nil
	}
	enabled, err := strconv.ParseBool(value)
	if err != nil {
		return false, fmt.Errorf("FAULTS_ENABLED is %q; allowed is true or false", value)
	}
	return asked || enabled, nil
}

func (p *program) up(ctx context.Context, f upFlags) error {
	config, err := p.shopConfig(f)
	if err != nil {
		return &usageError{err}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	hurry, stopSignals := followSignals(cancel)
	defer stopSignals()
	if startedByGoRun() {
		go followParent(ctx, cancel)
	}

	s, err := shop.Up(ctx, config)
	var inUse *datadir.InUseError
	switch {
	case errors.As(err, &inUse):
		return &hinted{err: err, hint: "A shop runs there. End it first, or use another folder: --data DIR"}
	case errors.Is(err, context.Canceled):
		return errors.New("stopped before the shop was ready")
	case err != nil:
		return err
	}
	defer s.Down(context.WithoutCancel(ctx), hurry)
	s.Say("%s", s.Summary())
	if f.orders > 0 {
		if err := p.placeOrders(ctx, s, f); err != nil || f.exit {
			return err
		}
	}
	<-ctx.Done()
	return nil
}

// followSignals calls stop at the first signal, closes hurry at the second, and
// lets the system end the process at the third.
func followSignals(stop func()) (hurry <-chan struct{}, end func()) {
	hurried := make(chan struct{})
	signals := make(chan os.Signal, 3)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		select {
		case <-signals:
			stop()
		case <-done:
			return
		}
		select {
		case <-signals:
			close(hurried)
			signal.Stop(signals)
		case <-done:
		}
	}()
	return hurried, func() {
		signal.Stop(signals)
		close(done)
	}
}

// followParent stops the shop when the process that started it is gone: go run
// hands on no signal that ends it.
func followParent(ctx context.Context, stop func()) {
	const lookEvery = 300 * time.Millisecond
	parent := os.Getppid()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if os.Getppid() != parent {
				stop()
				return
			}
		}
	}
}
