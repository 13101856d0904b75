package mailbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/emersion/go-smtp"
	"golang.org/x/sync/errgroup"

	"millrace/pkg/fault"
)

// Config says what a mail catcher does.
type Config struct {
	SMTP   string // host:port
	HTTP   string // host:port
	Dir    string // of the store; empty: memory
	Limits Limits // zero: the default

	Faults  *fault.Set   // nil: none; the points are fault.SMTPPoints
	Metrics http.Handler // answers /metrics; nil: nothing does
}

// Run serves until ctx ends.
func Run(ctx context.Context, c Config, log *slog.Logger) error {
	if c.Limits == (Limits{}) {
		c.Limits = DefaultLimits
		if c.Dir == "" {
			c.Limits = memoryLimits
		}
	}
	store, err := OpenStore(c.Dir, c.Limits)
	if err != nil {
		return err
	}
	smtpListener, err := net.Listen("tcp", c.SMTP)
	if err != nil {
		return errors.Join(fmt.Errorf("mail catcher: %w", err), store.Close())
	}
	httpListener, err := net.Listen("tcp", c.HTTP)
	if err != nil {
		return errors.Join(fmt.Errorf("mail catcher: %w", err), smtpListener.Close(), store.Close())
	}
	log.Info("mail catcher listens", "smtp", smtpListener.Addr().String(), "http", httpListener.Addr().String(), "messages", store.Count())
	return errors.Join(serve(ctx, c, smtpListener, httpListener, store, log), store.Close())
}

// serve takes and shows mails on open listeners.
func serve(ctx context.Context, c Config, smtpListener, httpListener net.Listener, store *Store, log *slog.Logger) error {
	group, ctx := errgroup.WithContext(ctx)
	mails := newSMTP(ctx, store, c.Faults, log)
	pages := &http.Server{
		Handler:           NewHandler(c, store, log),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    32 << 10,
	}
	group.Go(func() error {
		if err := mails.Serve(limit(smtpListener, maxConnections)); !errors.Is(err, smtp.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		if err := pages.Serve(httpListener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if mails.Shutdown(drain) != nil {
			_ = mails.Close() // sessions that sit idle
		}
		if pages.Shutdown(drain) != nil {
			_ = pages.Close()
		}
		return nil
	})
	return group.Wait()
}
