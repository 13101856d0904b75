// Package server speaks Kafka's wire protocol: it accepts connections, reads
// frames, hands each decoded request to the handler that is registered for its
// key (one file NN_name.go per key) and writes the answers in order.
//
//	listener ─▶ connection ─▶ frame ─▶ dispatch ─▶ NN_name.go ─▶ replica, cluster, coordinator
//	                 ▲                                 │
//	                 └───────────── response ◀─────────┘
//
// Each connection has one goroutine, which reads, handles and writes. A client
// may send requests ahead; they are answered in order. Produce requests that
// have arrived together are all appended before the disk is waited for once.
package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/cluster"
	"millrace/broker/internal/coordinator"
	"millrace/broker/internal/fault"
	"millrace/broker/internal/fetchsession"
	"millrace/broker/internal/loglevel"
	"millrace/broker/internal/quota"
	"millrace/broker/internal/replica"
	"millrace/broker/internal/shares"
	"millrace/broker/internal/sharestate"
	"millrace/broker/internal/txncoordinator"
	"millrace/broker/internal/wire"
)

// Options are what a Server is made of.
type Options struct {
	Cluster  *cluster.Controller
	Replicas *replica.Manager
	Groups   *coordinator.Coordinator
	Txns     *txncoordinator.Coordinator
	Markers  Markers
	Shares   *shares.Manager
	// ShareStates keeps what Shares knows.
	ShareStates *sharestate.Coordinator
	ClusterID   string
	NodeID      int32
	Log         *slog.Logger
	// Levels are those of the loggers, Log among them.
	Levels  *loglevel.Set
	Metrics *Metrics

	// QueuedBytes bounds the requests in memory over all connections
	// (queued.max.request.bytes).
	QueuedBytes int64
	// StallTimeout is how long a half request or an answer that nobody takes is
	// waited for without a byte moving; 0 is DefaultStallTimeout.
	StallTimeout time.Duration
	// Faults makes requests fail on purpose; nil: none does.
	Faults *fault.Set
	// Authorizer decides what clients may do; nil: everybody may do everything.
	Authorizer *acl.Authorizer
}

// DefaultStallTimeout is Options.StallTimeout where none is given. Kafka waits
// for connections.max.idle.ms.
const DefaultStallTimeout = 30 * time.Second

// fetchedMax bounds the records that fetches hold in memory while they are
// written. Beyond it a fetch gets at most fetchedLow bytes, so that it goes on.
const (
	fetchedMax = 256 << 20
	fetchedLow = 1 << 20
)

// Server serves connections. Handlers read its fields and never change them.
type Server struct {
	cluster     *cluster.Controller
	replicas    *replica.Manager
	groups      *coordinator.Coordinator
	txns        *txncoordinator.Coordinator
	markers     Markers
	shares      *shares.Manager
	shareStates *sharestate.Coordinator
	clusterID   string
	nodeID      int32
	log         *slog.Logger
	levels      *loglevel.Set
	metrics     *Metrics
	budget      *wire.Budget
	stall       time.Duration
	faults      *fault.Set
	authorizer  *acl.Authorizer // nil: everybody may do everything
	quotas      *quota.Manager
	heldBack    atomic.Int64 // connections that wait to be closed: throttleConnect
	// fetchSessions are what clients fetch, between their requests.
	fetchSessions *fetchsession.Cache
	fetched       atomic.Int64 // bytes of records on their way to consumers

	// draining ends when Shutdown begins: long polls answer with what they have.
	// closing ends when requests in hand are not waited for any more.
	draining context.Context
	drain    context.CancelFunc
	closing  context.Context
	close    context.CancelFunc

	wg       sync.WaitGroup // connections
	mu       sync.Mutex     // guards all below
	conns    map[*conn]struct{}
	perIP    map[string]int
	on       map[*Listener]int // connections
	refusing bool              // no further connection
}

// New returns a server that serves what Serve is given.
func New(o Options) *Server {
	if o.StallTimeout == 0 {
		o.StallTimeout = DefaultStallTimeout
	}
	s := &Server{
		cluster: o.Cluster, replicas: o.Replicas, groups: o.Groups, txns: o.Txns, markers: o.Markers,
		shares: o.Shares, shareStates: o.ShareStates, clusterID: o.ClusterID, nodeID: o.NodeID,
		log: o.Log, levels: o.Levels, metrics: o.Metrics,
		budget: wire.NewBudget(o.QueuedBytes), stall: o.StallTimeout, faults: o.Faults, authorizer: o.Authorizer,
		fetchSessions: fetchsession.New(int(o.Cluster.Image().Config.FetchSessionSlots)),
		conns:         map[*conn]struct{}{}, perIP: map[string]int{}, on: map[*Listener]int{},
	}
	s.quotas = quotaManager(o.Cluster.Image().Config)
	s.draining, s.drain = context.WithCancel(context.Background())
	s.closing, s.close = context.WithCancel(context.Background())
	return s
}

// QueuedBytes returns the bytes of requests in memory now.
func (s *Server) QueuedBytes() int64 { return s.budget.Used() }

// Connections returns how many connections are open.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Serve accepts connections until l is closed, which is its caller's to do.
func (s *Server) Serve(l net.Listener, listener *Listener) error {
	backoff := time.Duration(0)
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			// Out of descriptors, most likely: let some go before trying again.
			backoff = min(max(2*backoff, 5*time.Millisecond), time.Second)
			s.log.Error("connection cannot be accepted", "listener", listener.Name, "error", err)
			select {
			case <-time.After(backoff):
			case <-s.draining.Done():
			}
			continue
		}
		backoff = 0
		s.slowAccept()
		s.admit(c, listener)
	}
}

// admit starts serving a connection, or closes it when there are too many.
func (s *Server) admit(nc net.Conn, listener *Listener) {
	c := newConn(s, nc, listener)
	if s.throttleConnect(c) {
		return
	}
	refused := s.faults.Hit(s.draining, fault.ConnectionAccept)
	cfg := s.cluster.Image().Config
	reason := ""
	s.mu.Lock()
	switch {
	case s.refusing:
		reason = "the broker is stopping"
	case refused != nil:
		reason = refused.Error()
	case len(s.conns) >= int(cfg.MaxConnections):
		reason = "max.connections is reached"
	case s.on[listener] >= int(cfg.ConnectionsOn(listener.Name)):
		reason = "max.connections of listener " + listener.Name + " is reached"
	case s.perIP[c.ip] >= int(cfg.ConnectionsOf(c.ip)):
		reason = "max.connections.per.ip is reached"
	default:
		s.conns[c] = struct{}{}
		s.perIP[c.ip]++
		s.on[listener]++
		s.wg.Add(1)
	}
	s.mu.Unlock()
	if reason != "" {
		s.log.Warn("connection refused", "client", nc.RemoteAddr().String(), "reason", reason)
		s.metrics.refused.Inc()
		_ = nc.Close()
		return
	}
	s.metrics.accepted.Inc()
	go func() {
		defer s.wg.Done()
		c.serve()
		s.mu.Lock()
		delete(s.conns, c)
		s.on[listener]--
		if s.perIP[c.ip]--; s.perIP[c.ip] == 0 {
			delete(s.perIP, c.ip)
		}
		s.mu.Unlock()
	}()
}

// Shutdown refuses new connections, lets requests in hand finish and their
// answers go out, and closes all connections. When ctx ends first, what is left
// is cut off. It returns when every connection's goroutine has ended.
func (s *Server) Shutdown(ctx context.Context) {
	s.mu.Lock()
	s.refusing = true
	s.mu.Unlock()
	s.drain()
	s.eachConn((*conn).stopReading)
	done := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		s.Abort()
		<-done
	}
	s.close()
}

// Abort cuts every connection off without finishing what is in hand.
func (s *Server) Abort() {
	s.mu.Lock()
	s.refusing = true
	s.mu.Unlock()
	s.drain()
	s.close()
	s.eachConn(func(c *conn) { _ = c.nc.Close() })
	s.wg.Wait()
}

func (s *Server) eachConn(f func(*conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		f(c)
	}
}
