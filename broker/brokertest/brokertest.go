// Package brokertest runs a real broker inside a test, as net/http/httptest does
// for HTTP servers.
//
//	b := brokertest.Start(t)
//	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr))
package brokertest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"millrace/broker"
	"millrace/broker/internal/vfs"
)

// Broker is a broker that ends with its test.
type Broker struct {
	Addr string // host:port, the same after Restart
	HTTP string // host:port of /metrics and the like, with WithHTTP

	t       testing.TB
	cfg     broker.Config
	mem     *vfs.Mem // the file system, with InMemory
	mayFail bool     // Failed was called
	mu      sync.Mutex
	now     *broker.Broker
	stop    context.CancelFunc
	done    chan error
}

// Option changes how a broker is started.
type Option func(*Broker)

// WithSetting gives a setting by Kafka's name.
func WithSetting(name, value string) Option {
	return func(b *Broker) { b.cfg.Settings[name] = value }
}

// WithDir keeps the data in a folder of the caller's. Otherwise it is t.TempDir().
func WithDir(dir string) Option { return func(b *Broker) { b.cfg.DataDir = dir } }

// WithHTTP opens the HTTP listener too.
func WithHTTP() Option { return func(b *Broker) { b.cfg.HTTP = "127.0.0.1:0" } }

// WithFaults opens the HTTP listener, and /admin/faults there.
func WithFaults() Option {
	return func(b *Broker) { b.cfg.HTTP, b.cfg.Faults = "127.0.0.1:0", true }
}

// WithListen adds a listener, as --listen does. Without one there is one on a free port.
func WithListen(listen string) Option {
	return func(b *Broker) {
		l, err := broker.ParseListen(listen)
		if err != nil {
			b.t.Fatal(err)
		}
		b.cfg.Listen = append(b.cfg.Listen, l)
	}
}

// WithLog sends the broker's log to log. Otherwise errors fail nothing and are dropped.
func WithLog(log *slog.Logger) Option { return func(b *Broker) { b.cfg.Log = log } }

// WithStallTimeout closes connections that stop in the middle of a request sooner than half a minute.
func WithStallTimeout(d time.Duration) Option { return func(b *Broker) { b.cfg.StallTimeout = d } }

// WithFS keeps the data in a file system of the caller's, in the folder "data".
func WithFS(fsys vfs.FS) Option {
	return func(b *Broker) { b.cfg.FS, b.cfg.DataDir = fsys, "data" }
}

// InMemory keeps the data in memory. Kill then loses what was not synced, as a power cut does.
func InMemory() Option { return func(b *Broker) { b.mem = vfs.NewMem() } }

// Start starts a broker on a free port of 127.0.0.1 and stops it when the test ends.
// Topics have no delay for the first rebalance of a group, unless a setting says so.
func Start(t testing.TB, options ...Option) *Broker {
	t.Helper()
	b := &Broker{t: t, cfg: broker.Config{
		Log:      slog.New(slog.DiscardHandler),
		Settings: map[string]string{"group.initial.rebalance.delay.ms": "0"},
	}}
	for _, o := range options {
		o(b)
	}
	if b.mem != nil {
		b.cfg.DataDir = "data" // there before the broker is, like t.TempDir()
		if err := errors.Join(b.mem.MkdirAll("data"), b.mem.SyncDir(".")); err != nil {
			t.Fatal(err)
		}
	} else if b.cfg.DataDir == "" {
		b.cfg.DataDir = t.TempDir()
	}
	var err error
	given := len(b.cfg.Listen) > 0
	for range 5 { // another process may take the port first
		if !given {
			b.cfg.Listen = []broker.Listen{{Address: FreeAddr(t)}}
		}
		if err = b.start(); !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	if err != nil {
		t.Fatalf("start broker: %v", err)
	}
	t.Cleanup(b.Stop)
	return b
}

func (b *Broker) start() error {
	if b.mem != nil {
		b.cfg.FS = b.mem
	}
	now, err := broker.Open(context.Background(), b.cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- now.Run(ctx) }()
	b.mu.Lock()
	b.now, b.stop, b.done = now, cancel, done
	b.mu.Unlock()
	b.Addr, b.HTTP = now.Addr(), now.HTTPAddr()
	return nil
}

// take returns what is running, once.
func (b *Broker) take() (*broker.Broker, context.CancelFunc, chan error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now
	b.now = nil
	return now, b.stop, b.done
}

// Stop closes the broker in order. It may be called twice.
func (b *Broker) Stop() {
	now, stop, done := b.take()
	if now == nil {
		return
	}
	stop()
	if err := <-done; err != nil && !b.mayFail {
		b.t.Errorf("stop broker: %v", err)
	}
}

// Failed waits until the broker ends by itself and returns why.
func (b *Broker) Failed() error {
	b.mu.Lock()
	b.mayFail = true
	done := b.done
	b.mu.Unlock()
	err := <-done
	done <- err // for Stop
	return err
}

// Kill ends the broker as a power cut does: nothing is finished or written any
// more. In memory, what was not synced is lost; in a real folder it stays, as after kill -9.
func (b *Broker) Kill() {
	now, stop, done := b.take()
	if now == nil {
		return
	}
	now.Crash()
	stop()
	if err := <-done; err != nil && !b.mayFail {
		b.t.Errorf("kill broker: %v", err)
	}
	if b.mem != nil {
		b.mem = b.mem.PowerCut(nil)
	}
}

// KillWithLuck is Kill in memory where of the bytes that were not synced some survive.
func (b *Broker) KillWithLuck(luck *rand.Rand) {
	mem := b.mem
	b.Kill()
	if mem != nil {
		b.mem = mem.PowerCut(luck)
	}
}

// Restart starts the broker again on the same data and address; one that is still
// running is stopped in order first.
func (b *Broker) Restart() {
	b.t.Helper()
	b.Stop()
	if err := b.start(); err != nil {
		b.t.Fatalf("restart broker: %v", err)
	}
}

// FreeAddr returns an address of 127.0.0.1 whose port is free now and is not one
// that the system hands to outgoing connections.
func FreeAddr(t testing.TB) string {
	t.Helper()
	for range 200 {
		addr := fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(22000))
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		_ = l.Close()
		return addr
	}
	t.Fatal("no free port below 32000")
	return ""
}
