package loglevel

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// The lines of each level that come through, after each change.
func TestSet_ChangesWhatIsWritten(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := New(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelInfo})))
	written := func(logger string) string {
		out.Reset()
		log := s.Logger(logger).With("part", "x").WithGroup("g")
		log.Debug("line")
		log.Info("line")
		log.Warn("line")
		log.Error("line")
		var got []string
		for line := range strings.Lines(out.String()) {
			_, rest, _ := strings.Cut(line, "level=")
			level, _, _ := strings.Cut(rest, " ")
			got = append(got, level)
		}
		return strings.Join(got, " ")
	}
	for _, step := range []struct {
		change                map[string]string
		requests, root, level string
	}{
		{nil, "INFO WARN ERROR", "INFO WARN ERROR", "INFO"},
		{map[string]string{Requests: "DEBUG"}, "DEBUG INFO WARN ERROR", "INFO WARN ERROR", "DEBUG"},
		{map[string]string{Root: "ERROR"}, "DEBUG INFO WARN ERROR", "ERROR", "DEBUG"},
		{map[string]string{Requests: ""}, "ERROR", "ERROR", "ERROR"},
		{map[string]string{Root: "FATAL"}, "", "", "FATAL"},
		{map[string]string{Root: "TRACE"}, "DEBUG INFO WARN ERROR", "DEBUG INFO WARN ERROR", "TRACE"},
	} {
		s.Change(step.change)
		if got := written(Requests); got != step.requests {
			t.Errorf("after %v: requests %q, want %q", step.change, got, step.requests)
		}
		if got := written(Root); got != step.root {
			t.Errorf("after %v: root %q, want %q", step.change, got, step.root)
		}
		if got := s.Level(Requests); got != step.level {
			t.Errorf("after %v: the level is %s, want %s", step.change, got, step.level)
		}
	}
}

func TestNames_AreKafkas(t *testing.T) {
	t.Parallel()
	if got := strings.Join(Names(), ", "); got != "DEBUG, ERROR, FATAL, INFO, TRACE, WARN" {
		t.Errorf("levels %s", got)
	}
	if Valid("info") || !Valid("INFO") || Known("nosuch") || !Known(Root) {
		t.Error("names are not told apart")
	}
}
