package config

// Listener is an address to accept connections on, or one to tell clients of.
// It is written NAME://host:port.
type Listener struct {
	Name string // upper case; unique among a broker's listeners
	Host string // empty: all interfaces
	Port int32  // 0: any free port (only where the broker listens)
}

// Broker holds one broker's settings, resolved through all layers. Fields carry
// Kafka's names; the unit is in the name. It is read-only once made: a change at
// run time makes a new one.
type Broker struct {
	NodeID int32 // node.id
	Rack   string

	Listeners           []Listener // controller listeners left out
	AdvertisedListeners []Listener // as given, else Listeners
	LogDirs             []string

	AutoCreateTopicsEnable   bool
	DeleteTopicEnable        bool
	NumPartitions            int32
	DefaultReplicationFactor int32
	MaxRequestPartitions     int32 // max.request.partition.size.limit

	SocketRequestMaxBytes int32
	QueuedMaxRequestBytes int64 // over all connections; -1: no limit
	MaxConnections        int32
	MaxConnectionsPerIP   int32
	// MaxConnectionsPerIPOverrides says it of single addresses: ConnectionsOf.
	MaxConnectionsPerIPOverrides string
	MaxConnectionCreationRate    int32 // a second
	ConnectionsMaxIdleMs         int64
	FetchMaxBytes                int32
	FetchSessionSlots            int32 // max.incremental.fetch.session.cache.slots
	LogRetentionCheckMs          int64
	LogFlushOffsetCheckpointMs   int32

	LogCleanerEnable              bool
	LogCleanerThreads             int32
	LogCleanerBackoffMs           int64
	LogCleanerDedupeBufferSize    int64
	LogCleanerIOBufferSize        int32
	LogCleanerLoadFactor          float64 // 0 to 1
	LogCleanerIOMaxBytesPerSecond float64

	AuthorizerClassName       string // empty, or StandardAuthorizer
	SuperUsers                string // SplitSuperUsers
	AllowEveryoneIfNoACLFound bool

	ProducerIDExpirationMs int32

	QuotaWindowNum                   int32 // of each rate, the running one among them
	QuotaWindowSizeSeconds           int32
	ControllerQuotaWindowNum         int32 // of controller_mutation_rate
	ControllerQuotaWindowSizeSeconds int32

	OffsetsTopicNumPartitions        int32
	OffsetsTopicReplicationFactor    int16
	OffsetsTopicSegmentBytes         int32
	OffsetsRetentionMinutes          int32
	OffsetsRetentionCheckIntervalMs  int64
	OffsetMetadataMaxBytes           int32
	GroupInitialRebalanceDelayMs     int32
	GroupMinSessionTimeoutMs         int32
	GroupMaxSessionTimeoutMs         int32
	GroupMaxSize                     int32
	GroupConsumerMaxSize             int32
	GroupConsumerAssignors           []string
	GroupConsumerMigrationPolicy     string
	GroupShareMaxSize                int32
	GroupShareMaxSessions            int32
	ShareStateNumPartitions          int32
	ShareStateReplicationFactor      int16
	ShareStateSegmentBytes           int32
	ShareStateMinISR                 int16
	TransactionStateLogNumPartitions int32
	TransactionStateLogReplication   int16
	TransactionStateLogSegmentBytes  int32
	TransactionStateLogMinISR        int32
	TransactionMaxTimeoutMs          int32
	TransactionalIDExpirationMs      int32
	TransactionIDCheckMs             int32 // transaction.remove.expired.transaction.cleanup.interval.ms
	TransactionVerification          bool  // transaction.partition.verification.enable
	AddPartitionsRetryMs             int32 // add.partitions.to.txn.retry.backoff.ms
	AddPartitionsRetryMaxMs          int32

	Group Group // what a group has that sets nothing itself
	Topic Topic // what a topic has that sets nothing itself

	listeners, advertised, controllerNames []string
	protocols                              string

	// The layers, by the names used there.
	own, forAll, static map[string]string
}
