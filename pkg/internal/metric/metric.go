// Package metric helps packages that may be set up twice with one registry.
package metric

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Register adds a collector to a registry and returns it, or the one that is there
// already. A nil registry leaves the collector unregistered, but usable.
func Register[C prometheus.Collector](r prometheus.Registerer, c C) C {
	if r == nil {
		return c
	}
	var already prometheus.AlreadyRegisteredError
	if err := r.Register(c); errors.As(err, &already) {
		if existing, ok := already.ExistingCollector.(C); ok {
			return existing
		}
	}
	return c
}
