package store_test

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/audit"
	"postern/portal/enrol"
	"postern/portal/flow"
	"postern/portal/flow/flowtest"
	"postern/portal/policy"
	"postern/portal/store/storetest"
	"postern/verify"
)

// Whoever lost the one thing they had comes in again by their password and the link
// that was mailed with the clearing, once; by the link alone nobody does, and nothing
// is mailed when the clearing fails.
func TestAClearedFactorsOwnerComesInByTheirLink(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		d := newFrontDoor(t, p)
		rules, err := policy.New(policy.DefaultConfig())
		if err != nil {
			t.Fatal(err)
		}
		own, err := enrol.New(enrol.Options{Directory: &flowtest.Directory{Now: d.clock.now}, Policy: rules, Store: d.db, Accounts: d.db, Threats: d.db, Now: d.clock.now, Rand: rand.Reader, Fresh: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		m := enrol.Mender{Service: own, Rules: rules, Life: 72 * time.Hour}
		u := directory.User{ID: alice, Login: "alice", DN: "CN=alice,DC=example,DC=org", Mail: []string{"a@example.org"}}
		put(t, d.db, verify.Credential{ID: "app", Owner: alice, Kind: verify.TOTP, Secret: []byte("x")})
		// mailed is the token of the invitation that waits to be sent.
		mailed := func() (token string) {
			for {
				got, err := d.db.Claim(t.Context(), 10)
				if err != nil {
					t.Fatal(err)
				}
				if len(got) == 0 {
					return token
				}
				for _, o := range got {
					if path := o.Args["invite"]; path != "" {
						token = strings.TrimPrefix(path, "/link/")
					}
				}
			}
		}
		replace := func(then error) (bool, error) {
			return d.db.Once(t.Context(), "mark", func(ctx context.Context) error {
				why, err := m.ReplaceFor(ctx, u, "app", audit.Event{Actor: "test:tech", ActorName: "tech", Case: "case", Door: "desk", Detail: map[string]string{"ticket": "INC-7"}}, []string{"boss@example.org"})
				if why != "" {
					t.Errorf("refused: %s", why)
				}
				return errors.Join(err, then)
			})
		}
		if first, err := replace(errors.New("the record is full")); first || err == nil || mailed() != "" {
			t.Errorf("mailed for what failed: %v %v", first, err)
		}
		if first, err := replace(nil); !first || err != nil {
			t.Fatalf("%v %v", first, err)
		}
		if first, err := replace(nil); first || err != nil {
			t.Errorf("twice: %v %v", first, err)
		}
		if have, err := d.db.Methods(t.Context(), alice); err != nil || len(have) != 0 {
			t.Errorf("%+v %v", have, err)
		}
		token := mailed()
		if _, err := d.enter(t, token, "wrong"); !errors.As(err, new(*flow.Wrong)) {
			t.Errorf("by the link alone: %v", err)
		}
		if ok, err := d.enter(t, token, "right"); !ok || err != nil {
			t.Errorf("%v %v", ok, err)
		}
		if _, err := d.enter(t, token, "right"); !errors.Is(err, flow.ErrNoInvite) {
			t.Errorf("again: %v", err)
		}
	})
}
