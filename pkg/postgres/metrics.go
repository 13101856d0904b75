package postgres

import (
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// registerPool adds the pool's numbers to a registry. A second pool in one registry
// is left out.
func registerPool(r prometheus.Registerer, pool *pgxpool.Pool) {
	if r == nil {
		return
	}
	// A name taken already means a second pool, which nobody needs to tell apart.
	_ = r.Register(poolCollector{pool})
}

var (
	connectionsDesc = prometheus.NewDesc("postgres_pool_connections",
		"Connections of the pool, by what they do.", []string{"state"}, nil)
	maxConnectionsDesc = prometheus.NewDesc("postgres_pool_max_connections",
		"The most connections that the pool may open.", nil, nil)
	acquireWaitDesc = prometheus.NewDesc("postgres_pool_acquire_wait_seconds_total",
		"Time spent waiting for a free connection.", nil, nil)
	acquiresDesc = prometheus.NewDesc("postgres_pool_acquires_total",
		"Connections taken from the pool.", nil, nil)
)

type poolCollector struct{ pool *pgxpool.Pool }

func (c poolCollector) Describe(descs chan<- *prometheus.Desc) {
	descs <- connectionsDesc
	descs <- maxConnectionsDesc
	descs <- acquireWaitDesc
	descs <- acquiresDesc
}

func (c poolCollector) Collect(metrics chan<- prometheus.Metric) {
	s := c.pool.Stat()
	gauge := func(desc *prometheus.Desc, v float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, labels...)
	}
	gauge(connectionsDesc, float64(s.AcquiredConns()), "acquired")
	gauge(connectionsDesc, float64(s.IdleConns()), "idle")
	gauge(connectionsDesc, float64(s.ConstructingConns()), "connecting")
	gauge(maxConnectionsDesc, float64(s.MaxConns()))
	metrics <- prometheus.MustNewConstMetric(acquireWaitDesc, prometheus.CounterValue, s.AcquireDuration().Seconds())
	metrics <- prometheus.MustNewConstMetric(acquiresDesc, prometheus.CounterValue, float64(s.AcquireCount()))
}
