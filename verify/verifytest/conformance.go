package verifytest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/directory"
	"postern/verify"
)

// Harness is one empty vault and the way to put credentials in.
type Harness struct {
	Vault verify.Vault
	// Put stores one credential; verify.ErrDuplicate when its handle is taken
	// within the kind, whoever owns it.
	Put func(context.Context, verify.Credential) error
	// Remove revokes one credential.
	Remove func(context.Context, verify.Credential) error
}

const (
	alice directory.ID = "corp:00000000-0000-4000-8000-00000000000a"
	bob   directory.ID = "corp:00000000-0000-4000-8000-00000000000b"
)

// RunVault holds a vault to the contract of verify.Vault.
func RunVault(t *testing.T, newVault func(*testing.T) Harness) {
	t.Helper()
	tests := []struct {
		name string
		run  func(*testing.T, Harness)
	}{
		{"credentials come back whole, oldest first, and only the owner's of that kind", testCredentials},
		{"a handle finds one credential", testByHandle},
		{"a handle is unique within a kind, also across people (case 79)", testUniqueHandle},
		{"a counter only goes forward (cases 82, 84)", testSpend},
		{"zero and zero means that no count is kept", testSpendZero},
		{"of 50 at once exactly one spends a step (case 82)", testSpendParallel},
		{"a removed credential cannot be spent (case 81)", testSpendRemoved},
		{"another person's credential cannot be spent (case 79)", testSpendForeign},
		{"a burnt credential is gone (case 87)", testBurn},
		{"of 50 at once exactly one burns (case 87)", testBurnParallel},
		{"an ended context is an error, never a yes", testEndedContext},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, newVault(t)) })
	}
}

func sample(n int, owner directory.ID, kind verify.Kind) verify.Credential {
	return verify.Credential{
		ID: fmt.Sprintf("%032x", n), Owner: owner, Kind: kind, Name: fmt.Sprintf("Gerät %d", n),
		Handle: fmt.Appendf(nil, "handle-%d", n), Public: []byte(`{"n":1}`), Secret: []byte{0, 1, 2, 0xff},
		Created: time.Date(2026, 1, 1, 0, 0, n, 0, time.UTC),
	}
}

func put(t *testing.T, h Harness, credentials ...verify.Credential) {
	t.Helper()
	for _, c := range credentials {
		if err := h.Put(t.Context(), c); err != nil {
			t.Fatalf("Put: %v", err)
		}
	}
}

func testCredentials(t *testing.T, h Harness) {
	want := []verify.Credential{sample(1, alice, verify.TOTP), sample(2, alice, verify.TOTP), sample(3, alice, verify.TOTP)}
	put(t, h, want[2], want[0], want[1], sample(4, bob, verify.TOTP), sample(5, alice, verify.Passkey))
	got, err := h.Vault.Credentials(t.Context(), alice, verify.TOTP)
	if err != nil || len(got) != len(want) {
		t.Fatalf("got %d credentials and %v, want %d", len(got), err, len(want))
	}
	for i, c := range got {
		w := want[i]
		if c.ID != w.ID || c.Owner != w.Owner || c.Kind != w.Kind || c.Name != w.Name || !bytes.Equal(c.Handle, w.Handle) ||
			!bytes.Equal(c.Public, w.Public) || !bytes.Equal(c.Secret, w.Secret) || c.Counter != 0 || !c.Created.Equal(w.Created) || !c.Used.IsZero() {
			t.Errorf("credential %d came back as %+v, want %+v", i, c, w)
		}
	}
	if got, err := h.Vault.Credentials(t.Context(), "decoy:nobody", verify.TOTP); err != nil || len(got) != 0 {
		t.Errorf("a decoy has %d credentials and %v, want none and no error", len(got), err)
	}
}

func testByHandle(t *testing.T, h Harness) {
	c := sample(1, alice, verify.Passkey)
	put(t, h, c, sample(2, bob, verify.Passkey))
	got, err := h.Vault.ByHandle(t.Context(), verify.Passkey, c.Handle)
	if err != nil || got.ID != c.ID || got.Owner != alice {
		t.Errorf("got %q of %q and %v", got.ID, got.Owner, err)
	}
	for name, ask := range map[string]struct {
		kind   verify.Kind
		handle []byte
	}{"unknown": {verify.Passkey, []byte("other")}, "other kind": {verify.YubiKey, c.Handle}, "empty": {verify.Passkey, []byte{}}, "nil": {verify.Passkey, nil}} {
		if _, err := h.Vault.ByHandle(t.Context(), ask.kind, ask.handle); !errors.Is(err, verify.ErrNoCredential) {
			t.Errorf("%s: got %v, want ErrNoCredential", name, err)
		}
	}
}

func testUniqueHandle(t *testing.T, h Harness) {
	put(t, h, sample(1, alice, verify.Passkey))
	double := sample(2, bob, verify.Passkey)
	double.Handle = sample(1, alice, verify.Passkey).Handle
	if err := h.Put(t.Context(), double); !errors.Is(err, verify.ErrDuplicate) {
		t.Errorf("got %v, want ErrDuplicate", err)
	}
	double.Kind = verify.YubiKey
	put(t, h, double)
	for n := 10; n < 12; n++ { // no handle at all is no conflict
		none := sample(n, alice, verify.TOTP)
		none.Handle = nil
		put(t, h, none)
	}
}

func testSpend(t *testing.T, h Harness) {
	c := sample(1, alice, verify.TOTP)
	c.Counter = 100
	put(t, h, c, sample(2, alice, verify.TOTP))
	for _, step := range []struct {
		counter int64
		want    error
	}{{99, verify.ErrReplayed}, {100, verify.ErrReplayed}, {0, verify.ErrReplayed}, {-1, verify.ErrReplayed}, {101, nil}, {101, verify.ErrReplayed}, {100, verify.ErrReplayed}, {1 << 40, nil}} {
		// The credential passed in is stale on purpose: only the stored counter decides.
		if err := h.Vault.Spend(t.Context(), c, step.counter); !errors.Is(err, step.want) {
			t.Errorf("Spend(%d) = %v, want %v", step.counter, err, step.want)
		}
	}
	got, err := h.Vault.Credentials(t.Context(), alice, verify.TOTP)
	if err != nil || len(got) != 2 {
		t.Fatal(err)
	}
	if got[0].Counter != 1<<40 || got[0].Used.IsZero() {
		t.Errorf("counter %d, used %v: the use was not noted", got[0].Counter, got[0].Used)
	}
	if got[1].Counter != 0 || !got[1].Used.IsZero() {
		t.Error("another credential moved too")
	}
}

func testSpendZero(t *testing.T, h Harness) {
	c := sample(1, alice, verify.Passkey)
	put(t, h, c)
	for range 2 {
		if err := h.Vault.Spend(t.Context(), c, 0); err != nil {
			t.Fatalf("0 after 0: %v", err)
		}
	}
	if err := h.Vault.Spend(t.Context(), c, 5); err != nil {
		t.Fatalf("5 after 0: %v", err)
	}
	if err := h.Vault.Spend(t.Context(), c, 0); !errors.Is(err, verify.ErrReplayed) {
		t.Errorf("0 after 5: got %v, want ErrReplayed", err)
	}
}

func testSpendParallel(t *testing.T, h Harness) {
	c := sample(1, alice, verify.TOTP)
	put(t, h, c)
	won := parallel(t, func(ctx context.Context) error { return h.Vault.Spend(ctx, c, 7) }, verify.ErrReplayed)
	if won != 1 {
		t.Errorf("%d won", won)
	}
}

func testSpendRemoved(t *testing.T, h Harness) {
	c := sample(1, alice, verify.Passkey)
	put(t, h, c)
	if err := h.Remove(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for _, counter := range []int64{0, 9} {
		if err := h.Vault.Spend(t.Context(), c, counter); !errors.Is(err, verify.ErrReplayed) && !errors.Is(err, verify.ErrNoCredential) {
			t.Errorf("got %v, want ErrNoCredential or ErrReplayed", err)
		}
	}
}

func testSpendForeign(t *testing.T, h Harness) {
	c := sample(1, alice, verify.TOTP)
	put(t, h, c)
	c.Owner = bob
	if err := h.Vault.Spend(t.Context(), c, 9); !errors.Is(err, verify.ErrReplayed) && !errors.Is(err, verify.ErrNoCredential) {
		t.Errorf("got %v, want ErrNoCredential or ErrReplayed", err)
	}
}

func testBurn(t *testing.T, h Harness) {
	c := sample(1, alice, verify.RecoveryCode)
	other := sample(2, alice, verify.RecoveryCode)
	put(t, h, c, other)
	for name, ask := range map[string]struct {
		owner  directory.ID
		kind   verify.Kind
		handle []byte
	}{"other person": {bob, c.Kind, c.Handle}, "other kind": {alice, verify.TOTP, c.Handle}, "unknown": {alice, c.Kind, []byte("x")}, "nil": {alice, c.Kind, nil}} {
		if _, err := h.Vault.Burn(t.Context(), ask.owner, ask.kind, ask.handle); !errors.Is(err, verify.ErrWrong) {
			t.Errorf("%s: got %v, want ErrWrong", name, err)
		}
	}
	got, err := h.Vault.Burn(t.Context(), alice, c.Kind, c.Handle)
	if err != nil || got.ID != c.ID || !got.Created.Equal(c.Created) {
		t.Fatalf("got %+v and %v", got, err)
	}
	if _, err := h.Vault.Burn(t.Context(), alice, c.Kind, c.Handle); !errors.Is(err, verify.ErrWrong) {
		t.Errorf("second burn: got %v, want ErrWrong", err)
	}
	if left, err := h.Vault.Credentials(t.Context(), alice, c.Kind); err != nil || len(left) != 1 || left[0].ID != other.ID {
		t.Errorf("left are %d and %v, want the other one", len(left), err)
	}
}

func testBurnParallel(t *testing.T, h Harness) {
	c := sample(1, alice, verify.RecoveryCode)
	put(t, h, c)
	won := parallel(t, func(ctx context.Context) error {
		_, err := h.Vault.Burn(ctx, alice, c.Kind, c.Handle)
		return err
	}, verify.ErrWrong)
	if won != 1 {
		t.Errorf("%d won", won)
	}
}

func testEndedContext(t *testing.T, h Harness) {
	c := sample(1, alice, verify.TOTP)
	put(t, h, c)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Vault.Credentials(ctx, alice, c.Kind); err == nil {
		t.Error("Credentials said yes")
	}
	if err := h.Vault.Spend(ctx, c, 3); err == nil {
		t.Error("Spend said yes")
	}
	if _, err := h.Vault.Burn(ctx, alice, c.Kind, c.Handle); err == nil || errors.Is(err, verify.ErrWrong) {
		t.Errorf("Burn: got %v, want an error that is not an answer", err)
	}
}

// parallel runs f 50 times at once and counts the yeses; every no must be want.
func parallel(t *testing.T, f func(context.Context) error, want error) int {
	t.Helper()
	var won atomic.Int32
	var all sync.WaitGroup
	begin := make(chan struct{})
	for range 50 {
		all.Go(func() {
			<-begin
			switch err := f(t.Context()); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, want):
				t.Errorf("got %v, want %v", err, want)
			}
		})
	}
	close(begin)
	all.Wait()
	return int(won.Load())
}
