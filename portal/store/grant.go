package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// appendOnly are the tables of which nothing is ever changed or deleted.
var appendOnly = slices.Concat([]string{"audit_events", "receipts"}, logTables)

// Grant lets a role of PostgreSQL, other than the owner of the tables, do what a portal
// does, and no more: of what is recorded and sealed it can add and read. Call it as the
// owner, after every Migrate. It also takes away what the role had beyond that.
func (db *DB) Grant(ctx context.Context, role string) error {
	if db.dialect.local {
		return errors.New("store: SQLite has no roles")
	}
	to, tables := pgx.Identifier{role}.Sanitize(), strings.Join(appendOnly, ", ")
	err := db.within(ctx, func(ctx context.Context, t *tx) error {
		var schema string
		if err := t.one(ctx, `SELECT current_schema()`, nil, &schema); err != nil {
			return err
		}
		in := pgx.Identifier{schema}.Sanitize()
		for _, statement := range []string{
			"GRANT USAGE ON SCHEMA " + in + " TO " + to,
			"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA " + in + " TO " + to,
			"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA " + in + " TO " + to,
			"REVOKE ALL ON " + tables + " FROM " + to,
			"GRANT SELECT, INSERT ON " + tables + " TO " + to,
		} {
			if _, err := t.sql.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store: grant: %w", err)
	}
	return nil
}

// MayRewrite names the append-only tables that this connection's role could change,
// empty or delete from, were it not for a trigger it may own. SQLite has no roles: none.
func (db *DB) MayRewrite(ctx context.Context) (role string, tables []string, err error) {
	if db.dialect.local {
		return "", nil, nil
	}
	for _, table := range appendOnly {
		var may bool
		if err := db.reader(ctx).one(ctx, `SELECT current_user, has_table_privilege($1, 'UPDATE, DELETE, TRUNCATE, TRIGGER')`, []any{table}, &role, &may); err != nil {
			return "", nil, fmt.Errorf("store: rights: %w", err)
		}
		if may {
			tables = append(tables, table)
		}
	}
	return role, tables, nil
}
