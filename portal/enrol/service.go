package enrol

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/verify"
)

// Policy says who may use the portal at all; see portal/policy.
type Policy interface {
	Eligible(u directory.User) string
}

// Options are the parts a Service is made of; all are required but where it says so.
type Options struct {
	Directory directory.Directory
	Policy    Policy
	Store     Store
	Accounts  Accounts
	// Threats is asked before anything is taken away or added.
	Threats access.Threats
	Factors []verify.Enroller
	// Operators are mail addresses that hear of incidents; may be empty.
	Operators []string
	// Incident is told that somebody said "this wasn't me"; may be nil.
	Incident func()
	// Campaign is how people are brought to enrol something; only its snooze and
	// deadline are looked at.
	Campaign Campaign
	// Keeping is for what a directory keeps itself; the zero value: none of that is
	// shown or acted on.
	Keeping Keeping
	Now     func() time.Time
	Rand    io.Reader
	// Fresh is how old a proof may be for adding or removing something.
	Fresh time.Duration
}

// Service is a person's own factors.
type Service struct {
	Options
	factors map[verify.Kind]verify.Enroller
}

const (
	offerLife  = 10 * time.Minute
	offerTries = 5
	maxName    = 64 // code points; the form and its message say so too
)

// New checks that nothing is missing.
func New(o Options) (*Service, error) {
	if o.Directory == nil || o.Policy == nil || o.Store == nil || o.Accounts == nil || o.Threats == nil || o.Now == nil || o.Rand == nil || o.Fresh <= 0 {
		return nil, errors.New("enrol: a part is missing")
	}
	o.Store = guarded{o.Store}
	s := &Service{Options: o, factors: map[verify.Kind]verify.Enroller{}}
	for _, f := range o.Factors {
		s.factors[f.Kind()] = f
	}
	return s, nil
}

// StepUp says that a fresh proof is needed first. Strong: a password and a
// mailed code are not enough, because something stronger is enrolled already
// and must not be got round.
type StepUp struct{ Strong bool }

func (e *StepUp) Error() string { return "enrol: a fresh proof is needed first" }

// ErrEnded: the account may no longer use the portal; its session must end.
var (
	ErrEnded    = errors.New("enrol: the account may not use the portal any more")
	ErrBadName  = errors.New("enrol: that is not a name")
	ErrUnknown  = errors.New("enrol: no such factor here")
	ErrBadReply = errors.New("enrol: the set-up was not confirmed")
)

// Who asks: the signed-in person and the browser session they ask from.
type Who struct {
	Principal access.Principal
	Session   string // hash of the session token
	Address   string
	Lang      string
}

// Kinds a person can add here, in the order given to New.
func (s *Service) Kinds() []verify.Kind {
	kinds := make([]verify.Kind, len(s.Factors))
	for i, f := range s.Factors {
		kinds[i] = f.Kind()
	}
	return kinds
}

// Methods lists what the person has, without secrets.
func (s *Service) Methods(ctx context.Context, w Who) ([]verify.Credential, error) {
	return s.Store.Methods(ctx, w.Principal.ID)
}

// Standing is what is remembered of the person's account.
func (s *Service) Standing(ctx context.Context, w Who) (access.Standing, error) {
	known, err := s.Accounts.Standing(ctx, w.Principal.ID)
	return known, unavailable(err)
}

// Offer begins a set-up. The challenge's Public part is what to show, once.
// replaces is the credential of the same kind that goes when the new one is
// confirmed, and stays until then (security case 45); empty: none.
func (s *Service) Offer(ctx context.Context, w Who, kind verify.Kind, replaces string) (verify.Challenge, error) {
	if _, err := s.careful(ctx, w, kind, replaces); err != nil {
		return verify.Challenge{}, err
	}
	u, err := s.allow(ctx, w)
	if err != nil {
		return verify.Challenge{}, err
	}
	if replaces != "" {
		if old, _, err := s.find(ctx, w, replaces); err != nil {
			return verify.Challenge{}, err
		} else if old.Kind != kind {
			return verify.Challenge{}, ErrNoMethod
		}
	}
	f := s.factors[kind]
	if f == nil {
		return verify.Challenge{}, ErrUnknown
	}
	ch, err := f.Offer(ctx, s.subject(w, u))
	if err != nil {
		return verify.Challenge{}, unavailable(err)
	}
	expires := s.Now().Add(offerLife)
	if !ch.Expires.IsZero() && ch.Expires.Before(expires) {
		expires = ch.Expires
	}
	return ch, s.Store.HoldOffer(ctx, Offer{Owner: u.ID, Kind: kind, Session: w.Session, Challenge: ch, Replaces: replaces, Expires: expires})
}

// Pending returns the set-up that waits for its confirmation in this browser,
// so that a wrong code can be typed again; ErrNoOffer when there is none. It
// costs one of the offer's tries.
func (s *Service) pending(ctx context.Context, w Who, kind verify.Kind) (Offer, error) {
	o, err := s.Store.TryOffer(ctx, w.Principal.ID, kind)
	if err != nil {
		return Offer{}, err
	}
	if o.Session != w.Session || o.Tries > offerTries || !s.Now().Before(o.Expires) {
		return Offer{}, ErrNoOffer
	}
	return o, nil
}

// Enrol confirms a set-up and stores it. When the answer was wrong the offer
// comes back beside ErrBadReply, to show the page again.
func (s *Service) Enrol(ctx context.Context, w Who, kind verify.Kind, answer []byte, name string) (Offer, error) {
	u, err := s.allow(ctx, w)
	if err != nil {
		return Offer{}, err
	}
	if name, err = cleanName(name, true); err != nil {
		return Offer{}, err
	}
	f := s.factors[kind]
	if f == nil {
		return Offer{}, ErrUnknown
	}
	o, err := s.pending(ctx, w, kind)
	if err != nil {
		return Offer{}, err
	}
	calm, err := s.careful(ctx, w, kind, o.Replaces)
	if err != nil {
		return o, err
	}
	got, err := f.Enrol(ctx, s.subject(w, u), o.Challenge, answer)
	switch {
	case errors.Is(err, verify.ErrNotAllowed):
		return o, verify.ErrNotAllowed
	case errors.Is(err, verify.ErrWrong), errors.Is(err, verify.ErrReplayed):
		return o, ErrBadReply
	case errors.Is(err, verify.ErrExpired):
		return o, ErrNoOffer
	case err != nil:
		return o, unavailable(err)
	}
	c := Change{Owner: u.ID, DropOffer: kind, Served: true, Calm: calm}
	if got.ReplaceAll {
		c.ReplaceAll, c.OnlySession = kind, w.Session
	}
	// One moment for a whole set: who proves with one of its codes must not find
	// the others newer, as if the set had been replaced meanwhile.
	at := s.Now()
	for _, cred := range got.Add {
		cred.Owner, cred.Kind, cred.Created = u.ID, kind, at
		if cred.ID == "" {
			if cred.ID, err = s.id(); err != nil {
				return o, err
			}
		}
		if name != "" {
			cred.Name = name
		}
		c.Add = append(c.Add, cred)
	}
	if o.Replaces != "" {
		old, _, err := s.find(ctx, w, o.Replaces)
		if err != nil {
			return o, err
		}
		c.Remove, c.OnlySession = old.ID, w.Session
		if err := s.record(ctx, &c, w, u, "factor.removed", kind, old.Name, map[string]string{"credential": old.ID}); err != nil {
			return o, err
		}
	}
	if err := s.record(ctx, &c, w, u, "factor.added", kind, name, keyOf(c.Add)); err != nil {
		return o, err
	}
	return o, s.Store.Commit(ctx, c)
}

// Rename gives a credential another name. It opens nothing and asks for no fresh proof.
func (s *Service) Rename(ctx context.Context, w Who, id, name string) error {
	name, err := cleanName(name, false)
	if err != nil {
		return err
	}
	u, err := s.Still(ctx, w)
	if err != nil {
		return err
	}
	cred, _, err := s.find(ctx, w, id)
	if err != nil {
		return err
	}
	return s.Store.Commit(ctx, Change{Owner: u.ID, Rename: id, Name: name, Served: true, Events: []audit.Event{
		s.event(w, u, "factor.renamed", cred.Kind)}})
}

// Left says what would remain if the credential went, so that nobody removes
// the last way in unawares.
func (s *Service) Left(ctx context.Context, w Who, id string) (gone verify.Credential, rest []verify.Credential, err error) {
	return s.find(ctx, w, id)
}

// Remove takes a credential away at once, and ends every other session of the
// person: whoever has the stolen phone may have signed in with it (ASVS 5.0
// section 7.4.3).
func (s *Service) Remove(ctx context.Context, w Who, id string) error {
	if err := s.calm(ctx); err != nil {
		return err
	}
	u, err := s.allow(ctx, w)
	if err != nil {
		return err
	}
	cred, _, err := s.find(ctx, w, id)
	if err != nil {
		return err
	}
	c := Change{Owner: u.ID, Remove: id, OnlySession: w.Session, Served: true, Calm: true}
	if err := s.record(ctx, &c, w, u, "factor.removed", cred.Kind, cred.Name, map[string]string{"credential": cred.ID}); err != nil {
		return err
	}
	return s.Store.Commit(ctx, c)
}

func (s *Service) find(ctx context.Context, w Who, id string) (gone verify.Credential, rest []verify.Credential, err error) {
	all, err := s.Store.Methods(ctx, w.Principal.ID)
	if err != nil {
		return gone, nil, err
	}
	for _, c := range all {
		if c.ID == id {
			gone = c
		} else {
			rest = append(rest, c)
		}
	}
	if gone.ID == "" {
		return gone, nil, ErrNoMethod
	}
	return gone, rest, nil
}

// Still reads the account of somebody signed in again. ErrEnded: the session
// must end, because the account may not use the portal any more (security case
// 46), or got another password since it signed in by a way that does not end
// sessions: an administrator who set one meant everybody else to be out.
func (s *Service) Still(ctx context.Context, w Who) (directory.User, error) {
	u, err := s.Directory.Read(ctx, w.Principal.User)
	switch {
	case errors.Is(err, directory.ErrNotFound):
		return u, ErrEnded
	case err != nil:
		return u, err
	case u.ID != w.Principal.ID, s.Policy.Eligible(u) != "", !u.State.PasswordSet.Equal(w.Principal.User.State.PasswordSet):
		return u, ErrEnded
	}
	standing, err := s.Accounts.Standing(ctx, u.ID)
	if err != nil {
		return u, unavailable(err)
	}
	if !standing.Frozen.IsZero() {
		return u, ErrEnded
	}
	return u, nil
}

// allow asks for a fresh proof besides, at least as strong as the strongest
// thing enrolled (security case 45).
func (s *Service) allow(ctx context.Context, w Who) (directory.User, error) {
	u, err := s.Still(ctx, w)
	if err != nil {
		return u, err
	}
	have, err := s.Store.Methods(ctx, u.ID)
	if err != nil {
		return u, err
	}
	strong := len(have) > 0
	if !w.Principal.Fresh(s.Now(), s.Fresh) || strong && !w.Principal.Strong() {
		return u, &StepUp{Strong: strong}
	}
	return u, nil
}

func (s *Service) subject(w Who, u directory.User) verify.Subject {
	return verify.Subject{ID: u.ID, User: &u, Case: "enrol:" + w.Session, Purpose: "enrol", Lang: w.Lang}
}

func (s *Service) event(w Who, u directory.User, kind string, factor verify.Kind) audit.Event {
	return audit.Event{At: s.Now(), Kind: kind, Subject: u.ID, SubjectName: u.Login, Actor: u.ID, ActorName: u.Login,
		Door: string(w.Principal.Door), Address: w.Address, Factor: string(factor), Outcome: audit.OK}
}

// keyOf names a public key for the record: a signature made with it later must
// lead back to the day it was enrolled, also when the credential is gone by then.
func keyOf(added []verify.Credential) map[string]string {
	if len(added) != 1 || added[0].Print == "" {
		return nil
	}
	return map[string]string{"credential": added[0].ID, "key": added[0].Print}
}

// record adds the audit event and the notice to every address, old ones too.
func (s *Service) record(ctx context.Context, c *Change, w Who, u directory.User, what string, kind verify.Kind, name string, detail map[string]string) error {
	e := s.event(w, u, what, kind)
	e.Detail = detail
	c.Events = append(c.Events, e)
	standing, err := s.Accounts.Standing(ctx, u.ID)
	if err != nil {
		return unavailable(err)
	}
	to := standing.Addresses(u, s.Now())
	if len(to) == 0 {
		return nil
	}
	template := strings.ReplaceAll(what, ".", "_")
	if kind == verify.RecoveryCode && what == "factor.added" {
		template = "recovery_codes_replaced"
	}
	c.Messages = append(c.Messages, s.notice(u, to, template, w.Lang, map[string]string{"kind": string(kind), "name": name,
		"at": s.Now().UTC().Format(time.RFC3339), "address": w.Address, "door": string(w.Principal.Door)}))
	return nil
}

func (s *Service) id() (string, error) {
	b := make([]byte, 16)
	_, err := io.ReadFull(s.Rand, b)
	return hex.EncodeToString(b), err
}

func cleanName(name string, mayBeEmpty bool) (string, error) {
	name = strings.TrimSpace(name)
	if name == "" && mayBeEmpty {
		return "", nil
	}
	if name == "" || utf8.RuneCountInString(name) > maxName || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "", ErrBadName
	}
	return name, nil
}
