package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"time"

	"millrace/broker/internal/cleaner"
	"millrace/broker/internal/record"
)

// errCleanAborted ends a run whose log is deleted, is not compacted any more, or whose folder closes.
var errCleanAborted = errors.New("compaction was interrupted")

// errMapFull ends the reading of the dirty part.
var errMapFull = errors.New("table of keys is full")

// cleanPlan tells what cleaning the log would be about. The caller holds cleanMu.
func (l *Log) cleanPlan(now int64) (cleaner.Plan, error) {
	c := l.config.Load()
	view := cleaner.Log{
		Stable: l.LastStableOffset(l.HighWatermark()), Checkpoint: l.dir.cleanedUpTo(l.partition),
		MinLag: c.MinCompactionLag, MaxLag: c.MaxCompactionLag, MinRatio: c.MinCleanableRatio,
	}
	views, err := l.allSegments()
	if err != nil {
		return cleaner.Plan{}, err
	}
	defer releaseViews(views)
	view.Start, view.End = l.StartOffset(), l.EndOffset()
	for _, v := range views {
		s := cleaner.Segment{Base: v.base, Size: v.size, First: -1, Largest: -1}
		if !v.last && v.size > 0 {
			if c.MinCompactionLag > 0 {
				largest, err := v.sum()
				if err != nil {
					return cleaner.Plan{}, err
				}
				s.Largest = largest.timestamp
			}
			if c.MaxCompactionLag < math.MaxInt64 {
				if s.First, err = v.firstTimestamp(); err != nil {
					return cleaner.Plan{}, err
				}
			}
		}
		view.Segments = append(view.Segments, s)
	}
	return view.Plan(now), nil
}

// allSegments is view with those below the log start too.
func (l *Log) allSegments() ([]segmentView, error) {
	if err := l.usable(); err != nil {
		return nil, err
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	views := make([]segmentView, len(l.segments))
	for i, s := range l.segments {
		views[i] = segmentView{segment: s.acquire(), size: s.size, last: i == len(l.segments)-1}
	}
	return views, nil
}

// firstTimestamp is the timestamp of the first batch of a full segment that is not empty.
func (s *segment) firstTimestamp() (ms int64, err error) {
	s.timed.Do(func() {
		if s.firstTime < 0 {
			err = s.loadFirstTime()
		}
	})
	return s.firstTime, err
}

// cleanRun is what one run over a log has done.
type cleanRun struct {
	l             *Log
	o             CleanerOptions
	c             LogConfig
	read, written int64
	before        int64 // bytes of the segments that were cleaned
	stats         cleaner.FilterStats
	utilization   float64
	end           record.Offset // up to where it is clean now
}

// clean compacts the log from its start up to the plan's end, or as far as the table of keys reaches (Kafka's Cleaner.clean). The
// caller holds cleanMu.
func (l *Log) clean(o CleanerOptions, plan cleaner.Plan) (cleanRun, error) {
	r := cleanRun{l: l, o: o, c: l.Config()}
	views, err := l.allSegments()
	if err != nil {
		return r, err
	}
	defer releaseViews(views)
	n := 0
	for n < len(views)-1 && views[n].base < plan.Until {
		n++
	}
	ends := make([]record.Offset, n)
	for i := range ends {
		ends[i] = views[i+1].base
	}
	segments := views[:n]
	keys, err := r.readKeys(segments, ends, plan)
	if err != nil {
		return r, err
	}
	r.end, r.utilization = keys.Latest()+1, keys.Utilization()
	if r.end <= plan.Dirty {
		return r, fmt.Errorf("nothing was read from offset %d on", plan.Dirty) // a plan that is due has something
	}
	if l.dir.cleanedUpTo(l.partition) < 0 { // from here on there may be gaps between offsets: recovery has to know
		if err := l.dir.saveCleaned(l, plan.Dirty); err != nil {
			return r, err
		}
	}
	for n > 0 && segments[n-1].base >= r.end {
		n--
	}
	segments = segments[:n]
	sizes, err := indexSizes(segments)
	if err != nil {
		return r, err
	}
	filter := &cleaner.Filter{
		Keys: keys, Txns: cleaner.NewTransactions(), Now: l.dir.now().UnixMilli(), DeleteRetention: r.c.DeleteRetentionMs, Until: plan.Until,
	}
	for _, size := range cleaner.Groups(sizes, int64(r.c.SegmentBytes), int64(r.c.SegmentIndexBytes), plan.Until) {
		if err := r.group(segments[:size], ends[:size], filter); err != nil {
			return r, err
		}
		segments, ends = segments[size:], ends[size:]
	}
	r.stats = filter.Stats
	return r, l.dir.saveCleaned(l, r.end)
}

func indexSizes(segments []segmentView) ([]cleaner.Segment, error) {
	out := make([]cleaner.Segment, len(segments))
	for i, v := range segments {
		out[i] = cleaner.Segment{Base: v.base, Size: v.size}
		var err, err2 error
		out[i].Index, err = v.offsets.bytes()
		out[i].TimeIndex, err2 = v.times.bytes()
		if err := errors.Join(err, err2); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// readKeys reads the dirty part.
func (r *cleanRun) readKeys(segments []segmentView, ends []record.Offset, plan cleaner.Plan) (*cleaner.OffsetMap, error) {
	keys := cleaner.NewOffsetMap(r.o.DedupeBytes/int64(r.o.Threads), r.o.LoadFactor, int64(plan.Until-plan.Dirty))
	txns := cleaner.NewTransactions()
	aborted, err := r.aborted(plan.Dirty, plan.Until)
	if err != nil {
		return nil, err
	}
	txns.Add(aborted)
	for i, v := range segments {
		if ends[i] <= plan.Dirty {
			continue
		}
		position, length, err := v.find(max(plan.Dirty, v.base), v.size)
		if err != nil {
			return nil, err
		}
		if length > 0 {
			err = v.scan(position, v.size, func(b record.Batch, at int64) error {
				if err := r.check(v, b, at); err != nil {
					return err
				}
				room, err := cleaner.Note(keys, txns, b, plan.Dirty)
				if err != nil {
					return v.corruption(at, err)
				}
				if !room {
					return errMapFull
				}
				return nil
			})
		}
		if errors.Is(err, errMapFull) {
			return keys, nil
		}
		if err != nil {
			return nil, err
		}
		keys.Reached(ends[i] - 1)
	}
	return keys, nil
}

// check is called for each batch that is read: it keeps to the speed limit and ends a run that is not wanted any more.
// A damaged batch must not get a new checksum.
func (r *cleanRun) check(v segmentView, b record.Batch, at int64) error {
	r.read += int64(len(b))
	if err := r.pace(len(b)); err != nil {
		return err
	}
	if !b.Intact() {
		return v.corruption(at, fmt.Errorf("checksum at offset %d", b.BaseOffset()))
	}
	return nil
}

func (r *cleanRun) pace(n int) error {
	d := r.l.dir
	rest := d.cleaners.throttle.Take(time.Now(), n)
	for {
		select {
		case <-d.stop:
			return errCleanAborted
		default:
		}
		if r.l.doomed.Load() || !r.l.config.Load().Compact {
			return errCleanAborted
		}
		if err := d.Err(); err != nil {
			return err
		}
		if rest < time.Millisecond {
			return nil
		}
		step := time.NewTimer(min(rest, 100*time.Millisecond))
		select {
		case <-d.stop:
		case <-step.C:
		}
		step.Stop()
		rest -= min(rest, 100*time.Millisecond)
	}
}

// aborted returns the aborted transactions with records in [from, to).
func (r *cleanRun) aborted(from, to record.Offset) ([]cleaner.AbortedTxn, error) {
	list, err := r.l.AbortedTxns(from, to)
	out := make([]cleaner.AbortedTxn, len(list))
	for i, t := range list {
		out[i] = cleaner.AbortedTxn(t)
	}
	return out, err
}

// group cleans neighbouring segments into one and puts it in their place.
func (r *cleanRun) group(segments []segmentView, ends []record.Offset, filter *cleaner.Filter) error {
	l := r.l
	into, err := createSegment(l.dir.fs, l.path, segments[0].base, cleanedSuffix)
	if err != nil {
		return l.dir.writeFailed(err)
	}
	filter.Producers = l.lastRecords()
	w := &cleanWriter{run: r, into: into, room: max(r.o.IOBytes/2/r.o.Threads, record.HeaderSize)}
	for i, v := range segments {
		if err == nil {
			err = r.segment(v, ends[i], filter, w)
		}
		r.before += v.size
	}
	if err == nil {
		err = w.finish()
	}
	into.release()
	if err != nil {
		into.discard()
		return err
	}
	return l.swap(segments, ends[len(ends)-1], into)
}

func (r *cleanRun) segment(v segmentView, end record.Offset, filter *cleaner.Filter, w *cleanWriter) error {
	aborted, err := r.aborted(v.base, end)
	if err != nil {
		return err
	}
	filter.Txns.Add(aborted)
	return v.scan(0, v.size, func(b record.Batch, at int64) error {
		if err := r.check(v, b, at); err != nil {
			return err
		}
		out, keep, err := filter.Batch(b)
		if err != nil {
			return v.corruption(at, err)
		}
		if keep != nil {
			w.into.aborted.add(AbortedTxn(*keep).encode())
		}
		if out == nil {
			return nil
		}
		return w.add(out)
	})
}

// cleanWriter writes the segment that is cleaned into.
type cleanWriter struct {
	run    *cleanRun
	into   *segment
	buffer []byte
	room   int
}

func (w *cleanWriter) add(b record.Batch) error {
	if len(w.buffer) > 0 && len(w.buffer)+len(b) > w.room {
		if err := w.flush(); err != nil {
			return err
		}
	}
	w.into.note(b, w.into.size+int64(len(w.buffer)), w.run.c.IndexIntervalBytes)
	w.buffer = append(w.buffer, b...)
	return nil
}

func (w *cleanWriter) flush() error {
	if err := w.into.write(w.buffer); err != nil {
		return w.run.l.dir.writeFailed(err)
	}
	n := len(w.buffer)
	w.into.size += int64(n)
	w.run.written += int64(n)
	w.buffer = w.buffer[:0]
	return w.run.pace(n)
}

// finish brings the segment to disk.
func (w *cleanWriter) finish() error {
	if err := w.flush(); err != nil {
		return err
	}
	err := w.into.seal()
	if err == nil {
		err = w.into.syncIndexes()
	}
	if err == nil {
		err = w.run.l.syncSegment(w.into)
	}
	if err != nil {
		return w.run.l.dir.writeFailed(err)
	}
	return nil
}

// discard removes the files of a segment that is not wanted. What cannot be removed goes at the next opening.
func (s *segment) discard() {
	for _, suffix := range segmentSuffixes {
		if err := s.fs.Remove(s.path(suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return
		}
	}
}

// lastRecords is where each active producer stands.
func (l *Log) lastRecords() map[int64]cleaner.LastRecord {
	l.appendMu.Lock()
	defer l.appendMu.Unlock()
	out := make(map[int64]cleaner.LastRecord, len(l.producers))
	for id, p := range l.producers {
		last := cleaner.LastRecord{Offset: -1, Epoch: p.epoch}
		if n := len(p.batches); n > 0 {
			last.Offset = p.batches[n-1].lastOffset
		}
		out[id] = last
	}
	return out
}
