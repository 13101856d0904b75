package kraft

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"millrace/broker/internal/acl"
)

// Kinds of metadata records (metadata/src/main/resources/common/metadata of Kafka 4.3).
const (
	topicRecord           = 2
	partitionRecord       = 3
	configRecord          = 4
	partitionChangeRecord = 5
	removeTopicRecord     = 9
	scramRecord           = 11
	clientQuotaRecord     = 14
	producerIDsRecord     = 15
	aclRecord             = 18
	removeACLRecord       = 19
	removeScramRecord     = 22
	beginTransaction      = 23
	endTransaction        = 24
	abortTransaction      = 25
)

// newest is the highest version of a kind whose form is known here.
var newest = map[uint32]uint32{
	topicRecord: 0, partitionRecord: 2, configRecord: 0, partitionChangeRecord: 2, removeTopicRecord: 0, clientQuotaRecord: 1, scramRecord: 0, removeScramRecord: 0,
	producerIDsRecord: 0, aclRecord: 0, removeACLRecord: 0, beginTransaction: 0, endTransaction: 0, abortTransaction: 0,
}

// leftOut are kinds that say something a broker is asked for, and that this package
// does not carry over.
var leftOut = map[uint32]string{
	10: "delegation tokens",
}

// ResourceType is what a setting belongs to, by Kafka's number (KIP-226).
type ResourceType int8

// The types that have settings of their own.
const (
	TopicResource         ResourceType = 2
	BrokerResource        ResourceType = 4
	ClientMetricsResource ResourceType = 16
	GroupResource         ResourceType = 32
)

// Resource has settings.
type Resource struct {
	Type ResourceType
	Name string // of a broker: its id, or empty for all
}

// Partition is who holds and who leads a partition.
type Partition struct {
	Replicas, ISR  []int32
	Leader         int32 // -1: none
	LeaderEpoch    int32
	PartitionEpoch int32
}

// Topic is one topic.
type Topic struct {
	Name       string
	ID         [16]byte
	Partitions []Partition // by index
}

// QuotaPart is one part of the entity that a limit is for; a null name is whoever no
// other entity names (KIP-546).
type QuotaPart struct {
	Type string
	Name *string
}

// Quota is one limit of a client.
type Quota struct {
	Entity []QuotaPart
	Key    string
	Value  float64
}

// ScramKey names a credential. Mechanism is 1 for SCRAM-SHA-256, 2 for SCRAM-SHA-512.
type ScramKey struct {
	User      string
	Mechanism int8
}

// Scram is what Kafka keeps of a password (KIP-554, KIP-900).
type Scram struct {
	Salt, StoredKey, ServerKey []byte
	Iterations                 int32
}

// State is what the records amount to.
type State struct {
	Topics  []Topic                         // by name
	Configs map[Resource]map[string]*string // by name of the setting
	Quotas  []Quota
	Scram   map[ScramKey]Scram
	ACLs    []acl.Binding // in order
	// NextProducerID is the first id that no broker has been given.
	NextProducerID int64
	// LeftOut counts records that are not part of the state, by what they are about.
	LeftOut map[string]int
}

// growing is a topic whose partitions come one by one, in whatever order.
type growing struct {
	name       string
	partitions map[int32]*Partition
}

// replay applies records in the order of their offsets.
type replay struct {
	topics  map[[16]byte]*growing
	configs map[Resource]map[string]*string
	quotas  map[string]Quota
	scram   map[ScramKey]Scram
	acls    map[[16]byte]acl.Binding
	nextPID int64
	leftOut map[string]int
	// held are the records since a transaction began (KIP-868); nil: none is open.
	held [][]byte
	open bool
}

func newReplay() *replay {
	return &replay{topics: map[[16]byte]*growing{}, configs: map[Resource]map[string]*string{}, quotas: map[string]Quota{}, scram: map[ScramKey]Scram{}, acls: map[[16]byte]acl.Binding{}, leftOut: map[string]int{}}
}

// add applies one record: frame version, kind and version as unsigned varints, then the
// fields.
func (s *replay) add(value []byte) error {
	r := &reader{p: value}
	if frame := r.uvarint(); r.err == nil && frame != 1 {
		return fmt.Errorf("%w: frame version %d, want 1", ErrBadRecord, frame)
	}
	kind, version := r.uvarint(), r.uvarint()
	if r.err != nil {
		return r.err
	}
	if top, known := newest[kind]; known && version > top {
		return fmt.Errorf("%w: kind %d has version %d, this broker reads up to %d: a newer Kafka wrote it", ErrBadRecord, kind, version, top)
	}
	switch kind {
	case beginTransaction:
		s.open, s.held = true, nil
		return nil
	case abortTransaction:
		s.open, s.held = false, nil
		return nil
	case endTransaction:
		held := s.held
		s.open, s.held = false, nil
		for _, value := range held {
			if err := s.add(value); err != nil {
				return err
			}
		}
		return nil
	}
	if s.open {
		s.held = append(s.held, slices.Clone(value))
		return nil
	}
	if err := s.apply(kind, r); err != nil {
		return fmt.Errorf("kind %d: %w", kind, err)
	}
	return nil
}

func (s *replay) apply(kind uint32, r *reader) error {
	switch kind {
	case topicRecord:
		name, id := r.text(), r.uuid()
		if r.err == nil {
			s.topics[id] = &growing{name, map[int32]*Partition{}}
		}
	case removeTopicRecord:
		id := r.uuid()
		if t := s.topics[id]; t != nil {
			delete(s.topics, id)
			delete(s.configs, Resource{TopicResource, t.name})
		}
	case partitionRecord:
		return s.partition(r)
	case partitionChangeRecord:
		return s.change(r)
	case configRecord:
		resource := Resource{ResourceType(r.int8()), r.text()}
		name, value := r.text(), r.nullableText()
		if r.err != nil {
			return r.err
		}
		if s.configs[resource] == nil {
			s.configs[resource] = map[string]*string{}
		}
		if value == nil {
			delete(s.configs[resource], name)
		} else {
			s.configs[resource][name] = value
		}
	case scramRecord:
		key := ScramKey{r.text(), r.int8()}
		credential := Scram{r.bytes(), r.bytes(), r.bytes(), r.int32()}
		if r.err == nil {
			s.scram[key] = credential
		}
	case removeScramRecord:
		delete(s.scram, ScramKey{r.text(), r.int8()})
	case aclRecord:
		return s.acl(r)
	case removeACLRecord:
		delete(s.acls, r.uuid())
	case clientQuotaRecord:
		s.quota(r)
	case producerIDsRecord:
		r.int32() // broker
		r.int64() // and its epoch
		s.nextPID = max(s.nextPID, r.int64())
	default:
		if what := leftOut[kind]; what != "" {
			s.leftOut[what]++
		}
	}
	return r.err
}

// acl reads an access rule. One that cannot be carried over must not be left out: it may be a DENY.
func (s *replay) acl(r *reader) error {
	id := r.uuid()
	b := acl.Binding{
		Type: acl.ResourceType(r.int8()), Name: r.text(), Pattern: acl.Pattern(r.int8()), Principal: r.text(), Host: r.text(),
		Operation: acl.Operation(r.int8()), Permission: acl.Permission(r.int8()),
	}
	if err := b.Check(); err != nil && r.err == nil {
		return fmt.Errorf("%w: ACL %+v: %w", ErrBadRecord, b, err)
	}
	s.acls[id] = b
	return r.err
}

func (s *replay) partition(r *reader) error {
	index, id := r.int32(), r.uuid()
	p := Partition{Replicas: r.int32s(), ISR: r.int32s()}
	r.int32s() // being removed
	r.int32s() // being added
	p.Leader, p.LeaderEpoch, p.PartitionEpoch = r.int32(), r.int32(), r.int32()
	if r.err != nil {
		return r.err
	}
	t := s.topics[id]
	if t == nil || index < 0 {
		return fmt.Errorf("%w: partition %d of topic id %x", ErrBadRecord, index, id)
	}
	t.partitions[index] = &p
	return nil
}

func (s *replay) quota(r *reader) {
	var q Quota
	for n := r.length(); n > 0 && r.err == nil; n-- {
		q.Entity = append(q.Entity, QuotaPart{r.text(), r.nullableText()})
		r.skipTagged()
	}
	q.Key, q.Value = r.text(), math.Float64frombits(uint64(r.int64()))
	remove := r.int8() != 0
	slices.SortFunc(q.Entity, func(a, b QuotaPart) int { return cmp.Compare(a.Type, b.Type) })
	key := strconv.Quote(q.Key)
	for _, p := range q.Entity {
		key += " " + strconv.Quote(p.Type)
		if p.Name != nil {
			key += "=" + strconv.Quote(*p.Name)
		}
	}
	switch {
	case r.err != nil:
	case remove:
		delete(s.quotas, key)
	default:
		s.quotas[key] = q
	}
}

// change applies what is new of a partition. A leader that is named raises the leader
// epoch, also when it is the same one.
func (s *replay) change(r *reader) error {
	index, id := r.int32(), r.uuid()
	if r.err != nil {
		return r.err
	}
	var p *Partition
	if t := s.topics[id]; t != nil {
		p = t.partitions[index]
	}
	if p == nil {
		return fmt.Errorf("%w: change of partition %d of topic id %x, which is not there", ErrBadRecord, index, id)
	}
	r.tagged(func(tag uint32, field *reader) {
		switch tag {
		case 0:
			p.ISR = field.int32s()
		case 1:
			p.Leader = field.int32()
			p.LeaderEpoch++
		case 2:
			p.Replicas = field.int32s()
		}
	})
	p.PartitionEpoch++
	return r.err
}

// state gives what all records came to.
func (s *replay) state() (State, error) {
	out := State{Configs: s.configs, NextProducerID: s.nextPID, Scram: s.scram, LeftOut: s.leftOut}
	for id, growing := range s.topics {
		t := Topic{Name: growing.name, ID: id}
		for i := range int32(len(growing.partitions)) {
			p := growing.partitions[i]
			if p == nil {
				return State{}, fmt.Errorf("%w: topic %q has no partition %d", ErrBadRecord, t.Name, i)
			}
			t.Partitions = append(t.Partitions, *p)
		}
		if len(t.Partitions) == 0 {
			return State{}, fmt.Errorf("%w: topic %q has no partitions", ErrBadRecord, t.Name)
		}
		out.Topics = append(out.Topics, t)
	}
	for _, key := range slices.Sorted(maps.Keys(s.quotas)) {
		out.Quotas = append(out.Quotas, s.quotas[key])
	}
	out.ACLs = slices.SortedFunc(maps.Values(s.acls), acl.Binding.Compare)
	slices.SortFunc(out.Topics, func(a, b Topic) int { return cmp.Compare(a.Name, b.Name) })
	maps.DeleteFunc(out.Configs, func(_ Resource, set map[string]*string) bool { return len(set) == 0 })
	return out, nil
}
