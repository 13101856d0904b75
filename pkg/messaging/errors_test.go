package messaging_test

import (
	"errors"
	"fmt"
	"testing"

	"millrace/pkg/fault"
	"millrace/pkg/messaging"
)

func TestIsPermanent(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{broken, false},
		{messaging.Permanent(nil), false},
		{messaging.Permanent(broken), true},
		{fmt.Errorf("handler: %w", messaging.Permanent(broken)), true},
		{&fault.InjectedError{Point: fault.EffectBeforeCommit, Kind: fault.Error}, false},
		{fmt.Errorf("store: %w", &fault.InjectedError{Point: fault.EffectBeforeCommit, Kind: fault.Permanent}), true},
	} {
		if got := messaging.IsPermanent(c.err); got != c.want {
			t.Errorf("%v: %v", c.err, got)
		}
	}
}
