package enrol_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/enrol"
	"postern/portal/flow/flowtest"
	"postern/portal/notify"
	"postern/verify"
)

const alice, bob directory.ID = "test:alice", "test:bob"

var ctx = context.Background()

// shelf is a store with one offer at a time for each owner and kind.
type shelf struct {
	methods map[directory.ID][]verify.Credential
	offers  map[directory.ID]*enrol.Offer
	changes []enrol.Change
}

func (s *shelf) Methods(_ context.Context, owner directory.ID) ([]verify.Credential, error) {
	return s.methods[owner], nil
}

func (s *shelf) HoldOffer(_ context.Context, o enrol.Offer) error {
	s.offers[o.Owner] = &o
	return nil
}

func (s *shelf) TryOffer(_ context.Context, owner directory.ID, kind verify.Kind) (enrol.Offer, error) {
	o := s.offers[owner]
	if o == nil || o.Kind != kind {
		return enrol.Offer{}, enrol.ErrNoOffer
	}
	o.Tries++
	return *o, nil
}

func (s *shelf) Commit(_ context.Context, c enrol.Change) error {
	if c.DropOffer != "" {
		delete(s.offers, c.Owner)
	}
	s.changes = append(s.changes, c)
	return nil
}

// app is a factor whose set-up is confirmed by "right".
type app struct {
	flowtest.Factor
	groups []string // of whom the last set-up was for
}

func (a *app) Offer(context.Context, verify.Subject) (verify.Challenge, error) {
	return verify.Challenge{Kind: a.K}, nil
}

func (a *app) Enrol(_ context.Context, s verify.Subject, _ verify.Challenge, answer []byte) (verify.Enrolment, error) {
	a.groups = s.User.Groups
	if bytes.Equal(answer, []byte("another make")) {
		return verify.Enrolment{}, fmt.Errorf("%w: %w", verify.ErrNotAllowed, verify.ErrWrong)
	}
	if !bytes.Equal(answer, []byte("right")) {
		return verify.Enrolment{}, verify.ErrWrong
	}
	switch a.K {
	case verify.Passkey:
		return verify.Enrolment{Add: []verify.Credential{{Print: "9f86"}}}, nil
	case verify.RecoveryCode:
		return verify.Enrolment{Add: []verify.Credential{{Print: "a"}, {Print: "b"}}, ReplaceAll: true}, nil
	}
	return verify.Enrolment{Add: []verify.Credential{{Secret: []byte("x")}}}, nil
}

type scope struct{}

func (scope) Eligible(u directory.User) string {
	if u.State.Disabled {
		return "disabled"
	}
	return u.Privileged
}

// known is what is remembered of accounts, and the links that were made.
type known struct {
	*flowtest.Accounts
	made []notify.LinkTo
}

func (k *known) Frozen(context.Context) ([]enrol.Frozen, error) { return nil, k.Fail }

func (k *known) AddLink(_ context.Context, l notify.LinkTo) (string, error) {
	k.made = append(k.made, l)
	return l.Kind.Path() + k.Put(notify.Message{Links: []notify.LinkTo{l}})[0], k.Fail
}

type rig struct {
	*enrol.Service
	known *known
	dir   *flowtest.Directory
	shelf *shelf
	now   time.Time
	level flowtest.Threats
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC), shelf: &shelf{methods: map[directory.ID][]verify.Credential{}, offers: map[directory.ID]*enrol.Offer{}}, known: &known{Accounts: flowtest.NewAccounts()}}
	now := func() time.Time { return r.now }
	r.dir = &flowtest.Directory{Now: now}
	for _, id := range []directory.ID{alice, bob} {
		r.dir.Add(directory.User{ID: id, Login: string(id[5:]), Mail: []string{"one@example.org", "two@example.org"}}, "x")
	}
	var err error
	r.Service, err = enrol.New(enrol.Options{Directory: r.dir, Policy: scope{}, Store: r.shelf, Accounts: r.known, Threats: &r.level, Operators: []string{"security@example.org"}, Now: now, Rand: rand.Reader, Fresh: 10 * time.Minute,
		Factors: []verify.Enroller{&app{Factor: flowtest.Factor{K: verify.TOTP, Now: now}}, &app{Factor: flowtest.Factor{K: verify.RecoveryCode, Now: now}},
			&app{Factor: flowtest.Factor{K: verify.Passkey, Now: now}}}})
	if err != nil {
		t.Fatal(err)
	}
	r.shelf.methods[alice] = []verify.Credential{{ID: "phone", Owner: alice, Kind: verify.TOTP}}
	return r
}

// who is somebody who has just proved themselves by an app.
func (r *rig) who(id directory.ID, session string) enrol.Who {
	return enrol.Who{Session: session, Principal: access.Principal{ID: id, User: directory.User{ID: id}, Door: access.Web, Proven: r.now, By: []verify.Kind{verify.TOTP}}}
}

// security case 46: whose account was disabled, denied, deleted or given another
// password does nothing any more with a session from before.
func TestASessionEndsWithItsAccount(t *testing.T) {
	for what, change := range map[string]func(*rig, *enrol.Who){
		"disabled": func(r *rig, _ *enrol.Who) { r.dir.Edit(alice, func(u *directory.User) { u.State.Disabled = true }) },
		"became privileged": func(r *rig, _ *enrol.Who) {
			r.dir.Edit(alice, func(u *directory.User) { u.Privileged = "Domain Admins" })
		},
		"frozen":               func(r *rig, _ *enrol.Who) { r.known.Set(alice, func(s *access.Standing) { s.Frozen = r.now }) },
		"deleted":              func(_ *rig, w *enrol.Who) { w.Principal.User.ID = "test:gone" },
		"the reading is bob's": func(_ *rig, w *enrol.Who) { w.Principal.User.ID = bob },
		"another password":     func(r *rig, _ *enrol.Who) { r.dir.Edit(alice, func(u *directory.User) { u.State.PasswordSet = r.now }) },
	} {
		r := newRig(t)
		w := r.who(alice, "aa")
		if _, err := r.Offer(ctx, w, verify.TOTP, ""); err != nil {
			t.Fatal(err)
		}
		change(r, &w)
		_, still := r.Still(ctx, w)
		_, offer := r.Offer(ctx, w, verify.TOTP, "")
		_, add := r.Enrol(ctx, w, verify.TOTP, []byte("right"), "")
		for act, err := range map[string]error{"still": still, "offer": offer, "enrol": add,
			"rename": r.Rename(ctx, w, "phone", "mine"), "remove": r.Remove(ctx, w, "phone")} {
			if !errors.Is(err, enrol.ErrEnded) {
				t.Errorf("%s: %s: %v, want ErrEnded", what, act, err)
			}
		}
		if len(r.shelf.changes) != 0 {
			t.Errorf("%s: %d changes", what, len(r.shelf.changes))
		}
	}
}

// A directory that cannot be asked is a no.
func TestDirectoryDownIsANo(t *testing.T) {
	r := newRig(t)
	r.dir.Down = directory.ErrUnavailable
	if _, err := r.Still(ctx, r.who(alice, "aa")); !errors.Is(err, directory.ErrUnavailable) || errors.Is(err, enrol.ErrEnded) {
		t.Error(err)
	}
	if err := r.Remove(ctx, r.who(alice, "aa"), "phone"); err == nil {
		t.Error("removed without reading the account")
	}
}

// security case 45: a password and a mailed code never get round what is
// enrolled; an old proof gets round nothing.
func TestChangesAskForAFreshProofAsStrongAsWhatIsThere(t *testing.T) {
	weak := []verify.Kind{verify.Password, verify.Email}
	for _, c := range []struct {
		who directory.ID
		by  []verify.Kind
		age time.Duration
		ok  bool
	}{
		{bob, weak, 0, true}, // nothing is enrolled yet
		{bob, weak, 10*time.Minute + 1, false},
		{bob, weak, -time.Second, false}, // a clock that went back
		{alice, weak, 0, false},
		{alice, []verify.Kind{verify.Password, verify.TOTP}, 0, true},
		{alice, []verify.Kind{verify.RecoveryCode}, 0, true},
		{alice, []verify.Kind{verify.Passkey}, 10*time.Minute + 1, false},
	} {
		r := newRig(t)
		w := r.who(c.who, "aa")
		w.Principal.By, w.Principal.Proven = c.by, r.now.Add(-c.age)
		var up *enrol.StepUp
		if _, err := r.Offer(ctx, w, verify.TOTP, ""); (err == nil) != c.ok || !c.ok && !errors.As(err, &up) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// security cases 21 and 22: a set-up begun in one session, or by one person, is
// confirmed in no other, not after its time, and not at the sixth try.
func TestASetUpIsItsSessionsAlone(t *testing.T) {
	for name, c := range map[string]struct {
		as func(*rig) enrol.Who
		do func(*rig)
		ok bool
	}{
		"as it was begun":    {func(r *rig) enrol.Who { return r.who(alice, "aa") }, nil, true},
		"in another session": {func(r *rig) enrol.Who { return r.who(alice, "bb") }, nil, false},
		"by another person":  {func(r *rig) enrol.Who { return r.who(bob, "aa") }, nil, false},
		"too late":           {func(r *rig) enrol.Who { return r.who(alice, "aa") }, func(r *rig) { r.now = r.now.Add(10 * time.Minute) }, false},
		"after five wrong codes": {func(r *rig) enrol.Who { return r.who(alice, "aa") }, func(r *rig) {
			for range 5 {
				if _, err := r.Enrol(ctx, r.who(alice, "aa"), verify.TOTP, []byte("wrong"), ""); !errors.Is(err, enrol.ErrBadReply) {
					t.Error(err)
				}
			}
		}, false},
	} {
		r := newRig(t)
		if _, err := r.Offer(ctx, r.who(alice, "aa"), verify.TOTP, ""); err != nil {
			t.Fatal(err)
		}
		if c.do != nil {
			c.do(r)
		}
		_, err := r.Enrol(ctx, c.as(r), verify.TOTP, []byte("right"), "")
		if (err == nil) != c.ok || !c.ok && !errors.Is(err, enrol.ErrNoOffer) {
			t.Errorf("%s: %v", name, err)
		}
		if got := len(r.shelf.changes) == 1; got != c.ok {
			t.Errorf("%s: stored: %v", name, got)
		}
	}
}

// What is taken away because somebody else has it must not leave them signed
// in; every change is in the record, and is told to every address.
func TestTakingAFactorAwayEndsTheOtherSessions(t *testing.T) {
	r := newRig(t)
	w := r.who(alice, "aa")
	if err := r.Remove(ctx, w, "phone"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Offer(ctx, w, verify.RecoveryCode, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Enrol(ctx, w, verify.RecoveryCode, []byte("right"), ""); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Offer(ctx, w, verify.TOTP, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Enrol(ctx, w, verify.TOTP, []byte("right"), "Phone"); err != nil {
		t.Fatal(err)
	}
	want := []struct{ event, only string }{{"factor.removed", "aa"}, {"factor.added", "aa"}, {"factor.added", ""}}
	for i, c := range r.shelf.changes {
		if len(c.Events) != 1 || c.Events[0].Kind != want[i].event || c.OnlySession != want[i].only {
			t.Errorf("change %d: %+v, only session %q", i, c.Events, c.OnlySession)
		}
		if len(c.Messages) != 1 || !slices.Equal(c.Messages[0].To, []string{"one@example.org", "two@example.org"}) {
			t.Errorf("change %d is told to %+v", i, c.Messages)
		}
		for _, add := range c.Add {
			if add.Owner != alice || add.ID == "" {
				t.Errorf("change %d adds %+v", i, add)
			}
		}
	}
	if err := r.Remove(ctx, r.who(bob, "bb"), "phone"); !errors.Is(err, enrol.ErrNoMethod) {
		t.Errorf("somebody else's: %v", err)
	}
}

// Somebody whose device is refused by policy is told so: "try again" would send
// them round in circles. Nothing is stored.
func TestARefusedModelIsNotCalledAWrongAnswer(t *testing.T) {
	r := newRig(t)
	w := r.who(alice, "s1")
	if _, err := r.Offer(ctx, w, verify.TOTP, ""); err != nil {
		t.Fatal(err)
	}
	_, err := r.Enrol(ctx, w, verify.TOTP, []byte("another make"), "")
	if !errors.Is(err, verify.ErrNotAllowed) || errors.Is(err, enrol.ErrBadReply) || len(r.shelf.changes) != 0 {
		t.Errorf("got %v, %d changes", err, len(r.shelf.changes))
	}
}

// Some groups may enrol less than others: who joined one after signing in is a
// member for every set-up since.
func TestASetUpIsJudgedByTheGroupsOfNow(t *testing.T) {
	r := newRig(t)
	w := r.who(alice, "s1")
	if _, err := r.Offer(ctx, w, verify.TOTP, ""); err != nil {
		t.Fatal(err)
	}
	r.dir.Edit(alice, func(u *directory.User) { u.Groups = []string{"Helpdesk"} })
	if _, err := r.Enrol(ctx, w, verify.TOTP, []byte("right"), ""); err != nil {
		t.Fatal(err)
	}
	if got := r.Factors[0].(*app).groups; !slices.Equal(got, []string{"Helpdesk"}) {
		t.Errorf("the factor was told of %v", got)
	}
}

// A signature is worth its key's enrolment: the record says which key it was,
// and when it went.
func TestTheRecordTiesAKeyToItsEnrolment(t *testing.T) {
	r := newRig(t)
	w := r.who(alice, "s1")
	for kind, want := range map[verify.Kind]string{verify.Passkey: "9f86", verify.TOTP: "", verify.RecoveryCode: ""} {
		r.shelf.changes = nil
		if _, err := r.Offer(ctx, w, kind, ""); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Enrol(ctx, w, kind, []byte("right"), ""); err != nil {
			t.Fatal(err)
		}
		c := r.shelf.changes[0]
		got := c.Events[0].Detail
		if want == "" && got != nil || want != "" && (got["key"] != want || got["credential"] != c.Add[0].ID || len(got) != 2) {
			t.Errorf("%s added: %v", kind, got)
		}
	}
	if err := r.Remove(ctx, w, "phone"); err != nil {
		t.Fatal(err)
	}
	if got := r.shelf.changes[1].Events[0].Detail; len(got) != 1 || got["credential"] != "phone" {
		t.Errorf("removed: %v", got)
	}
}

// The second key is no replacement of the first, and each goes by its own name.
func TestSeveralKeysOfOnePersonKeepTheirNames(t *testing.T) {
	r := newRig(t)
	w := r.who(alice, "s1")
	ids := map[string]bool{}
	for i, name := range []string{"Desk", "Pocket", "Pocket"} {
		if _, err := r.Offer(ctx, w, verify.Passkey, ""); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Enrol(ctx, w, verify.Passkey, []byte("right"), name); err != nil {
			t.Fatal(err)
		}
		c := r.shelf.changes[i]
		if len(c.Add) != 1 || c.Add[0].Name != name || c.ReplaceAll != "" || c.Remove != "" || ids[c.Add[0].ID] {
			t.Errorf("%s: %+v", name, c)
		}
		ids[c.Add[0].ID] = true
	}
}

// The form lets 64 characters through and its message says 64.
func TestNamesAreAsLongAsTheFormSays(t *testing.T) {
	r := newRig(t)
	r.shelf.methods[alice] = []verify.Credential{{ID: "c1", Kind: verify.Passkey}}
	w := r.who(alice, "s1")
	for length, want := range map[int]error{64: nil, 65: enrol.ErrBadName} {
		if err := r.Rename(ctx, w, "c1", strings.Repeat("ü", length)); !errors.Is(err, want) {
			t.Errorf("%d characters: %v, want %v", length, err, want)
		}
	}
}
