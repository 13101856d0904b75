package brokercmd

import (
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func parse(t *testing.T, args ...string) Options {
	t.Helper()
	var o Options
	f := flag.NewFlagSet("broker", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	o.Register(f)
	if err := f.Parse(args); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestOptions_Layers(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "server.properties")
	if err := os.WriteFile(file, []byte("# comment\nnum.partitions=2\nlog.retention.hours=1\nlog.dirs=/from/file\nlisteners=PLAINTEXT://127.0.0.1:19999\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg, err := with(parse(t, "--config", file, "--set", "num.partitions=4", "--data", "/from/flag", "--listen", "127.0.0.1:0", "--listen", "0.0.0.0:0,advertise=localhost:9094")).Config(nil)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Settings["num.partitions"] != "4" || cfg.Settings["log.retention.hours"] != "1" || cfg.DataDir != "/from/flag" || len(cfg.Listen) != 2 || cfg.Listen[1].Advertise != "localhost:9094" {
		t.Fatalf("%+v", cfg)
	}
}

func with(o Options) *Options { return &o }

func TestOptions_Refuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"no data":         {nil, "--data"},
		"unknown setting": {[]string{"--data", "d", "--set", "num.partitons=4"}, "num.partitions"},
		"bad value":       {[]string{"--data", "d", "--set", "num.partitions=0"}, "num.partitions"},
		"no value":        {[]string{"--data", "d", "--set", "num.partitions"}, "--set"},
		"bad listen":      {[]string{"--data", "d", "--listen", "9092"}, "--listen"},
		"no users' file":  {[]string{"--data", "d", "--add-scram", "@/does/not/exist"}, "/does/not/exist"},
		"bad user":        {[]string{"--data", "d", "--add-scram", "SCRAM-SHA-1=[name=a,password=b]"}, "Unknown SCRAM mechanism"},
		"no file":         {[]string{"--data", "d", "--config", "/does/not/exist"}, "/does/not/exist"},
	} {
		o := parse(t, tc.args...)
		_, err := o.Config(nil)
		var usage *UsageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want it to say %s", name, err, tc.want)
		}
	}
}

func TestRun_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	o := parse(t, "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0")
	if err := Run(ctx, o, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
}
