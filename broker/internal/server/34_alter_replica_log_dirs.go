package server

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
)

// AlterReplicaLogDirs (API key 34), versions 1–2 (KIP-113).
//
//	v2 flexible
//
// There is one data folder (log.dirs), where every partition is: a move into it has
// nothing to do, any other folder does not exist here.
func init() { register(34, 1, 2, (*Server).alterReplicaLogDirs) }

func (s *Server) alterReplicaLogDirs(r *Request, req *kmsg.AlterReplicaLogDirsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.AlterReplicaLogDirsResponse)
	denied := s.onCluster(r, acl.Alter)
	for i := range req.Dirs {
		dir := &req.Dirs[i]
		for j := range dir.Topics {
			asked := &dir.Topics[j]
			if len(asked.Partitions) == 0 {
				continue
			}
			out := kmsg.NewAlterReplicaLogDirsResponseTopic()
			out.Topic = asked.Topic
			for _, index := range asked.Partitions {
				p := kmsg.NewAlterReplicaLogDirsResponseTopicPartition()
				p.Partition = index
				if denied != nil {
					p.ErrorCode = denied.Code
				} else if dir.Dir == s.logDir() {
					_, err := s.replicas.Get(asked.Topic, index)
					p.ErrorCode = s.codeOf(err, "move partition", asked.Topic, index)
				} else {
					p.ErrorCode = kerr.LogDirNotFound.Code
				}
				out.Partitions = append(out.Partitions, p)
			}
			resp.Topics = append(resp.Topics, out)
		}
	}
	return resp
}
