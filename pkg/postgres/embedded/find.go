package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
	"strconv"
	"strings"
)

// ErrNotInstalled is returned when no Postgres server is installed here. Its text says
// what to install.
var ErrNotInstalled = errors.New("no Postgres server is installed here (looked for postgres and initdb on PATH " +
	"and in the usual folders): install the package postgresql (Debian, Ubuntu: apt install postgresql; Fedora: " +
	"dnf install postgresql-server; macOS: brew install postgresql), or set DATABASE_URL to a server that runs")

// usual are the folders where packages put the server, as glob patterns.
var usual = []string{
	"/usr/lib/postgresql/*/bin",                          // Debian, Ubuntu
	"/usr/pgsql-*/bin",                                   // RPMs of postgresql.org
	"/usr/lib/postgresql*/bin",                           // SUSE
	"/usr/libexec/postgresql*",                           // Alpine
	"/usr/local/pgsql/bin",                               // from source
	"/usr/local/lib/postgresql*/bin",                     // FreeBSD
	"/opt/homebrew/opt/postgresql*/bin",                  // Homebrew, Apple silicon
	"/usr/local/opt/postgresql*/bin",                     // Homebrew, Intel
	"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",     // Homebrew, Linux
	"/opt/local/lib/postgresql*/bin",                     // MacPorts
	"/Applications/Postgres.app/Contents/Versions/*/bin", // Postgres.app
	"/nix/var/nix/profiles/default/bin",                  // Nix
	"/run/current-system/sw/bin",                         // NixOS
	"/opt/bitnami/postgresql/bin",                        // Bitnami images
	"/snap/postgresql/current/usr/lib/postgresql/*/bin",  // snap
}

// Find returns the folder that holds postgres and initdb: from PATH, or from where
// the packages of Linux distributions, Homebrew and Postgres.app put them, the newest
// first. The error is [ErrNotInstalled].
func Find() (binDir string, err error) { return find(context.Background(), "") }

// find looks for a server; where major is not empty, only one of that major version
// will do, since no other can read the cluster.
func find(ctx context.Context, major string) (string, error) {
	var dirs []string
	if path, err := exec.LookPath(executable("postgres")); err == nil {
		// What is on PATH is often a link; initdb and the server's own files are
		// where it points.
		if target, err := filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(target))
		}
	}
	var found []string
	for _, pattern := range usual {
		matches, _ := filepath.Glob(pattern)
		found = append(found, matches...)
	}
	sort.SliceStable(found, func(i, j int) bool { return versionInPath(found[i]) > versionInPath(found[j]) })
	dirs = append(dirs, found...)

	other := ""
	for _, dir := range dirs {
		if !hasServer(dir) {
			continue
		}
		if major == "" {
			return dir, nil
		}
		version := serverVersion(ctx, dir)
		if version == major {
			return dir, nil
		}
		other = version
	}
	if other != "" {
		return "", fmt.Errorf("the data was made by Postgres %s, and only %s is installed here: install version %s, or start with a new data folder", major, other, major)
	}
	return "", ErrNotInstalled
}

// serverVersion asks the server for its major version.
func serverVersion(ctx context.Context, dir string) string {
	out, err := exec.CommandContext(ctx, filepath.Join(dir, executable("postgres")), "--version").Output()
	if err != nil {
		return ""
	}
	// postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)
	fields := strings.Fields(string(out))
	if len(fields) < 3 {
		return ""
	}
	major, _, _ := strings.Cut(fields[2], ".")
	return major
}

// versionInPath is the last number in a path, 0 without any.
func versionInPath(path string) int {
	end := strings.LastIndexAny(path, "0123456789") + 1
	start := end
	for start > 0 && path[start-1] >= '0' && path[start-1] <= '9' {
		start--
	}
	n, _ := strconv.Atoi(path[start:end])
	return n
}

func hasServer(dir string) bool {
	for _, name := range []string{"postgres", "initdb"} {
		info, err := os.Stat(filepath.Join(dir, executable(name)))
		if err != nil || info.IsDir() {
			return false
		}
	}
	return true
}

func executable(name string) string {
	if runtime.GOOS == "windows" {
		return name + ".exe"
	}
	return name
}
