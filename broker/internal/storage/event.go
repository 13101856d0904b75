package storage

import "log/slog"

// Event is something that an operator may want to know: a cut tail, a deleted segment, a
// folder gone offline. Storage does not log; DirOptions.Event decides what becomes of it.
type Event struct {
	Level   slog.Level
	Message string
	Attrs   []slog.Attr
}
