package portal

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/enrol"
	"postern/portal/web/view"
)

// keptOf is what a page says of the methods a directory keeps.
func keptOf(t *testing.T, a answer) (p struct {
	Page struct {
		Kept    *view.KeptList
		Methods []view.KeptMethod
		Away    bool
		Passes  bool
		Once    string
		Value   string
		Last    bool
	}
}) {
	t.Helper()
	if err := json.Unmarshal(a.body, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// Where the directory keeps nothing there is no page; where it does not answer, the
// rest of one's own page is as ever.
func TestKeptMethodsAreShownWhereThereAreSome(t *testing.T) {
	t.Parallel()
	h := open(t)
	b := h.signedIn()
	if got := keptOf(t, b.get("/me").want(t, 200, "Me")).Page.Kept; got != nil {
		t.Errorf("%+v", got)
	}
	b.get("/me/methods").want(t, 404, "ErrorPage")
	b.get("/me/methods/tel/remove").want(t, 404, "ErrorPage")
	h.own.keeping()
	a := b.get("/me/methods").want(t, 200, "Kept")
	want := []view.KeptMethod{{Kind: "password"}, {ID: "tel", Kind: "phone", Name: "••••90"}, {Kind: "fido2", Name: "Key"}}
	if p := keptOf(t, a).Page; !slices.Equal(p.Methods, want) || !p.Passes || p.Once == "" {
		t.Errorf("%+v", p)
	}
	if strings.Contains(string(a.body), "555") {
		t.Error("the number is on the page")
	}
	h.own.away = directory.ErrUnavailable
	if got := keptOf(t, b.get("/me").want(t, 200, "Me")).Page.Kept; got == nil || !got.Away {
		t.Errorf("%+v", got)
	}
	if p := keptOf(t, b.get("/me/methods").want(t, 200, "Kept")).Page; !p.Away || p.Passes {
		t.Errorf("%+v", p)
	}
}

func TestAKeptMethodIsTakenAwayAfterAQuestion(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.own.keeping()
	b := h.signedIn()
	if p := keptOf(t, b.get("/me/methods/tel/remove").want(t, 200, "RemoveKept")).Page; p.Last {
		t.Error("there is a key besides")
	}
	for _, id := range []string{"pw", "x", "a%2F..%2Fb"} {
		if a := b.get("/me/methods/" + id + "/remove"); a.StatusCode != 404 {
			t.Errorf("%s: %d", id, a.StatusCode)
		}
	}
	if len(h.own.calls) > 0 {
		t.Errorf("looking did %v", h.own.calls)
	}
	b.post("/me/methods/pw/remove").want(t, 404, "ErrorPage")
	b.get("/me/methods/tel/remove")
	b.post("/me/methods/tel/remove").leads(t, "/me/methods")
	if p := keptOf(t, b.get("/me/methods")).Page; len(p.Methods) != 2 {
		t.Errorf("%+v", p)
	}
}

// The pass is in one answer. Neither a reload, which sends the form again, nor any other
// page shows it; nothing of it is in the log or in an address.
func TestAPassIsShownOnce(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.own.keeping()
	b := h.signedIn()
	once := keptOf(t, b.get("/me/methods")).Page.Once
	a := b.post("/me/pass", "once", once).want(t, 200, "Pass")
	if keptOf(t, a).Page.Value != passCanary || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s %v", a.body, a.Header)
	}
	again := b.post("/me/pass", "once", once).want(t, 409, "Kept")
	if again.Page.Faults[0].Code != "pass_spent" {
		t.Errorf("%+v", again.Page.Faults)
	}
	bodies := string(again.body)
	for _, path := range []string{"/me", "/me/methods", "/me/activity", "/me/factors", "/me/pass"} {
		bodies += string(b.get(path).body)
	}
	if strings.Contains(bodies, passCanary) || strings.Contains(h.log.String(), passCanary) {
		t.Error("it is shown again, or logged")
	}
	for _, r := range h.sessions.rows {
		if text, _ := json.Marshal(r); strings.Contains(string(text), passCanary) {
			t.Error("it is in a session")
		}
	}
	if a := b.get("/me/pass"); a.StatusCode != 404 && a.StatusCode != 405 {
		t.Errorf("a link gets one: %d", a.StatusCode)
	}
	if next := keptOf(t, b.get("/me/methods")).Page.Once; next == once {
		t.Error("the next form is the same")
	}
}

// Both acts ask for a fresh proof first, and lead back to where it was asked for.
func TestKeptMethodsAskForAFreshProof(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.own.keeping()
	b := h.signedIn()
	for path, fields := range map[string][]string{"/me/methods/tel/remove": nil, "/me/pass": {"once", anyOnce}} {
		h.pass(11 * time.Minute)
		b.get("/me/methods")
		b.post(path, fields...).leads(t, "/signin")
		b.get("/signin").want(t, 200, "Choose")
		b.post("/signin/choose", "factor", "totp").leads(t, "/signin")
		b.get("/signin")
		b.post("/signin/answer", "answer", "123456").leads(t, "/me/methods")
	}
	if p := keptOf(t, b.get("/me/methods")).Page; len(p.Methods) != 3 || len(h.own.spent) > 0 {
		t.Errorf("done without: %+v %v", p, h.own.spent)
	}
}

// What the directory does not allow, or does not answer, is said in words of its own,
// and the operator hears of what is theirs to mend.
func TestWhatTheDirectoryDoesNotDoIsSaid(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		status int
		code   string
		log    bool
	}{
		{&enrol.Undone{Code: "denied", Err: directory.ErrDenied}, 403, "kept_denied", true},
		{&enrol.Undone{Code: "unsupported", Err: directory.ErrUnsupported}, 403, "kept_unsupported", false},
		{&enrol.Undone{Code: "gone", Err: directory.ErrNotFound}, 409, "kept_gone", true},
		{&enrol.Undone{Code: "unavailable", Err: directory.ErrUnavailable}, 503, "kept_unavailable", true},
		{&enrol.Undone{Code: "uncertain", Err: errors.Join(directory.ErrUnavailable, directory.ErrUncertain)}, 503, "kept_uncertain", true},
		{&enrol.TooNew{Until: time.Unix(1e9, 0)}, 403, "pass_new", false},
		{&enrol.TooNew{}, 403, "pass_weak", false},
		{enrol.ErrThreat, 403, "threat", false},
		{directory.ErrUnavailable, 503, "unavailable", true},
	} {
		h := open(t)
		h.own.keeping()
		b := h.signedIn()
		h.own.refused = c.err
		for path, fields := range map[string][]string{"/me/methods/tel/remove": nil, "/me/pass": {"once", anyOnce}} {
			b.get("/me/methods")
			a := b.post(path, fields...).want(t, c.status, "Kept")
			if len(a.Page.Faults) != 1 || a.Page.Faults[0].Code != c.code {
				t.Errorf("%v: %+v", c.err, a.Page.Faults)
			}
		}
		if got := strings.Contains(h.log.String(), "request failed"); got != c.log {
			t.Errorf("%v: logged %v", c.err, got)
		}
		h.own.refused = enrol.ErrEnded
		b.get("/me/methods")
		b.post("/me/pass", "once", anyOnce).leads(t, "/")
	}
}
