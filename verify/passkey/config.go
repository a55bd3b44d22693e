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

	"postern/directory"
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
	// Attestation is what a new passkey must prove of its maker. What is enrolled
	// already stays as it is.
	Attestation Attestation `yaml:"attestation"`
	// AllowedAAGUIDs are the models of Listed, as UUIDs.
	AllowedAAGUIDs []string `yaml:"allowed_aaguids"`
	// Metadata is the file of the FIDO Metadata Service (the BLOB of
	// https://mds.fidoalliance.org, as it is). Listed and Certified need it. It is
	// read again when it changes; nothing is asked over the network.
	Metadata string `yaml:"metadata"`
	// MetadataRoot is a PEM file with the one certificate that the BLOB's signer
	// must lead to; empty: the root FIDO uses, for mds.fidoalliance.org alone.
	MetadataRoot string `yaml:"metadata_root"`
	// DeviceBound refuses credentials that may be copied off their device (the
	// backup eligible flag, WebAuthn L3 section 6.1.3). The flag is the device's own
	// word: only with Listed or Certified is it known whose word that is.
	DeviceBound bool `yaml:"device_bound"`
	// DeviceBoundGroups refuses the same to the members of these groups alone, by DN
	// or common name, as directory.MemberOf has it.
	DeviceBoundGroups []string `yaml:"device_bound_groups"`
}

// DefaultConfig is what holds when nothing is said. Five minutes is the lower
// end of what WebAuthn L3 section 15.1 recommends for people who need time.
func DefaultConfig() Config {
	return Config{Timeout: 5 * time.Minute, Max: 10, Attestation: None, AllowedAAGUIDs: []string{}, DeviceBoundGroups: []string{}}
}

// Validate returns every fault that can be seen without the public address and
// without reading files.
func (c Config) Validate() []error {
	var faults []error
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if strings.TrimSpace(c.Name) == "" {
		add("name: must not be empty")
	}
	if c.Timeout < 30*time.Second || c.Timeout > 10*time.Minute {
		add("timeout: %v is not between 30s and 10m", c.Timeout)
	}
	if c.Max < 1 || c.Max > 50 {
		add("max: %d is not between 1 and 50", c.Max)
	}
	switch c.Attestation {
	case "", None, Any, Listed, Certified:
	default:
		add("attestation: %q is none of none, any, listed, certified", c.Attestation)
	}
	proven := c.Attestation == Listed || c.Attestation == Certified
	switch {
	case c.Attestation == Listed && len(c.AllowedAAGUIDs) == 0:
		add("allowed_aaguids: attestation: listed needs at least one")
	case c.Attestation != Listed && len(c.AllowedAAGUIDs) > 0:
		// Somebody believes in a list that nothing would look at.
		add("allowed_aaguids: only counts with attestation: listed")
	}
	for i, text := range c.AllowedAAGUIDs {
		if _, err := parseAAGUID(text); err != nil {
			add("allowed_aaguids[%d]: %w", i, err)
		}
	}
	switch {
	case proven && c.Metadata == "":
		add("metadata: attestation: %s needs it: without a maker's root anybody can sign a statement", c.Attestation)
	case !proven && c.Metadata != "":
		add("metadata: only counts with attestation: listed or certified")
	}
	if c.MetadataRoot != "" && c.Metadata == "" {
		add("metadata_root: only counts with metadata")
	}
	if c.DeviceBound && len(c.DeviceBoundGroups) > 0 {
		// Somebody believes that everybody else may have synced ones.
		add("device_bound_groups: device_bound: true holds for everybody already")
	}
	for i, g := range c.DeviceBoundGroups {
		switch {
		case strings.TrimSpace(g) == "":
			add("device_bound_groups[%d]: is empty", i)
		case strings.Contains(g, "=") && len(directory.ParseDN(g)) == 0:
			// It would match nobody, and the rule would be off unseen.
			add("device_bound_groups[%d]: %q is neither a DN nor a name", i, g)
		}
	}
	return faults
}

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
	if !mayClaim(host, id) {
		faults = append(faults, fmt.Errorf("passkey: rp_id: %q is neither %q nor a parent domain of it", id, host))
	}
	if net.ParseIP(host) != nil {
		faults = append(faults, errors.New("passkey: public_url: passkeys need a name, not an IP address"))
	}
	for _, fault := range cfg.Validate() {
		faults = append(faults, fmt.Errorf("passkey: %w", fault))
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	makers, err := newMakers(cfg, now)
	if err != nil {
		return nil, fmt.Errorf("passkey: %w", err)
	}
	// The library's clock check stands beside the injected one: it is off unless
	// asked for (case 76).
	limit := webauthn.TimeoutConfig{Enforce: true, Timeout: cfg.Timeout, TimeoutUVD: cfg.Timeout}
	web, err := webauthn.New(&webauthn.Config{
		RPID: id, RPDisplayName: cfg.Name, RPOrigins: []string{origin},
		RPTopOriginVerificationMode: protocol.TopOriginExplicitVerificationMode, // and none is listed
		RPAllowCrossOrigin:          false,
		AttestationPreference:       makers.preference(),
		AuthenticatorSelection:      selection(),
		Timeouts:                    webauthn.TimeoutsConfig{Login: limit, Registration: limit},
		// Password managers report extensions nobody asked for. None of them is
		// read here, and refusing them would shut people out.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
	})
	if err != nil {
		return nil, fmt.Errorf("passkey: %w", err)
	}
	return &Factor{web: web, makers: makers, origin: origin, timeout: cfg.Timeout, max: cfg.Max, vault: vault, handles: handles, now: now, random: random}, nil
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

// mayClaim says whether a page of host can have keys of the relying party id: its
// own, or of a parent domain that is not a whole country's.
func mayClaim(host, id string) bool {
	return id == host || strings.HasSuffix(host, "."+id) && strings.Contains(id, ".")
}
