package telemetry

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"sync"

	"go.opentelemetry.io/otel/trace"
)

// NewLogger returns a logger that adds trace_id and span_id from the context.
func NewLogger(w io.Writer, c Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel}
	var h slog.Handler
	switch {
	case c.LogFormat == FormatJSON:
		h = slog.NewJSONHandler(w, options)
	case c.LogFormat != FormatText && c.NoColor == "" && isTerminal(w):
		h = newColourHandler(w, options)
	default:
		h = slog.NewTextHandler(w, options)
	}
	return slog.New(tracedHandler{h})
}

// tracedHandler adds the ids of the context's span.
type tracedHandler struct{ slog.Handler }

func (h tracedHandler) Handle(ctx context.Context, r slog.Record) error {
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		r = r.Clone()
		r.AddAttrs(slog.String("trace_id", sc.TraceID().String()), slog.String("span_id", sc.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

func (h tracedHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return tracedHandler{h.Handler.WithAttrs(attrs)}
}

func (h tracedHandler) WithGroup(name string) slog.Handler {
	return tracedHandler{h.Handler.WithGroup(name)}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && f.Name() != os.DevNull
}

// colourHandler is slog's text handler with its lines in colour by level. It lets that
// write a line to a buffer, and wraps the line.
type colourHandler struct {
	slog.Handler
	out *colourOutput
}

// colourOutput is shared by all handlers that come from one. mu guards it.
type colourOutput struct {
	mu   sync.Mutex
	w    io.Writer
	line bytes.Buffer
}

func newColourHandler(w io.Writer, options *slog.HandlerOptions) slog.Handler {
	out := &colourOutput{w: w}
	return colourHandler{slog.NewTextHandler(&out.line, options), out}
}

func (h colourHandler) Handle(ctx context.Context, r slog.Record) error {
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	h.out.line.Reset()
	if err := h.Handler.Handle(ctx, r); err != nil {
		return err
	}
	const grey, yellow, red, reset = "\x1b[90m", "\x1b[33m", "\x1b[31m", "\x1b[0m"
	colour := ""
	switch {
	case r.Level >= slog.LevelError:
		colour = red
	case r.Level >= slog.LevelWarn:
		colour = yellow
	case r.Level < slog.LevelInfo:
		colour = grey
	}
	line := h.out.line.Bytes()
	if colour != "" {
		line = append([]byte(colour), bytes.TrimSuffix(line, []byte{'\n'})...)
		line = append(line, reset+"\n"...)
	}
	_, err := h.out.w.Write(line)
	return err
}

func (h colourHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return colourHandler{h.Handler.WithAttrs(attrs), h.out}
}

func (h colourHandler) WithGroup(name string) slog.Handler {
	return colourHandler{h.Handler.WithGroup(name), h.out}
}
