package audit

import (
	"errors"
	"fmt"
	"io"
	"sort"
	"time"
)

// Report is what Verify found true.
type Report struct {
	Entries     int64
	Checkpoints int // whose signatures and roots are right
	Witnessed   int // checkpoints kept by others that fit as well
	Last        time.Time
	Root        Hash
}

// Fault is the first thing that is wrong with an exported log. Entry counts from 1,
// and is the line of the events; 0: it cannot be said which, or none is.
type Fault struct {
	Entry int64
	What  string
}

func (f *Fault) Error() string { return f.What }

func fault(entry int64, format string, args ...any) error {
	return &Fault{Entry: entry, What: fmt.Sprintf(format, args...)}
}

// Witness is a text that holds checkpoints somebody else kept.
type Witness struct {
	Name string
	Text io.Reader
}

// Verify checks an exported log against its key and nothing else: every checkpoint's
// signature, that each follows from the one before, every entry, and that it agrees
// with what others kept and with other exports of the same log. It returns a *Fault
// for what is wrong, naming the first entry as closely as can be said.
//
// It cannot see a tail that was cut off together with its checkpoints unless a
// witness or another export has a later one.
func Verify(dir string, key Key, witnesses []Witness, others []string) (Report, error) {
	signed, leaves, err := verifyOne(dir, key)
	if err != nil {
		return Report{}, err
	}
	last := signed[len(signed)-1]
	report := Report{Entries: last.Size, Checkpoints: len(signed), Last: last.At, Root: last.Root}
	for _, w := range witnesses {
		kept, err := key.FindCheckpoints(w.Text)
		if err != nil {
			return report, fmt.Errorf("%s: %w", w.Name, err)
		}
		if len(kept) == 0 {
			return report, fmt.Errorf("%s: holds no checkpoint of %s", w.Name, key.verifier.Name())
		}
		if err := agree(leaves, kept, "the checkpoint "+w.Name+" kept", nil); err != nil {
			return report, err
		}
		report.Witnessed += len(kept)
	}
	for _, o := range others {
		kept, theirs, err := verifyOne(o, key)
		if err != nil {
			return report, fmt.Errorf("%s: %w", o, err)
		}
		if err := agree(leaves, kept, "the export "+o, theirs); err != nil {
			return report, err
		}
		report.Witnessed += len(kept)
	}
	return report, nil
}

// verifyOne checks an export by itself.
func verifyOne(dir string, key Key) ([]Checkpoint, []Hash, error) {
	b := bundle{dir}
	signed, err := b.checkpoints(key)
	if err != nil {
		return nil, nil, err
	}
	leaves, err := b.hashes()
	if err != nil {
		return nil, nil, err
	}
	var events []Hash
	if err := b.each(func(line []byte) error {
		events = append(events, LeafHash(line))
		return nil
	}); err != nil {
		return nil, nil, err
	}
	from, to := broken(leaves, signed)
	switch {
	case to == 0:
		// What the log held is proved; every line is now held against it.
		return signed, leaves, compare(events, leaves, signed)
	case to > int64(len(leaves)) && int64(len(events)) < to:
		return nil, nil, fault(int64(len(events))+1, "entries %d to %d are missing: the tail was cut off", len(events)+1, to)
	}
	if _, wrong := broken(events, signed); wrong == 0 {
		return nil, nil, fault(0, "%s is damaged: it does not give the signed root of %d entries, and the events do", hashesFile, to)
	}
	// Both were changed. Where they differ is at least one of the places.
	for i := from; i < min(to, int64(len(events)), int64(len(leaves))); i++ {
		if events[i] != leaves[i] {
			return nil, nil, fault(i+1, "entry %d is not what was signed", i+1)
		}
	}
	return nil, nil, fault(from+1, "among entries %d to %d one at least was changed, left out, added or moved: they do not give the root signed at %s",
		from+1, to, stamp(signed, to))
}

// broken returns between which sizes the hashes stop giving the signed roots: 0, 0
// when they give all of them.
func broken(leaves []Hash, signed []Checkpoint) (good, bad int64) {
	var t tree
	for _, c := range signed {
		for t.size < min(c.Size, int64(len(leaves))) {
			t.add(leaves[t.size])
		}
		if t.size < c.Size || t.root() != c.Root {
			return good, c.Size
		}
		good = c.Size
	}
	return 0, 0
}

func stamp(signed []Checkpoint, size int64) string {
	for _, c := range signed {
		if c.Size == size {
			return c.At.Format(time.RFC3339)
		}
	}
	return "an unknown time"
}

// compare holds the lines against hashes that are proved.
func compare(events, leaves []Hash, signed []Checkpoint) error {
	size := signed[len(signed)-1].Size
	if extra := int64(len(leaves)) - size; extra > 0 {
		return fault(size+1, "%s holds %d hashes behind the last checkpoint's %d entries: nobody signed them", hashesFile, extra, size)
	}
	i := int64(0)
	for i < min(size, int64(len(events))) && events[i] == leaves[i] {
		i++
	}
	switch {
	case i == size && int64(len(events)) == size:
		return nil
	case i == size:
		return fault(i+1, "line %d and what follows were added: the log has %d entries", i+1, size)
	case i == int64(len(events)):
		return fault(i+1, "entries %d to %d are missing: the tail was cut off", i+1, size)
	}
	return differ(events, leaves, i)
}

// differ says in what way line and entry i differ.
func differ(events, leaves []Hash, i int64) error {
	at := func(list []Hash, h Hash) int64 {
		for k := i; k < int64(len(list)); k++ {
			if list[k] == h {
				return k
			}
		}
		return -1
	}
	held, moved := at(leaves, events[i]), at(events, leaves[i])
	switch {
	case held >= 0 && moved < 0 && i == 0:
		return fault(1, "entries 1 to %d are missing: the head was cut off", held)
	case held >= 0 && moved < 0 && held == i+1:
		return fault(i+1, "entry %d is missing", i+1)
	case held >= 0 && moved < 0:
		return fault(i+1, "entries %d to %d are missing", i+1, held)
	case held >= 0:
		return fault(i+1, "entries were put in another order: line %d is entry %d", i+1, held+1)
	case moved == i+1:
		return fault(i+1, "line %d was added: it is no entry of the log", i+1)
	case moved >= 0:
		return fault(i+1, "lines %d to %d were added: they are no entries of the log", i+1, moved)
	}
	return fault(i+1, "entry %d was changed", i+1)
}

// agree holds checkpoints of others against proved hashes. theirs are the hashes of
// another export, where there is one: they say what follows later.
func agree(leaves []Hash, kept []Checkpoint, who string, theirs []Hash) error {
	sort.Slice(kept, func(i, j int) bool { return kept[i].Size < kept[j].Size })
	var t tree
	for _, c := range kept {
		for t.size < min(c.Size, int64(len(leaves))) {
			t.add(leaves[t.size])
		}
		if t.size == c.Size && t.root() != c.Root {
			return fault(firstDifference(leaves, theirs), "%s, signed at %s, has another history of the first %d entries: the log was rewritten, or shown to two people in two ways%s",
				who, c.At.Format(time.RFC3339), c.Size, named(leaves, theirs))
		}
		if t.size < c.Size && theirs == nil {
			return fault(t.size+1, "%s, signed at %s, is of %d entries, and there are only %d here: the tail was cut off, or the export is the older one",
				who, c.At.Format(time.RFC3339), c.Size, t.size)
		}
	}
	if first := firstDifference(leaves, theirs); first > 0 {
		return fault(first, "%s has another history: the log was shown in two ways%s", who, named(leaves, theirs))
	}
	return nil
}

// firstDifference counts from 1; 0 where one is the beginning of the other.
func firstDifference(leaves, theirs []Hash) int64 {
	for i := range min(len(leaves), len(theirs)) {
		if leaves[i] != theirs[i] {
			return int64(i) + 1
		}
	}
	return 0
}

func named(leaves, theirs []Hash) string {
	if n := firstDifference(leaves, theirs); n > 0 {
		return fmt.Sprintf("; they part at entry %d", n)
	}
	return ""
}

// IsFault reports whether an error says that a log is wrong, and not that it could
// not be read.
func IsFault(err error) bool {
	var f *Fault
	return errors.As(err, &f)
}
