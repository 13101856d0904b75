package telemetry

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestColourHandler(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(newColourHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})).With("a", 1).WithGroup("g")
	log.Debug("one", "b", 2)
	log.Info("two", "b", 2)
	log.Warn("three")
	log.Error("four")
	lines := strings.SplitAfter(out.String(), "\n")
	for i, prefix := range []string{"\x1b[90mtime=", "time=", "\x1b[33mtime=", "\x1b[31mtime="} {
		if !strings.HasPrefix(lines[i], prefix) || strings.HasPrefix(prefix, "\x1b") != strings.HasSuffix(lines[i], "\x1b[0m\n") {
			t.Errorf("line %d: %q", i, lines[i])
		}
	}
	if !strings.Contains(lines[1], "a=1 g.b=2") {
		t.Errorf("got %q", lines[1])
	}
}
