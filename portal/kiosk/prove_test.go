package kiosk

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"
)

func (r *rig) registered(code string) (*screen, Device) {
	r.t.Helper()
	r.add("DEVICE1", code)
	s := r.screen()
	d, err := s.enrol(code)
	if err != nil {
		r.t.Fatal(err)
	}
	return s, d
}

func TestACodeRegistersOneDeviceOnce(t *testing.T) {
	r := newRig(t)
	r.add("DEVICE1", "ABCDE-FGHJK")
	first, second := r.screen(), r.screen()
	if _, err := first.enrol("ABCDE-FGHJL"); !errors.Is(err, ErrNone) {
		t.Errorf("a wrong code: %v", err)
	}
	d, err := first.enrol(" abcdefghjk ")
	if err != nil || d.Print == "" || d.Code != "" || !r.opens(r.Pass(d)) {
		t.Fatalf("%+v, %v", d, err)
	}
	if _, err := second.enrol("ABCDE-FGHJK"); !errors.Is(err, ErrNone) {
		t.Errorf("the code is good twice: %v", err)
	}
	r.add("DEVICE2", "MMMMM-MMMMM")
	r.clock = r.clock.Add(24 * time.Hour)
	if _, err := second.enrol("MMMMM-MMMMM"); !errors.Is(err, ErrNone) {
		t.Errorf("the code outlives its day: %v", err)
	}
	if !r.shelf.has("kiosk.enrolled") || len(r.shelf.messages) != 1 {
		t.Error("nobody hears of it")
	}
}

// Only who holds the private key registers the public one, and for this portal alone.
func TestWhatIsNotSignedByTheKeyRegistersNothing(t *testing.T) {
	r := newRig(t)
	r.add("DEVICE1", "ABCDE-FGHJK")
	s, thief := r.screen(), r.screen()
	c := s.challenge()
	good := Enrolment{Code: "ABCDE-FGHJK", Public: s.spki, Challenge: c, Signature: s.sign(EnrolText(origin, c))}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := x509.MarshalPKIXPublicKey(&p384.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Enrolment){
		"another's key":      func(e *Enrolment) { e.Public = thief.spki },
		"another portal":     func(e *Enrolment) { e.Signature = s.sign(EnrolText("https://id.example.com", c)) },
		"for something else": func(e *Enrolment) { e.Signature = s.sign(RenewText(origin, printOf(s.spki), 1, c)) },
		"no signature":       func(e *Enrolment) { e.Signature = nil },
		"zeros":              func(e *Enrolment) { e.Signature = make([]byte, 64) },
		"its own challenge": func(e *Enrolment) {
			e.Challenge = strings.Repeat("A", 43)
			e.Signature = s.sign(EnrolText(origin, e.Challenge))
		},
		"another curve":      func(e *Enrolment) { e.Public = other },
		"no key":             func(e *Enrolment) { e.Public = []byte("nonsense") },
		"the code left away": func(e *Enrolment) { e.Code = "" },
	} {
		e := good
		change(&e)
		if _, err := r.Enrol(t.Context(), e); !errors.Is(err, ErrProof) && !errors.Is(err, ErrNone) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r.clock = r.clock.Add(challengeLife + time.Second)
	if _, err := r.Enrol(t.Context(), good); !errors.Is(err, ErrProof) {
		t.Errorf("an old challenge: %v", err)
	}
	r.clock = r.clock.Add(-challengeLife)
	if _, err := r.Enrol(t.Context(), good); err != nil {
		t.Errorf("the good one: %v", err)
	}
}

// A pass lives a quarter of an hour, and the next one ends it, but for what is under way.
func TestOnlyTheNewestPassOpens(t *testing.T) {
	r := newRig(t)
	s, d := r.registered("ABCDE-FGHJK")
	first := r.Pass(d)
	d, err := s.renew()
	if err != nil {
		t.Fatal(err)
	}
	second := r.Pass(d)
	if !r.opens(first) || !r.opens(second) {
		t.Error("a request under way is cut off")
	}
	r.clock = r.clock.Add(overlap)
	if r.opens(first) || !r.opens(second) {
		t.Errorf("the old pass: %v, the new one: %v", r.opens(first), r.opens(second))
	}
	r.clock = r.clock.Add(keyLife)
	if r.opens(second) {
		t.Error("a pass outlives its time")
	}
	// The device itself comes back after a week.
	r.clock = r.clock.Add(7 * 24 * time.Hour)
	if d, err := s.renew(); err != nil || !r.opens(r.Pass(d)) {
		t.Errorf("%v", err)
	}
	for name, forged := range map[string]string{"empty": "", "no MAC": "DEVICE1.3.9999999999", "longer": strings.Replace(second, ".2.", ".3.", 1), "later": second[:len(second)-1]} {
		if r.opens(forged) {
			t.Errorf("%s opens", name)
		}
	}
}

// The key in two devices shows as soon as both have renewed: neither goes on, and somebody
// hears of it.
func TestACopiedKeyIsFoundOut(t *testing.T) {
	r := newRig(t)
	s, _ := r.registered("ABCDE-FGHJK")
	if _, err := s.renew(); err != nil {
		t.Fatal(err)
	}
	copied := *s
	r.clock = r.clock.Add(time.Minute)
	if _, err := copied.renew(); err != nil {
		t.Fatal(err)
	}
	r.clock = r.clock.Add(time.Minute)
	d, err := s.renew() // with a counter that the copy has used
	if !errors.Is(err, ErrCopied) || d.Revoked.IsZero() || d.Why != "copied" {
		t.Fatalf("%v, %+v", err, d)
	}
	if !r.shelf.has("kiosk.copied") || r.shelf.messages[len(r.shelf.messages)-1].Template != "kiosk_copied" {
		t.Error("nobody hears of it")
	}
	for _, who := range []*screen{s, &copied} {
		who.counter += 10
		if _, err := who.renew(); !errors.Is(err, ErrNone) {
			t.Errorf("it goes on: %v", err)
		}
	}
	if r.opens(r.Pass(d)) {
		t.Error("its pass opens still")
	}
}

// A page that is left while it renews sends a renewal that a later one overtakes. That is no
// copy, and the device must not be lost by it.
func TestAnOvertakenRenewalIsNoCopy(t *testing.T) {
	r := newRig(t)
	s, _ := r.registered("ABCDE-FGHJK")
	late := s.renewal()
	r.clock = r.clock.Add(time.Second)
	if _, err := s.renew(); err != nil {
		t.Fatal(err)
	}
	r.clock = r.clock.Add(time.Second)
	if _, err := r.Renew(t.Context(), late); !errors.Is(err, ErrStale) {
		t.Fatalf("%v", err)
	}
	if _, err := s.renew(); err != nil {
		t.Errorf("the device is lost: %v", err)
	}
	// Sent again it is not another device either.
	again := s.renewal()
	if _, err := r.Renew(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Renew(t.Context(), again); !errors.Is(err, ErrStale) {
		t.Errorf("the same renewal twice: %v", err)
	}
}

func TestAStoreThatFailsIsNoKiosk(t *testing.T) {
	r := newRig(t)
	s, d := r.registered("ABCDE-FGHJK")
	pass := r.Pass(d)
	r.shelf.down = errors.New("gone")
	if _, err := r.Open(t.Context(), pass, ""); err == nil || errors.Is(err, ErrNone) {
		t.Errorf("opens without a store, or says it is none: %v", err)
	}
	if _, err := s.renew(); err == nil {
		t.Error("renews without a store")
	}
}
