package enrol_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/enrol"
	"postern/verify"
)

// tokens are told by two letters that are the handle themselves, as public ids are.
func tokens() enrol.Sort {
	return enrol.Sort{Kind: verify.YubiKey, Thing: "token", Mark: "number", Column: "no", Parse: func(text string) ([]byte, error) {
		if len(text) != 2 {
			return nil, errors.New("the number has two letters")
		}
		return []byte(text), nil
	}}
}

func newTokenImporter(store *cabinet) enrol.Importer {
	m, _ := newImporter(store)
	m.Sort, m.Handle = tokens(), bytes.Clone
	m.Bind = func(_ context.Context, mark []byte, _ time.Time) (verify.Credential, error) {
		if string(mark) == "xx" {
			return verify.Credential{}, errors.New("nobody made this one")
		}
		return verify.Credential{ID: "id-" + string(mark), Name: "Token " + string(mark)}, nil
	}
	return m
}

func TestEverySortHasAHeaderAndWordsOfItsOwn(t *testing.T) {
	for file, want := range map[string]string{
		"login,secret,name\nalice,aa,\n":          "line 1: the first line must be login,no,name",
		"login,no,name\nalice,abc,\n":             "line 2: the number has two letters",
		"login,no,name\nalice,aa,\nbob,aa,\n":     "line 3: the number is that of line 2",
		"login,no,name\nalice,aa\nbob,aa,x,\n":    "line 2: has 2 fields, and must have 3\nline 3: has 4 fields, and must have 3",
		"login,no,name\nalice,aa,\n\n,bb,\n":      "line 4: the login is empty",
		"login,no,name\n\"=1+1\",aa,a\x1b[2Jb\n":  "line 2: the name",
		"login,no,name\nalice,\"a\",b\",\nbob,c,": "line 2: is not CSV",
	} {
		lines, err := tokens().Read([]byte(file))
		if err == nil || lines != nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v", file, err)
		}
	}
}

// One importer for all sorts: what differs is in the sort.
func TestThingsToldByTheirHandleAreImportedLikeApps(t *testing.T) {
	store := &cabinet{creds: []verify.Credential{
		{ID: "held", Owner: bob, Kind: verify.YubiKey, Handle: []byte("bb")},
		// Another kind's handle and secret of the same bytes are no match.
		{ID: "app", Owner: alice, Kind: verify.TOTP, Handle: []byte("aa"), Secret: []byte("aa")},
	}}
	m := newTokenImporter(store)
	lines := func(text string) []enrol.Line {
		t.Helper()
		l, err := m.Sort.Read([]byte("login,no,name\n" + text))
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	for text, want := range map[string]string{
		"alice,bb,":                        "line 2: another account has this number already",
		"alice,xx,":                        "line 2: nobody made this one",
		"bob,cc,\nbob,dd,":                 "line 3: the account would have more than 2 tokens",
		"nobody,aa,\noff,cc,\nchief,dd,\n": "line 2: nobody, or more than one, has this login\nline 3: the portal does not serve this account",
	} {
		if plan, err := m.Plan(ctx, lines(text)); plan != nil || err == nil || !strings.HasPrefix(err.Error(), want) || len(store.changes) != 0 {
			t.Errorf("%q: %v", text, err)
		}
	}
	all := lines("alice,aa,\nbob,bb,\nalice,cc,spare")
	for i, want := range []string{"[false true false]", "[true true true]"} {
		plan, err := m.Plan(ctx, all)
		if err != nil || len(plan) != 3 {
			t.Fatal(err)
		}
		if got := fmt.Sprint([]bool{plan[0].Already, plan[1].Already, plan[2].Already}); got != want {
			t.Errorf("already there: %s, want %s", got, want)
		}
		if err := m.Import(ctx, plan, func(directory.User, int) {}); err != nil || len(store.changes) != 1 {
			t.Fatalf("time %d: %v, %d changes", i, err, len(store.changes))
		}
	}
	c := store.changes[0]
	if a, b := c.Add[0], c.Add[1]; a.Kind != verify.YubiKey || a.Owner != alice || string(a.Handle) != "aa" || a.Name != "Token aa" || a.Secret != nil || b.Name != "spare" || string(b.Handle) != "cc" {
		t.Errorf("%+v", c.Add)
	}
	if e := c.Events[0]; len(c.Events) != 2 || e.Kind != "factor.added" || e.Factor != string(verify.YubiKey) || e.Door != "cli" || e.Reason != "imported" {
		t.Errorf("%+v", c.Events)
	}
	if m := c.Messages; len(m) != 2 || m[0].Args["kind"] != "yubikey" || m[0].Args["name"] != "Token aa" || m[1].Args["name"] != "spare" {
		t.Errorf("%+v", m)
	}
}
