package portal

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/flow"
	"postern/portal/flow/flowtest"
	"postern/portal/notify"
	"postern/portal/password"
	"postern/portal/policy"
	"postern/verify"
)

// core is the real flow over doubles of directory and store. It notes what the
// web asked for, and fails when told to.
type core struct {
	real  *flow.Service
	store *flowtest.Store
	dir   *flowtest.Directory
	level flowtest.Threats

	mu    sync.Mutex
	calls []string
	seen  []flow.StartRequest
	ids   []string // of every case
	fail  error    // every call fails with it
}

var alice = directory.User{ID: "ad:alice", Login: "alice", Name: `<svg onload=alert(1)>`, Mail: []string{"alice@example.org"}}

var plans = map[policy.Purpose]policy.Plan{
	policy.Reset:  {Allowed: []verify.Kind{verify.Passkey, verify.TOTP, verify.RecoveryCode}, Alone: []verify.Kind{verify.Passkey}, Gates: 2},
	policy.Unlock: {Allowed: []verify.Kind{verify.TOTP}, Gates: 1},
	policy.Change: {Allowed: []verify.Kind{verify.Password}, First: verify.Password, Gates: 1},
	policy.SignIn: {Allowed: []verify.Kind{verify.Passkey, verify.Password, verify.TOTP}, Alone: []verify.Kind{verify.Passkey}, First: verify.Password, Gates: 2},
	policy.StepUp: {Allowed: []verify.Kind{verify.TOTP}, Gates: 1},
}

func plan(p policy.Purpose) policy.Plan {
	out := plans[p]
	out.Life, out.Tries = 15*time.Minute, 5
	return out
}

type rulebook struct{}

func (rulebook) For(_ access.Door, p policy.Purpose, _ directory.User) policy.Plan { return plan(p) }
func (rulebook) Decoy(_ access.Door, p policy.Purpose, _ []byte) policy.Plan       { return plan(p) }
func (rulebook) Eligible(directory.User) string                                    { return "" }
func (rulebook) StepUp(access.Door, directory.User, []verify.Kind) policy.Plan {
	return plan(policy.StepUp)
}

type lenient struct{}

func (lenient) Judge(directory.Secret, directory.Rules, directory.User) []password.Problem {
	return nil
}
func (lenient) Checklist(r directory.Rules, _ directory.User) []password.Item {
	return []password.Item{{Key: "too_short", Args: map[string]any{"limit": r.MinLength}, When: password.Live},
		{Key: "history", Args: map[string]any{"limit": 5, "on_reset": false}, When: password.Later}}
}

type vault struct{ verify.Vault }

func (vault) Credentials(context.Context, directory.ID, verify.Kind) ([]verify.Credential, error) {
	return []verify.Credential{{ID: "x"}}, nil
}

var answers = map[verify.Kind]string{verify.TOTP: "123456", verify.RecoveryCode: "saved-code", verify.Password: "Current-1", verify.Passkey: `{"id":"alice"}`}

// knows is a factor with one right answer, and none for a decoy.
type knows struct {
	kind verify.Kind
	now  func() time.Time
}

func (k knows) Kind() verify.Kind { return k.kind }

func (k knows) Begin(context.Context, verify.Subject) (verify.Challenge, error) {
	return verify.Challenge{Kind: k.kind, Public: []byte(`{"publicKey":{}}`), Expires: k.now().Add(10 * time.Minute)}, nil
}

func (k knows) Check(_ context.Context, s verify.Subject, _ verify.Challenge, answer []byte) (verify.Evidence, error) {
	if s.User == nil || string(answer) != answers[k.kind] {
		return verify.Evidence{}, verify.ErrWrong
	}
	return verify.Evidence{}, nil
}

func (k knows) Discover(_ context.Context, _ verify.Challenge, answer []byte) (directory.ID, error) {
	if string(answer) != answers[verify.Passkey] {
		return "", verify.ErrWrong
	}
	return alice.ID, nil
}

var errRedis = errors.New("dial tcp 10.0.0.9:6379: connection refused")

func newCore(t testing.TB, now func() time.Time) *core {
	t.Helper()
	f := &core{store: flowtest.NewStore(), dir: &flowtest.Directory{Now: now, Policy: directory.Rules{MinLength: 10, ResetUnlocks: true}}}
	f.dir.Add(alice, answers[verify.Password])
	factors := []verify.Factor{flowtest.Password{D: f.dir, Now: now}}
	for _, k := range []verify.Kind{verify.Passkey, verify.TOTP, verify.RecoveryCode} {
		factors = append(factors, knows{k, now})
	}
	known := flowtest.NewAccounts()
	known.PutAs(goodLink, notify.LinkTo{Kind: notify.Invite, Account: alice.ID})
	var err error
	f.real, err = flow.New(flow.Options{Directory: f.dir, Policy: rulebook{}, Factors: factors, Vault: vault{}, Threats: &f.level, Store: f.store, Counters: f.store,
		Accounts: known, ContactKey: bytes.Repeat([]byte{8}, 32),
		Limits: &limits{}, Judge: lenient{}, DecoyKey: bytes.Repeat([]byte{7}, 32), Strikes: flow.DefaultStrikeRule, Now: now, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *core) note(call string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, call)
	return f.fail
}

func (f *core) asked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

func (f *core) Start(ctx context.Context, r flow.StartRequest) (*flow.Case, error) {
	if err := f.note("start"); err != nil {
		return nil, err
	}
	c, err := f.real.Start(ctx, r)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = append(f.seen, r)
	if c != nil {
		f.ids = append(f.ids, c.ID)
	}
	return c, err
}

func (f *core) Load(ctx context.Context, id string) (*flow.Case, error) {
	if err := f.note("load"); err != nil {
		return nil, err
	}
	return f.real.Load(ctx, id)
}

func (f *core) Options(ctx context.Context, c *flow.Case) ([]flow.Option, error) {
	if err := f.note("options"); err != nil {
		return nil, err
	}
	return f.real.Options(ctx, c)
}

func (f *core) Choose(ctx context.Context, id string, k verify.Kind, why string) (*flow.Case, error) {
	if err := f.note("choose"); err != nil {
		return nil, err
	}
	return f.real.Choose(ctx, id, k, why)
}

func (f *core) Prove(ctx context.Context, id string, answer, hold []byte) (*flow.Case, error) {
	if err := f.note("prove"); err != nil {
		return nil, err
	}
	return f.real.Prove(ctx, id, answer, hold)
}

func (f *core) Checklist(ctx context.Context, c *flow.Case) (flow.Checklist, error) {
	if err := f.note("checklist"); err != nil {
		return flow.Checklist{}, err
	}
	return f.real.Checklist(ctx, c)
}

func (f *core) Finish(ctx context.Context, id string, pw directory.Secret, hold []byte) (*flow.Case, error) {
	if err := f.note("finish"); err != nil {
		return nil, err
	}
	return f.real.Finish(ctx, id, pw, hold)
}

func (f *core) FinishAll(ctx context.Context, id string, pw directory.Secret, hold []byte) (*flow.Case, error) {
	if err := f.note("finish-all"); err != nil {
		return nil, err
	}
	return f.real.FinishAll(ctx, id, pw, hold)
}

func (f *core) Others(ctx context.Context, c *flow.Case) ([]flow.Other, error) {
	if err := f.note("others"); err != nil {
		return nil, err
	}
	return f.real.Others(ctx, c)
}

func (f *core) Cancel(ctx context.Context, id string) error {
	if err := f.note("cancel"); err != nil {
		return err
	}
	return f.real.Cancel(ctx, id)
}

func (f *core) Request(ctx context.Context, token string, by access.Principal) (flow.Request, error) {
	if err := f.note("request"); err != nil {
		return flow.Request{}, err
	}
	return f.real.Request(ctx, token, by)
}

func (f *core) Vouch(ctx context.Context, a flow.Answer) (flow.Request, error) {
	if err := f.note("vouch"); err != nil {
		return flow.Request{}, err
	}
	return f.real.Vouch(ctx, a)
}

func (f *core) Decline(ctx context.Context, a flow.Answer) (flow.Request, error) {
	if err := f.note("decline"); err != nil {
		return flow.Request{}, err
	}
	return f.real.Decline(ctx, a)
}

func (f *core) Claim(ctx context.Context, code, address, lang string) (*flow.Case, error) {
	if err := f.note("claim"); err != nil {
		return nil, err
	}
	return f.real.Claim(ctx, code, address, lang)
}

// edit changes the newest case behind everybody's back.
func (f *core) edit(t testing.TB, change func(*flow.Case)) {
	t.Helper()
	_, err := f.store.Update(t.Context(), f.ids[len(f.ids)-1], func(_ context.Context, c *flow.Case) (flow.Effects, error) {
		change(c)
		return flow.Effects{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// proofs counts those of every case.
func (f *core) proofs(t *testing.T) (n int) {
	t.Helper()
	for _, id := range f.ids {
		c, err := f.store.Case(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		n += len(c.Proofs)
	}
	return n
}
