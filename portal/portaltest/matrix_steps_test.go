package portaltest

import (
	"fmt"
	"strings"
	"time"
)

// enters starts a case and proves what is named.
func (x *rig) enters(r *rider, m *member, proofs ...string) error {
	err := r.get("/recover/reset")
	if err == nil {
		err = r.post("/recover/start", "purpose", "reset", "login", m.login)
	}
	for _, p := range proofs {
		if err == nil {
			err = r.prove("/recover", m, x.mail, p)
		}
	}
	return err
}

// brought starts a case in which a factor was asked for.
func (x *rig) brought(r *rider, m *member, factor string) error {
	if err := x.enters(r, m); err != nil {
		return err
	}
	if err := r.post("/recover/choose", "factor", factor); err != nil {
		return err
	}
	return r.at("answer")
}

// step is one thing that people come to: what they did before, while all was whole, the
// request itself, and where it leads.
type step struct {
	name  string
	ready func(*rig, *rider, *member) error
	do    func(*rig, *rider, *member) error
	to    string
}

var steps = []step{
	{"first page", nil, func(_ *rig, r *rider, _ *member) error { return r.get("/recover/reset") }, "start"},
	{"start", (*rig).atTheForm, func(_ *rig, r *rider, m *member) error {
		return r.post("/recover/start", "purpose", "reset", "login", m.login)
	}, "choose"},
	{"start of a stranger", (*rig).atTheForm, func(_ *rig, r *rider, _ *member) error {
		return r.post("/recover/start", "purpose", "reset", "login", "nobody-of-that-name")
	}, "choose"},
	{"send a mail", func(x *rig, r *rider, m *member) error { return x.enters(r, m) }, func(_ *rig, r *rider, _ *member) error {
		return r.post("/recover/choose", "factor", "email")
	}, "answer"},
	{"send a text", func(x *rig, r *rider, m *member) error { return x.enters(r, m) }, func(_ *rig, r *rider, _ *member) error {
		return r.post("/recover/choose", "factor", "sms")
	}, "answer"},
	{"app", func(x *rig, r *rider, m *member) error { return x.brought(r, m, "totp") }, proves("totp"), "choose"},
	{"recovery code", func(x *rig, r *rider, m *member) error { return x.brought(r, m, "recovery_code") }, proves("recovery_code"), "choose"},
	{"mailed code", func(x *rig, r *rider, m *member) error {
		x.mail.expect(m.mail)
		return x.brought(r, m, "email")
	}, proves("email"), "choose"},
	{"security key", func(x *rig, r *rider, m *member) error { return x.brought(r, m, "yubikey") }, func(x *rig, r *rider, _ *member) error {
		return r.post("/recover/answer", "answer", x.key.Press())
	}, "choose"},
	{"write", func(x *rig, r *rider, m *member) error { return x.enters(r, m, "totp", "recovery_code") }, savesOne, "done"},
	{"change", func(_ *rig, r *rider, _ *member) error { return r.get("/recover/change") }, func(_ *rig, r *rider, m *member) error {
		return r.post("/recover/start", "purpose", "change", "login", m.login, "current", m.password)
	}, "new-password"},
	{"sign-in", func(_ *rig, r *rider, _ *member) error { return r.get("/signin") }, func(_ *rig, r *rider, m *member) error {
		return r.post("/signin/start", "login", m.login, "current", m.password)
	}, "choose"},
	{"own factors", func(_ *rig, r *rider, m *member) error { return r.signIn(m) }, func(_ *rig, r *rider, _ *member) error {
		return r.get("/me/factors")
	}, "factors"},
}

func (x *rig) atTheForm(r *rider, _ *member) error { return r.get("/recover/reset") }

func proves(factor string) func(*rig, *rider, *member) error {
	return func(x *rig, r *rider, m *member) error {
		answer, err := m.answer(factor, x.mail)
		if err != nil {
			return err
		}
		return r.post("/recover/answer", "answer", answer)
	}
}

func savesOne(_ *rig, r *rider, m *member) error {
	m.old, m.password = m.password, freshPassword()
	return r.post("/recover/password", "password", m.password, "confirm", m.password)
}

// try is one step of somebody, and what they were answered.
type try struct {
	step
	m    *member
	r    *rider
	took time.Duration // the longest of its answers
	was  string        // "ok", "503", or what there should never be
}

func (x *rig) rider() *rider { return newRider(x.node, x.p.URL, &x.asked) }

// comes does the step and notes the answer.
func (x *rig) comes(t *try) {
	t.r.heard = func(took time.Duration, _ error) { t.took = max(t.took, took) }
	err := t.do(x, t.r, t.m)
	t.r.heard = nil
	body := string(t.r.resp.Body())
	switch status := t.r.resp.StatusCode(); {
	case status == 503 && between(t.r.resp.Body(), `data-error="`, `"`) == "unavailable" && len(t.r.resp.Header.Peek("Retry-After")) > 0 && !strings.Contains(body, "127.0.0.1"):
		t.was = "503"
	case err == nil && t.r.at(t.to) == nil:
		t.was = "ok"
	case t.name == "write" && err == nil && t.r.at("applying") == nil:
		t.was = "applying"
	default:
		t.was = fmt.Sprintf("%v (%s)", err, t.r.what())
	}
}
