package desk_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/desk"
	"postern/portal/flow"
	"postern/portal/kiosk"
)

// phone has one call, at most, and who took it.
type phone struct {
	call  kiosk.Errand
	taker directory.ID
	gone  bool // the person has left
	fail  error
}

func (p *phone) Calls(_ context.Context, who directory.ID) ([]kiosk.Errand, error) {
	if p.call.By = p.taker; p.fail != nil || p.taker != "" && p.taker != who {
		return nil, p.fail
	}
	return []kiosk.Errand{p.call}, nil
}

func (p *phone) TakeCall(_ context.Context, id, number, _ string, by audit.Event) (kiosk.Errand, error) {
	switch {
	case p.fail != nil:
		return kiosk.Errand{}, p.fail
	case id != p.call.ID || p.taker != "":
		return kiosk.Errand{}, kiosk.ErrNone
	case number != p.call.Number:
		return kiosk.Errand{}, &kiosk.WrongNumber{Left: 2}
	}
	p.taker = by.Actor
	return p.call, nil
}

func (p *phone) CloseCall(_ context.Context, id string, by audit.Event) error {
	if p.fail != nil {
		return p.fail
	}
	if id != p.call.ID || p.taker == "" || p.taker != by.Actor {
		return kiosk.ErrNone
	}
	p.call = kiosk.Errand{}
	return nil
}

func (p *phone) Attach(_ context.Context, id string, who directory.ID, caseID string) error {
	if p.gone || id != p.call.ID || who != p.taker {
		return kiosk.ErrNone
	}
	p.call.Case = caseID
	return p.fail
}

var ward = access.Screen{ID: "K1", Name: "Ward 3", Site: "North"}

// A case goes to the screen that called its technician, and to no other.
func TestACaseIsPushedOntoNoScreenThatDidNotCall(t *testing.T) {
	r := newRig(t)
	r.phone.call = kiosk.Errand{ID: "E1", Kind: kiosk.ToDesk, Screen: ward, Number: "47"}
	w, rival := r.who("x:tech", time.Minute), r.who("x:lead", time.Minute)
	var over *desk.Refused
	begin := func(by desk.Who, call string) error {
		o := order
		o.Call, o.Once = call, r.once()
		_, err := r.Open(t.Context(), by, "x:ann", o)
		return err
	}
	if err := begin(w, "E1"); !errors.As(err, &over) {
		t.Errorf("a call that was not taken: %v", err)
	}
	if err := r.Answer(t.Context(), w, "E1", "11"); !errors.As(err, new(*kiosk.WrongNumber)) {
		t.Errorf("a wrong number: %v", err)
	}
	if err := r.Answer(t.Context(), r.who("x:tech", time.Hour), "E1", "47"); !errors.Is(err, desk.ErrStale) {
		t.Errorf("an old proof: %v", err)
	}
	if err := r.Answer(t.Context(), r.who("x:ann", time.Minute), "E1", "47"); !errors.Is(err, desk.ErrUnknown) {
		t.Errorf("somebody without a role: %v", err)
	}
	if err := r.Answer(t.Context(), w, "E1", "47"); err != nil {
		t.Fatal(err)
	}
	if err := r.Answer(t.Context(), rival, "E1", "47"); !errors.Is(err, desk.ErrUnknown) {
		t.Errorf("taken twice: %v", err)
	}
	if err := begin(rival, "E1"); !errors.As(err, &over) {
		t.Errorf("another technician's call: %v", err)
	}
	if err := begin(w, "E2"); !errors.As(err, &over) {
		t.Errorf("another screen's call: %v", err)
	}
	mailed := order
	mailed.Call, mailed.Send, mailed.Once = "E1", true, r.once()
	if _, err := r.Open(t.Context(), w, "x:ann", mailed); !errors.As(err, new(*flow.Invalid)) {
		t.Errorf("with a way in by mail: %v", err)
	}
	r.phone.fail = errors.New("gone")
	if err := begin(w, "E1"); err == nil || errors.As(err, &over) {
		t.Errorf("without a store: %v", err)
	}
	if r.phone.fail = nil; len(r.began) > 0 {
		t.Fatalf("cases were begun: %v", r.began)
	}
	// The person has left: the case ends before anybody can walk it.
	r.phone.gone = true
	if err := begin(w, "E1"); err == nil || len(r.did) != 1 || !strings.HasPrefix(r.did[0], "withdraw ") {
		t.Errorf("nobody is there any more: %v, %v", err, r.did)
	}
	r.phone.gone = false
	if err := begin(r.who("x:tech", time.Minute), "E1"); err != nil && !errors.As(err, new(*desk.Refused)) {
		t.Error(err)
	}
	if last := r.began[len(r.began)-1]; last.At != ward {
		t.Errorf("it is for %+v", last.At)
	}
}

// A call is ended by who has it, and by nobody else; without a store it stays.
func TestOnlyWhoTookACallHangsUp(t *testing.T) {
	r := newRig(t)
	r.phone.call = kiosk.Errand{ID: "E1", Kind: kiosk.ToDesk, Screen: ward, Number: "47"}
	w := r.who("x:tech", time.Minute)
	for what, err := range map[string]error{"before it was taken": r.HangUp(t.Context(), w, "E1"), "somebody without a role": r.HangUp(t.Context(), r.who("x:ann", time.Minute), "E1")} {
		if !errors.Is(err, desk.ErrUnknown) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := r.Answer(t.Context(), w, "E1", "47"); err != nil {
		t.Fatal(err)
	}
	if list, err := r.Ringing(t.Context(), r.who("x:lead", time.Minute)); err != nil || len(list) != 0 {
		t.Errorf("another technician reads %v, %v", list, err)
	}
	if err := r.HangUp(t.Context(), r.who("x:lead", time.Minute), "E1"); !errors.Is(err, desk.ErrUnknown) {
		t.Errorf("another technician: %v", err)
	}
	r.phone.fail = errors.New("gone")
	if err := r.HangUp(t.Context(), w, "E1"); err == nil || errors.Is(err, desk.ErrUnknown) {
		t.Errorf("without a store: %v", err)
	}
	r.phone.fail = nil
	if err := r.HangUp(t.Context(), r.who("x:tech", time.Hour), "E1"); err != nil {
		t.Errorf("with an old proof: %v", err)
	}
}
