package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"millrace/internal/shop"
)

// Files of a role's folder.
const (
	passwordFile = "password" // for the official Postgres image
	pgpassFile   = "pgpass"   // for clients (postgresql.org/docs/current/libpq-pgpass.html)
)

// adminRole is the superuser of the official Postgres image.
const adminRole = "postgres"

func newSecrets(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "secrets DIR",
		Short: "Make random passwords for containers: one folder for each Postgres role, what is there is kept",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			for _, role := range append([]string{adminRole}, shop.Services...) {
				made, err := makeSecret(filepath.Join(args[0], role), role)
				if err != nil {
					return fmt.Errorf("secret of %s: %w", role, err)
				}
				if made {
					fmt.Fprintln(p.stderr, "made a password for", role)
				}
			}
			return nil
		},
		Hidden: true,
	}
}

// makeSecret writes a role's files unless they are there. The folder is a volume
// that only those who need the password mount: the file may be read by the user
// of another image.
func makeSecret(dir, role string) (made bool, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return false, err
	}
	if password, err := readSecret(dir); err == nil {
		return false, writeOnce(filepath.Join(dir, pgpassFile), "*:*:*:"+role+":"+password+"\n", 0o600)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	password := rand.Text()
	return true, errors.Join(
		writeOnce(filepath.Join(dir, passwordFile), password+"\n", 0o644),
		writeOnce(filepath.Join(dir, pgpassFile), "*:*:*:"+role+":"+password+"\n", 0o600))
}

func writeOnce(path, content string, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	return errors.Join(err, f.Close())
}

// readSecret reads the password in a role's folder.
func readSecret(dir string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, passwordFile))
	if err != nil {
		return "", err
	}
	password := strings.TrimSpace(string(b))
	if password == "" {
		return "", fmt.Errorf("%s is empty", filepath.Join(dir, passwordFile))
	}
	return password, nil
}
