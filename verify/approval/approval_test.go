package approval

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/verify"
)

// The first manager upwards who can answer is asked; where none can, those the
// policy names. Security cases 93 and 97.
func TestWhoIsAsked(t *testing.T) {
	recent := func(t *town) time.Time { return t.now.Add(-time.Hour) }
	for name, c := range map[string]struct {
		ask    verify.Ask
		change func(*town)
		want   []directory.ID
	}{
		"the manager":                    {plain, nil, []directory.ID{mary}},
		"no level: the policy's":         {verify.Ask{Approvers: []string{"lead", "nobody", "anna"}}, nil, []directory.ID{lead}},
		"disabled: the next one up":      {plain, func(t *town) { t.edit(mary, func(u *directory.User) { u.State.Disabled = true }) }, []directory.ID{rita}},
		"privileged: the next one up":    {plain, func(t *town) { t.edit(mary, func(u *directory.User) { u.Privileged = "Domain Admins" }) }, []directory.ID{rita}},
		"one level only":                 {verify.Ask{Levels: 1, Approvers: []string{"lead"}}, func(t *town) { t.frozen[mary] = true }, []directory.ID{lead}},
		"no passkey: the next one up":    {plain, func(t *town) { delete(t.keys, mary) }, []directory.ID{rita}},
		"a passkey from an hour ago":     {plain, func(t *town) { t.keys[mary] = recent(t) }, []directory.ID{rita}},
		"a synced passkey":               {plain, func(t *town) { t.synced[mary] = true }, []directory.ID{rita}},
		"a synced passkey, where it may": {verify.Ask{Levels: 1, Synced: true}, func(t *town) { t.synced[mary] = true }, []directory.ID{mary}},
		"an app, where it may":           {verify.Ask{Levels: 1, TOTP: true, Settled: time.Hour}, func(t *town) { delete(t.keys, mary); t.apps[mary] = []time.Time{t.now.Add(-2 * time.Hour)} }, []directory.ID{mary}},
		"an old app and a new one":       {verify.Ask{Levels: 1, TOTP: true, Settled: 3 * time.Hour, Approvers: []string{"lead"}}, func(t *town) { delete(t.keys, mary); t.apps[mary] = []time.Time{recent(t), t.now.Add(-9 * time.Hour)} }, []directory.ID{lead}},
		"no address":                     {plain, func(t *town) { t.edit(mary, func(u *directory.User) { u.Mail = nil }) }, []directory.ID{rita}},
		"herself":                        {plain, func(t *town) { t.edit(anna, func(u *directory.User) { u.Manager = "cn=anna" }) }, []directory.ID{lead}},
		"a second account, by address":   {plain, func(t *town) { t.edit(mary, func(u *directory.User) { u.Mail = []string{"ANNA@example.org"} }) }, []directory.ID{rita}},
		"a second account, by phone": {plain, func(t *town) {
			t.edit(mary, func(u *directory.User) {
				u.Phone = []string{"0" + strings.TrimPrefix(strings.ReplaceAll(t.people[anna].Phone[0], " ", ""), "+49")}
			})
		}, []directory.ID{rita}},
		"a second account, by name": {plain, func(t *town) { t.edit(mary, func(u *directory.User) { u.GivenName, u.Surname = "ANNA", "of  anna" }) }, []directory.ID{rita}},
		"a second account, by the name shown": {plain, func(t *town) {
			t.edit(mary, func(u *directory.User) { u.GivenName, u.Surname, u.Name = "", "", "Anna  Of Anna" })
		}, []directory.ID{rita}},
		"a second account, by both names shown": {plain, func(t *town) {
			for _, id := range []directory.ID{anna, mary} {
				t.edit(id, func(u *directory.User) { u.GivenName, u.Surname, u.Name = "", "", "Anna Smith" })
			}
		}, []directory.ID{rita}},
		"a second account, by a name of other code points": {plain, func(t *town) {
			t.edit(anna, func(u *directory.User) { u.GivenName = "Zo\u00eb" })
			t.edit(mary, func(u *directory.User) { u.GivenName, u.Surname = "Zoe\u0308", "Of anna" })
		}, []directory.ID{rita}},
		"two people without a name": {plain, func(t *town) {
			for _, id := range []directory.ID{anna, mary} {
				t.edit(id, func(u *directory.User) { u.GivenName, u.Surname, u.Name = "", "", " " })
			}
		}, []directory.ID{mary}},
		"a manager's manager since yesterday": {plain, func(t *town) { t.since[mary] = t.now.Add(-24 * time.Hour); delete(t.keys, mary) }, []directory.ID{lead}},
		"managers in a ring": {verify.Ask{Levels: 5, Approvers: []string{"lead"}}, func(t *town) {
			delete(t.keys, mary)
			delete(t.keys, rita)
			t.edit(rita, func(u *directory.User) { u.Manager = "cn=anna" })
		}, []directory.ID{lead}},
		"a manager since yesterday":         {plain, func(t *town) { t.since[anna] = t.now.Add(-24 * time.Hour) }, []directory.ID{lead}},
		"a manager since eight days":        {plain, func(t *town) { t.since[anna] = t.now.Add(-8 * 24 * time.Hour) }, []directory.ID{mary}},
		"one for whom she vouched today":    {plain, func(t *town) { t.vouched[[2]directory.ID{anna, mary}] = recent(t) }, []directory.ID{rita}},
		"one who vouched for her today":     {plain, func(t *town) { t.vouched[[2]directory.ID{mary, anna}] = recent(t) }, []directory.ID{mary}},
		"the manager has left":              {plain, func(t *town) { delete(t.people, mary) }, []directory.ID{lead}},
		"all of the policy's, each once":    {verify.Ask{Approvers: []string{"lead", "rita", "lead"}}, nil, []directory.ID{lead, rita}},
		"the manager helps her at the desk": {plain, func(t *town) { t.helpers = []directory.ID{mary} }, []directory.ID{rita}},
		"the manager's other account helps her": {plain, func(t *town) {
			t.helper = &directory.User{ID: "corp:desk", Login: "desk", Mail: t.people[mary].Mail}
		}, []directory.ID{rita}},
		"nobody":                              {verify.Ask{Levels: 2}, func(t *town) { delete(t.people, mary) }, nil},
		"nobody: the only one is whom she is": {verify.Ask{Approvers: []string{"anna"}}, nil, nil},
		"nobody may be asked":                 {verify.Ask{}, nil, nil},
	} {
		town := newTown()
		if c.change != nil {
			c.change(town)
		}
		f := town.factor(t)
		ch, err := f.Begin(t.Context(), town.subject(c.ask))
		if c.want == nil {
			if !errors.Is(err, verify.ErrNobody) {
				t.Errorf("%s: %v, asked %v", name, err, f.Asked(ch))
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := f.Asked(ch)
		if len(got) != len(c.want) {
			t.Errorf("%s: asked %v, want %v", name, got, c.want)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] || ch.Deliver[i].To.ID != c.want[i] {
				t.Errorf("%s: asked %v, want %v", name, got, c.want)
			}
		}
		for _, d := range ch.Deliver {
			for k, v := range d.Args {
				if v == number(t, ch) {
					t.Errorf("%s: the number is in the message, as %s", name, k)
				}
			}
		}
	}
}

// A directory that cannot be asked is not "nobody to ask".
func TestAnOutageIsNotNobody(t *testing.T) {
	town := newTown()
	town.down = directory.ErrUnavailable
	if _, err := town.factor(t).Begin(t.Context(), town.subject(plain)); !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

// A decoy gets a request of the same form, which nobody can answer.
func TestADecoyAsksNobody(t *testing.T) {
	town := newTown()
	f, s := town.factor(t), town.subject(plain)
	s.User = nil
	ch, err := f.Begin(t.Context(), s)
	if err != nil || len(ch.Deliver) > 0 || len(f.Asked(ch)) > 0 || len(number(t, ch)) != 2 {
		t.Fatalf("%+v, %v", ch, err)
	}
	if _, err := f.Vote(t.Context(), s, ch, verify.Vote{By: town.people[mary], Kind: verify.Passkey, Number: number(t, ch)}); !errors.As(err, new(*verify.Unfit)) {
		t.Errorf("%v", err)
	}
	if _, err := f.Check(t.Context(), s, ch, nil); !errors.Is(err, verify.ErrPending) {
		t.Errorf("%v", err)
	}
}

// What is signed names everything, and can be checked again from the record.
func TestASignedYesCanBeCheckedLater(t *testing.T) {
	town := newTown()
	f, s := town.factor(t), town.subject(plain)
	s.From, s.Why = "192.0.2.7", "lost"
	ch, err := f.Begin(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	ev, err := f.Vote(t.Context(), s, ch, town.vote(t, f, s, ch, mary))
	if err != nil || ev.By != mary {
		t.Fatalf("%+v, %v", ev, err)
	}
	var r Record
	if err := json.Unmarshal(ev.Record, &r); err != nil {
		t.Fatal(err)
	}
	check := func(sig verify.Signature, digest []byte) error {
		if !bytes.Equal(sig.Signature, signed(mary, digest)) {
			return verify.ErrWrong
		}
		return nil
	}
	said, err := r.Verify(check)
	want := Statement{Type: statementType, Portal: origin, Case: "case-1", Purpose: "reset", Requester: anna, RequesterLogin: "anna", Approver: mary, ApproverLogin: "mary",
		Manager: true, From: "192.0.2.7", Why: "lost", Decision: "approve", Number: number(t, ch), Nonce: said.Nonce, Asked: town.now, Expires: town.now.Add(15 * time.Minute)}
	if got, _ := json.Marshal(said); err != nil || string(got) != string(r.Statement) || len(said.Nonce) != 16 {
		t.Fatalf("%v: %s", err, got)
	}
	if w, _ := json.Marshal(want); string(w) != string(r.Statement) {
		t.Errorf("signed %s\nwant   %s", r.Statement, w)
	}
	for what, spoil := range map[string]func(*Record){
		"another requester": func(r *Record) { r.Statement = bytes.Replace(r.Statement, []byte("corp:anna"), []byte("corp:eve"), 1) },
		"another purpose":   func(r *Record) { r.Statement = bytes.Replace(r.Statement, []byte(`"reset"`), []byte(`"unlock"`), 1) },
		"another reason":    func(r *Record) { r.Statement = bytes.Replace(r.Statement, []byte(`"lost"`), []byte(`"new"`), 1) },
		"another case":      func(r *Record) { r.Statement = bytes.Replace(r.Statement, []byte("case-1"), []byte("case-2"), 1) },
		"a key more":        func(r *Record) { r.Statement = append(r.Statement[:len(r.Statement)-1], []byte(`,"x":1}`)...) },
		"a space":           func(r *Record) { r.Statement = append(r.Statement, ' ') },
		"not JSON":          func(r *Record) { r.Statement = []byte("x") },
		"another type": func(r *Record) {
			r.Statement = bytes.Replace(r.Statement, []byte(statementType), []byte("postern approval 2"), 1)
		},
		"no signature": func(r *Record) { r.Signature = nil },
		"another page": func(r *Record) { r.Signature.Origin = "https://evil.example" },
	} {
		var bad Record
		if err := json.Unmarshal(ev.Record, &bad); err != nil {
			t.Fatal(err)
		}
		spoil(&bad)
		if _, err := bad.Verify(check); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
}

// Security cases 94, 96, 98: whose, for what, and with the number.
func TestAVoteCountsForItsRequestAlone(t *testing.T) {
	town := newTown()
	f, s := town.factor(t), town.subject(plain)
	ch, err := f.Begin(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	good := town.vote(t, f, s, ch, mary)
	other, err := f.Begin(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	another := s
	another.Case = "case-2"
	unlock := s
	unlock.Purpose = "unlock"
	errUnfit := errors.New("unfit")
	for what, c := range map[string]struct {
		s    verify.Subject
		ch   verify.Challenge
		edit func(*verify.Vote)
		want error
	}{
		"no number":                 {s, ch, func(v *verify.Vote) { v.Number = "" }, verify.ErrWrongNumber},
		"another number":            {s, ch, func(v *verify.Vote) { v.Number = "9" + v.Number[:1] + "x" }, verify.ErrWrongNumber},
		"signed by somebody else":   {s, ch, func(v *verify.Vote) { v.Proof = signed(rita, v.Proof[len(mary)+1:]) }, verify.ErrWrong},
		"signed for another asking": {s, other, func(v *verify.Vote) { v.Number = number(t, other) }, verify.ErrWrong},
		"for another purpose":       {unlock, ch, nil, verify.ErrWrong},
		"in another case":           {another, ch, nil, errUnfit},
		"by whom nobody asked":      {s, ch, func(v *verify.Vote) { v.By = town.people[rita] }, errUnfit},
		"by herself":                {s, ch, func(v *verify.Vote) { v.By = town.people[anna] }, errUnfit},
		"by nobody":                 {s, ch, func(v *verify.Vote) { v.By = directory.User{} }, errUnfit},
		"with a code":               {s, ch, func(v *verify.Vote) { v.Kind, v.Proof = verify.TOTP, []byte("code of corp:mary") }, errUnfit},
		"with a mailed code":        {s, ch, func(v *verify.Vote) { v.Kind = verify.Email }, verify.ErrWrong},
	} {
		v := good
		v.Proof = bytes.Clone(good.Proof)
		if c.edit != nil {
			c.edit(&v)
		}
		_, err := f.Vote(t.Context(), c.s, c.ch, v)
		if c.want == errUnfit && !errors.As(err, new(*verify.Unfit)) || c.want != errUnfit && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
	}
	town.now = town.now.Add(15 * time.Minute)
	if _, err := f.Vote(t.Context(), s, ch, good); !errors.Is(err, verify.ErrExpired) {
		t.Errorf("too late: %v", err)
	}
}

// Security case 97: at the decision, and again when it is used.
func TestWhoVouchedMustStillBeOneWhoMay(t *testing.T) {
	for what, happen := range map[string]func(*town){
		"disabled":                func(t *town) { t.edit(mary, func(u *directory.User) { u.State.Disabled = true }) },
		"gone":                    func(t *town) { delete(t.people, mary) },
		"frozen":                  func(t *town) { t.frozen[mary] = true },
		"the manager was changed": func(t *town) { t.since[anna] = t.now },
		"turned out to be her":    func(t *town) { t.edit(mary, func(u *directory.User) { u.Mail = t.people[anna].Mail }) },
	} {
		town := newTown()
		f, s := town.factor(t), town.subject(plain)
		ch, err := f.Begin(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		v := town.vote(t, f, s, ch, mary)
		ev, err := f.Vote(t.Context(), s, ch, v)
		if err != nil || f.Stands(t.Context(), s, ev) != nil {
			t.Fatal(err)
		}
		happen(town)
		if err := f.Stands(t.Context(), s, ev); !errors.As(err, new(*verify.Unfit)) {
			t.Errorf("%s: stands: %v", what, err)
		}
		if what == "gone" {
			continue // nobody to vote
		}
		v.By = town.people[mary]
		if _, err := f.Vote(t.Context(), s, ch, v); !errors.As(err, new(*verify.Unfit)) {
			t.Errorf("%s: vote: %v", what, err)
		}
	}
}

// Where the policy lets a code do, it is recorded as what it is: not signed.
func TestAYesByCodeIsNotTakenForASignature(t *testing.T) {
	town := newTown()
	town.apps[mary] = []time.Time{town.now.Add(-48 * time.Hour)}
	ask := plain
	ask.TOTP = true
	f, s := town.factor(t), town.subject(ask)
	ch, err := f.Begin(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	v := verify.Vote{By: town.people[mary], Kind: verify.TOTP, Number: number(t, ch), Proof: []byte("code of corp:rita")}
	if _, err := f.Vote(t.Context(), s, ch, v); !errors.Is(err, verify.ErrWrong) {
		t.Errorf("somebody else's code: %v", err)
	}
	v.Proof = []byte("code of corp:mary")
	ev, err := f.Vote(t.Context(), s, ch, v)
	if err != nil {
		t.Fatal(err)
	}
	var r Record
	if err := json.Unmarshal(ev.Record, &r); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Verify(func(verify.Signature, []byte) error { return nil }); !errors.Is(err, ErrUnsigned) {
		t.Errorf("%v", err)
	}
}

// Ninety numbers, all of two digits, and the digest tells none of them.
func TestTheNumberCannotBeReadFromTheDigest(t *testing.T) {
	town := newTown()
	f, s := town.factor(t), town.subject(plain)
	seen := map[string]int{}
	for range 2000 {
		ch, err := f.Begin(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		seen[number(t, ch)]++
	}
	if len(seen) != 90 {
		t.Errorf("%d numbers", len(seen))
	}
	ch, _ := f.Begin(t.Context(), s)
	b, err := f.Ballot(t.Context(), s, ch, town.people[mary])
	if err != nil {
		t.Fatal(err)
	}
	var st state
	if err := json.Unmarshal(ch.State, &st); err != nil {
		t.Fatal(err)
	}
	st.Nonce = make([]byte, 16) // the approver does not know it
	for n := 10; n < 100; n++ {
		st.Number = string(rune('0'+n/10)) + string(rune('0'+n%10))
		text, _, err := f.statement(s, ch, st, town.people[mary])
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(text); bytes.Equal(sum[:], b.Passkey) {
			t.Error("found by trying")
		}
	}
}

// One who is asked too much already is as if they were never asked.
func TestWithoutSome(t *testing.T) {
	town := newTown()
	f := town.factor(t)
	s := town.subject(verify.Ask{Approvers: []string{"lead", "rita"}})
	ch, err := f.Begin(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	less, err := f.Without(ch, []directory.ID{lead})
	if err != nil || len(f.Asked(less)) != 1 || f.Asked(less)[0] != rita || len(less.Deliver) != 1 || less.Deliver[0].To.ID != rita || number(t, less) != number(t, ch) {
		t.Fatalf("asked %v, tells %v, %v", f.Asked(less), less.Deliver, err)
	}
	if bytes.Contains(less.Public, []byte("LEAD")) || !bytes.Contains(less.Public, []byte("RITA")) {
		t.Errorf("shows %s", less.Public)
	}
	var unfit *verify.Unfit
	if _, err := f.Ballot(t.Context(), s, less, town.people[lead]); !errors.As(err, &unfit) || unfit.Reason != "not_asked" {
		t.Errorf("%v", err)
	}
	if _, err := f.Vote(t.Context(), s, less, town.vote(t, f, s, less, rita)); err != nil {
		t.Errorf("%v", err)
	}
	if len(f.Asked(ch)) != 2 || len(ch.Deliver) != 2 {
		t.Error("the first one was changed")
	}
}
