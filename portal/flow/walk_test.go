package flow_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/flow"
	"postern/portal/policy"
	"postern/verify"
)

// act is everything a browser can ask of a case.
var acts = []string{"choose", "prove-right", "prove-wrong", "finish", "cancel", "settle"}

// allowed is the state table: which act may change a case that stands at which
// step. Every pair that is not here is refused and changes nothing.
var allowed = map[flow.Step][]string{
	flow.StepChoose:      {"choose", "cancel"},
	flow.StepAnswer:      {"choose", "prove-right", "prove-wrong", "cancel"},
	flow.StepNewPassword: {"finish", "cancel"},
	flow.StepApplying:    {"settle"},
	flow.StepDone:        {},
	flow.StepRefused:     {},
	flow.StepExpired:     {},
}

// at brings a fresh case to a step.
func (r *rig) at(step flow.Step) *flow.Case {
	switch step {
	case flow.StepChoose:
		return r.start(policy.Reset, "alice")
	case flow.StepAnswer:
		c, err := r.nodes[0].Choose(ctx, r.start(policy.Reset, "alice").ID, verify.TOTP, "")
		if err != nil {
			r.t.Fatal(err)
		}
		return c
	case flow.StepNewPassword:
		return r.proven("alice")
	case flow.StepApplying:
		c := r.proven("alice")
		r.dir.Before = func(string, directory.User) error {
			return fmt.Errorf("%w: %w", directory.ErrUnavailable, directory.ErrUncertain)
		}
		r.nodes[0].Finish(ctx, c.ID, directory.NewSecret(newPass), nil)
		r.dir.Before = nil
		r.clock.Advance(2 * time.Minute)
		return c
	case flow.StepDone:
		c := r.proven("alice")
		r.nodes[0].Finish(ctx, c.ID, directory.NewSecret(newPass), nil)
		return c
	case flow.StepRefused:
		c := r.proven("alice")
		r.nodes[0].Cancel(ctx, c.ID)
		return c
	case flow.StepExpired:
		c := r.proven("alice")
		r.clock.Advance(time.Hour)
		return c
	}
	r.t.Fatalf("no way to %s", step)
	return nil
}

func (r *rig) act(s *flow.Service, c *flow.Case, act string) error {
	var err error
	switch act {
	case "choose":
		_, err = s.Choose(ctx, c.ID, verify.Email, "")
	case "prove-right", "prove-wrong":
		answer := []byte("guess")
		if now, e := s.Load(ctx, c.ID); e == nil && now.Open != nil && act == "prove-right" {
			answer = now.Open.State
		}
		_, err = s.Prove(ctx, c.ID, answer, nil)
	case "finish":
		_, err = s.Finish(ctx, c.ID, directory.NewSecret(newPass), nil)
	case "cancel":
		err = s.Cancel(ctx, c.ID)
	case "settle":
		_, err = s.Settle(ctx, c.ID)
	}
	return err
}

// security case 35: every (state × act) pair outside the table is refused.
func TestOnlyTheTableMovesACase(t *testing.T) {
	for step, may := range allowed {
		for _, act := range acts {
			t.Run(string(step)+"/"+act, func(t *testing.T) {
				r := newRig(t)
				c := r.at(step)
				r.wantNext(c, step)
				before, _ := r.nodes[0].Load(ctx, c.ID)
				writes := r.dir.Written()
				err := r.act(r.nodes[1], c, act)
				after, _ := r.nodes[0].Load(ctx, c.ID)
				moved := after.Version != before.Version
				if !slices.Contains(may, act) {
					if moved || r.dir.Written() != writes {
						t.Fatalf("%s at %s moved the case (err %v)", act, step, err)
					}
					if act != "settle" && !errors.Is(err, flow.ErrConflict) && !errors.Is(err, flow.ErrNotOffered) {
						t.Fatalf("%s at %s: %v", act, step, err)
					}
				} else if !moved {
					t.Fatalf("%s at %s did nothing: %v", act, step, err)
				}
			})
		}
	}
}

// security case 36: whatever two people do in three tabs over two nodes, a
// directory write implies every required proof, in that case, in order,
// unexpired; and no account is written twice by one case.
func TestRandomWalksNeverWriteUnproven(t *testing.T) {
	steps := 100_000
	if testing.Short() {
		steps = 10_000
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	r := newRig(t, func(r *rig) {
		r.strike = flow.StrikeRule{PerWindow: 1 << 30, Window: time.Minute, WaitAfter: 1 << 30, Hard: 1 << 30}
	})
	logins := []string{"alice", "alice", "bob", "nobody", "admin"}
	weighted := append([]string{"choose", "choose", "prove-right", "prove-right", "prove-right", "finish", "finish"}, acts...)
	tabs := make([]*flow.Case, 3)
	written := map[string]int{}
	proofs := map[string][]verify.Kind{}
	for i := range steps {
		tab := rng.IntN(len(tabs))
		s := r.nodes[rng.IntN(2)]
		c := tabs[tab]
		if c == nil || rng.IntN(25) == 0 {
			tabs[tab] = r.start([]policy.Purpose{policy.Reset, policy.Unlock}[rng.IntN(2)], logins[rng.IntN(len(logins))])
			continue
		}
		if rng.IntN(100) == 0 {
			r.clock.Advance(time.Duration(rng.IntN(600)) * time.Second)
		}
		before, err := s.Load(ctx, c.ID)
		if err != nil {
			t.Fatal(err)
		}
		now := r.clock.Now()
		writes := r.dir.Written()
		switch act := weighted[rng.IntN(len(weighted))]; act {
		case "choose":
			s.Choose(ctx, c.ID, before.Plan.Allowed[rng.IntN(len(before.Plan.Allowed))], "")
		case "prove-right":
			// An answer may come from any tab: only the case's own opens it.
			from := c
			if other := tabs[rng.IntN(len(tabs))]; other != nil && rng.IntN(4) == 0 {
				from = other
			}
			answer := []byte("guess")
			if o, _ := s.Load(ctx, from.ID); o != nil && o.Open != nil {
				answer = o.Open.State
			}
			if after, err := s.Prove(ctx, c.ID, answer, nil); err == nil && len(after.Proofs) > len(before.Proofs) {
				if from.ID != c.ID {
					t.Fatalf("step %d: an answer of case %s opened a gate of case %s", i, from.ID, c.ID)
				}
				proofs[c.ID] = append(proofs[c.ID], after.Proofs[len(after.Proofs)-1].Kind)
			}
		default:
			r.act(s, c, act)
		}
		if n := r.dir.Written() - writes; n > 0 {
			written[c.ID]++
			switch {
			case written[c.ID] > 1:
				t.Fatalf("step %d: case %s wrote twice", i, c.ID)
			case before.Person == nil:
				t.Fatalf("step %d: a decoy wrote to the directory", i)
			case !now.Before(before.Expires):
				t.Fatalf("step %d: an expired case wrote", i)
			case !before.Plan.Enough(proofs[c.ID]):
				t.Fatalf("step %d: written with proofs %v only", i, proofs[c.ID])
			}
		}
	}
	if len(written) < steps/1000 {
		t.Fatal("the walk hardly ever reached a write: it proves nothing")
	}
	t.Logf("%d writes in %d steps", len(written), steps)
}

func TestStrikesWaitLongerAndEndAtAHundred(t *testing.T) {
	rule := flow.DefaultStrikeRule
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var s flow.Strikes
	taken, last := 0, time.Duration(0)
	for range 10_000 {
		next, wait, ok := rule.Add(s, now)
		if ok {
			taken++
			s = next
			continue
		}
		if wait == 0 {
			break
		}
		if wait > time.Hour {
			t.Fatalf("waits %s", wait)
		}
		last = wait
		now = now.Add(wait)
	}
	if taken != 100 {
		t.Errorf("%d wrong answers in a row were borne, want 100", taken)
	}
	if last < 15*time.Minute {
		t.Errorf("the last wait is %s", last)
	}
	s = s.Clear()
	if _, _, ok := rule.Add(s, now.Add(time.Hour)); !ok {
		t.Error("a right answer does not clear the row")
	}
}

func TestClockGoingBackGivesNoTries(t *testing.T) {
	rule := flow.DefaultStrikeRule
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var s flow.Strikes
	for range 5 {
		s, _, _ = rule.Add(s, now)
	}
	if _, _, ok := rule.Add(s, now.Add(-time.Hour)); ok {
		t.Error("an hour back gave another try")
	}
}
