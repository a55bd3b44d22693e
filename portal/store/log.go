package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"postern/portal/audit"
)

const (
	logID = "log"
	// sealBatch keeps the write lock short; a first start may find a million events.
	sealBatch = 2000
	// hashBatch is how many rows one statement inserts.
	hashBatch = 64

	// lockHead is where nodes that want to seal at once meet; the others come again later.
	lockHead    = `SELECT low, mid, next, horizon FROM log_head WHERE id = $1 {lock now}`
	readHead    = `SELECT low, next, (SELECT coalesce(max(seq), 0) FROM log_entries) FROM log_head WHERE id = $1`
	moveHead    = `UPDATE log_head SET low = $2, mid = $3, next = $4, horizon = $5 WHERE id = $1`
	logHorizons = `SELECT {xmin}, {xmax}, coalesce(max(seq), 0) FROM audit_events`
	// not in the log: of those above low, few are. The mark is said of the log as well, or
	// PostgreSQL reads all of it.
	unsealed       = ` FROM audit_events e WHERE e.seq > $1 AND NOT EXISTS (SELECT 1 FROM log_entries l WHERE l.seq = e.seq AND l.seq > $1)`
	behindMark     = `SELECT (SELECT count(*) FROM audit_events WHERE seq <= $1) - (SELECT count(*) FROM log_entries WHERE seq <= $1)`
	oldestUnsealed = `SELECT coalesce(min(e.at), 0)` + unsealed
	anyUnsealed    = `SELECT 1` + unsealed + ` LIMIT 1`
	nextUnsealed   = `SELECT e.seq, e.event` + unsealed + ` ORDER BY e.seq LIMIT $2`

	logSize        = `SELECT coalesce(max(idx), -1) + 1 FROM log_entries`
	newestNote     = `SELECT size, note FROM log_checkpoints ORDER BY size DESC LIMIT 1`
	insertNote     = `INSERT INTO log_checkpoints (size, at, note) VALUES ($1, $2, $3)`
	pageOfNotes    = `SELECT size, note FROM log_checkpoints WHERE size > $1 ORDER BY size LIMIT 500`
	pageOfEntries  = `SELECT l.idx, e.event FROM log_entries l JOIN audit_events e ON e.seq = l.seq WHERE l.idx >= $1 AND l.idx < $2 ORDER BY l.idx`
	pageOfHashes   = `SELECT pos, hash FROM log_hashes WHERE pos >= $1 AND pos < $2 ORDER BY pos`
	oneHash        = `SELECT hash FROM log_hashes WHERE pos = $1`
	entriesPerPage = 500
)

// Seal puts events that were committed and are not in the log yet into it, at most
// some thousands, and signs a checkpoint. It returns how many there were: 0 when there
// is nothing to do, or another node is at it. Before it adds to the log it sees that the
// newest checkpoint is sign's own and still holds: an error there means that the log was
// tampered with, and nothing is added.
func (db *DB) Seal(ctx context.Context, sign *audit.Signer) (n int, err error) {
	var one int64
	low, next, err := head(ctx, db.reader(ctx))
	if err != nil {
		return 0, err
	}
	switch err := db.reader(ctx).one(ctx, anyUnsealed, []any{low}, &one); {
	case errors.Is(err, sql.ErrNoRows) && low == next:
		return 0, nil
	case err != nil && !errors.Is(err, sql.ErrNoRows):
		return 0, fmt.Errorf("store: log: %w", err)
	}
	err = db.try(ctx, func(ctx context.Context, t *tx) error {
		n, err = t.grow(ctx, sign)
		return err
	})
	if db.dialect.classes(err) == again {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("store: log: %w", err)
	}
	return n, nil
}

// head reads the mark behind which every event is in the log. It is the one thing here
// that can be changed: further on than the last event in the log it would keep events out.
func head(ctx context.Context, r rower) (low, next int64, err error) {
	var sealed int64
	if err := r.one(ctx, readHead, []any{logID}, &low, &next, &sealed); err != nil {
		return 0, 0, fmt.Errorf("store: log: %w", err)
	}
	if low > sealed {
		return 0, 0, fmt.Errorf("%w: its mark is at event %d, and the last in it is %d", ErrLog, low, sealed)
	}
	return low, next, nil
}

// try is within without another try where somebody else was in the way.
func (db *DB) try(ctx context.Context, work func(context.Context, *tx) error) error {
	once := db.once
	if db.line != nil {
		once = db.line.once
	}
	done, err := once(ctx, work)
	if err == nil {
		db.settled(ctx, done)
	}
	return err
}

// grow adds what is there to the log, and moves the mark behind which everything is.
func (t *tx) grow(ctx context.Context, sign *audit.Signer) (int, error) {
	var low, mid, next, horizon, xmin, xmax, highest int64
	if err := t.one(ctx, lockHead, []any{logID}, &low, &mid, &next, &horizon); err != nil {
		return 0, err
	}
	// Before the events: what appears afterwards is for the next round.
	if err := t.one(ctx, logHorizons, nil, &xmin, &xmax, &highest); err != nil {
		return 0, err
	}
	var seqs []int64
	var leaves [][]byte
	if err := t.each(ctx, nextUnsealed, []any{low, sealBatch}, func(rows *sql.Rows) error {
		var seq int64
		var event []byte
		err := rows.Scan(&seq, &event)
		seqs, leaves = append(seqs, seq), append(leaves, audit.Leaf(event))
		return err
	}); err != nil {
		return 0, err
	}
	if len(seqs) > 0 {
		if err := t.append(ctx, sign, seqs, leaves); err != nil {
			return 0, err
		}
	}
	if len(seqs) == sealBatch {
		highest = seqs[len(seqs)-1] // there may be more behind it
	}
	// A transaction takes its number a moment after that of its first event: it may not
	// have been among those that the horizon waited for, and is among those of the next.
	if xmin >= horizon {
		if _, err := t.exec(ctx, moveHead, logID, mid, next, highest, xmax); err != nil {
			return 0, err
		}
	}
	return len(seqs), nil
}

// append adds entries to the log and signs it.
func (t *tx) append(ctx context.Context, sign *audit.Signer, seqs []int64, leaves [][]byte) error {
	var size int64
	if err := t.one(ctx, logSize, nil, &size); err != nil {
		return err
	}
	if err := continues(ctx, t, size, sign); err != nil {
		return err
	}
	g, err := audit.Grow(size, nodes{ctx, t}, leaves)
	if err != nil {
		return err
	}
	at := t.db.now()
	signed, err := sign.Sign(g.Size, g.Root, at)
	if err != nil {
		return err
	}
	if err := t.insertMany(ctx, "log_entries (idx, seq)", len(seqs), func(i int) (any, any) { return size + int64(i), seqs[i] }); err != nil {
		return err
	}
	if err := t.insertMany(ctx, "log_hashes (pos, hash)", len(g.Hashes), func(i int) (any, any) { return g.First + int64(i), g.Hashes[i][:] }); err != nil {
		return err
	}
	_, err = t.exec(ctx, insertNote, g.Size, micros(at), signed)
	return err
}

// continues sees that the log is the one that was signed last.
func continues(ctx context.Context, t rower, size int64, sign *audit.Signer) error {
	var signedSize int64
	var text string
	switch err := t.one(ctx, newestNote, nil, &signedSize, &text); {
	case errors.Is(err, sql.ErrNoRows):
		if size == 0 {
			return nil
		}
		return fmt.Errorf("%w: %d entries, and no checkpoint", ErrLog, size)
	case err != nil:
		return err
	}
	key, err := audit.ParseKey(sign.Key())
	if err != nil {
		return err
	}
	c, err := key.Open(text)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrLog, err)
	}
	if c.Size != size || signedSize != size {
		return fmt.Errorf("%w: %d entries, and %d were signed", ErrLog, size, c.Size)
	}
	root, err := audit.Root(size, nodes{ctx, t})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrLog, err)
	}
	if root != c.Root {
		return fmt.Errorf("%w: its root is not the one that was signed", ErrLog)
	}
	return nil
}

// CheckLog sees that the log ends as it was signed last, and says how many entries it
// has and since when the oldest event waits that is not in it; zero: none does. It changes
// nothing. What is further back only an export and audit.Verify can tell.
func (db *DB) CheckLog(ctx context.Context, sign *audit.Signer) (size int64, waiting time.Time, err error) {
	var at, hidden int64
	r := db.reader(ctx)
	low, _, err := head(ctx, r)
	if err != nil {
		return 0, waiting, err
	}
	if err := r.one(ctx, behindMark, []any{low}, &hidden); err != nil {
		return 0, waiting, fmt.Errorf("store: log: %w", err)
	}
	if hidden != 0 {
		return 0, waiting, fmt.Errorf("%w: of the events behind its mark %d are not in it", ErrLog, hidden)
	}
	if err := r.one(ctx, oldestUnsealed, []any{low}, &at); err != nil {
		return 0, waiting, fmt.Errorf("store: log: %w", err)
	}
	if err := r.one(ctx, logSize, nil, &size); err != nil {
		return 0, waiting, fmt.Errorf("store: log: %w", err)
	}
	err = continues(ctx, r, size, sign)
	var now int64
	if again := r.one(ctx, logSize, nil, &now); errors.Is(err, ErrLog) && again == nil && now != size {
		err = nil // a portal has sealed meanwhile, and has looked itself
	}
	return size, fromMicros(at), err
}

// ErrLog is a log that is not the one that was signed: somebody, or a fault of the
// disk, has changed it. Nothing is added to it.
var ErrLog = errors.New("store: the sealed record was changed")

// insertMany inserts n rows of two columns, many at a time.
func (t *tx) insertMany(ctx context.Context, into string, n int, row func(int) (any, any)) error {
	for from := 0; from < n; from += hashBatch {
		to := min(from+hashBatch, n)
		var text strings.Builder
		text.WriteString("INSERT INTO " + into + " VALUES ")
		args := make([]any, 0, 2*hashBatch)
		for i := from; i < to; i++ {
			if i > from {
				text.WriteByte(',')
			}
			fmt.Fprintf(&text, "($%d,$%d)", len(args)+1, len(args)+2)
			a, b := row(i)
			args = append(args, a, b)
		}
		if _, err := t.exec(ctx, text.String(), args...); err != nil {
			return err
		}
	}
	return nil
}

// nodes are the stored hashes, as audit asks for them.
type nodes struct {
	ctx context.Context
	r   rower
}

func (n nodes) ReadHashes(positions []int64) ([]audit.Hash, error) {
	list := make([]audit.Hash, len(positions))
	for i, p := range positions {
		var b []byte
		if err := n.r.one(n.ctx, oneHash, []any{p}, &b); err != nil {
			return nil, fmt.Errorf("node %d: %w", p, err)
		}
		if copy(list[i][:], b) != len(list[i]) || len(b) != len(list[i]) {
			return nil, fmt.Errorf("node %d has %d bytes", p, len(b))
		}
	}
	return list, nil
}

// Checkpoints calls each with every signed checkpoint, smallest first (audit.Log).
func (db *DB) Checkpoints(ctx context.Context, each func(size int64, signed string) error) error {
	type row struct {
		size int64
		note string
	}
	for after := int64(0); ; {
		var page []row
		if err := db.reader(ctx).each(ctx, pageOfNotes, []any{after}, func(rows *sql.Rows) error {
			var r row
			err := rows.Scan(&r.size, &r.note)
			page = append(page, r)
			return err
		}); err != nil {
			return fmt.Errorf("store: checkpoints: %w", err)
		}
		if len(page) == 0 {
			return nil
		}
		for _, r := range page {
			if err := each(r.size, r.note); err != nil {
				return err
			}
			after = r.size
		}
	}
}

// Checkpoint is the newest, signed; "" when nothing is sealed yet.
func (db *DB) Checkpoint(ctx context.Context) (size int64, signed string, err error) {
	err = db.reader(ctx).one(ctx, newestNote, nil, &size, &signed)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, "", nil
	}
	if err != nil {
		return 0, "", fmt.Errorf("store: checkpoint: %w", err)
	}
	return size, signed, nil
}

// Entries calls each with every entry of the log from index from on and before to
// (audit.Log). The hashes are those the log has, whatever the events say now.
func (db *DB) Entries(ctx context.Context, from, to int64, each func(audit.Entry) error) error {
	for ; from < to; from += entriesPerPage {
		end := min(from+entriesPerPage, to)
		hashes := map[int64]audit.Hash{}
		first, last := audit.LeafPosition(from), audit.LeafPosition(end-1)+1
		if err := db.reader(ctx).each(ctx, pageOfHashes, []any{first, last}, func(rows *sql.Rows) error {
			var pos int64
			var b []byte
			if err := rows.Scan(&pos, &b); err != nil {
				return err
			}
			var h audit.Hash
			copy(h[:], b)
			hashes[pos] = h
			return nil
		}); err != nil {
			return fmt.Errorf("store: entries: %w", err)
		}
		var page []audit.Entry
		if err := db.reader(ctx).each(ctx, pageOfEntries, []any{from, end}, func(rows *sql.Rows) error {
			var e audit.Entry
			var event []byte
			err := rows.Scan(&e.Index, &event)
			e.Leaf, e.Hash = audit.Leaf(event), hashes[audit.LeafPosition(e.Index)]
			page = append(page, e)
			return err
		}); err != nil {
			return fmt.Errorf("store: entries: %w", err)
		}
		for _, e := range page {
			if err := each(e); err != nil {
				return err
			}
		}
	}
	return nil
}
