// Package verifytest holds a strict in-memory vault for tests of factors, and
// the conformance suite that every verify.Vault passes, that one included.
//
// It is never part of the program.
package verifytest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"postern/directory"
	"postern/verify"
)

// Vault keeps credentials in memory. It hands out copies, refuses what the
// contract refuses, and can be told to fail.
type Vault struct {
	mu    sync.Mutex
	now   func() time.Time
	rows  []verify.Credential
	fault error
	reads int
}

// NewVault returns an empty vault; now gives the time noted as a use.
func NewVault(now func() time.Time) *Vault { return &Vault{now: now} }

// Put stores one credential: verify.ErrDuplicate when its id, or its handle
// within the kind, is taken already.
func (v *Vault) Put(_ context.Context, c verify.Credential) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.fault != nil {
		return v.fault
	}
	if c.ID == "" || c.Owner == "" || c.Kind == "" {
		return fmt.Errorf("verifytest: a credential needs an id, an owner and a kind")
	}
	for _, row := range v.rows {
		if row.ID == c.ID || c.Handle != nil && row.Kind == c.Kind && bytes.Equal(row.Handle, c.Handle) {
			return verify.ErrDuplicate
		}
	}
	v.rows = append(v.rows, clone(c))
	return nil
}

// Keep stores a finished set-up, as the caller of Enrol does.
func (v *Vault) Keep(ctx context.Context, owner directory.ID, kind verify.Kind, e verify.Enrolment) error {
	if e.ReplaceAll {
		v.mu.Lock()
		v.rows = slices.DeleteFunc(v.rows, func(c verify.Credential) bool { return c.Owner == owner && c.Kind == kind })
		v.mu.Unlock()
	}
	for _, c := range e.Add {
		if err := v.Put(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// Remove revokes one credential.
func (v *Vault) Remove(id string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.rows = slices.DeleteFunc(v.rows, func(c verify.Credential) bool { return c.ID == id })
}

// Fail makes every call return err until Fail(nil).
func (v *Vault) Fail(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.fault = err
}

// Calls counts the calls of verify.Vault so far.
func (v *Vault) Calls() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.reads
}

// Credentials implements verify.Vault.
func (v *Vault) Credentials(ctx context.Context, owner directory.ID, kind verify.Kind) ([]verify.Credential, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.enter(ctx); err != nil {
		return nil, err
	}
	var found []verify.Credential
	for _, c := range v.rows {
		if c.Owner == owner && c.Kind == kind {
			found = append(found, clone(c))
		}
	}
	slices.SortStableFunc(found, func(a, b verify.Credential) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	return found, nil
}

// ByHandle implements verify.Vault.
func (v *Vault) ByHandle(ctx context.Context, kind verify.Kind, handle []byte) (verify.Credential, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.enter(ctx); err != nil {
		return verify.Credential{}, err
	}
	for _, c := range v.rows {
		if c.Kind == kind && len(handle) > 0 && bytes.Equal(c.Handle, handle) {
			return clone(c), nil
		}
	}
	return verify.Credential{}, verify.ErrNoCredential
}

// Spend implements verify.Vault.
func (v *Vault) Spend(ctx context.Context, c verify.Credential, counter int64) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.enter(ctx); err != nil {
		return err
	}
	for i := range v.rows {
		row := &v.rows[i]
		if row.ID != c.ID || row.Owner != c.Owner || row.Kind != c.Kind {
			continue
		}
		if counter <= row.Counter && (counter != 0 || row.Counter != 0) {
			return verify.ErrReplayed
		}
		row.Counter, row.Used = counter, v.now()
		return nil
	}
	return verify.ErrNoCredential
}

// Burn implements verify.Vault.
func (v *Vault) Burn(ctx context.Context, owner directory.ID, kind verify.Kind, handle []byte) (verify.Credential, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.enter(ctx); err != nil {
		return verify.Credential{}, err
	}
	for i, c := range v.rows {
		if c.Owner == owner && c.Kind == kind && len(handle) > 0 && bytes.Equal(c.Handle, handle) {
			v.rows = slices.Delete(v.rows, i, i+1)
			return c, nil
		}
	}
	return verify.Credential{}, verify.ErrWrong
}

func (v *Vault) enter(ctx context.Context) error {
	v.reads++
	if v.fault != nil {
		return v.fault
	}
	return ctx.Err()
}

func clone(c verify.Credential) verify.Credential {
	c.Handle, c.Public, c.Secret = bytes.Clone(c.Handle), bytes.Clone(c.Public), bytes.Clone(c.Secret)
	return c
}
