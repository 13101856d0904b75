package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"

	"millrace/broker/internal/cluster"
	"millrace/broker/internal/storage"
)

// Manager holds the partitions of this broker. It is safe for concurrent use.
type Manager struct {
	dir    *storage.Dir
	nodeID int32
	log    *slog.Logger
	found  map[storage.Partition]bool // folders that were there at the start

	mu     sync.Mutex // orders changes of topics
	topics atomic.Pointer[map[string]*topic]
}

// topic is one topic's partitions; a change makes a new one.
type topic struct {
	id         cluster.TopicID
	meta       *cluster.Topic
	partitions []*Partition
}

// NewManager returns a manager of the partitions that nodeID leads, with their
// logs in dir. It knows of none until Apply.
func NewManager(dir *storage.Dir, nodeID int32, log *slog.Logger) (*Manager, error) {
	m := &Manager{dir: dir, nodeID: nodeID, log: log, found: map[storage.Partition]bool{}}
	m.topics.Store(&map[string]*topic{})
	list, err := dir.Partitions()
	if err != nil {
		return nil, fmt.Errorf("list data folder: %w", err)
	}
	for _, p := range list {
		m.found[p] = true
	}
	return m, nil
}

// OnDisk reports whether a partition has a log already. Get would make one.
func (m *Manager) OnDisk(name string, index int32) bool {
	if m.found[storage.Partition{Topic: name, Index: index}] {
		return true
	}
	t := (*m.topics.Load())[name]
	return t != nil && index >= 0 && int(index) < len(t.partitions) && t.partitions[index].log.Load() != nil
}

// Get returns a partition, its log open. It returns ErrUnknown, ErrNotLeader or ErrStorage.
func (m *Manager) Get(name string, index int32) (*Partition, error) {
	t := (*m.topics.Load())[name]
	if t == nil || index < 0 || int(index) >= len(t.partitions) {
		return nil, ErrUnknown
	}
	p := t.partitions[index]
	if !p.leads.Load() {
		return nil, ErrNotLeader
	}
	if err := p.open(); err != nil {
		return nil, err
	}
	return p, nil
}

// Open calls f for each partition whose log is open.
func (m *Manager) Open(f func(*Partition)) {
	for _, t := range *m.topics.Load() {
		for _, p := range t.partitions {
			if p.log.Load() != nil {
				f(p)
			}
		}
	}
}

// Apply follows a change of the metadata. Calls must be in order; a subscription
// of the cluster package makes them.
func (m *Manager) Apply(_, now *cluster.Image) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := *m.topics.Load()
	var after map[string]*topic // made when something changed
	change := func() map[string]*topic {
		if after == nil {
			after = maps.Clone(before)
		}
		return after
	}
	var removed []*topic
	for name, t := range before {
		if n := now.Topic(name); n == nil || n.ID != t.id {
			removed = append(removed, t)
			delete(change(), name)
		}
	}
	for meta := range now.Topics() {
		t := before[meta.Name]
		switch {
		case t == nil || t.id != meta.ID:
			change()[meta.Name] = m.extend(&topic{id: meta.ID}, meta)
		case t.meta != meta:
			change()[meta.Name] = m.extend(t, meta)
			for _, p := range t.partitions {
				p.follow(meta)
			}
		}
	}
	if after != nil {
		m.topics.Store(&after)
	}
	for _, t := range removed {
		m.remove(t)
	}
}

// extend returns a copy of t with the partitions that meta has.
func (m *Manager) extend(t *topic, meta *cluster.Topic) *topic {
	out := &topic{id: t.id, meta: meta, partitions: make([]*Partition, 0, len(meta.Partitions))}
	out.partitions = append(out.partitions, t.partitions...)
	for i := len(t.partitions); i < len(meta.Partitions); i++ {
		out.partitions = append(out.partitions, newPartition(m, meta, int32(i)))
	}
	return out
}

// remove deletes the logs of a deleted topic.
func (m *Manager) remove(t *topic) {
	for _, p := range t.partitions {
		p.leave()
		p.opening.Lock() // an open under way ends first
		err := m.dir.Delete(p.Name)
		p.opening.Unlock()
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			m.log.Error("log of a deleted topic cannot be removed", "topic", p.Name.Topic, "partition", p.Name.Index, "error", err)
		}
	}
}

// openLog opens or makes the log of p. A folder of an earlier topic of the same
// name is removed: the metadata, which is durable first, says that it is deleted.
func (m *Manager) openLog(p *Partition) (*storage.Log, error) {
	c := LogConfig(p.Topic().Config)
	log, err := m.dir.OpenOrCreate(p.Name, storage.TopicID(p.ID), c)
	if errors.Is(err, storage.ErrTopicID) {
		m.log.Warn("folder belongs to an earlier topic of this name, removing it", "topic", p.Name.Topic, "partition", p.Name.Index)
		if err := m.dir.Delete(p.Name); err != nil {
			return nil, err
		}
		log, err = m.dir.OpenOrCreate(p.Name, storage.TopicID(p.ID), c)
	}
	return log, err
}

// DirPath is the data folder.
func (m *Manager) DirPath() string { return m.dir.Path() }

// DirectoryID is the id of the data folder.
func (m *Manager) DirectoryID() string { return m.dir.DirectoryID() }

// DiskSpace tells the size of the data folder's disk and what is free of it, in bytes.
func (m *Manager) DiskSpace() (total, usable int64, err error) { return m.dir.Space() }

// DiskError tells why the data folder is offline, nil while it is not.
func (m *Manager) DiskError() error { return m.dir.Err() }

// Run opens the logs that have a folder already, one after the other, so that
// retention works on them too. It returns when all are open or ctx ends.
// Folders that belong to no topic are left alone and told of.
func (m *Manager) Run(ctx context.Context) {
	for name := range m.found {
		if ctx.Err() != nil {
			return
		}
		if name.Topic == cluster.MetadataTopic {
			continue
		}
		switch _, err := m.Get(name.Topic, name.Index); {
		case errors.Is(err, ErrUnknown):
			m.log.Warn("folder belongs to no topic, left alone", "topic", name.Topic, "partition", name.Index)
		case err != nil: // logged where it was opened
		}
	}
}

// Close ends all waiting. The data folder stays open: its owner closes it.
func (m *Manager) Close() {
	for _, t := range *m.topics.Load() {
		for _, p := range t.partitions {
			p.leave()
		}
	}
}
