package desk_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"postern/portal/desk"
	"postern/portal/flow"
	"postern/portal/policy"
	"postern/verify"
)

// together does something as often at once, and returns the errors.
func together(n int, do func() error) []error {
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { errs[i] = do() })
	}
	all.Wait()
	return errs
}

// A double click, or a request that is sent again, begins one case, and counts as one.
func TestAFormBeginsOneCase(t *testing.T) {
	r := newRig(t)
	w := r.who("x:tech", 0)
	o := order
	o.Once = r.once()
	var mu sync.Mutex
	ids := map[string]bool{}
	for _, err := range together(8, func() error {
		c, err := r.Open(t.Context(), w, "x:ann", o)
		if err == nil {
			mu.Lock()
			defer mu.Unlock()
			ids[c.ID] = true
		}
		return err
	}) {
		if err != nil {
			t.Error(err)
		}
	}
	if len(ids) != 1 || len(r.began) != 1 || len(r.mail) != 0 {
		t.Errorf("%d cases, %d begun, security heard %v", len(ids), len(r.began), r.mail)
	}
	// The form for one person is none for another, nor another technician's.
	if c, err := r.Open(t.Context(), w, "x:bea", o); err != nil || ids[c.ID] {
		t.Errorf("%+v %v", c, err)
	}
	if c, err := r.Open(t.Context(), r.who("x:lead", 0), "x:ann", o); err != nil || ids[c.ID] {
		t.Errorf("%+v %v", c, err)
	}
	// A new form is a new case, with all that stands against one.
	if err := r.open(w, "x:ann", policy.Reset); err != nil || len(r.last().Hold.Reasons) == 0 {
		t.Errorf("a new form: %v", err)
	}
	for _, once := range []string{"", "short", strings.Repeat("A", 23), strings.Repeat("A", 21) + "=", strings.Repeat("A", 21) + "\n"} {
		o.Once = once
		if _, err := r.Open(t.Context(), w, "x:boss", o); !errors.As(err, new(*flow.Invalid)) {
			t.Errorf("%q: %v", once, err)
		}
	}
	// What is looked at for a first one is looked at for the answer as well.
	o = order
	o.Once = r.once()
	if _, err := r.Open(t.Context(), r.who("x:ann", 0), "x:bea", o); err != desk.ErrUnknown {
		t.Errorf("no role: %v", err)
	}
}

// An act is done once, also where it takes away what it needs.
func TestAFormActsOnce(t *testing.T) {
	r := newRig(t)
	w := r.who("x:tech", 0)
	id := r.verified(w, "x:ann")
	r.have = []verify.Credential{{ID: "old", Kind: verify.Passkey}}
	for _, act := range []desk.Act{desk.SignOut, desk.Renew, desk.Freeze, desk.Clear} {
		which := ""
		if act == desk.Clear {
			which = "old"
		}
		before, once := len(r.did), r.once()
		for _, err := range append(together(6, func() error { return r.Do(t.Context(), w, id, act, which, once) }), r.Do(t.Context(), w, id, act, which, once)) {
			if err != nil {
				t.Errorf("%s: %v", act, err)
			}
		}
		if len(r.did) != before+1 {
			t.Errorf("%s: %q", act, r.did[before:])
		}
		// The same form for another act is another one.
		if err := r.Do(t.Context(), w, id, desk.Unfreeze, "", once); err != nil || len(r.did) != before+2 {
			t.Errorf("%s: %v", act, err)
		}
	}
	// What failed was not done, and the form still can be.
	once := r.once()
	r.unfit = "invite_weak"
	r.have = nil
	var no *desk.Refused
	if err := r.Do(t.Context(), r.who("x:tech", 0), id, desk.Invite, "", once); !errors.As(err, &no) || no.Reason != "invite_weak" {
		t.Errorf("%v", err)
	}
	r.unfit = ""
	before := len(r.did)
	if err := r.Do(t.Context(), r.who("x:tech", 0), id, desk.Invite, "", once); err != nil || len(r.did) != before+1 {
		t.Errorf("%v %q", err, r.did)
	}
	// A store that cannot say is a no.
	r.mute = errors.New("database is locked")
	if err := r.Do(t.Context(), w, id, desk.SignOut, "", r.once()); !errors.Is(err, flow.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

// A double click on a wrong number costs one of three tries.
func TestANumberIsTriedOnce(t *testing.T) {
	r := newRig(t)
	w := r.who("x:tech", 0)
	if err := r.open(w, "x:ann", policy.Assist); err != nil {
		t.Fatal(err)
	}
	once := r.once()
	for _, err := range together(5, func() error { _, err := r.Match(t.Context(), w, r.last().ID, "10", once); return err }) {
		if err != nil {
			t.Error(err)
		}
	}
	if !slices.Equal(r.did, []string{"match 10 desk"}) {
		t.Errorf("%q", r.did)
	}
}

// Who can be helped to something new, and with what is lost: security case 103 holds
// for each of these acts.
func TestWhatIsLostIsReplaced(t *testing.T) {
	paper := verify.Credential{ID: "paper", Kind: verify.RecoveryCode}
	for name, c := range map[string]struct {
		have  []verify.Credential
		gave  flow.Proof
		act   desk.Act
		which string
		want  string // what was done; empty: a conflict
	}{
		"codes":                  {have: []verify.Credential{paper, {ID: "app", Kind: verify.TOTP}}, act: desk.Codes, want: "codes"},
		"codes, of which one":    {have: []verify.Credential{paper}, gave: flow.Proof{Kind: verify.RecoveryCode, Evidence: verify.Evidence{Credential: "spent"}}, act: desk.Codes},
		"codes there are not":    {have: []verify.Credential{{ID: "app", Kind: verify.TOTP}}, act: desk.Codes},
		"replace":                {have: []verify.Credential{paper, {ID: "app", Kind: verify.TOTP}}, act: desk.Replace, which: "app", want: "replace app"},
		"replace what was used":  {have: []verify.Credential{{ID: "app", Kind: verify.TOTP}}, gave: flow.Proof{Kind: verify.TOTP, Evidence: verify.Evidence{Credential: "app"}}, act: desk.Replace, which: "app"},
		"replace a code":         {have: []verify.Credential{paper}, act: desk.Replace, which: "paper"},
		"replace nothing":        {have: []verify.Credential{paper}, act: desk.Replace},
		"invite":                 {act: desk.Invite, want: "invite"},
		"invite, with something": {have: []verify.Credential{paper}, act: desk.Invite},
	} {
		r := newRig(t)
		w := r.who("x:tech", 0)
		id := r.verified(w, "x:ann")
		r.have = c.have
		if c.gave.Kind != "" {
			r.cases[id].Proofs = []flow.Proof{c.gave}
		}
		err := r.act(w, id, c.act, c.which)
		if c.want == "" {
			if !errors.Is(err, flow.ErrConflict) || len(r.did) != 0 {
				t.Errorf("%s: %v %q", name, err, r.did)
			}
			continue
		}
		if err != nil || len(r.did) != 1 || !strings.HasPrefix(r.did[0], c.want+" x:ann x:tech "+id+" security@example.org boss@example.org") {
			t.Errorf("%s: %v %q", name, err, r.did)
		}
		var no *desk.Refused
		if err := r.open(r.who("x:tech", 0), "x:ann", policy.Reset); !errors.As(err, &no) || no.Reason != "second_technician" {
			t.Errorf("%s, then the password: %v", name, err)
		}
		if err := r.act(r.who("x:two", 0), id, c.act, c.which); err != desk.ErrUnknown {
			t.Errorf("%s, by another: %v", name, err)
		}
	}
}

// What the page offers is what can be done.
func TestChoicesAreWhatCanBeDone(t *testing.T) {
	r := newRig(t)
	w := r.who("x:tech", 0)
	id := r.verified(w, "x:ann")
	r.have = []verify.Credential{{ID: "app", Kind: verify.TOTP}, {ID: "a", Kind: verify.RecoveryCode}, {ID: "b", Kind: verify.RecoveryCode}}
	o, err := r.Choices(t.Context(), r.cases[id])
	if err != nil || len(o.Lost) != 1 || o.Codes != 2 || o.Bare {
		t.Errorf("%+v %v", o, err)
	}
	r.cases[id].Proofs = []flow.Proof{{Kind: verify.RecoveryCode}}
	if o, err := r.Choices(t.Context(), r.cases[id]); err != nil || o.Codes != 0 {
		t.Errorf("%+v %v", o, err)
	}
	r.have = nil
	if o, err := r.Choices(t.Context(), r.cases[id]); err != nil || !o.Bare {
		t.Errorf("%+v %v", o, err)
	}
}
