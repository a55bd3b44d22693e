package flow_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/flow"
	"postern/portal/policy"
	"postern/verify"
)

// meddled calls during before a right answer of a passkey is given back.
type meddled struct {
	verify.Factor
	during func()
}

func (m meddled) Check(ctx context.Context, s verify.Subject, c verify.Challenge, answer []byte) (verify.Evidence, error) {
	ev, err := m.Factor.Check(ctx, s, c, answer)
	if err == nil && m.during != nil {
		m.during()
	}
	return ev, err
}

// security cases 26 and 38: an answer is under way while another case of the
// account succeeds. The ended case stays dead, though the answer was right.
func TestRightAnswerDoesNotReviveAnEndedCase(t *testing.T) {
	for _, purpose := range []policy.Purpose{policy.SignIn, policy.Unlock, policy.Reset} {
		t.Run(string(purpose), func(t *testing.T) {
			var during func()
			r := newRig(t, func(r *rig) {
				r.wrap = func(f verify.Factor) verify.Factor {
					if f.Kind() != verify.Passkey {
						return f
					}
					return meddled{f, func() {
						if during != nil {
							during()
						}
					}}
				}
			})
			c := r.start(purpose, "alice")
			c, err := r.nodes[0].Choose(ctx, c.ID, verify.Passkey, "")
			if err != nil {
				t.Fatal(err)
			}
			owner := r.proven("alice")
			during = func() {
				if _, err := r.nodes[1].Finish(ctx, owner.ID, directory.NewSecret(newPass), nil); err != nil {
					t.Error(err)
				}
			}
			got, err := r.nodes[0].Prove(ctx, c.ID, c.Open.State, nil)
			if err == nil {
				t.Errorf("the answer counted: %s, %+v", got.Next(r.clock.Now()), got.Outcome)
			}
			if row, _ := r.nodes[0].Load(ctx, c.ID); row.Outcome.Status == flow.Applied || len(row.Proofs) != 0 {
				t.Errorf("an ended case took a proof: %+v %v", row.Outcome, row.Proofs)
			}
			if got := strings.Join(r.dir.Writes, ","); got != "set test:alice" {
				t.Errorf("writes: %s", got)
			}
		})
	}
}

// discoverable is a passkey that says itself whose it is.
type discoverable struct {
	verify.Factor
	owner directory.ID
}

func (d discoverable) Discover(context.Context, verify.Challenge, []byte) (directory.ID, error) {
	return d.owner, nil
}

// security case 39: leaving the name away must not get somebody in by less than
// their own plan asks for.
func TestPasskeyWithoutANameObeysThePlan(t *testing.T) {
	strict := plan(policy.SignIn)
	strict.Alone = nil
	without := strict
	without.Allowed = []verify.Kind{verify.Password, verify.TOTP}
	for name, c := range map[string]struct {
		plan *policy.Plan
		in   bool
	}{
		"alone is enough":             {nil, true},
		"only one gate of two":        {&strict, false},
		"not allowed at all":          {&without, false},
		"somebody whom nobody may be": {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			owner := alice
			if strings.Contains(name, "nobody") {
				owner = admin
			}
			r := newRig(t, func(r *rig) {
				if c.plan != nil {
					r.plans = map[policy.Purpose]policy.Plan{policy.SignIn: *c.plan}
				}
				r.wrap = func(f verify.Factor) verify.Factor {
					if f.Kind() == verify.Passkey {
						return discoverable{f, owner}
					}
					return f
				}
			})
			nameless, err := r.nodes[0].Start(ctx, flow.StartRequest{Purpose: policy.SignIn, Door: access.Web, Address: "192.0.2.1"})
			if err != nil {
				t.Fatal(err)
			}
			got, err := r.nodes[1].Prove(ctx, nameless.ID, nameless.Open.State, nil)
			if in := err == nil && got.Outcome.Status == flow.Applied; in != c.in {
				t.Errorf("signed in: %v (%v, %+v)", in, err, got.Outcome)
			}
			var wrong *flow.Wrong
			if !c.in && (!errors.As(err, &wrong) || wrong.Code != "wrong_passkey") {
				t.Errorf("refused as %v, want as a wrong passkey", err)
			}
		})
	}
}

// security case 14: answers that cannot be guessed are not counted against the
// account, or a stranger could close that way to its owner.
func TestStrangerCannotCloseThePasskeyToItsOwner(t *testing.T) {
	r := newRig(t, realLimits)
	for range 40 {
		c, err := r.nodes[0].Start(ctx, flow.StartRequest{Purpose: policy.Reset, Login: "alice", Address: addresses()})
		if err == nil {
			_, err = r.nodes[0].Choose(ctx, c.ID, verify.Passkey, "")
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.nodes[0].Prove(ctx, c.ID, []byte("rubbish"), nil); !errors.As(err, new(*flow.Wrong)) {
			t.Fatal(err)
		}
	}
	r.wantNext(r.prove(r.start(policy.Reset, "alice"), verify.Passkey), flow.StepNewPassword)
}

var addressesGiven int

func addresses() string {
	addressesGiven++
	return "198.51.100." + string(rune('0'+addressesGiven/10%10)) + string(rune('0'+addressesGiven%10))
}

// security cases 26, 36 and 46: what a proof rested on is looked at again by
// whatever the proofs are for, not by a reset alone.
func TestProofsDieWithWhatTheyRestedOn(t *testing.T) {
	changes := map[string]func(*rig){
		"another mail address":   func(r *rig) { r.dir.Edit(alice, func(u *directory.User) { u.Mail = []string{"new@example.org"} }) },
		"another password":       func(r *rig) { r.dir.Edit(alice, func(u *directory.User) { u.State.PasswordSet = r.clock.Now() }) },
		"disabled":               func(r *rig) { r.dir.Edit(alice, func(u *directory.User) { u.State.Disabled = true }) },
		"app removed":            func(r *rig) { r.vault[verify.TOTP] = []verify.Credential{{ID: "another"}} },
		"recovery codes renewed": func(r *rig) { r.vault[verify.RecoveryCode] = []verify.Credential{{ID: "new", Created: r.clock.Now()}} },
	}
	for what, change := range changes {
		for _, purpose := range []policy.Purpose{policy.Reset, policy.Unlock, policy.SignIn} {
			t.Run(string(purpose)+"/"+what, func(t *testing.T) {
				three := plan(policy.Unlock)
				three.Gates = 3 // the app's and the code's proofs are old when the last one comes
				signin := three
				signin.Alone, signin.Anchor = nil, nil
				r := newRig(t, func(r *rig) {
					r.plans = map[policy.Purpose]policy.Plan{policy.Reset: three, policy.Unlock: three, policy.SignIn: signin}
				})
				r.dir.Edit(alice, func(u *directory.User) { u.State.Locked = true })
				c := r.prove(r.prove(r.start(purpose, "alice"), verify.TOTP), verify.RecoveryCode)
				r.clock.Advance(time.Minute)
				change(r)
				c, err := r.nodes[0].Choose(ctx, c.ID, verify.Email, "")
				if err != nil {
					t.Fatal(err)
				}
				c, err = r.nodes[1].Prove(ctx, c.ID, c.Open.State, nil)
				if err == nil && purpose == policy.Reset {
					c, _ = r.nodes[0].Finish(ctx, c.ID, directory.NewSecret(newPass), nil)
				}
				row, lerr := r.nodes[0].Load(ctx, r.lastCase())
				if lerr != nil {
					t.Fatal(lerr)
				}
				if row.Outcome.Status == flow.Applied || r.dir.Written() != 0 {
					t.Errorf("%v %+v, writes %v", err, row.Outcome, r.dir.Writes)
				}
				_ = c
			})
		}
	}
}

func (r *rig) lastCase() string {
	log := r.store.Log()
	return log[len(log)-1].Case
}

// security case 114: no end of a case without its event.
func TestTooManyRefusedPasswordsAreInTheRecord(t *testing.T) {
	r := newRig(t)
	c := r.proven("alice")
	r.dir.Before = func(string, directory.User) error { return &directory.Refusal{Rule: directory.RuleHistory} }
	for range 10 {
		if _, err := r.nodes[0].Finish(ctx, c.ID, directory.NewSecret(newPass), nil); !errors.As(err, new(*directory.Refusal)) {
			t.Fatal(err)
		}
	}
	r.wantNext(c, flow.StepRefused)
	if !slices.ContainsFunc(strings.Fields(r.events()), func(e string) bool { return e == "case.closed/refused/"+string(flow.ReasonRefusedSaves) }) {
		t.Errorf("the end of the case is not in the record: %s", r.events())
	}
}

// security case 8: a stranger who wears out a factor that cannot be bound anew
// does not end it for ever. Its owner's recovery by other means brings it back.
func TestARecoveryEndsTheBlockOfAWornOutFactor(t *testing.T) {
	r := newRig(t)
	worn := []verify.Kind{verify.Email, verify.Password, verify.SMS}
	for _, k := range append(worn, verify.TOTP) {
		if err := r.store.Strike(ctx, alice, k, func(flow.Strikes) flow.Strikes { return flow.Strikes{Consecutive: 100, Window: 2} }); err != nil {
			t.Fatal(err)
		}
	}
	c := r.prove(r.start(policy.Reset, "alice"), verify.Passkey)
	if _, err := r.nodes[0].Finish(ctx, c.ID, directory.NewSecret(newPass), nil); err != nil {
		t.Fatal(err)
	}
	for _, k := range worn {
		if st, _ := r.store.Strikes(ctx, alice, k); st.Consecutive != 0 || st.Window != 2 {
			t.Errorf("%s: %+v", k, st)
		}
	}
	if st, _ := r.store.Strikes(ctx, alice, verify.TOTP); st.Consecutive != 100 {
		t.Errorf("an app's waits to be bound anew: %+v", st)
	}
}

// security case 87: the use of a recovery code is told to every address, also
// where it only signs somebody in.
func TestEveryUseOfARecoveryCodeIsTold(t *testing.T) {
	r := newRig(t)
	c, err := r.nodes[0].Start(ctx, flow.StartRequest{Purpose: policy.SignIn, Login: "alice", Current: directory.NewSecret(oldPass), Hold: hold("x")})
	if err != nil {
		t.Fatal(err)
	}
	c = r.prove(c, verify.RecoveryCode)
	r.wantNext(c, flow.StepDone)
	m := r.store.Messages
	if len(m) != 1 || m[0].Template != "signin_new" || len(m[0].To) != 2 || m[0].Args["proofs"] != "password,recovery_code" {
		t.Errorf("%+v", m)
	}
}
