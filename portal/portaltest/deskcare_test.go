package portaltest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// After a reset over the telephone the technician's page says where it has arrived, and
// a wrong password somewhere else shows there by itself. What is taken for the ticket
// says what was proved and done, and holds no secret.
func TestDeskLooksAfterAReset(t *testing.T) {
	t.Parallel()
	b := browser(t)
	s := newSceneIn(t, func(ctx context.Context, _ testing.TB) (*House, error) {
		h, err := Samba(ctx)
		if err == nil { // a second server that is down
			h.Section = strings.Replace(h.Section, "servers: ["+h.DC.URL+"]", "servers: ["+h.DC.URL+", 'ldaps://127.0.0.1:1']", 1)
		}
		return h, err
	}, strings.Replace(deskPolicy, "technician: [Postern Technicians]", "technician: [Postern Technicians], auditor: [Auditors]", 1))
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for _, args := range [][]string{{"group", "add", "Callers"}, {"group", "addmembers", "Callers", "user1,tech1,tech2"}, {"group", "add", "Auditors"}, {"group", "addmembers", "Auditors", "user5"}} {
		if out, err := s.h.DC.Exec(ctx, args...); err != nil {
			t.Fatalf("%v: %v %s", args, err, out)
		}
	}
	tech, phone, owner := b.Tab(t, s.p.URL, true), b.Tab(t, s.p.URL, false), b.Tab(t, s.p.URL, true)
	s.enrol(tech, "tech1")
	s.enrol(owner, "user1")
	const fresh = "Granite Lantern 52 Otter C4nary"
	code := s.calls(tech, "user1", "reset")
	s.links(phone, code)
	phone.Choose("totp")
	phone.WantStep("answer")
	roomy()
	app := s.app("user1", 0)
	phone.Fill("answer", app)
	phone.Submit()
	phone.WantStep("choose")
	number := s.reads(phone, s.h.DC.Person("tech1").Name)
	tech.WantStep("match")
	tech.Fill("number", otherThan(number))
	tech.Submit()
	tech.Fill("number", number)
	tech.Submit()
	tech.WantStep("password")
	phone.WantStep("new-password")
	s.newPassword(phone, fresh)
	phone.WantStep("done")
	tech.WantStep("done")
	var seen bytes.Buffer
	look := func(tab *Tab) { seen.WriteString(tab.Eval(`document.documentElement.outerHTML`)) }

	text := func(id string) string {
		return tech.Eval(`(document.getElementById("` + id + `") || {}).innerText || ""`)
	}
	if says := text("servers"); !strings.Contains(says, "arrived") || !strings.Contains(says, "127.0.0.1:1") || !strings.Contains(says, "does not answer") {
		t.Errorf("the servers: %s", says)
	}
	if says := text("verdict"); !strings.Contains(says, "Nothing has tried") {
		t.Errorf("the verdict: %s", says)
	}
	look(tech)
	if err := s.h.DC.Bind(s.h.DC.Person("user1").DN, "an old password of a telephone"); err == nil {
		t.Fatal("a wrong password is taken")
	}
	s.proves("user1", fresh) // the right one does not make it forgotten
	until(t, "the page says so by itself", func() bool { return strings.Contains(text("verdict"), "Something is still trying the old password") })
	look(tech)

	path := strings.TrimPrefix(tech.Eval(`location.pathname`), s.p.URL) + "/evidence"
	tech.Open(path)
	tech.WantStep("evidence")
	if says := tech.Where(); !strings.Contains(says, "INC-7") || !strings.Contains(says, "lost the phone") || !strings.Contains(says, number) || !strings.Contains(says, "Authenticator") {
		t.Errorf("the page for the ticket: %s", says)
	}
	look(tech)
	file := tech.fetch(path + ".json")
	seen.WriteString(file)
	var ev struct {
		Person, Asked struct{ Login, Name string }
		Number        struct {
			Matched bool
			Number  string
			Wrong   int
		}
		Proofs   []struct{ Kind string }
		Acts     []struct{ Kind, Outcome string }
		Outcome  struct{ Status string }
		Receipts []string
		Complete bool
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(file, "200\n")), &ev); err != nil {
		t.Fatalf("%v: %s", err, file)
	}
	if ev.Person.Login != "user1" || ev.Asked.Login != "tech1" || !ev.Number.Matched || ev.Number.Number != number || ev.Number.Wrong != 1 || len(ev.Proofs) != 2 || ev.Outcome.Status != "done" ||
		len(ev.Acts) == 0 || ev.Acts[0].Kind != "password.reset" || len(ev.Receipts) != 1 || !ev.Complete {
		t.Errorf("%+v", ev)
	}
	tech.Open("/desk/people/" + string(s.ids("user1")["user1"]))
	tech.WantStep("person")
	says := tech.Where()
	for _, word := range []string{"Password reset: done", "Your password was changed", "delivered", "@", "••••"} {
		if !strings.Contains(says, word) {
			t.Errorf("%q is not on the account's page: %s", word, says)
		}
	}
	if strings.Contains(says, s.h.Address("user1")) {
		t.Error("an address is not masked")
	}
	look(tech)
	secrets := map[string]string{"the new password": fresh, "the code": app, "the old password": s.h.Password("user1")}
	for i, c := range s.codes["user1"] {
		secrets[fmt.Sprint("recovery code ", i)] = c
	}
	s.nowhere(t, seen.Bytes(), secrets)

	// An auditor reads the same, and nobody else, another technician neither.
	auditor := b.Tab(t, s.p.URL, true)
	s.enrol(auditor, "user5")
	auditor.Open(path)
	auditor.WantStep("evidence")
	if n := auditor.Eval(`String(document.querySelectorAll('main form, main .spell').length)`); n != "0" {
		t.Errorf("an auditor has %s forms", n)
	}
	second := b.Tab(t, s.p.URL, true)
	s.enrol(second, "tech2")
	unknown := second.fetch("/desk/cases/" + strings.Repeat("A", 32) + "/evidence")
	for _, p := range []string{path, path + ".json", strings.TrimSuffix(path, "/evidence")} {
		if got := second.fetch(p); got != unknown || !strings.HasPrefix(got, "404") {
			t.Errorf("%s differs from what is nowhere: %s", p, got)
		}
	}
	if out, err := s.h.DC.Exec(ctx, "group", "removemembers", "Auditors", "user5"); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	if got := auditor.fetch(path); !strings.HasPrefix(got, "404") {
		t.Errorf("without the role: %s", got)
	}
}
