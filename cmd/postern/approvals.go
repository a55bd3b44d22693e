package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/mail"
	"strings"
	"time"

	"postern/directory"
	"postern/portal/flow"
	"postern/portal/store"
	"postern/verify"
	"postern/verify/approval"
)

// Alerts say who hears of what should worry somebody.
type Alerts struct {
	// Mail are addresses: a security mailbox, the people on duty.
	Mail []string `yaml:"mail"`
}

// Validate returns every fault, each beginning with the name of its key.
func (a Alerts) Validate() (faults []error) {
	for i, m := range a.Mail {
		if parsed, err := mail.ParseAddress(m); err != nil || parsed.Address != m {
			faults = append(faults, fmt.Errorf("mail[%d]: is not an address, like security@example.org", i))
		}
	}
	return faults
}

// memory is what an approval asks of the store.
type memory struct{ db *store.DB }

func (m memory) ManagerSince(ctx context.Context, id directory.ID) (time.Time, error) {
	s, err := m.db.Standing(ctx, id)
	return s.ManageAt, err
}

func (m memory) Frozen(ctx context.Context, id directory.ID) (bool, error) {
	s, err := m.db.Standing(ctx, id)
	return err != nil || !s.Frozen.IsZero(), err
}

func (m memory) Vouched(ctx context.Context, by, other directory.ID) (time.Time, error) {
	st, err := m.db.Strikes(ctx, by, flow.VouchedFor(other))
	return st.Last, err
}

// openApproval makes the factor, also where no plan has it: a raised threat level
// asks for it in every one.
func (p *program) openApproval(passkeys verify.Signer, codes verify.Factor) (verify.Factor, error) {
	return approval.New(approval.Config{Origin: strings.TrimSuffix(p.cfg.Portal.PublicURL, "/"), People: p.people, Memory: memory{p.db}, Eligible: p.policy.Eligible,
		Signer: passkeys, Codes: codes, Vault: p.db, Now: p.now, Rand: rand.Reader})
}
