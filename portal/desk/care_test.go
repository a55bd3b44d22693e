package desk_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
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

// care is what the doubles have of the servers and of the past.
type care struct {
	seen  []directory.Sighting
	blind error
	looks int
	past  []audit.Event
	lost  error // of the past
}

func (r *rig) Watch(context.Context, directory.User) ([]directory.Sighting, error) {
	r.looks++
	return r.seen, r.blind
}

func (r *rig) OfCase(_ context.Context, id string, n int) (list []audit.Event, err error) {
	for _, e := range r.past {
		if e.Case == id && len(list) < n {
			list = append(list, e)
		}
	}
	return list, r.lost
}

func (r *rig) CaseEnds(_ context.Context, id directory.ID, _ int) (list []audit.Event, err error) {
	for _, e := range slices.Backward(r.past) {
		if e.Subject == id {
			list = append(list, e)
		}
	}
	return list, r.lost
}

func (r *rig) Notices(_ context.Context, id directory.ID, _ int) (list []audit.Event, err error) {
	for _, e := range slices.Backward(r.past) {
		if e.Subject == id && strings.HasPrefix(e.Kind, "message.") {
			list = append(list, e)
		}
	}
	return list, r.lost
}

// done is a case of the technician's that was applied a minute ago.
func (r *rig) done(id string, p policy.Purpose) *flow.Case {
	c := &flow.Case{ID: id, Key: "x:ann", Named: "ann", Door: access.Desk, By: access.Principal{ID: "x:tech"}, Purpose: p, Expires: r.now.Add(10 * time.Minute),
		Outcome: flow.Outcome{Status: flow.Applied, At: r.now.Add(-time.Minute), Before: r.now.Add(-90 * 24 * time.Hour), Receipt: "P-1"}}
	r.cases[id] = c
	return c
}

func (r *rig) after(c *flow.Case) desk.After {
	r.t.Helper()
	a, err := r.After(r.t.Context(), r.who("x:tech", 0), c)
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

func TestAfterAResetEveryServerIsSpokenOf(t *testing.T) {
	r := newRig(t)
	c := r.done("C1", policy.Reset)
	set := c.Outcome.At.Add(-time.Second) // by the directory's clock
	r.seen = []directory.Sighting{
		{Server: "dc1", PasswordSet: set, BadPasswords: 3, LastBad: set.Add(-time.Hour)},
		{Server: "dc2", PasswordSet: c.Outcome.Before},
		{Server: "dc3", Err: directory.ErrUnavailable},
		{Server: "dc4", Err: directory.ErrNotFound},
		{Server: "dc5", Err: directory.ErrDenied},
	}
	a := r.after(c)
	for i, want := range []desk.Arrival{desk.Arrived, desk.Waiting, desk.Silent, desk.Absent, desk.Silent} {
		if a.Servers[i].Arrival != want || a.Servers[i].Name != r.seen[i].Server {
			t.Errorf("%s: %+v, want %s", r.seen[i].Server, a.Servers[i], want)
		}
	}
	if a.Still() || a.Failed || !a.Until.Equal(c.Outcome.At.Add(30*time.Minute)) {
		t.Errorf("an old wrong password counts: %+v", a)
	}
	r.now = r.now.Add(10 * time.Second)
	tried := set.Add(20 * time.Second)
	r.seen[1].LastBad, r.seen[1].BadPasswords = tried, 1
	if a = r.after(c); !a.Still() || !a.Tried.Equal(tried) || !a.Servers[1].LastBad.Equal(tried) || !a.Servers[0].LastBad.IsZero() {
		t.Errorf("%+v", a)
	}
	// The server forgets it as the right one comes; the page does not.
	r.now = r.now.Add(10 * time.Second)
	r.seen[1] = directory.Sighting{Server: "dc2", PasswordSet: set}
	if a = r.after(c); !a.Still() || a.Servers[1].Arrival != desk.Arrived {
		t.Errorf("%+v", a)
	}
	var kinds []string
	for _, e := range r.event {
		if e.Kind == audit.DeskWatched {
			kinds = append(kinds, e.Reason)
			if e.Case != "C1" || e.Subject != "x:ann" || e.Actor != "x:tech" {
				t.Errorf("%+v", e)
			}
		}
	}
	if !slices.Equal(kinds, []string{"", "still_trying"}) {
		t.Errorf("recorded %q", kinds)
	}
	r.now = c.Outcome.At.Add(30 * time.Minute)
	if a = r.after(c); !a.Until.IsZero() || len(a.Servers) != 0 {
		t.Errorf("half an hour later: %+v", a)
	}
}

// Our clock and the directory's are not the same: what is compared are its own times.
func TestAClockThatIsFastAccusesNobody(t *testing.T) {
	r := newRig(t)
	c := r.done("C1", policy.Reset)
	fast := c.Outcome.At.Add(4 * time.Minute)
	r.seen = []directory.Sighting{{Server: "dc1", PasswordSet: fast, BadPasswords: 1, LastBad: fast.Add(-time.Minute)}}
	if a := r.after(c); a.Still() || a.Servers[0].Arrival != desk.Arrived {
		t.Errorf("%+v", a)
	}
}

func TestAfterAnUnlockAndARequiredChange(t *testing.T) {
	r := newRig(t)
	c := r.done("C1", policy.Unlock)
	at := c.Outcome.At
	r.seen = []directory.Sighting{{Server: "dc1"}, {Server: "dc2", Locked: true, LockedAt: at.Add(-time.Hour)}}
	if a := r.after(c); a.Still() || a.Servers[0].Arrival != desk.Arrived || a.Servers[1].Arrival != desk.Waiting || !a.Servers[1].Locked {
		t.Errorf("%+v", a)
	}
	r.now = r.now.Add(10 * time.Second)
	r.seen[1].LockedAt = at.Add(5 * time.Second)
	if a := r.after(c); !a.Relocked || !a.Still() || a.Servers[1].Arrival != desk.Arrived {
		t.Errorf("locked again: %+v", a)
	}

	c = r.done("C2", policy.Assist)
	if a := r.after(c); !a.Until.IsZero() {
		t.Errorf("nothing was written: %+v", a)
	}
	act := r.now
	r.past = []audit.Event{{Case: "C2", Kind: "change.required", Outcome: audit.Intent, At: act}, {Case: "C2", Kind: "change.required", Outcome: audit.OK, At: act},
		{Case: "C2", Kind: "change.required", Outcome: audit.Refused, At: act.Add(time.Second)}}
	r.seen = []directory.Sighting{{Server: "dc1", MustChange: true}, {Server: "dc2", PasswordSet: act.Add(-time.Hour)}, {Server: "dc3", PasswordSet: act.Add(time.Minute)}}
	a := r.after(c)
	if !a.Changed.Equal(act) || a.Servers[0].Arrival != desk.Arrived || a.Servers[1].Arrival != desk.Waiting || a.Servers[2].Arrival != desk.Arrived {
		t.Errorf("%+v", a)
	}
	r.lost = errors.New("database is locked")
	if _, err := r.After(t.Context(), r.who("x:tech", 0), c); !errors.Is(err, flow.ErrUnavailable) {
		t.Errorf("without the record: %v", err)
	}
}

// However often a page is loaded, the directory is asked every ten seconds; what it
// does not tell, or what cannot be recorded, is not shown, and ends nothing else.
func TestLookingAfterIsBoundedAndMayFail(t *testing.T) {
	r := newRig(t)
	c := r.done("C1", policy.Reset)
	r.seen = []directory.Sighting{{Server: "dc1", PasswordSet: r.now}}
	for range 50 {
		r.after(c)
	}
	if r.looks != 1 {
		t.Errorf("%d looks", r.looks)
	}
	r.now, r.blind, r.seen = r.now.Add(10*time.Second), directory.ErrUnavailable, nil
	for range 50 {
		if a := r.after(c); !a.Failed || a.Until.IsZero() || len(a.Servers) != 0 {
			t.Fatalf("%+v", a)
		}
	}
	if r.looks != 2 {
		t.Errorf("%d looks while it is down", r.looks)
	}
	// None of them told anything: each is said to be silent.
	r.now, r.seen = r.now.Add(10*time.Second), []directory.Sighting{{Server: "dc1", Err: directory.ErrUnavailable}}
	if a := r.after(c); a.Failed || a.Servers[0].Arrival != desk.Silent {
		t.Errorf("%+v", a)
	}
	other := r.done("C2", policy.Reset)
	r.mute = errors.New("disk full")
	if a := r.after(other); !a.Failed || len(a.Servers) != 0 {
		t.Errorf("shown without a record: %+v", a)
	}
	r.mute = nil
	r.users["x:ann"] = directory.User{ID: "x:ann", Login: "ann", Directory: "x", DN: "CN=ann,OU=Board,DC=x"}
	third, looks := r.done("C3", policy.Reset), r.looks
	if a := r.after(third); !a.Until.IsZero() || r.looks != looks {
		t.Errorf("moved out of reach: %+v after %d looks", a, r.looks-looks)
	}
	for _, w := range []desk.Who{r.who("x:two", 0), r.who("x:lead", 0), r.who("x:aud", 0), r.who("x:ann", 0), {}} {
		if _, err := r.After(t.Context(), w, third); err != desk.ErrUnknown {
			t.Errorf("%s looks after another's case: %v", w.Principal.ID, err)
		}
	}
}

const canary = "C4nary-otter-lantern"

// story is the record of one case with all there can be.
func story(r *rig, door string) []audit.Event {
	at := r.now.Add(-time.Hour)
	seq := int64(40)
	e := func(kind string, actor directory.ID, o audit.Outcome, change func(*audit.Event)) audit.Event {
		seq++
		at = at.Add(time.Minute)
		x := audit.Event{ID: "E" + string(rune('A'+seq-41)), Seq: seq, At: at, Kind: kind, Case: "C1", Subject: "x:ann", SubjectName: "ann", Actor: actor,
			ActorName: strings.TrimPrefix(string(actor), "x:"), Door: door, Address: "192.0.2.1", Purpose: "reset", Outcome: o}
		if change != nil {
			change(&x)
		}
		return x
	}
	detail := func(pairs ...string) func(*audit.Event) {
		return func(x *audit.Event) {
			x.Detail = map[string]string{"password": canary, "code": canary, "mail": canary + "@example.org"}
			for i := 0; i < len(pairs); i += 2 {
				x.Detail[pairs[i]] = pairs[i+1]
			}
		}
	}
	with := func(change func(*audit.Event), more func(*audit.Event)) func(*audit.Event) {
		return func(x *audit.Event) { change(x); more(x) }
	}
	factor := func(k verify.Kind) func(*audit.Event) { return func(x *audit.Event) { x.Factor = string(k) } }
	return []audit.Event{
		e("case.started", "x:tech", audit.OK, detail("cause", "lost the phone", "ticket", "INC-7", "name", "Ann")),
		e("case.claimed", "x:ann", audit.OK, nil),
		e("proof.ok", "x:ann", audit.OK, with(detail("credential", "0123456789abcdef"), factor(verify.TOTP))),
		e("number.failed", "x:tech", audit.Failed, func(x *audit.Event) { x.Reason = "wrong" }),
		e("number.failed", "x:tech", audit.Failed, func(x *audit.Event) { x.Reason = "fault" }),
		e("number.matched", "x:tech", audit.OK, with(detail("number", "47"), factor(verify.Handover))),
		e("approval.given", "x:boss", audit.OK, func(x *audit.Event) { x.Proof = json.RawMessage(`{"statement":"c2lnbmVk","by":"passkey"}`) }),
		e("hold.approved", "x:two", audit.OK, nil),
		e("hold.approved", "x:two", audit.OK, nil),
		e("password.intent", "x:ann", audit.Intent, nil),
		e("password.reset", "x:ann", audit.OK, detail("receipt", "P-7Q4K-29XM")),
		e(audit.MessageSent, "", audit.OK, detail("channel", "mail", "template", "password_changed")),
		e(audit.MessageFailed, "", audit.Failed, with(detail("channel", "mail", "template", "desk_done"), func(x *audit.Event) { x.Subject = "" })),
		e(audit.DeskEvidence, "x:lead", audit.OK, nil),
	}
}

func TestTheEvidenceSaysWhoAskedWhatWasProvedAndWhatWasDone(t *testing.T) {
	r := newRig(t)
	r.past = story(r, "desk")
	ev, err := r.Evidence(t.Context(), r.who("x:tech", 0), "C1")
	if err != nil {
		t.Fatal(err)
	}
	if ev.Person.Login != "ann" || ev.Person.Name != "Ann" || ev.Person.Directory != "x" || ev.Asked.Login != "tech" || ev.Cause != "lost the phone" || ev.Ticket != "INC-7" ||
		ev.From != "192.0.2.1" || ev.Claimed == nil || ev.MadeBy.Login != "tech" || ev.Format != desk.EvidenceFormat {
		t.Errorf("%+v", ev)
	}
	if n := ev.Number; n == nil || !n.Matched || n.Number != "47" || n.Wrong != 1 {
		t.Errorf("the number: %+v", n)
	}
	if p := ev.Proofs; len(p) != 3 || p[0].Kind != "totp" || p[0].Credential != "01234567" || p[1].Kind != "handover" || p[2].Kind != "approval" {
		t.Errorf("the proofs: %+v", p)
	}
	if a := ev.Approvals; len(a) != 1 || a[0].By.Login != "boss" || a[0].Decision != "given" || string(a[0].Record) != `{"statement":"c2lnbmVk","by":"passkey"}` {
		t.Errorf("the approvals: %+v", a)
	}
	if o := ev.Others; len(o) != 1 || o[0].Login != "two" || !slices.Equal(o[0].Did, []string{"hold.approved"}) {
		t.Errorf("the others: %+v", o)
	}
	if d := ev.Acts; len(d) != 1 || d[0].Kind != "password.reset" || d[0].Receipt != "P-7Q4K-29XM" || d[0].Seq == 0 || d[0].ID == "" {
		t.Errorf("the acts: %+v", d)
	}
	if n := ev.Notices; len(n) != 2 || !n[0].Delivered || !n[0].Person || n[1].Delivered || n[1].Person {
		t.Errorf("the notices: %+v", n)
	}
	if ev.Outcome.Status != "done" || !slices.Equal(ev.Receipts, []string{"P-7Q4K-29XM"}) || !ev.Complete || len(ev.Events) != len(r.past) {
		t.Errorf("the end: %+v %v", ev.Outcome, ev.Receipts)
	}
	for i, e := range ev.Events {
		if e.Seq != r.past[i].Seq || e.ID != r.past[i].ID {
			t.Errorf("%+v cannot be found in the record", e)
		}
	}
	text, err := json.Marshal(ev)
	if err != nil || strings.Contains(string(text), canary) || strings.Contains(string(text), "null") || strings.Contains(string(text), "0001-01-01") {
		t.Errorf("%v %s", err, text)
	}
	last := r.event[len(r.event)-1]
	if last.Kind != audit.DeskEvidence || last.Case != "C1" || last.Subject != "x:ann" || last.Actor != "x:tech" {
		t.Errorf("recorded %+v", last)
	}
	r.mute = errors.New("disk full")
	if ev, err := r.Evidence(t.Context(), r.who("x:tech", 0), "C1"); !errors.Is(err, flow.ErrUnavailable) || ev.Case != "" {
		t.Errorf("shown without a record: %+v %v", ev, err)
	}
}

// Security case 99: of whom somebody may not help there is no case either.
func TestWhoMaySeeTheEvidence(t *testing.T) {
	r := newRig(t)
	roles := func(id directory.ID, groups ...string) {
		r.users[id] = directory.User{ID: id, Login: string(id), Groups: groups}
	}
	roles("x:op", "CN=Ops,DC=x")
	for door, who := range map[string]map[directory.ID]bool{
		"desk": {"x:tech": true, "x:lead": true, "x:aud": true, "x:two": false, "x:op": false, "x:ann": false, "x:boss": false, "": false},
		"web":  {"x:tech": false, "x:lead": false, "x:aud": true, "x:two": false, "x:ann": false},
	} {
		r.past = story(r, door)
		for id, may := range who {
			if _, err := r.Evidence(t.Context(), r.who(id, 0), "C1"); may != (err == nil) || !may && err != desk.ErrUnknown {
				t.Errorf("%s of %s: %v", id, door, err)
			}
		}
	}
	r.past = story(r, "desk")
	if _, err := r.Evidence(t.Context(), r.who("x:tech", 0, verify.Password, verify.Email), "C1"); err != desk.ErrStale {
		t.Errorf("by a mailed code: %v", err)
	}
	for _, id := range []string{"C2", ""} {
		if _, err := r.Evidence(t.Context(), r.who("x:aud", 0), id); err != desk.ErrUnknown {
			t.Errorf("of case %q: %v", id, err)
		}
	}
	// A senior's reach is looked at now.
	ann := r.users["x:ann"]
	delete(r.users, "x:ann")
	if _, err := r.Evidence(t.Context(), r.who("x:lead", 0), "C1"); err != desk.ErrUnknown {
		t.Errorf("of somebody who is gone: %v", err)
	}
	ann.Privileged = "" // they are back
	r.users["x:ann"] = ann
	lead := r.users["x:lead"]
	lead.Groups = techs
	r.users["x:lead"] = lead
	if _, err := r.Evidence(t.Context(), r.who("x:lead", 0), "C1"); err != desk.ErrUnknown {
		t.Errorf("a technician reads another's case: %v", err)
	}
	r.lost = errors.New("database is locked")
	if _, err := r.Evidence(t.Context(), r.who("x:aud", 0), "C1"); !errors.Is(err, flow.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

// The past is in the record when the rows are gone.
func TestTheAccountShowsItsPast(t *testing.T) {
	r := newRig(t)
	r.past = story(r, "desk")
	at := r.now.Add(-20 * time.Minute)
	for _, c := range []struct {
		id, door, purpose string
		actor             directory.ID
	}{{"C2", "web", "unlock", "x:ann"}, {"C3", "desk", "assist", "x:two"}, {"C4", "desk", "reset", "x:tech"}} {
		r.past = append(r.past, audit.Event{Case: c.id, Kind: "case.started", At: at, Subject: "x:ann", Actor: c.actor, Door: c.door, Purpose: c.purpose, Outcome: audit.OK})
	}
	r.past = append(r.past, audit.Event{Case: "C3", Kind: "case.closed", At: at, Subject: "x:ann", Actor: "x:two", Door: "desk", Purpose: "assist", Outcome: audit.Refused, Reason: "cancelled"})
	r.cases["C4"] = &flow.Case{ID: "C4", Key: "x:ann", Door: access.Desk, By: access.Principal{ID: "x:tech"}, Purpose: policy.Reset, Expires: r.now.Add(time.Minute), Plan: policy.Plan{Gates: 2}}
	a, err := r.See(t.Context(), r.who("x:tech", 0), "x:ann")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range a.Cases {
		s := p.ID + " " + p.Outcome.Status + " " + p.Outcome.Reason + " " + p.By.Login
		if p.Mine {
			s += " mine"
		}
		if p.Open {
			s += " open"
		}
		got = append(got, s)
	}
	want := []string{"C4 running   mine open", "C3 refused cancelled ", "C2 expired  ", "C1 done  tech open"}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
	if len(a.Notices) != 1 || a.Notices[0].Template != "password_changed" || !a.Notices[0].Delivered {
		t.Errorf("%+v", a.Notices)
	}
	reads := r.reads
	if _, err := r.See(t.Context(), r.who("x:tech", 0), "x:ann"); err != nil || r.reads-reads > 3 {
		t.Errorf("%d directory calls, %v", r.reads-reads, err)
	}
	r.lost = errors.New("database is locked")
	if _, err := r.See(t.Context(), r.who("x:tech", 0), "x:ann"); !errors.Is(err, flow.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

// Many tabs at once are one look.
func TestOneLookServesEverybodyWhoWaits(t *testing.T) {
	r := newRig(t)
	c, w := r.done("C1", policy.Reset), r.who("x:tech", 0)
	r.seen = []directory.Sighting{{Server: "dc1", PasswordSet: r.now}}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if a, err := r.After(t.Context(), w, c); err != nil || len(a.Servers) != 1 {
				t.Errorf("%+v, %v", a, err)
			}
		})
	}
	all.Wait()
	if r.looks != 1 || len(r.event) != 1 {
		t.Errorf("%d looks, %d lines of the record", r.looks, len(r.event))
	}
}
