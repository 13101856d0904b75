package compat

import (
	"strings"
	"testing"

	"millrace/broker/brokertest"
)

// seeds are the brokers that a test judges: those of MILLRACE_COMPAT_BROKERS, else a bundled one of
// the test's own.
func seeds(t *testing.T) []string {
	t.Helper()
	if external != "" {
		return strings.Split(external, ",")
	}
	return []string{brokertest.Start(t).Addr}
}
