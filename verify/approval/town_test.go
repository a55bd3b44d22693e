package approval

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/verify"
)

const (
	anna = directory.ID("corp:anna") // asks
	mary = directory.ID("corp:mary") // her manager
	rita = directory.ID("corp:rita") // mary's manager
	lead = directory.ID("corp:lead") // named by the policy
)

// town is the directory, the memory and the devices of everybody.
type town struct {
	now     time.Time
	people  map[directory.ID]directory.User
	since   map[directory.ID]time.Time // a manager was changed
	frozen  map[directory.ID]bool
	vouched map[[2]directory.ID]time.Time
	keys    map[directory.ID]time.Time // when a passkey was enrolled
	synced  map[directory.ID]bool
	apps    map[directory.ID][]time.Time
	down    error
	helpers []directory.ID
	helper  *directory.User // began it at the desk
}

func newTown() *town {
	t := &town{now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC), people: map[directory.ID]directory.User{}, since: map[directory.ID]time.Time{},
		frozen: map[directory.ID]bool{}, vouched: map[[2]directory.ID]time.Time{}, keys: map[directory.ID]time.Time{}, synced: map[directory.ID]bool{}, apps: map[directory.ID][]time.Time{}}
	old := t.now.Add(-90 * 24 * time.Hour)
	for id, manager := range map[directory.ID]string{anna: "cn=mary", mary: "cn=rita", rita: "", lead: ""} {
		login := strings.TrimPrefix(string(id), "corp:")
		t.people[id] = directory.User{ID: id, Login: login, Name: strings.ToUpper(login), GivenName: login, Surname: "Of " + login,
			Mail: []string{login + "@example.org"}, Phone: []string{"+49 30 5550" + string(rune('1'+len(t.people)))}, Manager: manager}
		t.keys[id] = old
	}
	return t
}

func (t *town) edit(id directory.ID, change func(*directory.User)) {
	u := t.people[id]
	change(&u)
	t.people[id] = u
}

func (t *town) Read(_ context.Context, u directory.User) (directory.User, error) {
	if p, found := t.people[u.ID]; found || t.down != nil {
		return p, t.down
	}
	return directory.User{}, directory.ErrNotFound
}

func (t *town) Find(ctx context.Context, login string) (directory.User, error) {
	return t.Read(ctx, directory.User{ID: directory.ID("corp:" + login)})
}

func (t *town) Resolve(ctx context.Context, _ directory.User, ref string) (directory.User, error) {
	return t.Find(ctx, strings.TrimPrefix(ref, "cn="))
}

func (t *town) ManagerSince(_ context.Context, id directory.ID) (time.Time, error) {
	return t.since[id], t.down
}
func (t *town) Frozen(_ context.Context, id directory.ID) (bool, error) { return t.frozen[id], t.down }
func (t *town) Vouched(_ context.Context, by, other directory.ID) (time.Time, error) {
	return t.vouched[[2]directory.ID{by, other}], t.down
}

// Signatures are the digest itself, behind the signer's name.
func (t *town) AskSignature(_ context.Context, s verify.Subject, digest []byte, rule verify.SignRule) (verify.Challenge, error) {
	at, has := t.keys[s.ID]
	if !has || rule.DeviceBound && t.synced[s.ID] || !rule.Before.IsZero() && !at.Before(rule.Before) {
		return verify.Challenge{}, verify.ErrNoCredential
	}
	return verify.Challenge{Public: digest}, t.down
}

func (t *town) CheckSignature(ctx context.Context, s verify.Subject, digest []byte, rule verify.SignRule, answer []byte) (verify.Signature, error) {
	if _, err := t.AskSignature(ctx, s, digest, rule); err != nil {
		return verify.Signature{}, verify.ErrWrong
	}
	if !bytes.Equal(answer, signed(s.ID, digest)) {
		return verify.Signature{}, verify.ErrWrong
	}
	return verify.Signature{Origin: origin, Signature: answer}, nil
}

func signed(by directory.ID, digest []byte) []byte { return append([]byte(by+" "), digest...) }

type vault struct {
	verify.Vault
	t *town
}

func (v vault) Credentials(_ context.Context, id directory.ID, _ verify.Kind) (list []verify.Credential, err error) {
	for _, at := range v.t.apps[id] {
		list = append(list, verify.Credential{Created: at})
	}
	return list, v.t.down
}

type codes struct{ verify.Factor }

func (codes) Begin(context.Context, verify.Subject) (verify.Challenge, error) {
	return verify.Challenge{}, nil
}

func (codes) Check(_ context.Context, s verify.Subject, _ verify.Challenge, answer []byte) (verify.Evidence, error) {
	if string(answer) != "code of "+string(s.ID) {
		return verify.Evidence{}, verify.ErrWrong
	}
	return verify.Evidence{}, nil
}

const origin = "https://password.example.org"

func (t *town) factor(tb testing.TB) *Factor {
	tb.Helper()
	f, err := New(Config{Origin: origin, People: t, Memory: t, Signer: t, Codes: codes{}, Vault: vault{t: t}, Now: func() time.Time { return t.now }, Rand: rand.Reader,
		Eligible: func(u directory.User) string {
			if u.State.Disabled {
				return "disabled"
			}
			return u.Privileged
		}})
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

func (t *town) subject(ask verify.Ask) verify.Subject {
	u := t.people[anna]
	return verify.Subject{ID: anna, User: &u, Case: "case-1", Purpose: "reset", Lang: "en", Ends: t.now.Add(15 * time.Minute), Ask: ask, Helper: t.helper, Helpers: t.helpers}
}

var plain = verify.Ask{Levels: 2, Approvers: []string{"lead"}, Settled: 24 * time.Hour}

func (t *town) vote(tb testing.TB, f *Factor, s verify.Subject, c verify.Challenge, by directory.ID) verify.Vote {
	tb.Helper()
	b, err := f.Ballot(tb.Context(), s, c, t.people[by])
	if err != nil {
		tb.Fatalf("ballot: %v", err)
	}
	return verify.Vote{By: t.people[by], Kind: verify.Passkey, Number: number(tb, c), Proof: signed(by, b.Passkey)}
}

func number(tb testing.TB, c verify.Challenge) string {
	tb.Helper()
	var shown struct{ Number string }
	if err := json.Unmarshal(c.Public, &shown); err != nil || len(shown.Number) != 2 {
		tb.Fatalf("shows %s", c.Public)
	}
	return shown.Number
}
