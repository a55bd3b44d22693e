package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/audit"
	"postern/verify"
	"postern/verify/approval"
	"postern/verify/passkey"
)

// signing is a key and what it signs: one who writes their own export.
type signing struct {
	key       *ecdsa.PrivateKey
	cose      []byte
	statement approval.Statement
	rpID      string
}

func newSigning(t *testing.T) *signing {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes() // 4, x, y
	if err != nil {
		t.Fatal(err)
	}
	// COSE_Key of ES256 (RFC 9053 section 7.1.1).
	cose := append([]byte{0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32}, point[1:33]...)
	cose = append(append(cose, 0x22, 0x58, 32), point[33:]...)
	at := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	return &signing{key: key, cose: cose, rpID: "id.example.org", statement: approval.Statement{Type: "postern approval 1", Portal: "https://id.example.org", Case: "case-1",
		Purpose: "reset", Requester: "d:anna", RequesterLogin: "anna", Approver: "d:mary", ApproverLogin: "mary", Manager: true, Decision: "approve", Number: "47",
		Nonce: bytes.Repeat([]byte{1}, 16), Asked: at, Expires: at.Add(15 * time.Minute)}}
}

func (s *signing) proof(t *testing.T) json.RawMessage {
	t.Helper()
	text, err := json.Marshal(s.statement)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(text)
	client := fmt.Appendf(nil, `{"type":"webauthn.get","challenge":"%s","origin":"https://id.example.org","crossOrigin":false}`, base64.RawURLEncoding.EncodeToString(digest[:]))
	rp, hash := sha256.Sum256([]byte(s.rpID)), sha256.Sum256(client)
	auth := append(rp[:], 5, 0, 0, 0, 0) // present and verified
	sum := sha256.Sum256(append(bytes.Clone(auth), hash[:]...))
	sig, err := ecdsa.SignASN1(rand.Reader, s.key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	proof, err := json.Marshal(approval.Record{Statement: text, By: verify.Passkey, Signature: &verify.Signature{Credential: "cred-1", CredentialID: []byte{1}, PublicKey: s.cose,
		RPID: s.rpID, Origin: "https://id.example.org", Authenticator: auth, ClientData: client, Signature: sig}})
	if err != nil {
		t.Fatal(err)
	}
	return proof
}

// An export is checked for what it says of the key and of the time, too: somebody who
// can write rows and has a key that was taken away makes no good approval.
func TestVerifyApprovalOfACraftedExport(t *testing.T) {
	for what, c := range map[string]struct {
		change func(*signing, *[]audit.Event)
		says   string
		code   int
	}{
		"as it is":           {nil, "good: signed for reset", 0},
		"the key removed":    {func(_ *signing, e *[]audit.Event) { *e = append((*e)[:1], removed("cred-1", 8), (*e)[1]) }, "removed", 2},
		"another removed":    {func(_ *signing, e *[]audit.Event) { *e = append((*e)[:1], removed("cred-2", 8), (*e)[1]) }, "good", 0},
		"removed afterwards": {func(_ *signing, e *[]audit.Event) { *e = append(*e, removed("cred-1", 10)) }, "good", 0},
		"enrolled again since": {func(s *signing, e *[]audit.Event) {
			*e = append((*e)[:1], removed("cred-1", 8), s.added("d:mary", "cred-3", 8), (*e)[1])
		}, "good", 0},
		"for another site":    {func(s *signing, e *[]audit.Event) { s.rpID = "evil.example"; (*e)[1].Proof = nil }, "relying party", 2},
		"for a parent domain": {func(s *signing, e *[]audit.Event) { s.rpID = "example.org"; (*e)[1].Proof = nil }, "good", 0},
		"for a whole country": {func(s *signing, e *[]audit.Event) { s.rpID = "org"; (*e)[1].Proof = nil }, "relying party", 2},
		"before it was asked": {func(_ *signing, e *[]audit.Event) { (*e)[1].At = (*e)[1].At.Add(-time.Hour) }, "before", 2},
		"after it was over":   {func(_ *signing, e *[]audit.Event) { (*e)[1].At = (*e)[1].At.Add(time.Hour) }, "over", 2},
		"for another's key":   {func(s *signing, e *[]audit.Event) { (*e)[0].Subject = "d:max" }, "enrolled for d:max", 2},
		"twice":               {func(_ *signing, e *[]audit.Event) { *e = append(*e, (*e)[1]) }, "1 good, 0 not certain, 1 bad", 2},
	} {
		s := newSigning(t)
		rows := []audit.Event{s.added("d:mary", "cred-1", 7), {Kind: "approval.given", At: s.statement.Asked.Add(time.Minute), Case: "case-1", Subject: "d:anna", Actor: "d:mary",
			Purpose: "reset", Outcome: audit.OK, Proof: s.proof(t)}}
		if c.change != nil {
			c.change(s, &rows)
		}
		var export bytes.Buffer
		for _, e := range rows {
			if e.Kind == "approval.given" && e.Proof == nil {
				e.Proof = s.proof(t)
			}
			line, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			export.Write(append(line, '\n'))
		}
		var out strings.Builder
		err := (&cli{out: &out}).checkApprovals(&export, "x.jsonl", "")
		code := 0
		if e, is := err.(exit); is {
			code = int(e)
		} else if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if code != c.code || !strings.Contains(out.String(), c.says) {
			t.Errorf("%s: exit %d: %s", what, code, out.String())
		}
	}
}

// added is the enrolment of s's key, at that hour.
func (s *signing) added(owner directory.ID, credential string, hour int) audit.Event {
	return audit.Event{Kind: "factor.added", At: time.Date(2026, 3, 1, hour, 0, 0, 0, time.UTC), Subject: owner, Outcome: audit.OK,
		Detail: map[string]string{"credential": credential, "key": passkey.Fingerprint(s.cose)}}
}

func removed(credential string, hour int) audit.Event {
	return audit.Event{Kind: "factor.removed", At: time.Date(2026, 3, 1, hour, 0, 0, 0, time.UTC), Subject: "d:mary", Outcome: audit.OK,
		Detail: map[string]string{"credential": credential}}
}
