package portaltest

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"postern/verify/passkey/passkeytest"
	"postern/verify/yubikey/yubikeytest"
)

// passwords to set, one after the other: a domain remembers them.
var inTurn = []string{"Heron-Sextant-42-Rope", "Copper-Meadow-28-Finch", "Walnut-Harbor-17-Drift", "Granite-Lantern-52-Otter", "Velvet-Compass-63-Birch", "Marble-Kestrel-74-Inlet"}

// options is what a page gives the browser for its passkey.
func (r reply) options(t testing.TB) []byte {
	t.Helper()
	text := html.UnescapeString(first(optionsOf, r.Body))
	if !json.Valid([]byte(text)) {
		t.Fatalf("no options for a passkey: %s", r.text())
	}
	return []byte(text)
}

var removePath = regexp.MustCompile(`/me/factors/[^/"]+/remove`)

// removes takes the one method of that name away, after a fresh proof by code.
func (w *walker) removes(name, code string) {
	w.t.Helper()
	r := w.get("/me/factors").want(w.t, 200, "factors", "")
	_, rest, found := strings.Cut(r.Body, ">"+name+"<")
	path := removePath.FindString(rest)
	if !found || path == "" {
		w.t.Fatalf("no %q to remove: %s", name, r.text())
	}
	w.get(path).want(w.t, 200, "remove", "")
	if r := w.on(path); r.Step() == "choose" {
		w.on("/signin/choose", "factor", "recovery_code").want(w.t, 200, "answer", "")
		w.on("/signin/answer", "answer", code).want(w.t, 200, "factors", "")
		w.get(path).want(w.t, 200, "remove", "")
		w.on(path).want(w.t, 200, "factors", "")
	}
	if r := w.get("/me/factors"); strings.Contains(r.Body, ">"+name+"<") {
		w.t.Errorf("%q is still there", name)
	}
}

// Every factor, on a real domain: enrolled by its owner, used for a reset, tried
// in every wrong way, and worth nothing once it is removed.
func TestEveryFactorOnSamba(t *testing.T) {
	t.Parallel()
	texts := make(chan string, 10)
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m struct{ Text string }
		if json.NewDecoder(r.Body).Decode(&m) == nil {
			texts <- m.Text
		}
		fmt.Fprint(w, `{"status":"queued"}`)
	}))
	t.Cleanup(gateway.Close)
	key, strange := yubikeytest.New(8001), yubikeytest.New(8002)
	file := filepath.Join(t.TempDir(), "keys.csv")
	if err := os.WriteFile(file, []byte(key.CSV()+"\n"+strange.CSV()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := besiege(t, "samba", strings.Replace(roomyLimits, "limits:\n", "limits:\n  answer: 1000/15m\n  send: 1000/10m\n  send_day: 1000/1d\n  destination: 1000/1h\n  start_account: 1000/15m\n", 1)+`sms:
  provider: gateway
  region: DE
  gateway:
    url: `+gateway.URL+`/send
    body: '{"to":{{json .To}},"text":{{json .Text}}}'
    success: {status: [200], json: status, equals: [queued]}
factors:
  yubikey: {offline: true, keys: `+file+`}
policy:
  plans:
    reset: {allowed: [passkey, totp, yubikey, email, sms, recovery_code], per_day: 50}
`)
	m := ldap.NewModifyRequest(s.h.DC.Person("user1").DN, nil)
	m.Replace("mobile", []string{"0151 23456789"})
	if err := s.h.DC.Modify(m); err != nil {
		t.Fatal(err)
	}
	owner := s.enrols(t, "user1")
	stranger := s.enrols(t, "user2")
	device, other := passkeytest.New(s.p.URL), passkeytest.New(s.p.URL)
	for _, o := range []struct {
		w *walker
		d *passkeytest.Authenticator
	}{{owner, device}, {stranger, other}} {
		o.w.get("/me/factors")
		made, err := o.d.Create(o.w.post("/me/factors/passkey/offer").want(t, 200, "offer", "").options(t))
		if err != nil {
			t.Fatal(err)
		}
		o.w.on("/me/factors/passkey/enrol", "answer", string(made), "name", "Work laptop").want(t, 200, "factors", "")
	}
	owner.post("/me/factors/yubikey/offer").want(t, 200, "offer", "")
	owner.on("/me/factors/yubikey/enrol", "answer", key.Press(), "name", "Blue key").want(t, 200, "factors", "")

	used := 0
	// settles ends a proven case with the next password, and proves it.
	settles := func(w *walker) {
		t.Helper()
		w.sets(inTurn[used]).want(t, 200, "done", "")
		s.proves("user1", inTurn[used])
		used++
	}
	begin := func() *walker { return s.walker(t).start("reset", "user1") }
	sign := func(w *walker, by *passkeytest.Authenticator, knobs ...passkeytest.Knob) string {
		t.Helper()
		r := w.on("/recover/choose", "factor", "passkey").want(t, 200, "answer", "")
		answer, err := by.Get(r.options(t), knobs...)
		if err != nil {
			t.Fatal(err)
		}
		return string(answer)
	}
	text := func(w *walker) string {
		t.Helper()
		w.on("/recover/choose", "factor", "sms").want(t, 200, "answer", "")
		return regexp.MustCompile(`[A-HJ-NP-Z2-9]{4}-[A-HJ-NP-Z2-9]{4}`).FindString(<-texts)
	}

	// Misused: another person's, another case's, altered, made up. Each opens nothing.
	w := begin()
	if r := w.on("/recover/answer", "answer", sign(w, other)); r.Error() != "wrong_passkey" {
		t.Errorf("another person's passkey: %q", r.Error())
	}
	w = begin()
	if r := w.on("/recover/answer", "answer", sign(w, device, passkeytest.Over(make([]byte, 32)))); r.Error() != "wrong_passkey" {
		t.Errorf("a passkey over another challenge: %q", r.Error())
	}
	for factor, wrong := range map[string]string{"totp": "000000", "recovery_code": "0000-0000-0000-0000", "yubikey": strange.Press(), "email": "AAAA-AAAA", "sms": "AAAA-AAAA"} {
		w = begin()
		r := w.on("/recover/choose", "factor", factor).want(t, 200, "answer", "")
		if r = w.on("/recover/answer", "answer", wrong); r.Status != 422 || r.Error() != "wrong_code" {
			t.Errorf("%s: %d %q", factor, r.Status, r.Error())
		}
	}
	<-texts
	one, two := begin(), begin()
	code := text(one)
	text(two)
	if r := two.on("/recover/answer", "answer", code); r.Status != 422 {
		t.Errorf("another case's text message: %d", r.Status)
	}

	// Used, each beside another where it needs one.
	w = begin()
	w.on("/recover/answer", "answer", sign(w, device)).want(t, 200, "new-password", "")
	settles(w)
	w = begin()
	w.answers("yubikey", key.Press()).want(t, 200, "choose", "")
	w.on("/recover/answer", "answer", w.mailedCode("/recover", "user1")).want(t, 200, "new-password", "")
	settles(w)
	w = begin()
	w.on("/recover/answer", "answer", text(w)).want(t, 200, "choose", "")
	w.answers("recovery_code", s.saved("user1")[1]).want(t, 200, "new-password", "")
	settles(w)
	roomy()
	w = begin()
	w.answers("totp", s.code(t, "user1", 0)).want(t, 200, "choose", "")
	w.answers("recovery_code", s.saved("user1")[2]).want(t, 200, "new-password", "")
	settles(w)
	if r := begin().answers("recovery_code", s.saved("user1")[2]); r.Status != 422 {
		t.Errorf("a recovery code was taken twice: %d", r.Status)
	}

	// Removed: worth nothing from that moment on.
	owner = s.walker(t).signsIn("user1", inTurn[used-1])
	for i, name := range []string{"Work laptop", "Blue key"} {
		owner.removes(name, s.saved("user1")[3+i])
	}
	w = begin()
	if r := w.on("/recover/answer", "answer", sign(w, device)); r.Error() != "wrong_passkey" {
		t.Errorf("a removed passkey: %q", r.Error())
	}
	if r := begin().answers("yubikey", key.Press()); r.Status != 422 {
		t.Errorf("a removed key: %d", r.Status)
	}
}
