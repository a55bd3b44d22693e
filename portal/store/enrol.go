package store

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"

	"postern/directory"
	"postern/portal/enrol"
	"postern/verify"
)

const (
	insertCredential = `INSERT INTO credentials (id, owner, kind, handle, counter, created, used, body) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
	lockCredential   = `SELECT ` + credentialColumns + ` FROM credentials WHERE id = $1 AND owner = $2 {lock}`
	renameCredential = `UPDATE credentials SET body = $2 WHERE id = $1`
	removeCredential = `DELETE FROM credentials WHERE id = $1 AND owner = $2 RETURNING id`
	removeKind       = `DELETE FROM credentials WHERE owner = $1 AND kind = $2`
	holdOffer        = `INSERT INTO offers (owner, kind, session, tries, expires, body) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (owner, kind) DO UPDATE SET session = excluded.session, tries = excluded.tries, expires = excluded.expires, body = excluded.body`
	tryOffer  = `UPDATE offers SET tries = tries + 1 WHERE owner = $1 AND kind = $2 AND expires > $3 RETURNING session, tries, expires, body`
	dropOffer = `DELETE FROM offers WHERE owner = $1 AND kind = $2 RETURNING session`
	// Bound anew, a factor begins anew: else a stranger's hundred guesses would have
	// ended it for ever.
	forgetStrikes    = `DELETE FROM strikes WHERE account = $1 AND kind = $2`
	endOtherSessions = `DELETE FROM sessions WHERE owner = $1 AND owner <> '' AND hash <> $2`
)

// Methods lists a person's credentials without secrets (enrol.Store).
func (db *DB) Methods(ctx context.Context, owner directory.ID) ([]verify.Credential, error) {
	list, err := db.credentials(ctx, byOwner, string(owner))
	for i := range list {
		list[i].Secret = nil
	}
	return list, err
}

type offerBody struct {
	verify.Challenge
	Replaces string `json:",omitempty"`
}

// HoldOffer keeps an unfinished set-up (enrol.Store).
func (db *DB) HoldOffer(ctx context.Context, o enrol.Offer) error {
	// The challenge as a whole: the seed of a new authenticator is in it.
	body, err := db.seal(sealedOffers, offerBody{o.Challenge, o.Replaces}, []byte(o.Owner), []byte(o.Kind), []byte(o.Session))
	if err != nil {
		return err
	}
	return db.within(ctx, func(ctx context.Context, t *tx) error {
		if _, err := t.exec(ctx, holdOffer, string(o.Owner), string(o.Kind), o.Session, o.Tries, micros(o.Expires), body); err != nil {
			return fmt.Errorf("store: offer: %w", err)
		}
		return nil
	})
}

// TryOffer counts one try and returns the offer (enrol.Store). One that has
// expired is none.
func (db *DB) TryOffer(ctx context.Context, owner directory.ID, kind verify.Kind) (o enrol.Offer, err error) {
	err = db.within(ctx, func(ctx context.Context, t *tx) error {
		var (
			expires int64
			body    []byte
		)
		o = enrol.Offer{Owner: owner, Kind: kind}
		switch err := t.one(ctx, tryOffer, []any{string(owner), string(kind), micros(db.now())}, &o.Session, &o.Tries, &expires, &body); {
		case errors.Is(err, sql.ErrNoRows):
			return enrol.ErrNoOffer
		case err != nil:
			return fmt.Errorf("store: offer: %w", err)
		}
		o.Expires = fromMicros(expires)
		var b offerBody
		err := db.open(sealedOffers, body, &b, []byte(o.Owner), []byte(o.Kind), []byte(o.Session))
		o.Challenge, o.Replaces = b.Challenge, b.Replaces
		return err
	})
	if err != nil {
		return enrol.Offer{}, err
	}
	return o, nil
}

// Commit applies one change whole or not at all (enrol.Store).
func (db *DB) Commit(ctx context.Context, c enrol.Change) error {
	return db.within(ctx, func(ctx context.Context, t *tx) error {
		for _, step := range []func(context.Context, enrol.Change) error{t.served, t.calm, t.freeze, t.dropOffer, t.removeMethods, t.renameMethod, t.addMethods, t.endOtherSessions} {
			if err := step(ctx, c); err != nil {
				return err
			}
		}
		if err := t.record(ctx, c.Events); err != nil {
			return err
		}
		return t.post(ctx, c.Messages)
	})
}

// dropOffer comes first: of two tabs that confirm at once only one goes on.
func (t *tx) dropOffer(ctx context.Context, c enrol.Change) error {
	if c.DropOffer == "" {
		return nil
	}
	var session string
	return found(t.one(ctx, dropOffer, []any{string(c.Owner), string(c.DropOffer)}, &session), enrol.ErrNoOffer)
}

func (t *tx) removeMethods(ctx context.Context, c enrol.Change) error {
	if c.Remove != "" {
		if !storable(c.Remove) {
			return enrol.ErrNoMethod
		}
		var id string
		if err := found(t.one(ctx, removeCredential, []any{c.Remove, string(c.Owner)}, &id), enrol.ErrNoMethod); err != nil {
			return err
		}
	}
	if c.ReplaceAll != "" {
		if _, err := t.exec(ctx, removeKind, string(c.Owner), string(c.ReplaceAll)); err != nil {
			return fmt.Errorf("store: replace credentials: %w", err)
		}
	}
	return nil
}

func (t *tx) renameMethod(ctx context.Context, c enrol.Change) error {
	if c.Rename == "" {
		return nil
	}
	if !storable(c.Rename) {
		return enrol.ErrNoMethod
	}
	var r credentialRow
	if err := found(t.one(ctx, lockCredential, []any{c.Rename, string(c.Owner)}, r.dest()...), enrol.ErrNoMethod); err != nil {
		return err
	}
	var b credentialBody
	if err := t.db.open(sealedCredentials, r.body, &b, r.place()...); err != nil {
		return err
	}
	b.Name = c.Name
	body, err := t.db.seal(sealedCredentials, b, r.place()...)
	if err != nil {
		return err
	}
	if _, err := t.exec(ctx, renameCredential, r.id, body); err != nil {
		return fmt.Errorf("store: rename credential: %w", err)
	}
	return nil
}

func (t *tx) addMethods(ctx context.Context, c enrol.Change) error {
	for _, add := range c.Add {
		if add.Owner != c.Owner {
			return errors.New("store: a credential of somebody else")
		}
		r := credentialRow{id: add.ID, owner: string(add.Owner), kind: string(add.Kind)}
		var handle any // an empty one is none: NULL is equal to nothing
		if len(add.Handle) > 0 {
			r.handle, handle = add.Handle, add.Handle
		}
		body, err := t.db.seal(sealedCredentials, credentialBody{Name: add.Name, Public: add.Public, Secret: add.Secret}, r.place()...)
		if err != nil {
			return err
		}
		_, err = t.exec(ctx, insertCredential, r.id, r.owner, r.kind, handle, add.Counter, micros(add.Created), micros(add.Used), body)
		switch {
		case t.db.dialect.classes(err) == duplicate:
			return verify.ErrDuplicate
		case err != nil:
			return fmt.Errorf("store: add credential: %w", err)
		}
		if _, err := t.exec(ctx, forgetStrikes, r.owner, r.kind); err != nil {
			return fmt.Errorf("store: strikes: %w", err)
		}
	}
	if len(c.Add) > 0 {
		return t.endInvites(ctx, c.Owner) // which are for whoever has nothing
	}
	return nil
}

func (t *tx) endOtherSessions(ctx context.Context, c enrol.Change) error {
	if c.OnlySession == "" {
		return nil
	}
	hash, err := hex.DecodeString(c.OnlySession)
	if err != nil {
		return errors.New("store: that names no session")
	}
	if _, err := t.exec(ctx, endOtherSessions, string(c.Owner), hash); err != nil {
		return fmt.Errorf("store: end sessions: %w", err)
	}
	return nil
}

// found turns a missing row into its name.
func found(err, missing error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return missing
	}
	return fmt.Errorf("store: %w", err)
}
