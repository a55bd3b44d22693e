package main

import (
	"context"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/directory/embedded"
	"postern/portal/audit"
	"postern/portal/enrol"
	"postern/portal/portaltest"
)

func (h *house) person(login string) embedded.Person {
	h.t.Helper()
	people := h.ldap.People()
	i := slices.IndexFunc(people, func(p embedded.Person) bool { return p.Login == login })
	if i < 0 {
		h.t.Fatalf("no %s", login)
	}
	return people[i]
}

// mailed waits for a mail and returns the path in it.
func (h *house) mailed(after int, login, path string) string {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 30*time.Second)
	defer cancel()
	_, found, err := h.mail.Wait(ctx, after, h.person(login).Mail, regexp.MustCompile(regexp.QuoteMeta(h.url)+`(`+path+`[A-Za-z0-9_-]{43})`))
	if err != nil {
		h.t.Fatal(err)
	}
	return found[1]
}

func (h *house) visitor(t *testing.T) walk {
	return walk{portaltest.NewVisitor(portaltest.NewClient(h.url), h.url), t}
}

// From the operator's command to the page of one's factors, over mail, with the
// password that the directory has; and nobody is invited who must not be.
func TestAnInvitedPersonSignsInToTheirFactors(t *testing.T) {
	h := newHouse(t)
	h.enrolled()
	defer h.serve()()
	out, code := h.command("invite", "user20", "user1", "disabled1", "admin1", "nobody-at-all")
	for _, want := range []string{"user20: invited by mail", "user1: not invited: has something enrolled already: totp, recovery_code", "disabled1: not invited: the portal does not serve this account (disabled)",
		"admin1: not invited: the portal does not serve this account (privileged)", "nobody-at-all: not invited: nobody, or more than one, has this login", "1 account invited, 4 not"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in %s", want, out)
		}
	}
	if code != 1 || strings.Contains(out, "/link/") {
		t.Errorf("exit code %d: %s", code, out)
	}
	link, who := h.mailed(0, "user20", "/link/"), h.person("user20")
	if len(h.mail.Mails()) != 1 {
		t.Errorf("%d mails", len(h.mail.Mails()))
	}
	w := h.visitor(t)
	w.open(link, "start")
	if body := w.Page.Body; strings.Contains(body, who.Login) || strings.Contains(body, who.Mail) {
		t.Error("the page says whose it is")
	}
	w.send(link, "answer", "current", "not this one")
	w.open(link, "start")
	w.send(link, "factors", "current", who.Password.Reveal())
	if again := h.visitor(t); again.Get(link) != nil || again.Page.Status != 404 {
		t.Errorf("a used link: %d", again.Page.Status)
	}
	kinds := map[string]int{}
	p, err := h.open(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.db.Export(t.Context(), audit.Query{}, func(e audit.Event) error {
		kinds[e.Kind+" "+e.Reason]++
		if e.Kind == "invitation.sent" && (e.Door != "cli" || e.Actor != "operator" || e.SubjectName != "user20" || e.Detail["by"] != "mail") {
			t.Errorf("%+v", e)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if kinds["invitation.sent "] != 1 || kinds["proof.ok invitation"] != 1 || kinds["signin "] != 1 {
		t.Errorf("%v", kinds)
	}
}

// A printed link is mailed to nobody, and ends the one before.
func TestAPrintedInvitationIsNotMailed(t *testing.T) {
	h := newHouse(t)
	h.enrolled()
	defer h.serve()()
	if out, code := h.command("invite", "--dry-run", "user19", "user1"); code != 1 || !strings.Contains(out, "user19: would be invited") || !strings.Contains(out, "1 account would be invited, 1 not; nothing was changed") {
		t.Errorf("exit code %d: %s", code, out)
	}
	coverage, code := h.command("report", "coverage", "--csv")
	if code != 0 {
		t.Fatal(coverage)
	}
	file := filepath.Join(h.dir, "people.csv")
	var lines []string
	for i, line := range strings.Split(coverage, "\n") {
		if i == 0 || strings.HasPrefix(line, "user19,") {
			lines = append(lines, line)
		}
	}
	writeFile(t, file, strings.Join(lines, "\n")+"\n", 0o600)
	var links []string
	for range 2 {
		out, code := h.command("invite", "--print", "--file", file)
		found := regexp.MustCompile(`user19: ` + regexp.QuoteMeta(h.url) + `(/link/\S+) \(until `).FindStringSubmatch(out)
		if code != 0 || found == nil {
			t.Fatalf("exit code %d: %s", code, out)
		}
		links = append(links, found[1])
	}
	w := h.visitor(t)
	if err := w.Get(links[0]); err != nil || w.Page.Status != 404 {
		t.Errorf("the older link: %d, %v", w.Page.Status, err)
	}
	w.open(links[1], "start")
	w.send(links[1], "factors", "current", h.person("user19").Password.Reveal())
	if mails := h.mail.Mails(); len(mails) > 0 {
		t.Errorf("mailed: %+v", mails)
	}
	for text, want := range map[string]string{"name\nx\n": "no column login", "login\n\"\"\n": "line 2: the login is empty", "": "no column login"} {
		writeFile(t, file, text, 0o600)
		if out, code := h.command("invite", "--file", file); code != 1 || !strings.Contains(out, want) {
			t.Errorf("%q: exit code %d: %s", text, code, out)
		}
	}
	h.ldap.Close()
	if out, code := h.command("invite", "user19"); code != 1 || !strings.Contains(out, "cannot be reached") {
		t.Errorf("exit code %d: %s", code, out)
	}
}

// Whoever could not recover is reminded, once; the link in the mail keeps the next
// one away, and never beyond the deadline.
func TestWhoeverCouldNotRecoverIsReminded(t *testing.T) {
	h := newHouse(t, "store:", "enrolment: {remind_every: 24h, deadline: \"2199-12-31\"}\nstore:")
	h.enrolled()
	out, code := h.command("remind", "--dry-run")
	if code != 0 || !strings.Contains(out, "would remind user19\nwould remind user20\n2 accounts would be reminded; nothing was changed") {
		t.Fatalf("exit code %d: %s", code, out)
	}
	if out, code := h.command("remind"); code != 0 || !strings.Contains(out, "reminded user19\nreminded user20\n2 accounts reminded") {
		t.Fatalf("exit code %d: %s", code, out)
	}
	stop := h.serve() // which delivers them, and reminds nobody again
	snooze := h.mailed(0, "user20", "/link/")
	h.mailed(0, "user19", "/link/")
	if out, code := h.command("remind"); code != 0 || !strings.Contains(out, "0 accounts reminded") {
		t.Errorf("exit code %d: %s", code, out)
	}
	mail := h.mail.Mails()[0]
	for _, want := range []string{h.url + "/signin", "31 December 2199"} {
		if !strings.Contains(mail.Text, want) || !strings.Contains(mail.HTML, want) {
			t.Errorf("no %q in %s", want, mail.Text)
		}
	}
	w := h.visitor(t)
	w.open(snooze, "start")
	if r := h.covered(); !r.List[slices.IndexFunc(r.List, func(p enrol.Row) bool { return p.Login == "user20" })].Snoozed.IsZero() {
		t.Error("looking put it off")
	}
	w.send(snooze, "done")
	r := h.covered()
	p := r.List[slices.IndexFunc(r.List, func(p enrol.Row) bool { return p.Login == "user20" })]
	if left := time.Until(p.Snoozed); p.Reminded.IsZero() || left < 335*time.Hour || left > 337*time.Hour {
		t.Errorf("reminded %v, snoozed until %v", p.Reminded, p.Snoozed)
	}
	if err := w.Get(snooze); err != nil || w.Page.Status != 404 {
		t.Errorf("used: %d, %v", w.Page.Status, err)
	}
	stop()
	sent := len(h.mail.Mails())
	h.ldap.Close()
	if out, code := h.command("remind"); code != 1 || !strings.Contains(out, "cannot be reached") || len(h.mail.Mails()) != sent || sent != 2 {
		t.Errorf("exit code %d, %d mails: %s", code, sent, out)
	}
}
