package enrol

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"regexp"
	"slices"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/limit"
	"postern/portal/policy"
)

// ErrSpent: the form was acted on. What it showed is shown to nobody again.
var ErrSpent = errors.New("enrol: the form was acted on")

// TooNew says that nothing somebody has just proved themselves with has been theirs
// for long enough to be worth a pass.
type TooNew struct {
	Until time.Time // when something will have been; zero: nothing will
}

func (e *TooNew) Error() string { return "enrol: the proof is too new for a pass" }

// Pass makes a temporary pass for w and returns its value, which is nowhere else: not in
// the store, a message, the record or a log. An earlier one ends. once is of the form
// that asks, 22 characters of base64url; *Undone when the directory gave none.
//
// With a pass one gets past everything a tenant asks for at a sign-in, and can register
// what one likes. So it takes what a forgotten password takes: a proof of something that
// is not new, which somebody who has just got into an account could have added.
func (s *Service) Pass(ctx context.Context, w Who, once string) (directory.Pass, error) {
	k, u, err := s.passable(ctx, w)
	if err != nil {
		return directory.Pass{}, err
	}
	mark, err := w.mark(once)
	if err != nil {
		return directory.Pass{}, err
	}
	d := deed{event: s.event(w, u, "pass.issued", ""), template: "pass_issued", args: map[string]string{}}
	if err := s.tells(ctx, &d, w, u); err != nil {
		return directory.Pass{}, err
	}
	if spent, err := s.Keeping.Spent.Spent(ctx, mark); err != nil {
		return directory.Pass{}, unavailable(err)
	} else if spent {
		return directory.Pass{}, ErrSpent
	}
	if err := s.take(ctx, limit.Pass, u.ID); err != nil {
		return directory.Pass{}, err
	}
	var p directory.Pass
	err = s.do(ctx, &d, s.spending(mark), func(ctx context.Context) (err error) {
		if p, err = k.IssuePass(ctx, u); err == nil {
			until := p.Until.UTC().Format(time.RFC3339)
			d.event.Detail, d.args["until"] = map[string]string{"until": until}, until
		}
		return err
	})
	why := "not_recorded"
	if err == nil {
		why, err = "not_me", s.frozen(ctx, u.ID)
	}
	if err != nil {
		if !p.Value.Empty() {
			s.endPass(ctx, u, d.event, why)
		}
		return directory.Pass{}, err
	}
	return p, nil
}

// frozen is ErrEnded for an account that is by now: whoever it belongs to has seen that
// somebody is in it, and must not find that they left with a pass.
func (s *Service) frozen(ctx context.Context, id directory.ID) error {
	known, err := s.Accounts.Standing(directory.Calm(context.WithoutCancel(ctx)), id)
	if err == nil && !known.Frozen.IsZero() {
		return ErrEnded
	}
	return unavailable(err)
}

// passable is everything that must hold for w to be given a pass, but for limits.
func (s *Service) passable(ctx context.Context, w Who) (directory.MethodKeeper, directory.User, error) {
	k, err := s.keeper(w)
	if err != nil {
		return nil, directory.User{}, err
	}
	if err := s.calm(ctx); err != nil {
		return nil, directory.User{}, err
	}
	u, err := s.allow(ctx, w)
	if err != nil {
		return nil, u, err
	}
	if !s.gives(u) {
		return nil, u, &Undone{"unsupported", directory.ErrUnsupported}
	}
	return k, u, s.settled(ctx, w, u)
}

// settled is *TooNew unless w was proved by a kind of which u has something that is not
// new any more, as a reset counts it.
func (s *Service) settled(ctx context.Context, w Who, u directory.User) error {
	have, err := s.Store.Methods(ctx, u.ID)
	if err != nil {
		return err
	}
	cooling := s.Keeping.Rules.For(access.Web, policy.Reset, u).CoolingOff
	no := &TooNew{}
	for _, c := range have {
		if !slices.Contains(w.Principal.By, c.Kind) {
			continue
		}
		at := c.Created.Add(cooling)
		if !s.Now().Before(at) {
			return nil
		}
		if no.Until.IsZero() || at.Before(no.Until) {
			no.Until = at
		}
	}
	return no
}

// spending commits together with a form's mark.
func (s *Service) spending(mark string) func(context.Context, Change) error {
	return func(ctx context.Context, c Change) error {
		first, err := s.Keeping.Spent.Once(ctx, mark, func(ctx context.Context) error { return s.Store.Commit(ctx, c) })
		if err == nil && !first {
			return ErrSpent
		}
		return unavailable(err)
	}
}

var oncePattern = regexp.MustCompile(`^[A-Za-z0-9_-]{22}$`)

// mark names one form of w's: sent again it is the same, and it is nobody else's.
func (w Who) mark(once string) (string, error) {
	if !oncePattern.MatchString(once) {
		return "", ErrSpent
	}
	h := sha256.New()
	for _, part := range []string{"postern pass once", once, string(w.Principal.ID)} {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
		h.Write([]byte(part))
	}
	return base32.HexEncoding.EncodeToString(h.Sum(nil)[:20]), nil
}

// endPass takes away a pass that u may still have, as well as it can, and records what
// came of it with who and whence of was, and why. Nothing is recorded where there is none.
func (s *Service) endPass(ctx context.Context, u directory.User, was audit.Event, why string) {
	k, ok := s.Directory.(directory.MethodKeeper)
	if !ok || u.Privileged != "" {
		return
	}
	ctx = directory.Calm(context.WithoutCancel(ctx))
	short, cancel := context.WithTimeout(ctx, writeTime/2)
	defer cancel()
	n, err := removePasses(short, k, u)
	if n == 0 && (err == nil || errors.Is(err, directory.ErrUnsupported) || errors.Is(err, directory.ErrNotFound)) {
		return
	}
	e := was
	e.At, e.Kind, e.Outcome, e.Reason, e.Detail = s.Now(), "pass.ended", audit.OK, why, nil
	if err != nil {
		e.Outcome = audit.Failed
		if errors.Is(err, directory.ErrUncertain) {
			e.Outcome = audit.Unknown
		}
	}
	// Where even this fails there is nothing more to be done than what was done already.
	_ = s.Store.Commit(ctx, Change{Owner: u.ID, Events: []audit.Event{e}})
}

// removePasses returns how many were found.
func removePasses(ctx context.Context, k directory.MethodKeeper, u directory.User) (n int, err error) {
	all, err := k.Methods(ctx, u)
	if err != nil {
		return 0, err
	}
	for _, m := range all {
		if m.Kind == "temporaryAccessPass" {
			n++
			err = errors.Join(err, k.RemoveMethod(ctx, u, m))
		}
	}
	return n, err
}
