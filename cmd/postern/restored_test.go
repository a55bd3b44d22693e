package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/enrol"
	"postern/portal/notify"
	"postern/portal/session"
	"postern/portal/store"
	"postern/portal/store/storetest"
	"postern/verify"
	"postern/verify/totp"
)

const anna, ben directory.ID = "corp:00000000-0000-0000-0000-0000000000aa", "corp:00000000-0000-0000-0000-0000000000bb"

// vault is a house whose database can be put away and brought back.
type vault struct {
	*house
	links map[string]string // tokens of invitations, by name
	save  func() (bringBack func())
}

func newVault(t *testing.T, engine string) *vault {
	t.Helper()
	v := &vault{links: map[string]string{}}
	if engine == "sqlite" {
		v.house = newHouse(t)
		path := filepath.Join(v.dir, "data", "postern.db")
		v.save = func() func() {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			return func() { writeFile(t, path, string(text), 0o600) }
		}
		return v
	}
	dsn := filepath.Join(t.TempDir(), "dsn")
	writeFile(t, dsn, storetest.Postgres(t).Config.Postgres, 0o600)
	v.house = newHouse(t, "  path: data/postern.db", "  postgres: file:"+dsn+"\n  auto_migrate: true")
	v.save = func() func() { // as pg_dump does
		cfg := v.load()
		from, keys, err := cfg.openStore(t.Context(), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		defer from.Close()
		backup := storetest.Postgres(t).Config
		to, err := store.Open(t.Context(), backup, keys)
		if err != nil {
			t.Fatal(err)
		}
		defer to.Close()
		if _, _, err := store.Copy(t.Context(), from, to, nil); err != nil {
			t.Fatal(err)
		}
		return func() { writeFile(t, dsn, backup.Postgres, 0o600) }
	}
	return v
}

// use opens the program as serve does, does something in it, and ends as serve does.
func (v *vault) use(do func(*program)) {
	v.t.Helper()
	p, err := v.open(io.Discard)
	if err != nil {
		v.t.Fatal(err)
	}
	do(p)
	signer, err := recordSigner(p.keys)
	if err != nil {
		v.t.Fatal(err)
	}
	if err := sealRest(v.t.Context(), p.db, signer); err != nil {
		v.t.Fatal(err)
	}
	p.noteLast()
	if err := p.Close(); err != nil {
		v.t.Fatal(err)
	}
}

func (v *vault) commit(p *program, c enrol.Change) {
	v.t.Helper()
	if err := p.db.Commit(v.t.Context(), c); err != nil {
		v.t.Fatal(err)
	}
}

func (v *vault) link(p *program, name string, who directory.ID) {
	v.t.Helper()
	path, err := p.db.AddLink(v.t.Context(), notify.LinkTo{Kind: notify.Snooze, Account: who, Life: time.Hour})
	if err != nil {
		v.t.Fatal(err)
	}
	v.links[name] = strings.TrimPrefix(path, notify.Snooze.Path())
}

// fill is what there was before the backup.
func (v *vault) fill(p *program) {
	now := time.Now()
	factors := func(who directory.ID, kinds ...verify.Kind) {
		for _, k := range kinds {
			id := string(who[len(who)-1:]) + string(k)
			v.commit(p, enrol.Change{Owner: who, Add: []verify.Credential{{ID: id, Owner: who, Kind: k, Handle: []byte(id), Secret: make([]byte, 20), Created: now}},
				Events: []audit.Event{{Kind: "factor.added", Subject: who, Factor: string(k), Outcome: audit.OK}}})
		}
	}
	factors(anna, verify.TOTP, verify.Passkey, verify.YubiKey)
	factors(ben, verify.TOTP, verify.Passkey)
	for _, who := range []directory.ID{anna, ben} {
		for _, h := range []string{"1", "2"} {
			id := string(who[len(who)-1:]) + h
			v.commit(p, enrol.Change{Owner: who, Add: []verify.Credential{{ID: id, Owner: who, Kind: verify.RecoveryCode, Handle: []byte(id), Created: now}}})
		}
	}
	v.link(p, "used", anna)
	v.link(p, "open", ben)
	if err := p.db.ReplaceSession(v.t.Context(), nil, session.Row{Hash: []byte("ended"), Owner: anna, State: session.State{Principal: access.Principal{ID: anna}}, Created: now, Used: now, Expires: now.Add(time.Hour)}); err != nil {
		v.t.Fatal(err)
	}
}

// happen is what came after it: a code, a step and a link are used, a factor is removed, a
// session ended, an account frozen.
func (v *vault) happen(p *program) {
	ctx := v.t.Context()
	must := func(err error) {
		v.t.Helper()
		if err != nil {
			v.t.Fatal(err)
		}
	}
	_, err := p.db.Burn(ctx, anna, verify.RecoveryCode, []byte("a1"))
	must(err)
	must(p.db.Spend(ctx, verify.Credential{ID: "btotp", Owner: ben, Kind: verify.TOTP}, totp.Step(time.Now())))
	must(p.db.Spend(ctx, verify.Credential{ID: "ayubikey", Owner: anna, Kind: verify.YubiKey}, 9))
	_, err = p.db.SpendLink(ctx, notify.Snooze, v.links["used"])
	must(err)
	must(p.db.ReplaceSession(ctx, []byte("ended"), session.Row{}))
	v.commit(p, enrol.Change{Owner: anna, Remove: "apasskey", Events: []audit.Event{
		{Kind: "proof.ok", Subject: anna, Factor: "recovery_code", Outcome: audit.OK, Detail: map[string]string{"credential": "a1"}},
		{Kind: "proof.ok", Subject: anna, Factor: "yubikey", Outcome: audit.OK, Detail: map[string]string{"credential": "ayubikey"}},
		{Kind: "proof.ok", Subject: ben, Factor: "totp", Outcome: audit.OK, Detail: map[string]string{"credential": "btotp"}},
		{Kind: "factor.removed", Subject: anna, Factor: "passkey", Outcome: audit.OK, Detail: map[string]string{"credential": "apasskey"}}}})
	v.commit(p, enrol.Change{Owner: ben, EndAll: true, Standing: func(s access.Standing) access.Standing { s.Frozen = time.Now(); return s },
		Events: []audit.Event{{At: time.Now(), Kind: "account.frozen", Subject: ben, Outcome: audit.OK}}})
}

// run is a command of the program.
func (v *vault) command(args ...string) (out string, err error) {
	var b bytes.Buffer
	root := (&cli{out: &b, err: &b, env: noEnv}).root()
	root.SetArgs(append(args, "--config", v.file))
	err = root.ExecuteContext(v.t.Context())
	return b.String(), err
}

func (v *vault) refusedToStart() {
	v.t.Helper()
	p, err := v.open(io.Discard)
	if err == nil {
		p.Close()
	}
	if !errors.Is(err, store.ErrOlder) || !strings.Contains(err.Error(), "run postern store restored") {
		v.t.Fatalf("an old database is started on: %v", err)
	}
}

// works is what of the backup can still be used, by its name.
func (v *vault) works(p *program) (list map[string]bool) {
	ctx := v.t.Context()
	list = map[string]bool{}
	for _, who := range []directory.ID{anna, ben} {
		all, err := p.db.Methods(ctx, who)
		if err != nil {
			v.t.Fatal(err)
		}
		for _, c := range all {
			list[c.ID] = true
			if c.Kind == verify.TOTP && p.db.Spend(ctx, c, totp.Step(time.Now())) == nil {
				list[c.ID+" now"] = true
			}
		}
		if s, err := p.db.Standing(ctx, who); err != nil || !s.Frozen.IsZero() {
			list["frozen "+string(who[len(who)-1:])] = true
		}
	}
	for name, token := range v.links {
		if _, err := p.db.Link(ctx, notify.Snooze, token); err == nil {
			list["link "+name] = true
		}
	}
	if _, err := p.db.Session(ctx, []byte("ended")); err == nil {
		list["session"] = true
	}
	return list
}

func (v *vault) only(p *program, want ...string) {
	v.t.Helper()
	got := v.works(p)
	for _, w := range want {
		if !got[w] {
			v.t.Errorf("%s does not work any more", w)
		}
		delete(got, w)
	}
	if len(got) > 0 {
		v.t.Errorf("works again: %v", got)
	}
}

func eachVault(t *testing.T, test func(*vault)) {
	if testing.Short() {
		t.Skip("-short: starts servers")
	}
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) { test(newVault(t, engine)) })
	}
}

// Whoever brings an old database back brings back no code, no factor and no link with it:
// the portal does not start on it, and what makes it start ends all of them.
func TestARestoredDatabaseRevivesNothing(t *testing.T) {
	eachVault(t, func(v *vault) {
		v.use(v.fill)
		back := v.save()
		v.use(v.happen)
		v.use(func(*program) {}) // the newer one is started again as ever
		if out, err := v.command("store", "restored"); err == nil || !strings.Contains(err.Error(), "--force") {
			v.t.Fatalf("a good database was taken for an old one: %s %v", out, err)
		}
		back()
		v.refusedToStart()
		v.refusedToStart() // nor the second time
		out, err := v.command("store", "restored")
		if err != nil || !strings.Contains(out, "removed 9 factors of 2 accounts") || !strings.Contains(out, "2 links") || !strings.Contains(out, "frozen") {
			v.t.Fatal(out, err)
		}
		v.use(func(p *program) {
			v.only(p)
			// And it is on record, for everybody it happened to.
			kinds := map[string]int{}
			if err := p.db.Export(v.t.Context(), audit.Query{}, func(e audit.Event) error { kinds[e.Kind+" "+e.Reason]++; return nil }); err != nil {
				v.t.Error(err)
			}
			if kinds["store.restored "] != 1 || kinds["factor.removed restored"] != 7 {
				v.t.Errorf("%v", kinds)
			}
			if _, err := p.db.Burn(v.t.Context(), anna, verify.RecoveryCode, []byte("a1")); !errors.Is(err, verify.ErrWrong) {
				v.t.Errorf("a used code: %v", err)
			}
		})
		v.verifies()
		back() // the same backup once more
		if v.load().Store.Path != "" {
			v.refusedToStart()
		}
	})
}

// With the record of what happened since only that goes; it is checked to be all of it.
func TestARecordSaysWhatGoes(t *testing.T) {
	for _, form := range []string{"log", "lines"} {
		t.Run(form, func(t *testing.T) {
			eachVault(t, func(v *vault) {
				v.use(v.fill)
				early, late := filepath.Join(v.dir, "early"), filepath.Join(v.dir, "late")
				if form == "lines" {
					early, late = early+".jsonl", late+".jsonl"
				}
				export := func(to string) {
					if out, err := v.command("audit", "export", "--out", to); err != nil {
						v.t.Fatal(out, err)
					}
				}
				back := v.save()
				v.use(func(p *program) {
					if err := p.db.Record(v.t.Context(), audit.Event{Kind: "x"}); err != nil {
						v.t.Fatal(err)
					}
				})
				export(early)
				v.use(v.happen)
				export(late)
				back()
				v.refusedToStart()
				if form == "log" {
					if out, err := v.command("store", "restored", "--record", early); err == nil || !strings.Contains(err.Error(), "that was seen last") {
						v.t.Fatalf("a record that ends too early: %s %v", out, err)
					}
				} else {
					// The middle is missing.
					text, err := os.ReadFile(late)
					if err != nil {
						v.t.Fatal(err)
					}
					lines := strings.SplitAfter(string(text), "\n")
					writeFile(v.t, early, strings.Join(lines[len(lines)-3:], ""), 0o600)
					if out, err := v.command("store", "restored", "--record", early); err == nil || !strings.Contains(err.Error(), "reach back further") {
						v.t.Fatalf("a record with a hole: %s %v", out, err)
					}
				}
				v.refusedToStart()
				out, err := v.command("store", "restored", "--record", late)
				if err != nil || !strings.Contains(out, "removed 3 factors of 1 account") || !strings.Contains(out, "1 account frozen") {
					v.t.Fatal(out, err)
				}
				v.use(func(p *program) {
					v.only(p, "atotp", "btotp", "bpasskey", "a2", "b1", "b2", "frozen b")
				})
			})
		})
	}
}

// Who says that no factor was removed since keeps passkeys and apps; what was shown to the
// portal is used up all the same.
func TestFactorsAreKeptWhenSomebodySaysSo(t *testing.T) {
	eachVault(t, func(v *vault) {
		v.use(v.fill)
		back := v.save()
		v.use(v.happen)
		back()
		out, err := v.command("store", "restored", "--distrust-factors=false")
		if err != nil || !strings.Contains(out, "work AGAIN") || !strings.Contains(out, "removed 5 factors of 2 accounts") {
			v.t.Fatal(out, err)
		}
		v.use(func(p *program) { v.only(p, "atotp", "apasskey", "btotp", "bpasskey") })
	})
}
