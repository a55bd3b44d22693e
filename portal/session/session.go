// Package session is what the portal remembers of one browser: the case it is
// in and who is signed in. A browser holds a random token; the store holds the
// token's hash, so that neither a dump of the database nor a log gives anybody
// a session. Strangers who only look around have no row at all.
//
// It knows no HTTP: cookies and form tokens are portal/web's.
package session

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/policy"
)

// State is what is remembered. Both halves may be missing.
type State struct {
	Case      string
	Purpose   policy.Purpose // of the case
	Principal access.Principal
	// Back is the page of a link that this browser opened before it signed in, to
	// return there; empty: to one's own. It never comes from an address.
	Back string `json:",omitempty"`
	// Screen is the registered device the browser is. Its session is nobody's for long,
	// and worth nothing away from it.
	Screen access.Screen `json:",omitzero"`
	// Errand is what that device has asked of a phone or of the desk; see portal/kiosk.
	Errand string `json:",omitempty"`
	// Code opens it, to show the picture of it again.
	Code string `json:",omitempty"`
	// Desk is when the person last did something at the desk; a column of its own, as
	// Find returns it. What refreshes by itself is nothing they did.
	Desk time.Time `json:"-"`
}

// SignedIn reports whether somebody is.
func (s State) SignedIn() bool { return s.Principal.ID != "" }

// Row is a stored session. It is keyed by the hash of the token.
type Row struct {
	Hash    []byte       // SHA-256 of the token
	Owner   directory.ID // Principal's ID; empty when nobody is signed in
	State   State        // sealed at rest
	Created time.Time
	Used    time.Time
	Expires time.Time // absolute
	Desk    time.Time // last use of the desk; zero: none
}

// Store keeps rows. Any error but ErrNone is a no.
type Store interface {
	// Session reads one; ErrNone when there is none.
	Session(ctx context.Context, hash []byte) (Row, error)
	// ReplaceSession removes old (nil: nothing) and stores next (zero Hash:
	// nothing) in one transaction. It never brings a removed row back.
	ReplaceSession(ctx context.Context, old []byte, next Row) error
	// TouchSession notes a use, only forward, only of a row that still exists.
	TouchSession(ctx context.Context, hash []byte, at time.Time) error
	// TouchDesk notes a use of the desk in the same way.
	TouchDesk(ctx context.Context, hash []byte, at time.Time) error
}

// ErrNone: there is no such session, or its time is over.
var ErrNone = errors.New("session: none")

// Life is how long sessions last.
type Life struct {
	Idle     time.Duration
	Absolute time.Duration
}

// Lives by what the session is good for (NIST SP 800-63B-4 section 2.2.3; OWASP
// ASVS 5.0 section 7.3): somebody signed in 1 h idle and 24 h in all, a case no
// longer than a case lasts. For the pages of the desk Desk holds besides; for a
// session that is good for nothing else, it holds alone.
func Lives(s State) Life {
	switch {
	case s.Screen.Here():
		return Kiosk
	case !s.SignedIn():
		return Life{Idle: 30 * time.Minute, Absolute: time.Hour}
	case s.Principal.Door == access.Desk:
		return Desk
	}
	return Life{Idle: time.Hour, Absolute: 24 * time.Hour}
}

// Kiosk is how long a session lasts at a shared screen: its page ends it after a minute
// without a touch, and this is for the page that could not, or that has no script and so
// cannot know of touches.
var Kiosk = Life{Idle: 150 * time.Second, Absolute: 30 * time.Minute}

// Desk is how long a session opens the desk: by so long ago a use of it, and so long
// ago the sign-in. Afterwards it opens one's own pages still, and the desk after a
// proof, or a new sign-in.
var Desk = Life{Idle: 15 * time.Minute, Absolute: 12 * time.Hour}

// AtDesk reports whether the desk is open to who is signed in: they have signed in
// within Desk.Absolute, whatever they proved since, and never left it alone for longer
// than Desk.Idle. By what they proved it is not looked at.
func (s State) AtDesk(now time.Time) bool {
	last := s.Principal.Proven
	if s.Desk.After(last) {
		last = s.Desk
	}
	return s.SignedIn() && !s.DeskOver(now) && s.Principal.Fresh(now, Desk.Absolute) && now.Sub(last) <= Desk.Idle
}

// DeskOver reports whether the sign-in is too old for the desk, so that no proof opens
// it again but a new sign-in.
func (s State) DeskOver(now time.Time) bool {
	return now.Sub(s.Principal.SignedIn) > Desk.Absolute
}

// touchEvery bounds how often a mere look at a page writes to the store.
const touchEvery = time.Minute

// Manager gives out and finds sessions.
type Manager struct {
	store Store
	now   func() time.Time
}

// NewManager needs a store and a clock.
func NewManager(store Store, now func() time.Time) *Manager { return &Manager{store: store, now: now} }

// tokenBytes of randomness are in a token: 256 bits.
const tokenBytes = 32

// key is the hash of a well-formed token; nil for anything else, which then
// costs no look-up.
func key(token string) []byte {
	if b, err := base64.RawURLEncoding.Strict().DecodeString(token); err != nil || len(b) != tokenBytes {
		return nil
	}
	h := sha256.Sum256([]byte("postern session\x00" + token))
	return h[:]
}

// Hash names a session where its token must not be known; empty for a
// malformed token.
func (m *Manager) Hash(token string) string { return hex.EncodeToString(key(token)) }

// Find returns what is remembered of the browser with that token, or ErrNone.
func (m *Manager) Find(ctx context.Context, token string) (State, error) {
	s, r, err := m.find(ctx, token)
	if err != nil {
		return State{}, err
	}
	if now := m.now(); now.Sub(r.Used) >= min(touchEvery, Lives(s).Idle/8) {
		if err := m.store.TouchSession(ctx, r.Hash, now); err != nil {
			return State{}, err
		}
	}
	return s, nil
}

func (m *Manager) find(ctx context.Context, token string) (State, Row, error) {
	k := key(token)
	if k == nil {
		return State{}, Row{}, ErrNone
	}
	r, err := m.store.Session(ctx, k)
	if err != nil {
		return State{}, Row{}, err
	}
	now := m.now()
	if !now.Before(r.Expires) || now.Sub(r.Used) >= Lives(r.State).Idle {
		return State{}, Row{}, ErrNone
	}
	r.Hash, r.State.Desk = k, r.Desk
	return r.State, r, nil
}

// Peek is Find for what a page asks for by itself: nobody has used the session.
func (m *Manager) Peek(ctx context.Context, token string) (State, error) {
	s, _, err := m.find(ctx, token)
	return s, err
}

// UseDesk notes that the person did something at the desk just now.
func (m *Manager) UseDesk(ctx context.Context, token string) error {
	k := key(token)
	if k == nil {
		return ErrNone
	}
	return m.store.TouchDesk(ctx, k, m.now())
}

// Replace ends the session of old and stores s under next, in one step; the
// zero State is not stored. Every change of privilege gets a new token, so that
// a token known before it is worth nothing after it (ASVS 5.0 section 7.2.4).
func (m *Manager) Replace(ctx context.Context, old, next string, s State) error {
	var row Row
	if s.Case != "" || s.SignedIn() || s.Back != "" || s.Errand != "" {
		k := key(next)
		if k == nil {
			return errors.New("session: the new token is malformed")
		}
		now := m.now()
		created := now
		if s.SignedIn() && !s.Principal.SignedIn.IsZero() && s.Principal.SignedIn.Before(now) {
			// A new token for somebody signed in does not buy more time.
			created = s.Principal.SignedIn
		}
		row = Row{Hash: k, Owner: s.Principal.ID, State: s, Created: created, Used: now, Expires: created.Add(Lives(s).Absolute)}
	}
	return m.store.ReplaceSession(ctx, key(old), row)
}
