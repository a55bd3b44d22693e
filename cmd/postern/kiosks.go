package main

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"

	"postern/portal/access"
	"postern/portal/desk"
	"postern/portal/flow"
	"postern/portal/i18n"
	"postern/portal/kiosk"
	"postern/portal/session"
	"postern/portal/web"
)

// kiosk puts together what knows the shared screens.
func (p *program) kiosk() (*web.Kiosk, error) {
	s, err := kiosk.New(kiosk.Options{
		Store: p.db, Errands: p.db, Spent: p.db, Sightings: p.db, Key: p.keys.Derive(keyKiosks), Origin: strings.TrimSuffix(p.cfg.Portal.PublicURL, "/"),
		Alerts: p.cfg.Alerts.Mail, Lang: i18n.Fallback, Now: p.now, Rand: rand.Reader, Log: p.log,
	})
	if err != nil {
		return nil, err
	}
	p.screens = s
	return &web.Kiosk{Devices: s, Doors: s, Errands: s, Phones: s, Leaving: p.flow, Carrying: p.flow, Asking: s, ClaimingAt: p.flow}, nil
}

// tidy settles what has no known outcome, and ends what was left at shared screens.
func (p *program) tidy(ctx context.Context) error {
	leave := func(ctx context.Context, id string, at access.Screen) error {
		if err := p.flow.Leave(ctx, id, at); !errors.Is(err, flow.ErrNoCase) {
			return err
		}
		return nil
	}
	return errors.Join(p.flow.Reconcile(ctx), p.screens.Left(ctx, session.Kiosk.Idle, leave))
}

// kiosks are the shared screens as operators manage them.
func (p *program) kiosks() desk.Kiosks {
	r := p.cfg.registry(p.db, p.keys, p.now)
	return desk.Kiosks{Registry: r, All: r.List, Roles: p.cfg.Access.Roles, Now: p.now}
}
