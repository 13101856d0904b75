package collector

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// maxForwardQueue bounds the bytes that wait for the other receiver.
const maxForwardQueue = 8 << 20

// Forwarder passes requests on to another OTLP receiver. When that cannot keep
// up or is away, the oldest requests are dropped: nothing here waits for it.
type Forwarder struct {
	url     string
	headers http.Header
	client  *http.Client
	log     *slog.Logger

	mu      sync.Mutex // guards what follows
	queue   [][]byte
	size    int
	dropped int
	wake    chan struct{}
}

// NewForwarder sends to an OTLP endpoint as OTEL_EXPORTER_OTLP_ENDPOINT names
// it: /v1/traces is appended. headers have the form of
// OTEL_EXPORTER_OTLP_HEADERS: k=v,k=v, percent-encoded.
func NewForwarder(endpoint, headers string, log *slog.Logger) (*Forwarder, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("OTLP endpoint %q, allowed: http://HOST:PORT or https://HOST:PORT", endpoint)
	}
	f := &Forwarder{
		url: u.JoinPath("v1", "traces").String(), headers: http.Header{}, log: log,
		client: &http.Client{Timeout: 10 * time.Second}, wake: make(chan struct{}, 1),
	}
	for pair := range strings.SplitSeq(headers, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		key, value, ok := strings.Cut(pair, "=")
		decoded, err := url.PathUnescape(strings.TrimSpace(value))
		if !ok || err != nil {
			return nil, fmt.Errorf("OTLP headers: %q is not of the form key=value", strings.TrimSpace(key))
		}
		f.headers.Add(strings.TrimSpace(key), decoded)
	}
	return f, nil
}

// Add queues a request; it takes over body.
func (f *Forwarder) Add(body []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue = append(f.queue, body)
	f.size += len(body)
	for f.size > maxForwardQueue && len(f.queue) > 1 {
		f.size -= len(f.queue[0])
		f.queue = f.queue[1:]
		f.dropped++
	}
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *Forwarder) take() (body []byte, dropped int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.queue) == 0 {
		return nil, 0
	}
	body = f.queue[0]
	f.queue = f.queue[1:]
	f.size -= len(body)
	dropped, f.dropped = f.dropped, 0
	return body, dropped
}

// Run sends until ctx ends; then it tries what is left once more, for a short time.
func (f *Forwarder) Run(ctx context.Context) {
	defer f.client.CloseIdleConnections()
	const reportEvery = time.Minute
	var lost int
	var reported time.Time
	for {
		body, dropped := f.take()
		lost += dropped
		if body == nil {
			select {
			case <-f.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		sendCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.client.Timeout)
		stop := context.AfterFunc(ctx, func() { time.AfterFunc(time.Second, cancel) })
		err := f.sendPatiently(sendCtx, body)
		stop()
		cancel()
		if err != nil {
			lost++
		}
		if lost > 0 && time.Since(reported) > reportEvery {
			f.log.Warn("spans were not passed on", "endpoint", f.url, "requests", lost, "error", err)
			lost, reported = 0, time.Now()
		}
	}
}

// sendPatiently tries again while the receiver says that it is busy or away.
func (f *Forwarder) sendPatiently(ctx context.Context, body []byte) error {
	wait := 100 * time.Millisecond
	for {
		again, err := f.send(ctx, body)
		if err == nil || !again {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
			wait *= 2
		}
	}
}

func (f *Forwarder) send(ctx context.Context, body []byte) (again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	req.Header = f.headers.Clone()
	req.Header.Set("Content-Type", protobufType)
	res, err := f.client.Do(req)
	if err != nil {
		return true, err
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10))
	switch res.StatusCode {
	case http.StatusOK, http.StatusAccepted, http.StatusNoContent:
		return false, nil
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true, fmt.Errorf("receiver answers %s", res.Status)
	default:
		return false, fmt.Errorf("receiver answers %s", res.Status)
	}
}
