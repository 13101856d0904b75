package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"millrace/pkg/proctree"
)

// Server is a running Postgres. The child ends with the process that started it, on
// Linux even when that is killed.
type Server struct {
	config   Config
	user     *account
	binDir   string
	cluster  string
	password string
	port     int

	lock *os.File
	log  *os.File // nil when Config.Output is set
	cmd  *exec.Cmd

	stopOnce sync.Once
	stopErr  error
	stopping chan struct{}
	done     chan struct{}
	exit     error // set before done is closed
}

// AdminURL is the URL of the superuser, for Provision.
func (s *Server) AdminURL() string { return adminURL(s.password, s.port) }

// Port is where the server listens on 127.0.0.1.
func (s *Server) Port() int { return s.port }

// PID is the process id of the postmaster.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// BinDir is where the server's programs are.
func (s *Server) BinDir() string { return s.binDir }

// Done is closed when the server has ended; Err tells why.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err is nil while the server runs and after Stop.
func (s *Server) Err() error {
	select {
	case <-s.done:
	default:
		return nil
	}
	select {
	case <-s.stopping:
		return nil
	default:
		return fmt.Errorf("postgres ended by itself: %w%s", s.exit, s.lastWords())
	}
}

// running tells whether the process has been started and has not ended.
func (s *Server) running() bool {
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

// launch starts the process.
func (s *Server) launch() error {
	output := s.config.Output
	if s.log != nil {
		output = s.log
	} else if output == nil {
		f, err := os.OpenFile(filepath.Join(s.config.DataDir, logName), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
		if err != nil {
			return err
		}
		s.log, output = f, f
	}
	args := append([]string{"-D", s.cluster, "-p", strconv.Itoa(s.port)}, flags(settings, s.config.Settings)...)
	s.cmd = exec.Command(filepath.Join(s.binDir, executable("postgres")), args...) //nolint:noctx // Stop ends it, in Postgres' own way
	s.cmd.Dir = s.cluster
	s.cmd.Env = environment()
	s.cmd.Stdout, s.cmd.Stderr = output, output
	detach(s.cmd, s.user)
	s.stopping, s.done = make(chan struct{}), make(chan struct{})

	cmd, done := s.cmd, s.done
	started := make(chan error, 1)
	go func() {
		// The thread that starts the child stays until the child has ended: see
		// endWithParent.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			close(done)
			started <- err
			return
		}
		started <- nil
		exit := cmd.Wait()
		if exit == nil {
			exit = errors.New("exit status 0")
		}
		s.exit = exit
		close(done)
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", s.cmd.Path, err)
	}
	return nil
}

// flags turns settings into arguments; the later ones win.
func flags(layers ...map[string]string) []string {
	all := make(map[string]string)
	for _, layer := range layers {
		maps.Copy(all, layer)
	}
	args := make([]string, 0, 2*len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		args = append(args, "-c", name+"="+all[name])
	}
	return args
}

// Stop shuts the server down (fast, then immediate) and waits for its end. It may be
// called twice.
func (s *Server) Stop() error {
	s.stopOnce.Do(func() {
		if s.cmd == nil || s.cmd.Process == nil { // never launched
			s.closeFiles()
			return
		}
		close(s.stopping)
		defer s.closeFiles()
		if s.running() {
			_ = proctree.Thaw(s.PID()) // somebody may have frozen its processes one by one
		}
		for _, step := range []struct {
			signal os.Signal
			wait   time.Duration
		}{
			{fastShutdown, s.config.StopTimeout},
			{immediateShutdown, 5 * time.Second},
			{os.Kill, 5 * time.Second},
		} {
			_ = s.cmd.Process.Signal(step.signal) // it may have ended already
			select {
			case <-s.done:
				return
			case <-time.After(step.wait):
			}
		}
		s.stopErr = fmt.Errorf("postgres (pid %d) does not end", s.PID())
	})
	return s.stopErr
}

func (s *Server) closeFiles() {
	for _, f := range []*os.File{s.log, s.lock} {
		if f != nil {
			f.Close()
		}
	}
}

// lastWords returns the end of the log, for an error.
func (s *Server) lastWords() string {
	if s.log == nil {
		return ""
	}
	const tail = 2 << 10
	f, err := os.Open(s.log.Name())
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > tail {
		if _, err := f.Seek(-tail, io.SeekEnd); err != nil {
			return ""
		}
	}
	b, err := io.ReadAll(io.LimitReader(f, tail))
	if err != nil || len(b) == 0 {
		return ""
	}
	return "; its last words: " + strings.TrimSpace(string(b))
}

// stopOrphan ends a server that a killed run has left on the cluster, and removes the
// postmaster.pid of one that is gone. The caller holds the folder's lock, so no
// program watches over that server any more.
func stopOrphan(ctx context.Context, c Config, cluster string) error {
	pidFile := filepath.Join(cluster, "postmaster.pid")
	b, err := os.ReadFile(pidFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err == nil && pid > 1 && alive(pid) && isServerOf(ctx, pid, cluster) {
		c.Progress(fmt.Sprintf("stopping the Postgres server (pid %d) that an earlier run has left", pid))
		_ = proctree.Thaw(pid)
		for _, step := range []struct {
			signal os.Signal
			wait   time.Duration
		}{
			{fastShutdown, c.StopTimeout},
			{immediateShutdown, 5 * time.Second},
		} {
			_ = signal(pid, step.signal)
			if waitGone(ctx, pid, step.wait) {
				return removeIfThere(pidFile)
			}
		}
		return fmt.Errorf("a Postgres server (pid %d) runs on %s and does not end", pid, cluster)
	}
	// The process is gone, or its number belongs to another by now, which Postgres
	// could not know.
	return removeIfThere(pidFile)
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func waitGone(ctx context.Context, pid int, limit time.Duration) bool {
	const pause = 10 * time.Millisecond
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); {
		if !alive(pid) || isZombie(pid) {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
		}
	}
	return false
}

// isServerOf tells whether a process is the postmaster of a cluster: its working
// directory is the cluster, and its command line names it.
func isServerOf(ctx context.Context, pid int, cluster string) bool {
	if cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)); err == nil {
		return cwd == cluster
	}
	if cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil {
		return strings.Contains(string(cmdline), cluster)
	}
	out, err := exec.CommandContext(ctx, "ps", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && strings.Contains(string(out), cluster)
}

// isZombie tells whether a process has ended and only its parent does not know yet.
func isZombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, after, ok := strings.Cut(string(stat), ") ")
	return ok && strings.HasPrefix(after, "Z")
}
