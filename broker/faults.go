package broker

import (
	"context"
	"fmt"
	"path/filepath"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"

	"millrace/broker/internal/fault"
	"millrace/broker/internal/vfs"
)

// enableFaults lets faults be set over HTTP. Firings are logged and counted.
func (b *Broker) enableFaults() {
	injections := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fault_injections_total", Help: "Faults that were injected on purpose, by point and kind.",
	}, []string{"point", "kind"})
	b.registry.MustRegister(injections)
	b.faults = fault.New(b.log, func(p fault.Point, k fault.Kind) { injections.WithLabelValues(string(p), string(k)).Inc() })
	b.log.Warn("faults are enabled: whoever reaches the HTTP address can make this broker fail", "http", b.cfg.HTTP)
}

// fillable is a file system on which logs can be made to find the disk full. Only their
// records do: Kafka's small files are written in place of an earlier one, for which there
// is room.
func (b *Broker) fillable(fsys vfs.FS) vfs.FS {
	if b.faults == nil {
		return fsys
	}
	return vfs.Wrap(fsys, func(op vfs.Op) error {
		if op.Kind != "write" || filepath.Ext(op.Path) != ".log" {
			return nil
		}
		if err := b.faults.Hit(context.Background(), fault.StorageAppend); err != nil {
			return fmt.Errorf("%w: %w", err, syscall.ENOSPC)
		}
		return nil
	})
}
