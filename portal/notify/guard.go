package notify

import (
	"errors"
	"net/netip"
	"syscall"
)

// Guard says which addresses may be connected to. It is asked with the address
// itself, after the name was resolved and right before the connection: a name
// that means something else each time gets nowhere (security case 115).
type Guard struct {
	Local   bool // this machine and nothing else
	Private bool // private networks as well as the internet
}

// Addresses that are nobody's gateway: what they answer to is the machine's own
// cloud, or they hide another address inside.
var (
	neverDialed = prefixes(
		"0.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4", "169.254.0.0/16", // RFC 6890
		"168.63.129.16/32",   // Azure's agent
		"100.100.100.200/32", // Alibaba's metadata
		"192.0.0.192/32",     // Oracle's metadata, of old
		"::/128", "ff00::/8", "fe80::/10", "fec0::/10",
		"fd00:ec2::/32",      // Amazon's metadata, time and names
		"fd20:ce::254/128",   // Google's metadata
		"::/96", "2001::/32", // IPv4-compatible, Teredo
		"2002::/16", "64:ff9b:1::/48", // 6to4, local NAT64
	)
	privateNets = prefixes(
		"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", // RFC 1918, 6598, 4193
		"192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", // RFC 6890
	)
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
)

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

func in(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// AddressError names an address Guard refused.
type AddressError struct{ Addr netip.Addr }

func (e *AddressError) Error() string {
	return e.Addr.String() + " is not an address a gateway may have"
}

// Allow returns an *AddressError for one that is refused.
func (g Guard) Allow(a netip.Addr) error {
	refused := &AddressError{a}
	a = a.Unmap().WithZone("")
	if nat64.Contains(a) { // RFC 6052: the address is the last 4 bytes
		b := a.As16()
		if a = netip.AddrFrom4([4]byte(b[12:])); a.IsLoopback() {
			return refused
		}
	}
	switch {
	case a.IsLoopback():
		if g.Local {
			return nil
		}
		return refused
	case g.Local, in(neverDialed, a), in(privateNets, a) && !g.Private:
		return refused
	}
	return nil
}

// Control is a net.Dialer's.
func (g Guard) Control(_, address string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return errors.New("not an address")
	}
	return g.Allow(a.Addr())
}
