package config

import (
	"math"
	"slices"
)

// brokerDefs are the settings of a broker.
var brokerDefs = slices.Concat(networkDefs, securityDefs, quotaDefs, topicRuleDefs, logDefs, groupCoordinatorDefs, modernGroupDefs, transactionDefs, ignoredDefs, elsewhereDefs)

// networkDefs say who the broker is and how it is reached.
var networkDefs = []Def{
	{Name: "advertised.listeners", Type: List, Null: true, rule: listeners(),
		Doc:  "The addresses that clients are told to use, by listener, where they differ from listeners (behind a port mapping, in a container).",
		bind: func(b *Broker) any { return &b.advertised }},
	{Name: "broker.id", Type: Int, Default: "-1", rule: atLeast(-1),
		Doc: "The old name of node.id."},
	{Name: "broker.rack", Type: String, Null: true,
		Doc:  "Where the broker stands, so that replicas can be spread and readers find a near one.",
		bind: func(b *Broker) any { return &b.Rack }},
	{Name: "connections.max.idle.ms", Type: Long, Default: "600000",
		Doc:  "After how long a connection without any request is closed; below zero never.",
		bind: func(b *Broker) any { return &b.ConnectionsMaxIdleMs }},
	{Name: "controller.listener.names", Type: List, Default: "",
		Doc:  "Names in listeners that are between controllers. This broker does not open them.",
		bind: func(b *Broker) any { return &b.controllerNames }},
	{Name: "fetch.max.bytes", Type: Int, Default: "57671680", rule: atLeast(1024),
		Doc:  "The most bytes that one fetch is answered with, whatever the client asks.",
		bind: func(b *Broker) any { return &b.FetchMaxBytes }},
	{Name: "listeners", Type: List, Default: "PLAINTEXT://127.0.0.1:9092", rule: listeners(),
		Doc:  "The addresses to accept connections on, NAME://host:port. No host means all of the machine's; the default is this machine alone (Kafka's is all).",
		bind: func(b *Broker) any { return &b.listeners }},
	{Name: "listener.security.protocol.map", Type: String, Default: "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT", rule: protocolMap(),
		Doc:  "Which security protocol each listener's name stands for.",
		bind: func(b *Broker) any { return &b.protocols }},
	{Name: "max.connections", Type: Int, Default: maxInt, rule: atLeast(0), Update: PerBroker, PerListener: true,
		Doc:  "How many connections may be open at once, on all listeners or on one; the next one is closed at once.",
		bind: func(b *Broker) any { return &b.MaxConnections }},
	{Name: "max.connection.creation.rate", Type: Int, Default: maxInt, rule: atLeast(0), Update: PerBroker,
		Doc:  "How many connections are accepted in a second, of all addresses together; the next one waits.",
		bind: func(b *Broker) any { return &b.MaxConnectionCreationRate }},
	{Name: "max.connections.per.ip.overrides", Type: String, Default: "", rule: connectionOverrides(), Update: PerBroker,
		Doc:  "The same for single addresses, as address:number with commas between.",
		bind: func(b *Broker) any { return &b.MaxConnectionsPerIPOverrides }},
	{Name: "max.connections.per.ip", Type: Int, Default: maxInt, rule: atLeast(0), Update: PerBroker,
		Doc:  "How many connections may be open at once from one address.",
		bind: func(b *Broker) any { return &b.MaxConnectionsPerIP }},
	{Name: "max.incremental.fetch.session.cache.slots", Type: Int, Default: "1000", rule: atLeast(0),
		Doc:  "How many incremental fetch sessions are kept.",
		bind: func(b *Broker) any { return &b.FetchSessionSlots }},
	{Name: "max.request.partition.size.limit", Type: Int, Default: "2000", rule: atLeast(1),
		Doc:  "How many partitions one DescribeTopicPartitions is answered with.",
		bind: func(b *Broker) any { return &b.MaxRequestPartitions }},
	{Name: "node.id", Type: Int, Default: "1", rule: atLeast(0),
		Doc:  "The broker's number in the cluster.",
		bind: func(b *Broker) any { return &b.NodeID }},
	{Name: "queued.max.request.bytes", Type: Long, Default: "268435456", rule: orUnlimited(atLeast(1)),
		Doc:  "How many bytes of requests may be in memory at once, over all connections; -1 is no limit, which is Kafka's default.",
		bind: func(b *Broker) any { return &b.QueuedMaxRequestBytes }},
	{Name: "request.timeout.ms", Type: Int, Default: "30000", rule: atLeast(1), Ignored: true,
		Doc: "How long the broker waits for an answer from another."},
	{Name: "socket.listen.backlog.size", Type: Int, Default: "50", rule: atLeast(1), Ignored: true,
		Doc: "How many connections may wait to be accepted; the system sets the upper limit."},
	{Name: "socket.receive.buffer.bytes", Type: Int, Default: "102400", rule: orUnlimited(atLeast(1)), Ignored: true,
		Doc: "The system's receive buffer of a connection; -1 leaves it to the system."},
	{Name: "socket.request.max.bytes", Type: Int, Default: "104857600", rule: atLeast(1),
		Doc:  "The largest request; a larger one closes the connection.",
		bind: func(b *Broker) any { return &b.SocketRequestMaxBytes }},
	{Name: "socket.send.buffer.bytes", Type: Int, Default: "102400", rule: orUnlimited(atLeast(1)), Ignored: true,
		Doc: "The system's send buffer of a connection; -1 leaves it to the system."},
}

// quotaDefs say over which times the use of clients is measured (KIP-13, KIP-599).
var quotaDefs = []Def{
	{Name: "controller.quota.window.num", Type: Int, Default: "11", rule: between(1, 3600),
		Doc:  "How many windows the changes of topics and partitions are measured over, the running one among them.",
		bind: func(b *Broker) any { return &b.ControllerQuotaWindowNum }},
	{Name: "controller.quota.window.size.seconds", Type: Int, Default: "1", rule: between(1, 3600),
		Doc:  "How long each of these windows is.",
		bind: func(b *Broker) any { return &b.ControllerQuotaWindowSizeSeconds }},
	{Name: "quota.window.num", Type: Int, Default: "11", rule: between(1, 3600),
		Doc:  "How many windows the rates of clients are measured over, the running one among them.",
		bind: func(b *Broker) any { return &b.QuotaWindowNum }},
	{Name: "quota.window.size.seconds", Type: Int, Default: "1", rule: between(1, 3600),
		Doc:  "How long each of these windows is; also the longest wait for request_percentage and connection_creation_rate.",
		bind: func(b *Broker) any { return &b.QuotaWindowSizeSeconds }},
}

// topicRuleDefs say how topics come and go.
var topicRuleDefs = []Def{
	{Name: "auto.create.topics.enable", Type: Boolean, Default: "true",
		Doc:  "Whether a topic is created when a client that allows it asks for its metadata.",
		bind: func(b *Broker) any { return &b.AutoCreateTopicsEnable }},
	{Name: "default.replication.factor", Type: Int, Default: "1", rule: between(1, math.MaxInt16),
		Doc:  "How many replicas a topic gets where none are asked for.",
		bind: func(b *Broker) any { return &b.DefaultReplicationFactor }},
	{Name: "delete.topic.enable", Type: Boolean, Default: "true",
		Doc:  "Whether topics may be deleted.",
		bind: func(b *Broker) any { return &b.DeleteTopicEnable }},
	{Name: "min.insync.replicas", Type: Int, Default: "1", rule: between(1, math.MaxInt32), Update: PerBroker,
		Doc: "How many replicas must have a record before a producer with acks=all is answered."},
	{Name: "num.partitions", Type: Int, Default: "1", rule: between(1, math.MaxInt32),
		Doc:  "How many partitions a topic gets where none are asked for.",
		bind: func(b *Broker) any { return &b.NumPartitions }},
	{Name: "unclean.leader.election.enable", Type: Boolean, Default: "false", Update: PerBroker, Ignored: true,
		Doc: "Whether a replica that was behind may lead when no other is left, at the price of lost records."},
}

const maxInt = "2147483647"
