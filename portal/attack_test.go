package portal

import (
	"testing"

	"postern/directory"
	"postern/portal/enrol"
)

// security case 46: the session of an account that was disabled ends with the
// next page, whichever it is, and does not come back when the account does.
func TestASessionEndsWithItsAccount(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/me", "/me/factors", "/me/activity", "/me/factors/cred1/remove", "/me/methods", "/me/methods/tel/remove"} {
		h := open(t)
		b := h.signedIn()
		h.own.ended = enrol.ErrEnded
		b.get(path).leads(t, "/")
		h.own.ended = nil
		b.get("/me").leads(t, "/signin")
	}
	for _, path := range []string{"/me/factors/totp/offer", "/me/factors/cred1/remove", "/me/methods/tel/remove"} {
		h := open(t)
		b := h.signedIn()
		b.get("/me/factors")
		h.own.ended = enrol.ErrEnded
		b.post(path).leads(t, "/")
		h.own.ended = nil
		b.get("/me").leads(t, "/signin")
		if len(h.own.calls) != 0 {
			t.Errorf("%s: %v", path, h.own.calls)
		}
	}
	h := open(t)
	b := h.signedIn()
	h.own.ended = directory.ErrUnavailable
	if a := b.get("/me"); a.StatusCode != 503 {
		t.Errorf("with the directory down: %d", a.StatusCode)
	}
	h.own.ended = nil
	b.get("/me").want(t, 200, "Me") // an outage ends nobody's session
}
