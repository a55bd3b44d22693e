package main

import (
	"context"
	"fmt"

	"postern/directory"
	"postern/portal/store"
)

// shipments says how far every place was sent the record.
func (d *examination) shipments(ctx context.Context, cfg Config, db *store.DB) {
	if len(cfg.Ship.To) == 0 {
		d.ok("ship", "the record is sent nowhere: whoever takes this machine over has the only copy")
		return
	}
	list, err := db.Shipments(ctx)
	if err != nil {
		d.bad(directory.Failure, "ship", err.Error(), "how far the record was sent is not known", "check the database")
		return
	}
	for _, s := range list {
		switch behind := s.Size - s.Next; {
		case s.Hold > 0 && behind >= s.Hold:
			d.bad(directory.Failure, "ship", fmt.Sprintf("%d events wait for %s, of %d that may", behind, s.Name, s.Hold),
				"nothing is changed in any directory until they were sent", "see that "+s.Name+" takes what it is sent; the portal's log says why it does not")
		case s.Hold > 0 && behind > s.Hold/10:
			d.bad(directory.Warning, "ship", fmt.Sprintf("%d events wait for %s, of %d that may", behind, s.Name, s.Hold),
				"when that many wait nothing is changed in any directory", "see that "+s.Name+" takes what it is sent; the portal's log says why it does not")
		case s.Witnessed == 0:
			d.ok("ship", "%s: %d events wait; no checkpoint was sent yet", s.Name, behind)
		default:
			d.ok("ship", "%s: %d events wait; a checkpoint was sent at %s", s.Name, behind, s.Told.Format("2006-01-02 15:04 MST"))
		}
	}
}
