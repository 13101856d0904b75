package app

import (
	"time"

	"millrace/pkg/service"
)

// Config is the settings of the order service; README.md has them as a table.
type Config struct {
	// HTTPAddr is where the API and the endpoints of operation listen.
	HTTPAddr string `env:"HTTP_ADDR" envDefault:"127.0.0.1:8081"`
	// IdempotencyKeep is how long an Idempotency-Key is remembered.
	IdempotencyKeep time.Duration `env:"IDEMPOTENCY_KEEP" envDefault:"24h"`

	service.Config
}

// Validate names the variable that is wrong, its value and what is allowed.
func (c Config) Validate() error {
	if err := service.CheckAddr("HTTP_ADDR", c.HTTPAddr); err != nil {
		return err
	}
	if c.IdempotencyKeep < time.Minute {
		return service.Invalid("IDEMPOTENCY_KEEP", c.IdempotencyKeep, "a duration from 1m")
	}
	return c.Config.ValidateFor("order")
}

// FromEnv reads the settings from an environment in the form of os.Environ.
func FromEnv(environ []string) (Config, error) { return service.FromEnv[Config](environ) }
