package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"slices"
	"strings"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"github.com/riverqueue/river/rivermigrate"
)

//go:embed migrations/*.sql
var migrations embed.FS

// riverSchema is the version of River's own tables. Raising it needs a new file in
// migrations, if only an empty one: an up-to-date database is not looked at again.
const riverSchema = 6

// ErrNewer is a database that a newer program has migrated. There is no way
// back: an older program would not know what it must keep.
var ErrNewer = errors.New("store: the database belongs to a newer program")

// Migrate brings the database to the schema of this program. On an up-to-date
// one it reads one row. Two nodes may call it at once on PostgreSQL; on one SQLite
// file only one program may be the first.
func (db *DB) Migrate(ctx context.Context) error {
	have, want, err := db.Schema(ctx)
	switch {
	case err != nil:
		return err
	case have == want:
		return nil
	case have > want:
		return fmt.Errorf("%w: its schema is %d, this program knows %d", ErrNewer, have, want)
	}
	quiet := slog.New(slog.DiscardHandler)
	tables, err := rivermigrate.New(db.River(), &rivermigrate.Config{Logger: quiet})
	if err != nil {
		return fmt.Errorf("store: migrate: %w", err)
	}
	g, err := db.goose()
	if err != nil {
		return err
	}
	if _, err := tables.Migrate(ctx, rivermigrate.DirectionUp, &rivermigrate.MigrateOpts{TargetVersion: riverSchema}); err != nil {
		return fmt.Errorf("store: migrate the tables of River: %w", err)
	}
	if _, err := g.Up(ctx); err != nil {
		return fmt.Errorf("store: migrate: %w", err)
	}
	return nil
}

// Schema returns the version of the database, 0 when it is empty, and the
// version of this program.
func (db *DB) Schema(ctx context.Context) (have, want int64, err error) {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return 0, 0, err
	}
	for _, f := range files {
		n, err := goose.NumericComponent(f)
		if err != nil {
			return 0, 0, fmt.Errorf("store: %s: %w", f, err)
		}
		want = max(want, n)
	}
	tables, err := db.tables(ctx)
	if err != nil {
		return 0, want, err
	}
	if !slices.Contains(tables, goose.DefaultTablename) {
		return 0, want, nil
	}
	var version sql.NullInt64
	if err := db.read.QueryRowContext(ctx, "SELECT max(version_id) FROM "+goose.DefaultTablename).Scan(&version); err != nil {
		return 0, want, fmt.Errorf("store: schema: %w", err)
	}
	return version.Int64, want, nil
}

// tables are the names of all there are, a portal's and others.
func (db *DB) tables(ctx context.Context) (names []string, err error) {
	query := "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
	if !db.dialect.local {
		query = "SELECT table_name::text FROM information_schema.tables WHERE table_schema = current_schema() ORDER BY table_name"
	}
	err = db.reader(ctx).each(ctx, query, nil, func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		names = append(names, name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("store: schema: %w", err)
	}
	return names, nil
}

func (db *DB) goose() (*goose.Provider, error) {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	opts := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger())}
	if !db.dialect.local {
		one, err := lock.NewPostgresSessionLocker()
		if err != nil {
			return nil, fmt.Errorf("store: migrate: %w", err)
		}
		opts = append(opts, goose.WithSessionLocker(one))
	}
	p, err := goose.NewProvider(db.dialect.goose, db.write, filled{sub, db.dialect.schema}, opts...)
	if err != nil {
		return nil, fmt.Errorf("store: migrate: %w", err)
	}
	return p, nil
}

// filled is the migrations with {{what differs}} filled in.
type filled struct {
	fs.FS
	words *strings.Replacer
}

func (f filled) Open(name string) (fs.File, error) {
	file, err := f.FS.Open(name)
	if err != nil || !strings.HasSuffix(name, ".sql") {
		return file, err
	}
	text, err := io.ReadAll(file)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return filledFile{file, strings.NewReader(f.words.Replace(string(text)))}, nil
}

type filledFile struct {
	fs.File
	text *strings.Reader
}

func (f filledFile) Read(b []byte) (int, error) { return f.text.Read(b) }
