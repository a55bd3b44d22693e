package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/portal/audit"
	"postern/verify"
	"postern/verify/yubikey/yubikeytest"
)

const yubiPolicy = `policy: {plans: {reset: {allowed: [passkey, totp, yubikey, email, recovery_code]}}}
store:`

func TestAssignedYubiKeysWorkAndAreToldOf(t *testing.T) {
	h := newHouse(t, "store:", "factors: {yubikey: {offline: true, keys: keys.csv, max: 2}}\n"+yubiPolicy)
	var keys []*yubikeytest.Key
	var secrets strings.Builder
	for i := range uint32(5) {
		keys = append(keys, yubikeytest.New(2001+i))
		secrets.WriteString(keys[i].CSV())
	}
	stranger := yubikeytest.New(9999)
	writeFile(t, filepath.Join(h.dir, "keys.csv"), secrets.String(), 0o600)
	p, err := h.open(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	id := func(k *yubikeytest.Key) string { return yubikeytest.Modhex(k.Public[:]) }
	file := filepath.Join(h.dir, "people.csv")
	write := func(lines ...string) {
		writeFile(t, file, "login,public_id,name\n"+strings.Join(lines, "\n")+"\n", 0o600)
	}
	run := func(args ...string) (string, int) {
		out, code := h.command(append([]string{"import", "yubikey", "--file", file}, args...)...)
		for _, k := range keys {
			if strings.Contains(out, fmt.Sprintf("%x", k.AES)) || strings.Contains(out, string(k.AES[:])) {
				t.Errorf("a key's secret is in %s", out)
			}
		}
		return out, code
	}
	held := func(login string) []verify.Credential {
		u, err := p.people.Find(t.Context(), login)
		if err != nil {
			t.Fatal(err)
		}
		list, err := p.db.Credentials(t.Context(), u.ID, verify.YubiKey)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}

	// What can be seen in the file alone, and what only the directory and the keys know.
	write("user1,"+id(keys[0])+",", "user2,"+id(keys[0])+",", "user2,ccccccbcguj1,", "user2,"+strings.ToUpper(id(keys[1]))+",", "user2,"+id(keys[1]))
	out, code := run()
	for _, want := range []string{"line 3: the public id is that of line 2", "line 4: the public id is not 12 modhex letters", "line 5: the public id is not 12 modhex letters", "line 6: has 2 fields", "nothing was imported"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in %s", want, out)
		}
	}
	if code != 1 || strings.Contains(out, "line 2:") {
		t.Errorf("exit code %d: %s", code, out)
	}
	write("user1,"+id(keys[0])+",", "nobody-at-all,"+id(keys[1])+",", "disabled1,"+id(keys[2])+",", "user2,"+id(stranger)+",",
		"user1,"+id(keys[3])+",", "user1,"+id(keys[4])+",")
	out, code = run()
	for _, want := range []string{"line 3: nobody", "line 4: the portal does not serve this account (disabled)", "line 5: the key is not in factors.yubikey.keys",
		"line 7: the account would have more than 2 YubiKeys", "nothing was imported"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in %s", want, out)
		}
	}
	if code != 1 || strings.Contains(out, "line 2:") || strings.Contains(out, "line 6:") || len(held("user1")) != 0 {
		t.Errorf("exit code %d: %s", code, out)
	}

	write("user1,"+id(keys[0])+",blue one", "user1,"+id(keys[1])+",", "user2,"+id(keys[2])+",")
	if out, code := run("--dry-run"); code != 0 || !strings.Contains(out, "line 2: would add 1 YubiKey to user1") ||
		!strings.Contains(out, "3 YubiKeys for 2 accounts would be imported, 0 passed over; nothing was changed") || len(held("user1")) != 0 {
		t.Errorf("exit code %d: %s", code, out)
	}
	if out, code := run(); code != 0 || !strings.Contains(out, "3 YubiKeys for 2 accounts imported, 0 passed over") {
		t.Errorf("exit code %d: %s", code, out)
	}
	for _, more := range [][]string{{"--dry-run"}, nil} {
		if out, code := run(more...); code != 0 || !strings.Contains(out, "3 passed over") || len(held("user1")) != 2 || len(held("user2")) != 1 {
			t.Errorf("again: exit code %d: %s", code, out)
		}
	}
	var names []string
	for _, one := range held("user1") {
		names = append(names, one.Name)
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"YubiKey 2002", "blue one"}) {
		t.Errorf("%q", names)
	}
	write("user2," + id(keys[0]) + ",")
	if out, code := run(); code != 1 || !strings.Contains(out, "line 2: another account has this public id already") || len(held("user2")) != 1 {
		t.Errorf("exit code %d: %s", code, out)
	}

	// The factor takes its owner's key, once, and for nobody else.
	f, err := openYubiKeys(p.cfg.Factors.YubiKey, p.db, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	try := func(login, otp string) error {
		u, err := p.people.Find(t.Context(), login)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.Check(t.Context(), verify.Subject{ID: u.ID, User: &u}, verify.Challenge{Expires: time.Now().Add(time.Minute)}, []byte(otp))
		return err
	}
	otp := keys[0].Press()
	if err := try("user2", otp); err != verify.ErrWrong {
		t.Errorf("another's key: %v", err)
	}
	if err := try("user1", otp); err != nil {
		t.Errorf("one's own: %v", err)
	}
	if err := try("user1", otp); err != verify.ErrReplayed {
		t.Errorf("again: %v", err)
	}

	u, err := p.people.Find(t.Context(), "user1")
	if err != nil {
		t.Fatal(err)
	}
	var events []audit.Event
	if err := p.db.Export(t.Context(), audit.Query{Subject: u.ID}, func(e audit.Event) error { events = append(events, e); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(events) != 2 || events[0].Door != "cli" || events[0].Actor != "operator" || events[0].Kind != "factor.added" || events[0].Factor != "yubikey" {
		t.Errorf("%+v", events)
	}
	defer h.serve()()
	waiting, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if m, links, err := h.mail.Wait(waiting, 0, u.Mail[0], regexp.MustCompile(`\(YubiKey 2002\)`)); err != nil {
		t.Errorf("%+v %v %v", m, links, err)
	}
}

func TestYubiKeysAreNotAssignedWhereNobodyCouldUseThem(t *testing.T) {
	keys := filepath.Join(t.TempDir(), "people.csv")
	writeFile(t, keys, "login,public_id,name\nuser1,ccccccbcgujh,\n", 0o600)
	for name, c := range map[string]struct{ change, want string }{
		"not set up":      {"store:", "factors.yubikey: is not set up"},
		"no plan":         {"factors: {yubikey: {offline: true, keys: keys.csv}}\nstore:", "no plan allows yubikey"},
		"no list of keys": {"factors: {yubikey: {offline: true, keys: none.csv}}\n" + yubiPolicy, "factors.yubikey.keys: there is no"},
	} {
		h := newHouse(t, "store:", c.change)
		writeFile(t, filepath.Join(h.dir, "keys.csv"), yubikeytest.New(1).CSV(), 0o600)
		if out, code := h.command("migrate"); code != 0 {
			t.Fatalf("%s: %s", name, out)
		}
		for _, more := range [][]string{nil, {"--dry-run"}} {
			if out, code := h.command(append([]string{"import", "yubikey", "--file", keys}, more...)...); code != 1 || !strings.Contains(out, c.want) {
				t.Errorf("%s: exit code %d: %s", name, code, out)
			}
		}
	}
}
