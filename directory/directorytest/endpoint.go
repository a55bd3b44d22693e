package directorytest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// Endpoint is how a launched directory is reached.
type Endpoint struct {
	URL         string // ldaps://host:port
	StartTLSURL string // ldap://host:port
	CAFile      string // PEM of the authority that signed the certificate
	CA          *Authority
	scratch     string
}

// TLS is a client configuration that trusts CAFile and nothing else.
func (e *Endpoint) TLS() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(e.CA.Cert)
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

// Dial opens a verified LDAPS connection. The caller closes it.
func (e *Endpoint) Dial() (*ldap.Conn, error) {
	conn, err := ldap.DialURL(e.URL, ldap.DialWithTLSConfig(e.TLS()), ldap.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}))
	if err != nil {
		return nil, err
	}
	conn.SetTimeout(10 * time.Second)
	return conn, nil
}

// Bind proves a password on a connection of its own; nil means that the
// directory took it. who is a DN (on Active Directory also a UPN). Every failure
// counts towards the lockout of the account.
func (e *Endpoint) Bind(who, password string) error {
	conn, err := e.Dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Bind(who, password)
}

// Whoami proves a password with OpenLDAP's own ldapwhoami, a program that
// shares no code with us, and returns the identity that the server says. Samba
// 4.17 lacks the operation (RFC 4532) and refuses it after a bind that it took:
// that too proves the password, and who is returned.
func (e *Endpoint) Whoami(ctx context.Context, who, password string) (string, error) {
	tool, err := program("ldapwhoami")
	if err != nil {
		return "", err
	}
	// A file, not an argument: -w would show it in the process list, and only -y
	// carries every byte exactly.
	f, err := os.CreateTemp(e.scratch, "whoami")
	if err != nil {
		return "", err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(password)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, tool, "-x", "-H", e.URL, "-D", who, "-y", f.Name())
	cmd.Env = append(os.Environ(), "LDAPCONF="+os.DevNull, "LDAPTLS_CACERT="+e.CAFile, "LDAPTLS_REQCERT=demand")
	out, err := cmd.CombinedOutput()
	if err != nil && strings.Contains(string(out), "Extended Operation(1.3.6.1.4.1.4203.1.11.3) not supported") {
		return who, nil
	}
	if err != nil {
		return "", fmt.Errorf("ldapwhoami: %w: %s", err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// as runs f on a connection bound as who.
func (e *Endpoint) as(who, password string, f func(*ldap.Conn) error) error {
	conn, err := e.Dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.Bind(who, password); err != nil {
		return fmt.Errorf("directorytest: bind as %s: %w", who, err)
	}
	return f(conn)
}
