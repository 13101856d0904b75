package app

import (
	"testing"

	"millrace/pkg/service"
	"millrace/pkg/wrongway"
	"millrace/services/order/postgres"
)

// The store is the right one unless dual-write is asked for, whatever else is.
func TestNewStore(t *testing.T) {
	for _, ways := range [][]string{nil, {wrongway.NoKey}, {wrongway.CursorOutbox, wrongway.AutoCommit}} {
		if s := newStore(&service.Env{Config: service.Config{WrongWays: ways}}); !isRight(s) {
			t.Errorf("with %v the store is a %T", ways, s)
		}
	}
}

func isRight(s store) bool {
	_, right := s.(*postgres.Store)
	return right
}
