// Package approval is another person's signed yes as a factor: a manager, or who
// the policy names instead, vouches that it is really their colleague who asks.
//
// It decides whom to ask, makes the request they sign, and checks their answer.
// The request is a statement of fixed form; its SHA-256 is the challenge of the
// approver's passkey, so that the signature covers who, what and until when, and
// can be checked again later without the portal. It sends nothing, stores nothing
// and counts nothing: that is the core's (portal/flow). An approval is never
// enough alone (NIST SP 800-63B-4 section 4.2.2.2).
package approval

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"time"

	"postern/directory"
	"postern/verify"
)

const (
	// life of a request is that of the case, and no longer than this.
	life = time.Hour
	// managerSettled is how long a manager must have been one (security case 97).
	managerSettled = 7 * 24 * time.Hour
	// mutual is how long two people cannot vouch one for the other in turn (security
	// case 93).
	mutual = 24 * time.Hour
	// maxRecord bounds what goes into the record, in bytes.
	maxRecord = 8 << 10
)

// People are looked up in the directory.
type People interface {
	Find(ctx context.Context, login string) (directory.User, error)
	Read(ctx context.Context, u directory.User) (directory.User, error)
	// Resolve reads the account that u.Manager of another one names.
	Resolve(ctx context.Context, from directory.User, ref string) (directory.User, error)
}

// Memory is what the portal remembers of people.
type Memory interface {
	// ManagerSince is when the account's manager was found changed; zero: never.
	ManagerSince(ctx context.Context, id directory.ID) (time.Time, error)
	// Frozen: "this wasn't me" was said for the account.
	Frozen(ctx context.Context, id directory.ID) (bool, error)
	// Vouched is when by last vouched for other; zero: never.
	Vouched(ctx context.Context, by, other directory.ID) (time.Time, error)
}

// Config is what the factor needs; all of it is required.
type Config struct {
	Origin   string // of the portal, for the statement
	People   People
	Memory   Memory
	Eligible func(directory.User) string // why the portal does not act for somebody; empty: it does
	Signer   verify.Signer               // passkeys
	Codes    verify.Factor               // authenticator apps
	Vault    verify.Vault
	Now      func() time.Time
	Rand     io.Reader
}

// Factor implements verify.Voucher.
type Factor struct{ Config }

var _ verify.Voucher = (*Factor)(nil)

// New checks that nothing is missing.
func New(c Config) (*Factor, error) {
	if c.Origin == "" || c.People == nil || c.Memory == nil || c.Eligible == nil || c.Signer == nil || c.Codes == nil || c.Vault == nil || c.Now == nil || c.Rand == nil {
		return nil, errors.New("approval: a part is missing")
	}
	return &Factor{c}, nil
}

// Kind implements verify.Factor.
func (*Factor) Kind() verify.Kind { return verify.Approval }

// state is what the server remembers of a request.
type state struct {
	Case   string    `json:"case"`
	Number string    `json:"number"`
	Nonce  []byte    `json:"nonce"`
	Asked  []voter   `json:"asked"`
	At     time.Time `json:"at"`
}

// voter is one who was asked.
type voter struct {
	ID      directory.ID `json:"id"`
	Name    string       `json:"name"`
	Manager bool         `json:"manager"` // by the directory's word, not the policy's
}

// into writes what is remembered, and what of it the requester's page shows.
func (st state) into(ch *verify.Challenge) (err error) {
	names := make([]string, len(st.Asked))
	for i, v := range st.Asked {
		names[i] = v.Name
	}
	if ch.State, err = json.Marshal(st); err != nil {
		return fmt.Errorf("approval: %w", err)
	}
	ch.Public, err = json.Marshal(map[string]any{"number": st.Number, "who": names, "asked": st.At.UTC()})
	return err
}

// Begin implements verify.Factor. verify.ErrNobody when there is nobody to ask.
// Public is what the requester's page shows: the number, and who was asked.
func (f *Factor) Begin(ctx context.Context, s verify.Subject) (verify.Challenge, error) {
	now := f.Now()
	st := state{Case: s.Case, Nonce: make([]byte, 16), At: now}
	if _, err := io.ReadFull(f.Rand, st.Nonce); err != nil {
		return verify.Challenge{}, fmt.Errorf("approval: no randomness: %w", err)
	}
	n, err := rand.Int(f.Rand, big.NewInt(90))
	if err != nil {
		return verify.Challenge{}, fmt.Errorf("approval: no randomness: %w", err)
	}
	st.Number = fmt.Sprint(10 + n.Int64())
	var asked []candidate
	if s.User != nil {
		if asked, err = f.choose(ctx, s); err != nil {
			return verify.Challenge{}, err
		}
	}
	ch := verify.Challenge{Kind: verify.Approval, Expires: now.Add(life).UTC().Truncate(time.Second)}
	if !s.Ends.IsZero() && s.Ends.Before(ch.Expires) {
		ch.Expires = s.Ends.UTC().Truncate(time.Second)
	}
	for _, c := range asked {
		st.Asked = append(st.Asked, voter{ID: c.user.ID, Name: c.user.Name, Manager: c.manager})
		ch.Deliver = append(ch.Deliver, f.deliveries(s, ch, c.user)...)
	}
	return ch, st.into(&ch)
}

// deliveries tell an approver that they are asked. No number is in them: it is
// the requester's to say.
func (f *Factor) deliveries(s verify.Subject, ch verify.Challenge, to directory.User) []verify.Delivery {
	to.Groups = nil
	args := map[string]string{"requester": s.User.Name, "login": s.User.Login, "purpose": s.Purpose, "why": s.Why, "until": ch.Expires.Format(time.RFC3339)}
	if s.Helper != nil {
		args["technician"] = s.Helper.Name
	}
	list := []verify.Delivery{{Channel: "mail", Template: "approval_request", Args: args, To: &to}}
	if s.Ask.SMS && len(to.Phone) > 0 {
		list = append(list, verify.Delivery{Channel: "sms", Template: "approval_request", Args: args, To: &to})
	}
	return list
}

// Check implements verify.Factor: nobody answers for themselves.
func (*Factor) Check(context.Context, verify.Subject, verify.Challenge, []byte) (verify.Evidence, error) {
	return verify.Evidence{}, verify.ErrPending
}

// Asked implements verify.Voucher.
func (f *Factor) Asked(c verify.Challenge) []directory.ID {
	st, err := read(c)
	if err != nil {
		return nil
	}
	ids := make([]directory.ID, len(st.Asked))
	for i, v := range st.Asked {
		ids[i] = v.ID
	}
	return ids
}

// Without implements verify.Voucher.
func (*Factor) Without(c verify.Challenge, those []directory.ID) (verify.Challenge, error) {
	st, err := read(c)
	if err != nil {
		return c, err
	}
	st.Asked = slices.DeleteFunc(st.Asked, func(v voter) bool { return slices.Contains(those, v.ID) })
	c.Deliver = slices.DeleteFunc(slices.Clone(c.Deliver), func(d verify.Delivery) bool { return d.To != nil && slices.Contains(those, d.To.ID) })
	return c, st.into(&c)
}

// Ballot implements verify.Voucher.
func (f *Factor) Ballot(ctx context.Context, s verify.Subject, c verify.Challenge, by directory.User) (b verify.Ballot, err error) {
	st, err := f.seated(ctx, s, c, by)
	if err != nil {
		return b, err
	}
	_, digest, err := f.statement(s, c, st, by)
	if err != nil {
		return b, err
	}
	ask, err := f.Signer.AskSignature(ctx, voterSubject(s, by), digest, f.rule(s))
	switch {
	case err == nil:
		b.Passkey = ask.Public
	case !errors.Is(err, verify.ErrNoCredential):
		return b, err
	}
	if b.TOTP, err = f.mayUseCode(ctx, s, by); err != nil {
		return b, err
	}
	if b.Passkey == nil && !b.TOTP {
		return b, &verify.Unfit{Reason: "no_credential"}
	}
	return b, nil
}

// Vote implements verify.Voucher.
func (f *Factor) Vote(ctx context.Context, s verify.Subject, c verify.Challenge, v verify.Vote) (ev verify.Evidence, err error) {
	st, err := f.seated(ctx, s, c, v.By)
	if err != nil {
		return ev, err
	}
	if !f.Now().Before(c.Expires) {
		return ev, verify.ErrExpired
	}
	if subtle.ConstantTimeCompare([]byte(v.Number), []byte(st.Number)) != 1 {
		return ev, verify.ErrWrongNumber
	}
	text, digest, err := f.statement(s, c, st, v.By)
	if err != nil {
		return ev, err
	}
	r := Record{Statement: text, By: v.Kind}
	switch v.Kind {
	case verify.Passkey:
		signed, err := f.Signer.CheckSignature(ctx, voterSubject(s, v.By), digest, f.rule(s), v.Proof)
		if err != nil {
			return ev, err
		}
		r.Signature = &signed
	case verify.TOTP:
		if err := f.checkCode(ctx, s, v); err != nil {
			return ev, err
		}
	default:
		return ev, verify.ErrWrong
	}
	ev.By = v.By.ID
	if ev.Record, err = json.Marshal(r); err != nil {
		return ev, fmt.Errorf("approval: %w", err)
	}
	if len(ev.Record) > maxRecord {
		return ev, fmt.Errorf("%w: longer than any authenticator answers", verify.ErrWrong)
	}
	return ev, nil
}

// Stands implements verify.Voucher: who vouched must still be one who may.
func (f *Factor) Stands(ctx context.Context, s verify.Subject, ev verify.Evidence) error {
	var r Record
	var said Statement
	if json.Unmarshal(ev.Record, &r) != nil || json.Unmarshal(r.Statement, &said) != nil || said.Approver != ev.By || said.Requester != s.ID || s.User == nil {
		return errors.New("approval: its record cannot be read")
	}
	by, err := f.People.Read(ctx, directory.User{ID: ev.By})
	if errors.Is(err, directory.ErrNotFound) {
		return &verify.Unfit{Reason: "not_eligible"}
	} else if err != nil {
		return err
	}
	return f.fit(ctx, s, by, said.Manager)
}

// seated reads the request and makes sure that it is by's to answer, still.
func (f *Factor) seated(ctx context.Context, s verify.Subject, c verify.Challenge, by directory.User) (state, error) {
	st, err := read(c)
	if err != nil {
		return st, err
	}
	if s.User == nil || st.Case != s.Case {
		return st, &verify.Unfit{Reason: "not_asked"}
	}
	i := slices.IndexFunc(st.Asked, func(v voter) bool { return v.ID == by.ID && by.ID != "" })
	if i < 0 {
		return st, &verify.Unfit{Reason: "not_asked"}
	}
	return st, f.fit(ctx, s, by, st.Asked[i].Manager)
}

func read(c verify.Challenge) (st state, err error) {
	if c.Kind != verify.Approval || json.Unmarshal(c.State, &st) != nil || len(st.Nonce) == 0 {
		return st, errors.New("approval: the request cannot be read")
	}
	return st, nil
}

// rule is whose signature counts: a passkey that somebody put into the approver's
// account a moment ago does not.
func (f *Factor) rule(s verify.Subject) verify.SignRule {
	r := verify.SignRule{DeviceBound: !s.Ask.Synced}
	if s.Ask.Settled > 0 {
		r.Before = f.Now().Add(-s.Ask.Settled)
	}
	return r
}

func voterSubject(s verify.Subject, by directory.User) verify.Subject {
	return verify.Subject{ID: by.ID, User: &by, Case: "vouch:" + s.Case, Purpose: s.Purpose, Lang: s.Lang}
}

// mayUseCode reports whether the policy lets by answer with a code, and they have
// had an app for long enough.
func (f *Factor) mayUseCode(ctx context.Context, s verify.Subject, by directory.User) (bool, error) {
	if !s.Ask.TOTP {
		return false, nil
	}
	have, err := f.Vault.Credentials(ctx, by.ID, verify.TOTP)
	if err != nil {
		return false, fmt.Errorf("approval: %w", err)
	}
	return len(have) > 0 && !slices.ContainsFunc(have, func(c verify.Credential) bool {
		// With one that is new nobody could tell by which of them a code was made.
		return f.Now().Sub(c.Created) < s.Ask.Settled
	}), nil
}

func (f *Factor) checkCode(ctx context.Context, s verify.Subject, v verify.Vote) error {
	if may, err := f.mayUseCode(ctx, s, v.By); err != nil {
		return err
	} else if !may {
		return &verify.Unfit{Reason: "no_credential"}
	}
	sub := voterSubject(s, v.By)
	ch, err := f.Codes.Begin(ctx, sub)
	if err != nil {
		return err
	}
	_, err = f.Codes.Check(ctx, sub, ch, v.Proof)
	return err
}
