package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"postern/directory/embedded"
	"postern/portal/portaltest"
)

// What a person does is in the file within moments, with a checkpoint that fits the log.
// While too much waits for it nobody's password changes, and they are told so; what they
// did waits, and arrives.
func TestTheRecordIsSentAndNothingHappensThatCouldNotBe(t *testing.T) {
	h := newHouse(t, "store:", `ship:
  to:
    - name: disk
      file: {path: out/audit.jsonl}
store:`)
	out := filepath.Join(h.dir, "out")
	if err := os.Mkdir(out, 0o700); err != nil {
		t.Fatal(err)
	}
	p, err := h.open(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer h.run(p)()
	i := slices.IndexFunc(h.ldap.People(), func(p embedded.Person) bool { return p.Login == "user1" })
	who := h.ldap.People()[i]
	current := who.Password.Reveal()
	w := walk{portaltest.NewVisitor(portaltest.NewClient(h.url), h.url), t}
	change := func(next string) {
		t.Helper()
		w.open("/recover/change", "start")
		w.send("/recover/start", "new-password", "purpose", "change", "login", who.Login, "current", current)
		w.send("/recover/password", "done", "password", next, "confirm", next)
		current = next
	}
	shipped := func(words ...string) bool {
		text, err := os.ReadFile(filepath.Join(out, "audit.jsonl"))
		return err == nil && !slices.ContainsFunc(words, func(w string) bool { return !bytes.Contains(text, []byte(w)) })
	}
	change("Quite-new-words-77")
	w.poll("/healthz", func() bool {
		return shipped(`"kind":"password.changed"`, `"subject_name":"user1"`, `"checkpoint":"postern-audit-`)
	})

	// The place is gone, and two events may wait.
	if err := os.Rename(out, out+"-away"); err != nil {
		t.Fatal(err)
	}
	if err := p.db.Ships(t.Context(), map[string]int{"disk": 2}); err != nil {
		t.Fatal(err)
	}
	w.open("/recover/change", "start")
	w.send("/recover/start", "new-password", "purpose", "change", "login", who.Login, "current", current)
	if err := w.Post("/recover/password", "password", "Other-new-words-88", "confirm", "Other-new-words-88"); err != nil || w.Page.Status != http.StatusServiceUnavailable {
		t.Errorf("%d %v", w.Page.Status, err)
	}
	if !strings.Contains(w.Page.Body, "try again") && !strings.Contains(w.Page.Body, "Try again") {
		t.Error(w.Page.Body)
	}
	if err := os.Rename(out+"-away", out); err != nil {
		t.Fatal(err)
	}
	w.poll("/healthz", func() bool {
		list, err := p.db.Shipments(t.Context())
		return err == nil && list[0].Size == list[0].Next
	})
	if err := p.db.Ships(t.Context(), p.cfg.shipHolds()); err != nil {
		t.Fatal(err)
	}
	change("Third-new-words-99") // with the password from before: the second was never set
	w.poll("/healthz", func() bool {
		list, err := p.db.Shipments(t.Context())
		return err == nil && list[0].Size == list[0].Next
	})
	h.verifies()

	_, key, err := recordKey(p.keys)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := os.Open(filepath.Join(out, "audit.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	if found, err := key.FindCheckpoints(kept); err != nil || len(found) != 1 {
		t.Errorf("%d checkpoints, %v", len(found), err)
	}
}
