package broker_test

import "github.com/twmb/franz-go/pkg/kmsg"

// part is a request with one topic and one partition; where is whatever names them.
func part[R any](req R, fill func(R)) R {
	fill(req)
	return req
}

// askings are requests of every key that asks for access.
func askings(k known) []asking {
	group, orders, t := "group", "orders", "txn"
	produce := func(batch []byte, txn *string) *kmsg.ProduceRequest {
		return part(kmsg.NewPtrProduceRequest(), func(r *kmsg.ProduceRequest) {
			r.Acks, r.TimeoutMillis, r.TransactionID = 1, 10_000, txn
			r.Topics = []kmsg.ProduceRequestTopic{{Topic: orders, TopicID: k.orders, Partitions: []kmsg.ProduceRequestTopicPartition{{Records: batch}}}}
		})
	}
	fetch := func(replica int32) *kmsg.FetchRequest {
		return part(kmsg.NewPtrFetchRequest(), func(r *kmsg.FetchRequest) {
			r.ReplicaID, r.ReplicaState.ID, r.MaxBytes = replica, replica, 1<<20
			p := kmsg.NewFetchRequestTopicPartition()
			p.PartitionMaxBytes = 1 << 20
			r.Topics = []kmsg.FetchRequestTopic{{Topic: orders, TopicID: k.orders, Partitions: []kmsg.FetchRequestTopicPartition{p}}}
			r.SessionEpoch = -1
		})
	}
	metadata := func(fill func(*kmsg.MetadataRequest)) *kmsg.MetadataRequest {
		return part(kmsg.NewPtrMetadataRequest(), fill)
	}
	named := func(names ...string) (out []kmsg.MetadataRequestTopic) {
		for _, n := range names {
			out = append(out, kmsg.MetadataRequestTopic{Topic: &n})
		}
		return out
	}
	commit := part(kmsg.NewPtrOffsetCommitRequest(), func(r *kmsg.OffsetCommitRequest) {
		r.Group, r.Generation = group, -1
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		r.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: orders, TopicID: k.orders, Partitions: []kmsg.OffsetCommitRequestTopicPartition{p}}}
	})
	offsets := func(all bool) *kmsg.OffsetFetchRequest {
		return part(kmsg.NewPtrOffsetFetchRequest(), func(r *kmsg.OffsetFetchRequest) {
			g := kmsg.NewOffsetFetchRequestGroup()
			g.Group, g.Topics = group, []kmsg.OffsetFetchRequestGroupTopic{{Topic: orders, Partitions: []int32{0}}}
			if all {
				g.Topics = nil
			}
			r.Groups = append(r.Groups, g)
		})
	}
	coordinator := func(kind int8, key string) *kmsg.FindCoordinatorRequest {
		return part(kmsg.NewPtrFindCoordinatorRequest(), func(r *kmsg.FindCoordinatorRequest) {
			r.CoordinatorType, r.CoordinatorKeys = kind, []string{key}
		})
	}
	configs := func(kind kmsg.ConfigResourceType, name string) *kmsg.DescribeConfigsRequest {
		return part(kmsg.NewPtrDescribeConfigsRequest(), func(r *kmsg.DescribeConfigsRequest) {
			r.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kind, ResourceName: name}}
		})
	}
	alter := func(kind kmsg.ConfigResourceType, name, setting, value string) *kmsg.IncrementalAlterConfigsRequest {
		return part(kmsg.NewPtrIncrementalAlterConfigsRequest(), func(r *kmsg.IncrementalAlterConfigsRequest) {
			r.ValidateOnly = true
			r.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{
				ResourceType: kind, ResourceName: name,
				Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: setting, Value: &value}},
			}}
		})
	}
	deletion := func(name *string, id [16]byte) *kmsg.DeleteTopicsRequest {
		return part(kmsg.NewPtrDeleteTopicsRequest(), func(r *kmsg.DeleteTopicsRequest) {
			r.Topics = []kmsg.DeleteTopicsRequestTopic{{Topic: name, TopicID: id}}
		})
	}
	create := part(kmsg.NewPtrCreateTopicsRequest(), func(r *kmsg.CreateTopicsRequest) {
		r.ValidateOnly = true
		r.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: "fresh", NumPartitions: 1, ReplicationFactor: 1}}
	})
	topicOf := func(topic string) []string {
		return []string{"describe topic " + topic}
	}
	missing, doomed := "missing", "doomed"

	return []asking{
		{"", 9, produce(k.batch, nil), []string{"describe topic orders", "write topic orders"}},
		{"by id", 13, produce(k.batch, nil), []string{"write topic orders"}},
		{"in a transaction", 11, produce(k.inTxn, &t), []string{"write topic orders", "write transactional-id txn"}},
		{"", 12, fetch(-1), []string{"describe topic orders", "read topic orders"}},
		{"by id", 17, fetch(-1), []string{"read topic orders"}},
		{"of a broker", 17, fetch(77), []string{"read topic orders"}},
		{"", 8, part(kmsg.NewPtrListOffsetsRequest(), func(r *kmsg.ListOffsetsRequest) {
			p := kmsg.NewListOffsetsRequestTopicPartition()
			p.Timestamp = -1
			r.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: orders, Partitions: []kmsg.ListOffsetsRequestTopicPartition{p}}}
		}), []string{"describe topic orders"}},
		{"all", 13, metadata(func(r *kmsg.MetadataRequest) { r.Topics, r.IncludeTopicAuthorizedOperations = nil, true }), []string{"describe topic orders", "alter topic doomed"}},
		{"by name", 13, metadata(func(r *kmsg.MetadataRequest) { r.Topics = named(orders, missing) }), []string{"describe topic orders", "describe topic missing"}},
		{"by id", 13, metadata(func(r *kmsg.MetadataRequest) {
			r.Topics = []kmsg.MetadataRequestTopic{{TopicID: k.orders}, {TopicID: [16]byte{1, 2}}}
		}), topicOf(orders)},
		{"creating", 9, metadata(func(r *kmsg.MetadataRequest) { r.Topics, r.AllowAutoTopicCreation = named("auto"), true }), []string{"describe topic auto", "create topic auto"}},
		{"of the cluster", 9, metadata(func(r *kmsg.MetadataRequest) {
			r.Topics, r.IncludeClusterAuthorizedOperations = []kmsg.MetadataRequestTopic{}, true
		}), []string{"create cluster", "describe cluster"}},
		{"", 9, commit, []string{"read topic orders", "read group group"}},
		{"by id", 10, commit, []string{"read group group", "read topic orders"}},
		{"", 9, offsets(false), []string{"describe group group", "describe topic orders"}},
		{"all", 9, offsets(true), []string{"describe group group", "describe topic orders"}},
		{"of a group", 4, coordinator(0, group), []string{"describe group group"}},
		{"of a transactional id", 4, coordinator(1, t), []string{"write transactional-id txn"}},
		{"of a share group's state", 6, coordinator(2, "group:AAAAAAAAAAAAAAAAAAAAAQ:0"), []string{"read group group", "cluster-action cluster"}},
		{"", 9, part(kmsg.NewPtrJoinGroupRequest(), func(r *kmsg.JoinGroupRequest) {
			r.Group, r.ProtocolType, r.SessionTimeoutMillis, r.RebalanceTimeoutMillis = group, "consumer", 10_000, 10_000
			r.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range"}}
		}), []string{"describe group group", "read group group"}},
		{"", 4, part(kmsg.NewPtrHeartbeatRequest(), func(r *kmsg.HeartbeatRequest) { r.Group, r.MemberID = group, "m" }), []string{"read group group"}},
		{"", 5, part(kmsg.NewPtrLeaveGroupRequest(), func(r *kmsg.LeaveGroupRequest) {
			r.Group, r.Members = group, []kmsg.LeaveGroupRequestMember{{MemberID: "m"}}
		}), []string{"read group group"}},
		{"", 4, part(kmsg.NewPtrSyncGroupRequest(), func(r *kmsg.SyncGroupRequest) { r.Group, r.MemberID = group, "m" }), []string{"read group group"}},
		{"", 5, part(kmsg.NewPtrDescribeGroupsRequest(), func(r *kmsg.DescribeGroupsRequest) {
			r.Groups, r.IncludeAuthorizedOperations = []string{group}, true
		}), []string{"describe group group", "delete group group"}},
		{"", 5, kmsg.NewPtrListGroupsRequest(), []string{"read group group", "describe cluster"}},
		{"by a topic's right", 7, create, []string{"describe topic fresh", "create topic fresh", "describe-configs topic fresh"}},
		{"by the cluster's right", 7, create, []string{"create cluster"}},
		{"by name", 6, deletion(&orders, [16]byte{}), topicOf(orders)},
		{"not there", 6, deletion(&missing, [16]byte{}), topicOf(missing)},
		{"by id", 6, deletion(nil, k.orders), topicOf(orders)},
		{"by an unknown id", 6, deletion(nil, [16]byte{1, 2}), nil},
		{"done", 6, deletion(&doomed, [16]byte{}), []string{"delete topic doomed"}},
		{"", 2, part(kmsg.NewPtrDeleteRecordsRequest(), func(r *kmsg.DeleteRecordsRequest) {
			r.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: orders, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{}}}}
			r.TimeoutMillis = 10_000
		}), []string{"write topic orders", "delete topic orders"}},
		{"idempotent", 4, kmsg.NewPtrInitProducerIDRequest(), []string{"idempotent-write cluster"}},
		{"idempotent, for some topic", 4, kmsg.NewPtrInitProducerIDRequest(), []string{"read topic orders", "write topic orders"}},
		{"transactional", 4, part(kmsg.NewPtrInitProducerIDRequest(), func(r *kmsg.InitProducerIDRequest) {
			r.TransactionalID, r.TransactionTimeoutMillis = &t, 60_000
		}), []string{"describe transactional-id txn", "write transactional-id txn"}},
		{"", 4, part(kmsg.NewPtrOffsetForLeaderEpochRequest(), func(r *kmsg.OffsetForLeaderEpochRequest) {
			p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
			r.ReplicaID = -1
			r.Topics = []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: orders, Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{p}}}
		}), []string{"describe topic orders"}},
		{"", 3, part(kmsg.NewPtrAddPartitionsToTxnRequest(), func(r *kmsg.AddPartitionsToTxnRequest) {
			r.TransactionalID, r.ProducerID = t, 999_999
			r.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: orders, Partitions: []int32{0}}, {Topic: missing, Partitions: []int32{0}}}
		}), []string{"write transactional-id txn", "write topic orders", "write topic missing"}},
		{"of a broker", 4, part(kmsg.NewPtrAddPartitionsToTxnRequest(), func(r *kmsg.AddPartitionsToTxnRequest) {
			r.Transactions = []kmsg.AddPartitionsToTxnRequestTransaction{{TransactionalID: t, ProducerID: 999_999, Topics: []kmsg.AddPartitionsToTxnRequestTransactionTopic{{Topic: orders, Partitions: []int32{0}}}}}
		}), []string{"cluster-action cluster", "write transactional-id txn", "write topic orders"}},
		{"", 3, part(kmsg.NewPtrAddOffsetsToTxnRequest(), func(r *kmsg.AddOffsetsToTxnRequest) {
			r.TransactionalID, r.ProducerID, r.Group = t, 999_999, group
		}), []string{"write transactional-id txn", "read group group"}},
		{"", 4, part(kmsg.NewPtrEndTxnRequest(), func(r *kmsg.EndTxnRequest) { r.TransactionalID, r.ProducerID = t, 999_999 }), []string{"write transactional-id txn"}},
		{"", 1, part(kmsg.NewPtrWriteTxnMarkersRequest(), func(r *kmsg.WriteTxnMarkersRequest) {
			r.Markers = []kmsg.WriteTxnMarkersRequestMarker{{ProducerID: 999_999, Topics: []kmsg.WriteTxnMarkersRequestMarkerTopic{{Topic: orders, Partitions: []int32{99}}}}}
		}), []string{"describe cluster", "alter cluster"}},
		{"of a broker", 1, part(kmsg.NewPtrWriteTxnMarkersRequest(), func(r *kmsg.WriteTxnMarkersRequest) {
			r.Markers = []kmsg.WriteTxnMarkersRequestMarker{{ProducerID: 999_999, Topics: []kmsg.WriteTxnMarkersRequestMarkerTopic{{Topic: orders, Partitions: []int32{99}}}}}
		}), []string{"cluster-action cluster"}},
		{"", 3, part(kmsg.NewPtrTxnOffsetCommitRequest(), func(r *kmsg.TxnOffsetCommitRequest) {
			r.TransactionalID, r.ProducerID, r.Group, r.Generation = t, 999_999, group, -1
			p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
			r.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: orders, Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{p}}}
		}), []string{"write transactional-id txn", "read group group"}},
		{"", 3, part(kmsg.NewPtrDescribeACLsRequest(), func(r *kmsg.DescribeACLsRequest) {
			r.ResourceType, r.ResourcePatternType, r.Operation, r.PermissionType = 5, 1, 1, 1
		}), []string{"describe cluster"}},
		{"a bad one", 3, part(kmsg.NewPtrCreateACLsRequest(), func(r *kmsg.CreateACLsRequest) {
			r.Creations = []kmsg.CreateACLsRequestCreation{{ResourceType: 4, ResourceName: "mine", ResourcePatternType: 3, Principal: "User:x", Host: "*", Operation: 3, PermissionType: 3}}
		}), []string{"describe cluster", "alter cluster"}},
		{"of nothing", 3, part(kmsg.NewPtrDeleteACLsRequest(), func(r *kmsg.DeleteACLsRequest) {
			r.Filters = []kmsg.DeleteACLsRequestFilter{{ResourceType: 5, ResourcePatternType: 1, Operation: 1, PermissionType: 1}}
		}), []string{"alter cluster"}},
		{"of a topic", 4, configs(kmsg.ConfigResourceTypeTopic, orders), []string{"describe topic orders", "describe-configs topic orders"}},
		{"of a group", 4, configs(kmsg.ConfigResourceTypeGroupConfig, group), []string{"alter-configs group group"}},
		{"of the cluster", 4, configs(kmsg.ConfigResourceTypeBroker, ""), []string{"describe-configs cluster"}},
		{"of a subscription", 4, configs(kmsg.ConfigResourceTypeClientMetrics, "none"), []string{"describe-configs cluster"}},
		{"of loggers", 4, configs(kmsg.ConfigResourceTypeBrokerLogger, "77"), []string{"describe-configs cluster"}},
		{"of a topic", 2, part(kmsg.NewPtrAlterConfigsRequest(), func(r *kmsg.AlterConfigsRequest) {
			r.ValidateOnly = true
			r.Resources = []kmsg.AlterConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: orders}}
		}), []string{"alter-configs topic orders"}},
		{"of a topic", 1, alter(kmsg.ConfigResourceTypeTopic, orders, "retention.ms", "1"), []string{"alter topic orders", "alter-configs topic orders"}},
		{"of a group", 1, alter(kmsg.ConfigResourceTypeGroupConfig, group, "consumer.session.timeout.ms", "50000"), []string{"alter-configs group group"}},
		{"of the cluster", 1, alter(kmsg.ConfigResourceTypeBroker, "", "log.retention.ms", "100"), []string{"alter-configs cluster"}},
		{"of a subscription", 1, alter(kmsg.ConfigResourceTypeClientMetrics, "none", "interval.ms", "1000"), []string{"alter-configs cluster"}},
		{"", 2, part(kmsg.NewPtrAlterReplicaLogDirsRequest(), func(r *kmsg.AlterReplicaLogDirsRequest) {
			r.Dirs = []kmsg.AlterReplicaLogDirsRequestDir{{Dir: "/nowhere", Topics: []kmsg.AlterReplicaLogDirsRequestDirTopic{{Topic: orders, Partitions: []int32{0}}}}}
		}), []string{"alter cluster"}},
		{"", 4, part(kmsg.NewPtrDescribeLogDirsRequest(), func(r *kmsg.DescribeLogDirsRequest) {
			r.Topics = []kmsg.DescribeLogDirsRequestTopic{{Topic: orders, Partitions: []int32{0}}}
		}), []string{"describe topic orders", "describe cluster"}},
		{"", 3, part(kmsg.NewPtrCreatePartitionsRequest(), func(r *kmsg.CreatePartitionsRequest) {
			r.ValidateOnly, r.TimeoutMillis = true, 10_000
			r.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: orders, Count: 2}}
		}), []string{"describe topic orders", "alter topic orders"}},
		{"", 2, part(kmsg.NewPtrDeleteGroupsRequest(), func(r *kmsg.DeleteGroupsRequest) { r.Groups = []string{"nobody"} }), []string{"read group nobody", "delete group nobody"}},
		{"", 2, part(kmsg.NewPtrElectLeadersRequest(), func(r *kmsg.ElectLeadersRequest) {
			r.Topics = []kmsg.ElectLeadersRequestTopic{{Topic: orders, Partitions: []int32{0}}}
		}), []string{"alter cluster"}},
		{"", 0, part(kmsg.NewPtrAlterPartitionAssignmentsRequest(), func(r *kmsg.AlterPartitionAssignmentsRequest) {
			r.Topics = []kmsg.AlterPartitionAssignmentsRequestTopic{{Topic: orders, Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{{}}}}
		}), []string{"alter cluster"}},
		{"", 0, kmsg.NewPtrListPartitionReassignmentsRequest(), []string{"describe cluster"}},
		{"", 0, part(kmsg.NewPtrOffsetDeleteRequest(), func(r *kmsg.OffsetDeleteRequest) {
			r.Group, r.Topics = group, []kmsg.OffsetDeleteRequestTopic{{Topic: orders, Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 0}}}}
		}), []string{"read group group", "delete group group", "read topic orders"}},
		{"", 1, kmsg.NewPtrDescribeClientQuotasRequest(), []string{"describe cluster", "describe-configs cluster"}},
		{"", 1, part(kmsg.NewPtrAlterClientQuotasRequest(), func(r *kmsg.AlterClientQuotasRequest) {
			user := "x"
			r.ValidateOnly = true
			r.Entries = []kmsg.AlterClientQuotasRequestEntry{{Entity: []kmsg.AlterClientQuotasRequestEntryEntity{{Type: "user", Name: &user}}}}
		}), []string{"alter cluster", "alter-configs cluster"}},
		{"", 0, part(kmsg.NewPtrDescribeUserSCRAMCredentialsRequest(), func(r *kmsg.DescribeUserSCRAMCredentialsRequest) {
			r.Users = []kmsg.DescribeUserSCRAMCredentialsRequestUser{{Name: "nobody"}}
		}), []string{"describe cluster"}},
		{"", 0, part(kmsg.NewPtrAlterUserSCRAMCredentialsRequest(), func(r *kmsg.AlterUserSCRAMCredentialsRequest) {
			r.Deletions = []kmsg.AlterUserSCRAMCredentialsRequestDeletion{{Name: "nobody", Mechanism: 1}}
		}), []string{"describe cluster", "alter cluster"}},
		{"", 2, part(kmsg.NewPtrDescribeQuorumRequest(), func(r *kmsg.DescribeQuorumRequest) {
			r.Topics = []kmsg.DescribeQuorumRequestTopic{{Topic: "__cluster_metadata", Partitions: []kmsg.DescribeQuorumRequestTopicPartition{{}}}}
		}), []string{"describe cluster"}},
		{"", 2, part(kmsg.NewPtrUpdateFeaturesRequest(), func(r *kmsg.UpdateFeaturesRequest) {
			r.ValidateOnly = true
			r.FeatureUpdates = []kmsg.UpdateFeaturesRequestFeatureUpdate{{Feature: "no.such.feature", MaxVersionLevel: 1, UpgradeType: 1}}
		}), []string{"alter cluster"}},
		{"", 1, part(kmsg.NewPtrDescribeClusterRequest(), func(r *kmsg.DescribeClusterRequest) {
			r.EndpointType, r.IncludeClusterAuthorizedOperations = 1, true
		}), []string{"alter-configs cluster", "describe cluster"}},
		{"", 0, part(kmsg.NewPtrDescribeProducersRequest(), func(r *kmsg.DescribeProducersRequest) {
			r.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: orders, Partitions: []int32{0}}}
		}), []string{"describe topic orders", "read topic orders"}},
		{"", 0, part(kmsg.NewPtrUnregisterBrokerRequest(), func(r *kmsg.UnregisterBrokerRequest) { r.BrokerID = 77 }), []string{"alter cluster"}},
		{"", 0, part(kmsg.NewPtrDescribeTransactionsRequest(), func(r *kmsg.DescribeTransactionsRequest) { r.TransactionalIDs = []string{t} }), []string{"describe transactional-id txn"}},
		{"", 1, kmsg.NewPtrListTransactionsRequest(), []string{"describe transactional-id txn"}},
		{"", 0, part(kmsg.NewPtrConsumerGroupHeartbeatRequest(), func(r *kmsg.ConsumerGroupHeartbeatRequest) {
			r.Group, r.MemberID, r.MemberEpoch, r.SubscribedTopicNames = "modern", "m", 5, []string{orders}
		}), []string{"describe group modern", "read group modern", "describe topic orders"}},
		{"", 0, part(kmsg.NewPtrConsumerGroupDescribeRequest(), func(r *kmsg.ConsumerGroupDescribeRequest) { r.Groups = []string{"modern"} }), []string{"describe group modern"}},
		{"", 0, kmsg.NewPtrListConfigResourcesRequest(), []string{"describe cluster", "describe-configs cluster"}},
		{"by name", 0, part(kmsg.NewPtrDescribeTopicPartitionsRequest(), func(r *kmsg.DescribeTopicPartitionsRequest) {
			r.Topics = []kmsg.DescribeTopicPartitionsRequestTopic{{Topic: missing}, {Topic: orders}}
		}), []string{"describe topic orders", "describe topic missing"}},
		{"all", 0, kmsg.NewPtrDescribeTopicPartitionsRequest(), topicOf(orders)},
		{"", 1, part(kmsg.NewPtrShareGroupHeartbeatRequest(), func(r *kmsg.ShareGroupHeartbeatRequest) {
			r.GroupID, r.MemberID, r.MemberEpoch, r.SubscribedTopicNames = "sharing", "m", 5, []string{orders}
		}), []string{"describe group sharing", "read group sharing", "describe topic orders"}},
		{"", 1, part(kmsg.NewPtrShareGroupDescribeRequest(), func(r *kmsg.ShareGroupDescribeRequest) { r.GroupIDs = []string{"sharing"} }), []string{"describe group sharing"}},
		{"", 1, part(kmsg.NewPtrShareFetchRequest(), func(r *kmsg.ShareFetchRequest) {
			g, m := "sharing", "m"
			r.GroupID, r.MemberID, r.ShareSessionEpoch, r.MaxBytes, r.MaxRecords, r.BatchSize = &g, &m, 7, 1<<20, 10, 10
		}), []string{"describe group sharing", "read group sharing"}},
		{"", 1, part(kmsg.NewPtrShareAcknowledgeRequest(), func(r *kmsg.ShareAcknowledgeRequest) {
			g, m := "sharing", "m"
			r.GroupID, r.MemberID, r.ShareSessionEpoch = &g, &m, 7
		}), []string{"read group sharing"}},
		{"", 1, part(kmsg.NewPtrAddRaftVoterRequest(), func(r *kmsg.AddRaftVoterRequest) { r.VoterID = -1 }), []string{"alter cluster"}},
		{"", 0, part(kmsg.NewPtrRemoveRaftVoterRequest(), func(r *kmsg.RemoveRaftVoterRequest) { r.VoterID = -1 }), []string{"alter cluster"}},
		{"", 0, part(kmsg.NewPtrInitializeShareGroupStateRequest(), func(r *kmsg.InitializeShareGroupStateRequest) {
			r.GroupID, r.Topics = "sharing", []kmsg.InitializeShareGroupStateRequestTopic{{TopicID: k.orders, Partitions: []kmsg.InitializeShareGroupStateRequestTopicPartition{{Partition: 99}}}}
		}), []string{"cluster-action cluster"}},
		{"", 0, part(kmsg.NewPtrReadShareGroupStateRequest(), func(r *kmsg.ReadShareGroupStateRequest) {
			r.GroupID, r.Topics = "sharing", []kmsg.ReadShareGroupStateRequestTopic{{TopicID: k.orders, Partitions: []kmsg.ReadShareGroupStateRequestTopicPartition{{}}}}
		}), []string{"cluster-action cluster"}},
		{"", 0, part(kmsg.NewPtrWriteShareGroupStateRequest(), func(r *kmsg.WriteShareGroupStateRequest) {
			r.GroupID, r.Topics = "sharing", []kmsg.WriteShareGroupStateRequestTopic{{TopicID: k.orders, Partitions: []kmsg.WriteShareGroupStateRequestTopicPartition{{}}}}
		}), []string{"cluster-action cluster"}},
		{"", 0, part(kmsg.NewPtrDeleteShareGroupStateRequest(), func(r *kmsg.DeleteShareGroupStateRequest) {
			r.GroupID, r.Topics = "sharing", []kmsg.DeleteShareGroupStateRequestTopic{{TopicID: k.orders, Partitions: []kmsg.DeleteShareGroupStateRequestTopicPartition{{Partition: 99}}}}
		}), []string{"cluster-action cluster"}},
		{"", 0, part(kmsg.NewPtrReadShareGroupStateSummaryRequest(), func(r *kmsg.ReadShareGroupStateSummaryRequest) {
			r.GroupID, r.Topics = "sharing", []kmsg.ReadShareGroupStateSummaryRequestTopic{{TopicID: k.orders, Partitions: []kmsg.ReadShareGroupStateSummaryRequestTopicPartition{{Partition: 99}}}}
		}), []string{"cluster-action cluster"}},
		{"", 0, part(kmsg.NewPtrDescribeShareGroupOffsetsRequest(), func(r *kmsg.DescribeShareGroupOffsetsRequest) {
			r.Groups = []kmsg.DescribeShareGroupOffsetsRequestGroup{{GroupID: "sharing", Topics: []kmsg.DescribeShareGroupOffsetsRequestGroupTopic{{Topic: orders, Partitions: []int32{0}}}}}
		}), []string{"describe group sharing", "describe topic orders"}},
		{"", 0, part(kmsg.NewPtrDeleteShareGroupOffsetsRequest(), func(r *kmsg.DeleteShareGroupOffsetsRequest) {
			r.GroupID, r.Topics = "sharing", []kmsg.DeleteShareGroupOffsetsRequestTopic{{Topic: orders}}
		}), []string{"read group sharing", "delete group sharing", "read topic orders"}},
		{"", 0, part(kmsg.NewPtrAlterShareGroupOffsetsRequest(), func(r *kmsg.AlterShareGroupOffsetsRequest) {
			r.GroupID, r.Topics = "sharing", []kmsg.AlterShareGroupOffsetsRequestTopic{{Topic: orders, Partitions: []kmsg.AlterShareGroupOffsetsRequestTopicPartition{{}}}}
		}), []string{"describe group sharing", "read group sharing", "read topic orders"}},
	}
}
