package fetchsession

import (
	"container/heap"
	"container/list"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Epochs with a meaning of their own. All others count a session's requests.
const (
	OpenEpoch  int32 = 0  // all partitions are named; a session may be opened
	FinalEpoch int32 = -1 // all partitions are named; no session is wanted, and the one named is closed
)

// EvictAfter is how long a session is safe from those that have no room.
const EvictAfter = 2 * time.Minute

// maxMemory bounds what all sessions together may remember, in bytes as cost counts them. Kafka has no such bound.
const maxMemory = 64 << 20

// Cache holds the sessions of a broker.
type Cache struct {
	slots  int
	memory int64 // what is left
	newID  func() int32

	mu       sync.Mutex // guards all below, and every session
	sessions map[int32]*session
	used     list.List // of *session, who was used longest ago first
	old      byValue   // sessions that a more valuable one may take the place of
}

// New returns a cache for so many sessions (max.incremental.fetch.session.cache.slots).
func New(slots int) *Cache {
	return &Cache{slots: slots, memory: maxMemory, newID: rand.Int32, sessions: map[int32]*session{}}
}

// Len is how many sessions there are.
func (c *Cache) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.sessions)
}

// Request is what a Fetch says of its session.
type Request struct {
	SessionID int32 // 0: none
	Epoch     int32
	ByID      bool        // topics are named by id, from version 13 on
	Wants     []Partition // becomes the cache's
	Forget    []Partition // only who they are
}

// Begin finds out what a request asks for. name gives the name of a topic's id, empty for one that is not known.
// It returns FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH or FETCH_SESSION_TOPIC_ID_ERROR for a
// session that cannot go on.
func (c *Cache) Begin(req Request, now time.Time, name func(id [16]byte) string) (Fetch, *kerr.Error) {
	if req.Epoch == OpenEpoch || req.Epoch == FinalEpoch {
		if req.SessionID != 0 {
			c.mu.Lock()
			c.remove(c.sessions[req.SessionID])
			c.mu.Unlock()
		}
		f := Fetch{cache: c, byID: req.ByID, open: req.Epoch == OpenEpoch, Partitions: unique(req.Wants)}
		f.resolve(name)
		return f, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.sessions[req.SessionID]
	switch {
	case s == nil:
		return Fetch{}, kerr.FetchSessionIDNotFound
	case s.epoch != req.Epoch:
		return Fetch{}, kerr.InvalidFetchSessionEpoch
	case s.byID != req.ByID:
		return Fetch{}, kerr.FetchSessionTopicIDError
	}
	s.update(c, req.Wants, req.Forget)
	switch {
	case c.memory < 0:
		c.remove(s)
		return Fetch{}, kerr.FetchSessionIDNotFound
	case len(s.parts) == 0:
		c.remove(s)
		return Fetch{cache: c, byID: req.ByID}, nil
	}
	c.touch(s, now)
	s.epoch = nextEpoch(s.epoch)
	f := Fetch{cache: c, byID: req.ByID, session: s, epoch: s.epoch}
	f.Partitions = s.list(name)
	return f, nil
}

// nextEpoch leaves out 0, which stands for a new session.
func nextEpoch(e int32) int32 { return max(1, int32(uint32(e+1)&0x7fff_ffff)) }

// Fetch is one request between Begin and End.
type Fetch struct {
	Partitions []Partition // in the order in which they are served

	cache   *Cache
	session *session // nil: all partitions were named
	epoch   int32    // of the session after this request
	byID    bool
	open    bool // a session is wanted
}

// Whole tells whether the answer names every partition.
func (f *Fetch) Whole() bool { return f.session == nil }

func (f *Fetch) resolve(name func([16]byte) string) {
	if !f.byID {
		return
	}
	for i := range f.Partitions {
		p := &f.Partitions[i]
		if i > 0 && f.Partitions[i-1].ID == p.ID {
			p.Topic = f.Partitions[i-1].Topic
		} else {
			p.Topic = name(p.ID)
		}
	}
}

// End takes what was found, as it stands in Partitions, and returns the session id to answer. It marks the
// partitions without news as Quiet. INVALID_FETCH_SESSION_EPOCH says that another request of the
// session overtook this one.
func (f *Fetch) End(now time.Time) (id int32, err *kerr.Error) {
	c := f.cache
	if f.session == nil && !f.open {
		return 0, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.session == nil {
		return c.add(f, now), nil
	}
	if f.session.epoch != f.epoch {
		return f.session.id, kerr.InvalidFetchSessionEpoch
	}
	for i := range f.Partitions {
		f.session.told(&f.Partitions[i])
	}
	return f.session.id, nil
}

// Look marks the partitions without news as Quiet, as End would.
func (f *Fetch) Look() {
	if f.session == nil {
		return
	}
	f.cache.mu.Lock()
	defer f.cache.mu.Unlock()
	for i := range f.Partitions {
		f.session.news(&f.Partitions[i])
	}
}

// Withhold is an End where the client is told nothing of what was found: it will be news the next time.
func (f *Fetch) Withhold() (id int32, err *kerr.Error) {
	if f.session == nil {
		return 0, nil
	}
	f.cache.mu.Lock()
	defer f.cache.mu.Unlock()
	if f.session.epoch != f.epoch {
		return f.session.id, kerr.InvalidFetchSessionEpoch
	}
	return f.session.id, nil
}

// add opens a session for a fetch that was answered; 0 when there is no room. mu is held.
func (c *Cache) add(f *Fetch, now time.Time) int32 {
	need := int64(0)
	for i := range f.Partitions {
		need += f.Partitions[i].cost(f.byID)
	}
	if need > c.memory || len(c.sessions) >= c.slots && !c.evict(len(f.Partitions), now) {
		return 0
	}
	s := &session{id: c.newID(), epoch: 1, byID: f.byID, created: now, at: -1, parts: make(map[key]*part, len(f.Partitions))}
	for s.id <= 0 || c.sessions[s.id] != nil {
		s.id = c.newID()
	}
	s.root.next, s.root.prev = &s.root, &s.root
	for i := range f.Partitions {
		p := &f.Partitions[i]
		e := s.add(c, p)
		e.HighWatermark, e.LogStart = p.HighWatermark, p.LogStart
	}
	c.sessions[s.id] = s
	s.use = c.used.PushBack(s)
	c.touch(s, now)
	return s.id
}

// evict makes room for a session of so many partitions, if one is there that is worth less. mu is held.
func (c *Cache) evict(size int, now time.Time) bool {
	if oldest := c.used.Front(); oldest != nil {
		if s := oldest.Value.(*session); now.Sub(s.lastUsed) > EvictAfter {
			c.remove(s)
			return true
		}
	}
	if len(c.old) > 0 && size > len(c.old[0].parts) {
		c.remove(c.old[0])
		return true
	}
	return false
}

// touch notes that a session was used, or has another size. mu is held.
func (c *Cache) touch(s *session, now time.Time) {
	s.lastUsed = now
	c.used.MoveToBack(s.use)
	switch {
	case s.at >= 0:
		heap.Fix(&c.old, s.at)
	case now.Sub(s.created) > EvictAfter:
		heap.Push(&c.old, s)
	}
}

// remove forgets a session; nil is nothing to forget. mu is held.
func (c *Cache) remove(s *session) {
	if s == nil {
		return
	}
	delete(c.sessions, s.id)
	c.used.Remove(s.use)
	if s.at >= 0 {
		heap.Remove(&c.old, s.at)
	}
	for _, p := range s.parts {
		c.memory += p.cost(s.byID)
	}
}

// byValue is a heap of sessions: the one with the fewest partitions comes first, then the lowest id.
type byValue []*session

func (h *byValue) Len() int { return len(*h) }

func (h *byValue) Less(i, j int) bool {
	x, y := (*h)[i], (*h)[j]
	if a, b := len(x.parts), len(y.parts); a != b {
		return a < b
	}
	return x.id < y.id
}

func (h *byValue) Swap(i, j int) {
	x, y := (*h)[i], (*h)[j]
	(*h)[i], (*h)[j] = y, x
	y.at, x.at = i, j
}

// Push is for container/heap.
func (h *byValue) Push(x any) {
	s := x.(*session)
	s.at = len(*h)
	*h = append(*h, s)
}

// Pop is for container/heap.
func (h *byValue) Pop() any {
	last := len(*h) - 1
	s := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	s.at = -1
	return s
}
