package main

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"postern/directory"
	"postern/portal"
)

// web looks at what people's browsers will meet.
func (d *examination) web(cfg Config) {
	u, err := url.Parse(cfg.Portal.PublicURL)
	if err != nil || u.Host == "" {
		return // a fault of the configuration, named already
	}
	switch tls := cfg.Portal.TLS.On(); {
	case u.Scheme == "http":
		d.bad(directory.Warning, "public_url", cfg.Portal.PublicURL+" is for this machine alone",
			"nobody else can use the portal", "give it a name and a certificate, or a proxy that has them")
	case tls:
		d.certificate(cfg, u.Hostname())
	default:
		d.ok("public_url", "%s, with TLS ended by a proxy at %s", cfg.Portal.PublicURL, strings.Join(cfg.Portal.TrustedProxies, ", "))
	}
	d.cookies(u)
	d.reach(cfg, u)
	if id := cmp.Or(cfg.Factors.Passkey.RPID, u.Hostname()); net.ParseIP(u.Hostname()) != nil {
		d.bad(directory.Warning, "passkeys", "the public address is a number", "browsers make passkeys for names only", "use a name in public_url")
	} else if id == u.Hostname() || strings.HasSuffix(u.Hostname(), "."+id) {
		d.ok("passkeys", "bound to %s, taken from %s://%s alone", id, u.Scheme, u.Host)
	} else {
		d.bad(directory.Failure, "passkeys", fmt.Sprintf("rp_id %s is not %s or above it", id, u.Hostname()),
			"browsers refuse every passkey", "set factors.passkey.rp_id to "+u.Hostname()+", or leave it out")
	}
	for _, a := range []struct{ key, addr string }{{"listen", cfg.Portal.Listen}, {"admin", cfg.Portal.Admin}} {
		if a.addr != "" {
			d.listener(a.key, a.addr)
		}
	}
}

// cookies says what browsers will do with ours, which are all Secure and __Host-.
// Nothing of it can be set: they go by public_url.
func (d *examination) cookies(public *url.URL) {
	name := public.Hostname()
	ip, _ := netip.ParseAddr(name)
	switch {
	case public.Scheme == "https":
		d.ok("cookies", "go back over https to %s alone, no other host and no subdomain", name)
	case name == "localhost" || strings.HasSuffix(name, ".localhost") || ip.IsLoopback():
		d.ok("cookies", "are kept for %s by Chromium and Firefox, because it is this machine; others may want https, and elsewhere all do", name)
	default:
		d.bad(directory.Failure, "cookies", "browsers keep none over http from "+name, "nobody can sign in or recover anything", "set public_url to https, with tls or a proxy that has a certificate")
	}
}

// reach compares what people type with where the portal listens and who stands
// in front of it.
func (d *examination) reach(cfg Config, public *url.URL) {
	host, port, err := net.SplitHostPort(cfg.Portal.Listen)
	if err != nil {
		return // a fault of the configuration, named already
	}
	ip, _ := netip.ParseAddr(host)
	local := host == "localhost" || ip.IsLoopback()
	if len(cfg.Portal.TrustedProxies) == 0 {
		usual := map[string]string{"http": "80", "https": "443"}[public.Scheme]
		if want := cmp.Or(public.Port(), usual); port != want {
			d.bad(directory.Warning, "listen", fmt.Sprintf("people come to port %s, and the portal listens on %s", want, port),
				"nobody reaches it, unless something forwards", "set listen to port "+want)
		}
		if local && public.Hostname() != "localhost" {
			d.bad(directory.Warning, "listen", cfg.Portal.Listen+" is for this machine alone, and there is no trusted proxy",
				"nobody else reaches the portal", "listen on an address people reach, or name the proxy in trusted_proxies")
		}
		return
	}
	near := slices.ContainsFunc(cfg.Portal.TrustedProxies, func(p string) bool { return strings.HasPrefix(p, "127.") || strings.HasPrefix(p, "::1") })
	if local && !near {
		d.bad(directory.Warning, "trusted_proxies", fmt.Sprintf("the portal listens on %s, where none of %s can reach it", cfg.Portal.Listen, strings.Join(cfg.Portal.TrustedProxies, ", ")),
			"requests would come from somebody who is not trusted, and all people would share one limit", "name the proxy as the portal sees it, like 127.0.0.1")
	}
	if !local && !cfg.Portal.TLS.On() {
		d.bad(directory.Warning, "listen", cfg.Portal.Listen+" speaks no TLS and is open to the network",
			"whoever is on the way from the proxy reads passwords", "listen on 127.0.0.1 beside the proxy, or set tls, or keep that network to the two of them")
	}
}

// listener tries whether the address is ours to listen on. A running portal is
// the usual reason why it is not.
func (d *examination) listener(key, addr string) {
	if d.own != nil {
		d.ok(key, "%s is this portal's", addr)
		return
	}
	l, err := net.Listen("tcp", addr)
	if err == nil {
		l.Close()
		d.ok(key, "%s is free", addr)
		return
	}
	if conn, dial := net.DialTimeout("tcp", addr, time.Second); dial == nil {
		conn.Close()
		d.bad(directory.Warning, key, addr+" is taken; something answers there", "another program cannot listen there too",
			"nothing, if that is the running portal")
		return
	}
	d.bad(directory.Failure, key, err.Error(), "the portal cannot start", "change "+key+", or give the program the right to the port")
}

func (d *examination) certificate(cfg Config, host string) {
	pair, err := tls.LoadX509KeyPair(cfg.Portal.TLS.CertFile, cfg.Portal.TLS.KeyFile)
	if err != nil {
		d.bad(directory.Failure, "tls", err.Error(), "the portal cannot start", "check tls.cert_file and tls.key_file")
		return
	}
	d.leaf(pair.Leaf, host, cfg.Portal.TLS.CertFile)
	if ca := cfg.Portal.TLS.ClientCA; ca != "" {
		if _, err := portal.Authorities(ca); err != nil {
			d.bad(directory.Failure, "tls", err.Error(), "the portal cannot start", "check tls.client_ca")
		}
	}
}

// certificateSoon is how long before its end a certificate is warned of.
const certificateSoon = 14 * 24 * time.Hour

// days are the whole ones of a time.
func days(d time.Duration) string { return count(int(d/(24*time.Hour)), "day") }

// leaf says whether a certificate is for host and how long it still is.
func (d *examination) leaf(cert *x509.Certificate, host, file string) {
	if err := cert.VerifyHostname(host); err != nil {
		d.bad(directory.Failure, "tls", err.Error(), "every browser refuses it", "get a certificate for "+host)
		return
	}
	left := cert.NotAfter.Sub(d.now())
	switch {
	case left <= 0:
		d.bad(directory.Failure, "tls", fmt.Sprintf("the certificate in %s ended on %s", file, cert.NotAfter.Format(time.DateOnly)),
			"every browser refuses it", "renew it and restart")
	case left < certificateSoon:
		d.bad(directory.Warning, "tls", fmt.Sprintf("the certificate in %s ends in %s", file, days(left)),
			"every browser will refuse it then", "renew it and restart")
	default:
		d.ok("tls", "the certificate is for %s, with %s left", host, days(left))
	}
}
