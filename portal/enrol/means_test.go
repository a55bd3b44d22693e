package enrol_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/enrol"
	"postern/portal/flow/flowtest"
	"postern/portal/policy"
	"postern/verify"
)

type drawer struct {
	kinds []verify.Kind
	err   error
}

func (d drawer) Methods(context.Context, directory.ID) (list []verify.Credential, err error) {
	for _, k := range d.kinds {
		list = append(list, verify.Credential{Kind: k})
	}
	return list, d.err
}

func (r *roll) Find(ctx context.Context, login string) (directory.User, error) {
	return r.Read(ctx, directory.User{ID: directory.ID("test:" + login)})
}

func TestExplainSaysWhatACaseWouldDo(t *testing.T) {
	rules, err := policy.New(policy.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	off := one("off")
	off.State.Disabled = true
	people := &roll{people: map[directory.ID]directory.User{"test:ada": one("ada", "a@example.org"), "test:off": off}}
	down := errors.New("database is locked")
	e := enrol.Explainer{Directory: people, Rules: rules, Lookup: enrol.Lookup{
		Credentials: drawer{kinds: []verify.Kind{verify.TOTP, verify.RecoveryCode, verify.RecoveryCode}},
		Phone:       func(directory.User) bool { return true },
		Standing:    func(context.Context, directory.ID) (access.Standing, error) { return access.Standing{}, nil },
		Ended: func(_ context.Context, _ directory.ID, k verify.Kind) (bool, error) {
			return k == verify.Email, nil
		}}, Threats: &flowtest.Threats{}, Now: time.Now}
	got, err := e.Explain(t.Context(), "ada", "web", policy.Reset)
	if err != nil {
		t.Fatal(err)
	}
	m := got.Means
	if got.User.Login != "ada" || !slices.Equal(m.Enrolled, []verify.Kind{verify.TOTP, verify.RecoveryCode}) || !m.Mail || !m.Phone || m.Manager || !slices.Equal(m.Ended, []verify.Kind{verify.Email}) {
		t.Errorf("%+v", got)
	}
	if !got.Open || got.Plan != "default" || !slices.Equal(got.Paths[0].Proofs, []verify.Kind{verify.TOTP, verify.RecoveryCode}) || len(got.Paths[0].Missing) != 0 {
		t.Errorf("%+v", got.Verdict)
	}
	if got, err := e.Explain(t.Context(), "off", "web", policy.Reset); err != nil || got.Unserved != "disabled" || got.Open {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := e.Explain(t.Context(), "nobody", "web", policy.Reset); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
	if _, err := e.Explain(t.Context(), "ada", "window", policy.Reset); err == nil {
		t.Error("there is no such door")
	}
	// Half of what somebody has would read as stranded.
	e.Lookup.Credentials = drawer{err: down}
	if _, err := e.Explain(t.Context(), "ada", "web", policy.Reset); !errors.Is(err, enrol.ErrUnavailable) {
		t.Errorf("store down: %v", err)
	}
	e.Lookup.Credentials = drawer{}
	e.Lookup.Ended = func(context.Context, directory.ID, verify.Kind) (bool, error) { return false, down }
	if _, err := e.Explain(t.Context(), "ada", "web", policy.Reset); !errors.Is(err, enrol.ErrUnavailable) {
		t.Errorf("counters down: %v", err)
	}
}
