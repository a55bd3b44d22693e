package store

import (
	"context"
	"database/sql"
	"fmt"

	"postern/directory"
	"postern/portal/enrol"
	"postern/verify"
)

// Whatever is sealed stays sealed: a count needs no key and no secret.
const holdings = `SELECT owner, kind, COUNT(*), MIN(created), MAX(created) FROM credentials GROUP BY owner, kind ORDER BY owner, kind`

// Holdings says how many credentials of which kind everybody has, by owner and
// kind, as they were at one moment (enrol.Inventory).
func (db *DB) Holdings(ctx context.Context) ([]enrol.Holding, error) {
	var list []enrol.Holding
	err := db.reader(ctx).each(ctx, holdings, nil, func(rows *sql.Rows) error {
		var (
			owner, kind    string
			n              int
			oldest, newest int64
		)
		if err := rows.Scan(&owner, &kind, &n, &oldest, &newest); err != nil {
			return err
		}
		list = append(list, enrol.Holding{Owner: directory.ID(owner), Kind: verify.Kind(kind), Count: n,
			Oldest: fromMicros(oldest), Newest: fromMicros(newest)})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("store: holdings: %w", err)
	}
	return list, nil
}

var _ enrol.Inventory = (*DB)(nil)
