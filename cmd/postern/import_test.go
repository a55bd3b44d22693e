package main

import (
	"bytes"
	"context"
	"encoding/base32"
	"encoding/csv"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/portal/audit"
	"postern/portal/enrol"
	"postern/verify"
	"postern/verify/totp"
)

// command runs one with the house's configuration.
func (h *house) command(args ...string) (text string, code int) {
	h.t.Helper()
	var out bytes.Buffer
	c := &cli{out: &out, err: &out, env: noEnv}
	root := c.root()
	root.SetArgs(append(args, "--config", h.file))
	code = c.exitCode(root.ExecuteContext(h.t.Context()))
	return out.String(), code
}

func (h *house) covered() (r coverageReport) {
	h.t.Helper()
	text, code := h.command("report", "coverage", "--json")
	if code != 0 {
		h.t.Fatal(text)
	}
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		h.t.Fatal(err)
	}
	return r
}

func TestImportedAppsWorkAndAreToldOf(t *testing.T) {
	h := newHouse(t)
	p, err := h.open(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	seed := []byte("a seed of 160 bits!!")
	text := base32.StdEncoding.EncodeToString(seed)
	file := filepath.Join(h.dir, "seeds.csv")
	write := func(lines ...string) {
		writeFile(t, file, "login,secret,name\n"+strings.Join(lines, "\n")+"\n", 0o600)
	}
	run := func(args ...string) (string, int) {
		out, code := h.command(append([]string{"import", "totp", "--file", file}, args...)...)
		if strings.Contains(strings.ToUpper(out), text[:12]) || strings.Contains(out, string(seed)) {
			t.Errorf("the secret is in %s", out)
		}
		return out, code
	}
	apps := func(login string) []verify.Credential {
		u, err := p.people.Find(t.Context(), login)
		if err != nil {
			t.Fatal(err)
		}
		list, err := p.db.Credentials(t.Context(), u.ID, verify.TOTP)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	short := base32.StdEncoding.EncodeToString([]byte("128 bits are few"))
	write("user1,"+text+",phone", "nobody-at-all,"+base32.StdEncoding.EncodeToString([]byte("another of 160 bits!"))+",",
		"disabled1,"+base32.StdEncoding.EncodeToString([]byte("a third of 160 bits!"))+",", "user2,"+short+",")
	out, code := run()
	for _, want := range []string{"line 3: nobody", "line 4: the portal does not serve this account (disabled)", "line 5: the secret is shorter than 160 bits", "nothing was imported"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in %s", want, out)
		}
	}
	if code != 1 || strings.Contains(out, "line 2") || len(apps("user1")) != 0 {
		t.Errorf("exit code %d: %s", code, out)
	}

	write("user1," + text + ",phone")
	if out, code := run("--dry-run"); code != 0 || !strings.Contains(out, "would add 1 app to user1") || !strings.Contains(out, "nothing was changed") || len(apps("user1")) != 0 {
		t.Errorf("exit code %d: %s", code, out)
	}
	if out, code := run(); code != 0 || !strings.Contains(out, "1 app for 1 account imported, 0 passed over") {
		t.Errorf("exit code %d: %s", code, out)
	}
	for _, more := range [][]string{{"--dry-run"}, nil} {
		if out, code := run(more...); code != 0 || !strings.Contains(out, "user1 has it already") || !strings.Contains(out, "1 passed over") || len(apps("user1")) != 1 {
			t.Errorf("again: exit code %d: %s", code, out)
		}
	}
	write("user2," + text + ",")
	if out, code := run(); code != 1 || !strings.Contains(out, "line 2: another account has this secret") || len(apps("user2")) != 0 {
		t.Errorf("exit code %d: %s", code, out)
	}

	// The factor takes the app's next code, and not the one of the import's moment.
	app := apps("user1")[0]
	u, err := p.people.Find(t.Context(), "user1")
	if err != nil {
		t.Fatal(err)
	}
	at := app.Created
	f, err := totp.New(totp.Config{Issuer: "test", Max: 5}, p.db, func() time.Time { return at }, bytes.NewReader(make([]byte, 64)))
	if err != nil {
		t.Fatal(err)
	}
	check := func() error {
		code, err := totp.Code(seed, at)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.Check(t.Context(), verify.Subject{ID: u.ID, User: &u}, verify.Challenge{Expires: at.Add(time.Minute)}, []byte(code))
		return err
	}
	if err := check(); err != verify.ErrReplayed {
		t.Errorf("the code of the import: %v", err)
	}
	at = at.Add(30 * time.Second)
	if err := check(); err != nil {
		t.Errorf("the next code: %v", err)
	}
	var events []audit.Event
	if err := p.db.Export(t.Context(), audit.Query{Subject: u.ID}, func(e audit.Event) error { events = append(events, e); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(events) != 1 || events[0].Door != "cli" || events[0].Actor != "operator" || events[0].Kind != "factor.added" {
		t.Errorf("%+v", events)
	}
	defer h.serve()()
	waiting, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if m, links, err := h.mail.Wait(waiting, 0, u.Mail[0], regexp.MustCompile(`\(phone\)`)); err != nil {
		t.Errorf("%+v %v %v", m, links, err)
	}
	if r := h.covered(); r.People != 1 || r.OneWay != 1 || r.ByTwoGates != 1 || r.Factors[verify.TOTP] != 1 {
		t.Errorf("%+v", r)
	}
}

func TestCoverageReportSaysTheSameInEveryForm(t *testing.T) {
	h := newHouse(t)
	people := h.enrolled()
	before, err := os.ReadFile(filepath.Join(h.dir, "data", "postern.db"))
	if err != nil {
		t.Fatal(err)
	}
	r, explained := h.covered(), h.survey("--all")
	if r.People == 0 || r.CanRecover != explained.Now.Open || r.CannotRecover != explained.Now.Stranded || len(r.List) != len(people)-len(unenrolled) {
		t.Errorf("%+v, and policy explain says %+v", r, explained.Now)
	}
	if r.CanRecover+r.CannotRecover != r.People || r.Factors[verify.TOTP] != r.People || r.CodesLeft != 10*r.People || r.NotServed["disabled"] == 0 || r.ByPasskeyAlone != 0 {
		t.Errorf("%+v", r)
	}
	text, code := h.command("report", "coverage", "--csv")
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if code != 0 || err != nil || len(rows) != len(r.List)+1 {
		t.Fatalf("%v: %s", err, text)
	}
	i := slices.IndexFunc(rows, func(row []string) bool { return row[0] == "user1" })
	if got := rows[i]; got[2] != enrol.CanRecover || got[3] != "recovery_code totp" || !strings.Contains(got[4], "totp + email") || got[5] != "10" || !strings.HasPrefix(got[8], "corp:") {
		t.Errorf("%q", got)
	}
	text, code = h.command("report", "coverage")
	if code != 0 || !strings.Contains(text, "never enrolled are not listed") || !strings.Contains(text, "not served: disabled") {
		t.Error(text)
	}
	after, err := os.ReadFile(filepath.Join(h.dir, "data", "postern.db"))
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the database was changed (%v)", err)
	}
	// Fail closed: a count without those who could not be asked would be a lie.
	h.ldap.Close()
	for _, form := range []string{"--csv", "--json", "--csv=false"} {
		if text, code := h.command("report", "coverage", form); code != 1 || strings.Contains(text, "user1") {
			t.Errorf("exit code %d: %s", code, text)
		}
	}
}

// security case 113: names in a directory are others' text.
func TestCoverageTextHoldsNoControls(t *testing.T) {
	var shown bytes.Buffer
	newCoverageReport(enrol.Coverage{People: []enrol.Covered{{ID: "corp:1", Login: "=cmd|' /C calc'!A0\x1b[2J"}}}).text(&shown)
	if !strings.Contains(shown.String(), "calc") || strings.Contains(shown.String(), "\x1b") {
		t.Errorf("%q", shown.String())
	}
}
