package desk

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"regexp"
	"sync"

	"postern/directory"
	"postern/portal/flow"
	"postern/verify"
)

// Spent are the forms that were acted on (*store.DB).
type Spent interface {
	// Spent reports whether a mark is.
	Spent(ctx context.Context, mark string) (bool, error)
	// Once spends one in the transaction of what work does with the ctx it is given;
	// which may be nil and may run again. first is false, and nothing happens, when it was spent.
	Once(ctx context.Context, mark string, work func(context.Context) error) (first bool, err error)
}

// oncePattern is what a form carries so that it acts once: 128 random bits of ours.
var oncePattern = regexp.MustCompile(`^[A-Za-z0-9_-]{22}$`)

// mark names one form of a technician's, for one act on one thing: sent twice it is
// the same, and copied into another form it is another. Case ids have its form.
func (w Who) mark(once string, of ...string) (string, error) {
	if !oncePattern.MatchString(once) {
		return "", &flow.Invalid{Field: "once", Code: "bad_choice"}
	}
	h := sha256.New()
	for _, part := range append([]string{"postern desk once", once, string(w.Principal.ID)}, of...) {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
		h.Write([]byte(part))
	}
	return base32.HexEncoding.EncodeToString(h.Sum(nil)[:20]), nil
}

// openOnce begins a case by open, which is given its id, or returns the one that the
// same form has begun. The id is made of the form, so that whatever runs at once the
// store takes one of them; that others wait here keeps a double click from being
// counted as two.
func (s *Service) openOnce(ctx context.Context, w Who, id directory.ID, once string, open func(caseID string) (*flow.Case, error)) (*flow.Case, error) {
	mark, err := w.mark(once, "open", string(id))
	if err != nil {
		return nil, err
	}
	release, err := s.turns.take(ctx, mark)
	if err != nil {
		return nil, unavailable(err)
	}
	defer release()
	begun := func() (*flow.Case, error) {
		c, err := s.Case(ctx, w, mark)
		if err == nil && c.Key != id {
			err = ErrUnknown
		}
		return c, err
	}
	if c, err := begun(); !errors.Is(err, ErrUnknown) {
		return c, err
	}
	c, err := open(mark)
	if errors.Is(err, flow.ErrExists) { // on another node
		return begun()
	}
	return c, err
}

// actOnce does an act by do, unless the same form has done it: then there is nothing
// to do, and that is no error. do calls the function it is given with what commits
// together with the form's mark, or with nil to spend it before.
func (s *Service) actOnce(ctx context.Context, w Who, once string, of []string, do func(commit func(work func(context.Context) error) error) error) error {
	mark, err := w.mark(once, of...)
	if err != nil {
		return err
	}
	release, err := s.turns.take(ctx, mark)
	if err != nil {
		return unavailable(err)
	}
	defer release()
	if done, err := s.Spent.Spent(ctx, mark); done || err != nil {
		return unavailable(err)
	}
	ours := false
	err = do(func(work func(context.Context) error) error {
		first, err := s.Spent.Once(ctx, mark, work)
		if err == nil && !first {
			err = errSpent
		}
		ours = err == nil
		return err
	})
	if err != nil && !ours {
		// Another node may have been first: then what stopped us was its success.
		if done, serr := s.Spent.Spent(ctx, mark); done && serr == nil {
			return nil
		}
	}
	return err
}

var errSpent = errors.New("desk: the form was acted on")

// matchOnce spends the form before the number is tried, so that a double click on a
// wrong one costs one try. Sent again, the answer is what the case has become.
func (s *Service) matchOnce(ctx context.Context, w Who, c *flow.Case, once string, match func() (*flow.Case, error)) (now *flow.Case, err error) {
	mark, err := w.mark(once, "match", c.ID)
	if err != nil {
		return c, err
	}
	release, err := s.turns.take(ctx, mark)
	if err != nil {
		return c, unavailable(err)
	}
	defer release()
	first, err := s.Spent.Once(ctx, mark, nil)
	if err != nil {
		return c, unavailable(err)
	}
	if first {
		return match()
	}
	if now, err = s.Case(ctx, w, c.ID); err == nil && now.Next(s.Now()) == flow.StepWait && now.Open.Kind == verify.Handover {
		err = &flow.Wrong{Code: "wrong_number", Left: now.VotesLeft()}
	}
	return now, err
}

// turns lets one at a time in for each key.
type turns struct {
	mu   sync.Mutex
	held map[string]*turn
}

type turn struct {
	free chan struct{} // holds one while nobody is in
	n    int           // who is in, or waits
}

func newTurns() *turns { return &turns{held: map[string]*turn{}} }

func (t *turns) take(ctx context.Context, key string) (release func(), err error) {
	t.mu.Lock()
	one := t.held[key]
	if one == nil {
		one = &turn{free: make(chan struct{}, 1)}
		one.free <- struct{}{}
		t.held[key] = one
	}
	one.n++
	t.mu.Unlock()
	leave := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if one.n--; one.n == 0 {
			delete(t.held, key)
		}
	}
	select {
	case <-one.free:
		return func() { one.free <- struct{}{}; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
