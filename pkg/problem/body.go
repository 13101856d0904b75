package problem

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"millrace/pkg/strictjson"
)

// MaxBody is the largest request body that Body reads.
const MaxBody = 1 << 20

// MediaTypeError is returned when a body is not sent as JSON.
type MediaTypeError struct{ Detail string }

func (e *MediaTypeError) Error() string { return e.Detail }

// BodyTooLargeError is returned when a body has more than MaxBody bytes.
type BodyTooLargeError struct{}

func (*BodyTooLargeError) Error() string {
	return fmt.Sprintf("the body has more than %d bytes", MaxBody)
}

// BodyReadError is returned when a body ends before it is complete.
type BodyReadError struct{ Cause error }

func (e *BodyReadError) Error() string { return "reading the body: " + e.Cause.Error() }
func (e *BodyReadError) Unwrap() error { return e.Cause }

// ParameterError is returned when a query, path or header parameter is not as it has to be.
type ParameterError struct{ Parameter, Rule, Detail string }

func (e *ParameterError) Error() string { return e.Parameter + " " + e.Detail }

// Body reads a JSON request body. It never holds more than MaxBody bytes and
// refuses by the Content-Length alone where there is one.
func Body(w http.ResponseWriter, r *http.Request) (*strictjson.Reader, error) {
	if err := checkMediaType(r.Header); err != nil {
		return nil, err
	}
	if r.ContentLength > MaxBody {
		w.Header().Set("Connection", "close") // rather than reading what nobody wants
		return nil, &BodyTooLargeError{}
	}
	text, err := readAll(http.MaxBytesReader(w, r.Body, MaxBody), r.ContentLength)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, &BodyTooLargeError{}
	case err != nil:
		return nil, &BodyReadError{Cause: err}
	}
	return strictjson.NewReader(text)
}

// readAll is io.ReadAll with the right buffer from the start.
func readAll(body io.Reader, size int64) ([]byte, error) {
	if size < 0 {
		return io.ReadAll(body)
	}
	text := make([]byte, size)
	_, err := io.ReadFull(body, text)
	return text, err
}

func checkMediaType(h http.Header) error {
	if encoding := h.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return &MediaTypeError{"Content-Encoding must be absent; compressed bodies are not taken"}
	}
	given := h.Get("Content-Type")
	if given == "" {
		return &MediaTypeError{"Content-Type is missing; it must be application/json"}
	}
	mediaType, parameters, err := mime.ParseMediaType(given)
	if err != nil || mediaType != "application/json" {
		return &MediaTypeError{"Content-Type must be application/json"}
	}
	if charset, ok := parameters["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return &MediaTypeError{"charset must be utf-8"}
	}
	return nil
}

// requestRules are the rules for errors of Body and of parameters.
var requestRules = []Rule{
	As(Kind{
		Slug: "malformed-json", Status: http.StatusBadRequest, Title: "The body is not JSON",
		Help: "The detail says at which line and column the text stops being JSON (RFC 8259). Columns count bytes.",
	}, func(e *strictjson.SyntaxError) (string, []Violation) { return e.Error(), nil }),
	As(Kind{
		Slug: "unexpected-body", Status: http.StatusBadRequest, Title: "The body does not have the expected form",
		Help: "The body is JSON, but a field is missing, unknown, given twice or of the wrong type. Each error names it by JSON pointer (RFC 6901).",
	}, func(e *strictjson.ShapeError) (string, []Violation) {
		list := make([]Violation, len(e.Violations))
		for i, v := range e.Violations {
			list[i] = Violation{Pointer: v.Pointer, Rule: v.Rule, Detail: v.Detail}
		}
		return "", list
	}),
	As(Kind{
		Slug: "invalid-parameter", Status: http.StatusBadRequest, Title: "A parameter is not as it has to be",
		Help: "A query, path or header parameter breaks a rule; the error names it.",
	}, func(e *ParameterError) (string, []Violation) {
		return "", []Violation{{Parameter: e.Parameter, Rule: e.Rule, Detail: e.Detail}}
	}),
	As(Kind{
		Slug: "unsupported-media-type", Status: http.StatusUnsupportedMediaType, Title: "The body is not sent as JSON",
		Help: "Send the body with Content-Type: application/json, uncompressed.",
	}, func(e *MediaTypeError) (string, []Violation) { return e.Detail, nil }),
	As(Kind{
		Slug: "body-too-large", Status: http.StatusRequestEntityTooLarge, Title: "The body is too large",
		Help: "A body may have 1 MiB.",
	}, func(e *BodyTooLargeError) (string, []Violation) { return e.Error(), nil }),
	As(Kind{
		Slug: "incomplete-body", Status: http.StatusBadRequest, Title: "The body ended too early",
		Help: "The connection broke off, or was too slow, before the whole body was there.",
	}, func(*BodyReadError) (string, []Violation) { return "", nil }),
}
