package compat

import (
	"strings"
	"testing"
)

// seeds are the brokers that the tests of this run judge.
func seeds(t *testing.T) []string {
	t.Helper()
	return strings.Split(external, ",")
}
