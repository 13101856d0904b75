package server

import (
	"regexp"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/txn"
	"millrace/broker/internal/txncoordinator"
)

// ListTransactions (API key 66), versions 0–2 (KIP-664).
//
//	v1 by duration (KIP-994)   v2 by a pattern of the transactional id (KIP-1152)
//
// The pattern is of RE2 syntax (docs/divergence.md) and has to match the whole id.
func init() { register(66, 0, 2, (*Server).listTransactions) }

func (s *Server) listTransactions(r *Request, req *kmsg.ListTransactionsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ListTransactionsResponse)
	match := func(string) bool { return true }
	if p := orEmpty(req.TransactionalIDPattern); r.Version >= 2 && p != "" {
		pattern, err := regexp.Compile(`^(?:` + p + `)$`)
		if err != nil {
			resp.ErrorCode = kerr.InvalidRegularExpression.Code
			s.metrics.failed(66, resp.ErrorCode)
			return resp
		}
		match = pattern.MatchString
	}
	var states []txn.State
	for _, name := range req.StateFilters {
		if state, ok := txn.ParseState(name); ok {
			states = append(states, state)
		} else if !slices.Contains(resp.UnknownStateFilters, name) {
			resp.UnknownStateFilters = append(resp.UnknownStateFilters, name)
		}
	}
	ids, err := s.txns.List()
	if err != nil {
		resp.UnknownStateFilters, resp.ErrorCode = nil, err.Code
		s.metrics.failed(66, resp.ErrorCode)
		return resp
	}
	now := time.Now()
	for _, id := range ids {
		switch {
		case len(req.ProducerIDFilters) > 0 && !slices.Contains(req.ProducerIDFilters, id.ProducerID):
		case len(req.StateFilters) > 0 && !slices.Contains(states, id.State):
		case r.Version >= 1 && req.DurationFilterMillis >= 0 && runningFor(id, now) <= req.DurationFilterMillis:
		case !match(id.ID), !s.may(r, acl.Describe, acl.TransactionalID, id.ID):
		default:
			out := kmsg.NewListTransactionsResponseTransactionState()
			out.TransactionalID, out.ProducerID, out.TransactionState = id.ID, id.ProducerID, id.State.String()
			resp.TransactionStates = append(resp.TransactionStates, out)
		}
	}
	return resp
}

// runningFor is the milliseconds since a transaction began, or as Kafka reckons, since 1970 where
// there is none.
func runningFor(id txncoordinator.Listed, now time.Time) int64 {
	if id.Started.IsZero() {
		return now.UnixMilli() + 1
	}
	return now.UnixMilli() - id.Started.UnixMilli()
}
