package ldapconn

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"postern/directory"
)

const certificateSoon = 30 * 24 * time.Hour

// dialFinding reads why no verified connection came about, and names the cure.
func (s *server) dialFinding(err error) directory.Finding {
	f := directory.Finding{Severity: directory.Failure, Check: "tls",
		What: err.Error(), Why: "passwords go over verified TLS or not at all"}
	var (
		shown    *tls.CertificateVerificationError
		leaf     *x509.Certificate
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
		header   tls.RecordHeaderError
		network  *net.OpError
	)
	if errors.As(err, &shown) && len(shown.UnverifiedCertificates) > 0 {
		leaf = shown.UnverifiedCertificates[0]
		f.What += "; it shows a certificate " + describe(leaf)
	}
	showing := "openssl s_client -showcerts -connect " + s.addr
	if s.startTLS {
		showing += " -starttls ldap"
	}
	// go-ldap passes on the text of what went wrong after StartTLS, and not the error.
	switch text := err.Error(); {
	case leaf != nil && selfSigned(leaf) && errors.As(err, new(x509.UnknownAuthorityError)):
		f.Mend = "the certificate is self-signed, which proves nothing to anybody who does not have it: give the server one of your authority's, " +
			"or, once you have compared it with the one on the server, make it the ca_file:\n" + showing + " </dev/null | openssl x509 > directory-ca.pem"
	case errors.As(err, new(x509.UnknownAuthorityError)), strings.Contains(text, "signed by unknown authority"):
		f.Mend = "set ca_file to the PEM certificate of the authority that signed the server's; see:\n" + showing
	case errors.As(err, &hostname):
		f.Mend = fmt.Sprintf("the certificate is for %s and not for %s: ", strings.Join(names(hostname.Certificate), ", "), s.tls.ServerName)
		if s.client.cfg.Discovery.on() {
			f.Mend += "give the server one for its own name"
		} else {
			f.Mend += "use that name in servers, or set server_name"
		}
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired, strings.Contains(text, "has expired or is not yet valid"):
		f.Mend = "renew the server's certificate, or mend the clock of whichever machine is wrong; see:\n" + showing + " </dev/null | openssl x509 -noout -dates"
	case strings.Contains(text, "protocol version"):
		f.Mend = "let the server offer TLS 1.2 or later\non Windows, and start it anew:\n" +
			`reg add "HKLM\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\TLS 1.2\Server" /v Enabled /t REG_DWORD /d 1 /f` +
			"\non Samba, in smb.conf: tls priority = NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2\non OpenLDAP, in slapd.conf: TLSProtocolMin 3.3"
	case errors.As(err, &header):
		f.Mend = s.addr + " does not speak TLS from the first byte: that is another port, 636 (3269 of a global catalogue), or ldap:// with start_tls"
	case errors.As(err, &network) && network.Op == "dial":
		f.Check, f.Why = "reach", unreached
		f.Mend = "check that the server runs and that a firewall lets " + s.addr + " through"
	case silent(err):
		f.Check, f.Why = "reach", unreached
		f.Mend = "check that the server runs, that a firewall lets " + s.addr + " through, and that dial_timeout is long enough; " +
			"something that takes connections and then says nothing is another service, a firewall, or a server that hangs; see:\n" + showing
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		f.Mend = s.addr + " ended the connection: a domain controller that has no certificate for server authentication does that; see:\n" + showing
	default:
		f.Mend = "see what the server offers:\n" + showing
	}
	return f
}

const unreached = "a server that does not answer cannot be failed over to"

func silent(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || strings.Contains(err.Error(), "i/o timeout")
}

// brokenFinding is a connection that was good and ended in the middle of a request.
func (s *server) brokenFinding(err error) directory.Finding {
	f := directory.Finding{Severity: directory.Failure, Check: "answers", What: err.Error(), Why: "what could not be read is taken for a no"}
	switch {
	case strings.Contains(err.Error(), errTooLarge.Error()):
		f.Mend = fmt.Sprintf("check that %s is a directory server: no answer it is asked for comes near %d MiB", s.addr, maxAnswer>>20)
	case silent(err):
		f.Mend = "find out why the server takes longer than request_timeout, or raise that"
	default:
		f.Mend = "look into the log of the server, and of a firewall or load balancer in front of it, for why it ended the connection"
	}
	return f
}

func names(c *x509.Certificate) []string {
	out := append([]string{}, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		out = append(out, ip.String())
	}
	if len(out) == 0 {
		out = []string{"no name at all (subjectAltName is missing)"}
	}
	return out
}

func selfSigned(c *x509.Certificate) bool { return bytes.Equal(c.RawIssuer, c.RawSubject) }

// describe names whom a certificate is for, who signed it and when it ends.
func describe(c *x509.Certificate) string {
	by := fmt.Sprintf("by %q", c.Issuer.CommonName)
	if selfSigned(c) {
		by = "self-signed"
	}
	return fmt.Sprintf("for %s, %s, until %s", strings.Join(names(c), ", "), by, c.NotAfter.UTC().Format(time.DateOnly))
}

// certificateFinding describes a chain that was verified. It ends when the first of
// its certificates does.
func (s *server) certificateFinding(state tls.ConnectionState, now time.Time) directory.Finding {
	f := directory.Finding{Check: "tls"}
	if len(state.VerifiedChains) == 0 || len(state.VerifiedChains[0]) == 0 {
		return directory.Finding{Severity: directory.Failure, Check: "tls", What: s.addr + " showed no certificate that was verified",
			Why: "passwords go over verified TLS or not at all", Mend: "give the server a certificate"}
	}
	chain := state.VerifiedChains[0]
	first := chain[0]
	for _, c := range chain[1:] {
		if c.NotAfter.Before(first.NotAfter) {
			first = c
		}
	}
	left := first.NotAfter.Sub(now)
	f.What = fmt.Sprintf("%s: %s, looked for %s, certificate %s", s.addr, tls.VersionName(state.Version), s.tls.ServerName, describe(chain[0]))
	for i, c := range chain[1:] {
		if i > 0 || c.Subject.CommonName != chain[0].Issuer.CommonName {
			f.What += fmt.Sprintf(", then %q", c.Subject.CommonName)
		}
	}
	f.What += fmt.Sprintf("; valid for %d more days", int(left.Hours()/24))
	if left < certificateSoon {
		f.Severity = directory.Warning
		f.Why = "when it ends nobody can be helped: it will not be accepted"
		f.Mend = "renew the server's certificate"
		if first != chain[0] {
			f.Mend = fmt.Sprintf("renew the certificate of the authority %q", first.Subject.CommonName)
		}
	}
	return f
}
