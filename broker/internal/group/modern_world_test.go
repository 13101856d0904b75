package group

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// fakeCluster is metadata that tests change.
type fakeCluster struct {
	version  int64
	topics   map[string]fakeTopic
	settings Settings
	nextID   byte
}

type fakeTopic struct {
	id         TopicID
	partitions int32
}

func newFakeCluster() *fakeCluster {
	c := &fakeCluster{topics: map[string]fakeTopic{}, settings: DefaultSettings()}
	c.settings.AssignmentInterval, c.settings.ShareAssignment = 0, 0
	return c
}

// set makes a topic, or gives it more partitions; 0: deletes it.
func (c *fakeCluster) set(name string, partitions int32) {
	c.version++
	t, ok := c.topics[name]
	if partitions == 0 {
		delete(c.topics, name)
		return
	}
	if !ok {
		c.nextID++
		t.id = TopicID{c.nextID}
	}
	t.partitions = partitions
	c.topics[name] = t
}

func (c *fakeCluster) Version() int64 { return c.version }

func (c *fakeCluster) Topic(name string) (TopicID, int32, bool) {
	t, ok := c.topics[name]
	return t.id, t.partitions, ok
}

func (c *fakeCluster) TopicName(id TopicID) string {
	for name, t := range c.topics {
		if t.id == id {
			return name
		}
	}
	return ""
}

func (c *fakeCluster) EachTopic(yield func(string) bool) {
	for _, name := range slices.Sorted(maps.Keys(c.topics)) {
		if !yield(name) {
			return
		}
	}
}

func (c *fakeCluster) Settings(string) Settings { return c.settings }

// show names partitions: "orders/0 orders/1".
func (c *fakeCluster) show(ps []Partition) string {
	var out []string
	for _, p := range ps {
		name := c.TopicName(p.Topic)
		if name == "" {
			name = "gone"
		}
		out = append(out, fmt.Sprintf("%s/%d", name, p.Index))
	}
	slices.Sort(out)
	return "[" + strings.Join(out, " ") + "]"
}

func flat(topics []TopicPartitions) (out []Partition) {
	for _, t := range topics {
		for _, p := range t.Partitions {
			out = append(out, Partition{Topic: t.Topic, Index: p})
		}
	}
	return out
}

// disk keeps the last record of each key, as compaction does.
type disk struct {
	metadata *Metadata
	modern   map[string]Record
	offsets  map[TopicPartition]Offset
}

func newDisk() *disk { return &disk{modern: map[string]Record{}, offsets: map[TopicPartition]Offset{}} }

func (d *disk) write(records []Record) {
	put := func(r Record, tombstone bool, key ...any) {
		k := fmt.Sprintf("%T", r) + fmt.Sprint(key...)
		if tombstone {
			delete(d.modern, k)
			return
		}
		d.modern[k] = r
	}
	for _, r := range records {
		switch r := r.(type) {
		case Metadata:
			d.metadata = &r
		case MetadataTombstone:
			d.metadata = nil
		case OffsetRecord:
			d.offsets[r.TopicPartition] = r.Offset
		case OffsetTombstone:
			delete(d.offsets, r.TopicPartition)
		case EpochRecord:
			put(r, r.GroupEpoch == nil, r.Kind)
		case MemberRecord:
			put(r, r.Subscription == nil, r.Kind, r.Member)
		case TargetEpochRecord:
			put(r, r.TargetEpoch == nil, r.Kind)
		case TargetRecord:
			put(r, r.Target == nil, r.Kind, r.Member)
		case CurrentRecord:
			put(r, r.Current == nil, r.Kind, r.Member)
		case StateRecord:
			put(r, r.ShareState == nil)
		case RegexRecord:
			put(r, r.Resolved == nil, r.Regex)
		}
	}
}

// restore starts a group from what is on disk.
func (d *disk) restore(cfg *Config, now time.Time, c Cluster) (*Group, Effects) {
	var records []Record
	kind, modern := Classic, false
	for _, k := range slices.Sorted(maps.Keys(d.modern)) {
		r := d.modern[k]
		records = append(records, r)
		if e, ok := r.(EpochRecord); ok {
			kind, modern = e.Kind, true
		}
	}
	offsets := maps.Clone(d.offsets)
	if modern {
		return RestoreModern("g", cfg, now, c, kind, records, offsets), nil
	}
	if d.metadata == nil && len(offsets) == 0 {
		return New("g", cfg, now), nil
	}
	g, effects := Restore("g", cfg, now, d.metadata, offsets)
	g.Observe(c)
	return g, effects
}

// image is the membership as one text, to compare what is in memory with what is on disk.
func (m *modern) image(c *fakeCluster) string {
	var b strings.Builder
	fmt.Fprintf(&b, "epoch %d hash %d target epoch %d\n", m.epoch, m.hash, m.assigned.Epoch)
	for _, id := range m.ids() {
		member := m.members[id]
		fmt.Fprintf(&b, "%s %v epoch %d/%d %s has %s gives %s shall %s\n", id, member.sub.Topics, member.cur.Epoch, member.cur.Previous,
			member.cur.State, c.show(member.cur.Assigned.Sorted()), c.show(member.cur.Revoking.Sorted()), c.show(m.targets[id]))
	}
	for _, r := range slices.Sorted(maps.Keys(m.regexes)) {
		fmt.Fprintf(&b, "%s: %v\n", r, m.regexes[r].Topics)
	}
	fmt.Fprintf(&b, "%d owned, %d targets, %d static\n", len(m.owners), len(m.targets), len(m.static))
	return b.String()
}

// checkOwners fails if two members of a consumer group have the same partition.
func checkOwners(t *testing.T, g *Group) {
	t.Helper()
	if g.modern == nil || g.kind != Consumer {
		return
	}
	owner := map[Partition]string{}
	for _, id := range g.modern.ids() {
		cur := g.modern.members[id].cur
		for _, h := range []Held{cur.Assigned, cur.Revoking} {
			for p := range h {
				if other, ok := owner[p]; ok {
					t.Errorf("partition %v belongs to %s and %s", p, other, id)
				}
				owner[p] = id
			}
		}
	}
	if !maps.Equal(owner, g.modern.owners) {
		t.Errorf("owners are %v, members hold %v", g.modern.owners, owner)
	}
}
