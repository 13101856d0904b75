package server

import (
	"path/filepath"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/cluster"
)

// DescribeLogDirs (API key 35), versions 1–5 (KIP-113).
//
//	v2 flexible   v3 error of the request   v4 size and free space of the disk (KIP-827)   v5 cordoned (KIP-1066)
//
// A null list of topics asks for all. Partitions that are not here are left out, as
// Kafka leaves them out. A folder cannot be cordoned: there is one.
func init() { register(35, 1, 5, (*Server).describeLogDirs) }

func (s *Server) describeLogDirs(r *Request, req *kmsg.DescribeLogDirsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeLogDirsResponse)
	if denied := s.onCluster(r, acl.Describe); denied != nil {
		resp.ErrorCode = denied.Code
		return resp
	}
	dir := kmsg.NewDescribeLogDirsResponseDir()
	dir.Dir = s.logDir()
	if total, usable, err := s.replicas.DiskSpace(); err == nil { // else -1: not known
		dir.TotalBytes, dir.UsableBytes = total, usable
	}
	if s.replicas.DiskError() != nil {
		dir.ErrorCode = kerr.KafkaStorageError.Code
		resp.Dirs = append(resp.Dirs, dir)
		return resp
	}
	image := s.cluster.Image()
	if req.Topics == nil {
		for t := range image.Topics() {
			dir.Topics = s.appendLogSizes(dir.Topics, t, func(int32) bool { return true })
		}
	}
	for i := range req.Topics {
		asked := &req.Topics[i]
		if t := image.Topic(asked.Topic); t != nil {
			wanted := make(map[int32]bool, len(asked.Partitions))
			for _, index := range asked.Partitions {
				wanted[index] = true
			}
			dir.Topics = s.appendLogSizes(dir.Topics, t, func(index int32) bool { return wanted[index] })
		}
	}
	resp.Dirs = append(resp.Dirs, dir)
	return resp
}

// logDir is the one data folder, as an absolute path.
func (s *Server) logDir() string {
	dir := s.replicas.DirPath()
	if abs, err := filepath.Abs(dir); err == nil {
		return abs
	}
	return dir
}

// appendLogSizes adds a topic with those of its partitions that are wanted, if any is.
func (s *Server) appendLogSizes(topics []kmsg.DescribeLogDirsResponseDirTopic, t *cluster.Topic, wanted func(index int32) bool) []kmsg.DescribeLogDirsResponseDirTopic {
	out := kmsg.NewDescribeLogDirsResponseDirTopic()
	out.Topic = t.Name
	for i := range t.Partitions {
		index := t.Partitions[i].Index
		if !wanted(index) {
			continue
		}
		p := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
		p.Partition = index
		if s.replicas.OnDisk(t.Name, index) { // Get would make the folder of one that nobody has used yet
			partition, err := s.replicas.Get(t.Name, index)
			if err != nil {
				continue
			}
			p.Size = partition.Log().Size()
		}
		out.Partitions = append(out.Partitions, p)
	}
	if len(out.Partitions) == 0 {
		return topics
	}
	return append(topics, out)
}
