package server

import (
	"math"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/cluster"
	"millrace/broker/internal/config"
	"millrace/broker/internal/quota"
	"millrace/broker/internal/wire"
)

// Clients are held to their quotas here (KIP-13, 124, 219, 599, 612). The answer is sent at once and
// tells how long the client shall wait; for that time nothing more is read from its connection. As
// long as nobody has a limit, all of this costs a request one load and a look at nil.

// quotaManager has the windows that the settings ask for.
func quotaManager(c *config.Broker) *quota.Manager {
	return quota.NewManager(
		quota.Windows{Number: int(c.QuotaWindowNum), Size: time.Duration(c.QuotaWindowSizeSeconds) * time.Second},
		quota.Windows{Number: int(c.ControllerQuotaWindowNum), Size: time.Duration(c.ControllerQuotaWindowSizeSeconds) * time.Second},
	)
}

// user is the name of who asks, without the kind of principal.
func (r *Request) user() string {
	_, name, _ := strings.Cut(r.Principal, ":")
	return name
}

// logsIn tells the requests of a log-in: nobody is known yet who could have used too much.
func (r *Request) logsIn() bool {
	return r.key == int16(kmsg.SASLHandshake) || r.key == int16(kmsg.SASLAuthenticate) || r.login != nil && r.login.state != loggedIn
}

// holdBack makes the client wait, no less than it has to already.
func (r *Request) holdBack(wait time.Duration) { r.wait = max(r.wait, wait) }

// busy is how long the request has kept the broker at work: not what it waited for records or
// for other members of its group.
func (r *Request) busy() time.Duration {
	switch {
	case r.key == int16(kmsg.JoinGroup), r.key == int16(kmsg.SyncGroup):
		return r.decoded
	case r.handled > 0:
		return r.handled - r.waited
	}
	return max(time.Since(r.began)-r.waited, 0)
}

// chargeTime counts the request's time against request_percentage.
func (s *Server) chargeTime(l *quota.Limits, r *Request) {
	if l.Has(quota.RequestTime) && !r.charged {
		r.charged = true
		percentSeconds := 100 * r.busy().Seconds()
		r.holdBack(s.quotas.Use(l, quota.RequestTime, r.user(), r.ClientID, percentSeconds, time.Now()))
	}
}

// charge counts what an answer's request used and returns how long its client has to wait. resp is nil
// where there is no answer (Produce with acks=0).
func (s *Server) charge(r *Request, resp kmsg.Response) time.Duration {
	l := s.cluster.Image().Limits()
	if l == nil || r.logsIn() {
		return 0
	}
	if r.key == int16(kmsg.Produce) {
		r.holdBack(s.quotas.Use(l, quota.ProducerBytes, r.user(), r.ClientID, float64(r.size), time.Now()))
	}
	s.chargeTime(l, r)
	if told, ok := resp.(kmsg.SetThrottleResponse); ok && r.wait > 0 {
		told.SetThrottle(int32(r.wait.Milliseconds()))
	}
	return r.wait
}

// fetchWithin is how many bytes a fetch may take at most: more than fits into all windows would have to wait
// even if it came first. More than that is not waited for either.
func (s *Server) fetchWithin(r *Request, req *kmsg.FetchRequest, limit int) int {
	if l := s.cluster.Image().Limits(); l != nil {
		if most, ok := s.quotas.Most(l, quota.ConsumerBytes, r.user(), r.ClientID); ok && most < float64(limit) {
			if limit = int(most); int(req.MinBytes) > limit {
				req.MinBytes = 1
			}
		}
	}
	return limit
}

// throttleFetch counts what a fetch found. One that has to wait is answered without any of it, and
// what it would have taken is not counted: the client asks for the same again (KIP-219).
func (s *Server) throttleFetch(r *Request, f *fetching) (withheld bool) {
	l := s.cluster.Image().Limits()
	if l == nil {
		return false
	}
	s.chargeTime(l, r)
	if l.Has(quota.ConsumerBytes) {
		now, size := time.Now(), 0
		f.session.Look()
		f.layOut(make([]wire.FetchPartition, 0, len(f.found)))
		_, parts := f.resp.Frame(make([]byte, 0, 128), nil)
		f.resp.Topics = nil
		for _, part := range parts {
			size += len(part)
		}
		wait := s.quotas.Use(l, quota.ConsumerBytes, r.user(), r.ClientID, float64(size), now)
		if r.holdBack(wait); r.wait > 0 {
			s.quotas.Return(l, quota.ConsumerBytes, r.user(), r.ClientID, float64(size), now)
		}
	}
	return r.wait > 0
}

// throttled is why a change of topics is refused.
var throttled = &cluster.Error{Kind: cluster.ErrThrottled, Message: "The throttling quota has been exceeded."}

// payment lets a request pay for the partitions that it changes. From strictSince on clients
// know the error that refuses them; older ones are only made to wait (KIP-599).
func (s *Server) payment(r *Request, strictSince int16) cluster.Payment {
	l := s.cluster.Image().Limits()
	if !l.Has(quota.ControllerChanges) {
		return nil
	}
	return func(partitions int) error {
		wait, refused := s.quotas.Change(l, r.user(), r.ClientID, partitions, r.Version >= strictSince, time.Now())
		r.holdBack(wait)
		if refused {
			return throttled
		}
		return nil
	}
}

// pause reads nothing more for a while. A wait longer than the connection may be idle ends it, as
// its idling would.
func (c *conn) pause(wait time.Duration) error {
	idle := c.server.cluster.Image().Config.ConnectionsMaxIdleMs
	tooLong := idle >= 0 && wait.Milliseconds() > idle
	if tooLong {
		wait = time.Duration(idle) * time.Millisecond
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.server.draining.Done():
		return errQuiet
	}
	if tooLong {
		return errQuiet
	}
	return nil
}

// maxHeldBack is how many connections may wait at once to be closed because their address makes too many.
const maxHeldBack = 1000

// throttleConnect closes a connection whose address makes too many, after the time that it has to wait
// (KIP-612). It reports whether the connection is dealt with.
func (s *Server) throttleConnect(c *conn) bool {
	l := s.cluster.Image().Limits()
	if !l.Has(quota.Connections) {
		return false
	}
	wait := s.quotas.Connect(l, c.ip, time.Now())
	if wait == 0 {
		return false
	}
	s.metrics.refused.Inc()
	if s.heldBack.Add(1) > maxHeldBack {
		s.heldBack.Add(-1)
		_ = c.nc.Close()
		return true
	}
	time.AfterFunc(wait, func() {
		s.heldBack.Add(-1)
		_ = c.nc.Close()
	})
	return true
}

// slowAccept waits as long as connections come faster than max.connection.creation.rate (KIP-612).
func (s *Server) slowAccept() {
	most := s.cluster.Image().Config.MaxConnectionCreationRate
	if most == math.MaxInt32 {
		return
	}
	wait := s.quotas.Accept(float64(most), time.Now())
	if wait == 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.draining.Done():
	}
}
