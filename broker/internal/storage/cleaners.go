package storage

import (
	"errors"
	"sync"
	"time"

	"millrace/broker/internal/cleaner"
	"millrace/broker/internal/record"
)

// CleanerOptions are about log compaction. Names in comments are Kafka's settings; zero is their default.
type CleanerOptions struct {
	Threads        int           // log.cleaner.threads, 1
	DedupeBytes    int64         // log.cleaner.dedupe.buffer.size, 128 MiB: for the tables of all threads
	LoadFactor     float64       // log.cleaner.io.buffer.load.factor, 0.9
	IOBytes        int           // log.cleaner.io.buffer.size, 512 KiB: for the records of all threads
	BytesPerSecond float64       // log.cleaner.io.max.bytes.per.second, read and written; no limit
	Backoff        time.Duration // log.cleaner.backoff.ms, 15 s; negative: nothing is cleaned but by Dir.Clean
}

func (o *CleanerOptions) setDefaults() {
	if o.Threads == 0 {
		o.Threads = 1
	}
	if o.DedupeBytes == 0 {
		o.DedupeBytes = 128 << 20
	}
	if o.LoadFactor == 0 {
		o.LoadFactor = 0.9
	}
	if o.IOBytes == 0 {
		o.IOBytes = 512 << 10
	}
	if o.Backoff == 0 {
		o.Backoff = 15 * time.Second
	}
}

// cleaners are the goroutines that compact logs.
type cleaners struct {
	throttle cleaner.Throttle

	mu      sync.Mutex // guards what follows
	options CleanerOptions
	changed chan struct{} // closed when the options change
	running int
	stats   CleanerStats
}

// CleanerStats are what the cleaners of a folder have done.
type CleanerStats struct {
	Runs                     int64
	BytesRead, BytesWritten  int64
	RecordsRead, RecordsKept int64
	WithoutKey               int64 // records dropped for want of a key
	LastRun                  time.Time
	LastDuration             time.Duration
	BufferUtilization        float64 // of the table of keys in the last run, 0 to 1
	MaxDirtyRatio            float64 // of the logs, when they were last looked at
	MaxCompactionDelay       time.Duration
	Uncleanable              int // partitions that are not cleaned any more because of damage
	UncleanableBytes         int64
	Failures                 int64
}

// CleanerStats tells what the cleaners have done so far.
func (d *Dir) CleanerStats() CleanerStats {
	d.cleaners.mu.Lock()
	s := d.cleaners.stats
	d.cleaners.mu.Unlock()
	for _, l := range d.Logs() {
		if l.uncleanable.Load() {
			s.Uncleanable++
			s.UncleanableBytes += l.Size()
		}
	}
	return s
}

// SetCleaner changes the options. What is being cleaned is finished with the earlier ones.
func (d *Dir) SetCleaner(o CleanerOptions) {
	o.setDefaults()
	k := &d.cleaners
	k.throttle.SetRate(o.BytesPerSecond)
	d.mu.Lock()
	defer d.mu.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	if d.closed || k.options == o {
		return
	}
	k.options = o
	if k.changed != nil {
		close(k.changed)
	}
	k.changed = make(chan struct{})
	if o.Backoff < 0 {
		return
	}
	for k.running < o.Threads {
		number := k.running
		k.running++
		d.background.Go(func() { d.keepClean(number) })
	}
}

// keepClean is one cleaner. It ends with the folder, or when there shall be fewer.
func (d *Dir) keepClean(number int) {
	k := &d.cleaners
	for {
		k.mu.Lock()
		o, changed := k.options, k.changed
		if number >= o.Threads || o.Backoff < 0 {
			k.running--
			k.mu.Unlock()
			return
		}
		k.mu.Unlock()
		worked := d.cleanDirtiest(o)
		d.retainCompacted()
		pause := o.Backoff
		if worked {
			pause = 0
		}
		wait := time.NewTimer(pause)
		select {
		case <-d.stop:
			wait.Stop()
			return
		case <-changed:
		case <-wait.C:
		}
		wait.Stop()
		if d.Err() != nil {
			return
		}
	}
}

// retainCompacted applies retention to the compacted logs: those with both policies do not wait for
// log.retention.check.interval.ms.
func (d *Dir) retainCompacted() {
	for _, l := range d.Logs() {
		if l.config.Load().Compact {
			d.retainLog(l)
		}
	}
}

// Clean compacts what is due, one log after the other, and returns how many runs that took.
func (d *Dir) Clean() int {
	d.cleaners.mu.Lock()
	o := d.cleaners.options
	d.cleaners.mu.Unlock()
	n := 0
	for d.cleanDirtiest(o) {
		n++
	}
	return n
}

// cleanDirtiest cleans the log with the largest dirty part of those that are due, and reports whether one was.
func (d *Dir) cleanDirtiest(o CleanerOptions) bool {
	for {
		l, plan := d.dirtiest()
		if l == nil {
			return false
		}
		began := time.Now()
		done, err := l.clean(o, plan)
		l.cleanMu.Unlock()
		d.noteRun(l, done, time.Since(began), err)
		if err == nil {
			return true
		}
		if d.Err() != nil || errors.Is(err, errCleanAborted) || errors.Is(err, ErrNoSpace) {
			return false
		}
	}
}

// dirtiest picks the log to clean next (Kafka's LogCleanerManager.grabFilthiestCompactedLog), with its cleanMu locked.
func (d *Dir) dirtiest() (*Log, cleaner.Plan) {
	var best *Log
	var plan cleaner.Plan
	var ratio float64
	var delay int64
	now := d.now().UnixMilli()
	for _, l := range d.Logs() {
		c := l.config.Load()
		if !c.Compact || l.uncleanable.Load() || l.usable() != nil || !l.cleanMu.TryLock() {
			continue
		}
		p, err := l.cleanPlan(now)
		if err != nil {
			l.cleanMu.Unlock()
			d.cleanFailed(l, err)
			continue
		}
		ratio, delay = max(ratio, p.Ratio()), max(delay, p.Delay)
		if p.Reset {
			d.warn("where compaction stood does not fit the log, it begins anew", "log", l.partition.String(), "offset", int64(p.Dirty))
			if err := d.saveCleaned(l, p.Dirty); err != nil {
				l.cleanMu.Unlock()
				continue
			}
		}
		if l.doomed.Load() || !p.Due(c.MinCleanableRatio) || best != nil && p.Ratio() <= plan.Ratio() {
			l.cleanMu.Unlock()
			continue
		}
		if best != nil {
			best.cleanMu.Unlock()
		}
		best, plan = l, p
	}
	d.cleaners.mu.Lock()
	d.cleaners.stats.MaxDirtyRatio, d.cleaners.stats.MaxCompactionDelay = ratio, time.Duration(delay)*time.Millisecond
	d.cleaners.mu.Unlock()
	return best, plan
}

// noteRun counts a run and tells what became of it.
func (d *Dir) noteRun(l *Log, r cleanRun, took time.Duration, err error) {
	k := &d.cleaners
	k.mu.Lock()
	s := &k.stats
	s.BytesRead += r.read
	s.BytesWritten += r.written
	if err == nil {
		s.Runs++
		s.RecordsRead += r.stats.Records
		s.RecordsKept += r.stats.KeptRecords
		s.WithoutKey += r.stats.WithoutKey
		s.LastRun, s.LastDuration, s.BufferUtilization = d.now(), took, r.utilization
	}
	k.mu.Unlock()
	if err != nil {
		d.cleanFailed(l, err)
		return
	}
	d.debug("compacted", "log", l.partition.String(), "up_to", int64(r.end), "records", r.stats.Records, "kept", r.stats.KeptRecords,
		"bytes", r.before, "kept_bytes", r.written, "took", took)
}

// cleanFailed decides about a log that could not be cleaned: one that is damaged is left alone from now on.
func (d *Dir) cleanFailed(l *Log, err error) {
	if errors.Is(err, errCleanAborted) || errors.Is(err, ErrClosed) {
		return
	}
	d.cleaners.mu.Lock()
	d.cleaners.stats.Failures++
	d.cleaners.mu.Unlock()
	if d.Err() == nil && !errors.Is(err, ErrNoSpace) {
		l.uncleanable.Store(true)
	}
	d.warn("compaction failed", "log", l.partition.String(), "again", !l.uncleanable.Load(), "error", err)
}

// cleanedUpTo is where the dirty part of a log begins, -1 if it was never cleaned.
func (d *Dir) cleanedUpTo(p Partition) record.Offset {
	d.mu.Lock()
	defer d.mu.Unlock()
	if o, ok := d.cleaned[p]; ok {
		return o
	}
	return -1
}

// saveCleaned writes down up to where a log is clean.
func (d *Dir) saveCleaned(l *Log, o record.Offset) error {
	d.checkpointMu.Lock()
	defer d.checkpointMu.Unlock()
	d.mu.Lock()
	d.cleaned[l.partition] = o
	data := encodeOffsets(d.cleaned)
	d.mu.Unlock()
	return d.saveCheckpoint(cleanerFile, data)
}
