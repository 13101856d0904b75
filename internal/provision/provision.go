// Package provision makes what the shop's containers need before they can start: a random password
// for each role of Postgres, and the databases and roles themselves.
//
// Passwords are files, in a folder for each role, so that a container can be given its own and no
// other:
//
//	DIR/postgres/password   of the superuser, for the POSTGRES_PASSWORD_FILE of the postgres image
//	DIR/order/pgpass        of the service's role, as a PostgreSQL password file
//
// What is there is kept: both steps may run at every start.
package provision

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"millrace/pkg/postgres"
)

const (
	superuser    = "postgres"
	passwordFile = "password"
	pgpassFile   = "pgpass"
)

// Secrets makes the passwords that are not there yet. The superuser's is readable by every user of
// the containers that have its folder: the postgres image reads it as a user whose number differs
// from image to image. Keep the folders apart.
func Secrets(dir string, services []string) error {
	if err := keep(filepath.Join(dir, superuser, passwordFile), 0o444, rand.Text()); err != nil {
		return err
	}
	for _, service := range services {
		line := fmt.Sprintf("*:*:*:%s:%s\n", service, rand.Text())
		if err := keep(filepath.Join(dir, service, pgpassFile), 0o400, line); err != nil {
			return err
		}
	}
	return nil
}

// keep writes a file unless it exists. It is written beside and renamed, so that it is never there
// by half.
func keep(path string, mode fs.FileMode, content string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look for secret: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("folder for secret: %w", err)
	}
	part := path + ".part"
	_ = os.Remove(part)
	if err := os.WriteFile(part, []byte(content), mode); err != nil {
		return fmt.Errorf("write secret: %w", err)
	}
	if err := os.Rename(part, path); err != nil {
		return fmt.Errorf("write secret: %w", err)
	}
	return nil
}

// Databases makes sure that each service has its database and its role, with the passwords that
// Secrets made, on the Postgres at address (host:port).
func Databases(ctx context.Context, dir, address string, services []string) error {
	password, err := os.ReadFile(filepath.Join(dir, superuser, passwordFile))
	if err != nil {
		return fmt.Errorf("read secret: %w", err)
	}
	admin := url.URL{
		Scheme: "postgres", Host: address, Path: "/" + superuser, RawQuery: "sslmode=disable",
		User: url.UserPassword(superuser, strings.TrimSpace(string(password))),
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		return fmt.Errorf("address of Postgres: %w", err)
	}
	for _, service := range services {
		password, err := rolePassword(filepath.Join(dir, service, pgpassFile), service)
		if err != nil {
			return err
		}
		if _, err := postgres.Provision(ctx, admin.String(), service, service, password); err != nil {
			return fmt.Errorf("provision %s: %w", service, err)
		}
	}
	return nil
}

// rolePassword reads the role's line of a password file.
func rolePassword(path, role string) (string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	password, ok := strings.CutPrefix(strings.TrimSpace(string(content)), "*:*:*:"+role+":")
	if !ok || password == "" {
		return "", fmt.Errorf("%s is not the password file of %s", path, role)
	}
	return password, nil
}
