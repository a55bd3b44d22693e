package desk_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/desk"
	"postern/portal/flow"
	"postern/portal/policy"
	"postern/verify"
)

// waits opens a case and says what it waits for.
func (r *rig) waits(w desk.Who, id directory.ID, p policy.Purpose) []string {
	r.t.Helper()
	if err := r.open(w, id, p); err != nil {
		r.t.Fatal(err)
	}
	return r.began[len(r.began)-1].Hold
}

// Security case 105: each of these waits for a second technician, a senior's too.
func TestWhatTakesASecondTechnician(t *testing.T) {
	r := newRig(t)
	tech, lead := r.who("x:tech", 0), r.who("x:lead", 0)
	if why := r.waits(tech, "x:ann", policy.Unlock); why != nil {
		t.Errorf("the first of a day: %v", why)
	}
	for _, w := range []desk.Who{r.who("x:two", 0), lead} {
		if why := r.waits(w, "x:ann", policy.Unlock); !slices.Equal(why, []string{desk.Again}) {
			t.Errorf("the same person again, by %s: %v", w.Principal.ID, why)
		}
	}
	r.have = []verify.Credential{{ID: "new", Kind: verify.TOTP, Created: r.now.Add(-23 * time.Hour)}}
	if why := r.waits(tech, "x:bea", policy.Reset); !slices.Equal(why, []string{desk.NewFactor}) {
		t.Errorf("a new factor, then a reset: %v", why)
	}
	r.have[0].Created = r.now.Add(-24 * time.Hour)
	r.closed = true
	if why := r.waits(lead, "x:boss", policy.Reset); !slices.Equal(why, []string{desk.OffHours}) {
		t.Errorf("at night: %v", why)
	}
	r.closed, r.now = false, r.now.Add(24*time.Hour)
	tech, lead = r.who("x:tech", 0), r.who("x:lead", 0)
	r.eyes = access.Part{OUs: []string{"OU=Staff,DC=x"}}
	if why := r.waits(lead, "x:ann", policy.Assist); !slices.Equal(why, []string{desk.FourEyes}) {
		t.Errorf("an account that always takes two: %v", why)
	}
	r.eyes = access.Part{}
	if err := r.open(tech, "x:far", policy.Unlock); err != desk.ErrUnknown {
		t.Fatalf("out of scope: %v", err)
	}
	r.scope.Crossing = access.Part{OUs: []string{"OU=Board,DC=x"}}
	if why := r.waits(tech, "x:far", policy.Unlock); !slices.Equal(why, []string{desk.Crossing}) {
		t.Errorf("beyond the own scope: %v", why)
	}
	r.level.Raise()
	if why := r.waits(r.who("x:lead", 0), "x:boss", policy.Unlock); !slices.Equal(why, []string{desk.Threat}) {
		t.Errorf("while the threat level is raised: %v", why)
	}
	r.level.Lower()
	r.now = r.now.Add(24 * time.Hour)
	if why := r.waits(r.who("x:lead", 0), "x:far", policy.Unlock); why != nil {
		t.Errorf("within a senior's: %v", why)
	}
}

// Security case 105: the twenty-first act within an hour waits; a yes lets the rest of
// that case through, and no other.
func TestTheTwentyFirstActWaits(t *testing.T) {
	r := newRig(t)
	w := r.who("x:tech", 0)
	id := r.verified(w, "x:bea")
	act := func() error { return r.act(w, id, desk.SignOut, "") }
	for range 19 {
		if err := act(); err != nil {
			t.Fatal(err)
		}
	}
	var no *desk.Refused
	for range 2 {
		if err := act(); !errors.As(err, &no) || no.Reason != "held" || len(r.did) != 19 {
			t.Fatalf("the twenty-first: %v, %d done", err, len(r.did))
		}
	}
	two := r.who("x:two", 0)
	if err := r.Agree(t.Context(), two, id); err != nil {
		t.Fatal(err)
	}
	if err := act(); err != nil || len(r.did) != 20 {
		t.Errorf("after the yes: %v", err)
	}
	if why := r.waits(w, "x:ann", policy.Unlock); !slices.Equal(why, []string{desk.Velocity}) {
		t.Errorf("the next case: %v", why)
	}
}

// Who may answer: somebody else, with a role now, in whose own scope the person is,
// and with a fresh proof. To all others there is nothing.
func TestWhoCanBeTheSecond(t *testing.T) {
	r := newRig(t)
	r.scope.Crossing = access.Part{OUs: []string{"OU=Board,DC=x"}}
	if why := r.waits(r.who("x:tech", 0), "x:far", policy.Reset); len(why) != 1 {
		t.Fatal(why)
	}
	id := r.last().ID
	for _, who := range []directory.ID{"x:tech", "x:two", "x:far", "x:aud", "x:ann", "x:root"} {
		if err := r.Agree(t.Context(), r.who(who, 0), id); !errors.Is(err, desk.ErrUnknown) {
			t.Errorf("%s: %v", who, err)
		}
		if list, _ := r.Waiting(t.Context(), r.who(who, 0)); len(list) != 0 {
			t.Errorf("%s is shown it", who)
		}
	}
	if err := r.Agree(t.Context(), r.who("x:lead", 11*time.Minute), id); !errors.Is(err, desk.ErrStale) {
		t.Errorf("an old proof: %v", err)
	}
	if list, err := r.Waiting(t.Context(), r.who("x:lead", 0)); err != nil || len(list) != 1 {
		t.Errorf("%d wait, %v", len(list), err)
	}
	if err := r.Disagree(t.Context(), r.who("x:lead", 0), id); err != nil || !r.cases[id].Hold.Refused {
		t.Errorf("a no: %v", err)
	}
	if err := r.Agree(t.Context(), r.who("x:lead", 0), id); !errors.Is(err, desk.ErrUnknown) {
		t.Errorf("after the no: %v", err)
	}
	late := r.who("x:tech", 0)
	r.waits(late, "x:far", policy.Unlock)
	id = r.last().ID
	r.now = r.now.Add(time.Hour)
	if err := r.Agree(t.Context(), r.who("x:lead", 0), id); !errors.Is(err, desk.ErrUnknown) {
		t.Errorf("an hour later: %v", err)
	}
}

// Security case 100: an account that looks like the technician's own second one is theirs.
func TestNobodyHelpsTheirOwnSecondAccount(t *testing.T) {
	r := newRig(t)
	for id, login := range map[directory.ID]string{"x:tech": "tech", "x:adm": "adm-tech"} {
		r.users[id] = directory.User{ID: id, Login: login, Name: "Theo Tech", Directory: "x", DN: "CN=" + login + ",OU=Staff,DC=x", Groups: r.users[id].Groups}
	}
	var no *desk.Refused
	if err := r.open(r.who("x:tech", 0), "x:adm", policy.Unlock); !errors.As(err, &no) || no.Reason != "self" {
		t.Errorf("%v", err)
	}
}

// What a code that was read out has proved shuts an account, and opens nothing.
func TestASpokenCodeOpensNothing(t *testing.T) {
	r := newRig(t)
	w := r.who("x:tech", 0)
	r.have = []verify.Credential{{ID: "old", Kind: verify.Passkey}}
	id := r.verified(w, "x:ann")
	r.cases[id].Proofs = []flow.Proof{{Kind: verify.TOTP, Spoken: true}}
	for _, act := range []desk.Act{desk.Unfreeze, desk.Clear} {
		if err := r.act(w, id, act, "old"); !errors.Is(err, flow.ErrConflict) {
			t.Errorf("%s: %v", act, err)
		}
	}
	if err := r.act(w, id, desk.Freeze, ""); err != nil {
		t.Error(err)
	}
	if o, err := r.Choices(t.Context(), r.cases[id]); err != nil || !o.Heard || o.Lost != nil {
		t.Errorf("%+v, %v", o, err)
	}
	if err := r.act(r.who("x:tech", 11*time.Minute), id, desk.Freeze, ""); !errors.Is(err, desk.ErrStale) {
		t.Errorf("an old touch: %v", err)
	}
}

// Nor is the technician's second account their second technician: to it nothing waits.
func TestASecondAccountIsNoSecondTechnician(t *testing.T) {
	r := newRig(t)
	for id, login := range map[directory.ID]string{"x:tech": "tech", "x:two": "adm-tech"} {
		r.users[id] = directory.User{ID: id, Login: login, Name: "Theo Tech", Directory: "x", DN: "CN=" + login + ",OU=Staff,DC=x", Groups: techs}
	}
	r.closed = true
	r.waits(r.who("x:tech", 0), "x:ann", policy.Reset)
	if list, err := r.Waiting(t.Context(), r.who("x:two", 0)); err != nil || len(list) != 0 {
		t.Errorf("%d wait, %v", len(list), err)
	}
	if err := r.Agree(t.Context(), r.who("x:two", 0), r.of("x:ann")); !errors.Is(err, desk.ErrUnknown) {
		t.Errorf("%v", err)
	}
}

// Whom a waiting case is about is not shown without a line of who looked.
func TestTheSecondTechniciansLookIsRecorded(t *testing.T) {
	r := newRig(t)
	r.closed = true
	r.waits(r.who("x:tech", 0), "x:ann", policy.Reset)
	r.event = nil
	if _, err := r.Held(t.Context(), r.who("x:two", 0), r.of("x:ann")); err != nil {
		t.Fatal(err)
	}
	if len(r.event) != 1 || r.event[0].Kind != audit.DeskViewed || r.event[0].Subject != "x:ann" || r.event[0].Actor != "x:two" || r.event[0].Case != r.of("x:ann") {
		t.Errorf("%+v", r.event)
	}
	r.mute = errors.New("database is locked")
	if c, err := r.Held(t.Context(), r.who("x:two", 0), r.of("x:ann")); !errors.Is(err, flow.ErrUnavailable) || c != nil {
		t.Errorf("shown without a record: %v", err)
	}
}

// A code that the case does not take makes nothing wait: with a field that does nothing
// a technician would stop a caller who is on the way, and call everybody out.
func TestACodeThatIsNotTakenHoldsNothing(t *testing.T) {
	r := newRig(t)
	w := r.who("x:tech", 0)
	r.waits(w, "x:ann", policy.Reset)
	r.closed = true
	if _, err := r.Hear(t.Context(), w, r.of("x:ann"), verify.TOTP, []byte("123456")); !errors.Is(err, flow.ErrNotOffered) {
		t.Errorf("for a reset: %v", err)
	}
	r.waits(r.who("x:lead", 0), "x:bea", policy.Unlock)
	c := r.cases[r.of("x:bea")]
	c.Hold, c.Plan.Spoken, c.Claimed = nil, []verify.Kind{verify.TOTP}, r.now
	if _, err := r.Hear(t.Context(), r.who("x:lead", 0), r.of("x:bea"), verify.TOTP, []byte("123456")); !errors.Is(err, flow.ErrNotOffered) {
		t.Errorf("claimed: %v", err)
	}
	if r.cases[r.of("x:ann")].OnHold() || c.OnHold() {
		t.Error("it waits")
	}
	c.Claimed = time.Time{}
	if _, err := r.Hear(t.Context(), r.who("x:lead", 0), r.of("x:bea"), verify.TOTP, []byte("123456")); !errors.As(err, new(*desk.Refused)) || !c.OnHold() {
		t.Errorf("at night: %v", err)
	}
}

// The day and the hour before now are what counts, wherever they began: to wait until a
// window of the clock is over is no way round.
func TestNoWindowOfTheClockIsAWayRound(t *testing.T) {
	r := newRig(t)
	r.waits(r.who("x:tech", 0), "x:ann", policy.Unlock)
	r.now = r.now.Add(23*time.Hour + 50*time.Minute)
	if why := r.waits(r.who("x:two", 0), "x:ann", policy.Unlock); !slices.Equal(why, []string{desk.Again}) {
		t.Errorf("within a day: %v", why)
	}
	r.now = r.now.Add(15 * time.Minute)
	if why := r.waits(r.who("x:tech", 0), "x:ann", policy.Unlock); !slices.Equal(why, []string{desk.Again}) {
		t.Errorf("a quarter of an hour after the second, a day after the first: %v", why)
	}
	r.now = r.now.Add(24 * time.Hour)
	if why := r.waits(r.who("x:tech", 0), "x:ann", policy.Unlock); why != nil {
		t.Errorf("a day after the last: %v", why)
	}

	r = newRig(t)
	first := r.who("x:tech", 0)
	id := r.verified(first, "x:bea") // one act
	r.now = r.now.Add(55 * time.Minute)
	act := func() error {
		c := r.cases[id]
		c.Outcome.At, c.Hold = r.now, nil
		return r.act(r.who("x:tech", 0), id, desk.SignOut, "")
	}
	for range 18 {
		if err := act(); err != nil {
			t.Fatal(err)
		}
	}
	r.now = r.now.Add(6 * time.Minute) // past the hour that began with the first
	done := 0
	for range 10 {
		if act() == nil {
			done++
		}
	}
	if done > 3 {
		t.Errorf("%d acts in six minutes", 18+done)
	}
	r.now = r.now.Add(2 * time.Hour)
	if err := act(); err != nil {
		t.Errorf("two hours later: %v", err)
	}
}

// A second thing taken away from the same person within a day waits, whoever does it:
// one call is about one lost thing.
func TestASecondThingTakenAwayWaits(t *testing.T) {
	r := newRig(t)
	w := r.who("x:tech", 0)
	r.have = []verify.Credential{{ID: "key", Kind: verify.Passkey}, {ID: "app", Kind: verify.TOTP}, {ID: "sheet", Kind: verify.RecoveryCode}}
	id := r.verified(w, "x:ann")
	if err := r.act(w, id, desk.Clear, "key"); err != nil {
		t.Fatal(err)
	}
	var no *desk.Refused
	for act, which := range map[desk.Act]string{desk.Clear: "app", desk.Replace: "app", desk.Codes: ""} {
		if err := r.act(w, id, act, which); !errors.As(err, &no) || no.Reason != "held" {
			t.Errorf("%s: %v", act, err)
		}
	}
	if why := r.cases[id].Hold.Reasons; !slices.Equal(why, []string{desk.Cleared}) {
		t.Errorf("%v", why)
	}
	if err := r.Agree(t.Context(), r.who("x:two", 0), id); err != nil {
		t.Fatal(err)
	}
	if err := r.act(w, id, desk.Clear, "app"); err != nil {
		t.Errorf("after the yes: %v", err)
	}
}

// Cases that wait call colleagues and security: nobody begins them without end.
func TestNobodyBeginsCasesWithoutEnd(t *testing.T) {
	r := newRig(t)
	w := r.who("x:tech", 0)
	for range 40 {
		if err := r.open(w, "x:bea", policy.Unlock); err != nil {
			t.Fatal(err)
		}
	}
	var no *desk.Refused
	if err := r.open(w, "x:ann", policy.Unlock); !errors.As(err, &no) || no.Reason != desk.Velocity || len(r.began) != 40 {
		t.Errorf("%v, %d begun", err, len(r.began))
	}
}

// Whose names are on the list that waits is recorded, once in a while.
func TestTheListThatWaitsIsRecorded(t *testing.T) {
	r := newRig(t)
	r.closed = true
	r.waits(r.who("x:tech", 0), "x:ann", policy.Reset)
	r.event = nil
	for range 3 {
		if list, err := r.Waiting(t.Context(), r.who("x:two", 0)); err != nil || len(list) != 1 {
			t.Fatalf("%d, %v", len(list), err)
		}
	}
	if len(r.event) != 1 || r.event[0].Kind != audit.DeskSearched || r.event[0].Subject != "x:ann" || r.event[0].Actor != "x:two" {
		t.Errorf("%+v", r.event)
	}
	r.mute = errors.New("database is locked")
	if list, err := r.Waiting(t.Context(), r.who("x:lead", 0)); err == nil {
		t.Errorf("%d shown without a record", len(list))
	}
}
