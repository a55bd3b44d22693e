package telemetry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"postern/directory"
)

// Directory returns d with every operation timed, by the name the configuration
// gives it. It has all abilities; those d lacks answer ErrUnsupported, as a
// directory.Set does, and are not counted.
func (m *Metrics) Directory(name string, d directory.Directory, now func() time.Time) directory.Directory {
	return &timed{Directory: d, name: name, metrics: m, now: now}
}

type timed struct {
	directory.Directory
	name    string
	metrics *Metrics
	now     func() time.Time
}

// done is for defer: began is read when the operation begins, err when it ends.
func (t *timed) done(operation string, began time.Time, err *error) {
	t.metrics.operations.WithLabelValues(t.metrics.directory.of(t.name), operation, answer(*err)).Observe(t.now().Sub(began).Seconds())
}

// answer is the sort of an error, in a word.
func answer(err error) string {
	if _, refused := errors.AsType[*directory.Refusal](err); refused {
		return "refused"
	}
	for _, known := range []struct {
		err  error
		word string
	}{
		// A write of which nobody knows whether it was done is both; the first is worse.
		{directory.ErrUncertain, "uncertain"}, {directory.ErrUnavailable, "unavailable"}, {directory.ErrNotFound, "not_found"},
		{directory.ErrDenied, "denied"}, {directory.ErrWrongPassword, "wrong_password"}, {directory.ErrPasswordExpired, "password_expired"},
		{directory.ErrMustChange, "must_change"}, {directory.ErrUnsupported, "unsupported"},
	} {
		if errors.Is(err, known.err) {
			return known.word
		}
	}
	if err != nil {
		return "error"
	}
	return "ok"
}

// Find implements directory.Directory.
func (t *timed) Find(ctx context.Context, login string) (u directory.User, err error) {
	defer t.done("find", t.now(), &err)
	return t.Directory.Find(ctx, login)
}

// Read implements directory.Directory.
func (t *timed) Read(ctx context.Context, u directory.User) (_ directory.User, err error) {
	defer t.done("read", t.now(), &err)
	return t.Directory.Read(ctx, u)
}

// Rules implements directory.Directory.
func (t *timed) Rules(ctx context.Context, u directory.User) (_ directory.Rules, err error) {
	defer t.done("rules", t.now(), &err)
	return t.Directory.Rules(ctx, u)
}

// SetPassword implements directory.Directory.
func (t *timed) SetPassword(ctx context.Context, u directory.User, pw directory.Secret) (err error) {
	defer t.done("set_password", t.now(), &err)
	return t.Directory.SetPassword(ctx, u, pw)
}

// ChangePassword implements directory.Changer.
func (t *timed) ChangePassword(ctx context.Context, u directory.User, old, pw directory.Secret) (err error) {
	d, ok := t.Directory.(directory.Changer)
	if !ok {
		return t.lacks()
	}
	defer t.done("change_password", t.now(), &err)
	return d.ChangePassword(ctx, u, old, pw)
}

// Unlock implements directory.Unlocker.
func (t *timed) Unlock(ctx context.Context, u directory.User) (err error) {
	d, ok := t.Directory.(directory.Unlocker)
	if !ok {
		return t.lacks()
	}
	defer t.done("unlock", t.now(), &err)
	return d.Unlock(ctx, u)
}

// RequireChange implements directory.Expirer.
func (t *timed) RequireChange(ctx context.Context, u directory.User) (err error) {
	d, ok := t.Directory.(directory.Expirer)
	if !ok {
		return t.lacks()
	}
	defer t.done("require_change", t.now(), &err)
	return d.RequireChange(ctx, u)
}

// Watch implements directory.Watcher.
func (t *timed) Watch(ctx context.Context, u directory.User) (_ []directory.Sighting, err error) {
	d, ok := t.Directory.(directory.Watcher)
	if !ok {
		return nil, t.lacks()
	}
	defer t.done("watch", t.now(), &err)
	return d.Watch(ctx, u)
}

// Authenticate implements directory.Authenticator.
func (t *timed) Authenticate(ctx context.Context, u directory.User, pw directory.Secret) (err error) {
	d, ok := t.Directory.(directory.Authenticator)
	if !ok {
		return t.lacks()
	}
	defer t.done("authenticate", t.now(), &err)
	return d.Authenticate(ctx, u, pw)
}

// RevokeSessions implements directory.Revoker.
func (t *timed) RevokeSessions(ctx context.Context, u directory.User) (err error) {
	d, ok := t.Directory.(directory.Revoker)
	if !ok {
		return t.lacks()
	}
	defer t.done("revoke_sessions", t.now(), &err)
	return d.RevokeSessions(ctx, u)
}

// Resolve implements directory.Resolver.
func (t *timed) Resolve(ctx context.Context, from directory.User, ref string) (_ directory.User, err error) {
	d, ok := t.Directory.(directory.Resolver)
	if !ok {
		return directory.User{}, t.lacks()
	}
	defer t.done("resolve", t.now(), &err)
	return d.Resolve(ctx, from, ref)
}

// Search implements directory.Searcher.
func (t *timed) Search(ctx context.Context, q directory.Query) (_ directory.Found, err error) {
	d, ok := t.Directory.(directory.Searcher)
	if !ok {
		return directory.Found{}, t.lacks()
	}
	defer t.done("search", t.now(), &err)
	return d.Search(ctx, q)
}

// People implements directory.Lister. What each does with somebody is not the
// directory's: neither its time nor its error is counted.
func (t *timed) People(ctx context.Context, each func(directory.ID) error) error {
	d, ok := t.Directory.(directory.Lister)
	if !ok {
		return t.lacks()
	}
	var counted, stopped error
	began := t.now()
	defer func() { t.done("people", began, &counted) }()
	err := d.People(ctx, func(id directory.ID) error {
		from := t.now()
		stopped = each(id)
		began = began.Add(t.now().Sub(from))
		return stopped
	})
	if stopped == nil {
		counted = err
	}
	return err
}

// Examine implements directory.Examiner.
func (t *timed) Examine(ctx context.Context) []directory.Finding {
	d, ok := t.Directory.(directory.Examiner)
	if !ok {
		return nil
	}
	return d.Examine(ctx)
}

// Methods implements directory.MethodKeeper.
func (t *timed) Methods(ctx context.Context, u directory.User) (_ []directory.Method, err error) {
	d, ok := t.Directory.(directory.MethodKeeper)
	if !ok {
		return nil, t.lacks()
	}
	defer t.done("methods", t.now(), &err)
	return d.Methods(ctx, u)
}

// RemoveMethod implements directory.MethodKeeper.
func (t *timed) RemoveMethod(ctx context.Context, u directory.User, m directory.Method) (err error) {
	d, ok := t.Directory.(directory.MethodKeeper)
	if !ok {
		return t.lacks()
	}
	defer t.done("remove_method", t.now(), &err)
	return d.RemoveMethod(ctx, u, m)
}

// IssuePass implements directory.MethodKeeper.
func (t *timed) IssuePass(ctx context.Context, u directory.User) (_ directory.Pass, err error) {
	d, ok := t.Directory.(directory.MethodKeeper)
	if !ok {
		return directory.Pass{}, t.lacks()
	}
	defer t.done("issue_pass", t.now(), &err)
	return d.IssuePass(ctx, u)
}

// GivesPasses implements directory.PassGiver: nobody is asked, and nothing timed.
func (t *timed) GivesPasses(u directory.User) bool {
	d, ok := t.Directory.(directory.PassGiver)
	return ok && d.GivesPasses(u)
}

// Registered implements directory.MethodKeeper; its time is that of whoever goes
// through the report, and is not counted.
func (t *timed) Registered(ctx context.Context, each func(directory.Registration) error) error {
	d, ok := t.Directory.(directory.MethodKeeper)
	if !ok {
		return t.lacks()
	}
	return d.Registered(ctx, each)
}

// BySID implements directory.Original.
func (t *timed) BySID(ctx context.Context, sid string) (_ directory.User, err error) {
	d, ok := t.Directory.(directory.Original)
	if !ok {
		return directory.User{}, t.lacks()
	}
	defer t.done("find", t.now(), &err)
	return d.BySID(ctx, sid)
}

// ByLink implements directory.Linker.
func (t *timed) ByLink(ctx context.Context, link string) (_ directory.User, err error) {
	d, ok := t.Directory.(directory.Linker)
	if !ok {
		return directory.User{}, t.lacks()
	}
	defer t.done("find", t.now(), &err)
	return d.ByLink(ctx, link)
}

// CopyOf implements directory.Copier.
func (t *timed) CopyOf(ctx context.Context, sid string) (_ directory.User, err error) {
	d, ok := t.Directory.(directory.Copier)
	if !ok {
		return directory.User{}, t.lacks()
	}
	defer t.done("find", t.now(), &err)
	return d.CopyOf(ctx, sid)
}

func (t *timed) lacks() error { return fmt.Errorf("%w: %s", directory.ErrUnsupported, t.name) }
