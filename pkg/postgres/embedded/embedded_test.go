package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

// The test binary is also the program that is killed in TestStart_AfterKill.
const wrapperEnv = "MILLRACE_TEST_WRAPPER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(wrapperEnv); dir != "" {
		s, err := Start(context.Background(), Config{DataDir: dir})
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		fmt.Println(s.PID(), s.AdminURL())
		<-s.Done()
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func run(t *testing.T, c Config) *Server {
	t.Helper()
	s, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func query[T any](t *testing.T, url, sql string) (v T) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := conn.QueryRow(t.Context(), sql).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// dataDir is like t.TempDir, but can be entered by the server's user.
func dataDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && len(d) > len(os.TempDir()); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestStart_KeepsDataAndSecrets(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	var progress []string
	config := Config{DataDir: dir, Progress: func(line string) { progress = append(progress, line) }}
	s := run(t, config)
	if len(progress) != 1 || !strings.Contains(progress[0], "initialising") {
		t.Errorf("progress %q", progress)
	}
	for sql, want := range map[string]string{
		"SHOW fsync": "on", "SHOW synchronous_commit": "on", "SHOW jit": "off", "SHOW listen_addresses": "127.0.0.1",
		"SHOW unix_socket_directories": "", "SHOW shared_buffers": "24MB",
	} {
		if got := query[string](t, s.AdminURL(), sql); got != want {
			t.Errorf("%s: %q, want %q", sql, got, want)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, passwordName)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("password: %v, %v", info, err)
	}
	if _, err := pgx.Connect(t.Context(), strings.Replace(s.AdminURL(), s.password, "wrong", 1)); err == nil {
		t.Error("any password will do")
	}
	if _, err := Start(t.Context(), config); err == nil || !strings.Contains(err.Error(), "already running") {
		t.Errorf("a second server of the same folder: %v", err)
	}
	conn, err := pgx.Connect(t.Context(), s.AdminURL())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), `CREATE TABLE kept AS SELECT 42 AS n`); err != nil {
		t.Fatal(err)
	}
	conn.Close(t.Context())
	if err := errors.Join(s.Stop(), s.Stop(), s.Err()); err != nil {
		t.Fatal(err)
	}
	if _, err := pgx.Connect(t.Context(), s.AdminURL()); err == nil {
		t.Error("the server still answers")
	}
	again := run(t, config)
	if got := query[int](t, again.AdminURL(), `SELECT n FROM kept`); got != 42 || len(progress) != 1 {
		t.Errorf("got %d, progress %q", got, progress)
	}
}

// kill -9 of the program that runs the server: the next one goes on with the same data.
func TestStart_AfterKill(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	wrapper := exec.Command(os.Args[0])
	wrapper.Env = append(os.Environ(), wrapperEnv+"="+dir)
	out, err := wrapper.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := wrapper.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pidText, url, _ := strings.Cut(strings.TrimSpace(line), " ")
	pid, err := strconv.Atoi(pidText)
	if err != nil {
		t.Fatalf("the wrapper says %q", line)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), `CREATE TABLE kept AS SELECT 42 AS n`); err != nil {
		t.Fatal(err)
	}
	conn.Close(t.Context())
	if err := wrapper.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = wrapper.Wait()
	s := run(t, Config{DataDir: dir})
	if alive(pid) && !isZombie(pid) {
		t.Error("the orphan is alive")
	}
	if got := query[int](t, s.AdminURL(), `SELECT n FROM kept`); got != 42 {
		t.Errorf("got %d", got)
	}
}

// A server that outlives its program, as on systems without a parent-death signal, and
// a postmaster.pid whose number belongs to another process by now.
func TestStart_StopsAnOrphan(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	first := run(t, Config{DataDir: dir})
	first.lock.Close() // as if the program were gone
	second := run(t, Config{DataDir: dir})
	<-first.Done()
	if err := first.Err(); err == nil {
		t.Error("a server that was stopped from outside has no error")
	}
	if err := second.Stop(); err != nil {
		t.Fatal(err)
	}
	stale := fmt.Sprintf("%d\n%s\n", os.Getpid(), second.cluster)
	if err := os.WriteFile(filepath.Join(second.cluster, "postmaster.pid"), []byte(stale), 0o600); err != nil {
		t.Fatal(err)
	}
	third := run(t, Config{DataDir: dir})
	query[int](t, third.AdminURL(), `SELECT 1`)
}

func TestServer_TellsThatItEnded(t *testing.T) {
	t.Parallel()
	s := run(t, Config{DataDir: dataDir(t)})
	if s.Err() != nil {
		t.Error(s.Err())
	}
	if err := syscall.Kill(s.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-s.Done()
	if err := s.Err(); err == nil || !strings.Contains(err.Error(), "ended by itself") {
		t.Errorf("got %v", err)
	}
}

func TestStart_TellsWhyItCannot(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	if err := run(t, Config{DataDir: dir}).Stop(); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Config{DataDir: dir, Settings: map[string]string{"shared_buffers": "lots"}})
	if err == nil || !strings.Contains(err.Error(), "shared_buffers") {
		t.Errorf("got %v", err)
	}
	if _, err := Start(t.Context(), Config{}); err == nil {
		t.Error("no data folder, no error")
	}
	if _, err := Start(t.Context(), Config{DataDir: dir, BinDir: dir}); err == nil || !strings.Contains(err.Error(), "does not hold postgres") {
		t.Errorf("got %v", err)
	}
	// The lock is free again.
	run(t, Config{DataDir: dir})
}

// As root, a folder below one that only root may enter.
func TestStart_FolderThatTheServersUserCannotReach(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("not root: the server runs as ourselves, and reaches what we reach")
		return
	}
	closed := filepath.Join(dataDir(t), "closed")
	dir := filepath.Join(closed, "postgres")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s := run(t, Config{DataDir: dir})
	t.Cleanup(func() { os.RemoveAll(filepath.Dir(s.cluster)) })
	if strings.HasPrefix(s.cluster, closed) {
		t.Errorf("the cluster is in %s", s.cluster)
	}
	if link, err := os.Readlink(filepath.Join(dir, clusterName)); err != nil || link != s.cluster {
		t.Errorf("link to %s, %v", link, err)
	}
	if note, err := os.ReadFile(filepath.Join(dir, "README")); err != nil || !strings.Contains(string(note), s.cluster) {
		t.Errorf("note %q, %v", note, err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	again := run(t, Config{DataDir: dir})
	if again.cluster != s.cluster {
		t.Errorf("then %s, now %s", s.cluster, again.cluster)
	}
}
