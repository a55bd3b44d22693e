package portaltest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"postern/verify/yubikey/yubikeytest"
)

// A YubiKey of a site without internet: imported, enrolled by its owner, used
// for a reset beside a recovery code, and refused to everybody else (security
// cases 89 and 91).
func TestYubiKeyGetsItsOwnerBackIn(t *testing.T) {
	t.Parallel()
	key, spare := yubikeytest.New(7001), yubikeytest.New(7002)
	file := filepath.Join(t.TempDir(), "keys.csv")
	if err := os.WriteFile(file, []byte(key.CSV()+"\n"+spare.CSV()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := besiege(t, "slapd", roomyLimits+`factors:
  yubikey: {offline: true, keys: `+file+`}
policy:
  plans:
    reset: {allowed: [passkey, totp, yubikey, email, recovery_code]}
`)
	s.enrols(t, "user1")
	w := s.walker(t).signsIn("user2", s.h.Password("user2"))
	w.get("/me/factors")
	w.post("/me/factors/yubikey/offer").want(t, 200, "offer", "")
	used := key.Press()
	w.on("/me/factors/yubikey/enrol", "answer", used, "name", "Blue key").want(t, 200, "factors", "")

	// Somebody else's key, a key nobody enrolled, and what the key typed before.
	for what, answer := range map[string]string{"an unregistered key": spare.Press(), "used at the enrolment": used} {
		if r := s.walker(t).start("reset", "user2").answers("yubikey", answer); r.Step() != "choose" || r.Error() == "" || r.Status != 422 {
			t.Errorf("%s: %d at %q with %q", what, r.Status, r.Step(), r.Error())
		}
	}
	if r := s.walker(t).start("reset", "user1").answers("yubikey", key.Press()); r.Status != 422 {
		t.Errorf("another person's key opened a gate: %d at %q", r.Status, r.Step())
	}

	w = s.walker(t).start("reset", "user2")
	w.answers("yubikey", key.Press()).want(t, 200, "choose", "")
	w.on("/recover/answer", "answer", w.mailedCode("/recover", "user2")).want(t, 200, "new-password", "")
	w.sets("Heron-Sextant-42-Rope").want(t, 200, "done", "")
	s.proves("user2", "Heron-Sextant-42-Rope")
}

// A code by SMS goes to the number the directory has, through the gateway, and
// opens one gate; beside a mailed code it is no second one.
func TestSMSCodeReachesThePhoneOnFile(t *testing.T) {
	t.Parallel()
	type sent struct{ To, Text string }
	got := make(chan sent, 10)
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m sent
		if body, err := io.ReadAll(r.Body); err != nil || json.Unmarshal(body, &m) != nil || r.Method != "POST" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		got <- m
		fmt.Fprint(w, `{"status":"queued"}`)
	}))
	t.Cleanup(gateway.Close)
	s := besiege(t, "slapd", roomyLimits+`sms:
  provider: gateway
  region: DE
  gateway:
    url: `+gateway.URL+`/send
    body: '{"to":{{json .To}},"text":{{json .Text}}}'
    success: {status: [200], json: status, equals: [queued]}
policy:
  plans:
    reset: {allowed: [passkey, totp, email, sms, recovery_code]}
`)
	s.enrols(t, "user1")
	m := ldap.NewModifyRequest(s.h.LDAP.Person("user1").DN, nil)
	m.Replace("mobile", []string{"0151 23456789"})
	if err := s.h.LDAP.Modify(m); err != nil {
		t.Fatal(err)
	}
	w := s.walker(t).start("reset", "user1")
	w.on("/recover/choose", "factor", "sms").want(t, 200, "answer", "")
	message := <-got
	code := regexp.MustCompile(`[A-HJ-NP-Z2-9]{4}-[A-HJ-NP-Z2-9]{4}`).FindString(message.Text)
	if message.To != "+4915123456789" || code == "" {
		t.Fatalf("the gateway got %+v", message)
	}
	w.on("/recover/answer", "answer", code).want(t, 200, "choose", "")
	if r := w.on("/recover/choose", "factor", "email"); r.Status < 400 {
		t.Errorf("mail as a second gate beside SMS: %d at %q", r.Status, r.Step())
	}
	w.answers("recovery_code", s.saved("user1")[0]).want(t, 200, "new-password", "")
	w.sets("Heron-Sextant-42-Rope").want(t, 200, "done", "")
	s.proves("user1", "Heron-Sextant-42-Rope")
}
