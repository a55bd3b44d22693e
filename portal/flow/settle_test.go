package flow_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/flow"
	"postern/portal/policy"
	"postern/verify"
)

type crash struct{}

// finish runs Finish and swallows the simulated crash.
func (r *rig) finishCrashing(c *flow.Case) {
	defer func() {
		if e := recover(); e != nil {
			if _, ours := e.(crash); !ours {
				panic(e)
			}
		}
	}()
	r.nodes[0].Finish(ctx, c.ID, directory.NewSecret(newPass), nil)
}

// security case 114: whatever moment the process dies at, the person learns
// the truth, nothing is written twice, and no intent stays open.
func TestCrashAtEveryPointIsSettledTruthfully(t *testing.T) {
	for point, want := range map[string]flow.Step{"after-intent": flow.StepRefused, "after-write": flow.StepDone, "after-outcome": flow.StepDone} {
		t.Run(point, func(t *testing.T) {
			r := newRig(t)
			c := r.proven("alice")
			r.fail = func(p string) {
				if p == point {
					panic(crash{})
				}
			}
			r.finishCrashing(c)
			r.fail = nil
			for range 4 {
				r.clock.Advance(30 * time.Second)
				if err := r.nodes[1].Reconcile(ctx); err != nil {
					t.Fatal(err)
				}
			}
			r.wantNext(c, want)
			written := r.dir.Password(alice) == newPass
			if written != (want == flow.StepDone) || r.dir.Written() > 1 {
				t.Errorf("the page says %s, the directory was written %d times", want, r.dir.Written())
			}
			open := 0
			for _, e := range r.store.Log() {
				switch e.Kind {
				case "password.intent":
					open++
				case "password.reset", "password.changed":
					open--
				}
			}
			if open != 0 {
				t.Errorf("intents without outcome: %s", r.events())
			}
		})
	}
}

func TestWriteWithoutAnAnswerIsReadBackNeverRepeated(t *testing.T) {
	uncertain := fmt.Errorf("%w: %w", directory.ErrUnavailable, directory.ErrUncertain)
	t.Run("it happened", func(t *testing.T) {
		r := newRig(t)
		c := r.proven("alice")
		r.dir.AfterWrite = func(string, directory.User) error { return uncertain }
		c, err := r.nodes[0].Finish(ctx, c.ID, directory.NewSecret(newPass), nil)
		if err != nil || c.Next(r.clock.Now()) != flow.StepDone || !c.Outcome.Unconfirmed {
			t.Fatalf("%v %+v", err, c.Outcome)
		}
		if len(r.store.Messages) == 0 || r.store.Messages[len(r.store.Messages)-1].Template != "password_changed" {
			t.Error("no notice")
		}
	})
	t.Run("it did not happen", func(t *testing.T) {
		r := newRig(t)
		c := r.proven("alice")
		r.dir.Before = func(string, directory.User) error { return uncertain }
		c, err := r.nodes[0].Finish(ctx, c.ID, directory.NewSecret(newPass), nil)
		if err != nil || c.Next(r.clock.Now()) != flow.StepApplying {
			t.Fatalf("%v %+v", err, c.Outcome)
		}
		if _, err := r.nodes[1].Finish(ctx, c.ID, directory.NewSecret(newPass), nil); err == nil {
			t.Fatal("a second write while the first is in flight")
		}
		r.clock.Advance(2 * time.Minute)
		if err := r.nodes[1].Reconcile(ctx); err != nil {
			t.Fatal(err)
		}
		r.wantNext(c, flow.StepRefused)
	})
	t.Run("it happens late", func(t *testing.T) {
		r := newRig(t)
		c := r.proven("alice")
		r.dir.Before = func(string, directory.User) error { return uncertain }
		c, _ = r.nodes[0].Finish(ctx, c.ID, directory.NewSecret(newPass), nil)
		r.clock.Advance(25 * time.Second)
		r.dir.Edit(alice, func(u *directory.User) { u.State.PasswordSet = r.clock.Now() })
		if err := r.nodes[1].Reconcile(ctx); err != nil {
			t.Fatal(err)
		}
		r.wantNext(c, flow.StepDone)
	})
	t.Run("the account cannot be read", func(t *testing.T) {
		r := newRig(t)
		c := r.proven("alice")
		r.dir.AfterWrite = func(string, directory.User) error { r.dir.Down = directory.ErrUnavailable; return uncertain }
		c, err := r.nodes[0].Finish(ctx, c.ID, directory.NewSecret(newPass), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.wantNext(c, flow.StepApplying)
		r.clock.Advance(3 * time.Minute)
		if err := r.nodes[0].Reconcile(ctx); err != nil {
			t.Fatal(err)
		}
		r.wantNext(c, flow.StepRefused)
		if !strings.Contains(r.events(), "password.reset/unknown/outcome_unknown") {
			t.Error(r.events())
		}
	})
	t.Run("unlock", func(t *testing.T) {
		r := newRig(t)
		r.dir.Edit(alice, func(u *directory.User) { u.State.Locked = true })
		r.dir.AfterWrite = func(string, directory.User) error { return uncertain }
		c := r.prove(r.start(policy.Unlock, "alice"), verify.Passkey)
		r.wantNext(c, flow.StepDone)
	})
}
