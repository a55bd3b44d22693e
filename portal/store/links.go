package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
	"time"

	"postern/directory"
	"postern/portal/notify"
)

// linkBytes of randomness are in a token: 256 bits.
const linkBytes = 32

const (
	insertLink = `INSERT INTO links (hash, kind, account, case_id, created, expires, used) VALUES ($1, $2, $3, $4, $5, $6, 0)`
	selectLink = `SELECT account, case_id, created, expires FROM links WHERE hash = $1 AND kind = $2 AND used = 0 AND expires > $3`
	// Of one person one invitation is open at a time, and none once they have a factor.
	endInvites = `UPDATE links SET used = $3 WHERE account = $1 AND kind = $2 AND used = 0`
	// Of any number at once one gets the row (security case 19).
	spendLink = `UPDATE links SET used = $3 WHERE hash = $1 AND kind = $2 AND used = 0 AND expires > $3 RETURNING account, case_id, created, expires`
)

// linkHash is what is stored of a token; nil for what is none, which then costs
// no look-up. The kind is in it, besides its column.
func linkHash(kind notify.LinkKind, token string) []byte {
	if kind == notify.Claim {
		code, ok := claimCode(token)
		if !ok {
			return nil
		}
		h := sha256.Sum256([]byte("postern link\x00" + string(kind) + "\x00" + code))
		return h[:]
	}
	if b, err := base64.RawURLEncoding.Strict().DecodeString(token); err != nil || len(b) != linkBytes {
		return nil
	}
	h := sha256.Sum256([]byte("postern link\x00" + string(kind) + "\x00" + token))
	return h[:]
}

// makeLinks makes the links a message asks for and puts their paths into it.
func (t *tx) makeLinks(ctx context.Context, m *notify.Message) error {
	if len(m.Links) == 0 {
		return nil
	}
	args := make(map[string]string, len(m.Args)+len(m.Links))
	for k, v := range m.Args {
		args[k] = v
	}
	for _, l := range m.Links {
		token, err := t.addLink(ctx, l)
		if err != nil {
			return err
		}
		args[string(l.Kind)] = l.Kind.Path() + token
	}
	m.Args, m.Links = args, nil
	return nil
}

func (t *tx) addLink(ctx context.Context, l notify.LinkTo) (token string, err error) {
	if token, err = t.db.newToken(l.Kind); err != nil {
		return "", fmt.Errorf("store: link: %w", err)
	}
	now := t.db.now()
	if l.Life <= 0 || !storable(string(l.Account)) || !storable(l.Case) {
		return "", errors.New("store: a link needs a life, and an account or case that can be stored")
	}
	if l.Kind == notify.Invite {
		// Under the account's lock: of two at once the later one ends the earlier.
		if _, err := t.db.scanStanding(ctx, t, lockStanding, l.Account, string(l.Account), []byte{}); err != nil {
			return "", err
		}
		if err := t.endInvites(ctx, l.Account); err != nil {
			return "", err
		}
	}
	if _, err := t.exec(ctx, insertLink, linkHash(l.Kind, token), string(l.Kind), string(l.Account), l.Case, micros(now), micros(now.Add(l.Life))); err != nil {
		return "", fmt.Errorf("store: link: %w", err)
	}
	return token, nil
}

func (t *tx) endInvites(ctx context.Context, owner directory.ID) error {
	if _, err := t.exec(ctx, endInvites, string(owner), string(notify.Invite), micros(t.db.now())); err != nil {
		return fmt.Errorf("store: end invitations: %w", err)
	}
	return nil
}

// AddLink makes a link that is handed over by other means than a message, and
// returns its path. It is nowhere but in that answer.
func (db *DB) AddLink(ctx context.Context, l notify.LinkTo) (path string, err error) {
	err = db.within(ctx, func(ctx context.Context, t *tx) error {
		token, err := t.addLink(ctx, l)
		path = l.Kind.Path() + token
		return err
	})
	return path, err
}

// Link reads a link that can still be used; notify.ErrNoLink when there is none.
// Looking at it does not use it: mail scanners look at everything.
func (db *DB) Link(ctx context.Context, kind notify.LinkKind, token string) (notify.Link, error) {
	return scanLink(ctx, db.reader(ctx), selectLink, kind, token, db.now())
}

// SpendLink uses a link up, in ctx's transaction when there is one.
func (db *DB) SpendLink(ctx context.Context, kind notify.LinkKind, token string) (l notify.Link, err error) {
	err = db.within(ctx, func(ctx context.Context, t *tx) error {
		l, err = t.spendLink(ctx, kind, token)
		return err
	})
	return l, err
}

func (t *tx) spendLink(ctx context.Context, kind notify.LinkKind, token string) (notify.Link, error) {
	return scanLink(ctx, t, spendLink, kind, token, t.db.now())
}

func scanLink(ctx context.Context, from rower, query string, kind notify.LinkKind, token string, now time.Time) (notify.Link, error) {
	hash := linkHash(kind, token)
	if hash == nil {
		return notify.Link{}, notify.ErrNoLink
	}
	var account, id string
	var created, expires int64
	switch err := from.one(ctx, query, []any{hash, string(kind), micros(now)}, &account, &id, &created, &expires); {
	case errors.Is(err, sql.ErrNoRows):
		return notify.Link{}, notify.ErrNoLink
	case err != nil:
		return notify.Link{}, fmt.Errorf("store: link: %w", err)
	}
	return notify.Link{LinkTo: notify.LinkTo{Kind: kind, Account: directory.ID(account), Case: id}, Created: fromMicros(created), Expires: fromMicros(expires)}, nil
}

// claimAlphabet has no 0 O 1 I L: 31 characters, so that nine of them carry 44
// bits, for a code that lives minutes, opens no gate, and is spent by who types
// it first (NIST SP 800-63B-4 section 4.1.2.2: 40 bits beside an account).
const (
	claimAlphabet = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
	claimLength   = 9
)

// claimCode forgives what reading out loud does: small letters, spaces, hyphens.
func claimCode(typed string) (string, bool) {
	if len(typed) > 64 {
		return "", false
	}
	var b strings.Builder
	for _, r := range strings.ToUpper(typed) {
		switch {
		case r == ' ' || r == '-':
		case strings.ContainsRune(claimAlphabet, r):
			b.WriteRune(r)
		default:
			return "", false
		}
	}
	return b.String(), b.Len() == claimLength
}

func (db *DB) newToken(kind notify.LinkKind) (string, error) {
	b := make([]byte, linkBytes)
	if _, err := io.ReadFull(db.rand, b); err != nil {
		return "", err
	}
	if kind != notify.Claim {
		return base64.RawURLEncoding.EncodeToString(b), nil
	}
	// 256 random bits by 31: the remainder favours nothing that could be measured.
	n := new(big.Int).SetBytes(b)
	base, digit := big.NewInt(int64(len(claimAlphabet))), new(big.Int)
	code := make([]byte, 0, claimLength+2)
	for i := range claimLength {
		if i > 0 && i%3 == 0 {
			code = append(code, '-')
		}
		n.DivMod(n, base, digit)
		code = append(code, claimAlphabet[digit.Int64()])
	}
	return string(code), nil
}
