package quota

import (
	"net/netip"
	"strings"
)

// Kind is what is limited.
type Kind uint8

// The kinds, each with the unit of its limit.
const (
	ProducerBytes     Kind = iota // bytes of Produce requests a second
	ConsumerBytes                 // bytes of Fetch answers a second
	RequestTime                   // percent of one thread's time
	ControllerChanges             // partitions created or deleted a second
	Connections                   // of one address, a second
	kinds
)

// keys are the kinds' names in requests (QuotaConfig).
var keys = [kinds]string{"producer_byte_rate", "consumer_byte_rate", "request_percentage", "controller_mutation_rate", "connection_creation_rate"}

// String is the name in requests.
func (k Kind) String() string { return keys[k] }

// Kinds lists all kinds.
func Kinds() []Kind {
	return []Kind{ProducerBytes, ConsumerBytes, RequestTime, ControllerChanges, Connections}
}

// KindOf finds a kind by its name.
func KindOf(key string) (Kind, bool) {
	for k, name := range keys {
		if name == key {
			return Kind(k), true
		}
	}
	return 0, false
}

// Part is whom an entity means of one type of client.
type Part struct {
	Given   bool   // the entity says something of this type
	Default bool   // whoever has no entity of their own
	Name    string // else
}

// Named and DefaultPart are parts that are given.
func Named(name string) Part { return Part{Given: true, Name: name} }

// DefaultPart means all that no other entity names.
var DefaultPart = Part{Given: true, Default: true}

// Entity is whom limits are for: a user, a client id, both together, or an address.
type Entity struct {
	User, ClientID, IP Part
}

// String is the entity as Kafka's messages have it, as in {user=alice, client-id=null}.
func (e Entity) String() string {
	var parts []string
	for _, p := range []struct {
		of   string
		part Part
	}{{"user", e.User}, {"client-id", e.ClientID}, {"ip", e.IP}} {
		switch {
		case p.part.Default:
			parts = append(parts, p.of+"=null")
		case p.part.Given:
			parts = append(parts, p.of+"="+p.part.Name)
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// Limits are all limits of a cluster. They never change; nil has none.
type Limits struct {
	of  map[Entity]*[kinds]float64 // 0: none
	any [kinds]bool                // somebody has one of this kind
}

// NewLimits takes limits by entity and name; nil for none at all.
func NewLimits(set map[Entity]map[string]float64) *Limits {
	if len(set) == 0 {
		return nil
	}
	l := &Limits{of: make(map[Entity]*[kinds]float64, len(set))}
	for entity, values := range set {
		if address, err := netip.ParseAddr(entity.IP.Name); err == nil {
			entity.IP.Name = address.Unmap().String()
		}
		of := new([kinds]float64)
		for key, value := range values {
			if k, ok := KindOf(key); ok {
				of[k] = value
				l.any[k] = true
			}
		}
		l.of[entity] = of
	}
	return l
}

// Has reports whether anybody has a limit of a kind.
func (l *Limits) Has(k Kind) bool { return l != nil && l.any[k] }

// bucketKey is whose use is added up together.
type bucketKey struct {
	kind         Kind
	user, client string
	byUser       bool // an empty name is not nobody
	byClient     bool
}

// find returns the limit of a kind for a user and a client id, and whose use counts.
func (l *Limits) find(k Kind, user, client string) (float64, bucketKey, bool) {
	if !l.Has(k) {
		return 0, bucketKey{}, false
	}
	u, c := Named(user), Named(client)
	both := bucketKey{kind: k, user: user, client: client, byUser: true, byClient: true}
	ofUser := bucketKey{kind: k, user: user, byUser: true}
	ofClient := bucketKey{kind: k, client: client, byClient: true}
	for _, level := range [...]struct {
		entity Entity
		key    bucketKey
	}{
		{Entity{User: u, ClientID: c}, both}, {Entity{User: u, ClientID: DefaultPart}, both}, {Entity{User: u}, ofUser},
		{Entity{User: DefaultPart, ClientID: c}, both}, {Entity{User: DefaultPart, ClientID: DefaultPart}, both}, {Entity{User: DefaultPart}, ofUser},
		{Entity{ClientID: c}, ofClient}, {Entity{ClientID: DefaultPart}, ofClient},
	} {
		if of := l.of[level.entity]; of != nil && of[k] > 0 {
			return of[k], level.key, true
		}
	}
	return 0, bucketKey{}, false
}

// findIP returns the limit of connections of an address.
func (l *Limits) findIP(ip string) (float64, bucketKey, bool) {
	if !l.Has(Connections) {
		return 0, bucketKey{}, false
	}
	if address, err := netip.ParseAddr(ip); err == nil {
		ip = address.Unmap().String()
	}
	for _, part := range [...]Part{Named(ip), DefaultPart} {
		if of := l.of[Entity{IP: part}]; of != nil && of[Connections] > 0 {
			return of[Connections], bucketKey{kind: Connections, client: ip}, true
		}
	}
	return 0, bucketKey{}, false
}
