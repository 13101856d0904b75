package collector

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"millrace/internal/blockfile"
	"millrace/internal/span"
)

// Limits bound what a store keeps.
type Limits struct {
	Bytes int64 `json:"bytes"` // of all segment files
	Spans int   `json:"spans"`
}

// DefaultLimits hold the last few thousand orders.
var DefaultLimits = Limits{Bytes: 64 << 20, Spans: 150_000}

// memoryLimits are for a store without a folder.
var memoryLimits = Limits{Bytes: 16 << 20, Spans: 30_000}

// segmentsPerStore is how finely the oldest are dropped.
const segmentsPerStore = 8

// maxAnswer caps the spans of one answer.
const maxAnswer = 5000

// ref is where a span lies.
type ref struct {
	segment, offset, length uint32
	resource                uint32
}

type traceEntry struct {
	refs   []ref
	linked []ref    // spans of other traces that link to this one
	orders []string // orders that its spans name
}

type orderEntry struct {
	refs   []ref // spans that name the order
	traces []traceID
}

// Store keeps spans in files and an index of them in memory. It is safe for
// many goroutines.
type Store struct {
	dir       blockfile.Folder
	limits    Limits
	maxRecord int

	mu        sync.Mutex // guards what follows
	segments  []*segment // oldest first; the last is written to
	bytes     int64
	spans     int
	traces    map[traceID]*traceEntry
	orders    map[string]*orderEntry
	resources []resource
	known     map[string]uint32 // encoded resource → index into resources
	closed    bool
}

// OpenStore opens the store in a folder, which is made when it is missing; an
// empty path means memory. No record longer than maxRecord is taken.
func OpenStore(path string, limits Limits, maxRecord int) (*Store, error) {
	dir, err := blockfile.OpenFolder(path)
	if err != nil {
		return nil, err
	}
	s := &Store{
		dir: dir, limits: limits, maxRecord: maxRecord,
		traces: map[traceID]*traceEntry{}, orders: map[string]*orderEntry{}, known: map[string]uint32{},
	}
	names, err := dir.Names()
	if err != nil {
		return nil, err
	}
	var numbers []uint32
	for _, name := range names {
		if n, ok := segmentNumber(name); ok {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	if len(numbers) == 0 {
		numbers = []uint32{1}
	}
	for _, n := range numbers {
		if err := s.addSegment(n); err != nil {
			return nil, errors.Join(fmt.Errorf("open trace store: %w", err), s.Close())
		}
	}
	return s, s.trim()
}

// addSegment opens a segment, which becomes the one that is written to.
func (s *Store) addSegment(number uint32) error {
	seg, err := openSegment(s.dir, number)
	if err != nil {
		return err
	}
	s.segments = append(s.segments, seg)
	err = seg.recover(s.maxRecord, func(body []byte, offset int64) {
		if outline, err := scanRequest(body); err == nil {
			s.index(seg, outline, offset)
		}
	})
	s.bytes += seg.size
	return err
}

// Add takes the body of an export request. It keeps no part of body. The error
// wraps errMalformed when the body is to blame.
func (s *Store) Add(body []byte) error {
	outline, err := scanRequest(body)
	if err != nil {
		return err
	}
	if len(outline.spans) == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return os.ErrClosed
	}
	seg := s.segments[len(s.segments)-1]
	if seg.size > 0 && (seg.size+int64(len(body)) > s.limits.Bytes/segmentsPerStore ||
		seg.spans+len(outline.spans) > s.limits.Spans/segmentsPerStore) {
		if err := seg.w.Flush(); err != nil {
			return err
		}
		if err := s.addSegment(seg.number + 1); err != nil {
			return err
		}
		seg = s.segments[len(s.segments)-1]
	}
	offset, err := seg.append(body)
	if err != nil {
		return err
	}
	s.bytes += int64(len(body)) + recordHeader
	s.index(seg, outline, offset)
	return s.trim()
}

// index remembers the spans of one record of seg.
func (s *Store) index(seg *segment, outline scan, offset int64) {
	resources := make([]uint32, len(outline.resources))
	for i, encoded := range outline.resources {
		resources[i] = s.resource(encoded)
	}
	for _, sp := range outline.spans {
		r := ref{
			segment: seg.number, offset: uint32(offset) + uint32(sp.offset), length: uint32(sp.length),
			resource: resources[sp.resource],
		}
		t := s.trace(seg, sp.trace)
		t.refs = append(t.refs, r)
		for _, linked := range sp.links {
			lt := s.trace(seg, linked)
			lt.linked = append(lt.linked, r)
		}
		if sp.orderID != "" {
			o := s.orders[sp.orderID]
			if o == nil {
				o = &orderEntry{}
				s.orders[sp.orderID] = o
			}
			o.refs = append(o.refs, r)
			if !slices.Contains(o.traces, sp.trace) {
				o.traces = append(o.traces, sp.trace)
				t.orders = append(t.orders, sp.orderID)
			}
		}
	}
	seg.spans += len(outline.spans)
	s.spans += len(outline.spans)
}

func (s *Store) trace(seg *segment, id traceID) *traceEntry {
	t := s.traces[id]
	if t == nil {
		t = &traceEntry{}
		s.traces[id] = t
		seg.began = append(seg.began, id)
	}
	return t
}

// maxResources caps the programs that are told apart; a restart of a service is a new one.
const maxResources = 10_000

func (s *Store) resource(encoded []byte) uint32 {
	if i, ok := s.known[string(encoded)]; ok {
		return i
	}
	if len(s.resources) >= maxResources {
		return 0
	}
	r, err := decodeResource(encoded)
	if err != nil {
		r = resource{service: "unknown"}
	}
	i := uint32(len(s.resources))
	s.resources = append(s.resources, r)
	s.known[string(encoded)] = i
	return i
}

// trim drops the oldest segments until the store is within its limits.
func (s *Store) trim() error {
	for len(s.segments) > 1 && (s.bytes > s.limits.Bytes || s.spans > s.limits.Spans) {
		oldest := s.segments[0]
		s.segments = s.segments[1:]
		s.bytes -= oldest.size
		s.spans -= oldest.spans
		for _, id := range oldest.began {
			s.forget(id)
		}
		if err := errors.Join(oldest.close(), s.dir.Remove(segmentName(oldest.number))); err != nil {
			return fmt.Errorf("drop oldest traces: %w", err)
		}
	}
	return nil
}

func (s *Store) forget(id traceID) {
	t := s.traces[id]
	delete(s.traces, id)
	for _, orderID := range t.orders {
		o := s.orders[orderID]
		if o == nil {
			continue
		}
		o.traces = slices.DeleteFunc(o.traces, func(other traceID) bool { return other == id })
		if len(o.traces) == 0 {
			delete(s.orders, orderID)
		}
	}
}

// Trace answers all spans of a trace and those that link to it.
func (s *Store) Trace(id string) ([]span.Span, error) {
	var tid traceID
	if n, err := hex.Decode(tid[:], []byte(id)); err != nil || n != len(tid) {
		return nil, fmt.Errorf("trace id %q is not 32 hexadecimal digits", id)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.traces[tid]
	if t == nil {
		return nil, nil
	}
	return s.read(append(slices.Clone(t.refs), t.linked...))
}

// Order answers all spans that have to do with an order: those that name it,
// the traces that are about it alone, and what links to these. Of a trace about
// many orders (one batch of a relay) only the spans that name it are taken.
func (s *Store) Order(id string) ([]span.Span, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.orders[id]
	if o == nil {
		return nil, nil
	}
	refs := slices.Clone(o.refs)
	for _, tid := range o.traces {
		if t := s.traces[tid]; len(t.orders) == 1 {
			refs = append(append(refs, t.refs...), t.linked...)
		}
	}
	return s.read(refs)
}

// read decodes the spans, each once, in the order of their start.
func (s *Store) read(refs []ref) ([]span.Span, error) {
	if err := s.segments[len(s.segments)-1].w.Flush(); err != nil {
		return nil, err
	}
	files := make(map[uint32]blockfile.File, len(s.segments))
	for _, seg := range s.segments {
		files[seg.number] = seg.file
	}
	seen := make(map[[2]string]bool, len(refs))
	var spans []span.Span
	for _, r := range refs {
		f := files[r.segment]
		if f == nil || len(spans) >= maxAnswer {
			continue // dropped meanwhile, or enough
		}
		b := make([]byte, r.length)
		if _, err := f.ReadAt(b, int64(r.offset)); err != nil {
			return nil, fmt.Errorf("read span: %w", err)
		}
		sp, err := decodeSpan(b, s.resources[r.resource])
		if err != nil {
			continue // well framed, but not a span inside
		}
		if key := [2]string{sp.TraceID, sp.SpanID}; !seen[key] {
			seen[key] = true
			spans = append(spans, sp)
		}
	}
	slices.SortStableFunc(spans, func(a, b span.Span) int { return a.Start.Compare(b.Start) })
	return spans, nil
}

// Stats says how full the store is.
type Stats struct {
	Spans  int    `json:"spans"`
	Traces int    `json:"traces"`
	Orders int    `json:"orders"`
	Bytes  int64  `json:"bytes"`
	Limits Limits `json:"limits"`
}

// Stats looks at the store.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{Spans: s.spans, Traces: len(s.traces), Orders: len(s.orders), Bytes: s.bytes, Limits: s.limits}
}

// Flush hands what is buffered to the operating system.
func (s *Store) Flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	return s.segments[len(s.segments)-1].w.Flush()
}

// Close flushes and closes the files. It may be called twice.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	var errs []error
	for _, seg := range s.segments {
		errs = append(errs, seg.close())
	}
	return errors.Join(errs...)
}
