package server_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// clusterRequest builds the requests about log folders, leaders, reassignments, the quorum and
// features; nil for any other command.
func clusterRequest(d *datadriven.TestData, items []adminItem) kmsg.Request {
	all := d.HasArg("all")
	switch d.Cmd {
	case "describe-log-dirs":
		req := kmsg.NewPtrDescribeLogDirsRequest()
		for _, i := range items {
			req.Topics = append(req.Topics, kmsg.DescribeLogDirsRequestTopic{Topic: i.name, Partitions: parseInts(i.args["partitions"])})
		}
		if !all && req.Topics == nil {
			req.Topics = []kmsg.DescribeLogDirsRequestTopic{}
		}
		return req
	case "alter-replica-log-dirs":
		req := kmsg.NewPtrAlterReplicaLogDirsRequest()
		for _, i := range items {
			req.Dirs = append(req.Dirs, kmsg.AlterReplicaLogDirsRequestDir{Dir: i.name, Topics: []kmsg.AlterReplicaLogDirsRequestDirTopic{
				{Topic: i.args["topic"], Partitions: parseInts(i.args["partitions"])},
			}})
		}
		return req
	case "elect-leaders":
		req := kmsg.NewPtrElectLeadersRequest()
		req.TimeoutMillis = 10_000
		for _, i := range items {
			if i.name == "type" {
				req.ElectionType = int8(i.int("n", 0))
				continue
			}
			req.Topics = append(req.Topics, kmsg.ElectLeadersRequestTopic{Topic: i.name, Partitions: parseInts(i.args["partitions"])})
		}
		if !all && req.Topics == nil {
			req.Topics = []kmsg.ElectLeadersRequestTopic{}
		}
		return req
	case "alter-reassignments":
		req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
		req.TimeoutMillis = 10_000
		for _, i := range items {
			p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
			p.Partition = int32(i.int("partition", 0))
			if list, ok := i.args["replicas"]; ok {
				p.Replicas = append([]int32{}, parseInts(list)...)
			}
			req.Topics = append(req.Topics, kmsg.AlterPartitionAssignmentsRequestTopic{Topic: i.name, Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{p}})
		}
		return req
	case "list-reassignments":
		req := kmsg.NewPtrListPartitionReassignmentsRequest()
		req.TimeoutMillis = 10_000
		for _, i := range items {
			req.Topics = append(req.Topics, kmsg.ListPartitionReassignmentsRequestTopic{Topic: i.name, Partitions: parseInts(i.args["partitions"])})
		}
		return req
	case "describe-quorum":
		req := kmsg.NewPtrDescribeQuorumRequest()
		for _, i := range items {
			t := kmsg.DescribeQuorumRequestTopic{Topic: i.name}
			for _, p := range parseInts(i.args["partitions"]) {
				t.Partitions = append(t.Partitions, kmsg.DescribeQuorumRequestTopicPartition{Partition: p})
			}
			req.Topics = append(req.Topics, t)
		}
		return req
	case "list-config-resources":
		req := kmsg.NewPtrListConfigResourcesRequest()
		for _, i := range items {
			for _, kind := range parseInts(i.args["types"]) {
				req.ResourceTypes = append(req.ResourceTypes, int8(kind))
			}
		}
		return req
	case "update-features":
		req := kmsg.NewPtrUpdateFeaturesRequest()
		req.TimeoutMillis = 10_000
		req.ValidateOnly = d.HasArg("validate-only")
		for _, i := range items {
			u := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
			u.Feature, u.MaxVersionLevel, u.UpgradeType = i.name, int16(i.int("level", 0)), int8(i.int("type", 1))
			u.AllowDowngrade = i.int("downgrade", 0) != 0
			req.FeatureUpdates = append(req.FeatureUpdates, u)
		}
		return req
	case "add-voter":
		req := kmsg.NewPtrAddRaftVoterRequest()
		req.TimeoutMillis, req.AckWhenCommitted = 1000, true
		for _, i := range items {
			req.VoterID, req.ClusterID = int32(i.int("id", 0)), clusterArg(i)
			copy(req.VoterDirectoryID[:], i.args["dir"])
			if name, ok := i.args["listener"]; ok {
				req.Listeners = append(req.Listeners, kmsg.AddRaftVoterRequestListener{Name: name, Host: "192.0.2.1", Port: 9093})
			}
		}
		return req
	case "remove-voter":
		req := kmsg.NewPtrRemoveRaftVoterRequest()
		for _, i := range items {
			req.VoterID, req.ClusterID = int32(i.int("id", 0)), clusterArg(i)
			copy(req.VoterDirectoryID[:], i.args["dir"])
		}
		return req
	case "unregister-broker":
		req := kmsg.NewPtrUnregisterBrokerRequest()
		for _, i := range items {
			req.BrokerID = int32(i.int("id", 0))
		}
		return req
	case "features":
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion = "scenario", "1"
		return req
	}
	return nil
}

// clusterArg is the cluster id that a request names, if any.
func clusterArg(i adminItem) *string {
	if id, ok := i.args["cluster"]; ok {
		return &id
	}
	return nil
}

// withoutIDs takes out of a message what differs from run to run: the cluster's and the voter's own id.
func withoutIDs(message *string) *string {
	if message == nil {
		return nil
	}
	before, _, clusterID := strings.Cut(*message, "the cluster id ")
	out := *message
	if clusterID {
		out = before + "the cluster id …"
	}
	if before, _, voters := strings.Cut(out, "[ReplicaKey(id=1, "); voters {
		out = before + "[ReplicaKey(id=1, …)]"
	}
	return &out
}

// printCluster shows the answers to them. What differs from run to run is left out or told as there.
func printCluster(out *strings.Builder, resp kmsg.Response) {
	switch r := resp.(type) {
	case *kmsg.DescribeLogDirsResponse:
		fmt.Fprintf(out, "%s dirs=%d\n", codeName(r.ErrorCode), len(r.Dirs))
		for _, dir := range r.Dirs {
			fmt.Fprintf(out, "%s absolute=%v total=%v usable=%v cordoned=%v\n", codeName(dir.ErrorCode), strings.HasPrefix(dir.Dir, "/"), dir.TotalBytes > 0, dir.UsableBytes > 0, dir.IsCordoned)
			slices.SortFunc(dir.Topics, func(a, b kmsg.DescribeLogDirsResponseDirTopic) int { return cmp.Compare(a.Topic, b.Topic) })
			for _, t := range dir.Topics {
				if strings.HasPrefix(t.Topic, "__") || !strings.HasPrefix(t.Topic, "cl-") {
					continue
				}
				slices.SortFunc(t.Partitions, func(a, b kmsg.DescribeLogDirsResponseDirTopicPartition) int {
					return cmp.Compare(a.Partition, b.Partition)
				})
				for _, p := range t.Partitions {
					fmt.Fprintf(out, "  %s-%d: size=%d lag=%d future=%v\n", t.Topic, p.Partition, p.Size, p.OffsetLag, p.IsFuture)
				}
			}
		}
	case *kmsg.AlterReplicaLogDirsResponse:
		slices.SortFunc(r.Topics, func(a, b kmsg.AlterReplicaLogDirsResponseTopic) int { return cmp.Compare(a.Topic, b.Topic) })
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				fmt.Fprintf(out, "%s-%d: %s\n", t.Topic, p.Partition, codeName(p.ErrorCode))
			}
		}
	case *kmsg.ElectLeadersResponse:
		fmt.Fprintf(out, "%s\n", codeName(r.ErrorCode))
		slices.SortFunc(r.Topics, func(a, b kmsg.ElectLeadersResponseTopic) int { return cmp.Compare(a.Topic, b.Topic) })
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				fmt.Fprintf(out, "%s-%d: %s%s\n", t.Topic, p.Partition, codeName(p.ErrorCode), shownMessage(p.ErrorMessage))
			}
		}
	case *kmsg.AlterPartitionAssignmentsResponse:
		fmt.Fprintf(out, "%s%s\n", codeName(r.ErrorCode), shownMessage(r.ErrorMessage))
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				fmt.Fprintf(out, "%s-%d: %s%s\n", t.Topic, p.Partition, codeName(p.ErrorCode), shownMessage(p.ErrorMessage))
			}
		}
	case *kmsg.ListPartitionReassignmentsResponse:
		fmt.Fprintf(out, "%s%s topics=%d\n", codeName(r.ErrorCode), shownMessage(r.ErrorMessage), len(r.Topics))
	case *kmsg.DescribeQuorumResponse:
		fmt.Fprintf(out, "%s%s nodes=%d\n", codeName(r.ErrorCode), shownMessage(r.ErrorMessage), len(r.Nodes))
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				fmt.Fprintf(out, "%s-%d: %s%s leader=%d epoch=%v hw=%v voters=%d observers=%d\n", t.Topic, p.Partition, codeName(p.ErrorCode), shownMessage(p.ErrorMessage),
					p.LeaderID, p.LeaderEpoch > 0, p.HighWatermark > 0, len(p.CurrentVoters), len(p.Observers))
				for _, v := range p.CurrentVoters {
					fmt.Fprintf(out, "  voter %d end=%v fetched=%v caught-up=%v\n", v.ReplicaID, v.LogEndOffset > 0, v.LastFetchTimestamp > 0, v.LastCaughtUpTimestamp > 0)
				}
			}
		}
		for _, n := range r.Nodes {
			fmt.Fprintf(out, "node %d listeners=%d\n", n.NodeID, len(n.Listeners))
		}
	case *kmsg.ListConfigResourcesResponse:
		fmt.Fprintf(out, "%s\n", codeName(r.ErrorCode))
		slices.SortFunc(r.ConfigResources, func(a, b kmsg.ListConfigResourcesResponseConfigResource) int {
			return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name))
		})
		for _, c := range r.ConfigResources {
			if c.Type != 2 && c.Type != 32 || strings.HasPrefix(c.Name, "cl-") { // not what other tests have made
				fmt.Fprintf(out, "type=%d %s\n", c.Type, c.Name)
			}
		}
	case *kmsg.UpdateFeaturesResponse:
		fmt.Fprintf(out, "%s%s\n", codeName(r.ErrorCode), shownMessage(r.ErrorMessage))
		for _, x := range r.Results {
			fmt.Fprintf(out, "%s: %s%s\n", x.Feature, codeName(x.ErrorCode), shownMessage(x.ErrorMessage))
		}
	case *kmsg.AddRaftVoterResponse:
		fmt.Fprintf(out, "%s%s\n", codeName(r.ErrorCode), shownMessage(withoutIDs(r.ErrorMessage)))
	case *kmsg.RemoveRaftVoterResponse:
		fmt.Fprintf(out, "%s%s\n", codeName(r.ErrorCode), shownMessage(withoutIDs(r.ErrorMessage)))
	case *kmsg.UnregisterBrokerResponse:
		fmt.Fprintf(out, "%s%s\n", codeName(r.ErrorCode), shownMessage(r.ErrorMessage))
	case *kmsg.ApiVersionsResponse:
		slices.SortFunc(r.SupportedFeatures, func(a, b kmsg.ApiVersionsResponseSupportedFeature) int { return cmp.Compare(a.Name, b.Name) })
		slices.SortFunc(r.FinalizedFeatures, func(a, b kmsg.ApiVersionsResponseFinalizedFeature) int { return cmp.Compare(a.Name, b.Name) })
		for _, f := range r.SupportedFeatures {
			if f.Name == "streams.version" {
				continue // of Kafka only: docs/protocol.md, "What is not served"
			}
			fmt.Fprintf(out, "supported %s %d-%d\n", f.Name, f.MinVersion, f.MaxVersion)
		}
		for _, f := range r.FinalizedFeatures {
			if f.Name == "streams.version" {
				continue
			}
			fmt.Fprintf(out, "finalized %s %d-%d\n", f.Name, f.MinVersionLevel, f.MaxVersionLevel)
		}
	default:
		printQuotas(out, resp)
	}
}
