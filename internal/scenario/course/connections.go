package course

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"millrace/internal/scenario"
)

var connections = scenario.Scenario{
	Name: "connections", Needs: scenario.PrivateBroker, Course: []string{"A2", "A3"},
	Play: playConnections,
}

const (
	connServices = 4
	connServers  = 5
	connEvents   = 10 // of each service
	connMetric   = "millrace_broker_connections"
)

type connectionsEvidence struct {
	Services int `json:"services"`
	Servers  int `json:"servers"`
	// Direct is counted by the servers, ThroughBroker at the broker's /metrics.
	Direct        int `json:"direct_connections"`
	ThroughBroker int `json:"connections_through_broker"`
	BrokerBefore  int `json:"broker_connections_before"`
	// Delivered counts events that arrived at a server, over all servers.
	DirectDelivered int `json:"direct_delivered"`
	BrokerDelivered int `json:"delivered_through_broker"`
	Wanted          int `json:"deliveries_wanted"`
}

func (e connectionsEvidence) Verdict() []scenario.Check {
	return []scenario.Check{
		is("direct", e.Direct == e.Services*e.Servers && e.Direct > 0, a{"n": e.Direct, "services": e.Services, "servers": e.Servers}),
		is("broker", e.ThroughBroker == e.Services+e.Servers && e.BrokerBefore == 0, a{"n": e.ThroughBroker, "services": e.Services, "servers": e.Servers}),
		is("same_work", e.Wanted > 0 && e.DirectDelivered == e.Wanted && e.BrokerDelivered == e.Wanted, a{"direct": e.DirectDelivered, "broker": e.BrokerDelivered, "of": e.Wanted}),
	}
}

func playConnections(ctx context.Context, s *scenario.Stage) (scenario.Evidence, error) {
	e := connectionsEvidence{Services: connServices, Servers: connServers, Wanted: connServices * connServers * connEvents}
	s.Explain("direct", a{"services": connServices, "servers": connServers})
	if err := connectDirectly(ctx, &e); err != nil {
		return nil, err
	}
	s.Event("direct_counted", a{"n": e.Direct, "delivered": e.DirectDelivered})

	s.Explain("broker", nil)
	b, err := s.Env.Broker(ctx, scenario.PrivateBroker)
	if err != nil {
		return nil, err
	}
	if err := connectThroughBroker(ctx, b, &e); err != nil {
		return nil, err
	}
	s.Event("broker_counted", a{"n": e.ThroughBroker, "metric": connMetric, "delivered": e.BrokerDelivered})
	return e, nil
}

// connectDirectly has every service connect to every server by TCP.
func connectDirectly(ctx context.Context, e *connectionsEvidence) (err error) {
	var accepted, delivered atomic.Int64
	var working sync.WaitGroup
	var open []net.Conn
	var listeners []net.Listener
	defer func() {
		for _, c := range open {
			_ = c.Close()
		}
		for _, l := range listeners {
			_ = l.Close()
		}
		working.Wait()
	}()
	for range connServers {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		listeners = append(listeners, l)
		working.Go(func() { serveDirectly(l, &working, &accepted, &delivered) })
	}
	for service := range connServices {
		for _, l := range listeners {
			var d net.Dialer
			c, err := d.DialContext(ctx, "tcp", l.Addr().String())
			if err != nil {
				return err
			}
			open = append(open, c)
			for i := range connEvents {
				if _, err := fmt.Fprintf(c, "event %d of service %d\n", i, service); err != nil {
					return err
				}
			}
		}
	}
	err = scenario.Poll(ctx, "the direct deliveries", func(context.Context) error {
		if n := delivered.Load(); n < int64(e.Wanted) {
			return fmt.Errorf("%d of %d", n, e.Wanted)
		}
		return nil
	})
	e.Direct, e.DirectDelivered = int(accepted.Load()), int(delivered.Load())
	return err
}

func serveDirectly(l net.Listener, working *sync.WaitGroup, accepted, delivered *atomic.Int64) {
	for {
		c, err := l.Accept()
		if err != nil {
			return // closed
		}
		accepted.Add(1)
		working.Go(func() {
			defer func() { _ = c.Close() }()
			for lines := bufio.NewScanner(c); lines.Scan(); {
				delivered.Add(1)
			}
		})
	}
}

// connectThroughBroker has every service and every server connect to the broker, by
// one connection each, and counts there while all of them are open.
func connectThroughBroker(ctx context.Context, b *scenario.Broker, e *connectionsEvidence) error {
	topic, err := b.Topic(ctx, "events", 1)
	if err != nil {
		return err
	}
	b.Admin().Close() // only services and servers are to be counted
	if err := scenario.Poll(ctx, "the administrator's connections to end", func(ctx context.Context) error {
		n, err := b.Metric(ctx, connMetric)
		if e.BrokerBefore = int(n); err == nil && n > 0 {
			err = fmt.Errorf("%d are open", int(n))
		}
		return err
	}); err != nil {
		return err
	}
	var open []*single
	defer func() {
		for _, c := range open {
			c.close()
		}
	}()
	connect := func(name string) (*single, error) {
		c, err := dialSingle(b.Addrs[0], name)
		if err == nil {
			open = append(open, c)
		}
		return c, err
	}
	for i := range connServices {
		c, err := connect(fmt.Sprintf("service-%d", i+1))
		if err != nil {
			return err
		}
		for n := range connEvents {
			if err := c.produce(ctx, topic, fmt.Sprintf("event %d of service %d", n, i)); err != nil {
				return err
			}
		}
	}
	for i := range connServers {
		c, err := connect(fmt.Sprintf("server-%d", i+1))
		if err != nil {
			return err
		}
		n, err := c.consume(ctx, topic, connServices*connEvents)
		if err != nil {
			return err
		}
		e.BrokerDelivered += n
	}
	n, err := b.Metric(ctx, connMetric)
	e.ThroughBroker = int(n)
	return err
}
