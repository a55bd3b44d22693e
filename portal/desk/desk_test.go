package desk_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/audit"
	"postern/portal/desk"
	"postern/portal/flow"
	"postern/portal/policy"
	"postern/verify"
)

// Security cases 99 and 100: who is out of reach is nobody, at the look and at the
// act; oneself, those at the desk and whom the portal does not serve are refused in
// words. Each leaves a line.
func TestWhomATechnicianMayNotHelp(t *testing.T) {
	r := newRig(t)
	w := r.who("x:tech", 0)
	for id, want := range map[directory.ID]string{"x:tech": "self", "x:two": "staff", "x:lead": "staff", "x:aud": "staff", "x:root": "privileged", "x:off": "disabled"} {
		var no *desk.Refused
		if err := r.open(w, id, policy.Reset); !errors.As(err, &no) || no.Reason != want {
			t.Errorf("%s: %v, want %s", id, err, want)
		}
		a, err := r.See(t.Context(), w, id)
		if err != nil || a.Refused != want || want != "disabled" && a.User.DN != "" {
			t.Errorf("seeing %s: %+v, %v", id, a, err)
		}
	}
	for _, id := range []directory.ID{"x:far", "x:nobody", ""} {
		if err := r.open(w, id, policy.Reset); err != desk.ErrUnknown {
			t.Errorf("%s: %v", id, err)
		}
		if _, err := r.See(t.Context(), w, id); err != desk.ErrUnknown {
			t.Errorf("seeing %s: %v", id, err)
		}
	}
	if found, err := r.Find(t.Context(), w, "f"); err != nil || len(found.People) != 0 {
		t.Errorf("found %v, %v", found, err)
	}
	if a, err := r.See(t.Context(), r.who("x:lead", 0), "x:far"); err != nil || a.User.Login != "far" {
		t.Errorf("a senior's wider scope: %v", err)
	}
	refused := 0
	for _, e := range r.event {
		if e.Kind == audit.DeskRefused && e.Actor == "x:tech" && e.Reason != "" && e.Address == "192.0.2.9" {
			refused++
		}
	}
	if refused != 17 || len(r.began) != 0 { // all but the look at the disabled account
		t.Errorf("%d refusals are recorded, %d cases begun", refused, len(r.began))
	}
	r.mute = errors.New("database is locked")
	if _, err := r.See(t.Context(), w, "x:ann"); !errors.Is(err, flow.ErrUnavailable) {
		t.Errorf("shown without a record: %v", err)
	}
}

// Security case 104: by a role that was taken away, or a proof that anybody could
// have given, or one too old, nothing is done.
func TestAnActNeedsTheRoleAndAFreshProof(t *testing.T) {
	r := newRig(t)
	for name, c := range map[string]struct {
		w    desk.Who
		want error
	}{
		"no role":            {r.who("x:ann", 0), desk.ErrUnknown},
		"an auditor":         {r.who("x:aud", 0), desk.ErrUnknown},
		"nobody":             {desk.Who{}, desk.ErrUnknown},
		"password and mail":  {r.who("x:tech", 0, verify.Password, verify.Email), desk.ErrStale},
		"a saved code":       {r.who("x:tech", 0, verify.Password, verify.RecoveryCode), desk.ErrStale},
		"eleven minutes ago": {r.who("x:tech", 11*time.Minute), desk.ErrStale},
	} {
		if err := r.open(c.w, "x:bea", policy.Reset); err != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := r.See(t.Context(), r.who("x:tech", 11*time.Minute), "x:bea"); err != nil {
		t.Errorf("to look is no act: %v", err)
	}
	w := r.who("x:tech", 0)
	if err := r.open(w, "x:bea", policy.Reset); err != nil {
		t.Fatal(err)
	}
	for _, other := range []directory.ID{"x:two", "x:lead"} {
		if _, err := r.Match(t.Context(), r.who(other, 0), r.last().ID, "10", r.once()); err != desk.ErrUnknown {
			t.Errorf("%s matches in somebody else's case: %v", other, err)
		}
	}
	// Moved out of reach since.
	moved := r.users["x:bea"]
	moved.DN = "CN=bea,OU=Board,DC=x"
	r.users["x:bea"] = moved
	if _, err := r.Match(t.Context(), w, r.last().ID, "10", r.once()); err != desk.ErrUnknown || len(r.did) != 0 {
		t.Errorf("moved: %v %v", err, r.did)
	}
}

func TestAnOrderSaysWhyAndForWhichTicket(t *testing.T) {
	r := newRig(t)
	w := r.who("x:tech", 0)
	for field, o := range map[string][]desk.Order{
		"purpose": {{Purpose: policy.Change, Cause: "x", Ticket: "INC-7"}, {Purpose: policy.SignIn, Cause: "x", Ticket: "INC-7"}, {Cause: "x", Ticket: "INC-7"}},
		"cause": {{Purpose: policy.Reset, Cause: " ", Ticket: "INC-7"}, {Purpose: policy.Reset, Cause: strings.Repeat("ä", 201), Ticket: "INC-7"},
			{Purpose: policy.Reset, Cause: "a\nb", Ticket: "INC-7"}, {Purpose: policy.Reset, Cause: "a\u202eb", Ticket: "INC-7"}},
		"ticket": {{Purpose: policy.Reset, Cause: "x"}, {Purpose: policy.Reset, Cause: "x", Ticket: "INC-7\nBcc: x"}, {Purpose: policy.Reset, Cause: "x", Ticket: "7"}},
	} {
		for _, one := range o {
			var bad *flow.Invalid
			one.Once = r.once()
			if _, err := r.Open(t.Context(), w, "x:ann", one); !errors.As(err, &bad) || bad.Field != field {
				t.Errorf("%+v: %v", one, err)
			}
		}
	}
	if err := r.open(w, "x:ann", policy.Reset); err != nil || !slices.Equal(r.began[0].Tell, []string{"security@example.org", "boss@example.org"}) {
		t.Errorf("%v %v", r.began, err)
	}
	// Who should hear of it cannot be found out: nothing is begun.
	r.down = directory.ErrUnavailable
	if err := r.open(r.who("x:lead", 0), "x:ann", policy.Reset); !errors.Is(err, directory.ErrUnavailable) || len(r.began) != 1 {
		t.Errorf("the manager cannot be asked: %v", err)
	}
}

// The page of an account asks the directory for the account and its manager.
func TestSeeingAskTheDirectoryTwice(t *testing.T) {
	r := newRig(t)
	a, err := r.See(t.Context(), r.who("x:tech", 0), "x:ann")
	if err != nil || a.Manager != "Bo" || r.reads != 2 {
		t.Errorf("%+v, %v, %d calls", a, err, r.reads)
	}
	if err := r.open(r.who("x:tech", 0), "x:ann", policy.Assist); err != nil {
		t.Fatal(err)
	}
	if a, err := r.See(t.Context(), r.who("x:tech", 0), "x:ann"); err != nil || a.Open == nil {
		t.Errorf("the open case is not there: %v", err)
	}
	if a, err := r.See(t.Context(), r.who("x:two", 0), "x:ann"); err != nil || a.Open != nil {
		t.Errorf("another technician's case is shown: %v", err)
	}
}

// verified is an assist case that ended well.
func (r *rig) verified(w desk.Who, id directory.ID) string {
	r.t.Helper()
	if err := r.open(w, id, policy.Assist); err != nil {
		r.t.Fatal(err)
	}
	c := r.last()
	c.Outcome, c.Hold = flow.Outcome{Status: flow.Applied, At: r.now}, nil
	c.Proofs = []flow.Proof{{Kind: verify.TOTP}, {Kind: verify.Handover}}
	return c.ID
}

// Security case 102: until the caller is verified, and a quarter of an hour later,
// nothing can be done; what is done, others hear of.
func TestActsNeedAVerifiedCaller(t *testing.T) {
	r := newRig(t)
	w := r.who("x:tech", 0)
	if err := r.open(w, "x:bea", policy.Assist); err != nil {
		t.Fatal(err)
	}
	if err := r.act(w, r.last().ID, desk.Freeze, ""); !errors.Is(err, flow.ErrConflict) {
		t.Errorf("before: %v", err)
	}
	id := r.verified(w, "x:ann")
	for _, act := range []desk.Act{desk.Freeze, desk.Unfreeze, desk.SignOut} {
		if err := r.act(w, id, act, ""); err != nil {
			t.Errorf("%s: %v", act, err)
		}
	}
	if err := r.act(w, id, desk.Renew, ""); err != nil || r.did[3] != "renew x:ann x:tech "+id+" security@example.org boss@example.org" {
		t.Errorf("%v %q", err, r.did)
	}
	if err := r.act(w, id, desk.Unlock, ""); err != nil || !strings.HasPrefix(r.did[4], "unlock x:ann x:tech ") {
		t.Errorf("%v %q", err, r.did)
	}
	r.did, r.down = r.did[:3], directory.ErrUnsupported
	if err := r.act(w, id, desk.Renew, ""); !errors.As(err, new(*desk.Refused)) {
		t.Errorf("where it would do nothing: %v", err)
	}
	r.down = nil
	if err := r.act(w, id, "password", ""); !errors.As(err, new(*flow.Invalid)) {
		t.Errorf("an act there is not: %v", err)
	}
	want := []string{"freeze x:ann x:tech " + id + " security@example.org boss@example.org", "unfreeze x:ann x:tech " + id + " security@example.org boss@example.org", "sessions x:ann x:tech " + id + " security@example.org boss@example.org"}
	if !slices.Equal(r.did, want) {
		t.Errorf("%q", r.did)
	}
	if err := r.act(r.who("x:two", 0), id, desk.Freeze, ""); err != desk.ErrUnknown {
		t.Errorf("another technician: %v", err)
	}
	r.now = r.now.Add(15 * time.Minute)
	if err := r.act(r.who("x:tech", 0), id, desk.Freeze, ""); !errors.Is(err, flow.ErrConflict) {
		t.Errorf("too late: %v", err)
	}
}

// Security case 103: one technician does not take both the password and a factor of
// somebody within a day. What proved the caller is not lost.
func TestAFactorAndAPasswordTakeTwoTechnicians(t *testing.T) {
	r := newRig(t)
	w := r.who("x:tech", 0)
	r.have = []verify.Credential{{ID: "old", Kind: verify.Passkey}, {ID: "app", Kind: verify.TOTP}, {ID: "paper", Kind: verify.RecoveryCode}}
	id := r.verified(w, "x:ann")
	r.cases[id].Proofs = []flow.Proof{{Kind: verify.TOTP, Evidence: verify.Evidence{Credential: "app"}}}
	for _, which := range []string{"app", "paper", "", "somebody's"} {
		if err := r.act(w, id, desk.Clear, which); !errors.Is(err, flow.ErrConflict) {
			t.Errorf("cleared %q: %v", which, err)
		}
	}
	if err := r.act(w, id, desk.Clear, "old"); err != nil {
		t.Fatal(err)
	}
	var no *desk.Refused
	if err := r.open(w, "x:ann", policy.Reset); !errors.As(err, &no) || no.Reason != "second_technician" {
		t.Errorf("then the password: %v", err)
	}
	lead := r.who("x:lead", 0)
	if err := r.open(lead, "x:ann", policy.Reset); err != nil {
		t.Errorf("somebody else: %v", err)
	}
	id = r.verified(lead, "x:ann")
	if err := r.act(lead, id, desk.Clear, "old"); !errors.As(err, &no) || no.Reason != "second_technician" {
		t.Errorf("and the other way round: %v", err)
	}
	r.now = r.now.Add(24 * time.Hour)
	if err := r.open(r.who("x:tech", 0), "x:ann", policy.Reset); err != nil {
		t.Errorf("a day later: %v", err)
	}
}

// What is found is read, so that only whom one may help is shown, and each who is
// shown can see that they were; what was typed stands nowhere.
func TestAListShowsWhomOneMayHelp(t *testing.T) {
	r := newRig(t)
	for i := range 25 {
		id := directory.ID(fmt.Sprintf("x:many%02d", i))
		r.users[id] = directory.User{ID: id, Login: string(id[2:]), Directory: "x", DN: "CN=m,OU=Staff,DC=x"}
	}
	found, err := r.Find(t.Context(), r.who("x:tech", 0), " many ")
	if err != nil || len(found.People) != 20 || !found.More || len(r.event) != 20 {
		t.Fatalf("%d, more %v, %d lines, %v", len(found.People), found.More, len(r.event), err)
	}
	for _, e := range r.event {
		if e.Kind != audit.DeskSearched || e.Subject == "" || strings.Contains(fmt.Sprint(e.Detail), "many") {
			t.Errorf("%+v", e)
		}
	}
	for _, text := range []string{"", " ", strings.Repeat("x", 300)} {
		if _, err := r.Find(t.Context(), r.who("x:tech", 0), text); !errors.As(err, new(*flow.Invalid)) {
			t.Errorf("%q: %v", text, err)
		}
	}
	r.down = directory.ErrUnavailable
	if _, err := r.Find(t.Context(), r.who("x:tech", 0), "many"); !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("an outage looks like nobody: %v", err)
	}
}

// "This wasn't me", said after somebody was verified as them, is about that very call:
// what it proved opens nothing and takes nothing away any more. What was frozen before
// is what they called about.
func TestThisWasntMeEndsWhatTheCallProved(t *testing.T) {
	r := newRig(t)
	w := r.who("x:tech", 0)
	r.have = []verify.Credential{{ID: "old", Kind: verify.Passkey}}
	r.frozen = r.now.Add(-time.Hour)
	id := r.verified(w, "x:ann")
	if err := r.act(w, id, desk.Unfreeze, ""); err != nil {
		t.Errorf("what they called about: %v", err)
	}
	r.frozen = r.now.Add(time.Minute)
	var no *desk.Refused
	for _, act := range []desk.Act{desk.Unfreeze, desk.Clear, desk.Renew} {
		if err := r.act(w, id, act, "old"); !errors.As(err, &no) || no.Reason != "frozen" || len(r.did) != 1 {
			t.Errorf("%s: %v, %q", act, err, r.did)
		}
	}
	if o, err := r.Choices(t.Context(), r.cases[id]); err != nil || len(o.Lost) > 0 {
		t.Errorf("offered: %+v, %v", o, err)
	}
	if err := r.act(w, id, desk.SignOut, ""); err != nil {
		t.Errorf("to shut is never too late: %v", err)
	}
	// Said once more of an account that is frozen already: by the notice of this very call.
	r.frozen, r.notMe = r.now.Add(-time.Hour), r.now.Add(time.Minute)
	if err := r.act(w, id, desk.Unfreeze, ""); !errors.As(err, &no) || no.Reason != "frozen" {
		t.Errorf("said again: %v", err)
	}
}
