package shop

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Default ports. 8080 stays free for a console.
const (
	portBroker       = 9092
	portBrokerHTTP   = 8084
	portOrder        = 8081
	portInventory    = 8082
	portNotification = 8083
	portSMTP         = 1025
	portMail         = 8025
	portCollector    = 4318
	portPostgres     = 15432
	portControl      = 8089
)

// Other ports are picked from below the range from which systems take the
// local ports of outgoing connections: such a port could be gone at a restart.
const (
	firstOtherPort = 20000
	endOtherPort   = 32768
	pickTries      = 1000
)

// port is a TCP port on the loopback interface that is held until a part takes it.
type port struct {
	number int
	held   net.Listener // nil once released
}

func loopback(number int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(number)) }

func (p *port) address() string { return loopback(p.number) }

// holdPort takes the wanted port, or any other when that is taken or 0.
func holdPort(wanted int) (*port, error) {
	if wanted != 0 {
		if l, err := net.Listen("tcp", loopback(wanted)); err == nil {
			return &port{number: wanted, held: l}, nil
		}
	}
	for range pickTries {
		number := firstOtherPort + rand.IntN(endOtherPort-firstOtherPort)
		if l, err := net.Listen("tcp", loopback(number)); err == nil {
			return &port{number: number, held: l}, nil
		}
	}
	return nil, errors.New("no free port on 127.0.0.1 was found")
}

// release lets the part listen.
func (p *port) release() {
	if p.held != nil {
		_ = p.held.Close()
		p.held = nil
	}
}

// free reports whether nobody listens on the port at this moment.
func (p *port) free() bool {
	if p.held != nil {
		return true
	}
	l, err := net.Listen("tcp", p.address())
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}

// pick holds a port and tells when it is not the wanted one.
func pick(what string, wanted int, say func(format string, args ...any)) (*port, error) {
	p, err := holdPort(wanted)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if wanted != 0 && p.number != wanted {
		say("Port %d is taken, so %s uses %d.", wanted, what, p.number)
	}
	return p, nil
}
