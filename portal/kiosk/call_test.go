package kiosk

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
)

// device is one in use, with its rights.
func (r *rig) device(id string, rights ...Right) Device {
	d := Device{ID: id, Name: id, Site: "North", Way: Key, Rights: rights, Registered: r.clock}
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

func technician(id directory.ID) audit.Event {
	return audit.Event{Actor: id, ActorName: string(id), Door: "desk", Address: "192.0.2.50"}
}

func (r *rig) takes(e Errand, number string, who directory.ID) error {
	r.t.Helper()
	_, err := r.TakeCall(r.t.Context(), e.ID, number, "Theo Technician", technician(who))
	return err
}

// board is what somebody at the desk reads who has taken no call.
func (r *rig) board() []string { return r.sees("") }

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

// other is a number that is not e's.
func other(e Errand) string {
	if e.Number == "10" {
		return "11"
	}
	return "10"
}

// Only who is told the number has the call; who guesses three times ends it.
func TestACallIsTakenByItsNumberAlone(t *testing.T) {
	r := newRig(t)
	e := r.calls(r.device("ward", Help))
	if len(e.Number) != 2 || e.Number < "10" || !e.Expires.Equal(r.clock.Add(15*time.Minute)) {
		t.Errorf("%+v", e)
	}
	for i, wrong := range []string{other(e), "", e.Number + "0"} {
		var not *WrongNumber
		if err := r.takes(e, wrong, "tech"); !errors.As(err, &not) || not.Left != 2-i {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	if err := r.takes(e, e.Number, "tech"); !errors.Is(err, ErrNone) {
		t.Errorf("the right one after three: %v", err)
	}
	if len(r.board()) != 0 {
		t.Error("it still waits")
	}
	if got, err := r.Errand(t.Context(), e.ID, e.Screen); err != nil || !got.Over(r.clock) || got.By != "" {
		t.Errorf("the screen sees %+v, %v", got, err)
	}
	var kinds []string
	for _, ev := range r.shelf.events {
		kinds = append(kinds, ev.Kind)
		if ev.Detail["kiosk"] != "ward, North" || ev.Kind != "kiosk.called" && (ev.Actor != "tech" || ev.Address != "192.0.2.50" || ev.Outcome != audit.Failed) {
			t.Errorf("%+v", ev)
		}
	}
	if want := []string{"kiosk.called", "kiosk.call_missed", "kiosk.call_missed", "kiosk.call_missed"}; !slices.Equal(kinds, want) {
		t.Errorf("%v", kinds)
	}
}

// Of all who type the right number at once one has the call, and it stays theirs.
func TestOfTwoTechniciansOneHasTheCall(t *testing.T) {
	r := newRig(t)
	e := r.calls(r.device("ward", Help))
	var all sync.WaitGroup
	got := make([]error, 8)
	for i := range got {
		all.Go(func() {
			_, got[i] = r.TakeCall(t.Context(), e.ID, e.Number, "Theo Technician", technician(directory.ID(fmt.Sprint("tech", i))))
		})
	}
	all.Wait()
	var winner directory.ID
	for i, err := range got {
		switch {
		case err == nil && winner == "":
			winner = directory.ID(fmt.Sprint("tech", i))
		case !errors.Is(err, ErrNone):
			t.Errorf("tech%d: %v", i, err)
		}
	}
	if got := r.sees(winner); !slices.Equal(got, []string{e.ID}) {
		t.Fatalf("%q has %v", winner, got)
	}
	for _, who := range []directory.ID{"", "rival"} {
		if got := r.sees(who); len(got) > 0 {
			t.Errorf("%q sees it too: %v", who, got)
		}
		if err := r.CloseCall(t.Context(), e.ID, technician(who)); !errors.Is(err, ErrNone) {
			t.Errorf("%q ends it: %v", who, err)
		}
		if err := r.Attach(t.Context(), e.ID, who, "CASE"); !errors.Is(err, ErrNone) {
			t.Errorf("%q puts a case on that screen: %v", who, err)
		}
	}
	if err := r.takes(e, e.Number, ""); !errors.Is(err, ErrNone) {
		t.Errorf("nobody takes it: %v", err)
	}
}

// A call that is over takes no number and no case, whatever ended it.
func TestACallThatIsOverTakesNothing(t *testing.T) {
	for name, end := range map[string]func(*rig, Device, Errand){
		"its time":        func(r *rig, _ Device, _ Errand) { r.clock = r.clock.Add(15 * time.Minute) },
		"who left":        func(r *rig, d Device, e Errand) { r.EndErrand(r.t.Context(), e.ID, d.Screen()) },
		"the next call":   func(r *rig, d Device, _ Errand) { r.calls(d) },
		"a revoked kiosk": func(r *rig, d Device, _ Errand) { d.Revoked = r.clock; r.shelf.devices[d.ID] = d },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			d := r.device("ward", Help)
			waits := r.calls(d)
			end(r, d, waits)
			if slices.Contains(r.board(), waits.ID) {
				t.Error("it still waits")
			}
			if err := r.takes(waits, waits.Number, "tech"); !errors.Is(err, ErrNone) {
				t.Errorf("taken: %v", err)
			}

			r = newRig(t)
			d = r.device("ward", Help)
			taken := r.calls(d)
			if err := r.takes(taken, taken.Number, "tech"); err != nil {
				t.Fatal(err)
			}
			end(r, d, taken)
			if slices.Contains(r.sees("tech"), taken.ID) {
				t.Error("still the technician's")
			}
			if err := r.Attach(t.Context(), taken.ID, "tech", "CASE"); !errors.Is(err, ErrNone) {
				t.Errorf("a case comes to the next person: %v", err)
			}
		})
	}
}

// A call belongs to its screen: another can neither read nor end it, and has its own.
func TestACallIsItsScreensAlone(t *testing.T) {
	r := newRig(t)
	ward, lobby := r.device("ward", Help), r.device("lobby", Help)
	e := r.calls(ward)
	r.clock = r.clock.Add(time.Second)
	l := r.calls(lobby)
	if _, err := r.Errand(t.Context(), e.ID, lobby.Screen()); !errors.Is(err, ErrNone) {
		t.Errorf("another screen reads the number: %v", err)
	}
	for _, at := range []access.Screen{lobby.Screen(), {}} {
		if err := r.EndErrand(t.Context(), e.ID, at); err != nil {
			t.Error(err)
		}
	}
	if got := r.board(); len(got) != 2 || !slices.Contains(got, e.ID) || !slices.Contains(got, l.ID) {
		t.Errorf("the board: %v", got)
	}
}

// A case comes to a call once; the same form sent again changes nothing.
func TestACallHasOneCase(t *testing.T) {
	r := newRig(t)
	e := r.calls(r.device("ward", Help))
	if err := r.Attach(t.Context(), e.ID, "tech", "CASE"); !errors.Is(err, ErrNone) {
		t.Errorf("before it was taken: %v", err)
	}
	if err := r.takes(e, e.Number, "tech"); err != nil {
		t.Fatal(err)
	}
	for _, again := range []error{nil, nil} {
		if err := r.Attach(t.Context(), e.ID, "tech", "CASE"); !errors.Is(err, again) {
			t.Error(err)
		}
	}
	if err := r.Attach(t.Context(), e.ID, "tech", "OTHER"); !errors.Is(err, ErrNone) {
		t.Errorf("a second case: %v", err)
	}
	if got := r.sees("tech"); len(got) > 0 {
		t.Errorf("there is one to begin: %v", got)
	}
	if err := r.CloseCall(t.Context(), e.ID, technician("tech")); !errors.Is(err, ErrNone) {
		t.Errorf("closed with a case in it: %v", err)
	}
}

// Errands to a phone are none of the desk's, and the other way round.
func TestThePhoneAndTheDeskAreTwoErrands(t *testing.T) {
	r := newRig(t)
	d := r.device("ward", Reset, Help)
	p, _, err := r.AskPhone(t.Context(), d, "reset", "", "en", "10.0.0.9")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.takes(p, p.Number, "tech"); !errors.Is(err, ErrNone) {
		t.Errorf("the desk takes a phone's: %v", err)
	}
	e := r.calls(d)
	if err := r.takes(e, e.Number, "tech"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Carried(t.Context(), e.ID); !errors.Is(err, ErrNone) {
		t.Errorf("a phone has the desk's: %v", err)
	}
	if got := r.board(); len(got) != 0 {
		t.Errorf("the board: %v", got)
	}
}

// A device without that right, revoked, or not registered yet calls nobody.
func TestWhoMayNotCallCallsNobody(t *testing.T) {
	r := newRig(t)
	gone, fresh := r.device("gone", Help), r.device("fresh", Help)
	gone.Revoked, fresh.Registered = r.clock, time.Time{}
	for _, d := range []Device{r.device("plain", Reset, Unlock, Change), gone, fresh, {}} {
		if _, err := r.AskDesk(t.Context(), d, "en", "10.0.0.9"); !errors.Is(err, ErrNone) {
			t.Errorf("%s: %v", d.ID, err)
		}
	}
	if len(r.shelf.errands)+len(r.shelf.events) > 0 {
		t.Error("something is kept of it")
	}
}

// Without the store nobody calls, and nobody takes a call.
func TestNoStoreNoCall(t *testing.T) {
	r := newRig(t)
	d := r.device("ward", Help)
	e := r.calls(d)
	r.shelf.down = errors.New("gone")
	_, asked := r.AskDesk(t.Context(), d, "en", "10.0.0.9")
	_, listed := r.Calls(t.Context(), "tech")
	for what, err := range map[string]error{"asked": asked, "listed": listed, "taken": r.takes(e, e.Number, "tech"), "closed": r.CloseCall(t.Context(), e.ID, technician("tech")), "attached": r.Attach(t.Context(), e.ID, "tech", "CASE")} {
		if err == nil || errors.Is(err, ErrNone) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Who has taken two calls begins in either.
func TestATechnicianMayHaveTwoCalls(t *testing.T) {
	r := newRig(t)
	one := r.calls(r.device("ward", Help))
	r.clock = r.clock.Add(time.Minute)
	two := r.calls(r.device("lobby", Help))
	for _, e := range []Errand{two, one} {
		if err := r.takes(e, e.Number, "tech"); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.sees("tech"); !slices.Equal(got, []string{one.ID, two.ID}) {
		t.Errorf("%v", got)
	}
	if err := r.Attach(t.Context(), two.ID, "tech", "CASE"); err != nil {
		t.Error(err)
	}
	if err := r.CloseCall(t.Context(), one.ID, technician("tech")); err != nil || !r.shelf.has("kiosk.call_closed") {
		t.Error(err)
	}
	if err := r.Attach(t.Context(), one.ID, "tech", "OTHER"); !errors.Is(err, ErrNone) {
		t.Errorf("a case in a call that was closed: %v", err)
	}
}
