package cluster

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// commandVersion is the version of the form below. A broker refuses to load a log with
// a higher one: applying half of what a newer broker meant would be worse.
const commandVersion = 1

// Command is one change, one record in the log. Exactly one of its fields is set. The
// record's value is its JSON:
//
//	{"v":1,"create_topic":{"name":"orders","id":"r5E6ui8-S1mYYonmi2b_KQ","partitions":[…],"set":{…}}}
//
// Commands carry outcomes, not wishes: defaults are filled in, leaders chosen and ids
// drawn before a command is written, so that applying it needs nothing else.
type Command struct {
	RegisterBroker   *RegisterBroker   `json:"register_broker,omitempty"`
	CreateTopic      *CreateTopic      `json:"create_topic,omitempty"`
	DeleteTopic      *DeleteTopic      `json:"delete_topic,omitempty"`
	CreatePartitions *CreatePartitions `json:"create_partitions,omitempty"`
	SetConfigs       *SetConfigs       `json:"set_configs,omitempty"`
	ProducerIDs      *ProducerIDs      `json:"producer_ids,omitempty"`
	SetQuotas        *SetQuotas        `json:"set_quotas,omitempty"`
	SetFeatures      *SetFeatures      `json:"set_features,omitempty"`
	SetScram         *SetScram         `json:"set_scram,omitempty"`
	SetACLs          *SetACLs          `json:"set_acls,omitempty"`
	Snapshot         *Snapshot         `json:"snapshot,omitempty"`
}

// RegisterBroker says that a broker has started and how it is reached.
type RegisterBroker struct {
	ID        int32      `json:"id"`
	Epoch     *int64     `json:"epoch,omitempty"` // in a snapshot; else the command's own offset
	Rack      string     `json:"rack,omitempty"`
	Endpoints []Endpoint `json:"endpoints"`
	// Unclean says that its last stop was a crash: each partition that it leads gets
	// a new leader epoch.
	Unclean bool `json:"unclean,omitempty"`
}

// CreateTopic adds a topic.
type CreateTopic struct {
	Name       string            `json:"name"`
	ID         TopicID           `json:"id"`
	Partitions []Partition       `json:"partitions"`
	Set        map[string]string `json:"set,omitempty"`
}

// DeleteTopic removes a topic and its settings.
type DeleteTopic struct {
	ID TopicID `json:"id"`
}

// CreatePartitions adds partitions after the last one of a topic.
type CreatePartitions struct {
	ID         TopicID     `json:"id"`
	Partitions []Partition `json:"partitions"`
}

// SetConfigs sets and, where the value is null, takes back settings.
type SetConfigs struct {
	Resource Resource           `json:"resource"`
	Name     string             `json:"name"` // topic, group, subscription or broker id; empty: all brokers
	Set      map[string]*string `json:"set"`
}

// ProducerIDs covers all producer ids below Next: they are given out or lost.
type ProducerIDs struct {
	Next int64 `json:"next"`
}

// Snapshot starts from nothing: the commands after it in the same batch build the
// whole image. A batch is on disk whole or not at all, and so is a snapshot.
type Snapshot struct{}

// Resource is what settings belong to.
type Resource string

// The resources.
const (
	TopicResource  Resource = "topic"
	BrokerResource Resource = "broker"
	GroupResource  Resource = "group"
	// ClientMetricsResource is a subscription to metrics of clients.
	ClientMetricsResource Resource = "client_metrics"
)

// ErrBadCommand is returned for a record of the metadata log that cannot be read.
var ErrBadCommand = errors.New("bad metadata command")

type versioned struct {
	Version int `json:"v"`
	*Command
}

// Encode gives the record's value.
func (c Command) Encode() []byte {
	out, err := json.Marshal(versioned{commandVersion, &c})
	if err != nil {
		panic("cluster: command without JSON form: " + err.Error()) // strings, numbers, lists only
	}
	return out
}

// DecodeCommand reads a record's value.
func DecodeCommand(value []byte) (Command, error) {
	var c Command
	v := versioned{Command: &c}
	if err := json.Unmarshal(value, &v); err != nil {
		return Command{}, fmt.Errorf("%w: %w", ErrBadCommand, err)
	}
	if v.Version < 1 || v.Version > commandVersion {
		return Command{}, fmt.Errorf("%w: version %d, this broker reads 1 to %d", ErrBadCommand, v.Version, commandVersion)
	}
	set := 0
	for _, there := range []bool{
		c.RegisterBroker != nil, c.CreateTopic != nil, c.DeleteTopic != nil, c.CreatePartitions != nil,
		c.SetConfigs != nil, c.ProducerIDs != nil, c.Snapshot != nil,
		c.SetQuotas != nil, c.SetFeatures != nil, c.SetScram != nil, c.SetACLs != nil,
	} {
		if there {
			set++
		}
	}
	if set != 1 {
		return Command{}, fmt.Errorf("%w: %d known commands in one record, want 1", ErrBadCommand, set)
	}
	return c, nil
}

// MarshalText and UnmarshalText let ids stand in JSON as people see them elsewhere.
func (id TopicID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText is the other way.
func (id *TopicID) UnmarshalText(text []byte) error {
	parsed, err := ParseTopicID(string(text))
	if err == nil {
		*id = parsed
	}
	return err
}

// ParseTopicID reads the 22 characters of String.
func ParseTopicID(s string) (TopicID, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(raw) != len(TopicID{}) {
		return TopicID{}, fmt.Errorf("%q is not a topic id", s)
	}
	return TopicID(raw), nil
}
