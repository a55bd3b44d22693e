package portal

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// clients lets kiosks show certificates of t.ClientCA. The request names those authorities,
// so that a browser that has none of theirs goes on without a question; one that shows
// another, or one that has expired, gets no connection. Which device a certificate is of,
// and whether it still is one, is portal/kiosk's to say, at every request.
func (t TLS) clients(c *tls.Config) error {
	if t.ClientCA == "" {
		return nil
	}
	text, err := os.ReadFile(t.ClientCA)
	if err != nil {
		return fmt.Errorf("portal: tls.client_ca: %w", err)
	}
	c.ClientCAs = x509.NewCertPool()
	if !c.ClientCAs.AppendCertsFromPEM(text) {
		return fmt.Errorf("portal: tls.client_ca: no certificate in %s", t.ClientCA)
	}
	c.ClientAuth = tls.VerifyClientCertIfGiven
	return nil
}
