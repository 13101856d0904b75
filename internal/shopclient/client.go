// Package shopclient talks to the HTTP interfaces of a running shop: orders and
// products, stock, mails, traces.
package shopclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxAnswer caps what is read of one answer.
const maxAnswer = 64 << 20

// Client calls one base URL. It is safe for many goroutines.
type Client struct {
	base string
	http *http.Client
}

// NewPatient makes a client for what may take long, as starting a part.
func NewPatient(base string) *Client {
	c := New(base)
	c.http.Timeout = 2 * time.Minute
	return c
}

// New makes a client of the service at base, as http://127.0.0.1:8081.
func New(base string) *Client {
	return &Client{base: strings.TrimRight(base, "/"), http: &http.Client{
		Timeout: 30 * time.Second,
		Transport: &http.Transport{
			MaxIdleConnsPerHost: 64, MaxConnsPerHost: 64, IdleConnTimeout: 30 * time.Second,
		},
	}}
}

// Base is the address that the client calls.
func (c *Client) Base() string { return c.base }

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// UnreachableError is returned when there was no answer at all.
type UnreachableError struct {
	Base string
	Err  error
}

func (e *UnreachableError) Error() string {
	var u *url.Error
	if errors.As(e.Err, &u) {
		return fmt.Sprintf("nothing answers at %s: %v", e.Base, u.Err)
	}
	return fmt.Sprintf("nothing answers at %s: %v", e.Base, e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// Problem is an answer that is an error: problem details (RFC 9457) where the
// service sent them.
type Problem struct { //nolint:errname // the word of RFC 9457
	Type   string      `json:"type"`
	Title  string      `json:"title"`
	Status int         `json:"status"`
	Detail string      `json:"detail,omitempty"`
	Errors []Violation `json:"errors,omitempty"`
}

// Violation is one rule that a request breaks.
type Violation struct {
	Pointer   string `json:"pointer,omitempty"`
	Parameter string `json:"parameter,omitempty"`
	Rule      string `json:"rule"`
	Detail    string `json:"detail"`
}

func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.Title)
	if p.Detail != "" {
		b.WriteString(": " + p.Detail)
	}
	for _, v := range p.Errors {
		fmt.Fprintf(&b, "\n  %s: %s", v.Pointer+v.Parameter, v.Detail)
	}
	return b.String()
}

// call sends a request and reads the JSON answer into out, which may be nil.
func (c *Client) call(ctx context.Context, method, path string, header http.Header, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return err
	}
	for key, values := range header {
		req.Header[key] = values
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &UnreachableError{Base: c.base, Err: err}
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return &UnreachableError{Base: c.base, Err: err}
	}
	if res.StatusCode/100 != 2 {
		return problem(res, answer)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("%s %s%s answers something else than expected: %w", method, c.base, path, err)
	}
	return nil
}

func problem(res *http.Response, body []byte) error {
	p := &Problem{}
	t, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil || t != "application/problem+json" || json.Unmarshal(body, p) != nil || p.Title == "" {
		const shown = 200
		p = &Problem{Title: res.Request.Method + " " + res.Request.URL.Path + " answers " + res.Status, Detail: strings.TrimSpace(string(body[:min(len(body), shown)]))}
	}
	p.Status = res.StatusCode
	return p
}
