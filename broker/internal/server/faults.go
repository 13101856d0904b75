package server

import (
	"millrace/broker/internal/cluster"
	"millrace/broker/internal/fault"
	"millrace/broker/internal/wire"
)

// This file is where requests are made to fail on purpose (Options.Faults). Nothing of it
// runs in a broker that was not started for it.

// attrsOf says what a request is about, for rules to match.
func attrsOf(r *Request, topics ...string) []string {
	attrs := []string{fault.Client, r.ClientID}
	for _, name := range topics {
		attrs = append(attrs, fault.Topic, name)
	}
	return attrs
}

// producedTopics names the topics of a request, also where it has their ids.
func producedTopics(version int16, req *wire.ProduceRequest, image *cluster.Image) []string {
	var names []string
	for i := range req.Topics {
		name := req.Topics[i].Name
		if version >= 13 {
			if topic := image.TopicByID(req.Topics[i].ID); topic != nil {
				name = topic.Name
			}
		}
		names = append(names, name)
	}
	return names
}

// faultyFetch makes a fetch wait, or returns what closes its connection.
func (s *Server) faultyFetch(r *Request, targets []fetchTarget) *hangUp {
	var names []string
	for i := range targets {
		if p := targets[i].partition; p != nil {
			names = append(names, p.Name.Topic)
		}
	}
	if err := s.faults.Hit(r.ctx, fault.FetchBeforeRead, attrsOf(r, names...)...); err != nil {
		return &hangUp{reason: err.Error()}
	}
	return nil
}
