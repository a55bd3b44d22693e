// Package handover is a number matched between two screens as a factor: the one
// a person on the telephone sits before shows it, together with who helps them,
// and the one who began the case types what they hear.
//
// It says that the two speak to each other and mean the same case, so that the
// technician knows whose screen it is, and the caller that the technician is one.
// It does not say who the caller is: it opens one gate, never two, and never
// alone. It sends nothing, stores nothing and counts nothing.
package handover

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"time"

	"postern/directory"
	"postern/verify"
)

// Factor implements verify.Voucher.
type Factor struct {
	now    func() time.Time
	random io.Reader
}

var _ verify.Voucher = (*Factor)(nil)

// New needs a clock and randomness.
func New(now func() time.Time, random io.Reader) *Factor { return &Factor{now: now, random: random} }

// Kind implements verify.Factor.
func (*Factor) Kind() verify.Kind { return verify.Handover }

type state struct {
	Case   string       `json:"case"`
	Number string       `json:"number"`
	Helper directory.ID `json:"helper"`
}

// Begin implements verify.Factor. Public is what the caller's page shows. A case
// nobody began for them is verify.ErrNobody.
func (f *Factor) Begin(_ context.Context, s verify.Subject) (verify.Challenge, error) {
	if s.Helper == nil {
		return verify.Challenge{}, verify.ErrNobody
	}
	n, err := rand.Int(f.random, big.NewInt(90))
	if err != nil {
		return verify.Challenge{}, fmt.Errorf("handover: no randomness: %w", err)
	}
	now := f.now()
	st := state{Case: s.Case, Number: fmt.Sprint(10 + n.Int64()), Helper: s.Helper.ID}
	ch := verify.Challenge{Kind: verify.Handover, Expires: s.Ends}
	if ch.State, err = json.Marshal(st); err != nil {
		return ch, fmt.Errorf("handover: %w", err)
	}
	ch.Public, err = json.Marshal(map[string]any{"number": st.Number, "who": []string{s.Helper.Name}, "asked": now.UTC()})
	return ch, err
}

// Check implements verify.Factor: nobody answers for themselves.
func (*Factor) Check(context.Context, verify.Subject, verify.Challenge, []byte) (verify.Evidence, error) {
	return verify.Evidence{}, verify.ErrPending
}

// Asked implements verify.Voucher: who began the case, alone.
func (*Factor) Asked(c verify.Challenge) []directory.ID {
	st, err := read(c)
	if err != nil {
		return nil
	}
	return []directory.ID{st.Helper}
}

// Without implements verify.Voucher: there is nobody else to ask.
func (*Factor) Without(verify.Challenge, []directory.ID) (verify.Challenge, error) {
	return verify.Challenge{}, verify.ErrNobody
}

// Ballot implements verify.Voucher: the number is all it takes, from somebody who
// has just proved themselves at the desk.
func (*Factor) Ballot(context.Context, verify.Subject, verify.Challenge, directory.User) (verify.Ballot, error) {
	return verify.Ballot{}, &verify.Unfit{Reason: "not_asked"}
}

// Vote implements verify.Voucher.
func (f *Factor) Vote(_ context.Context, s verify.Subject, c verify.Challenge, v verify.Vote) (verify.Evidence, error) {
	st, err := read(c)
	switch {
	case err != nil:
		return verify.Evidence{}, err
	case s.User == nil || st.Case != s.Case || st.Helper != v.By.ID || v.By.ID == s.ID:
		return verify.Evidence{}, &verify.Unfit{Reason: "not_asked"}
	case !f.now().Before(c.Expires):
		return verify.Evidence{}, verify.ErrExpired
	case subtle.ConstantTimeCompare([]byte(v.Number), []byte(st.Number)) != 1:
		return verify.Evidence{}, verify.ErrWrongNumber
	}
	return verify.Evidence{By: v.By.ID}, nil
}

// Stands implements verify.Voucher: what was heard was heard.
func (*Factor) Stands(context.Context, verify.Subject, verify.Evidence) error { return nil }

func read(c verify.Challenge) (st state, err error) {
	if c.Kind != verify.Handover || json.Unmarshal(c.State, &st) != nil || st.Number == "" {
		return st, errors.New("handover: the number cannot be read")
	}
	return st, nil
}
