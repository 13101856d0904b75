package replay

import (
	"fmt"
	"slices"
	"time"
)

// Report is what a replay has done, or with DryRun would do. Its JSON form is stable.
type Report struct {
	Group  string `json:"group"`
	From   string `json:"from"`
	DryRun bool   `json:"dry_run"`
	// Database says what there was: "found", or "missing" and so made anew.
	Database string        `json:"database"`
	Topics   []TopicReport `json:"topics"`
	// Restored counts what was not there yet and is now.
	Restored []Count `json:"restored"`
	// Skipped counts the records that left no trace, by reason.
	Skipped []Skip `json:"skipped"`
	// Findings are what somebody should know of, in words.
	Findings []string `json:"findings"`
	// Gaps are what is missing in the log, with AllowGaps.
	Gaps []Gap `json:"gaps"`
	// Unfinished counts records whose effect will come from the dead letters or the retry
	// topic of the group.
	Unfinished int64 `json:"unfinished"`
	// Redelivered is how many records the group gets again when it runs.
	Redelivered int64   `json:"redelivered"`
	Seconds     float64 `json:"seconds"`
}

// TopicReport says what was read of a topic.
type TopicReport struct {
	Topic      string            `json:"topic"`
	Role       Role              `json:"role"`
	Partitions []PartitionReport `json:"partitions"`
}

// Role is what a topic is to the group.
type Role string

// Roles of topics.
const (
	// Own: the service writes it; its records are the state.
	Own Role = "own"
	// Input: the group reads it.
	Input Role = "input"
	// Retry: the group gets its own records again from it.
	Retry Role = "retry"
)

// PartitionReport says what was read of a partition, and where the group stands.
type PartitionReport struct {
	Partition int32 `json:"partition"`
	Start     int64 `json:"start"` // of the log
	End       int64 `json:"end"`   // of the log
	From      int64 `json:"from"`  // read from here …
	To        int64 `json:"to"`    // … up to before here
	Read      int64 `json:"read"`  // records
	// Committed is the group's offset before, -1 where there is none. Next is the one
	// afterwards, and Redelivered the records between them. Own topics have none.
	Committed   int64 `json:"committed"`
	Next        int64 `json:"next"`
	Redelivered int64 `json:"redelivered"`
}

// Count is a number of things.
type Count struct {
	What  string `json:"what"`
	Count int64  `json:"count"`
}

// Skip is a number of records, one reason, and one of them.
type Skip struct {
	Reason  string `json:"reason"`
	Count   int64  `json:"count"`
	Example string `json:"example"`
}

// restored adds to a count; 0 makes it appear.
func (r *Report) restored(what string, n int64) {
	i := slices.IndexFunc(r.Restored, func(c Count) bool { return c.What == what })
	if i < 0 {
		r.Restored = append(r.Restored, Count{What: what})
		i = len(r.Restored) - 1
	}
	r.Restored[i].Count += n
}

func (r *Report) skipped(reason, example string) {
	const longest = 300
	if len(example) > longest {
		example = example[:longest] + "…"
	}
	i := slices.IndexFunc(r.Skipped, func(s Skip) bool { return s.Reason == reason })
	if i < 0 {
		r.Skipped = append(r.Skipped, Skip{Reason: reason, Example: example})
		i = len(r.Skipped) - 1
	}
	r.Skipped[i].Count++
	r.Skipped[i].Example = min(r.Skipped[i].Example, example) // the same one each time
}

// maxFindings caps what is put in words.
const maxFindings = 100

func (r *Report) find(format string, args ...any) {
	if len(r.Findings) < maxFindings {
		r.Findings = append(r.Findings, fmt.Sprintf(format, args...))
	}
}

// RestoredOf returns a count of Restored.
func (r *Report) RestoredOf(what string) int64 {
	for _, c := range r.Restored {
		if c.What == what {
			return c.Count
		}
	}
	return 0
}

// SkippedFor returns a count of Skipped.
func (r *Report) SkippedFor(reason string) int64 {
	for _, s := range r.Skipped {
		if s.Reason == reason {
			return s.Count
		}
	}
	return 0
}

// Progress is told from time to time.
type Progress struct {
	Topic       string
	Read, Total int64
	Elapsed     time.Duration
}
