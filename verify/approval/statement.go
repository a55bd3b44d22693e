package approval

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"postern/directory"
	"postern/verify"
)

// statementType names the form of a statement, and its version.
const statementType = "postern approval 1"

// Statement is what an approver signs: json.Marshal of it, byte for byte.
type Statement struct {
	Type           string       `json:"type"`
	Portal         string       `json:"portal"` // origin
	Case           string       `json:"case"`
	Purpose        string       `json:"purpose"`
	Requester      directory.ID `json:"requester"`
	RequesterLogin string       `json:"requester_login"`
	Approver       directory.ID `json:"approver"`
	ApproverLogin  string       `json:"approver_login"`
	Manager        bool         `json:"manager"` // of the requester, by the directory's word
	From           string       `json:"from"`    // client address of the request
	Why            string       `json:"why"`     // one of verify.Whys; empty: not said
	Decision       string       `json:"decision"`
	// Number is the one only the requester's screen showed. Nonce keeps whoever sees
	// the digest from trying the ninety numbers there are.
	Number  string    `json:"number"`
	Nonce   []byte    `json:"nonce"`
	Asked   time.Time `json:"asked"`
	Expires time.Time `json:"expires"`
}

// Record is a yes as it is kept: the statement, and its signature where it was
// signed.
type Record struct {
	Statement []byte            `json:"statement"` // JSON of a Statement
	By        verify.Kind       `json:"by"`
	Signature *verify.Signature `json:"signature,omitempty"`
}

// statement is what by would sign, and its SHA-256.
func (f *Factor) statement(s verify.Subject, c verify.Challenge, st state, by directory.User) (text, digest []byte, err error) {
	manager := false
	for _, v := range st.Asked {
		manager = manager || v.ID == by.ID && v.Manager
	}
	text, err = json.Marshal(Statement{Type: statementType, Portal: f.Origin, Case: s.Case, Purpose: s.Purpose, Requester: s.ID, RequesterLogin: s.User.Login,
		Approver: by.ID, ApproverLogin: by.Login, Manager: manager, From: s.From, Why: s.Why, Decision: "approve", Number: st.Number, Nonce: st.Nonce,
		Asked: st.At.UTC().Truncate(time.Second), Expires: c.Expires.UTC()})
	if err != nil {
		return nil, nil, fmt.Errorf("approval: %w", err)
	}
	sum := sha256.Sum256(text)
	return text, sum[:], nil
}

// ErrUnsigned is a yes that was given with a code: the portal's word is all there is.
var ErrUnsigned = errors.New("approval: not signed: it was given with a code, which proves nothing later")

// Verify checks a record from the audit log by itself: the form of the statement,
// and that check finds the signature to be over it. It returns what was signed.
// Whose key it was only an enrolment in the same record can tell.
func (r Record) Verify(check func(sig verify.Signature, digest []byte) error) (Statement, error) {
	var s Statement
	if err := json.Unmarshal(r.Statement, &s); err != nil {
		return s, fmt.Errorf("approval: the statement is not JSON: %w", err)
	}
	again, err := json.Marshal(s)
	switch {
	case err != nil:
		return s, err
	case string(again) != string(r.Statement):
		// Something in it has no meaning here, and may have had one for the signer.
		return s, errors.New("approval: the statement holds more, or is written otherwise, than a statement may")
	case s.Type != statementType:
		return s, fmt.Errorf("approval: %q is not a form of statement known here", s.Type)
	case s.Decision != "approve":
		return s, fmt.Errorf("approval: the decision is %q", s.Decision)
	case s.Requester == s.Approver:
		return s, errors.New("approval: requester and approver are the same account")
	case r.Signature == nil:
		return s, ErrUnsigned
	case r.Signature.Origin != s.Portal:
		return s, fmt.Errorf("approval: signed at %s, stated for %s", r.Signature.Origin, s.Portal)
	}
	digest := sha256.Sum256(r.Statement)
	return s, check(*r.Signature, digest[:])
}
