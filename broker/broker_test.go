package broker_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"millrace/broker"
	"millrace/broker/brokertest"
	"millrace/broker/internal/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func config(t *testing.T) broker.Config {
	t.Helper()
	return broker.Config{DataDir: t.TempDir(), Listen: []broker.Listen{{Address: "127.0.0.1:0"}}, Log: quiet()}
}

func TestLifecycle(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	for range 10 { // opened and closed, run and stopped, killed: in every order the next one opens
		for _, end := range []string{"close", "run", "run at once", "crash", "close twice"} {
			b, err := broker.Open(t.Context(), cfg)
			if err != nil {
				t.Fatalf("%s: %v", end, err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			switch end {
			case "close":
				err = b.Close()
			case "close twice":
				err = errors.Join(b.Close(), b.Close())
			case "run at once":
				cancel()
				err = b.Run(ctx)
			case "run":
				done := make(chan error, 1)
				go func() { done <- b.Run(ctx) }()
				ping(t, b.Addr())
				cancel()
				err = <-done
			case "crash":
				done := make(chan error, 1)
				go func() { done <- b.Run(ctx) }()
				ping(t, b.Addr())
				b.Crash()
				cancel()
				err = <-done
			}
			cancel()
			if err != nil {
				t.Fatalf("%s: %v", end, err)
			}
		}
	}
}

func ping(t *testing.T, addr string) {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := c.Ping(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestOpen_Refuses(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	held := config(t)
	holder, err := broker.Open(t.Context(), held)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = holder.Close() })
	for name, tc := range map[string]struct {
		change func(*broker.Config)
		want   string
	}{
		"taken port":      {func(c *broker.Config) { c.Listen[0].Address = taken.Addr().String() }, "address already in use"},
		"taken HTTP port": {func(c *broker.Config) { c.HTTP = taken.Addr().String() }, "address already in use"},
		"data in use":     {func(c *broker.Config) { c.DataDir = held.DataDir }, "locked"},
		"unknown setting": {func(c *broker.Config) { c.Settings = map[string]string{"num.partition": "1"} }, "num.partitions"},
		"bad setting":     {func(c *broker.Config) { c.Settings = map[string]string{"num.partitions": "many"} }, "num.partitions"},
		"wildcard":        {func(c *broker.Config) { c.Listen[0].Address = "0.0.0.0:9092" }, "advertise="},
		"names twice": {func(c *broker.Config) {
			c.Listen = []broker.Listen{{Name: "A", Address: "127.0.0.1:0"}, {Name: "A", Address: "127.0.0.1:0"}}
		}, "twice"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config(t)
			tc.change(&cfg)
			b, err := broker.Open(t.Context(), cfg)
			if err == nil {
				_ = b.Close()
				t.Fatal("it opens")
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("%v: does not say %q", err, tc.want)
			}
		})
	}
}

func TestParseListen(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]broker.Listen{
		"127.0.0.1:9092":                        {Address: "127.0.0.1:9092"},
		":9092":                                 {Address: ":9092"},
		"[::1]:9092":                            {Address: "[::1]:9092"},
		"0.0.0.0:9094,advertise=localhost:9094": {Address: "0.0.0.0:9094", Advertise: "localhost:9094"},
		"DOCKER://0.0.0.0:19092,advertise=b:1":  {Name: "DOCKER", Address: "0.0.0.0:19092", Advertise: "b:1"},
	} {
		if got, err := broker.ParseListen(in); err != nil || got != want {
			t.Errorf("%s: %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "9092", "localhost", "localhost:", "a:1,b:2", "a:1,advertise=", "a:1,advertise=b", "a:1,advertised=b:1"} {
		if l, err := broker.ParseListen(in); err == nil {
			t.Errorf("%q is taken as %+v", in, l)
		}
	}
}

// A disk that fails to sync ends the broker: what it holds is not known any more.
func TestRun_EndsWhenTheDiskFails(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	failure := errors.New("the disk is on fire")
	fsys := vfs.Wrap(vfs.NewMem(), func(op vfs.Op) error {
		if broken.Load() && op.Kind == "sync" {
			return failure
		}
		return nil
	})
	b := brokertest.Start(t, brokertest.WithFS(fsys))
	c, err := kgo.NewClient(kgo.SeedBrokers(b.Addr), kgo.AllowAutoTopicCreation(), kgo.RecordRetries(1), kgo.DisableIdempotentWrite(), kgo.MetadataMinAge(100*time.Millisecond),
		kgo.ProduceRequestTimeout(time.Second), kgo.RecordDeliveryTimeout(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	write := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		return c.ProduceSync(ctx, &kgo.Record{Topic: "orders", Value: []byte("v")}).FirstErr()
	}
	if err := write(); err != nil {
		t.Fatal(err)
	}
	broken.Store(true)
	if err := write(); err == nil {
		t.Error("a record was acknowledged that is not on disk")
	}
	if err := b.Failed(); !errors.Is(err, failure) {
		t.Errorf("the broker ended with %v", err)
	}
}
