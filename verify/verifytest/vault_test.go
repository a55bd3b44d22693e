package verifytest

import (
	"context"
	"testing"
	"time"

	"postern/verify"
)

func TestMemoryVaultKeepsTheContract(t *testing.T) {
	RunVault(t, func(*testing.T) Harness {
		v := NewVault(func() time.Time { return time.Unix(1_800_000_000, 0) })
		return Harness{Vault: v, Put: v.Put, Remove: func(_ context.Context, c verify.Credential) error {
			v.Remove(c.ID)
			return nil
		}}
	})
}
