package directorytest_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"postern/directory/embedded"
)

// pageSize is small, so that a few dozen people are several pages.
const pageSize = 7

// adFacts are what an unlock or a refused password must not touch.
var adFacts = []string{"userAccountControl", "pwdLastSet", "accountExpires", "primaryGroupID", "adminCount"}

func facts(read func() (*ldap.Entry, error), attrs ...string) (map[string]string, error) {
	e, err := read()
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, a := range attrs {
		out[a] = strings.Join(e.GetAttributeValues(a), "|")
	}
	return out, nil
}

func deterministic(seed uint64) io.Reader {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	return rand.NewChaCha8(key)
}

func dialEmbedded(s *embedded.Server) (*ldap.Conn, error) {
	pem, err := os.ReadFile(s.CAFile())
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("no certificate in " + s.CAFile())
	}
	return ldap.DialURL(s.URL(), ldap.DialWithTLSConfig(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}))
}

func bindAs(s *embedded.Server, who, password string) error {
	c, err := dialEmbedded(s)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Bind(who, password)
}

func readAs(s *embedded.Server, who, password, dn string) (*ldap.Entry, error) {
	c, err := dialEmbedded(s)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.Bind(who, password); err != nil {
		return nil, err
	}
	res, err := c.Search(ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)", nil, nil))
	if err != nil {
		return nil, err
	}
	if len(res.Entries) != 1 {
		return nil, fmt.Errorf("%d entries", len(res.Entries))
	}
	return res.Entries[0], nil
}

func ldaps(addrs []string) (urls []string) {
	for _, a := range addrs {
		urls = append(urls, "ldaps://"+a)
	}
	return urls
}
