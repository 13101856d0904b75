package coordinator

import (
	"time"

	"millrace/broker/internal/group"
	"millrace/broker/internal/statelog"
)

// Log is the topic __consumer_offsets as the coordinator needs it.
type Log = statelog.Log

// Record is a record of the topic.
type Record = statelog.Record

// Events hears of what happens, for logs and metrics. Methods return quickly and do
// not call the coordinator.
type Events interface {
	// Group tells what happened to a group.
	Group(id string, e group.Event)
	// Loaded tells that a partition has been read, or why it could not be: then its
	// groups cannot be served until the broker starts again.
	Loaded(l Load)
	// Wrote tells that a batch of records from so many requests is durable, or not.
	Wrote(partition int32, records, requests int, took time.Duration, err error)
}

// Load is the result of reading a partition.
type Load struct {
	Partition       int32
	Records         int // read; most are superseded by later ones
	Unknown         int // of kinds that this version does not know; left alone
	Groups, Offsets int // found
	Took            time.Duration
	Err             error
}

// NoEvents ignores everything.
type NoEvents struct{}

func (NoEvents) Group(string, group.Event)                   {}
func (NoEvents) Loaded(Load)                                 {}
func (NoEvents) Wrote(int32, int, int, time.Duration, error) {}
