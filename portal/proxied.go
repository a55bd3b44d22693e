package portal

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/pires/go-proxyproto"
)

// proxyHeaderTime is how long a proxy may take to say who the client is. It says so
// before anything else, on a connection that it opened for it.
const proxyHeaderTime = 3 * time.Second

var errProxyAddress = errors.New("portal: the PROXY header names no TCP address")

// proxied takes the client's address from the PROXY header (version 1 or 2,
// https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt) that every connection from
// one of the proxies must begin with; one that does not is closed. Nobody else is asked
// for one, and theirs is no HTTP. A proxy's own health checks say LOCAL.
//
// It stands outside of the listener that counts connections: that one must not wait for
// what a connection says first.
func proxied(ln net.Listener, proxies []netip.Prefix) net.Listener {
	return &proxyproto.Listener{
		Listener: ln, ReadHeaderTimeout: proxyHeaderTime,
		ConnPolicy: func(o proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
			from, err := netip.ParseAddrPort(o.Upstream.String())
			if err != nil {
				return proxyproto.SKIP, nil
			}
			a := from.Addr().Unmap().WithZone("")
			for _, p := range proxies {
				if p.Contains(a) {
					return proxyproto.REQUIRE, nil
				}
			}
			return proxyproto.SKIP, nil
		},
		ValidateHeader: func(h *proxyproto.Header) error {
			if h.Command.IsLocal() || h.TransportProtocol.IsUnspec() {
				return nil
			}
			if _, ok := h.SourceAddr.(*net.TCPAddr); !ok {
				return errProxyAddress
			}
			return nil
		},
	}
}
