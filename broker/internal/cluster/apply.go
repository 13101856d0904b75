package cluster

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"millrace/broker/internal/config"
	"millrace/broker/internal/quota"
)

// NewImage is the metadata of an empty log, as broker c sees it.
func NewImage(c *config.Broker) *Image {
	return &Image{Offset: -1, Config: c, base: c, nodeID: c.NodeID}
}

// Apply returns the image after commands, the first of which has the given offset in
// the log. It depends on nothing but its arguments and changes none of them. An error
// means that the commands do not fit the image, which a correct log never has.
func Apply(i *Image, offset int64, commands ...Command) (*Image, error) {
	e := edit(i)
	for n, c := range commands {
		if err := e.apply(offset+int64(n), c); err != nil {
			return nil, fmt.Errorf("metadata command at offset %d: %w", offset+int64(n), err)
		}
	}
	return e.finish(offset + int64(len(commands)) - 1), nil
}

// editor is an image in the making. Maps and topics are copied before they are changed.
type editor struct {
	Image
	configs bool // settings of brokers changed: resolve everything again
	renamed bool // topics came or went: sort again
	ruled   bool // likewise access rules
	limited bool // quotas changed, in a map of this editor's own: index them again
}

func edit(i *Image) *editor {
	e := &editor{Image: *i}
	e.topics, e.ids = maps.Clone(i.topics), maps.Clone(i.ids)
	e.brokers = slices.Clone(i.brokers)
	e.brokerSet, e.groupSet = maps.Clone(i.brokerSet), maps.Clone(i.groupSet)
	e.metricsSet = maps.Clone(i.metricsSet)
	e.fillMaps()
	return e
}

func (e *editor) fillMaps() {
	if e.topics == nil {
		e.topics, e.ids = map[string]*Topic{}, map[TopicID]*Topic{}
	}
	if e.brokerSet == nil {
		e.brokerSet = map[string]map[string]string{}
	}
	if e.groupSet == nil {
		e.groupSet = map[string]map[string]string{}
	}
	if e.metricsSet == nil {
		e.metricsSet = map[string]map[string]string{}
	}
}

func (e *editor) apply(offset int64, c Command) error {
	switch {
	case c.RegisterBroker != nil:
		return e.registerBroker(offset, c.RegisterBroker)
	case c.CreateTopic != nil:
		return e.createTopic(c.CreateTopic)
	case c.DeleteTopic != nil:
		return e.deleteTopic(c.DeleteTopic)
	case c.CreatePartitions != nil:
		return e.createPartitions(c.CreatePartitions)
	case c.SetConfigs != nil:
		return e.setConfigs(c.SetConfigs)
	case c.ProducerIDs != nil:
		if c.ProducerIDs.Next < e.nextPID {
			return fmt.Errorf("producer ids go back from %d to %d", e.nextPID, c.ProducerIDs.Next)
		}
		e.nextPID = c.ProducerIDs.Next
	case c.SetFeatures != nil:
		return e.setFeatures(c.SetFeatures)
	case c.SetScram != nil:
		return e.setScram(c.SetScram)
	case c.SetQuotas != nil:
		return e.setQuotas(c.SetQuotas)
	case c.SetACLs != nil:
		return e.setACLs(c.SetACLs)
	case c.Snapshot != nil:
		*e = editor{Image: *NewImage(e.base), configs: true, renamed: true}
		e.fillMaps()
	default:
		return fmt.Errorf("%w: empty", ErrBadCommand)
	}
	return nil
}

// finish makes the edited image one that may be shared.
func (e *editor) finish(offset int64) *Image {
	e.Offset = offset
	if e.configs {
		e.resolveAll()
	}
	if e.limited {
		e.limits = quota.NewLimits(e.quotas)
	}
	if e.ruled {
		e.rules = rulesOf(e.acls)
	}
	if e.renamed {
		e.sorted = slices.SortedFunc(maps.Values(e.topics), func(a, b *Topic) int { return strings.Compare(a.Name, b.Name) })
	} else {
		// Topics that changed stand where the earlier ones stood.
		for n, t := range e.sorted {
			if now := e.topics[t.Name]; now != t {
				e.sorted = slices.Clone(e.sorted)
				for m := n; m < len(e.sorted); m++ {
					e.sorted[m] = e.topics[e.sorted[m].Name]
				}
				break
			}
		}
	}
	e.partitions = 0
	for _, t := range e.sorted {
		e.partitions += len(t.Partitions)
	}
	image := e.Image
	return &image
}

// resolveAll works out all settings after those of brokers changed.
func (e *editor) resolveAll() {
	e.Config = e.base
	forAll, own := e.brokerSet[""], e.brokerSet[strconv.Itoa(int(e.nodeID))]
	if len(forAll)+len(own) > 0 {
		c, err := e.base.With(config.Known(config.BrokerLevel, forAll), config.Known(config.BrokerLevel, own))
		if err == nil { // it was checked when it was set; an upgrade may be stricter
			e.Config = c
		}
	}
	for name, t := range e.topics {
		changed := *t
		e.resolve(&changed)
		e.topics[name], e.ids[t.ID] = &changed, &changed
	}
}

// resolve works out a topic's settings. Such as this version does not know, or
// refuses, are kept and have no effect.
func (e *editor) resolve(t *Topic) {
	c, err := e.Config.NewTopic(t.Set)
	if err != nil {
		c, err = e.Config.NewTopic(config.Known(config.TopicLevel, t.Set))
	}
	if err != nil {
		c = &e.Config.Topic
	}
	t.Config = c
}

func (e *editor) registerBroker(offset int64, c *RegisterBroker) error {
	b := &Broker{ID: c.ID, Epoch: offset, Rack: c.Rack, Endpoints: slices.Clone(c.Endpoints)}
	if c.Epoch != nil {
		b.Epoch = *c.Epoch
	}
	at, found := slices.BinarySearchFunc(e.brokers, c.ID, func(b *Broker, id int32) int { return cmp.Compare(b.ID, id) })
	if found {
		e.brokers[at] = b
	} else {
		e.brokers = slices.Insert(e.brokers, at, b)
	}
	if !c.Unclean {
		return nil
	}
	for name, t := range e.topics {
		changed := *t
		changed.Partitions = slices.Clone(t.Partitions)
		for i := range changed.Partitions {
			if p := &changed.Partitions[i]; p.Leader == c.ID {
				p.LeaderEpoch++
				p.PartitionEpoch++
			}
		}
		e.topics[name], e.ids[t.ID] = &changed, &changed
	}
	return nil
}

func (e *editor) createTopic(c *CreateTopic) error {
	switch {
	case c.Name == "" || c.ID.IsZero():
		return fmt.Errorf("topic %q has id %s", c.Name, c.ID)
	case e.topics[c.Name] != nil:
		return fmt.Errorf("topic %q is there already", c.Name)
	case e.ids[c.ID] != nil:
		return fmt.Errorf("topic id %s is taken by %q", c.ID, e.ids[c.ID].Name)
	}
	t := &Topic{Name: c.Name, ID: c.ID, Internal: IsInternal(c.Name), Set: maps.Clone(c.Set)}
	if err := addPartitions(t, c.Partitions); err != nil {
		return err
	}
	if len(t.Partitions) == 0 {
		return fmt.Errorf("topic %q has no partitions", c.Name)
	}
	if !e.configs {
		e.resolve(t)
	}
	e.topics[t.Name], e.ids[t.ID] = t, t
	e.renamed = true
	return nil
}

// addPartitions appends copies to a topic's partitions, which must be its own.
func addPartitions(t *Topic, list []Partition) error {
	for _, p := range list {
		if int(p.Index) != len(t.Partitions) {
			return fmt.Errorf("topic %q: partition %d comes after %d", t.Name, p.Index, len(t.Partitions)-1)
		}
		if len(p.Replicas) == 0 {
			return fmt.Errorf("topic %q: partition %d has no replicas", t.Name, p.Index)
		}
		p.Replicas, p.ISR = slices.Clone(p.Replicas), slices.Clone(p.ISR)
		p.ELR, p.LastKnownELR = slices.Clone(p.ELR), slices.Clone(p.LastKnownELR)
		t.Partitions = append(t.Partitions, p)
	}
	return nil
}

func (e *editor) deleteTopic(c *DeleteTopic) error {
	t := e.ids[c.ID]
	if t == nil {
		return fmt.Errorf("no topic has the id %s", c.ID)
	}
	delete(e.topics, t.Name)
	delete(e.ids, t.ID)
	e.renamed = true
	return nil
}

func (e *editor) createPartitions(c *CreatePartitions) error {
	t := e.ids[c.ID]
	if t == nil {
		return fmt.Errorf("no topic has the id %s", c.ID)
	}
	changed := *t
	changed.Partitions = slices.Clone(t.Partitions)
	if err := addPartitions(&changed, c.Partitions); err != nil {
		return err
	}
	e.topics[t.Name], e.ids[t.ID] = &changed, &changed
	return nil
}

func (e *editor) setConfigs(c *SetConfigs) error {
	switch c.Resource {
	case TopicResource:
		t := e.topics[c.Name]
		if t == nil {
			return fmt.Errorf("no topic has the name %q", c.Name)
		}
		changed := *t
		changed.Set = merged(t.Set, c.Set)
		if !e.configs {
			e.resolve(&changed)
		}
		e.topics[t.Name], e.ids[t.ID] = &changed, &changed
	case BrokerResource:
		setOrDelete(e.brokerSet, c.Name, merged(e.brokerSet[c.Name], c.Set))
		e.configs = true
	case GroupResource:
		setOrDelete(e.groupSet, c.Name, merged(e.groupSet[c.Name], c.Set))
	case ClientMetricsResource:
		setOrDelete(e.metricsSet, c.Name, merged(e.metricsSet[c.Name], c.Set))
	default:
		return fmt.Errorf("%w: settings of a %q", ErrBadCommand, c.Resource)
	}
	return nil
}

func setOrDelete(m map[string]map[string]string, name string, set map[string]string) {
	if len(set) == 0 {
		delete(m, name)
	} else {
		m[name] = set
	}
}

// merged returns old with changes; a nil value takes a name away.
func merged(old map[string]string, changes map[string]*string) map[string]string {
	out := maps.Clone(old)
	if out == nil {
		out = make(map[string]string, len(changes))
	}
	for name, value := range changes {
		if value == nil {
			delete(out, name)
		} else {
			out[name] = *value
		}
	}
	return out
}
