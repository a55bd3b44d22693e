package flow

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/limit"
	"postern/portal/password"
	"postern/portal/policy"
	"postern/verify"
)

// Policy says which proofs are enough, and who may use the portal at all.
type Policy interface {
	For(door access.Door, purpose policy.Purpose, u directory.User) policy.Plan
	// Decoy gives a plan to somebody who does not exist; the same seed always
	// gets the same one.
	Decoy(door access.Door, purpose policy.Purpose, seed []byte) policy.Plan
	// StepUp is For of somebody signed in, given what they have enrolled.
	StepUp(door access.Door, u directory.User, enrolled []verify.Kind) policy.Plan
	// Eligible returns a reason code when the portal must not act on u, else "".
	Eligible(u directory.User) string
}

// Judge says what is wrong with a password before the directory is asked.
type Judge interface {
	Judge(pw directory.Secret, rules directory.Rules, who directory.User) []password.Problem
	Checklist(rules directory.Rules, who directory.User) []password.Item
}

// Limits are the short-lived limits by address, account and destination.
type Limits interface {
	Take(ctx context.Context, name limit.Name, key string) error
	// Failed notes a wrong answer from an address on an account.
	Failed(ctx context.Context, address, account string) error
}

// Options are the parts a Service is made of. All are required but Log.
type Options struct {
	Directory directory.Directory
	Policy    Policy
	Factors   []verify.Factor
	Vault     verify.Vault
	Store     Store
	Accounts  Accounts
	Counters  Counters
	Limits    Limits
	Judge     Judge
	// Threats is asked at the start of a reset or an unlock, and again before it writes.
	Threats access.Threats
	// Destination gives an address the form its limit is kept by; nil: as it is.
	Destination func(channel, address string) string
	// DecoyKey makes decoys stable; it must not be known outside.
	DecoyKey []byte
	// ContactKey makes hashes of contacts worthless without it. 32 bytes or more.
	ContactKey []byte
	// Operators are mail addresses that hear of what should worry them.
	Operators []string
	Strikes   StrikeRule
	// Pace is what Start rounds the time of its answer up to, for whoever has not
	// proved anything; 0: it answers when it is done. See pace.
	Pace time.Duration
	Now  func() time.Time
	Rand io.Reader
	Log  *slog.Logger
	// Observe is told every finished case; may be nil.
	Observe func(purpose policy.Purpose, outcome string, took time.Duration)
	// Failpoint is called with the name of each point around the directory
	// write, for tests that stop the world there; may be nil.
	Failpoint func(point string)
}

type parts = Options // so that Service can have a method of that name

// Service moves cases on. It is safe for concurrent use, on several nodes.
type Service struct {
	parts
	factors map[verify.Kind]verify.Factor
}

// writeTimeout bounds one directory write; it does not end when the browser goes away.
const writeTimeout = 10 * time.Second

// stale is how old what we know of an account may be when we act on it. A
// change proves the old password again inside the write itself, so it may act
// on what Start read moments ago; a reset always reads again.
const stale = 30 * time.Second

// New checks that nothing is missing.
func New(o Options) (*Service, error) {
	switch {
	case o.Directory == nil, o.Policy == nil, o.Store == nil, o.Counters == nil, o.Limits == nil, o.Judge == nil, o.Vault == nil, o.Accounts == nil, o.Threats == nil:
		return nil, errors.New("flow: a part is missing")
	case len(o.DecoyKey) < 32 || len(o.ContactKey) < 32:
		return nil, errors.New("flow: a key is shorter than 32 bytes")
	case o.Now == nil, o.Rand == nil, o.Strikes.PerWindow == 0:
		return nil, errors.New("flow: clock, randomness or strike rule missing")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Store, o.Counters = guarded{o.Store}, guardedCounters{o.Counters}
	s := &Service{parts: o, factors: map[verify.Kind]verify.Factor{}}
	for _, f := range o.Factors {
		s.factors[f.Kind()] = f
	}
	return s, nil
}

// Wrong is an answer that was not right.
type Wrong struct {
	Code string // wrong_code, wrong_password, wrong_passkey, expired_code, replayed_code
	Left int    // tries left in this case
}

func (e *Wrong) Error() string { return "flow: " + e.Code }

// Weak is a password that the portal itself refuses.
type Weak struct{ Problems []password.Problem }

func (e *Weak) Error() string {
	return fmt.Sprintf("flow: password refused by %d rules", len(e.Problems))
}

// Limited is a limit reached; the same for people who exist and who do not.
type Limited struct{ Retry time.Duration }

func (e *Limited) Error() string { return "flow: too many tries" }

// Invalid is a field that cannot be used as it is.
type Invalid struct{ Field, Code string }

func (e *Invalid) Error() string { return "flow: " + e.Field + ": " + e.Code }

// ErrNotOffered: the plan of this case does not allow that factor now.
var ErrNotOffered = errors.New("flow: that factor is not offered here")

// take maps a reached limit to Limited; any other error stays what it is: a no.
func (s *Service) take(ctx context.Context, name limit.Name, key string) error {
	err := s.Limits.Take(ctx, name, key)
	var over *limit.Exceeded
	if errors.As(err, &over) {
		return &Limited{Retry: over.Retry}
	}
	return unavailable(err)
}

func addressKey(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return "unparsable"
	}
	return limit.AddressKey(a)
}

// Load reads a case.
func (s *Service) Load(ctx context.Context, id string) (*Case, error) { return s.Store.Case(ctx, id) }

// decoyID is the stand-in id for somebody the portal will not help: stable, so
// that counters and choices behave as for a person, and unlinkable to any id.
func (s *Service) decoyID(seed string) directory.ID {
	m := hmac.New(sha256.New, s.DecoyKey)
	io.WriteString(m, "id\x00"+seed)
	return directory.ID("decoy:" + hex.EncodeToString(m.Sum(nil)[:16]))
}

func seedOf(login string) string { return strings.ToLower(strings.TrimSpace(login)) }

func (s *Service) subject(c *Case) verify.Subject {
	sub := verify.Subject{ID: c.Key, User: c.Somebody(), Case: c.ID, Purpose: string(c.Purpose), Lang: c.Lang, Ends: c.Expires, Ask: c.Plan.Ask,
		From: c.Address, Why: c.Said, Helpers: c.helpers()}
	if c.Door == access.Desk {
		sub.Helper = &c.By.User
	}
	return sub
}

var crockford = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

func (s *Service) random(bytes int) string {
	b := make([]byte, bytes)
	if _, err := io.ReadFull(s.Rand, b); err != nil {
		panic("flow: no randomness: " + err.Error()) // nothing safe can be done without it
	}
	return crockford.EncodeToString(b)
}

func (s *Service) receipt() string {
	r := s.random(5)
	return "P-" + r[:4] + "-" + r[4:]
}

func (s *Service) reach(point string) {
	if s.Failpoint != nil {
		s.Failpoint(point)
	}
}

// Option is one way to go on, for the page that asks.
type Option struct {
	Kind   verify.Kind
	Reason string // why not now: same_class, needs_other_first, needs_stronger, needs_approval, not_enrolled; empty: it may be chosen
	Alone  bool   // enough by itself
}

// Options lists what the plan offers now. Before the first proof the answer
// depends on the plan alone, so that it tells a stranger nothing (security
// case 3); afterwards it also says what is not enrolled.
func (s *Service) Options(ctx context.Context, c *Case) ([]Option, error) {
	var out []Option
	// A matched number says that two people speak to each other, and not who it is.
	proved := slices.ContainsFunc(c.Kinds(), func(k verify.Kind) bool { return k.Class() != verify.Match })
	waits := c.Plan.OnlyApproval(c.given())
	for _, k := range c.Plan.Kinds() {
		if s.factors[k] == nil {
			continue
		}
		o := Option{Kind: k, Reason: c.Plan.Offer(k, c.Kinds()), Alone: c.Plan.Enough([]verify.Kind{k})}
		if o.Reason == "not_allowed" {
			continue
		}
		if waits && k != verify.Approval && o.Reason == "" {
			o.Reason = "needs_approval"
		}
		if o.Reason == "" && proved && c.Somebody() != nil && inVault(k) {
			have, err := s.Vault.Credentials(ctx, c.Key, k)
			if err != nil {
				return nil, unavailable(err)
			}
			if len(have) == 0 {
				o.Reason = "not_enrolled"
			}
		}
		out = append(out, o)
	}
	return out, nil
}

// inVault says which kinds need a credential in the vault.
func inVault(k verify.Kind) bool {
	return k == verify.Passkey || k == verify.TOTP || k == verify.YubiKey || k == verify.RecoveryCode
}
