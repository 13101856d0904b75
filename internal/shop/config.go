package shop

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"millrace/internal/supervise"
	"millrace/internal/terminal"
)

// The services, in the order of an order's way.
const (
	Order        = "order"
	Inventory    = "inventory"
	Notification = "notification"
)

// Services lists them.
var Services = []string{Order, Inventory, Notification}

// maxInstances caps the instances of one service: more than the topics have
// partitions stand idle, and each takes memory.
const maxInstances = 16

// Config says what to run and how.
type Config struct {
	Data      string // folder for everything; made when it is missing
	Quiet     bool   // parts' output goes to files alone
	Instances map[string]int
	Brokers   string // bootstrap addresses of another Kafka; empty: the bundled broker
	Restart   supervise.Policy
	// Backoff is the wait before a part that has died is started again; zero: that of
	// package supervise.
	Backoff   supervise.Backoff
	WrongWays []string // what is done wrong on purpose: NAME by the services that have it, SERVICE:NAME by this one

	// Faults lets parts be made to fail on purpose: at their fault points, and by Kill and
	// Freeze.
	Faults bool
	// FaultRules are rules in the form of fault.ParseRules that a part has from the start, by
	// its name. Its first process alone gets them: one that has crashed by a rule would do
	// so again and again.
	FaultRules map[string]string

	// OtherPorts leaves the usual ports free: for a shop beside the user's own.
	OtherPorts bool

	Executable string   // the program whose subcommands are the parts
	Invocation string   // how the user calls it, for advice
	Environ    []string // of up

	Out terminal.Output
}

// Validate names the field that is wrong and what is allowed.
func (c Config) Validate() error {
	for name, n := range c.Instances {
		if !slices.Contains(Services, name) {
			return fmt.Errorf("instances of %q: there is no such service, allowed: %s", name, strings.Join(Services, ", "))
		}
		if n < 1 || n > maxInstances {
			return fmt.Errorf("instances of %s: %d, allowed: 1 to %d", name, n, maxInstances)
		}
	}
	if len(c.FaultRules) > 0 && !c.Faults {
		return errors.New("fault rules are given, but faults are not enabled")
	}
	if err := checkWrongWays(c.WrongWays); err != nil {
		return err
	}
	for addr := range strings.SplitSeq(c.Brokers, ",") {
		if c.Brokers != "" && !strings.Contains(addr, ":") {
			return fmt.Errorf("brokers: %q is not of the form host:port", addr)
		}
	}
	return nil
}

// Deadlines of starting and stopping.
const (
	startTimeout      = time.Minute
	postgresTimeout   = 10 * time.Minute // its binaries may have to be fetched
	stragglersTimeout = time.Minute
	drainTimeout      = 15 * time.Second // services
	helperTimeout     = 5 * time.Second  // mail, collector
	brokerTimeout     = 15 * time.Second
	postgresStop      = 20 * time.Second
	hurriedTimeout    = 3 * time.Second // each of them after the second Ctrl-C
)
