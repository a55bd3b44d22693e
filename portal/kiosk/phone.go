package kiosk

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
	"time"

	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/policy"
)

const (
	// phoneLife is how long a code opens the way to a phone, and how long a phone that
	// has matched the number may take to begin.
	phoneLife = 5 * time.Minute
	// phoneBytes of randomness are in a code: 128 bits. NIST SP 800-63B-4 section 4.1.2.2
	// asks for 112 where nobody has named an account.
	phoneBytes = 16
	// maxMisses is how many wrong numbers an errand bears: three of ninety.
	maxMisses = 3
)

// WrongNumber is a number that is not on the screen.
type WrongNumber struct{ Left int }

func (e *WrongNumber) Error() string { return "kiosk: that is not the number on the screen" }

// AskPhone makes the code that a phone opens, for a case at d or for one yet to begin.
// Whoever has it alone has nothing: the number is on the screen. The device does not get
// the case back.
func (s *Service) AskPhone(ctx context.Context, d Device, purpose policy.Purpose, caseID, lang, from string) (e Errand, code string, err error) {
	if !d.inUse() || !d.May(Right(purpose)) && caseID == "" {
		return Errand{}, "", ErrNone
	}
	random := make([]byte, phoneBytes)
	if _, err := io.ReadFull(s.Rand, random); err != nil {
		return Errand{}, "", err
	}
	if e, err = s.errand(ToPhone, d, lang, phoneLife); err != nil {
		return Errand{}, "", err
	}
	code = base64.RawURLEncoding.EncodeToString(random)
	e.Purpose, e.Case, e.Code = purpose, caseID, s.phoneHash(code)
	asked := s.event(d, "kiosk.phone_asked", audit.OK, from)
	asked.Case, asked.Purpose = caseID, string(purpose)
	return e, code, s.Errands.AddErrand(ctx, e, Effects{Events: []audit.Event{asked}})
}

// errand is a new one of d, with a number.
func (s *Service) errand(kind ErrandKind, d Device, lang string, life time.Duration) (Errand, error) {
	id := make([]byte, 16)
	if _, err := io.ReadFull(s.Rand, id); err != nil {
		return Errand{}, err
	}
	n, err := rand.Int(s.Rand, big.NewInt(90))
	if err != nil {
		return Errand{}, err
	}
	now := s.Now()
	return Errand{ID: hex.EncodeToString(id), Kind: kind, Screen: d.Screen(), Number: fmt.Sprint(10 + n.Int64()), Lang: lang, Created: now, Expires: now.Add(life)}, nil
}

func (s *Service) phoneHash(code string) string {
	return hex.EncodeToString(mac(s.Key, "kiosk phone\x00"+code))
}

// Errand is one that d has asked; ErrNone for another device's.
func (s *Service) Errand(ctx context.Context, id string, at access.Screen) (Errand, error) {
	e, err := s.Errands.Errand(ctx, id, "")
	if err == nil && e.Screen.ID != at.ID {
		err = ErrNone
	}
	return e, err
}

// Over reports whether nothing comes of e any more.
func (e Errand) Over(now time.Time) bool {
	return e.Ended || e.Matched.IsZero() && !now.Before(e.Expires)
}

// Phone is the errand a code opens. Looking at it changes nothing.
func (s *Service) Phone(ctx context.Context, code string) (Errand, error) {
	e, err := s.Errands.Errand(ctx, "", s.phoneHash(code))
	if err == nil && (e.Kind != ToPhone || e.Over(s.Now()) || !e.Matched.IsZero()) {
		err = ErrNone
	}
	if err != nil {
		return Errand{}, err
	}
	// A screen that was shut sends nobody anywhere any more.
	d, err := s.Store.Kiosk(ctx, Index{ID: e.Screen.ID})
	if err == nil && !d.inUse() {
		err = ErrNone
	}
	return e, err
}

// MatchPhone takes the number that is on the screen, from the phone that has the code. It
// spends the code. Three wrong ones end the errand.
func (s *Service) MatchPhone(ctx context.Context, code, number, from string) (Errand, error) {
	found, err := s.Phone(ctx, code)
	if err != nil {
		return Errand{}, err
	}
	var wrong *WrongNumber
	e, err := s.Errands.UpdateErrand(ctx, found.ID, func(_ context.Context, e *Errand) (Effects, error) {
		wrong = nil
		if e.Code == "" || e.Code != found.Code || e.Over(s.Now()) || !e.Matched.IsZero() {
			return Effects{}, ErrNone
		}
		if subtle.ConstantTimeCompare([]byte(strings.TrimSpace(number)), []byte(e.Number)) == 1 {
			e.Matched, e.Code = s.Now(), ""
			return Effects{Events: []audit.Event{s.errandEvent(*e, "kiosk.phone_matched", audit.OK, from)}}, nil
		}
		e.Misses++
		wrong = &WrongNumber{Left: max(0, maxMisses-e.Misses)}
		if e.Misses >= maxMisses {
			e.Ended, e.Code = true, ""
		}
		return Effects{Events: []audit.Event{s.errandEvent(*e, "kiosk.phone_failed", audit.Failed, from)}}, nil
	})
	if err == nil && wrong != nil {
		err = wrong
	}
	return e, err
}

// Carried is the errand of a phone that has matched and not begun yet; ErrNone when it is
// too late for that.
func (s *Service) Carried(ctx context.Context, id string) (Errand, error) {
	e, err := s.Errands.Errand(ctx, id, "")
	if err == nil && (e.Kind != ToPhone || e.Matched.IsZero() || e.Ended || e.Case != "" || s.Now().Sub(e.Matched) > phoneLife) {
		err = ErrNone
	}
	return e, err
}

// Begun notes the case that a phone has begun for e, once.
func (s *Service) Begun(ctx context.Context, id, caseID string) error {
	_, err := s.Errands.UpdateErrand(ctx, id, func(_ context.Context, e *Errand) (Effects, error) {
		if e.Case != "" || e.Matched.IsZero() || e.Ended {
			return Effects{}, ErrNone
		}
		e.Case = caseID
		return Effects{}, nil
	})
	return err
}

// EndErrand is for when nobody stands before d any more: what nobody took up is over. What
// a phone has taken along goes on there.
func (s *Service) EndErrand(ctx context.Context, id string, at access.Screen) error {
	_, err := s.Errands.UpdateErrand(ctx, id, func(_ context.Context, e *Errand) (Effects, error) {
		if e.Screen.ID != at.ID || e.Ended || e.Kind == ToPhone && !e.Matched.IsZero() {
			return Effects{}, nil
		}
		e.Ended, e.Code = true, ""
		return Effects{}, nil
	})
	if errors.Is(err, ErrNone) {
		return nil
	}
	return err
}

func (s *Service) errandEvent(e Errand, kind string, o audit.Outcome, from string) audit.Event {
	return audit.Event{At: s.Now(), Kind: kind, Door: "kiosk", Address: from, Outcome: o, Case: e.Case, Purpose: string(e.Purpose), ActorName: e.Screen.Label(),
		Detail: map[string]string{"device": e.Screen.ID, "kiosk": e.Screen.Label()}}
}
