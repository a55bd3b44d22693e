package portaltest

import (
	"context"
	"crypto/rand"
	"fmt"
	mrand "math/rand/v2"
	"strings"
	"sync"
	"time"

	"postern/verify/totp"
)

// errand is one thing people come for. right: it ends well unless something is broken.
type errand struct {
	name  string
	crowd string // of whom
	share int
	right bool
	do    func(*soak, *member, int) ending
}

var errands = []errand{
	{"reset", "able", 3, true, (*soak).resets},
	{"change", "able", 1, true, (*soak).changes},
	{"unlock", "able", 1, true, (*soak).unlocks},
	{"walk away", "able", 1, false, (*soak).walksAway},
	{"wrong proof", "careless", 1, false, (*soak).provesWrong},
	{"one code twice", "hurried", 1, true, (*soak).usesTwice},
}

// pairs of proofs that are enough.
var pairs = [][]string{{"email", "totp"}, {"totp", "recovery_code"}, {"email", "recovery_code"}}

// begins starts a case that needs those factors.
func (s *soak) begins(w *walk, m *member, purpose string, factors ...string) error {
	if strings.Contains(strings.Join(factors, " "), "totp") {
		if err := s.reg.app(context.Background(), []*member{m}); err != nil {
			return err
		}
	}
	if len(m.codes) == 0 {
		if err := s.reg.paper(context.Background(), []*member{m}); err != nil {
			return err
		}
	}
	if err := w.get("/recover/" + purpose); err != nil {
		return err
	}
	if err := w.at("start"); err != nil {
		return err
	}
	return w.post("/recover/start", "purpose", purpose, "login", m.login)
}

func (s *soak) resets(m *member, n int) ending {
	w := s.walk(s.client)
	defer w.close()
	factors := pairs[n%len(pairs)]
	if err := s.begins(w, m, "reset", factors...); err != nil {
		return w.stop(err)
	}
	for _, f := range factors {
		if err := w.proves(m, f); err != nil {
			return w.stop(fmt.Errorf("%s: %w", f, err))
		}
	}
	return w.saves()
}

func (s *soak) changes(m *member, _ int) ending {
	w := s.walk(s.client)
	defer w.close()
	err := w.get("/recover/change")
	if err == nil {
		err = w.at("start")
	}
	if err == nil {
		err = w.post("/recover/start", "purpose", "change", "login", m.login, "current", m.password)
	}
	if err != nil {
		return w.stop(err)
	}
	return w.saves()
}

func (s *soak) unlocks(m *member, n int) ending {
	if err := s.house.LDAP.Lock(m.login); err != nil {
		return ending{told: odd, why: err.Error()}
	}
	w := s.walk(s.client)
	defer w.close()
	stop := func(err error) ending {
		e := w.stop(err)
		e.unlocks = true
		return e
	}
	factors := pairs[n%len(pairs)]
	if err := s.begins(w, m, "unlock", factors...); err != nil {
		return stop(err)
	}
	if err := w.proves(m, factors[0]); err != nil {
		return stop(err)
	}
	thinks()
	err := w.proves(m, factors[1]) // which unlocks
	if w.posted == 422 || w.posted == 429 {
		return stop(err)
	}
	e := w.learns(err, "choose", "answer")
	e.unlocks = true
	return e
}

// thinks is somebody who makes up a password, or looks for a code: so there are always
// some who are about to have something written.
func thinks() { time.Sleep(time.Duration(mrand.IntN(3000)) * time.Millisecond) }

func (s *soak) walksAway(m *member, n int) ending {
	w := s.walk(s.client)
	defer w.close()
	if err := s.begins(w, m, "reset", "recovery_code"); err != nil {
		return w.stop(err)
	}
	if err := w.at("choose"); err != nil {
		return w.stop(err)
	}
	switch n % 3 {
	case 1:
		if err := w.post("/recover/choose", "factor", "email"); err != nil {
			return w.stop(err)
		}
	case 2:
		if err := w.proves(m, "recovery_code"); err != nil {
			return w.stop(err)
		}
	}
	return ending{told: left}
}

// provesWrong gives what is no proof, and then tries to go on as if it were one.
func (s *soak) provesWrong(m *member, n int) ending {
	w := s.walk(s.client)
	defer w.close()
	if n%3 == 2 {
		err := w.get("/recover/change")
		if err == nil {
			err = w.post("/recover/start", "purpose", "change", "login", m.login, "current", freshPassword())
		}
		return w.mustBeRefused(err)
	}
	factor := []string{"totp", "recovery_code"}[n%3]
	if err := s.begins(w, m, "reset", factor); err != nil {
		return w.stop(err)
	}
	err := w.at("choose")
	if err == nil {
		err = w.post("/recover/choose", "factor", factor)
	}
	if err == nil {
		err = w.at("answer")
	}
	if err != nil {
		return w.stop(err)
	}
	return w.mustBeRefused(w.post("/recover/answer", "answer", wrongAnswer(m, factor)))
}

// mustBeRefused looks at the answer to what was wrong.
func (w *walk) mustBeRefused(err error) ending {
	if err == nil {
		if w.step() != "refused" {
			return ending{told: odd, why: "what is wrong was taken: " + w.what()}
		}
		return ending{told: refused}
	}
	if w.posted != 422 {
		return w.stop(err)
	}
	next := freshPassword()
	if err := w.post("/recover/password", "password", next, "confirm", next); err == nil || w.posted == 303 {
		return ending{told: odd, next: next, why: "a password was taken without proofs: " + w.what()}
	}
	return ending{told: refused, next: next}
}

func wrongAnswer(m *member, factor string) string {
	if factor == "recovery_code" {
		code := []byte(m.codes[0])
		for i := range 4 { // of characters that codes have
			code[i] = m.codes[0][(i+1)%4]
		}
		if string(code) == m.codes[0] {
			code[0] = m.codes[0][5]
		}
		return string(code)
	}
	var b [1]byte
	for {
		_, _ = rand.Read(b[:])
		wrong := fmt.Sprintf("%06d", 100_003+int(b[0])*3111)
		right := false
		for ago := range 5 {
			code, err := totp.Code(m.secret, time.Now().Add(time.Duration(ago-2)*30*time.Second))
			right = right || err != nil || code == wrong
		}
		if !right {
			return wrong
		}
	}
}

// usesTwice gives one recovery code in two cases, at both nodes at the same time. Where
// both were answered exactly one was told that it is good, and that one goes on.
func (s *soak) usesTwice(m *member, _ int) ending {
	ws := []*walk{s.walk(s.direct[0]), s.walk(s.direct[1])} // past the proxy
	for _, w := range ws {
		defer w.close()
		err := s.begins(w, m, "reset", "totp")
		if err == nil {
			err = w.post("/recover/choose", "factor", "recovery_code")
		}
		if err == nil {
			err = w.at("answer")
		}
		if err != nil {
			return w.stop(err)
		}
	}
	code, _ := m.answer("recovery_code", nil)
	var both sync.WaitGroup
	var errs [2]error
	for i, w := range ws {
		both.Go(func() { errs[i] = w.post("/recover/answer", "answer", code) })
	}
	both.Wait()
	if why := s.onceAtMost(ws[0].posted, ws[1].posted); why != "" {
		return ending{told: odd, why: fmt.Sprintf("%s: %v", why, errs)}
	}
	for i, w := range ws {
		if w.posted != 303 {
			continue
		}
		if errs[i] != nil {
			return w.stop(errs[i])
		}
		if err := w.proves(m, "totp"); err != nil {
			return w.stop(err)
		}
		return w.saves()
	}
	for i, w := range ws {
		if w.posted != 422 {
			return w.stop(errs[i])
		}
	}
	return ending{told: odd, why: fmt.Sprint(errs)}
}

// onceAtMost judges the answers to one code given twice.
func (s *soak) onceAtMost(a, b int) string {
	switch {
	case a == 303 && b == 303:
		return "one code was taken twice"
	case a == 422 && b == 422:
		return "a good code was taken by neither"
	case a == 303 && b == 422 || a == 422 && b == 303:
		s.twice.Add(1)
	}
	return ""
}
