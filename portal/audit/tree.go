package audit

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Hash is a node of the log's Merkle tree (RFC 6962 section 2.1, SHA-256).
type Hash = tlog.Hash

// Hashes are the stored nodes of a log, by their position (tlog.StoredHashIndex).
type Hashes interface {
	ReadHashes(positions []int64) ([]Hash, error)
}

// Leaf is what stands in the log for a stored event: its JSON, in one line, with
// everything that could move a cursor or turn text around escaped. The same event
// gives the same bytes for ever: every signature rests on them.
func Leaf(event []byte) []byte { return []byte(escapeControls(string(event))) }

// LeafHash is the hash of an entry (RFC 6962: H(0x00 || leaf)).
func LeafHash(leaf []byte) Hash { return tlog.RecordHash(leaf) }

// Filed is an event in its place in the log, readable.
type Filed struct {
	Index int64
	Hash  Hash // of what is stored (LeafHash)
	Event Event
}

// Growth is what new entries add to a log.
type Growth struct {
	Size   int64  // afterwards
	Root   Hash   // afterwards
	First  int64  // position of the first of Hashes
	Hashes []Hash // nodes that are new and complete, in the order of their positions
}

// Grow adds entries to a log of size entries whose nodes old has.
func Grow(size int64, old Hashes, leaves [][]byte) (Growth, error) {
	g := Growth{Size: size, First: tlog.StoredHashCount(size)}
	read := tlog.HashReaderFunc(func(positions []int64) ([]Hash, error) { return g.read(old, positions) })
	for _, leaf := range leaves {
		more, err := tlog.StoredHashes(g.Size, leaf, read)
		if err != nil {
			return Growth{}, fmt.Errorf("audit: %w", err)
		}
		g.Hashes = append(g.Hashes, more...)
		g.Size++
	}
	var err error
	if g.Root, err = Root(g.Size, read); err != nil {
		return Growth{}, err
	}
	return g, nil
}

// read finds nodes among the new ones, and the others in old.
func (g *Growth) read(old Hashes, positions []int64) ([]Hash, error) {
	found := make([]Hash, len(positions))
	var missing []int64
	var at []int
	for i, p := range positions {
		if p >= g.First {
			found[i] = g.Hashes[p-g.First]
			continue
		}
		missing, at = append(missing, p), append(at, i)
	}
	if len(missing) == 0 {
		return found, nil
	}
	rest, err := old.ReadHashes(missing)
	if err != nil {
		return nil, err
	}
	for i, h := range rest {
		found[at[i]] = h
	}
	return found, nil
}

// Root of the first size entries (RFC 6962: MTH).
func Root(size int64, h Hashes) (Hash, error) {
	root, err := tlog.TreeHash(size, h)
	if err != nil {
		return Hash{}, fmt.Errorf("audit: %w", err)
	}
	return root, nil
}

// Prove gives the audit path of the entry at index in a log of size entries
// (RFC 6962 section 2.1.1).
func Prove(size, index int64, h Hashes) ([]Hash, error) {
	if index < 0 || index >= size {
		return nil, fmt.Errorf("audit: a log of %d entries has none at index %d", size, index)
	}
	p, err := tlog.ProveRecord(size, index, h)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return p, nil
}

// Included reports whether path leads from the entry to the root.
func Included(path []Hash, size int64, root Hash, index int64, leaf Hash) bool {
	return tlog.CheckRecord(path, size, root, index, leaf) == nil
}

// LeafPosition is where the hash of the entry at index is stored.
func LeafPosition(index int64) int64 { return tlog.StoredHashIndex(0, index) }

// tree is a log that only grows and remembers no more than it must: the roots of
// its perfect subtrees, largest first.
type tree struct {
	size int64
	peak []Hash
}

func (t *tree) add(leaf Hash) {
	t.peak = append(t.peak, leaf)
	t.size++
	for n := t.size; n&1 == 0; n >>= 1 {
		last := len(t.peak) - 1
		t.peak[last-1] = tlog.NodeHash(t.peak[last-1], t.peak[last])
		t.peak = t.peak[:last]
	}
}

// root of at least one entry.
func (t *tree) root() Hash {
	last := len(t.peak) - 1
	h := t.peak[last]
	for i := last - 1; i >= 0; i-- {
		h = tlog.NodeHash(t.peak[i], h)
	}
	return h
}
