package embedded

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// placeCluster returns the folder for the cluster: data in dataDir, or what that links
// to where the server's user could not reach it.
func placeCluster(dataDir string, user *account) (string, error) {
	cluster := filepath.Join(dataDir, clusterName)
	if place, err := filepath.EvalSymlinks(cluster); err == nil {
		return place, nil
	}
	if user.reaches(dataDir) {
		return cluster, nil
	}
	sum := sha256.Sum256([]byte(dataDir))
	place := filepath.Join(sharedDir(), "postgres-"+hex.EncodeToString(sum[:6]))
	if err := os.MkdirAll(place, 0o755); err != nil {
		return "", err
	}
	if !user.reaches(place) {
		return "", fmt.Errorf("the user %s, which Postgres has to run as, can reach neither %s nor %s", user.name, dataDir, place)
	}
	place = filepath.Join(place, clusterName)
	// A link whose target is gone is made anew.
	if err := os.Remove(cluster); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	if err := os.Symlink(place, cluster); err != nil {
		return "", err
	}
	note := fmt.Sprintf("Postgres does not run as root. It runs as the user %s, who cannot enter this folder.\n"+
		"So its data lies in %s; the link %s leads there. Remove both together.\n", user.name, place, clusterName)
	return place, os.WriteFile(filepath.Join(dataDir, "README"), []byte(note), 0o644)
}

// sharedDir is a folder of root's that other users can reach.
func sharedDir() string {
	const system = "/var/lib/millrace"
	if err := os.MkdirAll(system, 0o755); err == nil {
		return system
	}
	return filepath.Join(os.TempDir(), "millrace")
}

// initialise runs initdb unless the cluster is there. The cluster appears as a whole:
// an initdb that was killed leaves only a folder that the next one removes.
func initialise(ctx context.Context, c Config, binDir, cluster, password string, user *account) error {
	if clusterVersion(cluster) != "" {
		return nil
	}
	c.Progress("initialising the Postgres data folder " + cluster)
	making := cluster + ".new"
	for _, dir := range []string{making, cluster} {
		// Only what an unfinished initdb has left, or an empty folder, can be here.
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	var err error
	if c.Template != "" {
		err = copyTemplate(ctx, c.Template, binDir, making, password, user)
	} else {
		err = runInitdb(ctx, binDir, making, password, user)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(making))
	}
	return os.Rename(making, cluster)
}

// copyTemplate makes a cluster in dir from the template of the server's version.
func copyTemplate(ctx context.Context, template, binDir, dir, password string, user *account) error {
	lock, err := awaitLock(filepath.Join(template, lockName))
	if err != nil {
		return err
	}
	defer lock.Close()
	out, err := exec.CommandContext(ctx, filepath.Join(binDir, executable("postgres")), "--version").Output()
	if err != nil {
		return fmt.Errorf("ask postgres for its version: %w", err)
	}
	sum := sha256.Sum256(append(out, binDir...))
	from := filepath.Join(template, "cluster-"+hex.EncodeToString(sum[:6]))
	if clusterVersion(from) == "" {
		// initdb runs where its user can reach; the template may lie elsewhere.
		if err := runInitdb(ctx, binDir, dir, password, user, "--no-sync"); err != nil {
			return err
		}
		if err := os.RemoveAll(from); err != nil {
			return err
		}
		making := from + ".new"
		if err := os.RemoveAll(making); err != nil {
			return err
		}
		if err := os.CopyFS(making, os.DirFS(dir)); err != nil {
			return err
		}
		return os.Rename(making, from)
	}
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		return err
	}
	// The server wants its folder closed to others.
	if err := os.Chmod(dir, 0o700); err != nil {
		return err
	}
	return user.own(dir)
}

// runInitdb makes a cluster in dir, which must not exist.
func runInitdb(ctx context.Context, binDir, dir, password string, user *account, more ...string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	// initdb reads the password from a file, which its user must be able to read. It
	// lies beside the folder, since initdb wants that empty.
	secret := dir + ".secret"
	if err := os.WriteFile(secret, []byte(password+"\n"), 0o600); err != nil {
		return err
	}
	defer os.Remove(secret)
	for _, path := range []string{dir, secret} {
		if err := user.own(path); err != nil {
			return err
		}
	}
	args := append([]string{
		"--pgdata", dir, "--username", superuser, "--pwfile", secret,
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C",
	}, more...)
	cmd := exec.CommandContext(ctx, filepath.Join(binDir, executable("initdb")), args...)
	cmd.Dir = filepath.Dir(dir)
	cmd.Env = environment()
	runAs(cmd, user)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// environment is ours without what would change the server.
func environment() []string {
	var env []string
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); !strings.HasPrefix(name, "PG") && !strings.HasPrefix(name, "LC_") && name != "LANG" {
			env = append(env, e)
		}
	}
	return append(env, "LC_ALL=C")
}
