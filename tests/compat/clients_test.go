package compat

import (
	"sync"
	"testing"
	"time"
)

// client is one Kafka library: how it writes, and how it takes part in a group.
type client struct {
	name string
	// produce writes the records and returns when all of them are acknowledged by every in-sync replica.
	produce func(t *testing.T, seeds []string, topic, codec string, records []record)
	// join adds a member to the group, reading the topic from the oldest record or the group's commit.
	join func(t *testing.T, seeds []string, group, topic string) *member
}

func clients() []client {
	return []client{
		{name: "franz-go", produce: produceFranz, join: joinFranz},
		{name: "sarama", produce: produceSarama, join: joinSarama},
		{name: "watermill", produce: produceWatermill, join: joinWatermill},
	}
}

// allClients has those too that make no difference between null and empty, or share no group with the others.
func allClients() []client {
	return append(clients(), client{name: "kafka-go", produce: produceKafkaGo, join: joinKafkaGo})
}

// The timings of group members. Kafka's brokers refuse session timeouts under six seconds.
const (
	sessionTimeout    = 10 * time.Second
	rebalanceTimeout  = 10 * time.Second
	heartbeatInterval = 300 * time.Millisecond
)

// member is a running member of a consumer group. It commits what it has read.
type member struct {
	mu     sync.Mutex
	read   []record
	leave  func() // leaves the group in good order; called once
	leaves sync.Once
}

func (m *member) add(r record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.read = append(m.read, r)
}

// records is what the member has read so far.
func (m *member) records() []record {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]record(nil), m.read...)
}

func (m *member) close() { m.leaves.Do(m.leave) }
