package flow_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/flow"
	"postern/portal/flow/flowtest"
	"postern/portal/limit"
	"postern/portal/password"
	"postern/portal/policy"
	"postern/verify"
)

// clock is a clock that moves only when told to.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// stubPolicy reads the rig's daily limit.
type stubPolicy struct{ r *rig }

func (s stubPolicy) For(d access.Door, p policy.Purpose, u directory.User) policy.Plan {
	if own, has := s.r.plansOf[u.ID]; has {
		return own
	}
	if d == access.Desk {
		return s.r.deskPlan
	}
	out, own := s.r.plans[p]
	if !own {
		out = plan(p)
	}
	out.PerDay = s.r.perDay
	return out
}
func (stubPolicy) Decoy(_ access.Door, p policy.Purpose, _ []byte) policy.Plan { return plan(p) }
func (stubPolicy) Eligible(u directory.User) string {
	switch {
	case u.Privileged != "":
		return "privileged"
	case u.State.Disabled:
		return "disabled"
	}
	return ""
}

func plan(p policy.Purpose) policy.Plan {
	out := policy.Plan{Name: "test", Life: 15 * time.Minute, Tries: 5, Gates: 2,
		Allowed: []verify.Kind{verify.Passkey, verify.TOTP, verify.Email, verify.SMS, verify.RecoveryCode},
		Alone:   []verify.Kind{verify.Passkey}, Anchor: []verify.Class{verify.Possession, verify.Saved}}
	switch p {
	case policy.Change:
		out.Allowed, out.Alone, out.Gates, out.Anchor = []verify.Kind{verify.Password}, []verify.Kind{verify.Password}, 1, nil
	case policy.SignIn:
		out.Allowed = append([]verify.Kind{verify.Password}, out.Allowed...)
		out.First, out.Anchor = verify.Password, nil
	}
	return out
}

type stubJudge struct{}

func (stubJudge) Judge(pw directory.Secret, _ directory.Rules, _ directory.User) []password.Problem {
	if pw.Len() < 8 {
		return []password.Problem{{Key: "too_short"}}
	}
	return nil
}
func (stubJudge) Checklist(directory.Rules, directory.User) []password.Item { return nil }

func (stubPolicy) StepUp(_ access.Door, _ directory.User, _ []verify.Kind) policy.Plan {
	return plan(policy.StepUp)
}

type openLimits struct{ err error }

func (o openLimits) Failed(context.Context, string, string) error { return o.err }

func (o openLimits) Take(context.Context, limit.Name, string) error { return o.err }

// rig is a portal core over doubles: two nodes, one store, one directory.
type rig struct {
	t        testing.TB
	clock    *clock
	store    *flowtest.Store
	known    *flowtest.Accounts
	dir      *flowtest.Directory
	nodes    [2]*flow.Service
	fac      map[verify.Kind]*flowtest.Factor
	strike   flow.StrikeRule
	fail     func(string)
	perDay   int
	limits   flow.Limits
	plans    map[policy.Purpose]policy.Plan // in place of the usual ones, for people
	plansOf  map[directory.ID]policy.Plan
	vault    map[verify.Kind][]verify.Credential
	wrap     func(verify.Factor) verify.Factor
	more     []verify.Factor
	deskPlan policy.Plan
	threat   flowtest.Threats
}

const (
	alice   = directory.ID("test:alice")
	bob     = directory.ID("test:bob")
	admin   = directory.ID("test:admin")
	oldPass = "old password 1"
	newPass = "a new password 2"
)

func newRig(t testing.TB, change ...func(*rig)) *rig {
	r := &rig{t: t, clock: &clock{t: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)}, store: flowtest.NewStore(), known: flowtest.NewAccounts(), strike: flow.DefaultStrikeRule, fac: map[verify.Kind]*flowtest.Factor{},
		limits: openLimits{}, vault: map[verify.Kind][]verify.Credential{}, wrap: func(f verify.Factor) verify.Factor { return f }}
	r.dir = &flowtest.Directory{Now: r.clock.Now, Policy: directory.Rules{MinLength: 10, History: 5, LockoutThreshold: 5, LockoutWindow: 30 * time.Minute}}
	set := r.clock.Now().Add(-24 * time.Hour)
	for _, u := range map[directory.ID]directory.User{
		alice: {ID: alice, Login: "alice", UPN: "alice@example.org", Mail: []string{"alice@example.org", "alice@home.example"}, State: directory.State{PasswordSet: set}},
		bob:   {ID: bob, Login: "bob", Mail: []string{"bob@example.org"}, State: directory.State{PasswordSet: set}},
		admin: {ID: admin, Login: "admin", UPN: "root@example.org", Privileged: "Domain Admins", State: directory.State{PasswordSet: set}},
	} {
		r.dir.Add(u, oldPass)
	}
	factors := []verify.Factor{flowtest.Password{D: r.dir, Now: r.clock.Now}}
	for _, k := range []verify.Kind{verify.Passkey, verify.TOTP, verify.Email, verify.SMS, verify.RecoveryCode} {
		r.fac[k] = &flowtest.Factor{K: k, Sends: k.Class() == verify.Issued, Now: r.clock.Now}
		factors = append(factors, r.fac[k])
		r.vault[k] = []verify.Credential{{ID: "c-" + string(k)}} // what the factor's evidence names
	}
	r.known.Told = r.store
	for _, c := range change {
		c(r)
	}
	factors = append(factors, r.more...)
	for i, f := range factors {
		factors[i] = r.wrap(f)
	}
	for i := range r.nodes {
		s, err := flow.New(flow.Options{Directory: r.dir, Policy: stubPolicy{r}, Factors: factors, Vault: oneOfEach{r: r}, Store: r.store, Counters: r.store,
			Accounts: r.known, ContactKey: bytes.Repeat([]byte{8}, 32), Operators: []string{"security@example.org"},
			Threats: &r.threat, Limits: r.limits, Judge: stubJudge{}, DecoyKey: bytes.Repeat([]byte{7}, 32), Strikes: r.strike, Now: r.clock.Now, Rand: rand.Reader,
			Failpoint: func(p string) {
				if r.fail != nil {
					r.fail(p)
				}
			}})
		if err != nil {
			t.Fatal(err)
		}
		r.nodes[i] = s
	}
	return r
}

// oneOfEach is a vault in which everybody has what the rig says, but for the twin.
type oneOfEach struct {
	verify.Vault
	r *rig
}

func (v oneOfEach) Credentials(_ context.Context, owner directory.ID, k verify.Kind) ([]verify.Credential, error) {
	if owner == twin {
		return nil, nil
	}
	return v.r.vault[k], nil
}

var ctx = context.Background()

func hold(who string) []byte { return []byte(fmt.Sprintf("%-32s", who)) }

func (r *rig) start(p policy.Purpose, login string) *flow.Case {
	r.t.Helper()
	c, err := r.nodes[0].Start(ctx, flow.StartRequest{Purpose: p, Door: access.Web, Login: login, Address: "192.0.2.1", Lang: "en", Hold: hold(login)})
	if err != nil {
		r.t.Fatalf("start %s %s: %v", p, login, err)
	}
	return c
}

// prove gives the right answer for a factor.
func (r *rig) prove(c *flow.Case, k verify.Kind) *flow.Case {
	r.t.Helper()
	c, err := r.nodes[0].Choose(ctx, c.ID, k, "")
	if err != nil {
		r.t.Fatalf("choose %s: %v", k, err)
	}
	c, err = r.nodes[1].Prove(ctx, c.ID, c.Open.State, nil)
	if err != nil {
		r.t.Fatalf("prove %s: %v", k, err)
	}
	return c
}

func (r *rig) proven(login string) *flow.Case {
	r.t.Helper()
	return r.prove(r.prove(r.start(policy.Reset, login), verify.TOTP), verify.RecoveryCode)
}

func (r *rig) wantNext(c *flow.Case, want flow.Step) {
	r.t.Helper()
	c, err := r.nodes[0].Load(ctx, c.ID)
	if err != nil {
		r.t.Fatal(err)
	}
	if got := c.Next(r.clock.Now()); got != want {
		r.t.Fatalf("next is %s (closed %q, outcome %+v), want %s", got, c.Closed, c.Outcome, want)
	}
}

func (r *rig) events() string {
	var b strings.Builder
	for _, e := range r.store.Log() {
		fmt.Fprintf(&b, "%s/%s/%s ", e.Kind, e.Outcome, e.Reason)
	}
	return b.String()
}
