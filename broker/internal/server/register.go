package server

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A handler answers one decoded request. nil means that nothing is sent
// (Produce with acks=0). It may block (long poll, group join): each connection
// has a goroutine of its own, and a connection's requests are handled in order,
// as in Kafka. r.Context() ends when the connection or the server closes.
//
// The handler sets its response's fields; the version, the correlation id and
// the header are set by dispatch. Slices and strings of the request stay valid
// after the handler returned, except Produce's records.
type handler func(s *Server, r *Request, req kmsg.Request) kmsg.Response

// api is one registered key.
type api struct {
	key        int16
	minVersion int16
	maxVersion int16
	flexibleAt int16 // first flexible version, or 1<<15-1 where there is none
	newRequest func() kmsg.Request
	handle     handler
}

// keys bounds the API keys; Kafka has used 0 to 92.
const keys = 128

// apis holds every registered key at its own index; keys that we do not serve
// have a nil handle. The init functions of the NN_name.go files fill it, so
// that one line says what is served and what ApiVersions answers.
var apis [keys]api

// register announces that h answers the key of R in the versions from
// minVersion to maxVersion. R is a pointer to a request struct of kmsg.
//
//	func init() { register(12, 0, 4, (*Server).heartbeat) }
//	func (s *Server) heartbeat(r *Request, req *kmsg.HeartbeatRequest) kmsg.Response
func register[R interface {
	*T
	kmsg.Request
}, T any](key, minVersion, maxVersion int16, h func(s *Server, r *Request, req R) kmsg.Response) {
	var probe R = new(T)
	if probe.Key() != key {
		panic(fmt.Sprintf("server: key %d registered with %T, which has key %d", key, probe, probe.Key()))
	}
	if apis[key].handle != nil {
		panic(fmt.Sprintf("server: key %d registered twice", key))
	}
	if minVersion > maxVersion || maxVersion > probe.MaxVersion() {
		panic(fmt.Sprintf("server: key %d: versions %d to %d, kmsg knows up to %d", key, minVersion, maxVersion, probe.MaxVersion()))
	}
	flexibleAt := int16(1<<15 - 1)
	for v := int16(0); v <= maxVersion; v++ {
		probe.SetVersion(v)
		if probe.IsFlexible() {
			flexibleAt = v
			break
		}
	}
	apis[key] = api{
		key: key, minVersion: minVersion, maxVersion: maxVersion, flexibleAt: flexibleAt,
		newRequest: func() kmsg.Request { return R(new(T)) },
		handle:     func(s *Server, r *Request, req kmsg.Request) kmsg.Response { return h(s, r, req.(R)) },
	}
}

// lookup returns the registered key, or nil.
func lookup(key int16) *api {
	if key < 0 || int(key) >= len(apis) || apis[key].handle == nil {
		return nil
	}
	return &apis[key]
}

// APIRange is what is registered for one key.
type APIRange struct {
	Key, MinVersion, MaxVersion int16
}

// Registered lists what this broker serves, by ascending key. ApiVersions
// answers it and docs/protocol.md is compared with it.
func Registered() []APIRange {
	var out []APIRange
	for i := range apis {
		if a := &apis[i]; a.handle != nil {
			out = append(out, APIRange{a.key, a.minVersion, a.maxVersion})
		}
	}
	return slices.Clip(out)
}

// Request is what is known of a request beside its body.
type Request struct {
	Version       int16
	CorrelationID int32
	ClientID      string    // empty where the client sent null
	ClientHost    string    // as Kafka prints it in group descriptions: "/127.0.0.1"
	Listener      *Listener // where the client came in: Metadata answers its advertised address
	Principal     string    // who asks, in Kafka's form: "User:alice", or Anonymous
	login         *login    // nil: the listener has no SASL
	ctx           context.Context

	// For quotas: what the request took, and what its client has to wait. See throttle.go.
	key     int16
	size    int32         // bytes of the frame
	began   time.Time     // when it was there whole
	decoded time.Duration // until it was decoded; with handled, only where time is limited
	handled time.Duration // until its handler returned; 0 before
	waited  time.Duration // of that, for records
	charged bool          // its time is counted
	wait    time.Duration
}

// Anonymous is the principal of a connection on which nobody has logged in.
const Anonymous = "User:ANONYMOUS"

// Context ends when the connection is closed by us or the server shuts down.
func (r *Request) Context() context.Context { return r.ctx }
