package compat

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/brokertest"
)

// Every call of Kafka's AdminClient is answered, as foreign/AdminCalls.java says and with the requests that the table in
// docs/protocol.md names. What it changes it changes back, so it may run on any Kafka.
func TestForeign_AdminCalls(t *testing.T) {
	t.Parallel()
	listed := listedCalls(t)
	target, broker := "kafka", strings.Split(external, ",")[0]
	requests := func() map[string]bool { return nil } // a Kafka does not tell
	if external == "" {
		b := brokertest.Start(t, brokertest.WithHTTP())
		target, broker, requests = "millrace", b.Addr, countRequests(t, b.HTTP)
	}
	prefix := uniqueName(t, "call")
	t.Cleanup(func() { forgetTopics(t, newAdmin(t, []string{broker}), prefix) })

	cmd := exec.CommandContext(within(t, 4*patience), "java", javaArgs(t, "AdminCalls.java", broker, prefix, target)...)
	steps, out, said := startPiped(t, cmd)
	next := func() { _, _ = io.WriteString(steps, "\n") }
	requests()
	next()
	var calls []string
	all := map[string]bool{}
	lines := bufio.NewScanner(out)
	for ; lines.Scan(); next() {
		var row struct {
			Check string
			Error *string
		}
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			t.Errorf("%v: %s", err, lines.Bytes())
			break
		}
		calls = append(calls, row.Check)
		if row.Error != nil {
			t.Errorf("%s: %s", row.Check, *row.Error)
		}
		sent := requests()
		maps.Copy(all, sent)
		t.Logf("%s: %v", row.Check, slices.Sorted(maps.Keys(sent)))
		for _, name := range listed[row.Check] {
			if external == "" && !sent[name] {
				t.Errorf("%s: docs/protocol.md says that it sends %s, it sends %v", row.Check, name, slices.Sorted(maps.Keys(sent)))
			}
		}
	}
	_ = steps.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, said.String())
	}
	slices.Sort(calls)
	if want := slices.Sorted(maps.Keys(listed)); !slices.Equal(calls, want) {
		t.Errorf("calls are\n%v, docs/protocol.md lists\n%v", calls, want)
	}
	// Whatever else was sent is of the producers and the consumer that the rows need.
	for _, names := range listed {
		for _, name := range names {
			delete(all, name)
		}
	}
	for _, key := range []kmsg.Key{kmsg.Produce, kmsg.Fetch, kmsg.InitProducerID, kmsg.EndTxn, kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat} {
		delete(all, key.Name())
	}
	if len(all) > 0 {
		t.Errorf("docs/protocol.md names no call that sends %v", slices.Sorted(maps.Keys(all)))
	}
}

// listedCalls are the calls in docs/protocol.md, with the names that kmsg has for the requests that each sends.
func listedCalls(t *testing.T) map[string][]string {
	t.Helper()
	page, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string][]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| ([0-9, —]+) \\|").FindAllStringSubmatch(string(page), -1) {
		calls[row[1]] = []string{}
		for key := range strings.SplitSeq(row[2], ", ") {
			var n int16
			if _, err := fmt.Sscan(key, &n); err == nil {
				calls[row[1]] = append(calls[row[1]], kmsg.NameForKey(n))
			}
		}
	}
	return calls
}

// countRequests returns which requests the broker has answered since it was last called.
func countRequests(t *testing.T, address string) func() map[string]bool {
	t.Helper()
	count := regexp.MustCompile(`(?m)^millrace_broker_requests_total\{api="(\w+)"\} (\S+)$`)
	before := map[string]string{}
	return func() map[string]bool {
		request, err := http.NewRequestWithContext(within(t, patience), http.MethodGet, "http://"+address+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		sent := map[string]bool{}
		for _, m := range count.FindAllStringSubmatch(string(text), -1) {
			if before[m[1]] != m[2] && !(before[m[1]] == "" && m[2] == "0") {
				sent[m[1]] = true
			}
			before[m[1]] = m[2]
		}
		return sent
	}
}
