package main

import (
	"crypto/rand"
	"strings"

	"postern/portal/i18n"
	"postern/portal/kiosk"
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
	return &web.Kiosk{Devices: s, Doors: s, Errands: s, Phones: s, Leaving: p.flow, Carrying: p.flow}, nil
}
