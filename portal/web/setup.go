package web

import (
	"encoding/json"
	"errors"

	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/flow"
	"postern/portal/policy"
	"postern/portal/session"
	"postern/portal/web/view"
	"postern/verify"
)

// offerPage shows what a person needs to set a factor up.
func (s *Site) offerPage(v *visit, p access.Principal, kind verify.Kind, ch verify.Challenge, name string, faults ...view.Fault) (view.Page, error) {
	f := v.frame("/me/factors", faults...)
	switch kind {
	case verify.TOTP:
		var set struct {
			URI, Secret string
			QR          struct {
				Size int
				Path string
			}
		}
		if err := json.Unmarshal(ch.Public, &set); err != nil || set.URI == "" || set.Secret == "" || set.QR.Path == "" {
			return nil, errors.New("web: the offer of an authenticator app lacks its secret")
		}
		return &view.OfferTOTP{Frame: f, URI: set.URI, Secret: set.Secret, QRSize: set.QR.Size, QRPath: set.QR.Path, Name: name}, nil
	case verify.YubiKey:
		return &view.OfferYubiKey{Frame: f, Name: name}, nil
	case verify.Passkey:
		return &view.OfferPasskey{Frame: f, Options: string(ch.Public), Name: name}, nil
	case verify.RecoveryCode:
		var set struct{ Codes []string }
		if err := json.Unmarshal(ch.Public, &set); err != nil || len(set.Codes) == 0 {
			return nil, errors.New("web: the offer of recovery codes has none")
		}
		page := &view.OfferCodes{Frame: f, Login: p.User.Login, Made: s.Now(), Codes: set.Codes}
		have, err := s.arsenal(v, p)
		for _, c := range have.creds {
			page.Replace = page.Replace || c.Kind == verify.RecoveryCode
		}
		return page, err
	}
	return nil, errors.New("web: no page to set up " + string(kind))
}

// stepUp opens a case for a fresh proof by who is signed in, and sends them
// there. They come back to their factors, or to the page of a link they opened;
// neither is part of any address.
func (s *Site) stepUp(v *visit, p access.Principal) error { return s.stepUpFor(v, p, "") }

func (s *Site) stepUpFor(v *visit, p access.Principal, back string) error {
	token, err := newToken(s.Rand)
	if err != nil {
		return err
	}
	key, err := hold(token)
	if err != nil {
		return err
	}
	c, err := s.Flow.Start(v.ctx(), flow.StartRequest{Purpose: policy.StepUp, Door: access.Web, Address: v.client.String(), Lang: v.lang, Hold: key, By: p})
	if err != nil {
		return err
	}
	if err := v.become(token, session.State{Case: c.ID, Purpose: c.Purpose, Principal: p, Back: back}); err != nil {
		return err
	}
	return v.to(signin.path)
}

// lines makes the log readable for the person it is about.
func lines(events []audit.Event) []view.Activity {
	rows := make([]view.Activity, 0, len(events))
	for _, e := range events {
		switch e.Kind {
		case "factor.chosen", "proof.ok", "password.intent", "unlock.intent", audit.MessageSent:
			continue // steps on the way: for the auditor; the person sees what came of them
		}
		if e.Outcome == audit.Intent {
			continue // …too
		}
		if e.Actor != "" && e.Actor != e.Subject {
			e.Address = "" // it is somebody else's
		}
		rows = append(rows, view.Activity{At: e.At, Kind: e.Kind, Outcome: string(e.Outcome), Factor: verify.Kind(e.Factor),
			Purpose: policy.Purpose(e.Purpose), Address: e.Address, Door: e.Door, Kiosk: e.Detail["kiosk"]})
	}
	return rows
}
