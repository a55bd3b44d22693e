package passkey

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"postern/verify"
)

// Config of the factor.
type Config struct {
	// RPID is the relying party id passkeys are bound to: the host of the public
	// address, or a parent domain of it. Empty: the host. Changing it makes every
	// enrolled passkey useless.
	RPID string `yaml:"rp_id"`
	// Name is what the browser's window shows; empty: the brand's name, which
	// the program puts in.
	Name string `yaml:"name"`
	// Timeout is how long a ceremony may take.
	Timeout time.Duration `yaml:"timeout"`
	// Max is how many passkeys one person may have.
	Max int `yaml:"max"`
}

// DefaultConfig is what holds when nothing is said. Five minutes is the lower
// end of what WebAuthn L3 section 15.1 recommends for people who need time.
func DefaultConfig() Config { return Config{Timeout: 5 * time.Minute, Max: 10} }

// New returns the factor for one public address (https, or http on localhost).
func New(cfg Config, publicURL string, vault verify.Vault, handles Handles, now func() time.Time, random io.Reader) (*Factor, error) {
	origin, host, err := parseOrigin(publicURL)
	if err != nil {
		return nil, err
	}
	id := strings.ToLower(cfg.RPID)
	if id == "" {
		id = host
	}
	var faults []error
	if id != host && (!strings.HasSuffix(host, "."+id) || !strings.Contains(id, ".")) {
		faults = append(faults, fmt.Errorf("passkey: rp_id: %q is neither %q nor a parent domain of it", id, host))
	}
	if net.ParseIP(host) != nil {
		faults = append(faults, errors.New("passkey: public_url: passkeys need a name, not an IP address"))
	}
	if strings.TrimSpace(cfg.Name) == "" {
		faults = append(faults, errors.New("passkey: name: must not be empty"))
	}
	if cfg.Timeout < 30*time.Second || cfg.Timeout > 10*time.Minute {
		faults = append(faults, fmt.Errorf("passkey: timeout: %v is not between 30s and 10m", cfg.Timeout))
	}
	if cfg.Max < 1 || cfg.Max > 50 {
		faults = append(faults, fmt.Errorf("passkey: max: %d is not between 1 and 50", cfg.Max))
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	// The library's clock check stands beside the injected one: it is off unless
	// asked for (case 76).
	limit := webauthn.TimeoutConfig{Enforce: true, Timeout: cfg.Timeout, TimeoutUVD: cfg.Timeout}
	web, err := webauthn.New(&webauthn.Config{
		RPID: id, RPDisplayName: cfg.Name, RPOrigins: []string{origin},
		RPTopOriginVerificationMode: protocol.TopOriginExplicitVerificationMode, // and none is listed
		RPAllowCrossOrigin:          false,
		AttestationPreference:       protocol.PreferNoAttestation,
		AuthenticatorSelection:      selection(),
		Timeouts:                    webauthn.TimeoutsConfig{Login: limit, Registration: limit},
		// Password managers report extensions nobody asked for. None of them is
		// read here, and refusing them would shut people out.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
	})
	if err != nil {
		return nil, fmt.Errorf("passkey: %w", err)
	}
	return &Factor{web: web, origin: origin, timeout: cfg.Timeout, max: cfg.Max, vault: vault, handles: handles, now: now, random: random}, nil
}

func selection() protocol.AuthenticatorSelection {
	return protocol.AuthenticatorSelection{
		RequireResidentKey: protocol.ResidentKeyRequired(),
		ResidentKey:        protocol.ResidentKeyRequirementRequired,
		UserVerification:   protocol.VerificationRequired,
	}
}

// parseOrigin returns the origin as a browser writes it (RFC 6454 section 6.1)
// and the host alone.
func parseOrigin(publicURL string) (origin, host string, err error) {
	u, err := url.Parse(publicURL)
	if err != nil || u.Host == "" || u.User != nil || u.Opaque != "" {
		return "", "", errors.New("passkey: public_url: not an address")
	}
	host = strings.ToLower(u.Hostname())
	local := host == "localhost" || strings.HasSuffix(host, ".localhost")
	if u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return "", "", errors.New("passkey: public_url: must be https (http only on localhost)")
	}
	port := u.Port()
	if port == "" || u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		return u.Scheme + "://" + host, host, nil
	}
	return u.Scheme + "://" + net.JoinHostPort(host, port), host, nil
}
