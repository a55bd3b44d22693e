package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"postern/portal/audit"
)

// Seen is the newest of a database that somebody remembers who is not in it: so often
// it was restored by then, and that was sealed.
type Seen struct {
	Epoch      int64  `json:"epoch"`
	Checkpoint string `json:"checkpoint,omitempty"` // signed; empty: nothing was sealed yet
}

// ErrOlder is a database that was restored from a backup: it knows less than somebody saw
// in it, and so holds codes that were used, factors that were removed and links that
// were opened.
var ErrOlder = errors.New("store: the database is older than what was seen of it")

// Seen is how the database stands. What it says is on the disk by then: also after a power
// cut the database is not older than that.
func (db *DB) Seen(ctx context.Context) (s Seen, err error) {
	if s.Epoch, err = db.Epoch(ctx); err != nil {
		return s, err
	}
	if _, s.Checkpoint, err = db.Checkpoint(ctx); err != nil {
		return s, err
	}
	return s, db.persist()
}

// Epoch is how often the database was restored from a backup.
func (db *DB) Epoch(ctx context.Context) (int64, error) {
	s, _, err := db.state(ctx, db.reader(ctx), stateEpoch)
	return s.Epoch, err
}

// Follows returns ErrOlder, with a reason, unless the database is what was seen or has
// come from that. key is that of its checkpoints.
func (db *DB) Follows(ctx context.Context, s Seen, key audit.Key) error {
	epoch, err := db.Epoch(ctx)
	switch {
	case err != nil || epoch > s.Epoch: // restored since, as somebody has said
		return err
	case epoch < s.Epoch:
		return fmt.Errorf("%w: its epoch is %d, and %d was seen", ErrOlder, epoch, s.Epoch)
	case s.Checkpoint == "":
		return nil
	}
	c, err := key.Open(s.Checkpoint)
	if err != nil {
		return fmt.Errorf("store: what was seen last: %w", err)
	}
	r := db.reader(ctx)
	var size int64
	if err := r.one(ctx, logSize, nil, &size); err != nil {
		return fmt.Errorf("store: log: %w", err)
	}
	if size < c.Size {
		return fmt.Errorf("%w: its record ends at entry %d, and on %s there were %d", ErrOlder, size, c.At.UTC().Format(time.RFC3339), c.Size)
	}
	root, err := audit.Root(c.Size, nodes{ctx, r})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil || root != c.Root {
		return fmt.Errorf("%w: the first %d entries of its record are not those there were on %s", ErrOlder, c.Size, c.At.UTC().Format(time.RFC3339))
	}
	return nil
}

// persist waits until what can be read is on the disk. PostgreSQL has seen to that, by its
// synchronous_commit. What left SQLite's log has been waited for as well; its main file
// must not be opened here, for closing it would end SQLite's locks.
func (db *DB) persist() error {
	if db.path == "" {
		return nil
	}
	f, err := os.OpenFile(db.path+"-wal", os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	// That the log is there at all; not every system can wait for a folder.
	if folder, err := os.Open(filepath.Dir(db.path)); err == nil {
		_ = folder.Sync()
		_ = folder.Close()
	}
	return nil
}
