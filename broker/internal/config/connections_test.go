package config

import "testing"

func TestConnectionsOf(t *testing.T) {
	t.Parallel()
	b := &Broker{MaxConnectionsPerIP: 10, MaxConnectionsPerIPOverrides: "192.0.2.7:1, [2001:db8::1]:2,2001:db8::2:3"}
	for ip, want := range map[string]int32{
		"192.0.2.7": 1, "::ffff:192.0.2.7": 1, "192.0.2.8": 10, "2001:db8::1": 2, "2001:db8::2": 3, "not an address": 10,
	} {
		if got := b.ConnectionsOf(ip); got != want {
			t.Errorf("%s may have %d connections, want %d", ip, got, want)
		}
	}
	d := Lookup(BrokerLevel, "max.connections.per.ip.overrides")
	for _, bad := range []string{"192.0.2.7", "192.0.2.7:", "192.0.2.7:-1", "host.example:1", "192.0.2.7:1,", "192.0.2.7:99999999999"} {
		if _, err := d.parse(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	for _, good := range []string{"", b.MaxConnectionsPerIPOverrides} {
		if _, err := d.parse(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}
