package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"postern/directory"
	"postern/portal/audit"
)

// How far back a page looks. Whoever needs more has the export.
const (
	lookBack = `SELECT seq, event FROM audit_events WHERE subject = $1 AND subject <> '' ORDER BY seq DESC LIMIT 2000`

	caseEvents = `SELECT seq, event FROM audit_events WHERE case_id = $1 AND case_id <> '' ORDER BY seq LIMIT $2`
	// An event is JSON, in which a quotation mark within a text is never a bare one: no
	// login can look like a kind.
	noticeEvents  = `SELECT seq, event FROM (` + lookBack + `) AS latest WHERE event LIKE '%"kind":"message.%' ORDER BY seq DESC LIMIT $2`
	caseEndEvents = `SELECT seq, event FROM (` + lookBack + `) AS latest WHERE (event LIKE '%"kind":"case.started"%' OR event LIKE '%"kind":"case.closed"%'
		OR event LIKE '%"kind":"password.reset"%' OR event LIKE '%"kind":"password.changed"%' OR event LIKE '%"kind":"account.unlocked"%' OR event LIKE '%"kind":"caller.verified"%')
		AND event NOT LIKE '%"purpose":"signin"%' AND event NOT LIKE '%"purpose":"stepup"%' ORDER BY seq DESC LIMIT $2`
)

// OfCase returns up to n events of a case, the first ones first (desk.History).
func (db *DB) OfCase(ctx context.Context, id string, n int) ([]audit.Event, error) {
	return db.eventsBy(ctx, caseEvents, id, n)
}

// Notices returns up to n events of what became of messages to an account, newest
// first (desk.History).
func (db *DB) Notices(ctx context.Context, account directory.ID, n int) ([]audit.Event, error) {
	return db.eventsBy(ctx, noticeEvents, string(account), n)
}

// CaseEnds returns up to n events with which cases of an account began or ended, newest
// first, but for those of signing in (desk.History).
func (db *DB) CaseEnds(ctx context.Context, account directory.ID, n int) ([]audit.Event, error) {
	return db.eventsBy(ctx, caseEndEvents, string(account), n)
}

func (db *DB) eventsBy(ctx context.Context, query, by string, n int) (list []audit.Event, err error) {
	if strings.TrimSpace(by) == "" {
		return nil, nil
	}
	err = db.reader(ctx).each(ctx, query, []any{key(by), n}, func(rows *sql.Rows) error {
		e, err := scanEvent(rows)
		list = append(list, e)
		return err
	})
	if err == nil {
		err = db.revealAll(ctx, list)
	}
	if err != nil {
		return nil, fmt.Errorf("store: events: %w", err)
	}
	return list, nil
}
