package config

import (
	"math"
	"net/netip"
	"strconv"
	"strings"
)

// ConnectionsOn is how many connections one listener may have open at once, besides what holds
// for all of them (listener.name.NAME.max.connections).
func (b *Broker) ConnectionsOn(listener string) int32 {
	if text, ok := b.OnlyOfListener(listener, "max.connections"); ok {
		if n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 32); err == nil { // checked when it was set
			return int32(n)
		}
	}
	return math.MaxInt32
}

// ConnectionsOf is how many connections one address may have open at once.
func (b *Broker) ConnectionsOf(ip string) int32 {
	if b.MaxConnectionsPerIPOverrides == "" {
		return b.MaxConnectionsPerIP
	}
	address, err := netip.ParseAddr(ip)
	if err != nil {
		return b.MaxConnectionsPerIP
	}
	for entry := range strings.SplitSeq(b.MaxConnectionsPerIPOverrides, ",") {
		if of, most, err := connectionOverride(entry); err == "" && of == address.Unmap() {
			return most
		}
	}
	return b.MaxConnectionsPerIP
}

// connectionOverride reads address:number. The address may stand in square brackets. err is
// what is wrong with it.
func connectionOverride(entry string) (of netip.Addr, most int32, err string) {
	at := strings.LastIndexByte(entry, ':')
	if at < 0 {
		return of, 0, "each entry must be address:number"
	}
	host := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(entry[:at]), "["), "]")
	of, bad := netip.ParseAddr(host)
	if bad != nil {
		return of, 0, strconv.Quote(host) + " is not an address"
	}
	n, bad := strconv.ParseInt(strings.TrimSpace(entry[at+1:]), 10, 32)
	if bad != nil || n < 0 {
		return of, 0, "the number of connections must be 0 or more"
	}
	return of.Unmap(), int32(n), ""
}

func connectionOverrides() rule {
	return rule{"address:number, with commas between", func(v any) string {
		text := v.(string)
		if text == "" {
			return ""
		}
		for entry := range strings.SplitSeq(text, ",") {
			if _, _, err := connectionOverride(entry); err != "" {
				return err
			}
		}
		return ""
	}}
}
