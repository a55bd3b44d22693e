package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/directory/embedded"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/enrol"
	"postern/portal/flow"
	"postern/portal/policy"
	"postern/portal/store"
	"postern/verify"
)

// told runs policy explain.
func (h *house) told(args ...string) (text string, code int) {
	h.t.Helper()
	var out bytes.Buffer
	c := &cli{out: &out, err: &out, env: noEnv}
	root := c.root()
	root.SetArgs(append([]string{"policy", "explain", "--config", h.file}, args...))
	code = c.exitCode(root.ExecuteContext(h.t.Context()))
	return out.String(), code
}

func (h *house) survey(args ...string) (r report) {
	h.t.Helper()
	text, code := h.told(append(args, "--json")...)
	if code != 0 {
		h.t.Fatalf("%v: exit code %d: %s", args, code, text)
	}
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		h.t.Fatalf("%v in %s", err, text)
	}
	return r
}

// enrolled fills the store as the demo does: an app and codes for everybody of
// the embedded directory but user19 and user20.
func (h *house) enrolled() []embedded.Person {
	h.t.Helper()
	p, err := h.open(io.Discard)
	if err != nil {
		h.t.Fatal(err)
	}
	defer p.Close()
	people := h.ldap.People()
	if _, err := enrolSamples(h.t.Context(), p.db, p.people, people, p.keys.Derive(keyRecovery), time.Now); err != nil {
		h.t.Fatal(err)
	}
	return people
}

func TestPolicyExplainTellsWhatACaseWouldDo(t *testing.T) {
	h := newHouse(t)
	people := h.enrolled()
	one := h.survey("--user", "user1")
	if got := one.People[0]; !got.Now.Open || got.Now.Weakest != policy.TwoKinds || !slices.Contains(got.Enrolled, verify.TOTP) || one.Now.Open != 1 {
		t.Errorf("user1: %+v", got)
	}
	none := h.survey("--user", "user20")
	if got := none.People[0]; !got.Now.Stranded() || none.Now.Stranded != 1 || len(got.Enrolled) != 0 {
		t.Errorf("user20 has a mail address alone: %+v", got)
	}
	for login, want := range map[string]string{"disabled1": "disabled", "admin1": "privileged"} {
		if got := h.survey("--user", login).People[0].Now; got.Unserved != want || got.Open || got.Stranded() {
			t.Errorf("%s: %+v", login, got)
		}
	}
	text, _ := h.told("--user", "user20")
	for _, want := range []string{"user20 (corp:", "enrolled: nothing", "stranded, no way is open", "✗ closed totp + email", "missing: totp (not enrolled)"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if text, code := h.told("--user", "nobody-at-all"); code != 1 || !strings.Contains(text, "nobody") {
		t.Errorf("exit code %d: %s", code, text)
	}

	// Everybody, also user19 and user20 who never came.
	all := h.survey("--all")
	if n := len(people); !all.Everybody || all.Now.People != n || len(all.People) != n || all.Now.Stranded != len(unenrolled) || *all.Gone != 0 {
		t.Errorf("%d people, %+v", n, all.Now)
	}
	if all.Now.Open+all.Now.Stranded+all.Now.Unserved["privileged"]+all.Now.Unserved["disabled"]+all.Now.Unserved["account_expired"] != all.Now.People {
		t.Errorf("the counts do not add up: %+v", all.Now)
	}
	group, want := "", 0
	for _, p := range people {
		if group == "" && len(p.Groups) > 0 {
			group = p.Groups[0]
		}
		if slices.Contains(p.Groups, group) {
			want++
		}
	}
	if got := h.survey("--group", strings.ToUpper(group)); got.Now.People != want || want == 0 || want == len(people) || got.Group == "" {
		t.Errorf("group %s: %d people, want %d", group, got.Now.People, want)
	}
	if got := h.survey("--group", "No Such Group"); got.Now.People != 0 {
		t.Errorf("%+v", got.Now)
	}
}

func TestPolicyExplainComparesAProposedFile(t *testing.T) {
	h := newHouse(t)
	h.enrolled()
	write := func(name, plan string) string {
		path := filepath.Join(h.dir, name)
		writeFile(t, path, "policy:\n  plans:\n    reset: "+plan+"\n", 0o600)
		return path
	}
	now := h.survey("--all")
	keys := write("keys.yaml", "{allowed: [passkey], gates: 1, anchor: []}")
	strict := h.survey("--all", "--with", keys)
	if strict.Changes[loses] != now.Now.Open || strict.Proposed.Stranded != now.Now.Open+now.Now.Stranded || strict.Now.Open != now.Now.Open || now.Now.Open == 0 {
		t.Errorf("now %+v, proposed %+v, changes %v", strict.Now, *strict.Proposed, strict.Changes)
	}
	same1 := h.survey("--all", "--with", write("same.yaml", "{tries: 3}"))
	if same1.Changes[same] != same1.Now.People {
		t.Errorf("changes %v", same1.Changes)
	}
	text, _ := h.told("--all", "--with", keys)
	for _, want := range []string{fmt.Sprintf("%6d had a way in and would have none", now.Now.Open), "loses: ", "more (--json names all)"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	text, _ = h.told("--user", "user1", "--with", keys)
	if !strings.Contains(text, "the change: had a way in and would have none") {
		t.Error(text)
	}
}

// What is ended by wrong answers opens nothing, an account that is gone is
// nobody's, and asking leaves no trace.
func TestPolicyExplainReadsTheStoreAndChangesNothing(t *testing.T) {
	h := newHouse(t)
	h.enrolled()
	p, err := h.open(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	u, err := p.people.Find(t.Context(), "user1")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []verify.Kind{verify.TOTP, verify.RecoveryCode} {
		if err := p.db.Strike(t.Context(), u.ID, k, func(s flow.Strikes) flow.Strikes {
			s.Consecutive = flow.DefaultStrikeRule.Hard
			return s
		}); err != nil {
			t.Fatal(err)
		}
	}
	gone := audit.Event{Kind: "factor.added", Subject: "corp:00000000-0000-0000-0000-000000000001", Outcome: audit.OK}
	decoy := audit.Event{Kind: "case.started", Subject: "decoy:abcdef", Outcome: audit.OK}
	if err := p.db.Commit(t.Context(), enrol.Change{Owner: gone.Subject, Events: []audit.Event{gone, decoy}}); err != nil {
		t.Fatal(err)
	}
	events := func() (n int) {
		if err := p.db.Export(t.Context(), audit.Query{}, func(audit.Event) error { n++; return nil }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := events()
	one := h.survey("--user", "user1").People[0].Now
	if !one.Stranded() || !slices.ContainsFunc(one.Paths, func(p policy.Path) bool {
		return slices.Contains(p.Missing, policy.Missing{Kind: verify.TOTP, Why: policy.Ended})
	}) {
		t.Errorf("%+v", one)
	}
	all := h.survey("--all")
	if *all.Gone != 1 || all.Now.Stranded != 1+len(unenrolled) {
		t.Errorf("gone %d, %+v", *all.Gone, all.Now)
	}
	if after := events(); after != before {
		t.Errorf("%d events before, %d after", before, after)
	}
	// Fail closed: a count without those who could not be asked would be a lie.
	h.ldap.Close()
	if text, code := h.told("--all"); code != 1 || strings.Contains(text, "stranded") {
		t.Errorf("exit code %d: %s", code, text)
	}
}

// What is too new to be the only proof is no way in, and the two commands say so
// alike.
func TestPolicyExplainAndCoverageAgreeOnWhatIsTooNew(t *testing.T) {
	h := newHouse(t)
	h.enrolled()
	p, err := h.open(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	u, err := p.people.Find(t.Context(), "user20")
	if err != nil {
		t.Fatal(err)
	}
	key := verify.Credential{ID: "new", Owner: u.ID, Kind: verify.Passkey, Handle: []byte("new"), Created: time.Now()}
	if err := p.db.Commit(t.Context(), enrol.Change{Owner: u.ID, Add: []verify.Credential{key}}); err != nil {
		t.Fatal(err)
	}
	ways := func() (explained, covered int) {
		one := h.survey("--user", "user20").People[0].Now
		for _, path := range one.Paths {
			if len(path.Missing) == 0 {
				explained++
			}
		}
		r := h.covered()
		return explained, len(r.List[slices.IndexFunc(r.List, func(p enrol.Row) bool { return p.Login == "user20" })].Ways)
	}
	if explained, covered := ways(); explained != 1 || covered != 1 {
		t.Errorf("a new passkey and an address since long: %d and %d ways", explained, covered)
	}
	if err := p.db.Commit(t.Context(), enrol.Change{Owner: u.ID, Standing: func(s access.Standing) access.Standing { s.MailAt = time.Now(); return s }}); err != nil {
		t.Fatal(err)
	}
	if explained, covered := ways(); explained != 0 || covered != 0 {
		t.Errorf("both new: %d and %d ways", explained, covered)
	}
	if text, _ := h.told("--user", "user20"); !strings.Contains(text, "too new to be the only proof") {
		t.Error(text)
	}
	if err := p.db.Commit(t.Context(), enrol.Change{Owner: u.ID, Standing: func(s access.Standing) access.Standing { s.Frozen = time.Now(); return s }}); err != nil {
		t.Fatal(err)
	}
	if got, r := h.survey("--user", "user20").People[0].Now, h.covered(); got.Unserved != "frozen" || r.NotServed["frozen"] != 1 {
		t.Errorf("frozen: %+v, %v", got, r.NotServed)
	}
}

// crowd is a directory that has everybody and takes no time.
type crowd struct{ directory.Directory }

func (crowd) Read(_ context.Context, u directory.User) (directory.User, error) {
	u.Directory, u.Login = "corp", strings.TrimPrefix(string(u.ID), "corp:")
	u.DN, u.Mail = "CN="+u.Login+",OU=People,DC=example,DC=org", []string{u.Login + "@example.org"}
	return u, nil
}

// BenchmarkPolicyExplainAll is --all --with over 2,000 people with an app, ten
// codes or both in a store of their own, the directory not counted; the bar is 2 s.
func BenchmarkPolicyExplainAll(b *testing.B) {
	dir := b.TempDir()
	if err := store.CreateKeys(filepath.Join(dir, "keys.json")); err != nil {
		b.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.Keys, cfg.Store.Path = filepath.Join(dir, "keys.json"), filepath.Join(dir, "postern.db")
	db, _, err := cfg.openStore(b.Context(), time.Now)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	if err := db.Migrate(b.Context()); err != nil {
		b.Fatal(err)
	}
	for i := range 2000 {
		id := directory.ID(fmt.Sprintf("corp:person%04d", i))
		c := enrol.Change{Owner: id, Events: []audit.Event{{Kind: "factor.added", Subject: id, Outcome: audit.OK}}}
		add := func(k verify.Kind, n int) {
			for j := range n {
				name := fmt.Sprintf("%s-%s-%d", id, k, j)
				c.Add = append(c.Add, verify.Credential{ID: name, Owner: id, Kind: k, Handle: []byte(name), Secret: []byte("made up"), Created: time.Now()})
			}
		}
		if i%2 == 0 {
			add(verify.TOTP, 1)
		}
		if i%3 == 0 {
			add(verify.RecoveryCode, 10)
		}
		if err := db.Commit(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
	strict := cfg
	strict.Policy.Plans.Reset.Allowed = []verify.Kind{verify.Passkey, verify.TOTP, verify.RecoveryCode}
	for b.Loop() {
		s := &survey{door: "web", purpose: policy.Reset, people: crowd{}, db: db, names: []string{"corp"}, now: time.Now}
		if err := errors.Join(s.add(cfg), s.add(strict)); err != nil {
			b.Fatal(err)
		}
		r, err := s.many(b.Context(), "")
		if err != nil {
			b.Fatal(err)
		}
		if r.Now.People != 2000 || r.Now.Stranded == 0 || r.Changes[loses] == 0 {
			b.Fatalf("%+v, changes %v", r.Now, r.Changes)
		}
		r.text(io.Discard)
	}
}
