package compose

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// root is the repository, seen from this package's folder.
const root = "../.."

// stack is the compose file, started under a project name and on ports of its own.
type stack struct {
	project string
	env     []string
	kafka   [2]string // as the host reaches the broker
	order   string    // base URLs
	mail    string
	spans   string
}

// newStack builds and starts all services and waits until they are healthy. When the test ends all
// of it is removed, and the test fails if anything is left.
func newStack(t *testing.T) *stack {
	t.Helper()
	if os.Getenv("MILLRACE_REQUIRE_PEERS") != "1" {
		t.Skip("starts containers: set MILLRACE_REQUIRE_PEERS=1; needs Docker Engine and Compose v2 (https://docs.docker.com/engine/install/)")
	}
	for _, probe := range [][]string{{"docker", "info"}, {"docker", "compose", "version"}} {
		if out, err := exec.Command(probe[0], probe[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: install Docker Engine and Compose v2\n%s", strings.Join(probe, " "), err, out)
		}
	}
	ports := freePorts(t, 5)
	s := &stack{
		project: "millrace-test-" + strings.ToLower(rand.Text()[:8]),
		kafka:   [2]string{"localhost:" + ports[0], "localhost:" + ports[1]},
		order:   "http://127.0.0.1:" + ports[2],
		mail:    "http://127.0.0.1:" + ports[3],
		spans:   "http://127.0.0.1:" + ports[4],
	}
	s.env = append(os.Environ(),
		"MILLRACE_KAFKA_PORT="+ports[0], "MILLRACE_KAFKA_PORT_2="+ports[1], "MILLRACE_ORDER_PORT="+ports[2],
		"MILLRACE_MAIL_PORT="+ports[3], "MILLRACE_COLLECTOR_PORT="+ports[4])
	t.Cleanup(func() { s.remove(t) })
	if out, err := s.compose(10*time.Minute, "up", "--build", "--wait", "--wait-timeout", "180", "--quiet-pull"); err != nil {
		logs, _ := s.compose(time.Minute, "logs", "--tail", "40")
		t.Fatalf("docker compose up: %v\n%s\n%s", err, tail(out), logs)
	}
	return s
}

// remove takes the stack down with its volumes, and looks for what is left of it.
func (s *stack) remove(t *testing.T) {
	t.Helper()
	if t.Failed() {
		logs, _ := s.compose(time.Minute, "logs", "--tail", "40")
		t.Logf("%s", logs)
	}
	if out, err := s.compose(3*time.Minute, "down", "--volumes", "--remove-orphans"); err != nil {
		t.Errorf("docker compose down: %v\n%s", err, out)
	}
	label := "label=com.docker.compose.project=" + s.project
	for what, list := range map[string][]string{
		"containers": {"ps", "--all", "--quiet", "--filter", label},
		"volumes":    {"volume", "ls", "--quiet", "--filter", label},
		"networks":   {"network", "ls", "--quiet", "--filter", label},
	} {
		if out, err := exec.Command("docker", list...).Output(); err != nil || len(bytes.TrimSpace(out)) > 0 {
			t.Errorf("left after down: %s %s %v", what, out, err)
		}
	}
}

// compose runs docker compose on the stack.
func (s *stack) compose(limit time.Duration, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "docker", append([]string{"compose", "--project-name", s.project, "--progress", "plain"}, args...)...)
	cmd.Dir, cmd.Env = root, s.env
	return cmd.CombinedOutput()
}

// container is what the engine says of one.
type container struct {
	Name   string
	Config struct {
		User   string
		Labels map[string]string
	}
	HostConfig struct {
		ReadonlyRootfs bool
		CapDrop        []string
		PortBindings   map[string][]struct{ HostIP, HostPort string }
	}
	State struct {
		Status   string
		ExitCode int
		Health   *struct{ Status string }
	}
}

// containers are the stack's, by service.
func (s *stack) containers(t *testing.T) map[string][]container {
	t.Helper()
	ids, err := exec.Command("docker", "ps", "--all", "--quiet", "--filter", "label=com.docker.compose.project="+s.project).Output()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("docker", append([]string{"inspect"}, strings.Fields(string(ids))...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []container
	if err := json.Unmarshal(out, &all); err != nil {
		t.Fatal(err)
	}
	byService := map[string][]container{}
	for _, c := range all {
		service := c.Config.Labels["com.docker.compose.service"]
		byService[service] = append(byService[service], c)
	}
	return byService
}

// freePorts are loopback ports that nobody listens on, below those that the system hands out.
func freePorts(t *testing.T, n int) []string {
	t.Helper()
	var ports []string
	for port := 23100; len(ports) < n && port < 32700; port++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		l.Close()
		ports = append(ports, strconv.Itoa(port))
	}
	if len(ports) < n {
		t.Fatal("no free ports")
	}
	return ports
}

// eventually calls ready until it is true, or fails the test with what it last said.
func eventually(t *testing.T, limit time.Duration, what string, ready func(context.Context) (ok bool, state string)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, state := ready(ctx)
		if ok {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: not within %v; last seen: %s", what, limit, state)
		}
	}
}

// tail is the end of a long output.
func tail(out []byte) []byte { return out[max(0, len(out)-6000):] }
