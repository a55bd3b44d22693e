package store

import (
	"context"
	"fmt"
	"time"
)

// How long what is over stays, for people who ask the next day.
const (
	keepCases    = 24 * time.Hour      // after they expired
	keepMessages = 7 * 24 * time.Hour  // that nobody could deliver
	keepDecoys   = 30 * 24 * time.Hour // counters of names that belong to nobody
	keepClean    = 24 * time.Hour      // counters without a failure
	keepErrands  = 24 * time.Hour
	keepSpent    = 48 * time.Hour // a form lives no longer than its session
)

// sweepBatch keeps the write lock short.
const sweepBatch = "500"

// A counter of failures in a row of a real person is never swept: NIST SP 800-63B-4
// section 3.2.2 knows no time after which they are forgotten. A case whose write
// has no known outcome waits for the reconciliation, however old it is.
var sweeps = []struct {
	what  string
	query string
	keep  time.Duration
}{
	{"cases", `DELETE FROM cases WHERE id IN (SELECT id FROM cases WHERE expires < $1 AND status <> 'applying' LIMIT ` + sweepBatch + `)`, keepCases},
	{"forms that were sent", `DELETE FROM spent WHERE mark IN (SELECT mark FROM spent WHERE at < $1 LIMIT ` + sweepBatch + `)`, keepSpent},
	{"errands of kiosks", `DELETE FROM errands WHERE id IN (SELECT id FROM errands WHERE expires < $1 LIMIT ` + sweepBatch + `)`, keepErrands},
	{"offers", `DELETE FROM offers WHERE expires < $1`, 0},
	{"links", `DELETE FROM links WHERE hash IN (SELECT hash FROM links WHERE expires < $1 LIMIT ` + sweepBatch + `)`, 0},
	{"sessions", `DELETE FROM sessions WHERE hash IN (SELECT hash FROM sessions WHERE expires < $1 LIMIT ` + sweepBatch + `)`, 0},
	{"messages", `DELETE FROM messages WHERE id IN (SELECT id FROM messages WHERE due < $1 AND created < $1 LIMIT ` + sweepBatch + `)`, keepMessages},
	{"counters of decoys", `DELETE FROM strikes WHERE (account, kind) IN
		(SELECT account, kind FROM strikes WHERE last < $1 AND account LIKE 'decoy:%' LIMIT ` + sweepBatch + `)`, keepDecoys},
	{"clean counters", `DELETE FROM strikes WHERE (account, kind) IN
		(SELECT account, kind FROM strikes WHERE last < $1 AND since < $1 AND consecutive = 0 LIMIT ` + sweepBatch + `)`, keepClean},
}

// Sweep removes what is over, in short transactions, and returns how many rows.
func (db *DB) Sweep(ctx context.Context) (int, error) {
	total := 0
	for _, s := range sweeps {
		for {
			var n int64
			err := db.within(ctx, func(ctx context.Context, t *tx) (err error) {
				n, err = t.exec(ctx, s.query, micros(db.now().Add(-s.keep)))
				return err
			})
			if err != nil {
				return total, fmt.Errorf("store: sweep %s: %w", s.what, err)
			}
			total += int(n)
			if n == 0 {
				break
			}
		}
	}
	return total, nil
}
