package shop

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
)

// PostgresState is what the Postgres part tells up when the server accepts
// connections, in a file of mode 0600: it holds the superuser's URL.
type PostgresState struct {
	PID      int    `json:"pid"`    // of the part
	Server   int    `json:"server"` // of the postmaster
	AdminURL string `json:"admin_url"`
}

// Write replaces the file in one step.
func (s PostgresState) Write(path string) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".postgres-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return os.Rename(f.Name(), path)
}

// ReadPostgresState reads what a part wrote.
func ReadPostgresState(path string) (PostgresState, error) {
	var s PostgresState
	b, err := os.ReadFile(path)
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(b, &s)
}
