package service_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/pkg/service"
)

type config struct {
	Wait time.Duration `env:"WAIT" envDefault:"1s"`

	service.Config
}

func (c config) Validate() error {
	if c.Wait == 0 {
		return service.Invalid("WAIT", c.Wait, "more than nothing")
	}
	return c.Config.Validate()
}

const database = "DATABASE_URL=postgres://u:p@h/d"

func TestFromEnv_NamesVariableValueAndWhatIsAllowed(t *testing.T) {
	for set, want := range map[string]string{
		"WAIT=soon":                 `WAIT is "soon"; allowed is a value of the kind duration, as 10s or 1h30m`,
		"WAIT=0s":                   `WAIT is "0s"; allowed is more than nothing`,
		"DRAIN_TIMEOUT=2m":          `DRAIN_TIMEOUT is "2m0s"; allowed is a duration above 0 and up to 1m, as 10s`,
		"SHUTDOWN_DELAY=-1s":        `SHUTDOWN_DELAY is "-1s"; allowed is a duration from 0s to 1m, as 5s`,
		"SHUTDOWN_DELAY=61s":        `SHUTDOWN_DELAY is "1m1s"; allowed is a duration from 0s to 1m, as 5s`,
		"RETRY_DELAYS=5s,soon":      `RETRY_DELAYS is "5s,soon"; allowed is a value of the kind durations separated by commas, as 5s,30s`,
		"RETRY_DELAYS=5s,48h":       `RETRY_DELAYS holds "48h0m0s", want durations from 10ms to 24h0m0s, as 5s,30s`,
		"RETRY_MAX_ATTEMPTS=0":      `RETRY_MAX_ATTEMPTS is 0, want 1 to 10`,
		"KAFKA_TLS_ENABLED=perhaps": `KAFKA_TLS_ENABLED is "perhaps"; allowed is a value of the kind true or false`,
	} {
		if _, err := service.FromEnv[config]([]string{database, set}); err == nil || err.Error() != want {
			t.Errorf("%s:\n%v, want\n%s", set, err, want)
		}
	}
	if c, err := service.FromEnv[config]([]string{database, "RETRY_DELAYS=5s,30s"}); err != nil || !slices.Equal(c.Retry.Delays, []time.Duration{5 * time.Second, 30 * time.Second}) {
		t.Errorf("delays %v, %v", c.Retry.Delays, err)
	}
	if c, err := service.FromEnv[config]([]string{database, "WAIT="}); err != nil || c.Wait != time.Second {
		t.Errorf("an empty variable counts as not set: %v, %v", c.Wait, err)
	}
}

func TestMain_ExitCodes(t *testing.T) {
	for name, c := range map[string]struct {
		environ []string
		run     func(context.Context, config) error
		code    int
		says    string
	}{
		"orderly":     {[]string{database}, func(context.Context, config) error { return nil }, 0, ""},
		"failed":      {[]string{database}, func(context.Context, config) error { return errors.New("it broke") }, 1, "it broke\n"},
		"bad setting": {nil, func(context.Context, config) error { panic("started") }, 2, "DATABASE_URL"},
	} {
		t.Run(name, func(t *testing.T) {
			var errs bytes.Buffer
			if code := service.Main(c.environ, &errs, c.run); code != c.code || !strings.Contains(errs.String(), c.says) {
				t.Errorf("code %d, %s", code, &errs)
			}
		})
	}
}
