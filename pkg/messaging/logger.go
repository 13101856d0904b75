package messaging

import (
	"context"
	"log/slog"

	"github.com/ThreeDotsLabs/watermill"
)

// logAdapter hands Watermill's log lines to slog. Watermill's info is about its own
// inner life, so it becomes debug; its trace lines, several a message, are dropped.
type logAdapter struct {
	log *slog.Logger
}

var _ watermill.LoggerAdapter = logAdapter{}

func (a logAdapter) Error(msg string, err error, fields watermill.LogFields) {
	a.write(slog.LevelError, msg, append(attrs(fields), slog.Any("error", err)))
}

func (a logAdapter) Info(msg string, fields watermill.LogFields) {
	if a.log.Enabled(context.Background(), slog.LevelDebug) {
		a.write(slog.LevelDebug, msg, attrs(fields))
	}
}

func (a logAdapter) Debug(msg string, fields watermill.LogFields) { a.Info(msg, fields) }

func (a logAdapter) Trace(string, watermill.LogFields) {}

func (a logAdapter) With(fields watermill.LogFields) watermill.LoggerAdapter {
	args := make([]any, 0, len(fields))
	for _, attr := range attrs(fields) {
		args = append(args, attr)
	}
	return logAdapter{a.log.With(args...)}
}

func (a logAdapter) write(level slog.Level, msg string, attrs []slog.Attr) {
	a.log.LogAttrs(context.Background(), level, msg, attrs...) //nolint:sloglint // the message is Watermill's
}

func attrs(fields watermill.LogFields) []slog.Attr {
	attrs := make([]slog.Attr, 0, len(fields)+1)
	for key, value := range fields {
		if key == "err" {
			key = "error"
		}
		attrs = append(attrs, slog.Any(key, value))
	}
	return attrs
}
