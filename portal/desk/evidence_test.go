package desk_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
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
