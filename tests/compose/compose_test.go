package compose

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestCompose(t *testing.T) {
	s := newStack(t)
	t.Run("containers are healthy and shut in", s.shutIn)
	t.Run("the broker answers the host at both ports", s.brokerAtBothPorts)
	t.Run("an order is confirmed and mailed", s.orderIsConfirmedAndMailed)
	t.Run("what stands beside the shop can be asked for", s.observabilityIsAside)
}

// observabilityIsAside checks that Compose takes the profile: its images are not pulled here, and none of it runs unasked.
func (s *stack) observabilityIsAside(t *testing.T) {
	if out, err := s.compose(time.Minute, "--profile", "observability", "config", "--quiet"); err != nil {
		t.Errorf("docker compose --profile observability config: %v\n%s", err, out)
	}
	for service := range s.containers(t) {
		if service == "prometheus" || service == "grafana" || service == "jaeger" {
			t.Errorf("%s runs, and nobody has asked for it", service)
		}
	}
}

// shutIn looks at every container: healthy or ended well, not root, a root file system that cannot
// be written, no capabilities, ports on the loopback only, two instances of inventory.
func (s *stack) shutIn(t *testing.T) {
	containers := s.containers(t)
	if n := len(containers["inventory"]); n != 2 {
		t.Errorf("%d instances of inventory, want 2", n)
	}
	for service, all := range containers {
		once := service == "secrets" || service == "databases"
		for _, c := range all {
			switch {
			case once && (c.State.Status != "exited" || c.State.ExitCode != 0):
				t.Errorf("%s: %s with code %d", c.Name, c.State.Status, c.State.ExitCode)
			case !once && (c.State.Health == nil || c.State.Health.Status != "healthy"):
				t.Errorf("%s: not healthy: %+v", c.Name, c.State)
			}
			if user := c.Config.User; user == "" || user == "root" || strings.HasPrefix(user, "0") {
				t.Errorf("%s runs as user %q", c.Name, user)
			}
			if !c.HostConfig.ReadonlyRootfs {
				t.Errorf("%s: its root file system can be written", c.Name)
			}
			if fmt.Sprint(c.HostConfig.CapDrop) != "[ALL]" {
				t.Errorf("%s keeps capabilities: it drops %v", c.Name, c.HostConfig.CapDrop)
			}
			for port, bindings := range c.HostConfig.PortBindings {
				for _, b := range bindings {
					if b.HostIP != "127.0.0.1" {
						t.Errorf("%s: port %s is published on %q", c.Name, port, b.HostIP)
					}
				}
			}
		}
	}
}

// brokerAtBothPorts writes at one port and reads at the other, as the course's examples do. Each must
// name itself in its metadata, or a client would be sent to an address that only containers know.
func (s *stack) brokerAtBothPorts(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, seed := range s.kafka {
		client, err := kgo.NewClient(kgo.SeedBrokers(seed))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		metadata, err := kadm.NewClient(client).BrokerMetadata(ctx)
		if err != nil {
			t.Fatalf("%s: %v", seed, err)
		}
		for _, b := range metadata.Brokers {
			if at := fmt.Sprintf("%s:%d", b.Host, b.Port); at != seed {
				t.Errorf("asked at %s, the broker says it is at %s", seed, at)
			}
		}
	}
	writer, err := kgo.NewClient(kgo.SeedBrokers(s.kafka[0]), kgo.DefaultProduceTopic("hello"), kgo.AllowAutoTopicCreation())
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	if err := writer.ProduceSync(ctx, kgo.StringRecord("xin chào")).FirstErr(); err != nil {
		t.Fatalf("produce at %s: %v", s.kafka[0], err)
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(s.kafka[1]), kgo.ConsumeTopics("hello"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	fetches := reader.PollFetches(ctx)
	if records := fetches.Records(); fetches.Err() != nil || len(records) != 1 || string(records[0].Value) != "xin chào" {
		t.Fatalf("read at %s: %d records, %v", s.kafka[1], fetches.NumRecords(), fetches.Err())
	}
}

// orderIsConfirmedAndMailed follows one order from the host: HTTP in, CONFIRMED, two mails, a trace.
func (s *stack) orderIsConfirmedAndMailed(t *testing.T) {
	var placed struct {
		ID     string `json:"order_id"`
		Status string `json:"status"`
	}
	code := s.call(t, http.MethodPost, s.order+"/orders",
		`{"customer_id":"customer_123","items":[{"product_id":"coffee-beans","quantity":2}]}`, &placed)
	if code/100 != 2 || placed.ID == "" {
		t.Fatalf("POST /orders: %d %+v", code, placed)
	}
	eventually(t, time.Minute, "order "+placed.ID+" is CONFIRMED", func(context.Context) (bool, string) {
		code := s.call(t, http.MethodGet, s.order+"/orders/"+placed.ID, "", &placed)
		return placed.Status == "CONFIRMED", fmt.Sprint(code, " ", placed.Status)
	})
	eventually(t, time.Minute, "two mails about it", func(context.Context) (bool, string) {
		var page struct {
			Messages []struct{ Subject string }
		}
		s.call(t, http.MethodGet, s.mail+"/messages?order_id="+placed.ID, "", &page)
		return len(page.Messages) == 2, fmt.Sprint(page.Messages)
	})

	binary := filepath.Join(t.TempDir(), "millrace")
	if out, err := exec.Command("go", "build", "-o", binary, "millrace/cmd/millrace").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	eventually(t, time.Minute, "the trace reaches both groups", func(ctx context.Context) (bool, string) {
		cmd := exec.CommandContext(ctx, binary, "trace", placed.ID)
		cmd.Env = append(os.Environ(), "MILLRACE_ORDER_URL="+s.order, "MILLRACE_COLLECTOR_URL="+s.spans)
		out, err := cmd.CombinedOutput()
		text := string(out)
		return err == nil && strings.Contains(text, "inventory") && strings.Contains(text, "notification"), text
	})
}

// call sends a request and reads the JSON answer.
func (s *stack) call(t *testing.T, method, url, body string, answer any) int {
	t.Helper()
	req, err := http.NewRequest(method, url, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(answer); err != nil {
		t.Fatalf("%s %s: %d, answer: %v", method, url, resp.StatusCode, err)
	}
	return resp.StatusCode
}
