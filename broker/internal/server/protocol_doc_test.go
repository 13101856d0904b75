package server

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// spelled are the names of Kafka's that kmsg spells its own way, with their keys.
var spelled = map[string]int16{
	"SaslHandshake": 17, "InitProducerId": 22, "DescribeAcls": 29, "CreateAcls": 30, "DeleteAcls": 31, "SaslAuthenticate": 36,
	"AlterPartitionReassignments": 45, "DescribeUserScramCredentials": 50, "AlterUserScramCredentials": 51,
}

// docs/protocol.md says what is registered, no more and no less.
func TestProtocolPage_IsWhatIsRegistered(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.FromSlash("../../../docs/protocol.md"))
	if err != nil {
		t.Skip("the page is not part of this module:", err)
	}
	want := map[string]string{}
	for _, a := range Registered() {
		versions := fmt.Sprintf("%d–%d", a.MinVersion, a.MaxVersion)
		if a.MinVersion == a.MaxVersion {
			versions = fmt.Sprint(a.MinVersion)
		}
		want[fmt.Sprint(a.Key)] = kmsg.NameForKey(a.Key) + " " + versions
	}
	row := regexp.MustCompile(`(?m)^\| (\d+) \| (\w+) \| ([0-9–]+) \| \[(\w+\.go)\]\(\.\./broker/internal/server/(\w+\.go)\) \|`)
	got := map[string]string{}
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		name := m[2]
		if key, ok := spelled[name]; ok {
			name = kmsg.NameForKey(key)
		}
		got[m[1]] = name + " " + m[3]
		if m[4] != m[5] {
			t.Errorf("key %s: the link shows %s and leads to %s", m[1], m[4], m[5])
		}
		if _, err := os.Stat(m[5]); err != nil {
			t.Errorf("key %s: %v", m[1], err)
		}
	}
	for key, w := range want {
		if got[key] != w {
			t.Errorf("key %s: registered is %q, docs/protocol.md says %q", key, w, got[key])
		}
	}
	for key, g := range got {
		if want[key] == "" {
			t.Errorf("key %s: docs/protocol.md says %q, nothing is registered", key, g)
		}
	}
}
