package session_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"postern/portal/access"
	"postern/portal/session"
)

type memory struct {
	rows    map[string]session.Row
	touched int
	fail    error
}

func (m *memory) Session(_ context.Context, hash []byte) (session.Row, error) {
	r, found := m.rows[string(hash)]
	if m.fail == nil && !found {
		return r, session.ErrNone
	}
	return r, m.fail
}

func (m *memory) ReplaceSession(_ context.Context, old []byte, next session.Row) error {
	delete(m.rows, string(old))
	if next.Hash != nil {
		m.rows[string(next.Hash)] = next
	}
	return m.fail
}

func (m *memory) TouchSession(_ context.Context, hash []byte, at time.Time) error {
	m.touched++
	if r, found := m.rows[string(hash)]; found {
		r.Used = at
		m.rows[string(hash)] = r
	}
	return m.fail
}

func (m *memory) TouchDesk(_ context.Context, hash []byte, at time.Time) error {
	if r, found := m.rows[string(hash)]; found {
		r.Desk = at
		m.rows[string(hash)] = r
	}
	return m.fail
}

var ctx = context.Background()

func token(b byte) string { return base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{b}, 32)) }

func setup() (*memory, *session.Manager, *time.Time) {
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	m := &memory{rows: map[string]session.Row{}}
	return m, session.NewManager(m, func() time.Time { return now }), &now
}

func person(now time.Time, door access.Door) session.State {
	return session.State{Principal: access.Principal{ID: "d:1", Door: door, SignedIn: now}}
}

// security case 44: idle and absolute, for people and technicians.
func TestSessionsEndIdleAndAbsolutely(t *testing.T) {
	for _, c := range []struct {
		door           access.Door
		idle, absolute time.Duration
	}{{access.Web, time.Hour, 24 * time.Hour}, {access.Desk, 15 * time.Minute, 12 * time.Hour}} {
		_, s, now := setup()
		start := *now
		if err := s.Replace(ctx, "", token(1), person(start, c.door)); err != nil {
			t.Fatal(err)
		}
		*now = start.Add(c.idle - time.Second)
		if _, err := s.Find(ctx, token(1)); err != nil {
			t.Errorf("%s: a second before the idle limit: %v", c.door, err)
		}
		*now = now.Add(c.idle)
		if _, err := s.Find(ctx, token(1)); !errors.Is(err, session.ErrNone) {
			t.Errorf("%s: idle too long: %v", c.door, err)
		}
		// Polled every minute, and renewed with new tokens, it still ends.
		s.Replace(ctx, "", token(2), person(start, c.door))
		for *now = start; now.Sub(start) < c.absolute; *now = now.Add(time.Minute) {
			if _, err := s.Find(ctx, token(2)); err != nil {
				t.Fatalf("%s: ended after %s: %v", c.door, now.Sub(start), err)
			}
		}
		if _, err := s.Find(ctx, token(2)); !errors.Is(err, session.ErrNone) {
			t.Errorf("%s: alive after %s", c.door, c.absolute)
		}
		*now = start.Add(c.absolute - time.Minute)
		s.Replace(ctx, token(2), token(3), person(start, c.door))
		*now = start.Add(c.absolute)
		if _, err := s.Find(ctx, token(3)); !errors.Is(err, session.ErrNone) {
			t.Errorf("%s: a new token bought more time", c.door)
		}
	}
}

// security case 33: what was known before a change of privilege is dead after it.
func TestReplacedTokenIsDead(t *testing.T) {
	m, s, now := setup()
	s.Replace(ctx, "", token(1), session.State{Case: "c"})
	s.Replace(ctx, token(1), token(2), person(*now, access.Web))
	if _, err := s.Find(ctx, token(1)); !errors.Is(err, session.ErrNone) {
		t.Error("the old token still works")
	}
	for k := range m.rows {
		if k == token(2) || bytes.Contains([]byte(k), []byte(token(2))) {
			t.Error("the store knows a token")
		}
	}
}

func TestMalformedTokensAreNotLookedUp(t *testing.T) {
	m, s, _ := setup()
	m.fail = errors.New("must not be asked")
	for _, bad := range []string{"", "x", token(1) + "A", token(1)[:42], "%00"} {
		if _, err := s.Find(ctx, bad); !errors.Is(err, session.ErrNone) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestStoreErrorMeansNoSession(t *testing.T) {
	m, s, now := setup()
	s.Replace(ctx, "", token(1), person(*now, access.Web))
	m.fail = errors.New("down")
	if got, err := s.Find(ctx, token(1)); err == nil || got.SignedIn() {
		t.Error("signed in without a store")
	}
}

func TestLookingAtPagesHardlyWrites(t *testing.T) {
	m, s, now := setup()
	s.Replace(ctx, "", token(1), person(*now, access.Web))
	for range 120 {
		*now = now.Add(time.Second)
		s.Find(ctx, token(1))
	}
	if m.touched > 2 {
		t.Errorf("%d writes for 120 page views in two minutes", m.touched)
	}
}

// Security case 108: at a shared screen a session is over soon after the last sign of life, and
// it gives nobody a longer one by being signed in.
func TestASharedScreensSessionIsShort(t *testing.T) {
	_, s, now := setup()
	start := *now
	state := session.State{Case: "C", Screen: access.Screen{ID: "K", Name: "Ward 3"}, Principal: person(start, access.Web).Principal}
	if err := s.Replace(ctx, "", token(1), state); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		*now = now.Add(140 * time.Second)
		if _, err := s.Find(ctx, token(1)); err != nil {
			t.Fatalf("%s after the start, in use: %v", now.Sub(start), err)
		}
	}
	*now = now.Add(150 * time.Second)
	if _, err := s.Find(ctx, token(1)); !errors.Is(err, session.ErrNone) {
		t.Errorf("left alone: %v", err)
	}
	// An errand is worth a row.
	if err := s.Replace(ctx, "", token(2), session.State{Errand: "E", Screen: state.Screen}); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Find(ctx, token(2)); err != nil || got.Errand != "E" {
		t.Errorf("%+v, %v", got, err)
	}
}
