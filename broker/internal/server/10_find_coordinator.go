package server

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/cluster"
	"millrace/broker/internal/sharestate"
)

// FindCoordinator (API key 10), versions 0–6.
//
//	v1 key type, throttle time, message   v3 flexible (KIP-482)   v4 several keys (KIP-699)
//	v6 key type share (KIP-932)
//
// Asking for a group's coordinator makes __consumer_offsets if need be, for a transaction's
// __transaction_state; Kafka answers COORDINATOR_NOT_AVAILABLE while it does, we wait for it.
//
// The key of a share group's partition is GROUP:TOPIC_ID:PARTITION.
func init() { register(10, 0, 6, (*Server).findCoordinator) }

// Key types.
const (
	coordinatorGroup       = 0
	coordinatorTransaction = 1
	coordinatorShare       = 2
)

func (s *Server) findCoordinator(r *Request, req *kmsg.FindCoordinatorRequest) kmsg.Response {
	resp := kmsg.NewPtrFindCoordinatorResponse()
	if r.Version < 4 {
		c := s.coordinatorOf(r, req.CoordinatorType, req.CoordinatorKey)
		resp.ErrorCode, resp.NodeID, resp.Host, resp.Port = c.ErrorCode, c.NodeID, c.Host, c.Port
		message := "NONE"
		if c.ErrorCode != 0 {
			message = kerr.TypedErrorForCode(c.ErrorCode).Description
		}
		resp.ErrorMessage = &message
		return resp
	}
	for _, key := range req.CoordinatorKeys {
		resp.Coordinators = append(resp.Coordinators, s.coordinatorOf(r, req.CoordinatorType, key))
	}
	return resp
}

func (s *Server) coordinatorOf(r *Request, keyType int8, key string) kmsg.FindCoordinatorResponseCoordinator {
	c := kmsg.NewFindCoordinatorResponseCoordinator()
	c.Key, c.NodeID, c.Port, c.ErrorMessage = key, -1, -1, new(string)
	var leader int32
	switch keyType {
	case coordinatorGroup:
		if denied := s.onGroup(r, acl.Describe, key); denied != nil {
			c.ErrorCode = denied.Code
			return c
		}
		if err := s.groups.Ensure(r.Context()); err != nil {
			c.ErrorCode = err.Code
			return c
		}
		leader = s.leaderOf(cluster.OffsetsTopic, s.groups.Partition(key))
	case coordinatorTransaction:
		if denied := s.onTxn(r, acl.Describe, key); denied != nil {
			c.ErrorCode = denied.Code
			return c
		}
		if err := s.txns.Ensure(r.Context()); err != nil {
			c.ErrorCode = err.Code
			return c
		}
		leader = s.leaderOf(cluster.TransactionTopic, s.txns.Partition(key))
	case coordinatorShare:
		if denied := s.onCluster(r, acl.ClusterAction); denied != nil {
			c.ErrorCode, c.ErrorMessage = denied.Code, deniedText(denied)
			return c
		}
		k, err := sharestate.ParseKey(key)
		if err != nil {
			c.ErrorCode, c.ErrorMessage = kerr.InvalidRequest.Code, text(err.Error())
			return c
		}
		if err := s.shareStates.Ensure(r.Context()); err != nil {
			c.ErrorCode = err.Code
			return c
		}
		leader = s.leaderOf(cluster.ShareStateTopic, s.shareStates.Partition(k))
	default:
		c.ErrorCode = kerr.InvalidRequest.Code
		return c
	}
	if leader == s.nodeID {
		c.NodeID, c.Host, c.Port = s.nodeID, r.Listener.AdvertisedHost, r.Listener.AdvertisedPort
		return c
	}
	if b := s.cluster.Image().Broker(leader); b != nil {
		if e, ok := b.Endpoint(r.Listener.Name); ok {
			c.NodeID, c.Host, c.Port = leader, e.Host, e.Port
			return c
		}
	}
	c.ErrorCode = kerr.CoordinatorNotAvailable.Code
	return c
}

// leaderOf returns who leads a partition, cluster.NoLeader if nobody does.
func (s *Server) leaderOf(topic string, partition int32) int32 {
	if t := s.cluster.Image().Topic(topic); t != nil {
		if p := t.Partition(partition); p != nil {
			return p.Leader
		}
	}
	return cluster.NoLeader
}
