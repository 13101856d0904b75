package app

import (
	"time"

	"millrace/pkg/service"
	"millrace/services/notification/smtpmail"
)

// Config is the settings of the notification service; README.md has them as a table.
type Config struct {
	// HTTPAddr is where the endpoints of operation listen.
	HTTPAddr string `env:"HTTP_ADDR" envDefault:"127.0.0.1:8083"`

	SMTP smtpmail.Config

	service.Config
}

// maxSMTPTimeout keeps a mail within the time that a consumer gives a try.
func (c Config) maxSMTPTimeout() time.Duration { return c.Retry.TryTimeout * 4 / 5 }

// Validate names the variable that is wrong, its value and what is allowed.
func (c Config) Validate() error {
	if err := service.CheckAddr("HTTP_ADDR", c.HTTPAddr); err != nil {
		return err
	}
	if err := c.SMTP.Validate(); err != nil {
		return err
	}
	if err := c.Config.ValidateFor("notification"); err != nil {
		return err
	}
	if c.SMTP.Timeout > c.maxSMTPTimeout() {
		return service.Invalid("SMTP_TIMEOUT", c.SMTP.Timeout, "a duration above 0 and up to "+c.maxSMTPTimeout().String()+", four fifths of RETRY_TRY_TIMEOUT")
	}
	return nil
}

// FromEnv reads the settings from an environment in the form of os.Environ.
func FromEnv(environ []string) (Config, error) { return service.FromEnv[Config](environ) }
