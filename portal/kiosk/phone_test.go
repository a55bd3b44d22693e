package kiosk

import (
	"encoding/base64"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/portal/policy"
)

func (r *rig) asked(caseID string) (Device, Errand, string) {
	r.t.Helper()
	_, d := r.registered("ABCDE-FGHJK")
	e, code, err := r.AskPhone(r.t.Context(), d, policy.Reset, caseID, "en", "")
	if err != nil {
		r.t.Fatal(err)
	}
	return d, e, code
}

func (r *rig) wrong(e Errand) string {
	if e.Number == "11" {
		return "12"
	}
	return "11"
}

// Security case 110: 112 bits at least (NIST SP 800-63B-4 section 4.1.2.2), of which the store
// has a keyed hash alone; five minutes; once; three wrong numbers.
func TestAPhonesCodeIsLongAndGoodOnce(t *testing.T) {
	r := newRig(t)
	_, e, code := r.asked("")
	raw, err := base64.RawURLEncoding.DecodeString(code)
	if err != nil || len(raw)*8 < 112 || r.shelf.errands[e.ID].Code == code || r.shelf.errands[e.ID].Code == "" {
		t.Fatalf("%d bits, stored as %q", len(raw)*8, r.shelf.errands[e.ID].Code)
	}
	if _, err := r.MatchPhone(t.Context(), r.shelf.errands[e.ID].Code, e.Number, ""); !errors.Is(err, ErrNone) {
		t.Errorf("what is stored opens it: %v", err)
	}
	for range 3 {
		if _, err := r.Phone(t.Context(), code); err != nil {
			t.Errorf("looking spends it: %v", err)
		}
	}
	r.clock = r.clock.Add(phoneLife - time.Second)
	if _, err := r.MatchPhone(t.Context(), code, " "+e.Number+" ", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := r.MatchPhone(t.Context(), code, e.Number, ""); !errors.Is(err, ErrNone) {
		t.Errorf("twice: %v", err)
	}

	r = newRig(t)
	_, _, late := r.asked("")
	r.clock = r.clock.Add(phoneLife)
	if _, err := r.Phone(t.Context(), late); !errors.Is(err, ErrNone) {
		t.Errorf("after five minutes: %v", err)
	}

	r = newRig(t)
	_, e, code = r.asked("")
	for left := 2; left >= 0; left-- {
		no := (*WrongNumber)(nil)
		if _, err := r.MatchPhone(t.Context(), code, r.wrong(e), ""); !errors.As(err, &no) || no.Left != left {
			t.Errorf("%d left: %v", left, err)
		}
	}
	if _, err := r.MatchPhone(t.Context(), code, e.Number, ""); !errors.Is(err, ErrNone) {
		t.Errorf("after three wrong ones: %v", err)
	}
}

// Of phones that have the code and the number at the same moment, one goes on.
func TestOnePhoneOfManyGoesOn(t *testing.T) {
	r := newRig(t)
	_, e, code := r.asked("CASE1")
	var won atomic.Int32
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if _, err := r.MatchPhone(t.Context(), code, e.Number, ""); err == nil {
				won.Add(1)
			}
		})
	}
	if all.Wait(); won.Load() != 1 {
		t.Errorf("%d went on", won.Load())
	}
}

// A screen that was shut sends nobody anywhere, and none asks for what it may not.
func TestAShutScreensCodeOpensNothing(t *testing.T) {
	r := newRig(t)
	d, e, code := r.asked("")
	gone := r.shelf.devices[d.ID]
	gone.Revoked = r.clock
	r.shelf.devices[d.ID] = gone
	if _, err := r.Phone(t.Context(), code); !errors.Is(err, ErrNone) {
		t.Errorf("it still shows where to: %v", err)
	}
	if _, err := r.MatchPhone(t.Context(), code, e.Number, ""); !errors.Is(err, ErrNone) {
		t.Errorf("a phone goes on: %v", err)
	}
	if _, _, err := r.AskPhone(t.Context(), gone, policy.Reset, "", "en", ""); !errors.Is(err, ErrNone) {
		t.Errorf("it asks again: %v", err)
	}
	d.Rights = []Right{Unlock}
	if _, _, err := r.AskPhone(t.Context(), d, policy.Reset, "", "en", ""); !errors.Is(err, ErrNone) {
		t.Errorf("for what it may not: %v", err)
	}
}

// What was matched is the phone's: clearing the screen does not end it, and it begins one case
// within five minutes.
func TestAMatchedPhoneBeginsOnce(t *testing.T) {
	r := newRig(t)
	d, e, code := r.asked("")
	other := d.Screen()
	other.ID = "OTHER"
	if err := r.EndErrand(t.Context(), e.ID, other); err != nil || r.shelf.errands[e.ID].Ended {
		t.Errorf("another screen ends it: %v", err)
	}
	if _, err := r.Errand(t.Context(), e.ID, other); !errors.Is(err, ErrNone) {
		t.Errorf("another screen reads its number: %v", err)
	}
	if _, err := r.Carried(t.Context(), e.ID); !errors.Is(err, ErrNone) {
		t.Errorf("before the number: %v", err)
	}
	if _, err := r.MatchPhone(t.Context(), code, e.Number, ""); err != nil {
		t.Fatal(err)
	}
	if err := r.EndErrand(t.Context(), e.ID, d.Screen()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Carried(t.Context(), e.ID); err != nil {
		t.Errorf("the screen took it back: %v", err)
	}
	if err := r.Begun(t.Context(), e.ID, "CASE1"); err != nil {
		t.Fatal(err)
	}
	if err := r.Begun(t.Context(), e.ID, "CASE2"); !errors.Is(err, ErrNone) {
		t.Errorf("a second case: %v", err)
	}

	r = newRig(t)
	_, e, code = r.asked("")
	if _, err := r.MatchPhone(t.Context(), code, e.Number, ""); err != nil {
		t.Fatal(err)
	}
	r.clock = r.clock.Add(phoneLife + time.Second)
	if _, err := r.Carried(t.Context(), e.ID); !errors.Is(err, ErrNone) {
		t.Errorf("too late to begin: %v", err)
	}
}
