package app

import "millrace/pkg/service"

// Config is the settings of the inventory service; README.md has them as a table.
type Config struct {
	// HTTPAddr is where the API and the endpoints of operation listen.
	HTTPAddr string `env:"HTTP_ADDR" envDefault:"127.0.0.1:8082"`

	service.Config
}

// Validate names the variable that is wrong, its value and what is allowed.
func (c Config) Validate() error {
	if err := service.CheckAddr("HTTP_ADDR", c.HTTPAddr); err != nil {
		return err
	}
	return c.Config.ValidateFor("inventory")
}

// FromEnv reads the settings from an environment in the form of os.Environ.
func FromEnv(environ []string) (Config, error) { return service.FromEnv[Config](environ) }
