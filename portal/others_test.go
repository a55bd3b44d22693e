package portal

import (
	"fmt"
	"strings"
	"testing"

	"postern/directory"
)

// twin gives alice an account in another directory.
func (h *house) twin() directory.User {
	u := directory.User{ID: "cloud:alice", Directory: "cloud", Login: "alice.cloud", Link: "4711"}
	h.core.dir.Edit(alice.ID, func(a *directory.User) { a.Directory, a.Link = "ad", u.Link })
	h.core.dir.Add(u, "Something-1")
	return u
}

// Two accounts in one case, the second of which does not answer at first: the page tells
// them apart, asks for the password again, and says so when both are set.
func TestTheLastPageTriesTheRestAgain(t *testing.T) {
	t.Parallel()
	h := open(t)
	u := h.twin()
	b := h.proven()
	if a := b.get("/recover").want(t, 200, "NewPassword"); !strings.Contains(string(a.body), u.Login) {
		t.Errorf("the other account is not named:\n%s", a.body)
	}
	h.core.dir.Before = func(_ string, w directory.User) error {
		if w.ID == u.ID {
			return fmt.Errorf("%w: gone", directory.ErrUnavailable)
		}
		return nil
	}
	set := []string{"password", "correct horse", "confirm", "correct horse", "also", "yes"}
	b.post("/recover/password", set...).leads(t, "/recover")
	if a := b.get("/recover").want(t, 200, "Done"); !strings.Contains(string(a.body), "waits") {
		t.Errorf("it is not told that one waits:\n%s", a.body)
	}
	b.post("/recover/password", set...).want(t, 503, "Done")
	b.post("/recover/password", "password", "correct horse", "confirm", "another", "also", "yes").want(t, 422, "Done")
	b.post("/recover/password", set[:4]...).want(t, 409, "Done") // the first is not set twice
	h.core.dir.Before = nil
	b.post("/recover/password", set...).leads(t, "/recover")
	if a := b.get("/recover").want(t, 200, "Done"); strings.Contains(string(a.body), "waits") || h.core.dir.Password(u.ID) != "correct horse" {
		t.Errorf("not set:\n%s", a.body)
	}
	b.post("/recover/password", set...).want(t, 409, "Done")
}
