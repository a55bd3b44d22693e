package kiosk

import (
	"errors"
	"sync"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/audit"
)

// ward is a device in use, on the shelf.
func (r *rig) ward(id, name string) Device {
	d := Device{ID: id, Name: name, Site: "North", Way: Key, Rights: Rights(), Registered: r.clock}
	r.shelf.devices[id] = d
	return d
}

func (r *rig) calls(d Device) Errand {
	r.t.Helper()
	e, err := r.AskDesk(r.t.Context(), d, "de", "10.0.0.9")
	if err != nil {
		r.t.Fatal(err)
	}
	return e
}

func (r *rig) takes(id, number, who string) error {
	_, err := r.TakeCall(r.t.Context(), id, number, "Theo Technician", technician(who))
	return err
}

func technician(who string) audit.Event {
	return audit.Event{Actor: directory.ID(who), ActorName: who, Door: "desk", Address: "10.0.0.1"}
}

// sees are the calls that a technician has on the board.
func (r *rig) sees(who directory.ID) (ids []string) {
	r.t.Helper()
	list, err := r.Calls(r.t.Context(), who)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, e := range list {
		ids = append(ids, e.ID)
	}
	return ids
}

func other(number string) string {
	if number == "10" {
		return "11"
	}
	return "10"
}

// Who guesses has three of ninety, and then nobody has the call, not even with its number.
func TestANumberIsGuessedThreeTimesAtMost(t *testing.T) {
	r := newRig(t)
	e := r.calls(r.ward("K1", "Ward 3"))
	for left := 2; left >= 0; left-- {
		wrong := (*WrongNumber)(nil)
		if err := r.takes(e.ID, other(e.Number), "x:tech"); !errors.As(err, &wrong) || wrong.Left != left {
			t.Fatalf("with %d left: %v", left, err)
		}
	}
	if err := r.takes(e.ID, e.Number, "x:tech"); !errors.Is(err, ErrNone) {
		t.Errorf("the fourth: %v", err)
	}
	if list := r.sees("x:tech"); len(list) > 0 {
		t.Errorf("it still rings: %v", list)
	}
	if !r.shelf.has("kiosk.called") || !r.shelf.has("kiosk.call_missed") || r.shelf.has("kiosk.call_taken") {
		t.Errorf("the record: %v", r.shelf.events)
	}
}

// Of two technicians who type the number at once one has the call.
func TestACallIsOneTechniciansAlone(t *testing.T) {
	r := newRig(t)
	e := r.calls(r.ward("K1", "Ward 3"))
	errs := make([]error, 8)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() { errs[i] = r.takes(e.ID, e.Number, "x:tech"+string(rune('a'+i))) })
	}
	all.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !errors.Is(err, ErrNone) {
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d have taken it", won)
	}
	if err := r.Attach(t.Context(), e.ID, "x:nobody", "C1"); !errors.Is(err, ErrNone) {
		t.Errorf("a case of somebody else: %v", err)
	}
	if err := r.Attach(t.Context(), e.ID, "", "C1"); !errors.Is(err, ErrNone) {
		t.Errorf("a case of nobody: %v", err)
	}
}

// A call that is over, ended or of another kind is no way to a screen.
func TestACallThatIsOverLeadsNowhere(t *testing.T) {
	r := newRig(t)
	d := r.ward("K1", "Ward 3")
	late := r.calls(d)
	r.clock = r.clock.Add(callLife)
	if err := r.takes(late.ID, late.Number, "x:tech"); !errors.Is(err, ErrNone) {
		t.Errorf("after its time: %v", err)
	}
	left := r.calls(d)
	if err := r.EndErrand(t.Context(), left.ID, r.ward("K2", "Ward 4").Screen()); err != nil {
		t.Fatal(err)
	}
	if err := r.takes(left.ID, left.Number, "x:tech"); err != nil {
		t.Errorf("another device has ended it: %v", err)
	}
	if err := r.EndErrand(t.Context(), left.ID, d.Screen()); err != nil {
		t.Fatal(err)
	}
	if err := r.Attach(t.Context(), left.ID, "x:tech", "C1"); !errors.Is(err, ErrNone) {
		t.Errorf("a case for who has left: %v", err)
	}
	slow := r.calls(d)
	if err := r.takes(slow.ID, slow.Number, "x:tech"); err != nil {
		t.Fatal(err)
	}
	r.clock = r.clock.Add(takenLife)
	if err := r.Attach(t.Context(), slow.ID, "x:tech", "C1"); !errors.Is(err, ErrNone) {
		t.Errorf("begun too late: %v", err)
	}
	phone, _, err := r.AskPhone(t.Context(), d, "reset", "", "en", "10.0.0.9")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.takes(phone.ID, phone.Number, "x:tech"); !errors.Is(err, ErrNone) {
		t.Errorf("the errand of a phone: %v", err)
	}
}

// A device that may not, is revoked or not in use yet calls nobody; one that calls again
// has one call.
func TestOnlyADeviceThatMayCallsAndOnce(t *testing.T) {
	r := newRig(t)
	d := r.ward("K1", "Ward 3")
	mute, gone, new := d, d, d
	mute.Rights, gone.Revoked, new.Registered = []Right{Reset}, r.clock, time.Time{}
	for what, d := range map[string]Device{"without the right": mute, "revoked": gone, "not in use": new, "none": {}} {
		if _, err := r.AskDesk(t.Context(), d, "en", ""); !errors.Is(err, ErrNone) {
			t.Errorf("%s: %v", what, err)
		}
	}
	first, again := r.calls(d), r.calls(d)
	if list := r.sees("x:tech"); len(list) != 1 || list[0] != again.ID {
		t.Errorf("%v", list)
	}
	if err := r.takes(first.ID, first.Number, "x:tech"); !errors.Is(err, ErrNone) {
		t.Errorf("the first one: %v", err)
	}
	if _, err := r.Errand(t.Context(), again.ID, r.ward("K2", "Ward 4").Screen()); !errors.Is(err, ErrNone) {
		t.Errorf("another device reads the number: %v", err)
	}
	r.shelf.down = errors.New("gone")
	if _, err := r.AskDesk(t.Context(), d, "en", ""); err == nil || errors.Is(err, ErrNone) {
		t.Errorf("without a store: %v", err)
	}
}

// One case for each call: a second one goes nowhere, the same one is no error.
func TestACallHasOneCase(t *testing.T) {
	r := newRig(t)
	e := r.calls(r.ward("K1", "Ward 3"))
	if err := r.takes(e.ID, e.Number, "x:tech"); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		id   string
		want error
	}{{"C1", nil}, {"C1", nil}, {"C2", ErrNone}} {
		if err := r.Attach(t.Context(), e.ID, "x:tech", step.id); !errors.Is(err, step.want) {
			t.Errorf("%s: %v", step.id, err)
		}
	}
	if list := r.sees("x:tech"); len(list) > 0 {
		t.Errorf("it is offered again: %v", list)
	}
	if err := r.CloseCall(t.Context(), e.ID, technician("x:tech")); !errors.Is(err, ErrNone) {
		t.Errorf("ended with a case in it: %v", err)
	}
}

// Who takes a second call while the first waits is asked about the one just taken, or
// its person's case would open before somebody else.
func TestTheCallJustTakenIsTheOneOffered(t *testing.T) {
	r := newRig(t)
	first, next := r.calls(r.ward("K1", "Ward 3")), r.calls(r.ward("K2", "Ward 4"))
	for _, e := range []Errand{first, next} {
		if err := r.takes(e.ID, e.Number, "x:tech"); err != nil {
			t.Fatal(err)
		}
		r.clock = r.clock.Add(time.Minute)
		if list := r.sees("x:tech"); len(list) == 0 || list[0] != e.ID {
			t.Errorf("taken %s, offered %v", e.ID, list)
		}
	}
	// Both are theirs, and nobody else's.
	if list := r.sees("x:tech"); len(list) != 2 {
		t.Errorf("%v", list)
	}
	if list := r.sees("x:rival"); len(list) > 0 {
		t.Errorf("another technician sees %v", list)
	}
	if err := r.Attach(t.Context(), first.ID, "x:tech", "C1"); err != nil {
		t.Errorf("in the first one: %v", err)
	}
}

// Who took a call ends it, with nothing begun in it; nobody else does.
func TestWhoTookACallEndsIt(t *testing.T) {
	r := newRig(t)
	d := r.ward("K1", "Ward 3")
	e := r.calls(d)
	closes := func(who string) error { return r.CloseCall(t.Context(), e.ID, technician(who)) }
	if err := closes("x:tech"); !errors.Is(err, ErrNone) {
		t.Errorf("before it was taken: %v", err)
	}
	if err := r.takes(e.ID, e.Number, "x:tech"); err != nil {
		t.Fatal(err)
	}
	for _, who := range []string{"", "x:rival"} {
		if err := closes(who); !errors.Is(err, ErrNone) {
			t.Errorf("%q: %v", who, err)
		}
	}
	r.shelf.down = errors.New("gone")
	if err := closes("x:tech"); err == nil || errors.Is(err, ErrNone) {
		t.Errorf("without a store: %v", err)
	}
	r.shelf.down = nil
	if err := closes("x:tech"); err != nil || !r.shelf.has("kiosk.call_closed") {
		t.Errorf("%v", err)
	}
	if got, err := r.Errand(t.Context(), e.ID, d.Screen()); err != nil || !got.Over(r.clock) || got.ByName != "Theo Technician" {
		t.Errorf("the screen sees %+v, %v", got, err)
	}
	if err := r.Attach(t.Context(), e.ID, "x:tech", "C1"); !errors.Is(err, ErrNone) {
		t.Errorf("a case in it: %v", err)
	}
}

// A screen that was revoked while it called does not call any more.
func TestARevokedScreenCallsNobody(t *testing.T) {
	r := newRig(t)
	d := r.ward("K1", "Ward 3")
	waits := r.calls(d)
	d.Revoked = r.clock
	r.shelf.devices[d.ID] = d
	if list := r.sees("x:tech"); len(list) > 0 {
		t.Errorf("it still rings: %v", list)
	}
	if err := r.takes(waits.ID, waits.Number, "x:tech"); !errors.Is(err, ErrNone) {
		t.Errorf("taken: %v", err)
	}
	d = r.ward("K1", "Ward 3")
	if err := r.takes(waits.ID, waits.Number, "x:tech"); err != nil {
		t.Fatal(err)
	}
	d.Revoked = r.clock
	r.shelf.devices[d.ID] = d
	if err := r.Attach(t.Context(), waits.ID, "x:tech", "C1"); !errors.Is(err, ErrNone) {
		t.Errorf("a case in it: %v", err)
	}
}
