package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"postern/portal/notify"
	"postern/portal/ship"
	"postern/portal/store"
)

// shipped is the database as ship asks for it.
type shipped struct{ *store.DB }

func cursorOf(s store.Shipment) ship.Cursor {
	return ship.Cursor{Next: s.Next, Witnessed: s.Witnessed, Told: s.Told}
}

func (s shipped) Cursor(ctx context.Context, place string) (ship.Cursor, error) {
	at, err := s.Shipment(ctx, place)
	return cursorOf(at), err
}

func (s shipped) Take(ctx context.Context, place, node string, lease time.Duration) (ship.Cursor, bool, error) {
	at, ours, err := s.TakeShipment(ctx, place, node, lease)
	return cursorOf(at), ours, err
}

func (s shipped) Move(ctx context.Context, place, node string, to ship.Cursor, lease time.Duration) error {
	return s.Shipped(ctx, node, store.Shipment{Name: place, Next: to.Next, Witnessed: to.Witnessed, Told: to.Told}, lease)
}

// shipHolds is how many events may wait for each place.
func (c *Config) shipHolds() map[string]int {
	holds := map[string]int{}
	for _, t := range c.Ship.To {
		holds[t.Name] = c.Ship.Holds(t)
	}
	return holds
}

// shipping makes what sends the record away; nil where it goes nowhere.
func (p *program) shipping(log string, mail notify.Transport) (*ship.Runner, error) {
	if len(p.cfg.Ship.To) == 0 {
		return nil, nil
	}
	o := ship.Options{Config: p.cfg.Ship, Record: shipped{p.db}, Log: log, Version: versionName(),
		Safe: p.launcher.Safe, Alarm: p.metrics.Alarm, Now: p.now, Slog: p.log}
	if mail != nil {
		o.Mail = func(ctx context.Context, to, subject, text string) error {
			sum := sha256.Sum256([]byte(to + text))
			return mail.Send(ctx, hex.EncodeToString(sum[:16]), to, notify.Rendered{Subject: subject, Text: text, Lang: "en"})
		}
	}
	return ship.New(o)
}

// ship sends the record until ctx ends.
func (p *program) ship(ctx context.Context) {
	if p.ships != nil {
		p.ships.Run(ctx)
	}
}
