package flow

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/limit"
	"postern/portal/notify"
	"postern/verify"
)

const (
	// maxVotes is how many wrong numbers, or proofs that do not fit, a case bears:
	// of a two-digit number three tries find one in thirty.
	maxVotes = 3
	// mutual is how long two people who vouched one for the other may not do it the
	// other way round (security case 93).
	mutual = day
	// maxNote is the length of a reason, in code points.
	maxNote = 200
)

// Answer is what the one who was asked says.
type Answer struct {
	Token   string
	By      access.Principal // signed in
	Address string
	Kind    verify.Kind // what Proof is of: Passkey or TOTP
	Number  string
	Proof   []byte
	Note    string // with a no
	Alarm   bool   // with a no: they know nothing of it
}

// ErrWeak: whoever signed in with what anybody can guess or intercept must prove
// themselves better first.
var ErrWeak = errors.New("flow: signed in by nothing that is bound to a device")

// Vouch takes a yes. It counts before it is looked at, is checked outside of the
// row's lock, and is recorded only in the turn it was given in; the requester's
// account, and that the one who vouches still may, are looked at again then
// (security cases 96, 97).
func (s *Service) Vouch(ctx context.Context, a Answer) (Request, error) {
	c, voter, err := s.seat(ctx, a.Token, a.By)
	if err != nil {
		return Request{}, err
	}
	return s.vouch(ctx, c, voter, a, verify.Approval)
}

func (s *Service) vouch(ctx context.Context, c *Case, voter directory.User, a Answer, kind verify.Kind) (Request, error) {
	if err := s.take(ctx, limit.Answer, "vouch\x00"+string(voter.ID)); err != nil {
		return Request{Case: c}, err
	}
	if _, why, err := s.again(ctx, c); err != nil {
		return Request{Case: c}, err
	} else if why != "" {
		c, err := s.close(ctx, c, why, "found when somebody vouched")
		return Request{Case: c}, err
	}
	taken, open, err := s.takeVote(ctx, c, voter.ID, a.Kind, kind)
	if err != nil {
		return Request{Case: c}, err
	}
	if err := s.notMutual(ctx, taken, voter.ID); kind == verify.Approval && err != nil {
		return s.unfit(ctx, taken, voter, a, kind, err)
	}
	v, can := s.factors[kind].(verify.Voucher)
	if !can {
		return Request{Case: c}, ErrNotOffered
	}
	ev, err := v.Vote(ctx, s.subject(taken), open, verify.Vote{By: voter, Kind: a.Kind, Number: strings.TrimSpace(a.Number), Proof: a.Proof})
	if err != nil {
		return s.unfit(ctx, taken, voter, a, kind, err)
	}
	return s.vouched(ctx, taken, voter, a, kind, ev)
}

// takeVote counts one try under the lock; of a code, which can be guessed, by the
// voter's own durable counter too, as at every other door (security case 15).
func (s *Service) takeVote(ctx context.Context, before *Case, voter directory.ID, how, kind verify.Kind) (c *Case, open verify.Challenge, err error) {
	now := s.Now()
	c, err = s.Store.Update(ctx, before.ID, func(ctx context.Context, c *Case) (Effects, error) {
		if c.Next(now) != StepWait || c.Open.Kind != kind || c.Turn != before.Turn || c.Votes >= maxVotes {
			return Effects{}, ErrConflict
		}
		if how == verify.TOTP {
			wait, may := time.Duration(0), false
			if err := s.Counters.Strike(ctx, voter, how, func(st Strikes) (next Strikes) {
				next, wait, may = s.Strikes.Add(st, now)
				return next
			}); err != nil {
				return Effects{}, err
			}
			if !may {
				return Effects{}, &Limited{Retry: wait}
			}
		}
		c.Votes++
		open = *c.Open
		return Effects{}, nil
	})
	return c, open, err
}

// unfit records a yes that did not count. After the last try the case is over. What
// was nobody's fault gives the try back, or the request could not be answered any
// more; a code's strike stays, as everywhere.
func (s *Service) unfit(ctx context.Context, taken *Case, voter directory.User, a Answer, kind verify.Kind, cause error) (Request, error) {
	now := s.Now()
	reason, not := auditReason(cause), new(verify.Unfit)
	if errors.As(cause, &not) {
		reason = not.Reason
	}
	wrong := wrongCode(a.Kind, cause)
	c, err := s.Store.Update(ctx, taken.ID, func(ctx context.Context, c *Case) (e Effects, err error) {
		if c.Turn != taken.Turn || !c.Live(now) {
			return Effects{}, ErrConflict
		}
		what := "approval.failed"
		if kind == verify.Handover {
			what = "number.failed"
		}
		e = Effects{Events: events(s.voterEvent(c, what, failed, voter, a, withReason(reason), withFactor(kind)))}
		switch {
		case wrong == "":
			c.Votes = max(0, c.Votes-1)
		case c.Votes >= maxVotes:
			// Somebody had another one guess at what they do not show.
			if e.Messages, err = s.limitNotice(ctx, c, kind); err != nil {
				return e, err
			}
			c.end(ReasonTries)
			e.Events = append(e.Events, s.event(c, "case.closed", refused, withReason(string(ReasonTries))))
		}
		return e, nil
	})
	if err != nil {
		return Request{Case: taken}, err
	}
	if wrong != "" {
		return Request{Case: c}, &Wrong{Code: wrongVote(cause, wrong), Left: max(0, maxVotes-c.Votes)}
	}
	if not.Reason != "" {
		return Request{Case: c}, cause
	}
	return Request{Case: c}, unavailable(cause)
}

func wrongVote(cause error, code string) string {
	if errors.Is(cause, verify.ErrWrongNumber) {
		return "wrong_number"
	}
	return code
}

// vouched records a yes, and what follows from it, in one transaction.
func (s *Service) vouched(ctx context.Context, taken *Case, voter directory.User, a Answer, kind verify.Kind, ev verify.Evidence) (Request, error) {
	now := s.Now()
	c, err := s.Store.Update(ctx, taken.ID, func(ctx context.Context, c *Case) (Effects, error) {
		if c.Turn != taken.Turn || c.Next(now) != StepWait {
			return Effects{}, ErrConflict
		}
		what := "number.matched"
		if kind == verify.Approval {
			what = "approval.given"
			if err := s.pair(ctx, c, voter.ID, now); err != nil {
				return Effects{}, err
			}
		}
		if a.Kind == verify.TOTP {
			if err := s.Counters.Strike(ctx, voter.ID, a.Kind, Strikes.Clear); err != nil {
				return Effects{}, err
			}
		}
		s.accept(c, kind, ev, now)
		c.Votes = max(0, c.Votes-1)
		given := s.voterEvent(c, what, ok, voter, a, withFactor(kind))
		given.Proof = ev.Record
		if kind == verify.Handover {
			withDetail("number", strings.TrimSpace(a.Number))(&given) // it is spent now
		}
		e := Effects{Events: []audit.Event{given}}
		if c.Proven() {
			return e, s.settleProven(ctx, c, now, &e)
		}
		return e, nil
	})
	if err != nil {
		return Request{Case: taken}, err
	}
	if c.Outcome.Status == InFlight {
		// An unlock whose last proof this was. Whether it works is the requester's to
		// see, and the record's.
		done, err := s.unlock(ctx, c)
		if err != nil {
			s.Log.WarnContext(ctx, "the unlock after an approval", "case", c.ID, "cause", err.Error())
		}
		if done != nil {
			c = done
		}
	}
	return Request{Case: c, Vouched: true, Mine: c.Live(now)}, nil
}

// Decline takes a no. It ends the case, also when somebody else has said yes
// before, until the directory is written to.
func (s *Service) Decline(ctx context.Context, a Answer) (Request, error) {
	c, voter, err := s.seat(ctx, a.Token, a.By)
	if err != nil {
		return Request{}, err
	}
	note, err := cleanNote(a.Note)
	if err != nil {
		return Request{Case: c}, err
	}
	now := s.Now()
	c, err = s.Store.Update(ctx, c.ID, func(_ context.Context, c *Case) (Effects, error) {
		if !c.Live(now) || c.Outcome.Status == InFlight || c.Ghost() || !slices.Contains(c.Asked, voter.ID) {
			return Effects{}, ErrConflict
		}
		c.end(ReasonDeclined)
		c.Note = note
		e := Effects{Events: events(s.voterEvent(c, "approval.denied", refused, voter, a, withDetail("note", note), withDetail("alarm", yes(a.Alarm))),
			s.event(c, "case.closed", refused, withReason(string(ReasonDeclined))))}
		e.Messages = s.tellAbout(c, *c.Person, "approval_denied", map[string]string{"at": now.UTC().Format(time.RFC3339), "approver": voter.Name, "note": note,
			"purpose": string(c.Purpose)})
		if a.Alarm {
			e.Messages = append(e.Messages, s.alarm(c, "approval_alarm", map[string]string{"approver": voter.Login, "note": note})...)
		}
		return e, nil
	})
	return Request{Case: c}, err
}

// alarm is mail to the operators.
func (s *Service) alarm(c *Case, template string, args map[string]string) []notify.Message {
	if len(s.Operators) == 0 {
		return nil
	}
	args["login"], args["address"], args["door"], args["at"] = c.Named, c.Address, string(c.Door), s.Now().UTC().Format(time.RFC3339)
	return []notify.Message{{Channel: notify.Mail, To: s.Operators, Template: template, Lang: c.Lang, Case: c.ID, Args: args}}
}

// voterEvent is about the requester's account, by the one who was asked.
func (s *Service) voterEvent(c *Case, kind string, o audit.Outcome, by directory.User, a Answer, more ...func(*audit.Event)) audit.Event {
	e := s.event(c, kind, o, withFactor(verify.Approval))
	e.Actor, e.ActorName, e.Door, e.Address = by.ID, by.Login, string(a.By.Door), a.Address
	for _, m := range more {
		m(&e)
	}
	return e
}

// VouchedFor is the counter that says when its account last vouched for other.
func VouchedFor(other directory.ID) verify.Kind { return verify.Kind("vouched:" + string(other)) }

// notMutual is an *Unfit when the requester vouched for the voter a short time ago.
func (s *Service) notMutual(ctx context.Context, c *Case, voter directory.ID) error {
	st, err := s.Counters.Strikes(ctx, c.Key, VouchedFor(voter))
	if err != nil {
		return unavailable(err)
	}
	if !st.Last.IsZero() && s.Now().Sub(st.Last) < mutual {
		return &verify.Unfit{Reason: "mutual"}
	}
	return nil
}

// pair notes that voter vouched for the person of c, unless it was the other way
// round a short time ago. Both counters are locked, in one order for both sides,
// so that of two who vouch for each other at once only one does.
func (s *Service) pair(ctx context.Context, c *Case, voter directory.ID, now time.Time) error {
	mutually := false
	back := func(st Strikes) Strikes {
		mutually = !st.Last.IsZero() && now.Sub(st.Last) < mutual
		return st
	}
	note := func(Strikes) Strikes { return Strikes{Since: now, Last: now} }
	steps := []struct {
		key, other directory.ID
		change     func(Strikes) Strikes
	}{{c.Key, voter, back}, {voter, c.Key, note}}
	if voter < c.Key {
		slices.Reverse(steps)
	}
	for _, p := range steps {
		if err := s.Counters.Strike(ctx, p.key, VouchedFor(p.other), p.change); err != nil {
			return err
		}
	}
	if mutually {
		return &verify.Unfit{Reason: "mutual"}
	}
	return nil
}

func cleanNote(note string) (string, error) {
	note = strings.TrimSpace(note)
	if utf8.RuneCountInString(note) > maxNote || !utf8.ValidString(note) || strings.ContainsFunc(note, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "", &Invalid{Field: "note", Code: "bad_note"}
	}
	return note, nil
}
