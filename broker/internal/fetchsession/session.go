package fetchsession

import (
	"container/list"
	"time"
)

// Partition is one partition of a fetch.
type Partition struct {
	Topic string   // empty: nobody knows the id
	ID    [16]byte // zero where topics are named by their names
	Index int32

	// What the client wants.
	Offset           int64
	MaxBytes         int32
	LeaderEpoch      int32 // -1: not known
	LastFetchedEpoch int32 // -1: not known

	// What it is told. End reads it.
	Bytes         int // of records
	Code          int16
	Diverges      bool
	HighWatermark int64
	LogStart      int64

	Quiet bool // set by End: there are no news, the answer leaves the partition out
}

// key is who a partition is: by id where topics have one, else by name.
type key struct {
	topic string
	id    [16]byte
	index int32
}

func keyOf(p *Partition, byID bool) key {
	if byID {
		return key{id: p.ID, index: p.Index}
	}
	return key{topic: p.Topic, index: p.Index}
}

// partCost is about what a session needs for a partition, beside the name that the client gave it.
const partCost = 256

func (p *Partition) cost(byID bool) int64 {
	if byID {
		return partCost
	}
	return partCost + int64(len(p.Topic))
}

// few is up to how many partitions are compared with one another rather than put into a map.
const few = 16

// unique leaves one of each partition, where it came first, wanting what it wanted last.
func unique(wants []Partition) []Partition {
	n := 0
	var at map[key]int
	if len(wants) > few {
		at = make(map[key]int, len(wants))
	}
	for i := range wants {
		k, known := key{wants[i].Topic, wants[i].ID, wants[i].Index}, -1
		if at == nil {
			for j := range n {
				if (key{wants[j].Topic, wants[j].ID, wants[j].Index}) == k {
					known = j
				}
			}
		} else if j, ok := at[k]; ok {
			known = j
		}
		if known >= 0 {
			wants[known] = wants[i]
			continue
		}
		if at != nil {
			at[k] = n
		}
		wants[n] = wants[i]
		n++
	}
	return wants[:n]
}

// session is what one client fetches. The cache's lock guards it.
type session struct {
	id       int32
	epoch    int32 // of the next request
	byID     bool
	created  time.Time
	lastUsed time.Time
	use      *list.Element // in Cache.used
	at       int           // in Cache.old, -1 if not

	parts map[key]*part
	root  part // of the ring of parts, in the order in which they are served
}

// part is a partition of a session: what the client wants, and what it was told last.
type part struct {
	Partition
	prev, next *part
}

func (s *session) add(c *Cache, p *Partition) *part {
	e := &part{Partition: *p}
	e.HighWatermark, e.LogStart = -1, -1
	s.parts[keyOf(p, s.byID)] = e
	s.append(e)
	c.memory -= e.cost(s.byID)
	return e
}

func (s *session) append(e *part) {
	e.prev, e.next = s.root.prev, &s.root
	e.prev.next, s.root.prev = e, e
}

func (e *part) unlink() { e.prev.next, e.next.prev = e.next, e.prev }

// update takes in what a request changes.
func (s *session) update(c *Cache, wants, forget []Partition) {
	for i := range wants {
		w := &wants[i]
		e := s.parts[keyOf(w, s.byID)]
		if e == nil {
			s.add(c, w)
			continue
		}
		e.Offset, e.MaxBytes, e.LeaderEpoch, e.LastFetchedEpoch = w.Offset, w.MaxBytes, w.LeaderEpoch, w.LastFetchedEpoch
	}
	for i := range forget {
		k := keyOf(&forget[i], s.byID)
		if e := s.parts[k]; e != nil {
			delete(s.parts, k)
			e.unlink()
			c.memory += e.cost(s.byID)
		}
	}
}

// list copies the partitions in their order. A topic's name stays what it was when its id was known first: when the
// topic is gone, that is told of the name, not of the id.
func (s *session) list(name func([16]byte) string) []Partition {
	out := make([]Partition, 0, len(s.parts))
	for e := s.root.next; e != &s.root; e = e.next {
		if s.byID && e.Topic == "" {
			e.Topic = name(e.ID)
		}
		out = append(out, Partition{
			Topic: e.Topic, ID: e.ID, Index: e.Index,
			Offset: e.Offset, MaxBytes: e.MaxBytes, LeaderEpoch: e.LeaderEpoch, LastFetchedEpoch: e.LastFetchedEpoch,
		})
	}
	return out
}

// news finds out whether there are news of a partition.
func (s *session) news(p *Partition) *part {
	e := s.parts[keyOf(p, s.byID)]
	p.Quiet = e != nil && p.Bytes == 0 && p.Code == 0 && !p.Diverges && p.HighWatermark == e.HighWatermark && p.LogStart == e.LogStart
	return e
}

// told notes that the client knows the news of a partition now.
func (s *session) told(p *Partition) {
	e := s.news(p)
	if e == nil {
		return
	}
	e.HighWatermark, e.LogStart = p.HighWatermark, p.LogStart
	if p.Code != 0 {
		e.HighWatermark = -1 // when the error is over, that is news
	}
	if p.Bytes > 0 {
		e.unlink()
		s.append(e)
	}
}
