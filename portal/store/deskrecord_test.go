package store_test

import (
	"fmt"
	"slices"
	"testing"

	"postern/directory"
	"postern/portal/audit"
	"postern/portal/store/storetest"
)

// What a technician is shown of the past is of that case or that account alone, and a
// login that is written like a kind is no kind.
func testDeskRecord(t *testing.T, p storetest.Place) {
	db := p.Open(t)
	write := func(subject directory.ID, id, kind, purpose, name string) {
		t.Helper()
		if err := db.Record(t.Context(), audit.Event{Case: id, Kind: kind, Subject: subject, SubjectName: name, Purpose: purpose, Outcome: audit.OK}); err != nil {
			t.Fatal(err)
		}
	}
	write(alice, "C1", "case.started", "reset", "alice")
	write(alice, "C1", "proof.ok", "reset", `x","kind":"case.started","y":"`)
	write(alice, "C1", "password.reset", "reset", "alice")
	write(alice, "C1", audit.MessageSent, "", `"kind":"case.started"`)
	write(alice, "C2", "case.started", "signin", "alice")
	write(alice, "C2", "signin", "signin", "alice")
	write(bob, "C3", "case.started", "unlock", `"kind":"message.sent"`)
	write(alice, "C4", "case.started", "assist", nasty)
	write(alice, "C4", "case.closed", "assist", nasty)
	write(alice, "", audit.MessageFailed, "", "alice")

	kinds := func(list []audit.Event, err error) (got []string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			if e.Seq == 0 {
				t.Errorf("%s has no place in the record", e.Kind)
			}
			got = append(got, e.Case+" "+e.Kind)
		}
		return got
	}
	for name, c := range map[string]struct{ got, want []string }{
		"of a case":         {kinds(db.OfCase(t.Context(), "C1", 10)), []string{"C1 case.started", "C1 proof.ok", "C1 password.reset", "C1 message.sent"}},
		"the first of them": {kinds(db.OfCase(t.Context(), "C1", 2)), []string{"C1 case.started", "C1 proof.ok"}},
		"of no case":        {kinds(db.OfCase(t.Context(), "", 10)), nil},
		"of an unknown one": {kinds(db.OfCase(t.Context(), "C9\x00", 10)), nil},
		"ends":              {kinds(db.CaseEnds(t.Context(), alice, 10)), []string{"C4 case.closed", "C4 case.started", "C1 password.reset", "C1 case.started"}},
		"the last of them":  {kinds(db.CaseEnds(t.Context(), alice, 1)), []string{"C4 case.closed"}},
		"of another":        {kinds(db.CaseEnds(t.Context(), bob, 10)), []string{"C3 case.started"}},
		"of nobody":         {kinds(db.CaseEnds(t.Context(), "", 10)), nil},
		"notices":           {kinds(db.Notices(t.Context(), alice, 10)), []string{" message.failed", "C1 message.sent"}},
		"none of another":   {kinds(db.Notices(t.Context(), bob, 10)), nil},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: %q, want %q", name, c.got, c.want)
		}
	}
	for i := range 30 {
		write(bob, fmt.Sprint("D", i), "case.started", "reset", "bob")
	}
	if got := kinds(db.CaseEnds(t.Context(), bob, 5)); len(got) != 5 || got[0] != "D29 case.started" {
		t.Errorf("%q", got)
	}
}
