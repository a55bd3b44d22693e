package session_test

import (
	"errors"
	"testing"
	"time"

	"postern/portal/access"
	"postern/portal/session"
)

// atDesk finds the session and says whether the desk is open to it.
func atDesk(t *testing.T, s *session.Manager, now time.Time, find func(*session.Manager) (session.State, error)) bool {
	t.Helper()
	state, err := find(s)
	if err != nil {
		t.Fatal(err)
	}
	return state.AtDesk(now)
}

// Issue 4: a desk left alone for more than a quarter of an hour closes, and what its
// pages ask for by themselves does not keep it open.
func TestADeskLeftAloneCloses(t *testing.T) {
	m, s, now := setup()
	start := *now
	p := person(start, access.Web)
	p.Principal.Proven = start
	if err := s.Replace(ctx, "", token(1), p); err != nil {
		t.Fatal(err)
	}
	find := func(s *session.Manager) (session.State, error) { return s.Find(ctx, token(1)) }
	peek := func(s *session.Manager) (session.State, error) { return s.Peek(ctx, token(1)) }
	*now = start.Add(15 * time.Minute)
	if !atDesk(t, s, *now, find) {
		t.Error("closed a quarter of an hour after the proof")
	}
	if err := s.UseDesk(ctx, token(1)); err != nil {
		t.Fatal(err)
	}
	for *now = start.Add(16 * time.Minute); now.Sub(start) <= 30*time.Minute; *now = now.Add(time.Minute) {
		if !atDesk(t, s, *now, peek) {
			t.Fatalf("closed %v after the use", now.Sub(start)-15*time.Minute)
		}
	}
	*now = start.Add(30*time.Minute + time.Nanosecond)
	for name, how := range map[string]func(*session.Manager) (session.State, error){"a poll": peek, "the person": find} {
		if atDesk(t, s, *now, how) {
			t.Errorf("%s keeps it open", name)
		}
	}
	// One's own pages go on, and are no use of the desk.
	*now = now.Add(time.Minute)
	if atDesk(t, s, *now, find) {
		t.Error("one's own pages opened it")
	}
	// A proof opens it again.
	p.Principal.Proven = *now
	if err := s.Replace(ctx, token(1), token(2), p); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Find(ctx, token(2)); err != nil || !got.AtDesk(*now) {
		t.Errorf("%+v %v", got, err)
	}
	m.fail = errors.New("database is locked")
	if err := s.UseDesk(ctx, token(2)); err == nil {
		t.Error("a use that cannot be noted is one")
	}
}

// Whoever uses the desk without a break proves themselves again after twelve hours.
func TestADeskInUseClosesAfterTwelveHours(t *testing.T) {
	_, s, now := setup()
	start := *now
	p := person(start, access.Web)
	p.Principal.Proven = start
	if err := s.Replace(ctx, "", token(1), p); err != nil {
		t.Fatal(err)
	}
	for ; now.Sub(start) <= 12*time.Hour; *now = now.Add(10 * time.Minute) {
		if got, err := s.Find(ctx, token(1)); err != nil || !got.AtDesk(*now) {
			t.Fatalf("closed after %v: %v", now.Sub(start), err)
		}
		if err := s.UseDesk(ctx, token(1)); err != nil {
			t.Fatal(err)
		}
	}
	*now = start.Add(12*time.Hour + time.Nanosecond)
	if got, err := s.Find(ctx, token(1)); err != nil || got.AtDesk(*now) {
		t.Errorf("open after %v: %v", now.Sub(start), err)
	}
}

// Pages that refresh by themselves keep nobody signed in.
func TestPollsKeepNobodySignedIn(t *testing.T) {
	m, s, now := setup()
	start := *now
	if err := s.Replace(ctx, "", token(1), person(start, access.Web)); err != nil {
		t.Fatal(err)
	}
	for *now = start.Add(time.Minute); now.Sub(start) < time.Hour; *now = now.Add(time.Minute) {
		if _, err := s.Peek(ctx, token(1)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Peek(ctx, token(1)); !errors.Is(err, session.ErrNone) || m.touched != 0 {
		t.Errorf("%v, touched %d times", err, m.touched)
	}
}
