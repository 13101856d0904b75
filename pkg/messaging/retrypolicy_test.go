package messaging_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/pkg/messaging"
)

func TestRetryPolicy_NamesVariableValueAndWhatIsAllowed(t *testing.T) {
	if err := messaging.DefaultRetryPolicy().Validate(); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		change func(*messaging.RetryPolicy)
		says   string // empty: it is allowed
	}{
		{func(p *messaging.RetryPolicy) {
			p.Delays = []time.Duration{5 * time.Second, 30 * time.Second, 24 * time.Hour}
		}, ""},
		{func(p *messaging.RetryPolicy) { p.MaxAttempts = 1 }, ""},
		{func(p *messaging.RetryPolicy) { p.MaxAttempts = 0 }, "RETRY_MAX_ATTEMPTS is 0, want 1 to 10"},
		{func(p *messaging.RetryPolicy) { p.MaxAttempts = 11 }, "RETRY_MAX_ATTEMPTS is 11, want 1 to 10"},
		{func(p *messaging.RetryPolicy) { p.InitialWait = 0 }, `RETRY_INITIAL_WAIT is "0s", want a duration from 1ms to 30s, as 200ms`},
		{func(p *messaging.RetryPolicy) { p.InitialWait = time.Minute }, `RETRY_INITIAL_WAIT is "1m0s"`},
		{func(p *messaging.RetryPolicy) { p.TryTimeout = time.Millisecond }, `RETRY_TRY_TIMEOUT is "1ms", want a duration from 10ms to 30s, as 10s`},
		{func(p *messaging.RetryPolicy) { p.TryTimeout = time.Minute }, `RETRY_TRY_TIMEOUT is "1m0s"`},
		{func(p *messaging.RetryPolicy) { p.Delays = []time.Duration{time.Second, -time.Second} }, `RETRY_DELAYS holds "-1s", want durations from 10ms to 24h0m0s, as 5s,30s`},
		{func(p *messaging.RetryPolicy) { p.Delays = []time.Duration{25 * time.Hour} }, `RETRY_DELAYS holds "25h0m0s"`},
		{func(p *messaging.RetryPolicy) { p.Delays = slices.Repeat([]time.Duration{time.Second}, 11) }, "RETRY_DELAYS holds 11 durations, want at most 10"},
		// Each is allowed alone; together they would hold up a rebalance.
		{func(p *messaging.RetryPolicy) { p.MaxAttempts = 10 }, `RETRY_MAX_ATTEMPTS is 10, RETRY_TRY_TIMEOUT is "10s" and RETRY_INITIAL_WAIT is "200ms": the tries and their waits can take 50m52.3s, want at most 45s`},
		{func(p *messaging.RetryPolicy) { p.TryTimeout = 20 * time.Second }, "want at most 45s"},
	} {
		p := messaging.DefaultRetryPolicy()
		c.change(&p)
		err := p.Validate()
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v, want %q", p, err, c.says)
		}
	}
}
