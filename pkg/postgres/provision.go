package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Provision makes sure that the database and the role exist, that the role owns the
// database and has the password, and that no other role may connect to it. It returns
// the URL for the role. It may be called again, and by several at the same time.
func Provision(ctx context.Context, adminURL, database, role, password string) (string, error) {
	if database == "" || role == "" || password == "" {
		return "", errors.New("provision: database, role and password must not be empty")
	}
	admin, err := pgx.Connect(ctx, adminURL)
	if err != nil {
		return "", fmt.Errorf("provision %s: connect as administrator: %w", database, err)
	}
	defer admin.Close(context.WithoutCancel(ctx))
	if err := provision(ctx, admin, database, role, password); err != nil {
		return "", fmt.Errorf("provision %s: %w", database, err)
	}
	return withRole(adminURL, database, role, password)
}

func provision(ctx context.Context, admin *pgx.Conn, database, role, password string) error {
	// One at a time; the lock ends with the connection.
	if _, err := admin.Exec(ctx, `SELECT pg_advisory_lock($1)`, lockKey("provision")); err != nil {
		return err
	}
	name, owner, secret := quoteName(database), quoteName(role), quoteText(password)
	_, err := admin.Exec(ctx, `CREATE ROLE `+owner+` LOGIN PASSWORD `+secret)
	if hasCode(err, codeDuplicateObject) {
		_, err = admin.Exec(ctx, `ALTER ROLE `+owner+` LOGIN PASSWORD `+secret)
	}
	if err != nil {
		return fmt.Errorf("create role %s: %w", role, err)
	}
	var exists, superuser bool
	err = admin.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1),
		(SELECT rolsuper FROM pg_roles WHERE rolname = current_user)`, database).Scan(&exists, &superuser)
	if err != nil {
		return err
	}
	if !superuser {
		// Only a member of a role may hand it a database.
		if _, err := admin.Exec(ctx, `GRANT `+owner+` TO CURRENT_USER`); err != nil {
			return fmt.Errorf("become a member of role %s: %w", role, err)
		}
	}
	if exists {
		_, err = admin.Exec(ctx, `ALTER DATABASE `+name+` OWNER TO `+owner)
	} else {
		_, err = admin.Exec(ctx, `CREATE DATABASE `+name+` OWNER `+owner+` ENCODING 'UTF8' TEMPLATE template0`)
	}
	if err != nil && !hasCode(err, codeDuplicateDatabase) {
		return fmt.Errorf("create database: %w", err)
	}
	if _, err := admin.Exec(ctx, `REVOKE ALL ON DATABASE `+name+` FROM PUBLIC`); err != nil {
		return fmt.Errorf("keep others out: %w", err)
	}
	return nil
}

// Look tells whether a database exists, and whether it has no tables of its own yet.
func Look(ctx context.Context, adminURL, database string) (exists, empty bool, err error) {
	admin, err := pgx.Connect(ctx, adminURL)
	if err != nil {
		return false, false, fmt.Errorf("connect as administrator: %w", err)
	}
	err = admin.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, database).Scan(&exists)
	if err := errors.Join(err, admin.Close(ctx)); err != nil || !exists {
		return false, false, err
	}
	config, err := pgx.ParseConfig(adminURL)
	if err != nil {
		return false, false, errors.New("the administrator's URL is not readable")
	}
	config.Database = database
	inside, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return false, false, fmt.Errorf("look into database %s: %w", database, err)
	}
	err = inside.QueryRow(ctx, `SELECT NOT EXISTS (SELECT FROM pg_tables WHERE schemaname = 'public')`).Scan(&empty)
	return true, empty, errors.Join(err, inside.Close(ctx))
}

// Drop drops a database if it exists, also while others are connected to it.
func Drop(ctx context.Context, adminURL, database string) error {
	admin, err := pgx.Connect(ctx, adminURL)
	if err != nil {
		return fmt.Errorf("drop %s: connect as administrator: %w", database, err)
	}
	_, err = admin.Exec(ctx, `DROP DATABASE IF EXISTS `+quoteName(database)+` WITH (FORCE)`)
	if err := errors.Join(err, admin.Close(context.WithoutCancel(ctx))); err != nil {
		return fmt.Errorf("drop %s: %w", database, err)
	}
	return nil
}

// RoleURL returns the URL under which a role finds its database.
func RoleURL(adminURL, database, role, password string) (string, error) {
	return withRole(adminURL, database, role, password)
}

func withRole(adminURL, database, role, password string) (string, error) {
	u, err := url.Parse(adminURL)
	if err != nil {
		return "", errors.New("the administrator's URL is not readable")
	}
	u.User = url.UserPassword(role, password)
	u.Path = "/" + database
	return u.String(), nil
}

func quoteName(name string) string { return pgx.Identifier{name}.Sanitize() }

func quoteText(text string) string {
	return `E'` + strings.NewReplacer(`\`, `\\`, `'`, `''`, "\x00", "").Replace(text) + `'`
}
