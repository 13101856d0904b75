package service

import (
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"millrace/pkg/fault"
)

// FaultConfig says whether things may be made to go wrong on purpose.
type FaultConfig struct {
	// Allowed permits it. Anyone who reaches the HTTP address can then crash the service.
	Allowed bool `env:"FAULTS_ENABLED" envDefault:"false"`
	// Rules are set from the start, see [fault.ParseRules].
	Rules string `env:"FAULTS"`
}

// Validate names the variable that is wrong, its value and what is allowed.
func (c FaultConfig) Validate() error {
	if c.Rules != "" && !c.Allowed {
		return Invalid("FAULTS", c.Rules, "nothing, unless FAULTS_ENABLED=true")
	}
	if _, err := fault.ParseRules(c.Rules); err != nil {
		return fmt.Errorf("FAULTS: %w", err)
	}
	return nil
}

// NewSet returns the set of faults of a program that has these points: nil unless faults
// are enabled. Firings are logged and counted.
func (c FaultConfig) NewSet(log *slog.Logger, r prometheus.Registerer, points ...fault.Point) (*fault.Set, error) {
	if err := c.Validate(); err != nil || !c.Allowed {
		return nil, err
	}
	injections := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fault_injections_total", Help: "Faults that were injected on purpose, by point and kind.",
	}, []string{"point", "kind"})
	if err := r.Register(injections); err != nil {
		return nil, err
	}
	set := fault.New(fault.Options{
		Logger:  log,
		Observe: func(p fault.Point, k fault.Kind) { injections.WithLabelValues(string(p), string(k)).Inc() },
	}, points...)
	rules, err := fault.ParseRules(c.Rules)
	if err != nil {
		return nil, err
	}
	if err := set.SetAll(rules); err != nil {
		return nil, fmt.Errorf("FAULTS: %w", err)
	}
	log.Warn("faults are enabled: whoever reaches the HTTP address can make this program fail", "rules", fault.FormatRules(rules))
	return set, nil
}
