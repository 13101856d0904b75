package config

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var listenerName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// ParseListener reads NAME://host:port. The host may be empty, an address or a
// name; IPv6 addresses stand in brackets.
func ParseListener(s string) (Listener, error) {
	name, address, ok := strings.Cut(s, "://")
	if !ok || !listenerName.MatchString(name) {
		return Listener{}, fmt.Errorf("listener %q is not of the form NAME://host:port", s)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return Listener{}, fmt.Errorf("listener %q is not of the form NAME://host:port", s)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return Listener{}, fmt.Errorf("listener %q: port %q is not a number from 0 to 65535", s, port)
	}
	if strings.ContainsAny(host, " /@?#") {
		return Listener{}, fmt.Errorf("listener %q: bad host %q", s, host)
	}
	return Listener{Name: strings.ToUpper(name), Host: host, Port: int32(n)}, nil
}

// String gives the form that ParseListener reads.
func (l Listener) String() string { return l.Name + "://" + l.Address() }

// Address is host:port, for net.Listen and net.Dial.
func (l Listener) Address() string { return net.JoinHostPort(l.Host, strconv.Itoa(int(l.Port))) }

func parseListeners(list []string) ([]Listener, error) {
	out := make([]Listener, 0, len(list))
	for _, s := range list {
		l, err := ParseListener(s)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(out, func(o Listener) bool { return o.Name == l.Name }) {
			return nil, fmt.Errorf("each listener must have a name of its own, and %s is there twice", l.Name)
		}
		out = append(out, l)
	}
	return out, nil
}

func listeners() rule {
	return rule{"NAME://host:port, with commas between, each name once", func(v any) string {
		if _, err := parseListeners(v.([]string)); err != nil {
			return err.Error()
		}
		return ""
	}}
}

func protocolMap() rule {
	const allowed = "NAME:PROTOCOL pairs with commas between, PROTOCOL one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"
	return text(allowed, "not "+allowed, func(s string) bool {
		for _, pair := range splitList(s) {
			name, protocol, ok := strings.Cut(pair, ":")
			if !ok || name == "" || !slices.Contains([]string{"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}, protocol) {
				return false
			}
		}
		return true
	})
}

func oneFolder() rule {
	return rule{"one folder", func(v any) string {
		if list := v.([]string); len(list) != 1 || list[0] == "" {
			return "this broker keeps its data in one folder"
		}
		return ""
	}}
}

// throttledReplicas has Kafka's message, which repeats the name.
func throttledReplicas(name string) rule {
	return rule{"*, or partition:broker pairs with commas between", func(v any) string {
		list := v.([]string)
		if len(list) == 1 && list[0] == "*" {
			return ""
		}
		for _, e := range list {
			partition, broker, ok := strings.Cut(e, ":")
			_, err1 := strconv.ParseUint(partition, 10, 31)
			_, err2 := strconv.ParseUint(broker, 10, 31)
			if !ok || err1 != nil || err2 != nil {
				return name + " must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],..."
			}
		}
		return ""
	}}
}

// never allows only false.
func never() rule {
	return rule{"false", func(v any) string {
		if v.(bool) {
			return "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage."
		}
		return ""
	}}
}

// resolveListeners fills Listeners and AdvertisedListeners from their texts.
func (b *Broker) resolveListeners() error {
	refuse := func(setting, format string, args ...any) error {
		d := Lookup(BrokerLevel, setting)
		value, _ := b.value(d)
		return d.bad(value, fmt.Sprintf(format, args...))
	}
	parse := func(setting string, list []string) ([]Listener, error) {
		all, err := parseListeners(list)
		if err != nil {
			return nil, refuse(setting, "%v", err)
		}
		all = slices.DeleteFunc(all, func(l Listener) bool {
			return slices.ContainsFunc(b.controllerNames, func(n string) bool { return strings.EqualFold(n, l.Name) })
		})
		return all, nil
	}
	var err error
	if b.Listeners, err = parse("listeners", b.listeners); err != nil {
		return err
	}
	if len(b.Listeners) == 0 {
		return refuse("listeners", "there must be at least one listener for clients")
	}
	if b.advertised == nil {
		b.AdvertisedListeners = b.Listeners
		return nil
	}
	if b.AdvertisedListeners, err = parse("advertised.listeners", b.advertised); err != nil {
		return err
	}
	for _, l := range b.AdvertisedListeners {
		if !slices.ContainsFunc(b.Listeners, func(o Listener) bool { return o.Name == l.Name }) {
			return refuse("advertised.listeners", "%s is not among the names in listeners", l.Name)
		}
		if l.Host == "" || l.Host == "0.0.0.0" || l.Host == "::" {
			return refuse("advertised.listeners", "%s: clients cannot connect to %q, name a host", l.Name, l.Host)
		}
	}
	return nil
}
