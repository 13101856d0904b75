package dlq

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/pkg/events"
)

var update = flag.Bool("update", false, "rewrite the files in testdata")

// Each file in testdata tells what audit records make of letters: lines of records, a
// line of dashes, and what is so then.
func TestLedger_Stories(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, text)
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(got, text) {
				t.Errorf("%s:\n got\n%s\nwant\n%s", file, got, text)
			}
		})
	}
}

// play applies the records of a story and writes it anew with what comes out.
func play(t *testing.T, text []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	ledger := NewLedger(nil)
	inOutput := false
	var offset int64
	var said []string
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		line := lines.Text()
		switch {
		case line == "----":
			inOutput = true
			fmt.Fprintln(&out, line)
			for _, s := range said {
				fmt.Fprintln(&out, s)
			}
			for _, id := range slices.SortedFunc(maps.Keys(ledger.states), compareIDs) {
				fmt.Fprintln(&out, tell(id, *ledger.states[id]))
			}
			said = nil
		case inOutput && line != "":
		case strings.HasPrefix(line, "#") || line == "":
			inOutput = false
			fmt.Fprintln(&out, line)
		default:
			fmt.Fprintln(&out, line)
			payload := record(t, line)
			void, unreadable := ledger.Void, ledger.Unreadable
			id := letterOf(payload)
			before := NewState()
			if s := ledger.states[id]; s != nil {
				before = *s
			}
			ledger.Add(offset, payload)
			if ledger.Unreadable > unreadable {
				said = append(said, fmt.Sprintf("%d: unreadable", offset))
			}
			if ledger.Void > void {
				a, err := events.DecodeAudit(payload)
				if err != nil {
					t.Fatal(err)
				}
				said = append(said, fmt.Sprintf("%d: void: %s", offset, before.Apply(offset, &a)))
			}
			offset++
		}
	}
	return out.Bytes()
}

func letterOf(payload []byte) events.LetterID {
	a, err := events.DecodeAudit(payload)
	if err != nil {
		return events.LetterID{}
	}
	return a.Letter
}

func tell(id events.LetterID, s State) string {
	text := fmt.Sprintf("%s: %s", id, s.Status)
	if s.Redrive.ID != "" {
		text += " redrive=" + s.Redrive.ID
		if s.Redrive.Offset != none {
			text += fmt.Sprintf(" at=%s/%d/%d", s.Redrive.Topic, s.Redrive.Partition, s.Redrive.Offset)
		}
	}
	if s.Edit != none {
		text += fmt.Sprintf(" edit=%d", s.Edit)
	}
	return text + " by=" + s.Who
}

// record makes the audit record of a line: ACTION LETTER [name=value…].
func record(t *testing.T, line string) []byte {
	t.Helper()
	words := strings.Fields(line)
	if words[0] == "garbage" {
		return []byte("{" + line)
	}
	id, err := events.ParseLetterID(words[1])
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	a := events.Audit{Letter: id, Who: "ann@here", When: storyTime, LetterTimestamp: storyTime, Reason: "why", Group: "g", TargetTopic: "t-retry-g"}
	a.Action = map[string]events.AuditAction{
		"intent": events.AuditRedriveIntent, "done": events.AuditRedriveDone, "failed": events.AuditRedriveFailed,
		"edit": events.AuditEdit, "discard": events.AuditDiscard, "restore": events.AuditRestore,
	}[words[0]]
	if a.Action == events.AuditEdit {
		a.Message = []byte("{}")
	}
	for _, word := range words[2:] {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "redrive":
			a.RedriveID = value
		case "replaces":
			a.Replaces = value
		case "by":
			a.Who = value
		case "at":
			if _, err := fmt.Sscanf(value, "%d", &a.TargetOffset); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
		case "written":
			hours, err := time.ParseDuration(value)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			a.LetterTimestamp = storyTime.Add(hours)
		default:
			t.Fatalf("%s: what is %q?", line, word)
		}
	}
	payload, err := events.EncodeAudit(a)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return payload
}

var storyTime = time.Date(2026, 11, 27, 8, 0, 0, 0, time.UTC)

func TestLedger_KeepsWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	l := NewLedger(func(id events.LetterID) bool { return id.Offset >= 5 })
	l.Add(0, record(t, "discard a-dlq/0/4"))
	l.Add(1, record(t, "discard a-dlq/0/5"))
	l.Add(0, record(t, "discard a-dlq/0/6")) // came before
	if len(l.states) != 1 {
		t.Errorf("kept %v", l.states)
	}
	id := events.LetterID{Topic: "a-dlq", Offset: 5}
	if s := l.State(id, storyTime).Status; s != Discarded {
		t.Errorf("it is %s", s)
	}
	if s := l.State(id, storyTime.Add(time.Hour)).Status; s != Open {
		t.Errorf("another letter with the id is %s", s)
	}
}
