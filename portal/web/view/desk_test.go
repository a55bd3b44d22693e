package view

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/policy"
	"postern/verify"
)

func deskFrame(faults ...Fault) Frame {
	return Frame{CSRF: "tok", Person: "operator1", Desk: Rooms{Open: true, Policy: true, Coverage: true}, Faults: faults}
}

func askedPolicy(faults ...Fault) *DeskPolicy {
	return &DeskPolicy{Frame: deskFrame(faults...), Purpose: policy.Reset, Door: access.Web, Purposes: policy.Purposes(), Doors: access.Doors()}
}

func explained(v policy.Verdict) *DeskPolicy {
	p := askedPolicy()
	p.Login = "user1"
	p.Who = &Explained{Login: "user1", Name: "Ada <b>Lovelace</b>", Means: policy.Means{Enrolled: []verify.Kind{verify.TOTP}, Mail: true}, Verdict: v}
	return p
}

func countSample(people int) *Count {
	c := &Count{At: sampleNow, People: 28, CanRecover: 24, ByPasskeyAlone: 5, ByTwoGates: 22, OneWay: 9, Stranded: 4, Unserved: 2, Gone: 1,
		Factors:    []FactorCount{{verify.TOTP, 24}, {verify.RecoveryCode, 20}, {verify.Passkey, 5}},
		Groups:     []GroupCount{{"Staff", 20, 19, 1}, {"CN=Ward Staff and Their Deputies,OU=Very Long Name of a Unit,DC=corp,DC=example,DC=org", 3, 0, 3}, {"Nobody Here", 0, 0, 0}},
		Registered: &Registered{People: 9, Ready: 7, Kinds: []RegisteredKind{{"microsoftAuthenticatorPush", 6}, {"mobilePhone", 2}, {"<b>odd", 1}}}}
	for i := range people {
		c.List = append(c.List, Stranded{Login: fmt.Sprintf("user%d", i+1), Name: "Amara Okafor", Kinds: []verify.Kind{verify.TOTP}})
	}
	return c
}

func waitingSample() Waiting {
	return Waiting{ID: "CASE", Login: "user1", Name: "Ada <b>Lovelace</b>", Technician: "Tessa & Co", Reasons: []string{"velocity", "again", "new_factor", "hours", "four_eyes", "crossing", "threat", "cleared", "odd"}, Since: at(-60)}
}

func deskSamples() []sample {
	kinds := []verify.Kind{verify.Passkey, verify.TOTP, verify.Email, verify.RecoveryCode, verify.SMS}
	plan := policy.Plan{Name: "finance", Allowed: kinds, Alone: kinds[:1], Gates: 2, Life: 10 * time.Minute, Tries: 3, PerDay: 2}
	paths := policy.Explain(plan, policy.Means{Enrolled: []verify.Kind{verify.TOTP}, Mail: true, Ended: []verify.Kind{verify.SMS}})
	shut := policy.Explain(plan, policy.Means{})
	one := policy.Path{Proofs: []verify.Kind{verify.Password}, Strength: policy.OneKind}
	plans := askedPolicy()
	plans.Chapters = []policy.Chapter{{Groups: []string{"Finance", "CN=Board,DC=x"}, OUs: []string{"OU=HQ,DC=x"}, Plan: plan, Paths: paths.Paths},
		{Plan: policy.Plan{Name: "default", Life: 15 * time.Minute, Tries: 5}, Paths: []policy.Path{one}}}
	wrong := askedPolicy(Fault{Field: "login", Code: "nobody"})
	wrong.Login = `"nobody`
	odd := explained(policy.Verdict{Unserved: "never heard of", Explanation: policy.Explanation{Plan: "default"}})
	return append(append(caseSamples(), careSamples()...), []sample{
		{"desk", &DeskIndex{Frame: deskFrame()}, "desk", ""},
		{"desk-technician", &DeskIndex{Frame: Frame{CSRF: "tok", Person: "tech1", Desk: Rooms{Open: true, Help: true}}, Waiting: []Waiting{waitingSample(), {ID: "C", Reasons: []string{"odd"}}}}, "desk", ""},
		{"desk-hold", &DeskHold{Frame: techFrame(), Waiting: waitingSample(), Purpose: policy.Reset, Cause: "lost", Ticket: "INC-7", Whom: "ad:1", Proofs: kinds[:1]}, "second", ""},
		{"desk-people", &DeskPeople{Frame: techFrame(), Asked: `"user1`, Looked: true, Found: []Hit{{ID: "ad:1", Login: "user1", Name: "Ada <b>Lovelace</b>", Directory: "ad"}, {Name: "Tessa <i>", Refused: "staff"}, {Name: "Me", Refused: "self"}}, More: true}, "people", ""},
		{"desk-people-none", &DeskPeople{Frame: techFrame(), Asked: "nobody", Looked: true}, "people", ""},
		{"desk-people-wrong", &DeskPeople{Frame: techFrame(Fault{Field: "q", Code: "required"})}, "people", "required"},
		{"desk-person", personSample(), "person", ""},
		{"desk-person-wrong", func() Page {
			p := personSample()
			p.Faults = []Fault{{Field: "ticket", Code: "bad_ticket"}}
			return p
		}(), "person", "bad_ticket"},
		{"desk-person-busy", func() Page {
			p := personSample()
			p.Can, p.Case, p.Methods, p.Recent = false, "CASE", nil, nil
			return p
		}(), "person", ""},
		{"desk-person-refused", func() Page { p := personSample(); p.Can, p.Refused = false, "disabled"; return p }(), "person", ""},
		{"desk-person-self", &DeskPerson{Frame: techFrame(), ID: "ad:2", Login: "tech1", Name: "Tessa", Refused: "self"}, "person", ""},
		{"desk-proof", &DeskProof{Frame: deskFrame(), At: "/desk/people"}, "prove", ""},
		{"desk-policy", plans, "policy", ""},
		{"desk-policy-person", explained(policy.Verdict{Explanation: paths}), "policy", ""},
		{"desk-policy-stranded", explained(policy.Verdict{Explanation: shut}), "policy", ""},
		{"desk-policy-unserved", explained(policy.Verdict{Unserved: "privileged", Explanation: policy.Explanation{Plan: "finance"}}), "policy", ""},
		{"desk-policy-odd", odd, "policy", ""},
		{"desk-policy-nobody", wrong, "policy", "nobody"},
		{"desk-policy-purpose", askedPolicy(Fault{Field: "purpose", Code: "bad_choice"}), "policy", "bad_choice"},
		{"desk-policy-door", askedPolicy(Fault{Field: "door", Code: "bad_choice"}), "policy", "bad_choice"},
		{"desk-policy-form", askedPolicy(Fault{Code: "bad_form"}), "policy", "bad_form"},
		{"desk-threat", &DeskThreat{Frame: operatorFrame(), Spans: fors()}, "threat", ""},
		{"desk-threat-wrong", &DeskThreat{Frame: operatorFrame(Fault{Field: "cause", Code: "bad_cause"}), Spans: fors(), For: time.Hour, Cause: "<b>"}, "threat", "bad_cause"},
		{"desk-threat-raised", &DeskThreat{Frame: raisedFrame(), Spans: fors()}, "threat", ""},
		{"desk-doctor", examinedSample(), "doctor", ""},
		{"desk-doctor-never", &DeskDoctor{Frame: operatorFrame()}, "doctor", ""},
		{"desk-doctor-failed", func() Page { p := examinedSample(); p.Failed = true; return p }(), "doctor", ""},
		{"desk-doctor-well", func() Page { p := examinedSample(); p.Groups = p.Groups[2:]; return p }(), "doctor", ""},
		{"desk-doctor-running", &DeskDoctor{Frame: operatorFrame(), Running: true, Since: at(-1)}, "examining", ""},
		{"desk-doctor-running-still", func() Page { p := examinedSample(); p.Running, p.Since, p.Still = true, at(-1), true; return p }(), "examining", ""},
		{"desk-raised", &DeskIndex{Frame: raisedFrame()}, "desk", ""},
		{"desk-coverage", &DeskCoverage{Frame: deskFrame(), Count: countSample(4)}, "coverage", ""},
		{"desk-coverage-more", &DeskCoverage{Frame: deskFrame(), Count: func() *Count { c := countSample(3); c.More = 5; return c }()}, "coverage", ""},
		{"desk-coverage-never", &DeskCoverage{Frame: deskFrame()}, "coverage", ""},
		{"desk-coverage-nobody", &DeskCoverage{Frame: deskFrame(), Count: &Count{At: sampleNow, Registered: &Registered{Failed: true}}}, "coverage", ""},
		{"desk-coverage-failed", &DeskCoverage{Frame: deskFrame(), Count: countSample(1), Failed: true}, "coverage", ""},
		{"desk-counting", &DeskCoverage{Frame: deskFrame(), Running: true, Since: at(-1)}, "counting", ""},
		{"desk-counting-still", &DeskCoverage{Frame: deskFrame(), Running: true, Since: at(-1), Still: true, Count: countSample(4)}, "counting", ""},
	}...)
}

func examinedSample() *DeskDoctor {
	return &DeskDoctor{Frame: operatorFrame(), At: at(-3), Groups: []FindingGroup{
		{"failure", []Finding{{"corp: account", "cn=root,dc=example,dc=org could bind and is no entry: <b>this is how rootdn looks</b>", "for rootdn neither quality nor history holds", "printf '%s\\n' \\\n  'dn: olcDatabase={1}mdb,cn=config' \\\n  'add: olcAccess' \\\n  | sudo ldapmodify -Q -Y EXTERNAL -H ldapi:///"}}},
		{"warning", []Finding{{"disk", "600 MiB of 40.0 GiB are free at /srv/postern", "when it is full nothing can be recorded", "df -h /srv/postern"}}},
		{"ok", []Finding{{Check: "clock", What: "is synchronised"}, {Check: "corp: index", What: "cannot be seen from here", Mend: "ldapsearch -LLL"}}},
	}}
}

func operatorFrame(faults ...Fault) Frame {
	return Frame{CSRF: "tok", Person: "op1", Desk: Rooms{Open: true, Policy: true, Coverage: true, Threat: true, Kiosks: true, Doctor: true}, Faults: faults}
}

func raisedFrame() Frame {
	f := operatorFrame()
	f.Threat = &Threat{Since: at(-60), Login: "op1", Reason: "calls <b>about</b> new phones", Until: at(240)}
	return f
}

func fors() []time.Duration { return []time.Duration{time.Hour, 12 * time.Hour, 7 * 24 * time.Hour} }

func techFrame(faults ...Fault) Frame {
	return Frame{CSRF: "tok", Person: "tech1", Desk: Rooms{Open: true, Help: true}, Faults: faults}
}

func personSample() *DeskPerson {
	return &DeskPerson{Frame: techFrame(), ID: "ad:1", Login: "user1", Name: "Ada <b>Lovelace</b>", Directory: "ad", Manager: "Mary Manager", Shown: true, Can: true,
		State:  directory.State{Locked: true, LockedAt: at(-1), LockedUntil: at(30), PasswordExpired: true, PasswordSet: at(-90000), PasswordExpires: at(9000), BadPasswords: 5, FirstBad: at(-3), LastBad: at(-1)},
		Frozen: at(-60), Methods: methods(), Recent: activities(), Purpose: policy.Unlock, Purposes: []policy.Purpose{policy.Reset, policy.Unlock, policy.Assist}, Cause: "lost", Ticket: "INC-7"}
}

// caseSamples is a case at every stage.
func caseSamples() (list []sample) {
	for _, stage := range []string{"held", "code", "proving", "match", "approval", "password", "applying", "done", "refused", "expired"} {
		p := &DeskCase{Frame: techFrame(), ID: "CASE", Whom: "ad:1", Login: "user1", Name: "Ada <b>Lovelace</b>", Purpose: policy.Assist, Cause: "lost the <b>phone</b>", Ticket: "INC-7",
			Stage: stage, Proofs: []verify.Kind{verify.TOTP}, Until: at(14)}
		switch stage {
		case "code":
			p.Code, p.Link, p.Proofs = "ABC-234-XYZ", "https://id.example.org/link", nil
			p.Hear, p.Second = []verify.Kind{verify.TOTP, verify.YubiKey}, "tech2"
		case "held":
			p.Hold = []string{"velocity", "odd"}
		case "done":
			p.Did = activities()[:1]
			p.Acts, p.Receipt, p.Frozen, p.Lost, p.Codes = at(15), "P-7Q4K-29XM", true, methods()[:2], 8
		case "refused":
			p.Reason = "too_many_tries"
		}
		list = append(list, sample{"desk-case-" + stage, p, stage, ""})
	}
	list = append(list, sample{"desk-case-bare", &DeskCase{Frame: techFrame(), ID: "CASE", Whom: "ad:1", Login: "user1", Purpose: policy.Assist, Stage: "done", Acts: at(15), Bare: true, Once: "AAAAAAAAAAAAAAAAAAAAAA"}, "done", ""})
	wrong := &DeskCase{Frame: techFrame(Fault{Field: "number", Code: "wrong_number", Left: 2}), ID: "CASE", Whom: "ad:1", Purpose: policy.Reset, Stage: "match", Until: at(14)}
	kept := &DeskCase{Frame: techFrame(), ID: "CASE", Whom: "ad:1", Purpose: policy.Assist, Stage: "done", Acts: at(15), Hold: []string{"hours"}, Denied: true}
	heard := &DeskCase{Frame: techFrame(), ID: "CASE", Whom: "ad:1", Purpose: policy.Assist, Stage: "done", Acts: at(15), Heard: true, Frozen: true}
	misheard := &DeskCase{Frame: techFrame(Fault{Field: "answer", Code: "wrong_code", Left: 2}), ID: "CASE", Whom: "ad:1", Purpose: policy.Unlock, Stage: "code", Until: at(14), Hear: []verify.Kind{verify.TOTP}}
	return append(list, sample{"desk-case-wrong", wrong, "match", "wrong_number"}, sample{"desk-case-kept", kept, "done", ""}, sample{"desk-case-heard", heard, "done", ""},
		sample{"desk-case-misheard", misheard, "code", "wrong_code"})
}

func TestPercentNeverRoundsSomebodyAway(t *testing.T) {
	for _, c := range [][3]int{{0, 0, 0}, {0, 9, 0}, {9, 9, 100}, {1, 100000, 1}, {99999, 100000, 99}, {1, 3, 33}, {2, 3, 67}, {5, 0, 0}, {-1, 4, 0}, {1, 2, 50}} {
		if got := percent(c[0], c[1]); got != c[2] {
			t.Errorf("%d of %d is %d %%, want %d", c[0], c[1], got, c[2])
		}
	}
}

// However few they are, who is stranded is seen, and the parts never overlap nor
// leave the drawing.
func TestTheBarShowsEverybodyOnce(t *testing.T) {
	for _, c := range []Count{
		{People: 28, CanRecover: 24, ByPasskeyAlone: 5, Stranded: 4}, {People: 100000, CanRecover: 99999, ByPasskeyAlone: 99998, Stranded: 1},
		{People: 100000, CanRecover: 1, Stranded: 99999}, {People: 1, Stranded: 1}, {People: 3, CanRecover: 3, ByPasskeyAlone: 3}, {},
		{People: 100000, CanRecover: 2, ByPasskeyAlone: 1, Stranded: 99998},
	} {
		end, n := 0, 0
		for _, s := range segments(c) {
			n += s.N
			if s.N == 0 {
				if s.W != 0 {
					t.Errorf("%+v: an empty part is drawn: %+v", c, s)
				}
				continue
			}
			if s.X < end || s.W < 8 || s.X+s.W > barWidth {
				t.Errorf("%+v: %+v after %d", c, s, end)
			}
			end = s.X + s.W
		}
		if n != c.People || c.People > 0 && end != barWidth {
			t.Errorf("%+v: %d people, up to %d", c, n, end)
		}
	}
}

// The desk is in the menu of those it is open to, and no room they may not enter.
func TestTheMenuShowsWhatIsOpen(t *testing.T) {
	r := renderer(t)
	for rooms, want := range map[Rooms]string{
		{}:                         "",
		{Open: true}:               "/desk",
		{Open: true, Policy: true}: "/desk /desk/policy",
		{Open: true, Coverage: true, Policy: true}: "/desk /desk/policy /desk/coverage",
		{Open: true, Lists: true}:                  "/desk /desk/lists",
		{Open: true, Doctor: true}:                 "/desk /desk/doctor",
		{Open: true, Lists: true, Figures: true}:   "/desk /desk/lists /desk/figures",
	} {
		for _, p := range []Page{&Me{Frame: Frame{Person: "a", Desk: rooms}}, &DeskIndex{Frame: Frame{Person: "a", Desk: rooms}}} {
			var b bytes.Buffer
			if err := r.Page(&b, "en", p); err != nil {
				t.Fatal(err)
			}
			got := map[string]bool{}
			for _, e := range elements(t, b.String()) {
				if e.name == "a" && strings.HasPrefix(e.attrs["href"], "/desk") {
					got[e.attrs["href"]] = true
				}
			}
			if _, own := p.(*Me); own && len(got) != min(1, len(strings.Fields(want))) {
				t.Errorf("%+v: the account's pages lead to %v", rooms, got)
			} else if !own && rooms.Open && len(got) != len(strings.Fields(want)) {
				t.Errorf("%+v: the desk leads to %v, want %s", rooms, got, want)
			}
		}
	}
}

// 200 people with long names are still a page.
func TestTheLongestListIsStillAPage(t *testing.T) {
	r := renderer(t)
	c := countSample(200)
	for i := range c.List {
		c.List[i].Name = strings.Repeat("n", 64)
	}
	for _, lang := range []string{"en", "de", "ar"} {
		var b bytes.Buffer
		if err := r.Page(&b, lang, &DeskCoverage{Frame: deskFrame(), Count: c}); err != nil {
			t.Fatal(err)
		}
		if b.Len() > 96<<10 {
			t.Errorf("%s: %d bytes", lang, b.Len())
		}
	}
}
