package directory

import (
	"context"
	"errors"
	"time"
)

// MethodKeeper is the optional ability to see and mend what a directory itself keeps
// of how people prove who they are, where it has such a thing (Entra ID). Postern's
// own factors are another matter, and kept elsewhere.
//
// Whom it is done for, and by whom, is the core's decision, each time: whoever may
// call this may sign in as anybody.
type MethodKeeper interface {
	// Methods are those registered for u.
	Methods(ctx context.Context, u User) ([]Method, error)
	// RemoveMethod takes one away, by its id and kind. ErrNotFound when it is not
	// there, ErrUnsupported for a kind that cannot be taken away.
	RemoveMethod(ctx context.Context, u User, m Method) error
	// IssuePass makes a pass with which u can sign in once and register methods anew;
	// one that was there before ends. ErrUnsupported where none are given.
	IssuePass(ctx context.Context, u User) (Pass, error)
	// Registered calls each for everybody, as the directory's own report has them:
	// it may be hours old.
	Registered(ctx context.Context, each func(Registration) error) error
}

// PassGiver says whether IssuePass gives u a pass as far as the configuration goes,
// without asking the directory: a button that never works is not shown. Who does not
// have it gives none.
type PassGiver interface {
	GivesPasses(u User) bool
}

// Method is one way of u to prove who they are.
type Method struct {
	ID   string
	Kind string // password, phone, softwareOath, fido2, microsoftAuthenticator, email, windowsHelloForBusiness, temporaryAccessPass, …
	Name string // number, address or device, as the directory shows it
	// Removable: RemoveMethod can take it away.
	Removable bool
}

// Pass is a Temporary Access Pass. The directory shows it once and Postern keeps it
// nowhere: it is for the verified person's eyes alone.
type Pass struct {
	Value Secret
	Until time.Time
}

// Registration is what the directory has of one person's methods.
type Registration struct {
	ID    ID
	Login string
	Kinds []string
	Ready bool // able to prove more than a password
}

// PlainCharacters reports whether s has nothing but the characters that Entra ID takes
// in a password: those of ASCII that are printed, and the space.
func PlainCharacters(s string) bool {
	for _, r := range s {
		if r < ' ' || r > '~' {
			return false
		}
	}
	return true
}

// Methods implements MethodKeeper.
func (s *Set) Methods(ctx context.Context, u User) ([]Method, error) {
	d, err := able[MethodKeeper](s, u)
	if err != nil {
		return nil, err
	}
	return d.Methods(ctx, u)
}

// RemoveMethod implements MethodKeeper.
func (s *Set) RemoveMethod(ctx context.Context, u User, m Method) error {
	d, err := able[MethodKeeper](s, u)
	if err != nil {
		return err
	}
	return d.RemoveMethod(ctx, u, m)
}

// IssuePass implements MethodKeeper.
func (s *Set) IssuePass(ctx context.Context, u User) (Pass, error) {
	d, err := able[MethodKeeper](s, u)
	if err != nil {
		return Pass{}, err
	}
	return d.IssuePass(ctx, u)
}

// GivesPasses implements PassGiver.
func (s *Set) GivesPasses(u User) bool {
	d, err := able[PassGiver](s, u)
	return err == nil && d.GivesPasses(u)
}

// Registered implements MethodKeeper: of every directory that has such a report.
// ErrUnsupported when none has.
func (s *Set) Registered(ctx context.Context, each func(Registration) error) error {
	some := false
	for _, m := range s.members {
		k, ok := m.Directory.(MethodKeeper)
		if !ok {
			continue
		}
		switch err := k.Registered(ctx, each); {
		case errors.Is(err, ErrUnsupported):
		case err != nil:
			return err
		default:
			some = true
		}
	}
	if !some {
		return ErrUnsupported
	}
	return nil
}
