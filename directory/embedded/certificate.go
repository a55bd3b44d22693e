package embedded

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"postern/directory/internal/loopback"
)

type authority struct {
	cert *x509.Certificate
	pem  []byte
}

// certificate is this start's own, for the host it listens on.
func (s *Server) certificate(host string) (*authority, *tls.Config, error) {
	pair, ca, pem, err := loopback.Certificate(s.cfg.Rand, "Postern demo directory", hostsOf(host)...)
	if err != nil {
		return nil, nil, fmt.Errorf("embedded: %w", err)
	}
	return &authority{cert: ca, pem: pem}, &tls.Config{
		MinVersion: tls.VersionTLS12, GetConfigForClient: s.track, Certificates: []tls.Certificate{pair},
	}, nil
}
