package collector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

// Config says what a collector does.
type Config struct {
	Listen  string // host:port for OTLP over HTTP and for queries
	Dir     string // of the store; empty: memory
	Limits  Limits // zero: the default
	Forward string // OTLP endpoint of another receiver; empty: none
	Headers string // for Forward, k=v,k=v
}

// flushEvery is how long a span may stay in this process's memory alone.
const flushEvery = time.Second

// Run serves until ctx ends.
func Run(ctx context.Context, c Config, log *slog.Logger) error {
	if c.Limits == (Limits{}) {
		c.Limits = DefaultLimits
		if c.Dir == "" {
			c.Limits = memoryLimits
		}
	}
	var forward *Forwarder
	if c.Forward != "" {
		var err error
		if forward, err = NewForwarder(c.Forward, c.Headers, log); err != nil {
			return err
		}
	}
	store, err := OpenStore(c.Dir, c.Limits, maxUnpacked)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return errors.Join(fmt.Errorf("collector: %w", err), store.Close())
	}
	log.Info("collector listens", "address", listener.Addr().String(), "spans", store.Stats().Spans)
	return errors.Join(serve(ctx, listener, NewHandler(store, forward, log), store, forward), store.Close())
}

// serve runs everything that a collector does on an open store and listener.
func serve(ctx context.Context, l net.Listener, h http.Handler, store *Store, forward *Forwarder) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if err := server.Shutdown(drain); err != nil {
			return server.Close()
		}
		return nil
	})
	group.Go(func() error {
		ticker := time.NewTicker(flushEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				if err := store.Flush(); err != nil {
					return err
				}
			case <-ctx.Done():
				return nil
			}
		}
	})
	if forward != nil {
		group.Go(func() error { forward.Run(ctx); return nil })
	}
	return group.Wait()
}
