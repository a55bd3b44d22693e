// Package yubikey is the one-time password a YubiKey types (Yubico OTP) as a
// factor. It is checked by validation servers (validation protocol 2.0), or
// with the key's own AES secret where there is no internet; and in both cases
// against the counter of the last one taken, kept in the vault.
//
// It never believes a server alone: a key must be bound to the account, an
// answer must be signed and be about this very question, and a counter must go
// forward here too. It never counts wrong answers (portal/flow) and never
// stores anything itself.
package yubikey

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"postern/verify"
)

const (
	// life of an open question: as long as a case lives.
	life = 15 * time.Minute
	// offerLife is how long somebody may take to find the key.
	offerLife = 15 * time.Minute
)

// ErrBadSecret is a key that is enrolled without the secret that is needed to
// check it here: offline was set after it had been enrolled online.
var ErrBadSecret = errors.New("yubikey: the key's secret is not here; enrol it again")

// Factor implements verify.Factor and verify.Enroller.
type Factor struct {
	client *client // nil: offline
	keys   Keys    // nil: none are imported
	max    int
	vault  verify.Vault
	now    func() time.Time
	random io.Reader
	// dummy is what the passwords of unknown keys are opened with, so that they
	// cost what everybody's cost.
	dummy []byte
}

var _ verify.Enroller = (*Factor)(nil)

// New returns the factor; the error holds every fault of the settings, and is
// not nil when the factor is off. keys are those whose secrets were imported;
// nil online, where they only give names.
func New(cfg Config, vault verify.Vault, keys Keys, now func() time.Time, random io.Reader) (*Factor, error) {
	return build(cfg, vault, keys, transport(), now, random)
}

func build(cfg Config, vault verify.Vault, keys Keys, over http.RoundTripper, now func() time.Time, random io.Reader) (*Factor, error) {
	faults := cfg.Validate()
	switch {
	case !cfg.On():
		faults = append(faults, errors.New("client_id: missing, and offline is not set"))
	case !cfg.Offline && cfg.Secret.Empty():
		faults = append(faults, errors.New("secret: missing; without it anybody could answer for the server"))
	case cfg.Offline && keys == nil:
		faults = append(faults, errors.New("keys: missing; offline they hold what passwords are checked with"))
	}
	if len(faults) > 0 {
		for i, f := range faults {
			faults[i] = fmt.Errorf("yubikey: %w", f)
		}
		return nil, errors.Join(faults...)
	}
	f := &Factor{keys: keys, max: cfg.Max, vault: vault, now: now, random: random, dummy: make([]byte, secretSize)}
	if _, err := io.ReadFull(random, f.dummy); err != nil {
		return nil, fmt.Errorf("yubikey: no randomness: %w", err)
	}
	if !cfg.Offline {
		var err error
		if f.client, err = newClient(cfg, over, now, random); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// Kind implements verify.Factor.
func (f *Factor) Kind() verify.Kind { return verify.YubiKey }

// Begin implements verify.Factor. The question is the same for everybody.
func (f *Factor) Begin(context.Context, verify.Subject) (verify.Challenge, error) {
	return verify.Challenge{Kind: verify.YubiKey, Expires: f.now().Add(life)}, nil
}

// Check implements verify.Factor.
//
// The servers are asked about every well-formed password, whoever's key it is
// and whether or not there is such an account: the public id of a key is in
// every password it ever typed, so that asking for bound keys alone would tell,
// by the time taken and by what happens when a server is down, whose key it is.
// A yes of theirs still counts for nobody but the key's owner.
func (f *Factor) Check(ctx context.Context, s verify.Subject, c verify.Challenge, answer []byte) (verify.Evidence, error) {
	if !f.now().Before(c.Expires) {
		return verify.Evidence{}, verify.ErrExpired
	}
	typed, ok := read(answer)
	if !ok {
		return verify.Evidence{}, verify.ErrWrong
	}
	held, bound, err := f.bound(ctx, typed)
	if err != nil {
		return verify.Evidence{}, err
	}
	if bound && f.client == nil && len(held.Secret) != secretSize {
		return verify.Evidence{}, fmt.Errorf("%w (credential %s)", ErrBadSecret, held.ID)
	}
	counter, err := f.count(ctx, typed, held.Secret)
	if err != nil {
		return verify.Evidence{}, err
	}
	// A server that lost its memory, or a replica that never heard of the newer
	// one, would take an older password (case 89). This comes before asking whose
	// key it is, so that an old password found somewhere says nothing about that.
	if bound && counter <= held.Counter {
		return verify.Evidence{}, verify.ErrReplayed
	}
	if !bound || s.User == nil || held.Owner != s.ID {
		return verify.Evidence{}, verify.ErrWrong
	}
	if err := f.vault.Spend(ctx, held, counter); err != nil {
		return verify.Evidence{}, fmt.Errorf("yubikey: %w", err)
	}
	return verify.Evidence{Credential: held.ID, Since: held.Created}, nil
}

// bound finds the credential of the key that typed, whoever has it.
func (f *Factor) bound(ctx context.Context, typed otp) (verify.Credential, bool, error) {
	held, err := f.vault.ByHandle(ctx, verify.YubiKey, typed.id[:])
	switch {
	case errors.Is(err, verify.ErrNoCredential):
		return verify.Credential{}, false, nil
	case err != nil:
		return verify.Credential{}, false, fmt.Errorf("yubikey: %w", err)
	}
	return held, true, nil
}

// count returns the key's counter, for a password that is genuine. Servers also
// say that it is new; offline only the counter does.
func (f *Factor) count(ctx context.Context, typed otp, secret []byte) (int64, error) {
	var counter int64
	if f.client != nil {
		var err error
		if counter, err = f.client.ask(ctx, typed.text); err != nil {
			return 0, err
		}
	} else {
		if len(secret) != secretSize {
			secret = f.dummy
		}
		var genuine bool
		if counter, genuine = typed.open(secret); !genuine {
			return 0, verify.ErrWrong
		}
	}
	// A vault takes 0 after 0 again and again, as "keeps no count". A key begins
	// at 1 once it has been plugged in, so this shuts nobody out.
	if counter == 0 {
		return 0, verify.ErrReplayed
	}
	return counter, nil
}

// Probe asks every server about a password of no key, and wants a signed no. It
// changes nothing; offline there is nobody to ask. The error joins what is wrong
// with each server, by name; ErrRefused where one does not know this client.
func (f *Factor) Probe(ctx context.Context) error {
	if f.client == nil {
		return nil
	}
	return f.client.probe(ctx)
}
