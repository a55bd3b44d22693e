// Package verify says what a proof is. A Factor asks for one and checks it; an
// Enroller also binds a new credential to a person; a Vault keeps credentials.
// Each factor is a package below this one.
//
// It never decides which proofs are enough (portal/policy) nor counts wrong
// answers (portal/flow).
package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"postern/directory"
)

// Kind names a factor on the wire, in policies and in the audit log.
type Kind string

const (
	Passkey      Kind = "passkey"
	TOTP         Kind = "totp"
	YubiKey      Kind = "yubikey"
	Email        Kind = "email"
	SMS          Kind = "sms"
	RecoveryCode Kind = "recovery_code"
	Approval     Kind = "approval"
	Handover     Kind = "handover" // a number matched between two screens
	Password     Kind = "password"
)

// Class groups factors that are the same sort of proof. One class may open one
// gate only (NIST SP 800-63B-4 section 4.2.2.2): mail and SMS never count twice.
type Class string

const (
	Possession Class = "possession" // bound to a thing: passkey, YubiKey, TOTP
	Issued     Class = "issued"     // sent to an address: e-mail code, SMS code
	Saved      Class = "saved"      // recovery codes
	Contact    Class = "contact"    // another person's signed yes; never enough alone
	Knowledge  Class = "knowledge"  // the current password
	// Match is that the person on the telephone sits before this very screen: a
	// technician typed the number it shows. It says nothing of who that is.
	Match Class = "match"
)

// Class of a kind; empty for a kind nobody knows.
func (k Kind) Class() Class {
	switch k {
	case Passkey, TOTP, YubiKey:
		return Possession
	case Email, SMS:
		return Issued
	case RecoveryCode:
		return Saved
	case Approval:
		return Contact
	case Handover:
		return Match
	case Password:
		return Knowledge
	}
	return ""
}

// PhishingResistant is a property of passkeys only.
func (k Kind) PhishingResistant() bool { return k == Passkey }

// Guessable says whether wrong answers must count against the account: an
// attacker can guess a code or a password, but not a signature.
func (k Kind) Guessable() bool { return k != Passkey && k != YubiKey && k != Approval && k != Handover }

// Subject is whom a proof is about.
type Subject struct {
	ID directory.ID
	// User is nil for a decoy (and for a passkey sign-in before anybody is
	// known): the factor does the same work and fails alike.
	User    *directory.User
	Case    string // a code is bound to one case and works in no other
	Purpose string
	Lang    string
	Ends    time.Time // when the case is over; zero: not known
	Ask     Ask       // whom an approval may be asked of
	// From is where the request came from, and Why what its author says happened:
	// one of Whys. Both are for whoever is asked to vouch.
	From string
	Why  string
	// Helper is the technician who began the case; nil: the person did themselves.
	Helper *directory.User
	// Helpers are everybody who helps the person; none of them can vouch for them.
	Helpers []directory.ID
}

// Whys are the reasons somebody may give who asks another to vouch. A closed list:
// free words would reach the approver with the portal's own weight.
func Whys() []string { return []string{"lost", "new", "elsewhere", "other"} }

// Ask says whom an approval may be asked of, and how they may answer. It comes
// from the plan of the case.
type Ask struct {
	// Levels is how far up managers are looked for: the first one who can answer is
	// asked. 0: no manager is.
	Levels int `json:",omitempty"`
	// Approvers are logins of those who are asked where no manager can be.
	Approvers []string `json:",omitempty"`
	TOTP      bool     `json:",omitempty"` // an authenticator's code is enough for a yes
	Synced    bool     `json:",omitempty"` // a passkey that is synced between devices may sign
	SMS       bool     `json:",omitempty"` // told by text message besides
	// Settled is how long an approver must have had what they answer with.
	Settled time.Duration `json:",omitempty"`
}

// Challenge is one open question.
type Challenge struct {
	Kind Kind
	// State is what the server must remember to check the answer. It stays in
	// the case's row, sealed, and is never shown.
	State []byte
	// Public is what the page shows as it is: WebAuthn options as JSON, an otpauth URI.
	Public  []byte `json:",omitempty"`
	Expires time.Time
	// Deliver is what must be sent for it to be answered; the core sends it in the
	// same transaction and does not keep it with the case.
	Deliver []Delivery `json:"-"`
}

// Delivery is one message on its way to an address that is read from the
// directory again when it is sent.
type Delivery struct {
	Channel  string            // "mail" or "sms"
	Template string            // message template, e.g. "code"
	Args     map[string]string // may hold the code: sealed at rest, never logged
	// To is who gets it when that is not the person themselves. The message then
	// leads to the page where they answer.
	To *directory.User
}

// Evidence is what a right answer showed.
type Evidence struct {
	Credential string    // id of the credential used; empty where there is none
	Since      time.Time // when that credential was enrolled; zero where there is none
	// DeviceBound: the key cannot be copied off its device (the backup eligible
	// flag is not set, WebAuthn L3 section 6.1.3).
	DeviceBound bool `json:",omitempty"`
	// By is who vouched, when that is not the person themselves; and Record is their
	// statement, whole, for the audit log.
	By     directory.ID    `json:",omitempty"`
	Record json.RawMessage `json:",omitempty"`
}

// Factor is one way to prove who one is. Both methods are safe for concurrent use.
type Factor interface {
	Kind() Kind
	// Begin opens a challenge. It sends nothing. A person who lacks the
	// credential gets a challenge nobody can answer, never an error.
	Begin(ctx context.Context, s Subject) (Challenge, error)
	// Check returns nil for a right answer, once. Wrong, expired and replayed
	// answers are the errors below; anything else means that it could not be
	// checked, which is a no.
	Check(ctx context.Context, s Subject, c Challenge, answer []byte) (Evidence, error)
}

// Discoverer is a factor whose answer says by itself who is asking (a
// discoverable passkey), for signing in without typing a name. It proves
// nothing: the core reads that account and calls Check afterwards.
type Discoverer interface {
	Discover(ctx context.Context, c Challenge, answer []byte) (directory.ID, error)
}

// Enroller is a factor a person can add by themselves.
type Enroller interface {
	Factor
	// Offer makes what the person needs to set the factor up (Challenge.Public)
	// and what the server must remember meanwhile (Challenge.State, sealed).
	Offer(ctx context.Context, s Subject) (Challenge, error)
	// Enrol checks that the set-up works and returns what to keep. It stores
	// nothing: the caller stores it together with the audit event.
	Enrol(ctx context.Context, s Subject, offer Challenge, answer []byte) (Enrolment, error)
}

// Voucher is a factor that another person answers. To the person themselves
// Check says ErrPending, whatever they type.
type Voucher interface {
	Factor
	// Asked are the accounts that may answer c, and nobody else.
	Asked(c Challenge) []directory.ID
	// Without is c as if those were never asked.
	Without(c Challenge, those []directory.ID) (Challenge, error)
	// Ballot is how by may say yes to c. An *Unfit when they may not.
	Ballot(ctx context.Context, s Subject, c Challenge, by directory.User) (Ballot, error)
	// Vote takes a yes. ErrWrong when number or proof is not right, *Unfit when it
	// is not v.By's to give.
	Vote(ctx context.Context, s Subject, c Challenge, v Vote) (Evidence, error)
	// Stands reports whether a yes given before still counts; *Unfit when not.
	Stands(ctx context.Context, s Subject, ev Evidence) error
}

// Ballot is how somebody may answer for another person.
type Ballot struct {
	Passkey []byte // options to sign the request, as JSON; nil: no passkey of theirs may
	TOTP    bool   // a code of their app will do
}

// Vote is one person's yes for another.
type Vote struct {
	By     directory.User // signed in, and read a moment ago
	Kind   Kind           // what Proof is of: Passkey or TOTP
	Number string         // the one that only the requester's screen shows
	Proof  []byte
}

// Unfit is somebody who may not answer for this person. Reason is a code for the
// audit log: self, same_person, mutual, not_asked, manager_changed, not_eligible,
// frozen, no_credential.
type Unfit struct{ Reason string }

func (e *Unfit) Error() string { return "verify: not theirs to answer: " + e.Reason }

// Signer is a factor whose owner can sign a statement, and not only prove that
// they are there: a passkey, with the statement's digest as the challenge.
type Signer interface {
	// AskSignature makes what the page needs to have digest, a SHA-256, signed by
	// one of s's own credentials that keeps rule (Challenge.Public). Nothing has to be remembered:
	// the same digest is the same question. ErrNoCredential when s has none that may sign.
	AskSignature(ctx context.Context, s Subject, digest []byte, rule SignRule) (Challenge, error)
	// CheckSignature takes an answer to it, once; ErrWrong when it is not one by s
	// over digest. That one digest is signed once only is the caller's to see to.
	CheckSignature(ctx context.Context, s Subject, digest []byte, rule SignRule, answer []byte) (Signature, error)
}

// SignRule says whose signature counts.
type SignRule struct {
	DeviceBound bool      // by keys that cannot be copied off their device alone
	Before      time.Time // by credentials enrolled before this alone; zero: any
}

// Signature is a statement's signature, whole, so that it can be checked later
// without the portal (WebAuthn L3 section 7.2).
type Signature struct {
	Credential    string `json:"credential"`    // id in the vault
	CredentialID  []byte `json:"credential_id"` // WebAuthn's
	PublicKey     []byte `json:"public_key"`    // COSE_Key (RFC 9052 section 7)
	RPID          string `json:"rp_id"`         // relying party
	Origin        string `json:"origin"`        // page it was signed on
	Authenticator []byte `json:"authenticator"` // authenticatorData
	ClientData    []byte `json:"client_data"`   // clientDataJSON
	Signature     []byte `json:"signature"`     // over the two before
}

// Enrolment is what a finished set-up leaves behind.
type Enrolment struct {
	Add []Credential
	// ReplaceAll: credentials of this kind that existed before go away in the
	// same transaction (recovery codes are replaced as a set).
	ReplaceAll bool
}

// Credential is one enrolled thing.
type Credential struct {
	ID      string // random, never derived from a secret
	Owner   directory.ID
	Kind    Kind
	Name    string // the person's own name for it
	Handle  []byte // unique within a kind: WebAuthn credential id, hash of a recovery code; may be nil
	Public  []byte // not secret: public key record as JSON
	Secret  []byte // sealed at rest, bound to owner, kind and id
	Counter int64  // last TOTP step, WebAuthn signature count
	Created time.Time
	Used    time.Time // zero: never
	// Print tells the record which key this is: the SHA-256 of a public key as
	// hex. Set by Enrol where there is one, for the audit log alone; not stored.
	Print string `json:"-"`
}

// Vault is what factors need of the store.
type Vault interface {
	// Credentials of one person and kind, oldest first.
	Credentials(ctx context.Context, owner directory.ID, kind Kind) ([]Credential, error)
	// ByHandle finds one credential; ErrNoCredential when there is none.
	ByHandle(ctx context.Context, kind Kind, handle []byte) (Credential, error)
	// Spend moves the counter forward and notes the use, in one statement:
	// ErrReplayed unless counter is above the stored one (RFC 6238 section 5.2;
	// WebAuthn L3 section 7.2 step 22, where 0 and 0 means "keeps no count").
	Spend(ctx context.Context, c Credential, counter int64) error
	// Burn removes a single-use credential in one statement; ErrWrong when it
	// is not there (any more).
	Burn(ctx context.Context, owner directory.ID, kind Kind, handle []byte) (Credential, error)
}

// What can be wrong with an answer.
var (
	ErrWrong        = errors.New("verify: wrong answer")
	ErrExpired      = errors.New("verify: too late")
	ErrReplayed     = errors.New("verify: used before")
	ErrPending      = errors.New("verify: no answer yet")
	ErrNoCredential = errors.New("verify: nothing enrolled")
	ErrWrongNumber  = fmt.Errorf("%w: of the two numbers", ErrWrong)
	ErrNobody       = errors.New("verify: there is nobody to ask")
	ErrDuplicate    = errors.New("verify: enrolled already")
	ErrTooMany      = errors.New("verify: too many of this kind")
	// ErrNotAllowed is a good set-up of something the policy does not take:
	// trying again with the same thing will not help.
	ErrNotAllowed = errors.New("verify: not of a kind that is allowed here")
)
