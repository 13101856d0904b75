//go:build unix

package chaos

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"

	"millrace/internal/orderrun"
	"millrace/internal/shop"
)

// Every service is restarted, one instance after the other, while orders come in
// through a balancer that asks /readyz, as a Kubernetes service does. No request
// fails, and no effect is there twice.
func TestRollingRestart(t *testing.T) {
	if testing.Short() {
		t.Skip("restarts six processes under load; runs without -short")
	}
	instances := map[string]int{}
	for _, service := range shop.Services {
		instances[service] = 2
	}
	s := start(t, instances, "SHUTDOWN_DELAY=500ms")
	lb := newBalancer(t, s, shop.Order, shop.Order+"-2")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	rolled := make(chan struct{})
	began := make(chan struct{})
	var once sync.Once
	go func() {
		defer close(rolled)
		select {
		case <-began:
		case <-ctx.Done():
			return
		}
		for _, service := range shop.Services {
			for _, name := range []string{service, service + "-2"} {
				if err := s.restart(ctx, name); err != nil {
					t.Errorf("restart %s: %v", name, err)
					return
				}
				lb.sees(ctx, name)
			}
		}
	}()
	total := 0
	for seed := uint64(0); ; seed++ { // orders pass for as long as the restarts take
		const n = 200
		c := s.orderrun(n, seed)
		c.OrderURL = lb.URL
		c.Progress = func(string, ...any) { once.Do(func() { close(began) }) }
		r, err := orderrun.Run(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		once.Do(func() { close(began) })
		good(t, r, n)
		total += n
		select {
		case <-rolled:
		default:
			continue
		}
		break
	}
	t.Logf("%d orders, %d requests, %d failed", total, lb.served(), len(lb.failures()))
	for _, failure := range lb.failures() {
		t.Errorf("a request failed: %s", failure)
	}
}

// restart stops an instance in order, as a roll-out does, and waits until the next is
// ready.
func (s *aShop) restart(ctx context.Context, name string) error {
	if err := s.Stop(ctx, name); err != nil {
		return err
	}
	if err := s.Start(ctx, name); err != nil {
		return err
	}
	for {
		p, err := s.part(name)
		if err == nil && call(ctx, http.MethodGet, "http://"+p.Address+"/readyz", "", nil) == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// balancer hands requests to the instances that say they are ready, in turn. It does
// not repeat a request: one that fails has failed.
type balancer struct {
	*httptest.Server
	backends []*backend

	mu     sync.Mutex // guards all below
	next   int
	count  int
	failed []string
}

type backend struct {
	name  string
	proxy *httputil.ReverseProxy
	url   *url.URL

	mu    sync.Mutex // guards ready and news
	ready bool
	news  chan struct{}
}

func newBalancer(t *testing.T, s *aShop, names ...string) *balancer {
	t.Helper()
	b := &balancer{}
	ctx, stop := context.WithCancel(context.Background())
	var watchers sync.WaitGroup
	for _, name := range names {
		p := s.ready(t, name)
		u := &url.URL{Scheme: "http", Host: p.Address}
		one := &backend{name: name, url: u, proxy: httputil.NewSingleHostReverseProxy(u), ready: true, news: make(chan struct{})}
		one.proxy.ErrorLog = log.New(t.Output(), name+": ", 0)
		one.proxy.ErrorHandler = func(w http.ResponseWriter, r *http.Request, err error) {
			b.fail("%s %s at %s: %v", r.Method, r.URL, name, err)
			w.WriteHeader(http.StatusBadGateway)
		}
		one.proxy.ModifyResponse = func(r *http.Response) error {
			if r.StatusCode >= http.StatusInternalServerError {
				b.fail("%s %s at %s: %s", r.Request.Method, r.Request.URL, name, r.Status)
			}
			return nil
		}
		b.backends = append(b.backends, one)
		watchers.Go(func() { one.watch(ctx) })
	}
	b.Server = httptest.NewServer(b)
	t.Cleanup(func() {
		stop()
		b.Close()
		watchers.Wait()
	})
	return b
}

// watch asks for readiness ten times as often as the service waits before it closes.
func (o *backend) watch(ctx context.Context) {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := call(ctx, http.MethodGet, o.url.String()+"/readyz", "", nil)
		o.mu.Lock()
		if now := err == nil; now != o.ready {
			o.ready = now
			close(o.news)
			o.news = make(chan struct{})
		}
		o.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// sees waits until the balancer knows that an instance is ready.
func (b *balancer) sees(ctx context.Context, name string) {
	for _, o := range b.backends {
		for o.name == name {
			o.mu.Lock()
			ready, news := o.ready, o.news
			o.mu.Unlock()
			if ready {
				break
			}
			select {
			case <-news:
			case <-ctx.Done():
				return
			}
		}
	}
}

// ServeHTTP implements http.Handler.
func (b *balancer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	b.count++
	var chosen *backend
	for range b.backends {
		b.next = (b.next + 1) % len(b.backends)
		o := b.backends[b.next]
		o.mu.Lock()
		ready := o.ready
		o.mu.Unlock()
		if ready {
			chosen = o
			break
		}
	}
	b.mu.Unlock()
	if chosen == nil {
		b.fail("%s %s: no instance is ready", r.Method, r.URL)
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	chosen.proxy.ServeHTTP(w, r)
}

func (b *balancer) fail(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed = append(b.failed, fmt.Sprintf(format, args...))
}

func (b *balancer) failures() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failed
}

func (b *balancer) served() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.count
}
