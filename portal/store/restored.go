package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/flow"
	"postern/portal/kiosk"
	"postern/verify"
)

// Restoration is what is known when a database was restored from a backup.
type Restoration struct {
	By   audit.Event // who says so, and from where
	Seen Seen        // the newest that anybody remembers
	// Step is a step of authenticator apps after every one that can have been used.
	Step int64
	// Since are the events that the backup does not have; Recorded: they are known.
	Recorded bool
	Since    []audit.Event
	// KeepFactors leaves passkeys and authenticator apps as the backup has them, though
	// some may have been removed since. Only without a record.
	KeepFactors bool
}

// Restored is what was ended by it.
type Restored struct {
	Epoch                                                    int64
	Cases, Sessions, Links, Errands, Messages, Offers, Codes int // Codes are those of kiosks
	Factors, People                                          int // so many, of so many people
	Frozen, Kiosks                                           int // by the record
	Raised                                                   bool
}

const (
	openCases      = `UPDATE cases SET closed = $1, version = version + 1 WHERE closed = '' AND status IN ('', 'applying')`
	spendSteps     = `UPDATE credentials SET counter = $1 WHERE kind = $2 AND counter < $1`
	allCredentials = `SELECT id, owner, kind FROM credentials ORDER BY owner, kind, id {lock}`
	deleteByID     = `DELETE FROM credentials WHERE id = $1`
	coded          = `SELECT id FROM kiosks WHERE code <> '' ORDER BY id {lock}`
)

// Restored makes a database that was restored from a backup one that can be used again,
// in one transaction: nothing that was used up, removed or opened since the backup is good
// any more. It begins a new epoch, which every older mark gives way to.
//
// Open cases, sessions, links, errands, messages on their way, offers and the codes of
// kiosks end, and no code of an authenticator app that was shown by now is taken. What
// happened to factors since the backup only a record says: with one, those it says were
// removed are, and recovery codes and YubiKeys it says were used. Without one every factor
// is removed; with KeepFactors all but passkeys and apps. A record is only ever believed
// for what it takes away: accounts it ends with as frozen are, kiosks it says were
// revoked, and the threat level is raised where it was. Counted failures stay.
func (db *DB) Restored(ctx context.Context, r Restoration) (done Restored, err error) {
	err = db.within(ctx, func(ctx context.Context, t *tx) error {
		done = Restored{}
		was, _, err := db.state(ctx, t, stateEpoch)
		if err != nil {
			return err
		}
		done.Epoch = max(was.Epoch, r.Seen.Epoch) + 1
		if err := t.setState(ctx, stateEpoch, state{Epoch: done.Epoch, Since: db.now()}); err != nil {
			return err
		}
		for _, end := range []struct {
			n     *int
			query string
			args  []any
		}{
			{&done.Cases, openCases, []any{string(flow.ReasonCancelled)}},
			{&done.Sessions, `DELETE FROM sessions`, nil},
			{&done.Links, `DELETE FROM links`, nil},
			{&done.Errands, `DELETE FROM errands`, nil},
			{&done.Messages, `DELETE FROM messages`, nil},
			{&done.Offers, `DELETE FROM offers`, nil},
			{new(int), spendSteps, []any{r.Step, string(verify.TOTP)}},
		} {
			n, err := t.exec(ctx, end.query, end.args...)
			if err != nil {
				return err
			}
			*end.n = int(n)
		}
		since := replay(r.Since)
		if err := t.dropCodes(ctx, &done); err != nil {
			return err
		}
		events, err := t.distrust(ctx, r, since, &done)
		if err != nil {
			return err
		}
		if err := t.tighten(ctx, since, &done); err != nil {
			return err
		}
		return t.record(ctx, append(events, done.event(r, db.now())))
	})
	if err != nil {
		return Restored{}, fmt.Errorf("store: restored: %w", err)
	}
	return done, nil
}

// event is the line of the record about it.
func (d Restored) event(r Restoration, at time.Time) audit.Event {
	e := r.By
	e.At, e.Kind, e.Outcome = at, audit.StoreRestored, audit.OK
	e.Detail = map[string]string{"epoch": strconv.FormatInt(d.Epoch, 10), "by": "none"}
	switch {
	case r.Recorded:
		e.Detail["by"], e.Detail["events"] = "record", strconv.Itoa(len(r.Since))
	case r.KeepFactors:
		e.Detail["by"] = "kept_factors"
	}
	for name, n := range map[string]int{"cases": d.Cases, "sessions": d.Sessions, "links": d.Links, "errands": d.Errands, "messages": d.Messages,
		"offers": d.Offers, "codes": d.Codes, "factors": d.Factors, "people": d.People, "frozen": d.Frozen, "kiosks": d.Kiosks} {
		e.Detail[name] = strconv.Itoa(n)
	}
	return e
}

// replayed is what events took away.
type replayed struct {
	credentials map[string]bool // by id
	kinds       map[ownerKind]bool
	frozen      map[directory.ID]time.Time
	kiosks      map[string]audit.Event
	raised      *audit.Event
	erased      []audit.Event
}

type ownerKind struct{ owner, kind string }

func replay(events []audit.Event) replayed {
	r := replayed{map[string]bool{}, map[ownerKind]bool{}, map[directory.ID]time.Time{}, map[string]audit.Event{}, nil, nil}
	for _, e := range events {
		id, kind := e.Detail["credential"], verify.Kind(e.Factor)
		gone := func() {
			if id != "" {
				r.credentials[id] = true
			} else {
				r.kinds[ownerKind{string(e.Subject), e.Factor}] = true
			}
		}
		switch e.Kind {
		case "factor.removed":
			gone()
		case "proof.ok":
			// A YubiKey's counter is not on record: what it showed could be shown again.
			if kind == verify.RecoveryCode || kind == verify.YubiKey {
				gone()
			}
		case "factor.added": // a set of codes takes the place of the one before
			if kind == verify.RecoveryCode {
				r.kinds[ownerKind{string(e.Subject), e.Factor}] = true
			}
		case "account.frozen":
			r.frozen[e.Subject] = e.At
		case "account.unfrozen":
			delete(r.frozen, e.Subject)
		case "kiosk.revoked", "kiosk.copied":
			r.kiosks[e.Detail["device"]] = e
		case audit.PersonErased:
			r.erased = append(r.erased, e)
		case audit.ThreatRaised:
			r.raised = &e
		case audit.ThreatLowered:
			r.raised = nil
		}
	}
	return r
}

// distrust removes the factors that may not be anybody's any more.
func (t *tx) distrust(ctx context.Context, r Restoration, since replayed, done *Restored) (events []audit.Event, err error) {
	type held struct{ id, owner, kind string }
	var gone []held
	err = t.each(ctx, allCredentials, nil, func(rows *sql.Rows) error {
		var h held
		if err := rows.Scan(&h.id, &h.owner, &h.kind); err != nil {
			return err
		}
		kind := verify.Kind(h.kind)
		switch {
		case r.Recorded && !since.credentials[h.id] && !since.kinds[ownerKind{h.owner, h.kind}]:
		case !r.Recorded && r.KeepFactors && kind != verify.RecoveryCode && kind != verify.YubiKey:
		default:
			gone = append(gone, h)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	people, sets := map[string]bool{}, map[string]bool{}
	for _, h := range gone {
		if _, err := t.exec(ctx, deleteByID, h.id); err != nil {
			return nil, err
		}
		people[h.owner] = true
		e := r.By
		e.At, e.Kind, e.Outcome, e.Reason = t.db.now(), "factor.removed", audit.OK, "restored"
		e.Subject, e.Factor, e.Detail = directory.ID(h.owner), h.kind, map[string]string{"credential": h.id}
		if verify.Kind(h.kind) == verify.RecoveryCode {
			if sets[h.owner] && !r.Recorded {
				continue // the set is gone, in one line
			}
			if sets[h.owner] = true; !r.Recorded {
				e.Detail = nil
			}
		}
		events = append(events, e)
	}
	done.Factors, done.People = len(gone), len(people)
	return events, nil
}

// dropCodes ends the one-time codes of kiosks.
func (t *tx) dropCodes(ctx context.Context, done *Restored) error {
	var ids []string
	if err := t.each(ctx, coded, nil, func(rows *sql.Rows) error {
		var id string
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	}); err != nil {
		return err
	}
	done.Codes = len(ids)
	for _, id := range ids {
		if err := t.changeKiosk(ctx, id, func(d *kiosk.Device) { d.Code = "" }); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) changeKiosk(ctx context.Context, id string, change func(*kiosk.Device)) error {
	_, err := t.db.UpdateKiosk(ctx, id, func(_ context.Context, d *kiosk.Device) (kiosk.Effects, error) {
		change(d)
		return kiosk.Effects{}, nil
	})
	return err
}

// tighten does again what stopped something.
func (t *tx) tighten(ctx context.Context, since replayed, done *Restored) error {
	for _, id := range slices.Sorted(maps.Keys(since.frozen)) {
		at := since.frozen[id]
		if err := t.remember(ctx, id, func(s access.Standing) access.Standing {
			s.NotMe = at
			if s.Frozen.IsZero() {
				s.Frozen = at
				done.Frozen++
			}
			return s
		}); err != nil {
			return err
		}
	}
	devices, err := t.db.Kiosks(ctx)
	if err != nil {
		return err
	}
	for _, d := range devices {
		e, there := since.kiosks[d.ID]
		if !there || !d.Revoked.IsZero() {
			continue
		}
		why := "operator"
		if e.Kind != "kiosk.revoked" {
			why = "copied"
		}
		if err := t.changeKiosk(ctx, d.ID, func(d *kiosk.Device) { d.Revoked, d.RevokedBy, d.Why = e.At, e.ActorName, why }); err != nil {
			return err
		}
		done.Kiosks++
	}
	for _, e := range since.erased {
		if err := t.eraseAgain(ctx, e); err != nil {
			return err
		}
	}
	return t.raise(ctx, since.raised, done)
}

func (t *tx) raise(ctx context.Context, e *audit.Event, done *Restored) error {
	if e == nil {
		return nil
	}
	was, err := t.db.scanThreat(ctx, t, lockThreat, threatID, []byte{})
	if err != nil {
		return err
	}
	next := access.Threat{Level: access.Raised, Since: e.At, By: e.Actor, Login: e.ActorName, Reason: e.Detail["why"]}
	if until, err := time.Parse(time.RFC3339, e.Detail["until"]); err == nil {
		next.Until = until
	}
	if was.Raised(t.db.now()) || !next.Raised(t.db.now()) {
		return nil
	}
	body, err := t.db.seal(sealedThreat, next, []byte(threatID))
	if err != nil {
		return err
	}
	done.Raised = true
	_, err = t.exec(ctx, setThreat, threatID, body)
	return err
}
