package portaltest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"postern/portal/audit"
)

// TestTwoHundredFiftySixAtOnceLoseNothing: a Monday morning on one SQLite file.
// Everybody starts at the same moment, a third with the old password, a third
// with app and recovery code, a third with mailed code and app; every one of
// them gets through, the directory has exactly the password each of them chose,
// and the record tells of each once. A machine too slow to begin with everybody in
// time asks some to come back, and those do.
func TestTwoHundredFiftySixAtOnceLoseNothing(t *testing.T) {
	const crowd = 256
	if testing.Short() {
		t.Skip("-short: needs a directory")
	}
	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	m := newMill(t, bin, "slapd", crowd, "")
	m.enrol(t, m.people)
	next := passwords(crowd)
	kinds := []flow{changes, byApp, byMail}
	verbs := map[string]string{}
	var wait, all sync.WaitGroup
	wait.Add(crowd)
	start := make(chan struct{})
	for i, p := range m.people {
		f := kinds[i%len(kinds)]
		verbs[p.login] = map[string]string{changes.name: "password.changed"}[f.name]
		if verbs[p.login] == "" {
			verbs[p.login] = "password.reset"
		}
		r := newRider(m.client, m.p.URL, &m.asked)
		r.patience = 5
		all.Go(func() {
			defer r.close()
			wait.Done()
			<-start
			if err := f.ours(m, r, p, next[i]); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	close(start)
	all.Wait()
	if t.Failed() {
		return
	}
	if _, err := drive(crowd, 4, func(w, i int) error {
		p := m.people[i]
		if p.password != next[i] {
			return fmt.Errorf("%s is not done", p.login)
		}
		if err := m.hands[w].bound(p.dn, next[i]); err != nil {
			return fmt.Errorf("%s: the new password does not hold: %w", p.login, err)
		}
		if err := m.hands[w].bound(p.dn, p.old); err == nil {
			return fmt.Errorf("%s: the old password holds still", p.login)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	told := map[string]int{}
	if err := m.reg.db.Export(t.Context(), audit.Query{}, func(e audit.Event) error {
		switch e.Kind {
		case "password.changed", "password.reset":
			if e.Outcome == audit.OK {
				told[e.SubjectName+" "+e.Kind]++
			}
		case "password.intent", "case.started", "proof.ok", "factor.chosen", "account.unlocked", audit.MessageSent:
		default:
			t.Errorf("the record tells of %s %s of %s: %s", e.Kind, e.Outcome, e.SubjectName, e.Reason)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for login, verb := range verbs {
		if told[login+" "+verb] != 1 {
			t.Errorf("the record tells %d times of %s of %s", told[login+" "+verb], verb, login)
		}
	}
	if len(told) != crowd {
		t.Errorf("the record tells of %d people, not %d", len(told), crowd)
	}
	cases, err := m.reg.db.Unsettled(t.Context(), time.Now().AddDate(1, 0, 0))
	if err != nil || len(cases) > 0 {
		t.Errorf("writes without a known outcome: %v, %v", cases, err)
	}
}
