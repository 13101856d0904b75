package server

import (
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
)

// DeleteGroups (API key 42), versions 0–2.
//
//	v1 throttle time   v2 flexible (KIP-482)
//
// A group with members is not deleted: NON_EMPTY_GROUP. Its offsets go with it.
func init() { register(42, 0, 2, (*Server).deleteGroups) }

func (s *Server) deleteGroups(r *Request, req *kmsg.DeleteGroupsRequest) kmsg.Response {
	resp := kmsg.NewPtrDeleteGroupsResponse()
	ids := slices.Clone(req.Groups)
	slices.Sort(ids)
	ids = slices.Compact(ids)
	resp.Groups = make([]kmsg.DeleteGroupsResponseGroup, len(ids))
	// Together, so that they share their fsyncs; a few at a time.
	var wg sync.WaitGroup
	slots := make(chan struct{}, 16)
	for i, id := range ids {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			err := s.onGroup(r, acl.Delete, id)
			if err == nil {
				err = s.groups.Delete(r.Context(), id)
			}
			resp.Groups[i] = kmsg.DeleteGroupsResponseGroup{Group: id, ErrorCode: groupCode(err)}
		})
	}
	wg.Wait()
	return resp
}
