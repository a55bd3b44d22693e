package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"

	"postern/directory"
	"postern/verify"
)

const (
	credentialColumns = `id, owner, kind, handle, counter, created, used, body`
	// Zero after zero is an authenticator that keeps no count (WebAuthn L3 section 7.2 step 22).
	spendCredential = `UPDATE credentials SET counter = $4, used = $5
		WHERE id = $1 AND owner = $2 AND kind = $3 AND (counter < $4 OR counter = 0 AND $4 = 0 AND kind = 'passkey') RETURNING id`
	burnCredential = `DELETE FROM credentials WHERE owner = $1 AND kind = $2 AND handle = $3 RETURNING ` + credentialColumns
	byHandle       = `SELECT ` + credentialColumns + ` FROM credentials WHERE kind = $1 AND handle = $2`
	byOwner        = `SELECT ` + credentialColumns + ` FROM credentials WHERE owner = $1 ORDER BY created, id`
	byOwnerAndKind = `SELECT ` + credentialColumns + ` FROM credentials WHERE owner = $1 AND kind = $2 ORDER BY created, id`
	insertHandle   = `INSERT INTO handles (owner, handle) VALUES ($1, $2) ON CONFLICT (owner) DO NOTHING`
	selectHandle   = `SELECT handle FROM handles WHERE owner = $1`
	handleOwner    = `SELECT owner FROM handles WHERE handle = $1`
)

// credentialBody is what of a credential is sealed. The public key is too: who
// can write to the database could else put their own in its place.
type credentialBody struct {
	Name   string
	Public []byte `json:",omitempty"`
	Secret []byte `json:",omitempty"`
}

// credentialRow is a row of credentials, body still sealed.
type credentialRow struct {
	id, owner, kind        string
	handle                 []byte
	counter, created, used int64
	body                   []byte
}

func (r *credentialRow) dest() []any {
	return []any{&r.id, &r.owner, &r.kind, &r.handle, &r.counter, &r.created, &r.used, &r.body}
}

// place names the row for sealing.
func (r *credentialRow) place() [][]byte {
	return [][]byte{[]byte(r.id), []byte(r.owner), []byte(r.kind), r.handle}
}

func (db *DB) credential(r *credentialRow) (verify.Credential, error) {
	var b credentialBody
	if err := db.open(sealedCredentials, r.body, &b, r.place()...); err != nil {
		return verify.Credential{}, err
	}
	return verify.Credential{
		ID: r.id, Owner: directory.ID(r.owner), Kind: verify.Kind(r.kind), Name: b.Name, Handle: r.handle,
		Public: b.Public, Secret: b.Secret, Counter: r.counter, Created: fromMicros(r.created), Used: fromMicros(r.used),
	}, nil
}

func (db *DB) credentials(ctx context.Context, query string, args ...any) ([]verify.Credential, error) {
	var list []verify.Credential
	err := db.reader(ctx).each(ctx, query, args, func(rows *sql.Rows) error {
		var r credentialRow
		if err := rows.Scan(r.dest()...); err != nil {
			return err
		}
		c, err := db.credential(&r)
		list = append(list, c)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("store: credentials: %w", err)
	}
	return list, nil
}

// Credentials of one person and kind, oldest first (verify.Vault).
func (db *DB) Credentials(ctx context.Context, owner directory.ID, kind verify.Kind) ([]verify.Credential, error) {
	return db.credentials(ctx, byOwnerAndKind, string(owner), string(kind))
}

// ByHandle finds one (verify.Vault).
func (db *DB) ByHandle(ctx context.Context, kind verify.Kind, handle []byte) (verify.Credential, error) {
	if len(handle) == 0 {
		return verify.Credential{}, verify.ErrNoCredential
	}
	var r credentialRow
	switch err := db.reader(ctx).one(ctx, byHandle, []any{string(kind), handle}, r.dest()...); {
	case errors.Is(err, sql.ErrNoRows):
		return verify.Credential{}, verify.ErrNoCredential
	case err != nil:
		return verify.Credential{}, fmt.Errorf("store: credential: %w", err)
	}
	return db.credential(&r)
}

// Spend moves a counter forward (verify.Vault). A credential that is gone is
// ErrReplayed as well: nothing that was offered for it is good any more.
func (db *DB) Spend(ctx context.Context, c verify.Credential, counter int64) error {
	return db.within(ctx, func(ctx context.Context, t *tx) error {
		var id string
		err := t.one(ctx, spendCredential, []any{c.ID, string(c.Owner), string(c.Kind), counter, micros(db.now())}, &id)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return verify.ErrReplayed
		case err != nil:
			return fmt.Errorf("store: spend: %w", err)
		}
		return nil
	})
}

// Burn removes a single-use credential (verify.Vault).
func (db *DB) Burn(ctx context.Context, owner directory.ID, kind verify.Kind, handle []byte) (burnt verify.Credential, err error) {
	if len(handle) == 0 {
		return burnt, verify.ErrWrong
	}
	err = db.within(ctx, func(ctx context.Context, t *tx) error {
		var r credentialRow
		switch err := t.one(ctx, burnCredential, []any{string(owner), string(kind), handle}, r.dest()...); {
		case errors.Is(err, sql.ErrNoRows):
			return verify.ErrWrong
		case err != nil:
			return fmt.Errorf("store: burn: %w", err)
		}
		burnt, err = db.credential(&r)
		return err
	})
	if err != nil {
		return verify.Credential{}, err
	}
	return burnt, nil
}

// handleBytes is the longest a WebAuthn user handle may be (WebAuthn L3 section 5.4.3).
const handleBytes = 64

// Handle returns a person's WebAuthn user handle, made at random when there is
// none: it says nothing about who they are.
func (db *DB) Handle(ctx context.Context, owner directory.ID) ([]byte, error) {
	var handle []byte
	err := db.reader(ctx).one(ctx, selectHandle, []any{string(owner)}, &handle)
	if err == nil {
		return handle, nil
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("store: user handle: %w", err)
	}
	err = db.within(ctx, func(ctx context.Context, t *tx) error {
		fresh := make([]byte, handleBytes)
		if _, err := io.ReadFull(db.rand, fresh); err != nil {
			return err
		}
		if _, err := t.exec(ctx, insertHandle, string(owner), fresh); err != nil {
			return err
		}
		return t.one(ctx, selectHandle, []any{string(owner)}, &handle)
	})
	if err != nil {
		return nil, fmt.Errorf("store: user handle: %w", err)
	}
	return handle, nil
}

// Owner is whose handle it is; verify.ErrNoCredential when nobody's.
func (db *DB) Owner(ctx context.Context, handle []byte) (directory.ID, error) {
	var owner string
	switch err := db.reader(ctx).one(ctx, handleOwner, []any{handle}, &owner); {
	case errors.Is(err, sql.ErrNoRows):
		return "", verify.ErrNoCredential
	case err != nil:
		return "", fmt.Errorf("store: user handle: %w", err)
	}
	return directory.ID(owner), nil
}
