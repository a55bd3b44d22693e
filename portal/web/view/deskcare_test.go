package view

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"postern/portal/policy"
	"postern/verify"
)

func afterSample(change func(*After)) *After {
	a := &After{Until: at(29), Looked: sampleNow, Servers: []ServerState{
		{Name: "dc1.example.org:636", Arrival: "arrived"}, {Name: "dc2.example.org:636", Arrival: "waiting", Locked: true},
		{Name: "dc3.example.org:636", Arrival: "silent"}, {Name: "dc4.example.org:636", Arrival: "absent"}}}
	if change != nil {
		change(a)
	}
	return a
}

func afterCase(a *After) *DeskCase {
	return &DeskCase{Frame: techFrame(), ID: "CASE", Whom: "ad:1", Login: "user1", Name: "Ada <b>Lovelace</b>", Purpose: policy.Reset, Cause: "lost the <b>phone</b>", Ticket: "INC-7",
		Stage: "done", Proofs: []verify.Kind{verify.TOTP, verify.Handover}, Until: at(14), Receipt: "P-7Q4K-29XM", After: a, Evidence: true}
}

func trying(a *After) {
	a.Tried = at(-1)
	a.Servers[0].Bad, a.Servers[0].LastBad = 3, at(-1)
	a.Servers[1].Bad, a.Servers[1].LastBad = 1, at(-2)
}

func evidenceSample() *DeskEvidence {
	act := func(kind, outcome string) Activity {
		return Activity{At: at(-3), Kind: kind, Outcome: outcome, Factor: verify.TOTP, Purpose: policy.Reset}
	}
	return &DeskEvidence{Frame: techFrame(), Case: "7Q4K29XM7Q4K29XM7Q4K29XM7Q4K29XM", Path: "/desk/cases/CASE/evidence", Made: sampleNow, MadeBy: "tech1", Purpose: policy.Reset, Door: "desk",
		Login: "user1", Name: "Ada <b>Lovelace</b>", Directory: "ad", Asked: "tech1", Began: at(-9), From: "192.0.2.9", Cause: "lost the <b>phone</b>", Ticket: "INC-7",
		Claimed: at(-8), ClaimedFrom: "2001:db8::7", Number: "47", Matched: at(-6), Wrong: 1,
		Proofs:    []EvidenceProof{{verify.TOTP, at(-7), "2001:db8::7", "0f3a9c21"}, {verify.Handover, at(-6), "192.0.2.9", ""}, {verify.Approval, at(-5), "192.0.2.20", ""}},
		Approvals: []EvidenceApproval{{By: "manager1", Decision: "given", At: at(-5), Address: "192.0.2.20", Record: "{\n  \"statement\": \"" + strings.Repeat("eyJ0eXBlIjoicG9zdGVybiI", 20) + "\"\n}"}, {By: "manager2", Decision: "denied", At: at(-5), Note: "Not <b>him</b>"}},
		Others:    []EvidenceOther{{"tech2", []string{"hold.approved"}}},
		Acts:      []EvidenceAct{{Activity: act("password.reset", "ok"), By: "user1", Seq: 411}, {Activity: act("factor.removed", "ok"), By: "tech1", Credential: "0f3a9c21", Seq: 414}, {Activity: act("change.required", "refused"), By: "tech1", Reason: "directory", Seq: 415}},
		Notices:   noticeSamples(), Status: "done", Ended: at(-3), Receipts: []string{"P-7Q4K-29XM"}, Complete: true,
		Events: []EvidenceEvent{{Seq: 401, ID: "0198b1f07cbe7d0a8f52a1b2c3d4e5f6", Kind: "case.started", Outcome: "ok", Actor: "tech1", Address: "192.0.2.9", At: at(-9)},
			{Seq: 402, ID: "0198b1f07cbe7d0a8f52a1b2c3d4e5f7", Kind: "number.failed", Outcome: "failed", Reason: "wrong", Factor: "handover", Actor: "tech1", At: at(-6)}}}
}

func noticeSamples() []NoticeLine {
	return []NoticeLine{{At: at(-3), Template: "password_changed", Channel: "mail", Delivered: true, Person: true}, {At: at(-3), Template: "desk_done", Channel: "mail"},
		{At: at(-4), Template: "never heard of", Channel: "pigeon", Person: true}, {At: at(-4), Template: "code", Channel: "sms", Delivered: true, Person: true}}
}

// careSamples are what became of cases.
func careSamples() []sample {
	past := personSample()
	past.Mail, past.Phone, past.Notices = []string{"u••••@example.org"}, []string{"••••42"}, noticeSamples()
	past.Cases = []PastCase{{ID: "A", Purpose: "reset", Door: "desk", Began: at(-5), By: "tech1", Status: "running", Path: "/desk/cases/A"},
		{ID: "B", Purpose: "unlock", Door: "web", Began: at(-500), Status: "done"}, {ID: "C", Purpose: "assist", Door: "desk", Began: at(-900), By: "tech2", Status: "refused", Reason: "cancelled", Path: "/desk/cases/C/evidence"},
		{ID: "D", Purpose: "change", Door: "api", Began: at(-990), Status: "what"}}
	bare := evidenceSample()
	bare.Name, bare.Number, bare.Proofs, bare.Approvals, bare.Others, bare.Acts, bare.Notices, bare.Receipts, bare.Complete = "", "", nil, nil, nil, nil, nil, nil, false
	bare.Claimed, bare.Ended, bare.Status, bare.Reason = time.Time{}, time.Time{}, "refused", "too_many_tries"
	still := afterCase(afterSample(trying))
	still.Still = true
	return []sample{
		{"desk-case-after", afterCase(afterSample(nil)), "done", ""},
		{"desk-case-trying", afterCase(afterSample(trying)), "done", ""},
		{"desk-case-trying-still", still, "done", ""},
		{"desk-case-relocked", afterCase(afterSample(func(a *After) { a.Relocked, a.Servers[0].Locked = true, true })), "done", ""},
		{"desk-case-after-failed", afterCase(&After{Failed: true, Until: at(20), Looked: sampleNow}), "done", ""},
		{"desk-case-after-failed-trying", afterCase(&After{Failed: true, Until: at(20), Looked: sampleNow, Tried: at(-3)}), "done", ""},
		{"desk-person-past", past, "person", ""},
		{"desk-evidence", evidenceSample(), "evidence", ""},
		{"desk-evidence-bare", bare, "evidence", ""},
	}
}

// Nothing is said by colour alone, and one server's silence does not read as calm.
func TestWhatTheServersSayIsInWords(t *testing.T) {
	r := renderer(t)
	page := func(p Page) string {
		var b bytes.Buffer
		if err := r.Page(&b, "en", p); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	calm, alarm, failed := page(afterCase(afterSample(nil))), page(afterCase(afterSample(trying))), page(afterCase(&After{Failed: true, Looked: sampleNow}))
	for _, word := range []string{"arrived", "not there yet", "does not answer", "does not know the account yet", "Nothing has tried", "not known"} {
		if !strings.Contains(calm, word) {
			t.Errorf("%q is missing", word)
		}
	}
	for _, word := range []string{"Something is still trying the old password", "mail app", "Wi-Fi", "network drives", "remote desktop", "scheduled task", "browser", "3 wrong, the last at"} {
		if !strings.Contains(alarm, word) {
			t.Errorf("%q is missing", word)
		}
	}
	if strings.Contains(alarm, "Nothing has tried") || strings.Contains(failed, "Nothing has tried") || !strings.Contains(failed, "cannot tell") || !strings.Contains(failed, "INC-7") {
		t.Error("what is not known reads as calm, or takes the rest of the page away")
	}
}

// Security case 47, for what others wrote.
func TestMarkupInEvidenceIsInert(t *testing.T) {
	r := renderer(t)
	evil := `"><svg onload=alert(1)><script>x</script>'`
	p := evidenceSample()
	p.Login, p.Name, p.Asked, p.Cause, p.Ticket, p.From, p.ClaimedFrom, p.Case, p.Status, p.Reason = evil, evil, evil, evil, evil, evil, evil, evil, evil, evil
	p.Approvals = []EvidenceApproval{{By: evil, Decision: evil, Note: evil, Record: evil}}
	p.Others, p.Receipts = []EvidenceOther{{evil, []string{evil}}}, []string{evil}
	p.Notices = []NoticeLine{{Template: evil, Channel: evil}}
	p.Events = []EvidenceEvent{{ID: evil, Kind: evil, Reason: evil, Actor: evil, Address: evil}}
	past := personSample()
	past.Mail, past.Cases = []string{evil}, []PastCase{{Purpose: "reset", Door: evil, By: evil, Path: "javascript:" + evil}}
	for _, page := range []Page{p, past, afterCase(&After{Servers: []ServerState{{Name: evil, Arrival: "silent"}}})} {
		var b bytes.Buffer
		if err := r.Page(&b, "ar", page); err != nil {
			t.Fatal(err)
		}
		for _, e := range elements(t, b.String()) {
			if e.name == "script" && e.attrs["src"] == "" || e.attrs["onload"] != "" || strings.HasPrefix(e.attrs["href"], "javascript:") {
				t.Errorf("%s: <%s %v>", page.file(), e.name, e.attrs)
			}
		}
	}
}
