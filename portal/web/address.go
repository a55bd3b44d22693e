package web

import (
	"net/netip"

	"github.com/gofiber/fiber/v2"
)

// proxies are the networks whose X-Real-IP is believed. Empty: nobody's.
type proxies []netip.Prefix

func (p proxies) trusts(a netip.Addr) bool {
	for _, n := range p {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// client returns who is asking: the peer itself, or what a trusted proxy wrote
// into X-Real-IP, which it must overwrite. X-Forwarded-For and Forwarded are
// never read: their leftmost entry is the client's own invention. believed is
// false when a trusted proxy did not say, and everybody behind it then shares
// one address.
func (p proxies) client(c *fiber.Ctx) (addr netip.Addr, believed bool) {
	peer, _ := netip.AddrFromSlice(c.Context().RemoteIP())
	peer = peer.Unmap()
	if !p.trusts(peer) {
		return peer, true
	}
	said := c.Request().Header.PeekAll("X-Real-Ip")
	if len(said) != 1 {
		return peer, false
	}
	a, err := netip.ParseAddr(string(said[0]))
	if err != nil || a.Zone() != "" {
		return peer, false
	}
	return a.Unmap(), true
}
