package broker

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"millrace/broker/internal/config"
	"millrace/broker/internal/server"
)

// Listen is an address that clients come in on.
type Listen struct {
	// Name is Kafka's listener name; empty is PLAINTEXT for the first, PLAINTEXT2 for the second, …
	Name string
	// Address is host:port to listen on; port 0 takes a free one.
	Address string
	// Advertise is host:port that clients who come in here are told to use; empty is
	// Address. It is needed where clients cannot use Address: 0.0.0.0, a mapped port.
	Advertise string
}

// ParseListen reads [NAME://]HOST:PORT[,advertise=HOST:PORT].
func ParseListen(s string) (Listen, error) {
	address, option, has := strings.Cut(s, ",")
	l := Listen{Address: address}
	if name, rest, ok := strings.Cut(address, "://"); ok {
		l.Name, l.Address = name, rest
	}
	if has {
		value, ok := strings.CutPrefix(option, "advertise=")
		if !ok {
			return Listen{}, listenError(s)
		}
		l.Advertise = value
		if _, port, err := net.SplitHostPort(value); err != nil || port == "" {
			return Listen{}, listenError(s)
		}
	}
	if _, port, err := net.SplitHostPort(l.Address); err != nil || port == "" {
		return Listen{}, listenError(s)
	}
	return l, nil
}

func listenError(s string) error {
	return fmt.Errorf("listen address %q is not of the form [NAME://]HOST:PORT[,advertise=HOST:PORT], such as 127.0.0.1:9092 or 0.0.0.0:9094,advertise=localhost:9094", s)
}

// resolve turns cfg into Kafka's settings and checks them all.
func resolve(cfg Config) (*config.Broker, error) {
	settings := maps.Clone(cfg.Settings)
	if settings == nil {
		settings = map[string]string{}
	}
	if len(cfg.Listen) > 0 {
		var bind, advertise []string
		for i, l := range cfg.Listen {
			name := l.Name
			if name == "" {
				name = "PLAINTEXT"
				if i > 0 {
					name += strconv.Itoa(i + 1)
				}
			}
			if host, port, _ := net.SplitHostPort(l.Address); l.Advertise == "" && isWildcard(host) {
				return nil, fmt.Errorf("clients cannot connect to %s; say how they can reach this listener, as in %s,advertise=localhost:%s", host, l.Address, port)
			}
			bind = append(bind, name+"://"+l.Address)
			advertise = append(advertise, name+"://"+orElse(l.Advertise, l.Address))
		}
		settings["listeners"] = strings.Join(bind, ",")
		settings["advertised.listeners"] = strings.Join(advertise, ",")
	}
	if cfg.DataDir != "" {
		delete(settings, "log.dir")
		settings["log.dirs"] = cfg.DataDir
	}
	return config.NewBroker(settings)
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func advertisedFor(b *config.Broker, name string) config.Listener {
	i := slices.IndexFunc(b.AdvertisedListeners, func(l config.Listener) bool { return l.Name == name })
	if i < 0 {
		return config.Listener{}
	}
	return b.AdvertisedListeners[i]
}

func isWildcard(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsUnspecified()
}

// bind opens all listeners, so that ports taken are found before the disk is touched.
func (b *Broker) bind(ctx context.Context) error {
	var lc net.ListenConfig
	for _, l := range b.settings.Listeners {
		nl, err := lc.Listen(ctx, "tcp", l.Address())
		if err != nil {
			return fmt.Errorf("listener %s: %w", l, err)
		}
		as := &server.Listener{Name: l.Name, Bind: nl.Addr().String()}
		advertised := advertisedFor(b.settings, l.Name)
		as.AdvertisedHost, as.AdvertisedPort = advertised.Host, advertised.Port
		if as.AdvertisedHost == "" {
			if as.AdvertisedHost, err = os.Hostname(); err != nil {
				as.AdvertisedHost = "localhost"
			}
		}
		if as.AdvertisedPort == 0 {
			as.AdvertisedPort = int32(nl.Addr().(*net.TCPAddr).Port)
		}
		if err := secure(as, b.settings); err != nil {
			_ = nl.Close()
			return err
		}
		b.listeners = append(b.listeners, listening{nl, as})
	}
	if b.cfg.HTTP != "" {
		nl, err := lc.Listen(ctx, "tcp", b.cfg.HTTP)
		if err != nil {
			return fmt.Errorf("HTTP address %s: %w", b.cfg.HTTP, err)
		}
		b.http = nl
	}
	return nil
}

// Addr is the address of the first listener, with its real port.
func (b *Broker) Addr() string { return b.listeners[0].Addr().String() }

// Addrs are the addresses of all listeners, with their real ports.
func (b *Broker) Addrs() []string {
	var out []string
	for _, l := range b.listeners {
		out = append(out, l.Addr().String())
	}
	return out
}

// HTTPAddr is the address of the HTTP listener; empty where there is none.
func (b *Broker) HTTPAddr() string {
	if b.http == nil {
		return ""
	}
	return b.http.Addr().String()
}

func (b *Broker) describeListeners() []string {
	var out []string
	for _, l := range b.listeners {
		out = append(out, fmt.Sprintf("%s://%s (clients use %s)", l.as.Name, l.as.Bind, net.JoinHostPort(l.as.AdvertisedHost, strconv.Itoa(int(l.as.AdvertisedPort)))))
	}
	return out
}
