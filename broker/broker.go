// Package broker is a durable, single-node broker that speaks Apache Kafka's wire
// protocol and keeps Kafka's files.
//
//	b, err := broker.Open(ctx, broker.Config{DataDir: "data", Listen: []broker.Listen{{Address: "127.0.0.1:9092"}}})
//	if err != nil { … }
//	err = b.Run(ctx) // until ctx ends; everything is stopped and on disk when it returns
//
// What is acknowledged is on disk: docs/guarantees.md. Which requests are served
// stands in docs/protocol.md, where it differs from Kafka in docs/divergence.md.
package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"millrace/broker/internal/cluster"
	"millrace/broker/internal/config"
	"millrace/broker/internal/coordinator"
	"millrace/broker/internal/fault"
	"millrace/broker/internal/group"
	"millrace/broker/internal/loglevel"
	"millrace/broker/internal/replica"
	"millrace/broker/internal/server"
	"millrace/broker/internal/shares"
	"millrace/broker/internal/sharestate"
	"millrace/broker/internal/storage"
	"millrace/broker/internal/txncoordinator"
	"millrace/broker/internal/vfs"
)

// shutdownTimeout is how long requests in hand may take once the broker stops.
const shutdownTimeout = 10 * time.Second

// Config is what a broker is opened with. Beside the fields there are Kafka's own
// settings by their names; an unknown one or a bad value is refused by Open.
type Config struct {
	// DataDir is the folder of all data (log.dirs). It is made if it does not exist.
	DataDir string
	// Listen are the addresses that clients come in on; none is the setting listeners.
	Listen []Listen
	// HTTP is the address of /healthz, /readyz and /metrics; empty opens none.
	HTTP string
	// Settings are Kafka's settings, such as "num.partitions": "4".
	Settings map[string]string
	// ScramUsers are made when the broker starts, where they are not there.
	ScramUsers []ScramUser
	// Log is where the broker tells what happens; nil is slog.Default().
	Log *slog.Logger
	// StallTimeout is how long a half request, or an answer that nobody takes, is waited
	// for without a byte moving, until the connection is closed; 0 is half a minute.
	StallTimeout time.Duration
	// Faults lets the broker misbehave on purpose, as it is told at /admin/faults. Whoever
	// reaches HTTP can then lose records of others' and end the process.
	Faults bool
	// FS is where the data folder is, for tests inside this module; nil is the operating system.
	FS vfs.FS
}

// Broker is an open broker. Its listeners are bound, clients may connect; they are
// answered while Run runs.
type Broker struct {
	cfg      Config
	settings *config.Broker
	log      *slog.Logger
	levels   *loglevel.Set
	registry *prometheus.Registry

	faults   *fault.Set // nil: none can be set
	dir      *storage.Dir
	cluster  *cluster.Controller
	replicas *replica.Manager
	groups   *coordinator.Coordinator
	shares   *shares.Manager
	// shareStates keeps what shares knows.
	shareStates *sharestate.Coordinator
	txns        *txncoordinator.Coordinator
	markers     *markers
	server      *server.Server

	listeners []listening
	http      net.Listener
	offline   chan struct{} // receives when storage tells of an error

	once     sync.Once
	closeErr error
}

// listening is a bound address.
type listening struct {
	net.Listener
	as *server.Listener
}

// Open opens the data folder, recovers it if the last stop was a crash, and binds
// the listeners. The caller calls Run or Close.
func Open(ctx context.Context, cfg Config) (b *Broker, err error) {
	b = &Broker{cfg: cfg, log: cfg.Log, registry: prometheus.NewRegistry(), offline: make(chan struct{}, 1)}
	if b.log == nil {
		b.log = slog.Default()
	}
	b.levels = loglevel.New(b.log)
	b.log = b.levels.Logger(loglevel.Root)
	if b.settings, err = resolve(cfg); err != nil {
		return nil, err
	}
	if ignored := b.settings.Ignored(); len(ignored) > 0 {
		b.log.Warn("settings without effect in this broker", "settings", ignored)
	}
	if cfg.Faults {
		b.enableFaults()
	}
	opened := b    // a return of nil, err has taken b away when the deferred call runs
	defer func() { //nolint:contextcheck // closing is finished, whatever becomes of ctx
		if err != nil {
			opened.abandon()
		}
	}()
	if err := b.bind(ctx); err != nil {
		return nil, err
	}
	if err := b.openData(ctx); err != nil {
		return nil, err
	}
	if err := b.addScramUsers(ctx); err != nil {
		return nil, err
	}
	b.server = server.New(server.Options{
		Cluster: b.cluster, Replicas: b.replicas, Groups: b.groups, Shares: b.shares, ShareStates: b.shareStates,
		Txns: b.txns, Markers: b.markers,
		ClusterID: b.dir.ClusterID(), NodeID: b.settings.NodeID,
		Log: b.levels.Logger(loglevel.Requests), Levels: b.levels, Metrics: server.NewMetrics(b.registry),
		QueuedBytes: queuedBytes(b.settings), StallTimeout: b.cfg.StallTimeout, Faults: b.faults, Authorizer: authorizerOf(b.settings),
	})
	b.registerMetrics()
	return b, nil
}

// queuedBytes is queued.max.request.bytes.
func queuedBytes(s *config.Broker) int64 {
	if s.QueuedMaxRequestBytes < 0 {
		return math.MaxInt64
	}
	return s.QueuedMaxRequestBytes
}

// Validate tells what is wrong with cfg without opening anything.
func Validate(cfg Config) error {
	_, err := resolve(cfg)
	return err
}

// openData opens everything that lies on disk, from the bottom up.
func (b *Broker) openData(ctx context.Context) error {
	fsys := b.cfg.FS
	if fsys == nil {
		fsys = vfs.OS{}
	}
	s := b.settings
	var err error
	b.dir, err = storage.OpenDir(b.timed(b.fillable(fsys)), s.LogDirs[0], storage.DirOptions{ //nolint:contextcheck // the disk is there until Close
		NodeID:             s.NodeID,
		CheckpointInterval: time.Duration(s.LogFlushOffsetCheckpointMs) * time.Millisecond,
		RetentionInterval:  time.Duration(s.LogRetentionCheckMs) * time.Millisecond,
		ProducerExpiry:     time.Duration(s.ProducerIDExpirationMs) * time.Millisecond,
		Cleaner:            cleanerOptions(s),
		Event:              b.storageEvent,
	})
	if err != nil {
		return fmt.Errorf("open data folder %s: %w", s.LogDirs[0], err)
	}
	endpoints := make([]cluster.Endpoint, len(b.listeners))
	for i, l := range b.listeners {
		endpoints[i] = cluster.Endpoint{Listener: l.as.Name, Host: l.as.AdvertisedHost, Port: l.as.AdvertisedPort}
	}
	b.cluster, err = cluster.Open(ctx, cluster.Options{Dir: b.dir, Config: s, Endpoints: endpoints, Unclean: !b.dir.CleanStart(), Adopted: b.adopted})
	if err != nil {
		return err
	}
	if b.replicas, err = replica.NewManager(b.dir, s.NodeID, b.levels.Logger(loglevel.Replicas)); err != nil {
		return err
	}
	b.cluster.Subscribe(b.replicas.Apply)
	b.cluster.Subscribe(b.followCleaner)
	groups, err := coordinatorConfig(s)
	if err != nil {
		return err
	}
	b.shareStates = sharestate.Start(&topicLog{b.cluster, b.replicas, cluster.ShareStateTopic}, shareEvents{b})
	b.shares = shares.NewManager(b.shareStates)
	groups.Shares = groupShares{b.shareStates, b.shares}
	groups.Cluster = func() group.Cluster { return groupCluster{b.cluster.Image()} }
	b.groups = coordinator.Start(groups, &topicLog{b.cluster, b.replicas, cluster.OffsetsTopic}, b.groupEvents())
	b.cluster.Subscribe(forgetOffsets(b.groups))
	b.markers = &markers{b.cluster, b.replicas, b.groups}
	b.txns = txncoordinator.Start(txnConfig(s), &topicLog{b.cluster, b.replicas, cluster.TransactionTopic}, b.markers, b.cluster, b.txnEvents())
	return nil
}

// adopted tells that the folder was Apache Kafka's.
func (b *Broker) adopted(a cluster.Adopted) {
	b.log.Info("took over the folder of an Apache Kafka; its own metadata is kept beside", "topics", a.Topics, "partitions", a.Partitions)
	for what, n := range a.LeftOut {
		b.log.Warn("not taken over from Apache Kafka's metadata", "what", what, "records", n)
	}
}

// followCleaner takes over what was set at run time.
func (b *Broker) followCleaner(_, now *cluster.Image) { b.dir.SetCleaner(cleanerOptions(now.Config)) }

// cleanerOptions are log.cleaner.*.
func cleanerOptions(s *config.Broker) storage.CleanerOptions {
	o := storage.CleanerOptions{
		Threads:        int(s.LogCleanerThreads),
		DedupeBytes:    s.LogCleanerDedupeBufferSize,
		LoadFactor:     s.LogCleanerLoadFactor,
		IOBytes:        int(s.LogCleanerIOBufferSize),
		BytesPerSecond: s.LogCleanerIOMaxBytesPerSecond,
		Backoff:        max(time.Duration(s.LogCleanerBackoffMs)*time.Millisecond, time.Millisecond),
	}
	if !s.LogCleanerEnable {
		o.Backoff = -1
	}
	return o
}

// storageEvent logs what storage tells of, and has Run look when it is an error.
func (b *Broker) storageEvent(e storage.Event) {
	b.levels.Logger(loglevel.Logs).LogAttrs(context.Background(), e.Level, e.Message, e.Attrs...) //nolint:sloglint // storage does not log, its events are constant texts
	if e.Level >= slog.LevelError {
		select {
		case b.offline <- struct{}{}:
		default:
		}
	}
}

func coordinatorConfig(s *config.Broker) (coordinator.Config, error) {
	ms := func(n int32) time.Duration { return time.Duration(n) * time.Millisecond }
	c := coordinator.DefaultConfig()
	migration, err := group.ParseMigration(s.GroupConsumerMigrationPolicy)
	if err != nil {
		return c, err
	}
	c.RetentionCheckInterval = time.Duration(s.OffsetsRetentionCheckIntervalMs) * time.Millisecond
	c.Group = group.Config{
		InitialRebalanceDelay: ms(s.GroupInitialRebalanceDelayMs),
		MinSessionTimeout:     ms(s.GroupMinSessionTimeoutMs),
		MaxSessionTimeout:     ms(s.GroupMaxSessionTimeoutMs),
		NewMemberJoinTimeout:  c.Group.NewMemberJoinTimeout,
		MaxSize:               int(s.GroupMaxSize),
		ConsumerMaxSize:       int(s.GroupConsumerMaxSize),
		ShareMaxSize:          int(s.GroupShareMaxSize),
		Assignors:             s.GroupConsumerAssignors,
		Migration:             migration,
		MaxOffsetMetadata:     int(s.OffsetMetadataMaxBytes),
		OffsetRetention:       time.Duration(s.OffsetsRetentionMinutes) * time.Minute,
	}
	return c, nil
}

// Run serves clients until ctx ends or the disk fails. When it returns, requests
// in hand have been answered, everything is on disk and closed, and no goroutine is left.
func (b *Broker) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	for _, l := range b.listeners {
		wg.Go(func() { //nolint:contextcheck // requests end with Shutdown, which lets them finish
			if err := b.server.Serve(l, l.as); err != nil {
				b.log.Error("listener failed", "listener", l.as.Name, "error", err)
			}
		})
	}
	var web *http.Server
	if b.http != nil {
		web = b.webServer()
		wg.Go(func() {
			if err := web.Serve(b.http); !errors.Is(err, http.ErrServerClosed) {
				b.log.Error("HTTP listener failed", "error", err)
			}
		})
	}
	wg.Go(func() { b.replicas.Run(ctx) })
	b.log.Info("broker is ready", "listeners", b.describeListeners(), "data", b.settings.LogDirs[0], "cluster_id", b.dir.ClusterID())

	err := b.wait(ctx)
	stop()
	if web != nil {
		_ = web.Close()
	}
	if closeErr := b.Close(); err == nil { //nolint:contextcheck // ctx has ended, what is in hand is finished
		err = closeErr
	}
	wg.Wait()
	return err
}

// wait returns when ctx ends, or with the error that took the data folder offline.
func (b *Broker) wait(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-b.offline:
			if err := b.dir.Err(); err != nil {
				return fmt.Errorf("data folder %s: %w", b.settings.LogDirs[0], err)
			}
		}
	}
}

// Close finishes requests in hand and closes everything in order. Run does so
// itself; Close is for a broker that is not run. It may be called twice.
func (b *Broker) Close() error {
	b.once.Do(func() {
		b.closeListeners()
		ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
		defer cancel()
		b.server.Shutdown(ctx)
		b.shares.Close()
		coordinators := errors.Join(b.txns.Close(), b.groups.Close(), b.shareStates.Close())
		b.replicas.Close()
		b.closeErr = errors.Join(coordinators, b.cluster.Close(), b.dir.Close())
	})
	return b.closeErr
}

// Crash stops the broker as kill -9 would: nothing is finished, synced or written.
// It is for tests of recovery; Run returns after it.
func (b *Broker) Crash() {
	b.once.Do(func() {
		b.closeListeners()
		b.dir.Crash()
		b.server.Abort()
		b.shares.Close()
		_ = b.txns.Close()
		_ = b.groups.Close()
		_ = b.shareStates.Close()
		b.replicas.Close()
		_ = b.cluster.Close()
	})
}

// abandon closes what a failed Open has opened.
func (b *Broker) abandon() {
	b.closeListeners()
	if b.shares != nil {
		b.shares.Close()
		_ = b.shareStates.Close()
	}
	if b.txns != nil {
		_ = b.txns.Close()
	}
	if b.groups != nil {
		_ = b.groups.Close()
	}
	if b.cluster != nil {
		_ = b.cluster.Close()
	}
	if b.dir != nil {
		_ = b.dir.Close()
	}
}

func (b *Broker) closeListeners() {
	for _, l := range b.listeners {
		_ = l.Close()
	}
	if b.http != nil {
		_ = b.http.Close()
	}
}
