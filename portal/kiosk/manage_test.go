package kiosk

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/portal/audit"
)

func (r *rig) registry() Registry {
	return Registry{Store: r.shelf, Key: r.Key, Alerts: r.Alerts, Lang: "en", Now: r.Now, Rand: rand.Reader}
}

var byOp = audit.Event{Actor: "x:op", ActorName: "op", Door: "desk", Address: "192.0.2.9"}

func code(err error) string {
	if bad := (*Invalid)(nil); errors.As(err, &bad) {
		return bad.Field + "/" + bad.Code
	}
	return ""
}

// Names stand on phones and at the desk, where people compare them: nothing in one may be
// unseen or turn the line around, and no two of a site look the same.
func TestNamesOfKiosksAreWhatPeopleSee(t *testing.T) {
	r := newRig(t)
	m := r.registry()
	draft := Draft{Name: "  Ward   3 ", Site: "North", Way: Key, Rights: Rights()}
	first, _, err := m.Register(t.Context(), byOp, draft)
	if err != nil || first.Name != "Ward 3" || first.Keyboard != Auto {
		t.Fatalf("%v %+v", err, first)
	}
	other, _, err := m.Register(t.Context(), byOp, Draft{Name: "Ward 3", Site: "South", Way: Key, Rights: Rights()})
	if err != nil {
		t.Fatal(err)
	}
	for want, names := range map[string][][2]string{
		"name/kiosk_name":  {{"", "x"}, {" \t ", "x"}, {strings.Repeat("ä", 61), "x"}, {"a\u202eb", "x"}, {"a\u2066b", "x"}, {"a\u200bb", "x"}, {"a\nb", "x"}, {"a\x00b", "x"}, {"\xff", "x"}},
		"site/kiosk_site":  {{"a", strings.Repeat("ä", 61)}, {"a", "b\u202e"}},
		"name/kiosk_named": {{"ward 3", "north"}, {"WARD  3", " North "}},
	} {
		for _, n := range names {
			d := draft
			d.Name, d.Site = n[0], n[1]
			if _, secret, err := m.Register(t.Context(), byOp, d); code(err) != want || secret != "" {
				t.Errorf("register %q: %v", n, err)
			}
			if _, err := m.Rename(t.Context(), byOp, other.ID, n[0], n[1]); code(err) != want {
				t.Errorf("rename to %q: %v", n, err)
			}
		}
	}
	if len(r.shelf.devices) != 2 || len(r.shelf.events) != 2 {
		t.Errorf("%d devices, %d events", len(r.shelf.devices), len(r.shelf.events))
	}
	if _, err := m.Rename(t.Context(), byOp, first.ID, "ward 3", "North"); err != nil {
		t.Errorf("its own name, in small letters: %v", err)
	}
	if _, err := m.Revoke(t.Context(), byOp, first.ID, ""); err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.Register(t.Context(), byOp, draft); err != nil {
		t.Errorf("the name of a revoked one: %v", err)
	}
}

func TestAKioskWhereNothingCanBeDoneIsAMistake(t *testing.T) {
	r := newRig(t)
	m := r.registry()
	for want, d := range map[string]Draft{
		"allow/kiosk_rights":  {Name: "a", Way: Key},
		"allow/kiosk_rights ": {Name: "a", Way: Key, Rights: []Right{Reset, "signin"}},
		"keyboard/bad_choice": {Name: "a", Way: Key, Rights: Rights(), Keyboard: "loud"},
		"way/bad_choice":      {Name: "a", Way: "trust", Rights: Rights()},
		"way/bad_choice ":     {Name: "a", Way: Key, Rights: Rights(), Certificate: []byte("x")},
	} {
		if _, _, err := m.Register(t.Context(), byOp, d); code(err) != strings.TrimSpace(want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	d, _, err := m.Register(t.Context(), byOp, Draft{Name: "a", Way: Key, Rights: []Right{Help, Unlock, Help}})
	if err != nil || !slices.Equal(d.Rights, []Right{Unlock, Help}) {
		t.Errorf("%v %v", err, d.Rights)
	}
	if d, err = m.SetRights(t.Context(), byOp, d.ID, []Right{Reset}, On); err != nil || d.May(Help) || !d.May(Reset) || d.Keyboard != On {
		t.Errorf("%v %+v", err, d)
	}
	if len(r.shelf.devices) != 1 {
		t.Errorf("%d devices", len(r.shelf.devices))
	}
}

// A code is nowhere but in the answer; what is kept is a keyed hash, good for a day, and
// whatever else the device had is worth nothing once there is a new one.
func TestANewCodeEndsWhatTheDeviceHad(t *testing.T) {
	r := newRig(t)
	m := r.registry()
	d, first, err := m.Register(t.Context(), byOp, Draft{Name: "Ward 3", Way: Key, Rights: Rights()})
	if err != nil || len(first) != 11 || first[5] != '-' || strings.Trim(first, codeAlphabet+"-") != "" || !d.Until.Equal(r.clock.Add(24*time.Hour)) {
		t.Fatalf("%v %q %s", err, first, d.Until)
	}
	s := r.screen()
	if d, err = s.enrol(strings.ToLower(first[:5] + " " + first[6:])); err != nil {
		t.Fatal(err)
	}
	pass := s.Pass(d)
	if _, err := s.Open(t.Context(), pass, "192.0.2.1"); err != nil {
		t.Fatal(err)
	}
	again, second, err := m.Reissue(t.Context(), byOp, d.ID)
	if err != nil || second == first || again.Print != "" || again.State(r.clock) != Waiting {
		t.Fatalf("%v %q", err, second)
	}
	if _, err := s.Open(t.Context(), pass, "192.0.2.1"); !errors.Is(err, ErrNone) {
		t.Errorf("its pass: %v", err)
	}
	if _, err := s.Renew(t.Context(), s.renewal()); !errors.Is(err, ErrNone) {
		t.Errorf("its key: %v", err)
	}
	for _, old := range []string{first, ""} {
		if _, err := s.enrol(old); !errors.Is(err, ErrNone) {
			t.Errorf("the code %q: %v", old, err)
		}
	}
	r.clock = r.clock.Add(24 * time.Hour)
	if _, err := s.enrol(second); !errors.Is(err, ErrNone) || again.State(r.clock) != Lapsed {
		t.Errorf("a day later: %v", err)
	}
	kept, err := json.Marshal([]any{r.shelf.devices, r.shelf.events, r.shelf.messages})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []string{first, second} {
		if strings.Contains(string(kept), c) || strings.Contains(string(kept), strings.ReplaceAll(c, "-", "")) {
			t.Errorf("a code is kept: %s", kept)
		}
	}
}

func TestALaunchKeyIsReplacedAtOnce(t *testing.T) {
	r := newRig(t)
	m := r.registry()
	d, first, err := m.Register(t.Context(), byOp, Draft{Name: "Greeter", Way: Launch, Rights: Rights()})
	if id, _, ok := strings.Cut(first, ":"); err != nil || !ok || id != d.ID || len(d.Secret) != 32 || d.State(r.clock) != InUse {
		t.Fatalf("%v %q", err, first)
	}
	old := slices.Clone(d.Secret)
	if d, _, err = m.Reissue(t.Context(), byOp, d.ID); err != nil || slices.Equal(d.Secret, old) || d.Code != "" {
		t.Fatalf("%v", err)
	}
	for _, e := range r.shelf.events {
		if text, _ := json.Marshal(e); strings.Contains(string(text), first[len(d.ID)+1:]) {
			t.Errorf("the record has a key: %s", text)
		}
	}
}

// Revoked it is shut, whatever it still has, and nothing opens it again.
func TestARevokedKioskStaysRevoked(t *testing.T) {
	r := newRig(t)
	m := r.registry()
	_, given, err := m.Register(t.Context(), byOp, Draft{Name: "Ward 3", Site: "North", Way: Key, Rights: Rights()})
	if err != nil {
		t.Fatal(err)
	}
	s := r.screen()
	d, err := s.enrol(given)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Enter(t.Context(), d, "CASE"); err != nil {
		t.Fatal(err)
	}
	pass := s.Pass(d)
	if _, err := m.Revoke(t.Context(), byOp, d.ID, "two\nlines"); code(err) != "cause/bad_cause" {
		t.Errorf("%v", err)
	}
	gone, err := m.Revoke(t.Context(), byOp, d.ID, " stolen ")
	if err != nil || gone.Case != "CASE" || gone.State(r.clock) != Revoked {
		t.Fatalf("%v %+v", err, gone)
	}
	last := r.shelf.events[len(r.shelf.events)-1]
	if last.Kind != "kiosk.revoked" || last.Actor != "x:op" || last.Door != "desk" || last.Detail["why"] != "stolen" || last.Detail["kiosk"] != "Ward 3, North" || last.Outcome != audit.OK {
		t.Errorf("%+v", last)
	}
	events, mails := len(r.shelf.events), len(r.shelf.messages)
	if _, err := m.Revoke(t.Context(), byOp, d.ID, ""); err != nil {
		t.Errorf("a second time: %v", err)
	}
	if _, err := s.Open(t.Context(), pass, ""); !errors.Is(err, ErrNone) {
		t.Errorf("its pass: %v", err)
	}
	if _, err := s.Renew(t.Context(), s.renewal()); !errors.Is(err, ErrNone) {
		t.Errorf("its key: %v", err)
	}
	_, secret, err1 := m.Reissue(t.Context(), byOp, d.ID)
	_, err2 := m.Rename(t.Context(), byOp, d.ID, "x", "")
	_, err3 := m.SetRights(t.Context(), byOp, d.ID, Rights(), Auto)
	for _, err := range []error{err1, err2, err3} {
		if code(err) != "/kiosk_revoked" {
			t.Errorf("%v", err)
		}
	}
	if secret != "" || len(r.shelf.events) != events || len(r.shelf.messages) != mails {
		t.Errorf("%q, %d events more", secret, len(r.shelf.events)-events)
	}
}

// What lets a device in or out is in the record and in the operators' mail; a name or a
// right is in the record. What is so already is neither.
func TestEveryChangeOfAKioskIsToldOnce(t *testing.T) {
	r := newRig(t)
	m := r.registry()
	d, _, err := m.Register(t.Context(), byOp, Draft{Name: "Ward 3", Site: "North", Way: Key, Rights: []Right{Unlock}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := m.Rename(t.Context(), byOp, d.ID, "Ward 4", "North"); err != nil {
			t.Fatal(err)
		}
		if _, err := m.SetRights(t.Context(), byOp, d.ID, []Right{Unlock, Help}, Off); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := m.Reissue(t.Context(), byOp, d.ID); err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, e := range r.shelf.events {
		kinds = append(kinds, e.Kind)
		if e.Detail["device"] != d.ID || e.Detail["way"] != "key" || e.Detail["site"] != "North" || e.ActorName != "op" || e.Address != "192.0.2.9" {
			t.Errorf("%+v", e)
		}
	}
	if !slices.Equal(kinds, []string{"kiosk.registered", "kiosk.renamed", "kiosk.rights", "kiosk.code"}) || len(r.shelf.messages) != 2 {
		t.Errorf("%q, %d mails", kinds, len(r.shelf.messages))
	}
	if e := r.shelf.events; e[1].Detail["was"] != "Ward 3, North" || e[2].Detail["was"] != "unlock" || e[2].Detail["rights"] != "unlock,help" {
		t.Errorf("%+v", e)
	}
	r.shelf.down = errors.New("database is locked")
	if _, secret, err := m.Register(t.Context(), byOp, Draft{Name: "b", Way: Key, Rights: Rights()}); err == nil || secret != "" {
		t.Errorf("with a store that fails: %q", secret)
	}
}

// certificate makes one, as change leaves it.
func (r *rig) certificate(key crypto.Signer, change func(*x509.Certificate)) []byte {
	r.t.Helper()
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: r.clock.Add(-time.Hour), NotAfter: r.clock.Add(time.Hour), BasicConstraintsValid: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if change != nil {
		change(c)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		r.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestOnlyADevicesOwnStrongCertificateRegisters(t *testing.T) {
	r := newRig(t)
	m := r.registry()
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	short, _ := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	t.Setenv("GODEBUG", "rsa1024min=0")
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	good := r.certificate(ec, nil)
	for name, c := range map[string]struct {
		text []byte
		want string
	}{
		"none":              {nil, "kiosk_cert"},
		"no PEM":            {[]byte("hello"), "kiosk_cert"},
		"cut short":         {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{0x30, 0x03}}), "kiosk_cert"},
		"a private key":     {pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}), "kiosk_cert"},
		"an authority's":    {r.certificate(ec, func(c *x509.Certificate) { c.IsCA = true }), "kiosk_cert_ca"},
		"over":              {r.certificate(ec, func(c *x509.Certificate) { c.NotAfter = r.clock }), "kiosk_cert_over"},
		"a server's":        {r.certificate(ec, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), "kiosk_cert_use"},
		"RSA of 1024 bits":  {r.certificate(weak, nil), "kiosk_cert_weak"},
		"a curve too small": {r.certificate(short, nil), "kiosk_cert_weak"},
	} {
		if _, _, err := m.Register(t.Context(), byOp, Draft{Name: name, Way: Certificate, Rights: Rights(), Certificate: c.text}); code(err) != "certificate/"+c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	d, secret, err := m.Register(t.Context(), byOp, Draft{Name: "Lobby", Way: Certificate, Rights: Rights(), Certificate: good})
	if err != nil || secret != "" || d.State(r.clock) != InUse {
		t.Fatalf("%v %q", err, secret)
	}
	block, _ := pem.Decode(good)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.ByCertificate(t.Context(), leaf, "192.0.2.1"); err != nil || got.ID != d.ID {
		t.Errorf("%v", err)
	}
	if _, _, err := m.Reissue(t.Context(), byOp, d.ID); code(err) != "/kiosk_no_code" {
		t.Errorf("a code for it: %v", err)
	}
	if _, err := m.Revoke(t.Context(), byOp, d.ID, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ByCertificate(t.Context(), leaf, "192.0.2.1"); !errors.Is(err, ErrNone) {
		t.Errorf("revoked: %v", err)
	}
	if _, _, err := m.Register(t.Context(), byOp, Draft{Name: "Desk", Way: Certificate, Rights: Rights(), Certificate: r.certificate(ed, nil)}); err != nil {
		t.Errorf("Ed25519: %v", err)
	}
}
