package desk_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/desk"
	"postern/portal/flow"
	"postern/portal/notify"
	"postern/verify"
)

// Security case 105: no factor is cleared while the level is raised; the refusal is
// in the record, and counts as nothing done.
func TestNoFactorIsClearedWhileTheLevelIsRaised(t *testing.T) {
	r := newRig(t)
	r.have = []verify.Credential{{ID: "phone", Kind: verify.TOTP}}
	w := r.who("x:tech", 0)
	c := r.cases[r.verified(w, "x:ann")]
	r.level.Raise()
	var no *desk.Refused
	if err := r.act(w, c.ID, desk.Clear, "phone"); !errors.As(err, &no) || no.Reason != "threat" || len(r.did) != 0 {
		t.Fatalf("%v, %q", err, r.did)
	}
	last := r.event[len(r.event)-1]
	if last.Kind != audit.DeskRefused || last.Reason != "threat" || last.Subject != "x:ann" || last.Actor != "x:tech" {
		t.Errorf("%+v", last)
	}
	r.mute = errors.New("disk full")
	if err := r.act(w, c.ID, desk.Clear, "phone"); !errors.Is(err, flow.ErrUnavailable) {
		t.Errorf("without a record: %v", err)
	}
	r.mute = nil
	r.level.Fail(errors.New("database is locked"))
	if err := r.act(w, c.ID, desk.Clear, "phone"); !errors.Is(err, flow.ErrUnavailable) || len(r.did) != 0 {
		t.Errorf("with a level nobody can read: %v, %q", err, r.did)
	}
	r.level.Raise()
	for _, act := range []desk.Act{desk.Freeze, desk.SignOut} { // which shut an account
		if err := r.act(w, c.ID, act, ""); err != nil {
			t.Errorf("%s: %v", act, err)
		}
	}
	if err := r.act(w, c.ID, desk.Unlock, ""); !errors.As(err, &no) || no.Reason != "threat" {
		t.Errorf("an unlock without the approval: %v", err)
	}
	if err := r.act(w, c.ID, desk.Unfreeze, ""); !errors.As(err, &no) || no.Reason != "held" {
		t.Errorf("without a second technician: %v", err)
	}
	if err := r.Agree(t.Context(), r.who("x:two", 0), c.ID); err != nil {
		t.Fatal(err)
	}
	for _, act := range []desk.Act{desk.Unfreeze, desk.Renew} {
		if err := r.act(w, c.ID, act, ""); err != nil {
			t.Errorf("%s: %v", act, err)
		}
	}
	r.level.Lower()
	if err := r.act(w, c.ID, desk.Clear, "phone"); err != nil {
		t.Errorf("lowered: %v", err)
	}
}

// board is the threat level with all that was told of it.
type board struct {
	level  access.Threat
	events []audit.Event
	mail   []notify.Message
	err    error
}

func (b *board) Threat(context.Context) (access.Threat, error) { return b.level, b.err }

func (b *board) SetThreat(_ context.Context, change desk.LevelChange) error {
	if b.err != nil {
		return b.err
	}
	next, e, m, err := change(b.level)
	if err != nil {
		return err
	}
	b.level, b.events, b.mail = next, append(b.events, e...), append(b.mail, m...)
	return nil
}

var ops = directory.User{ID: "x:op", Login: "op", Groups: []string{"CN=Ops,DC=x"}}

type switchRig struct {
	desk.Switch
	*board
	now time.Time
}

func newSwitch() *switchRig {
	s := &switchRig{board: &board{}, now: time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC)}
	s.Switch = desk.Switch{Levels: s.board, Roles: access.Roles{Operator: []string{"Ops"}, Senior: []string{"Leads"}, Auditor: []string{"Audit"}}, Alerts: []string{"security@example.org"}, Lang: "en",
		Now: func() time.Time { return s.now }}
	return s
}

func (s *switchRig) who(u directory.User, ago time.Duration, by ...verify.Kind) desk.Who {
	return desk.Who{Principal: access.Principal{ID: u.ID, User: u, By: by, Proven: s.now.Add(-ago)}, Address: "192.0.2.9", Lang: "en"}
}

func (s *switchRig) turn(to access.Level, why string, span time.Duration) error {
	return s.Turn(context.Background(), s.who(ops, 0, verify.Passkey), desk.Turn{To: to, Reason: why, For: span})
}

func TestOnlyAnOperatorWithAFreshProofTurnsTheLevel(t *testing.T) {
	as := func(groups ...string) directory.User { return directory.User{ID: "x:op", Login: "op", Groups: groups} }
	for name, c := range map[string]struct {
		u    directory.User
		ago  time.Duration
		by   []verify.Kind
		want error
	}{
		"an operator":             {ops, 10 * time.Minute, []verify.Kind{verify.Password, verify.TOTP}, nil},
		"eleven minutes ago":      {ops, 11 * time.Minute, []verify.Kind{verify.Passkey}, desk.ErrStale},
		"by what anybody copies":  {ops, 0, []verify.Kind{verify.Password, verify.RecoveryCode}, desk.ErrStale},
		"a senior":                {as("CN=Leads,DC=x"), 0, []verify.Kind{verify.Passkey}, desk.ErrUnknown},
		"an auditor":              {as("CN=Audit,DC=x"), 0, []verify.Kind{verify.Passkey}, desk.ErrUnknown},
		"no operator any more":    {as(), 0, []verify.Kind{verify.Passkey}, desk.ErrUnknown},
		"nobody, with the groups": {directory.User{Groups: ops.Groups}, 0, []verify.Kind{verify.Passkey}, desk.ErrUnknown},
	} {
		for _, to := range []access.Level{access.Raised, access.Normal} {
			s := newSwitch()
			s.level = access.Threat{Level: access.Normal}
			if to == access.Normal {
				s.level.Level = access.Raised
			}
			err := s.Turn(t.Context(), s.who(c.u, c.ago, c.by...), desk.Turn{To: to, Reason: "calls about new phones"})
			if !errors.Is(err, c.want) || (err == nil) != (len(s.events) == 1) || (err == nil) != (s.level.Level == to) {
				t.Errorf("%s to %s: %v, %d events, %s", name, to, err, len(s.events), s.level.Level)
			}
		}
	}
}

func TestEveryTurnIsInTheRecordAndMailedToSecurity(t *testing.T) {
	s := newSwitch()
	if err := s.turn(access.Raised, "  calls about new phones ", 4*time.Hour); err != nil {
		t.Fatal(err)
	}
	s.now = s.now.Add(time.Hour)
	if err := s.TurnFrom(t.Context(), audit.Event{Actor: "operator", ActorName: "root", Door: "cli"}, desk.Turn{To: access.Normal, Reason: "over"}); err != nil {
		t.Fatal(err)
	}
	if len(s.events) != 2 || len(s.mail) != 2 {
		t.Fatalf("%+v, %+v", s.events, s.mail)
	}
	up, down := s.events[0], s.events[1]
	if up.Kind != "threat.raised" || up.Actor != "x:op" || up.ActorName != "op" || up.Address != "192.0.2.9" || up.Detail["why"] != "calls about new phones" || up.Detail["until"] != "2026-05-04T13:00:00Z" || up.Outcome != audit.OK {
		t.Errorf("%+v", up)
	}
	if down.Kind != "threat.lowered" || down.Actor != "operator" || down.Door != "cli" || down.Detail["why"] != "over" {
		t.Errorf("%+v", down)
	}
	if s.mail[0].Template != "threat_raised" || s.mail[1].Template != "threat_lowered" || !slices.Equal(s.mail[0].To, s.Alerts) || s.mail[0].Args["note"] != "calls about new phones" || s.mail[1].Args["approver"] != "root" {
		t.Errorf("%+v", s.mail)
	}
	s.Alerts = nil
	if err := s.turn(access.Raised, "again", 0); err != nil || len(s.events) != 3 || len(s.mail) != 2 {
		t.Errorf("without a mailbox: %v, %d, %d", err, len(s.events), len(s.mail))
	}
}

// A double click turns once; another reason or end is a turn of its own, and the
// level stays raised since it was.
func TestADoubleClickTurnsTheLevelOnce(t *testing.T) {
	s := newSwitch()
	began := s.now
	for i, c := range []struct {
		to    access.Level
		why   string
		span  time.Duration
		after time.Duration
		turns int
	}{
		{access.Normal, "nothing is raised", 0, 0, 0},
		{access.Raised, "calls", time.Hour, 0, 1},
		{access.Raised, "calls", time.Hour, 2 * time.Second, 1},
		{access.Raised, "calls", 4 * time.Hour, time.Second, 2},
		{access.Raised, "calls, and mails", 4 * time.Hour, time.Second, 3},
		{access.Raised, "calls, and mails", 0, time.Second, 4},
		{access.Normal, "over", 0, time.Minute, 5},
		{access.Normal, "over", 0, time.Second, 5},
		{access.Raised, "calls", time.Hour, 0, 6},
		{access.Normal, "it ended by itself", 0, time.Hour, 6},
	} {
		s.now = s.now.Add(c.after)
		if err := s.turn(c.to, c.why, c.span); err != nil {
			t.Fatal(err)
		}
		if len(s.events) != c.turns {
			t.Fatalf("step %d: %d turns, want %d", i, len(s.events), c.turns)
		}
		if i > 0 && i < 6 && !s.level.Since.Equal(began) {
			t.Errorf("step %d: raised since %s", i, s.level.Since)
		}
	}
}

func TestATurnWithoutAReasonIsNone(t *testing.T) {
	s := newSwitch()
	for name, c := range map[string]desk.Turn{
		"no reason":        {To: access.Raised, Reason: " \t "},
		"too long":         {To: access.Raised, Reason: strings.Repeat("ä", access.MaxReason+1)},
		"not printable":    {To: access.Raised, Reason: "a\u202eb"},
		"two lines":        {To: access.Raised, Reason: "a\nb"},
		"no such level":    {To: "high", Reason: "x"},
		"no level":         {Reason: "x"},
		"backwards":        {To: access.Raised, Reason: "x", For: -time.Hour},
		"for a moment":     {To: access.Raised, Reason: "x", For: time.Second},
		"for half a year":  {To: access.Raised, Reason: "x", For: 180 * 24 * time.Hour},
		"lower, no reason": {To: access.Normal},
	} {
		var bad *flow.Invalid
		if err := s.Turn(t.Context(), s.who(ops, 0, verify.Passkey), c); !errors.As(err, &bad) || len(s.events) != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.turn(access.Raised, strings.Repeat("ä", access.MaxReason), 30*24*time.Hour); err != nil {
		t.Error(err)
	}
	s.err = errors.New("database is locked")
	if err := s.turn(access.Normal, "over", 0); !errors.Is(err, flow.ErrUnavailable) || s.level.Level != access.Raised {
		t.Errorf("%v", err)
	}
}
