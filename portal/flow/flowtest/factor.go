package flowtest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"postern/directory"
	"postern/verify"
)

// Factor accepts Right(kind, case, serial) once, where serial counts the
// challenges it opened; nothing else, and nothing for a decoy.
type Factor struct {
	K       verify.Kind
	Sends   bool
	Now     func() time.Time
	mu      sync.Mutex
	serial  int
	used    map[string]bool
	Checked int
	Err     error     // returned by Check when set
	Since   time.Time // of the evidence
}

func (f *Factor) Kind() verify.Kind { return f.K }

func (f *Factor) Begin(_ context.Context, s verify.Subject) (verify.Challenge, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.serial++
	ch := verify.Challenge{Kind: f.K, State: []byte(Right(f.K, s.Case, f.serial)), Expires: f.Now().Add(10 * time.Minute)}
	if f.Sends {
		ch.Deliver = []verify.Delivery{{Channel: "mail", Template: "code", Args: map[string]string{"code": string(ch.State)}}}
	}
	return ch, nil
}

func (f *Factor) Check(_ context.Context, s verify.Subject, c verify.Challenge, answer []byte) (verify.Evidence, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Checked++
	switch {
	case f.Err != nil:
		return verify.Evidence{}, f.Err
	case s.User == nil || string(answer) != string(c.State):
		return verify.Evidence{}, verify.ErrWrong
	case f.used[string(answer)]:
		return verify.Evidence{}, verify.ErrReplayed
	}
	if f.used == nil {
		f.used = map[string]bool{}
	}
	f.used[string(answer)] = true
	return verify.Evidence{Credential: "c-" + string(f.K), Since: f.Since}, nil
}

// Right is the answer to the nth challenge of a kind in one case.
func Right(k verify.Kind, id string, n int) string { return fmt.Sprintf("%s/%s/%d", k, id, n) }

// Password is a factor over a Directory's own passwords.
type Password struct {
	D   *Directory
	Now func() time.Time
}

func (Password) Kind() verify.Kind { return verify.Password }

func (p Password) Begin(context.Context, verify.Subject) (verify.Challenge, error) {
	return verify.Challenge{Kind: verify.Password, Expires: p.Now().Add(10 * time.Minute)}, nil
}

func (p Password) Check(ctx context.Context, s verify.Subject, _ verify.Challenge, answer []byte) (verify.Evidence, error) {
	u := directory.User{ID: "nobody"}
	if s.User != nil {
		u = *s.User
	}
	return verify.Evidence{}, p.D.Authenticate(ctx, u, directory.NewSecret(string(answer)))
}
