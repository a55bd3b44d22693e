package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"postern/directory"
	"postern/portal/audit"
)

// backwardsPage is how many rows are read at once. No statement stays open while
// they are counted.
const backwardsPage = 2000

// The index on at ends with the row's number in SQLite; PostgreSQL sorts those of
// one moment.
const backwardsEvents = `SELECT at, seq, event FROM audit_events
	WHERE at >= $1 AND at <= $2 AND (at, seq) < ($2, $3)
	ORDER BY at DESC, seq DESC LIMIT $4`

// brief is an event without what only people read: a third of the work of reading one.
type brief struct {
	ID        string        `json:"id"`
	Kind      string        `json:"kind"`
	Case      string        `json:"case"`
	Subject   directory.ID  `json:"subject"`
	Actor     directory.ID  `json:"actor"`
	ActorName string        `json:"actor_name"`
	Door      string        `json:"door"`
	Purpose   string        `json:"purpose"`
	Factor    string        `json:"factor"`
	Outcome   audit.Outcome `json:"outcome"`
	Reason    string        `json:"reason"`
	Personal  struct {
		Actor string `json:"actor"`
	} `json:"personal"`
}

// Backwards calls each with the events of that time, the newest first and most of
// them at most; cut says that there are more (desk.Past). ActorName is there only for
// those who acted for somebody else; ID, SubjectName, Address, Detail and Proof are left out. What is committed meanwhile, with an earlier time, may be
// missing: it is for figures and not for proof.
func (db *DB) Backwards(ctx context.Context, from, until time.Time, most int, each func(audit.Event) error) (cut bool, err error) {
	at, seq := micros(until), int64(0)
	known := personKeys{}
	for n := 0; ; {
		page := make([]audit.Event, 0, min(backwardsPage, most-n+1))
		err := db.reader(ctx).each(ctx, backwardsEvents, []any{micros(from), at, seq, cap(page)}, func(rows *sql.Rows) error {
			var text []byte
			if err := rows.Scan(&at, &seq, &text); err != nil {
				return err
			}
			var e brief
			if err := json.Unmarshal(text, &e); err != nil {
				return fmt.Errorf("event %d is not JSON: %w", seq, err)
			}
			page = append(page, audit.Event{Seq: seq, At: fromMicros(at), Kind: e.Kind, Case: e.Case, Subject: e.Subject,
				Actor: e.Actor, ActorName: e.ActorName, Door: e.Door, Purpose: e.Purpose, Factor: e.Factor, Outcome: e.Outcome, Reason: e.Reason})
			if e.Actor != e.Subject {
				page[len(page)-1].ID, page[len(page)-1].Personal = e.ID, map[string]string{asActor: e.Personal.Actor}
			}
			return nil
		})
		if err == nil {
			err = db.revealActors(ctx, known, page)
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return false, fmt.Errorf("store: events of a time: %w", err)
		}
		for _, e := range page {
			if n == most {
				return true, nil
			}
			n++
			if err := each(e); err != nil {
				return false, err
			}
		}
		if len(page) < cap(page) {
			return false, nil
		}
	}
}
