// Package loglevel lets the level of each part's log be changed while the broker runs (KIP-412). The
// names are those of Apache Kafka's loggers for the same parts, so that its tools find them.
//
// The handler that the broker was given still writes; it is no more asked whether a level is enabled
// once somebody has set one.
package loglevel

import (
	"context"
	"log/slog"
	"slices"
	"sync"
)

// The loggers. What is not logged by one of the others is logged by the root.
const (
	Root         = "root"
	Requests     = "kafka.server.KafkaApis"      // requests and connections
	Replicas     = "kafka.server.ReplicaManager" // partitions
	Logs         = "kafka.log.LogManager"        // files
	Groups       = "kafka.coordinator.group.GroupCoordinator"
	Transactions = "kafka.coordinator.transaction.TransactionCoordinator"
)

// Level is a level as Kafka writes it.
type Level struct {
	Name  string
	level slog.Level
}

// levels are Kafka's, in the order in which its messages list them.
var levels = []Level{
	{"DEBUG", slog.LevelDebug}, {"ERROR", slog.LevelError}, {"FATAL", slog.LevelError + 4},
	{"INFO", slog.LevelInfo}, {"TRACE", slog.LevelDebug - 4}, {"WARN", slog.LevelWarn},
}

// Names lists the levels that there are.
func Names() []string {
	out := make([]string, len(levels))
	for i, l := range levels {
		out[i] = l.Name
	}
	return out
}

// Valid tells whether a level of this name exists. Case counts.
func Valid(name string) bool { return slices.Contains(Names(), name) }

func levelOf(name string) slog.Level {
	for _, l := range levels {
		if l.Name == name {
			return l.level
		}
	}
	return slog.LevelInfo
}

// Set are the loggers of one broker. It is safe for concurrent use.
type Set struct {
	inner slog.Handler

	mu  sync.RWMutex
	set map[string]string // levels that were set, by logger
}

// New makes the loggers of a broker that writes by log.
func New(log *slog.Logger) *Set { return &Set{inner: log.Handler(), set: map[string]string{}} }

// Loggers lists all names, in order.
func Loggers() []string { return []string{Groups, Transactions, Logs, Requests, Replicas, Root} }

// Known tells whether a logger of this name exists.
func Known(logger string) bool { return slices.Contains(Loggers(), logger) }

// Logger returns one of them.
func (s *Set) Logger(name string) *slog.Logger {
	return slog.New(&handler{set: s, name: name, inner: s.inner})
}

// Level is the level that counts for a logger: its own, or the root's, or what the handler was
// made with.
func (s *Set) Level(logger string) string {
	if level := s.chosen(logger); level != "" {
		return level
	}
	for _, name := range []string{"TRACE", "DEBUG", "INFO", "WARN", "ERROR"} {
		if s.inner.Enabled(context.Background(), levelOf(name)) {
			return name
		}
	}
	return "FATAL"
}

// Change sets levels; an empty one takes a logger's own level away. The names must be known.
func (s *Set) Change(changes map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for logger, level := range changes {
		if level == "" {
			delete(s.set, logger)
		} else {
			s.set[logger] = level
		}
	}
}

// chosen is what was set for a logger or the root, empty if neither was.
func (s *Set) chosen(logger string) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if level, ok := s.set[logger]; ok {
		return level
	}
	return s.set[Root]
}

// handler asks the set before it lets the inner one write.
type handler struct {
	set   *Set
	name  string
	inner slog.Handler
}

func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	if chosen := h.set.chosen(h.name); chosen != "" {
		return level >= levelOf(chosen)
	}
	return h.inner.Enabled(ctx, level)
}

func (h *handler) Handle(ctx context.Context, r slog.Record) error { return h.inner.Handle(ctx, r) }

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{set: h.set, name: h.name, inner: h.inner.WithAttrs(attrs)}
}

func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{set: h.set, name: h.name, inner: h.inner.WithGroup(name)}
}
