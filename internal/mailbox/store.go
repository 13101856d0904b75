package mailbox

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"millrace/internal/blockfile"
)

// Limits bound what a store keeps.
type Limits struct {
	Bytes    int64 // of all files
	Messages int
}

// DefaultLimits hold the two mails of some fifty thousand orders.
var DefaultLimits = Limits{Bytes: 256 << 20, Messages: 100_000}

// memoryLimits are for a store without a folder.
var memoryLimits = Limits{Bytes: 16 << 20, Messages: 10_000}

// filesPerStore is how finely the oldest are dropped.
const filesPerStore = 8

// Message is what is known about a mail without its text.
type Message struct {
	ID        int64     `json:"id"` // counts up from 1, never used again
	Received  time.Time `json:"received"`
	From      string    `json:"from"` // of the envelope, as To
	To        []string  `json:"to"`
	Subject   string    `json:"subject"`
	MessageID string    `json:"message_id"`
	OrderID   string    `json:"order_id,omitempty"`
	Kind      string    `json:"kind,omitempty"` // which of an order's mails it is
	Size      int       `json:"size"`
}

// stored is a line of a file.
type stored struct {
	Message
	Data []byte `json:"data"` // base64 in JSON: a mail may hold any byte
}

// mailFile is one file of the store, guarded by the store's mutex.
type mailFile struct {
	first int64 // id of its first message, and its name
	f     blockfile.File
	size  int64
}

// entry is where a mail is. It has no pointers and is small: there are many, and
// what is asked of them is read from the file.
type entry struct {
	offset int64  // in the file that holds its id
	order  uint64 // hash of the order id, 0 without one
	length int32
}

// Store keeps mails in files and an index of them in memory. It is safe for
// many goroutines.
type Store struct {
	dir    blockfile.Folder
	limits Limits

	mu      sync.Mutex // guards what follows
	files   []*mailFile
	entries []entry // by id, without gaps; the last one is next-1
	bytes   int64
	next    int64
	closed  bool
}

const fileSuffix = ".jsonl"

// OpenStore opens the store in a folder, which is made when it is missing; an
// empty path means memory.
func OpenStore(path string, limits Limits) (*Store, error) {
	dir, err := blockfile.OpenFolder(path)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, limits: limits, next: 1}
	names, err := dir.Names()
	if err != nil {
		return nil, err
	}
	var firsts []int64
	for _, name := range names {
		digits, ok := strings.CutSuffix(name, fileSuffix)
		if first, err := strconv.ParseInt(digits, 10, 64); ok && err == nil {
			firsts = append(firsts, first)
		}
	}
	slices.Sort(firsts)
	for _, first := range firsts {
		if err := s.open(first); err != nil {
			return nil, errors.Join(fmt.Errorf("open mail store: %w", err), s.Close())
		}
	}
	return s, nil
}

func fileName(first int64) string { return fmt.Sprintf("%012d%s", first, fileSuffix) }

// open opens or makes a file and reads what it holds. What follows the last
// whole line is cut off.
func (s *Store) open(first int64) error {
	f, err := s.dir.Open(fileName(first))
	if err != nil {
		return err
	}
	mf := &mailFile{first: first, f: f}
	s.files = append(s.files, mf)
	if lost := first - s.next; lost > 0 && len(s.entries) > 0 {
		// A power cut took the end of the file before.
		if lost > int64(s.limits.Messages) {
			return fmt.Errorf("%s does not follow on message %d", fileName(first), s.next-1)
		}
		s.entries = append(s.entries, make([]entry, lost)...)
	}
	s.next = max(s.next, first)
	r := bufio.NewReaderSize(io.NewSectionReader(f, 0, math.MaxInt64), 64<<10)
	for {
		line, err := r.ReadBytes('\n')
		var m stored
		if err != nil || json.Unmarshal(line, &m) != nil || m.ID != s.next {
			break
		}
		s.index(m.Message, mf.size, len(line))
		mf.size += int64(len(line))
	}
	s.bytes += mf.size
	return f.Truncate(mf.size)
}

func (s *Store) index(m Message, offset int64, length int) {
	s.entries = append(s.entries, entry{offset: offset, order: orderHash(m.OrderID), length: int32(length)})
	s.next = m.ID + 1
}

// hashSeed makes the hashes of this process; they are not stored.
var hashSeed = maphash.MakeSeed()

func orderHash(orderID string) uint64 {
	if orderID == "" {
		return 0
	}
	return maphash.String(hashSeed, orderID)
}

// Add keeps a message. When it returns nil, the message survives the end of
// this process.
func (s *Store) Add(m Message, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return os.ErrClosed
	}
	m.ID, m.Size = s.next, len(data)
	line, err := json.Marshal(stored{Message: m, Data: data})
	if err != nil {
		return err
	}
	line = append(line, '\n')
	if err := s.roll(int64(len(line))); err != nil {
		return err
	}
	f := s.files[len(s.files)-1]
	if _, err := f.f.WriteAt(line, f.size); err != nil {
		return fmt.Errorf("keep mail: %w", errors.Join(err, f.f.Truncate(f.size)))
	}
	s.index(m, f.size, len(line))
	f.size += int64(len(line))
	s.bytes += int64(len(line))
	return s.trim()
}

// roll begins a new file where the last one would become too large.
func (s *Store) roll(more int64) error {
	if n := len(s.files); n > 0 {
		last := s.files[n-1]
		full := last.size+more > s.limits.Bytes/filesPerStore || s.next-last.first >= int64(max(1, s.limits.Messages/filesPerStore))
		if !full || last.size == 0 {
			return nil
		}
	}
	return s.open(s.next)
}

// trim drops the oldest files until the store is within its limits.
func (s *Store) trim() error {
	for len(s.files) > 1 && (s.bytes > s.limits.Bytes || len(s.entries) > s.limits.Messages) {
		oldest := s.files[0]
		n := s.files[1].first - s.first()
		s.entries = slices.Clone(s.entries[n:])
		s.files = s.files[1:]
		s.bytes -= oldest.size
		if err := errors.Join(oldest.f.Close(), s.dir.Remove(fileName(oldest.first))); err != nil {
			return fmt.Errorf("drop oldest mails: %w", err)
		}
	}
	return nil
}

// Query picks messages.
type Query struct {
	OrderID string // empty: all
	After   int64  // only ids above this
	Limit   int
	Newest  bool // the last Limit of them, newest first, instead of the first
}

// first is the id of the oldest message, or next when there is none.
func (s *Store) first() int64 { return s.next - int64(len(s.entries)) }

// List answers the messages that a query picks, and whether there are more.
func (s *Store) List(q Query) (list []Message, more bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	want := orderHash(q.OrderID)
	first := s.first()
	id, last, step := max(q.After+1, first), s.next-1, int64(1)
	if q.Newest {
		id, last, step = s.next-1, max(q.After+1, first), -1
	}
	for ; (last-id)*step >= 0; id += step {
		if e := s.entries[id-first]; e.length == 0 || q.OrderID != "" && e.order != want {
			continue
		}
		var m Message
		if err := s.read(id, &m); err != nil {
			return nil, false, err
		}
		if q.OrderID != "" && m.OrderID != q.OrderID {
			continue
		}
		if len(list) == q.Limit {
			return list, true, nil
		}
		list = append(list, m)
	}
	return list, false, nil
}

// read decodes the line of a message that is there.
func (s *Store) read(id int64, into any) error {
	e := s.entries[id-s.first()]
	i, found := slices.BinarySearchFunc(s.files, id, func(f *mailFile, id int64) int { return cmp.Compare(f.first, id) })
	if !found {
		i-- // the last file that begins before it
	}
	line := make([]byte, e.length)
	if _, err := s.files[i].f.ReadAt(line, e.offset); err != nil {
		return fmt.Errorf("read mail %d: %w", id, err)
	}
	if err := json.Unmarshal(line, into); err != nil {
		return fmt.Errorf("read mail %d: %w", id, err)
	}
	return nil
}

// Data answers a message with its text; ok is false when it is not there.
func (s *Store) Data(id int64) (m Message, data []byte, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id < s.first() || id >= s.next || s.entries[id-s.first()].length == 0 {
		return Message{}, nil, false, nil
	}
	var st stored
	if err := s.read(id, &st); err != nil {
		return Message{}, nil, false, err
	}
	return st.Message, st.Data, true, nil
}

// Count is how many messages are kept.
func (s *Store) Count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.entries)
}

// Close closes the files. It may be called twice.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	var errs []error
	for _, f := range s.files {
		errs = append(errs, f.f.Close())
	}
	return errors.Join(errs...)
}
