package passkey

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/metadata"
	"github.com/go-webauthn/webauthn/metadata/providers/memory"
	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/google/uuid"

	"postern/directory"
	"postern/verify"
)

// Attestation is what a new passkey must prove of its maker (WebAuthn L3
// section 6.5). Everything but None asks the browser for the statement, which
// many browsers put to the person as a question, and shuts out most synced
// passkeys.
type Attestation string

const (
	// None takes every passkey and asks for no statement; the empty string is None.
	None Attestation = "none"
	// Any takes a statement whose signature verifies, signed by the credential
	// itself or under any certificate. It keeps out what makes no statement, and
	// proves nothing of the maker: anybody can make a certificate.
	Any Attestation = "any"
	// Listed takes the models of Config.AllowedAAGUIDs. The AAGUID alone is what
	// the device says of itself and proves nothing, so the statement must be signed
	// under a root that the metadata names for that model, and the metadata must
	// not call the model revoked, retired or compromised. Certified it need not be.
	Listed Attestation = "listed"
	// Certified takes every model that the metadata shows as FIDO certified now,
	// at any level, with the same proof.
	Certified Attestation = "certified"
)

// ErrNotAllowed is a good passkey that the policy does not take: of another
// kind, maker or model. Another device would do; trying again would not.
var ErrNotAllowed = fmt.Errorf("passkey: %w: %w", verify.ErrNotAllowed, verify.ErrWrong)

// makers is the policy for new passkeys.
type makers struct {
	demand  Attestation
	bound   bool     // everybody's
	groups  []string // else, these groups'
	allowed []uuid.UUID
	blob    *blobFile // nil unless the demand needs it
	now     func() time.Time
}

func newMakers(cfg Config, now func() time.Time) (*makers, error) {
	m := &makers{demand: cfg.Attestation, bound: cfg.DeviceBound, groups: slices.Clone(cfg.DeviceBoundGroups), now: now}
	if m.demand == "" {
		m.demand = None
	}
	for _, text := range cfg.AllowedAAGUIDs {
		id, err := parseAAGUID(text)
		if err != nil {
			return nil, err
		}
		m.allowed = append(m.allowed, id)
	}
	if cfg.Metadata == "" {
		return m, nil
	}
	m.blob = &blobFile{path: cfg.Metadata, root: cfg.MetadataRoot, now: now}
	// Read once here, so that a wrong file is found at the start and not by the
	// first person.
	if _, err := m.blob.current(); err != nil {
		return nil, err
	}
	return m, nil
}

func parseAAGUID(text string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil || len(text) != 36 {
		return uuid.Nil, fmt.Errorf("%q is not an AAGUID, like cb69481e-8ff7-4039-93ec-0a2729a154a8", text)
	}
	if id == uuid.Nil {
		return uuid.Nil, errors.New("the AAGUID of zeros stands for no model")
	}
	return id, nil
}

// preference asks for a statement only when it is looked at: the model of a
// person's device is nobody's business otherwise.
func (m *makers) preference() protocol.ConveyancePreference {
	if m.demand == None {
		return protocol.PreferNoAttestation
	}
	return protocol.PreferDirectAttestation
}

// mustBeBound says whether a new passkey of u may not leave its device.
func (m *makers) mustBeBound(u directory.User) bool {
	return m.bound || directory.MemberOf(u, m.groups...)
}

// hints lead the browser to devices that can be device-bound (WebAuthn L3
// section 5.8.7): a security key first, then what this computer keeps. Never to
// the phone, whose passkeys are synced. They are hints; the flag decides.
func (m *makers) hints(u directory.User) []protocol.PublicKeyCredentialHints {
	if !m.mustBeBound(u) {
		return nil
	}
	return []protocol.PublicKeyCredentialHints{protocol.PublicKeyCredentialHintSecurityKey, protocol.PublicKeyCredentialHintClientDevice}
}

// allow judges a new credential of u's whose statement, if any, the library has verified.
// Errors that are not ErrNotAllowed are faults of the portal.
func (m *makers) allow(ctx context.Context, u directory.User, made *webauthn.Credential, answer *protocol.ParsedCredentialCreationData) error {
	if m.mustBeBound(u) && made.Flags.BackupEligible {
		return notAllowed("it may be copied off its device")
	}
	if m.demand == None {
		return nil
	}
	kind := metadata.AuthenticatorAttestationType(made.AttestationType)
	certified := kind == metadata.BasicFull || kind == metadata.AttCA || kind == metadata.AnonCA
	if m.demand == Any {
		// Named one by one: a type the library learns later is not taken unseen.
		if !certified && kind != metadata.BasicSurrogate {
			return notAllowed("no attestation")
		}
		return nil
	}
	// Without a certificate the library skips the maker's root, and a statement
	// that the credential signed itself would pass for any model.
	statement := answer.Response.AttestationObject
	path, _ := statement.AttStatement["x5c"].([]any)
	if !certified || len(path) == 0 {
		return notAllowed("no attestation under a maker's certificate")
	}
	model, err := uuid.FromBytes(made.Authenticator.AAGUID)
	if err != nil || model == uuid.Nil {
		return notAllowed("no model")
	}
	if m.demand == Listed && !slices.Contains(m.allowed, model) {
		return notAllowed("model " + model.String() + " is not on the list")
	}
	known, err := m.blob.current()
	if err != nil {
		return fmt.Errorf("passkey: %w", err)
	}
	entry := known.models[model]
	if entry == nil {
		return notAllowed("model " + model.String() + " is not in the metadata")
	}
	if err := standing(entry.StatusReports, m.demand == Certified, m.now()); err != nil {
		return notAllowed("model " + model.String() + ": " + err.Error())
	}
	// The status is judged above, by the injected clock.
	provider, err := memory.New(memory.WithMetadata(known.models), memory.WithValidateStatus(false), memory.WithValidateAAGUID(true))
	if err != nil {
		return fmt.Errorf("passkey: %w", err)
	}
	if bad := protocol.ValidateMetadataWithAuthenticatorData(ctx, provider, model, made.AttestationType, made.AttestationFormat, path, &statement.AuthData); bad != nil {
		return notAllowed("model " + model.String() + ": its attestation does not lead to the maker")
	}
	return nil
}

// standing judges what FIDO reports of a model (FIDO MDS 3.1 section 3.1.3). A
// compromise is never outlived by a later report. Of the certification the
// latest report counts, among those that speak of it: an update or a FIPS
// certificate reported later takes nothing away.
func standing(reports []metadata.StatusReport, certified bool, at time.Time) error {
	var levels []metadata.StatusReport
	for _, r := range metadata.EffectiveStatusReports(reports, at) {
		switch {
		case metadata.IsUndesiredAuthenticatorStatus(r.Status):
			return fmt.Errorf("reported as %s", r.Status)
		case r.Status == metadata.NotFidoCertified, strings.HasPrefix(string(r.Status), string(metadata.FidoCertified)):
			levels = append(levels, r)
		}
	}
	if !certified {
		return nil
	}
	if now := metadata.CurrentStatusReportAt(levels, at); now == nil || now.Status == metadata.NotFidoCertified {
		return errors.New("not certified")
	}
	return nil
}

func notAllowed(reason string) error { return fmt.Errorf("%w: %s", ErrNotAllowed, reason) }
