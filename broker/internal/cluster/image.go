package cluster

import (
	"encoding/base64"
	"iter"
	"slices"
	"strings"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/config"
	"millrace/broker/internal/quota"
)

// TopicID tells a topic from an earlier one of the same name.
type TopicID [16]byte

// String gives the 22 characters that Kafka's tools print.
func (id TopicID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// IsZero reports whether the id is absent.
func (id TopicID) IsZero() bool { return id == TopicID{} }

// Endpoint is an address that clients of one listener connect to.
type Endpoint struct {
	Listener string `json:"listener"`
	Host     string `json:"host"`
	Port     int32  `json:"port"`
}

// Broker is a registered broker. Do not change it.
type Broker struct {
	ID        int32
	Epoch     int64 // offset of its registration: a new one with each start
	Rack      string
	Endpoints []Endpoint
}

// Endpoint returns the broker's address on a listener.
func (b *Broker) Endpoint(listener string) (Endpoint, bool) {
	for _, e := range b.Endpoints {
		if e.Listener == listener {
			return e, true
		}
	}
	return Endpoint{}, false
}

// Partition says who holds and who leads one partition. Do not change it.
type Partition struct {
	Index          int32   `json:"partition"`
	Leader         int32   `json:"leader"` // NoLeader: none
	LeaderEpoch    int32   `json:"leader_epoch"`
	PartitionEpoch int32   `json:"partition_epoch"` // counts every change of this record
	Replicas       []int32 `json:"replicas"`
	ISR            []int32 `json:"isr"`
	// Eligible and last known eligible leader replicas (KIP-966).
	ELR          []int32 `json:"elr,omitempty"`
	LastKnownELR []int32 `json:"last_known_elr,omitempty"`
}

// NoLeader is the Leader of a partition that nobody can lead at present.
const NoLeader int32 = -1

// Topic is one topic. Do not change it.
type Topic struct {
	Name       string
	ID         TopicID
	Internal   bool              // kept by the broker for itself: __consumer_offsets, …
	Partitions []Partition       // by index, without gaps
	Set        map[string]string // settings given to this topic
	Config     *config.Topic     // all its settings
}

// Partition returns the partition of an index, nil if there is none.
func (t *Topic) Partition(index int32) *Partition {
	if index < 0 || int(index) >= len(t.Partitions) {
		return nil
	}
	return &t.Partitions[index]
}

// Image is the metadata at one offset of the log. It never changes.
type Image struct {
	// Offset is the log offset of the last command in the image.
	Offset int64
	// Config is what holds for this broker, changes at run time included.
	Config *config.Broker

	base    *config.Broker // without changes at run time
	nodeID  int32
	topics  map[string]*Topic
	ids     map[TopicID]*Topic
	sorted  []*Topic // by name
	brokers []*Broker
	// Settings changed at run time: for all brokers under "", for one under its id;
	// for groups by name.
	brokerSet  map[string]map[string]string
	groupSet   map[string]map[string]string
	metricsSet map[string]map[string]string // subscriptions to metrics of clients
	// Limits of clients, by entity and name; limits is made of them.
	quotas map[quota.Entity]map[string]float64
	// Access rules; rules is made of acls.
	acls       map[acl.Binding]struct{}
	rules      *acl.Rules
	features   map[string]int16 // levels that were changed, by name
	scram      map[ScramKey]ScramCredential
	limits     *quota.Limits
	partitions int   // of all topics
	nextPID    int64 // first producer id that no block has covered
}

// Topic returns a topic by name, nil if there is none.
func (i *Image) Topic(name string) *Topic { return i.topics[name] }

// TopicByID returns a topic by id, nil if there is none.
func (i *Image) TopicByID(id TopicID) *Topic { return i.ids[id] }

// Topics yields the topics in order of name.
func (i *Image) Topics() iter.Seq[*Topic] { return i.TopicsFrom("") }

// TopicsFrom yields the topics from a name on, in order of name.
func (i *Image) TopicsFrom(name string) iter.Seq[*Topic] {
	return func(yield func(*Topic) bool) {
		for _, t := range i.sorted[i.search(name):] {
			if !yield(t) {
				return
			}
		}
	}
}

// TopicCount and PartitionCount say how much there is.
func (i *Image) TopicCount() int     { return len(i.sorted) }
func (i *Image) PartitionCount() int { return i.partitions }

// Brokers returns the registered brokers in order of id. Do not change the slice.
func (i *Image) Brokers() []*Broker { return i.brokers }

// Broker returns a registered broker, nil if there is none.
func (i *Image) Broker(id int32) *Broker {
	for _, b := range i.brokers {
		if b.ID == id {
			return b
		}
	}
	return nil
}

// ControllerID is the broker that admin requests are sent to.
func (i *Image) ControllerID() int32 { return i.nodeID }

// search returns the position of the first topic whose name is not below name.
func (i *Image) search(name string) int {
	at, _ := slices.BinarySearchFunc(i.sorted, name, func(t *Topic, name string) int {
		return strings.Compare(t.Name, name)
	})
	return at
}
