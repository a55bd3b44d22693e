package portaltest

import (
	"context"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"time"

	"postern/portal/limit"
	"postern/verify/totp"
)

// boundless raises every limit there is, for load that comes from one address.
func boundless() string {
	var b strings.Builder
	b.WriteString("limits:\n")
	for f := range reflect.TypeFor[limit.Config]().Fields() {
		if f.Type == reflect.TypeFor[limit.Rate]() {
			fmt.Fprintf(&b, "  %s: 999999999/1m\n", f.Tag.Get("yaml"))
		}
	}
	b.WriteString("policy:\n  plans:\n    reset:\n      per_day: 0\n    unlock:\n      per_day: 0\n")
	return b.String()
}

// change walks the whole way of somebody who knows the password: the form, the
// page for the new one, the page that says it is done.
func (r *rider) change(m *member, next string) error {
	for _, step := range []func() error{
		func() error { return r.get("/recover/change") },
		func() error {
			return r.begin("/recover/start", "purpose", "change", "login", m.login, "current", m.password)
		},
		func() error { return r.at("new-password") },
		func() error { return r.save(m, next) },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("change of %s: %w", m.login, err)
		}
	}
	return nil
}

func (r *rider) save(m *member, next string) error {
	if err := r.post("/recover/password", "password", next, "confirm", next); err != nil {
		return err
	}
	if err := r.at("done"); err != nil {
		return err
	}
	m.old, m.password = m.password, next
	return nil
}

// reset walks a whole forgot-password case through the given factors.
func (r *rider) reset(m *member, next string, mail *post, factors ...string) error {
	err := r.get("/recover/reset")
	if err == nil {
		err = r.begin("/recover/start", "purpose", "reset", "login", m.login)
	}
	for _, f := range factors {
		if err == nil {
			err = r.prove("/recover", m, mail, f)
		}
	}
	if err == nil {
		err = r.at("new-password")
	}
	if err == nil {
		err = r.save(m, next)
	}
	if err != nil {
		return fmt.Errorf("reset of %s: %w", m.login, err)
	}
	return nil
}

// signIn walks to /me with the password and the app.
func (r *rider) signIn(m *member) error {
	err := r.get("/signin")
	if err == nil {
		err = r.begin("/signin/start", "login", m.login, "current", m.password)
	}
	if err == nil {
		err = r.prove("/signin", m, nil, "totp")
	}
	if err == nil {
		err = r.at("me")
	}
	if err != nil {
		return fmt.Errorf("sign-in of %s: %w", m.login, err)
	}
	return nil
}

func (r *rider) prove(door string, m *member, mail *post, factor string) error {
	if err := r.at("choose"); err != nil {
		return err
	}
	if factor == "email" {
		mail.expect(m.mail)
	}
	if err := r.post(door+"/choose", "factor", factor); err != nil {
		return err
	}
	if err := r.at("answer"); err != nil {
		return err
	}
	answer, err := m.answer(factor, mail)
	if err != nil {
		return err
	}
	return r.post(door+"/answer", "answer", answer)
}

// answer is what the person reads off their app, paper or mail.
func (m *member) answer(factor string, mail *post) (string, error) {
	switch factor {
	case "totp":
		return totp.Code(m.secret, time.Now())
	case "recovery_code":
		code := m.codes[0]
		m.codes = m.codes[1:]
		return code, nil
	}
	return mail.code(m.mail)
}

// post is everybody's mailbox: it passes codes on and counts.
type post struct {
	mu      sync.Mutex
	waiting map[string]chan string
	arrived int
	more    chan struct{} // closed and replaced at every arrival
}

func newPost(sink *MailSink) *post {
	p := &post{waiting: map[string]chan string{}, more: make(chan struct{})}
	sink.Divert(p.take)
	return p
}

// codeLine is the line of the text part that holds nothing but the code.
var codeLine = regexp.MustCompile(`^ {4}([A-HJ-NP-Z2-9]{4}-[A-HJ-NP-Z2-9]{4})\r?\n`)

// mailedCode is the code in a message; empty when there is none.
func mailedCode(raw string) string {
	for rest := raw; ; {
		i := strings.Index(rest, "\n    ")
		if i < 0 {
			return ""
		}
		rest = rest[i+1:]
		if m := codeLine.FindStringSubmatch(rest); m != nil {
			return m[1]
		}
	}
}

func (p *post) take(to []string, raw string) {
	code := mailedCode(raw)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range to {
		p.arrived++
		if w := p.waiting[a]; w != nil && code != "" {
			select {
			case w <- code:
			default: // nobody took the one before
			}
		}
	}
	close(p.more)
	p.more = make(chan struct{})
}

// expect opens the mailbox, before the code is asked for.
func (p *post) expect(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting[address] = make(chan string, 1)
}

func (p *post) code(address string) (string, error) {
	p.mu.Lock()
	w := p.waiting[address]
	p.mu.Unlock()
	if w == nil {
		return "", fmt.Errorf("nobody expects mail to %s", address)
	}
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.waiting, address)
	}()
	select {
	case c := <-w:
		return c, nil
	case <-time.After(20 * time.Second):
		return "", fmt.Errorf("no code came to %s in 20 s", address)
	}
}

// settle waits until so many messages have arrived in all, so that what a flow
// sends afterwards is counted with it.
func (p *post) settle(ctx context.Context, arrived int) error {
	for {
		p.mu.Lock()
		have, more := p.arrived, p.more
		p.mu.Unlock()
		if have >= arrived {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d messages arrived: %w", have, arrived, ctx.Err())
		}
	}
}
