package config

// groupCoordinatorDefs are about consumer groups and their offsets.
var groupCoordinatorDefs = []Def{
	{Name: "group.initial.rebalance.delay.ms", Type: Int, Default: "3000", rule: atLeast(0),
		Doc:  "How long an empty group waits for more members after the first has joined. Less starts sooner, more saves rebalances.",
		bind: func(b *Broker) any { return &b.GroupInitialRebalanceDelayMs }},
	{Name: "group.max.session.timeout.ms", Type: Int, Default: "1800000", rule: atLeast(1),
		Doc:  "The longest session timeout that a member may ask for.",
		bind: func(b *Broker) any { return &b.GroupMaxSessionTimeoutMs }},
	{Name: "group.max.size", Type: Int, Default: maxInt, rule: atLeast(1),
		Doc:  "How many members a group may have.",
		bind: func(b *Broker) any { return &b.GroupMaxSize }},
	{Name: "group.min.session.timeout.ms", Type: Int, Default: "6000", rule: atLeast(1),
		Doc:  "The shortest session timeout that a member may ask for.",
		bind: func(b *Broker) any { return &b.GroupMinSessionTimeoutMs }},
	{Name: "offset.metadata.max.bytes", Type: Int, Default: "4096", rule: atLeast(0),
		Doc:  "How long the text may be that a client stores with an offset.",
		bind: func(b *Broker) any { return &b.OffsetMetadataMaxBytes }},
	{Name: "offsets.commit.timeout.ms", Type: Int, Default: "5000", rule: atLeast(1), Ignored: true,
		Doc: "How long a commit of offsets waits for its record to be safe."},
	{Name: "offsets.load.buffer.size", Type: Int, Default: "5242880", rule: atLeast(1), Ignored: true,
		Doc: "How many bytes at a time are read when groups are loaded."},
	{Name: "offsets.retention.check.interval.ms", Type: Long, Default: "600000", rule: atLeast(1),
		Doc:  "How often it is looked for offsets to forget.",
		bind: func(b *Broker) any { return &b.OffsetsRetentionCheckIntervalMs }},
	{Name: "offsets.retention.minutes", Type: Int, Default: "10080", rule: atLeast(1),
		Doc:  "How long the offsets of a group without members are kept.",
		bind: func(b *Broker) any { return &b.OffsetsRetentionMinutes }},
	{Name: "offsets.topic.compression.codec", Type: Int, Default: "0", rule: between(0, 4), Ignored: true,
		Doc: "How __consumer_offsets is compressed: 0 not, 1 gzip, 2 snappy, 3 lz4, 4 zstd."},
	{Name: "offsets.topic.num.partitions", Type: Int, Default: "50", rule: atLeast(1),
		Doc:  "How many partitions __consumer_offsets gets when it is created.",
		bind: func(b *Broker) any { return &b.OffsetsTopicNumPartitions }},
	{Name: "offsets.topic.replication.factor", Type: Short, Default: "1", rule: atLeast(1),
		Doc:  "How many replicas __consumer_offsets gets when it is created. Kafka's own default is 3.",
		bind: func(b *Broker) any { return &b.OffsetsTopicReplicationFactor }},
	{Name: "offsets.topic.segment.bytes", Type: Int, Default: "104857600", rule: atLeast(1),
		Doc:  "The segment.bytes of __consumer_offsets. Small, so that loading is fast.",
		bind: func(b *Broker) any { return &b.OffsetsTopicSegmentBytes }},
}

// transactionDefs are about transactional producers.
var transactionDefs = []Def{
	{Name: "transaction.max.timeout.ms", Type: Int, Default: "900000", rule: atLeast(1), Ignored: true,
		Doc: "The longest timeout that a transactional producer may ask for."},
	{Name: "transaction.state.log.min.isr", Type: Int, Default: "1", rule: atLeast(1),
		Doc:  "The min.insync.replicas of __transaction_state. Kafka's own default is 2.",
		bind: func(b *Broker) any { return &b.TransactionStateLogMinISR }},
	{Name: "transaction.state.log.num.partitions", Type: Int, Default: "50", rule: atLeast(1),
		Doc:  "How many partitions __transaction_state gets when it is created.",
		bind: func(b *Broker) any { return &b.TransactionStateLogNumPartitions }},
	{Name: "transaction.state.log.replication.factor", Type: Short, Default: "1", rule: atLeast(1),
		Doc:  "How many replicas __transaction_state gets when it is created. Kafka's own default is 3.",
		bind: func(b *Broker) any { return &b.TransactionStateLogReplication }},
	{Name: "transaction.state.log.segment.bytes", Type: Int, Default: "104857600", rule: atLeast(1),
		Doc:  "The segment.bytes of __transaction_state.",
		bind: func(b *Broker) any { return &b.TransactionStateLogSegmentBytes }},
	{Name: "transactional.id.expiration.ms", Type: Int, Default: "604800000", rule: atLeast(1), Ignored: true,
		Doc: "How long a transactional id is remembered that is not used."},
}

// ignoredDefs are Kafka's settings for things that work otherwise here. They stand
// in many a properties file, so they are accepted and reported.
var ignoredDefs = []Def{
	ignored("auto.leader.rebalance.enable", Boolean, "true", ReadOnly, "Whether leadership goes back to the preferred replica by itself."),
	ignored("background.threads", Int, "10", ClusterWide, "Threads for housekeeping."),
	ignored("broker.heartbeat.interval.ms", Int, "2000", ReadOnly, "How often a broker reports to the controller."),
	ignored("broker.session.timeout.ms", Int, "9000", ReadOnly, "After how long without a report a broker is taken for gone."),
	ignored("controlled.shutdown.enable", Boolean, "true", ReadOnly, "Whether a broker hands over leadership before it stops."),
	ignored("controller.quorum.bootstrap.servers", List, "", ReadOnly, "Addresses to find the controllers at."),
	ignored("controller.quorum.voters", List, "", ReadOnly, "The controllers, as id@host:port."),
	ignored("group.coordinator.rebalance.protocols", List, "classic,consumer,share", ReadOnly, "The group protocols that are served; here always all three."),
	ignored("inter.broker.listener.name", String, "", ReadOnly, "The listener that brokers use among themselves."),
	ignored("leader.imbalance.check.interval.seconds", Long, "300", ReadOnly, "How often it is looked whether leadership is out of balance."),
	ignored("metadata.log.dir", String, "", ReadOnly, "The folder of the metadata log; here it is the data folder."),
	ignored("metadata.log.segment.bytes", Int, "1073741824", ReadOnly, "The largest segment of the metadata log."),
	ignored("num.io.threads", Int, "8", ClusterWide, "Threads that handle requests; here each connection has its own goroutine."),
	ignored("num.network.threads", Int, "3", ClusterWide, "Threads that read and write sockets; here each connection has its own goroutine."),
	ignored("num.recovery.threads.per.data.dir", Int, "2", ClusterWide, "Threads that recover logs at start."),
	ignored("num.replica.fetchers", Int, "1", ClusterWide, "Threads that copy from each leader."),
	ignored("process.roles", List, "broker,controller", ReadOnly, "What the process is; here always both."),
	ignored("queued.max.requests", Int, "500", ReadOnly, "How many requests may wait for a thread."),
	ignored("replica.fetch.max.bytes", Int, "1048576", ReadOnly, "How much of a partition a follower asks for at once."),
	ignored("replica.fetch.wait.max.ms", Int, "500", ReadOnly, "How long a follower's fetch may wait for data."),
	ignored("replica.high.watermark.checkpoint.interval.ms", Long, "5000", ReadOnly, "How often high watermarks are written down."),
	ignored("security.inter.broker.protocol", String, "PLAINTEXT", ReadOnly, "The security protocol among brokers."),
	ignored("share.coordinator.snapshot.update.records.per.snapshot", Int, "500", ReadOnly, "After how many changes of a share group's partition its whole state is written; here each time."),
}

func ignored(name string, t Type, value string, u Update, doc string) Def {
	return Def{Name: name, Type: t, Default: value, Null: value == "" && t == String, Update: u, Ignored: true, Doc: doc}
}
