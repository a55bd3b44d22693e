package audit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Entry of the log.
type Entry struct {
	Index int64 // from 0
	Leaf  []byte
	Hash  Hash // as the log has it; whoever trusts nothing compares
}

// Log is a sealed record (*store.DB).
type Log interface {
	// Entries calls each with every entry from index from on and before to.
	Entries(ctx context.Context, from, to int64, each func(Entry) error) error
	// Checkpoints calls each with every signed checkpoint, smallest first.
	Checkpoints(ctx context.Context, each func(size int64, signed string) error) error
}

// The files of an exported log.
const (
	eventsFile      = "events.jsonl"
	hashesFile      = "hashes.bin"
	checkpointsFile = "checkpoints.txt"
	readmeFile      = "README.txt"
)

// denseCheckpoints is about how many checkpoints an export keeps: each is a signature
// to verify, and the closer they stand the closer a forgery is named.
const denseCheckpoints = 1 << 14

const readme = `The record of a Postern portal, as a log that can be checked.

%s  one event a line, oldest first: line n is entry n
%s     32 bytes for each entry: SHA-256(0x00 || the line without its end)
%s what the portal signed: so many entries, with that root of the
                Merkle tree over them (RFC 6962), at that time
Any of it that is changed, missing, added or put elsewhere is found by

    postern audit verify DIR --key KEY

which asks no network and no portal. KEY is the public key you were given when the
portal was set up; here it should be

    %s

The tail of a log can be cut off together with its checkpoints. Whoever kept a later
checkpoint finds that too: --witness FILE takes one, or a mailbox or a log with many.
`

// WriteBundle writes the whole log into a new folder, for Verify. It returns how many
// entries that are. An empty folder may exist; one that holds anything is refused.
func WriteBundle(ctx context.Context, dir string, log Log, key Key) (size int64, err error) {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return 0, err
	}
	if there, err := os.ReadDir(dir); err != nil {
		return 0, err
	} else if len(there) > 0 {
		return 0, fmt.Errorf("audit: the folder %s is not empty", dir)
	}
	// The newest checkpoint says how far the export goes: later entries wait.
	var signed []string
	var sizes []int64
	if err := log.Checkpoints(ctx, func(n int64, text string) error {
		signed, sizes, size = append(signed, text), append(sizes, n), n
		return nil
	}); err != nil {
		return 0, err
	}
	if size == 0 {
		return 0, errors.New("audit: nothing is sealed yet")
	}
	gap, kept := max(1, size/denseCheckpoints), int64(0)
	err = create(filepath.Join(dir, checkpointsFile), func(w *bufio.Writer) error {
		for i, text := range signed {
			if sizes[i] < kept+gap && i < len(signed)-1 {
				continue
			}
			kept = sizes[i]
			if _, err := w.WriteString(text + "\n"); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	next := int64(0)
	err = create(filepath.Join(dir, eventsFile), func(events *bufio.Writer) error {
		return create(filepath.Join(dir, hashesFile), func(hashes *bufio.Writer) error {
			return log.Entries(ctx, 0, size, func(e Entry) error {
				if e.Index != next {
					return fmt.Errorf("audit: entry %d is missing in the database", next+1)
				}
				next++
				_, err := events.Write(e.Leaf)
				_, err2 := hashes.Write(e.Hash[:])
				return errors.Join(err, err2, events.WriteByte('\n'))
			})
		})
	})
	if err != nil {
		return 0, err
	}
	if next != size {
		return 0, fmt.Errorf("audit: entry %d is missing in the database", next+1)
	}
	return size, create(filepath.Join(dir, readmeFile), func(w *bufio.Writer) error {
		_, err := fmt.Fprintf(w, readme, eventsFile, hashesFile, checkpointsFile, key)
		return err
	})
}

// create writes a new file for its owner alone.
func create(path string, write func(*bufio.Writer) error) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	err = write(w)
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// bundle is an exported log on disk.
type bundle struct{ dir string }

// each calls do with every line of the events, without its end.
func (b bundle) each(do func(line []byte) error) error {
	f, err := os.Open(filepath.Join(b.dir, eventsFile))
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, maxLine)
	for n := 1; ; n++ {
		line, err := r.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF) && len(line) == 0:
			return nil
		case errors.Is(err, bufio.ErrBufferFull):
			return fmt.Errorf("%s, line %d: is longer than any entry", eventsFile, n)
		case errors.Is(err, io.EOF):
			return fmt.Errorf("%s, line %d: has no end: the file was cut off", eventsFile, n)
		case err != nil:
			return err
		}
		if err := do(line[:len(line)-1]); err != nil {
			return err
		}
	}
}

// maxLine is more than any event has: every text in it is bounded.
const maxLine = 1 << 20

// hashes reads what the log itself had for each entry.
func (b bundle) hashes() ([]Hash, error) {
	data, err := os.ReadFile(filepath.Join(b.dir, hashesFile))
	if err != nil {
		return nil, err
	}
	if len(data)%len(Hash{}) != 0 {
		return nil, fmt.Errorf("%s: %d bytes are no number of hashes: the file was cut off", hashesFile, len(data))
	}
	list := make([]Hash, len(data)/len(Hash{}))
	for i := range list {
		copy(list[i][:], data[i*len(Hash{}):])
	}
	return list, nil
}

func (b bundle) checkpoints(k Key) ([]Checkpoint, error) {
	f, err := os.Open(filepath.Join(b.dir, checkpointsFile))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	found, err := k.FindCheckpoints(f)
	if err != nil {
		return nil, fmt.Errorf("%s, %w", checkpointsFile, err)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s: holds no checkpoint of %s: it is another log's, or the key is another's", checkpointsFile, k.verifier.Name())
	}
	for i := range found[1:] {
		if found[i+1].Size <= found[i].Size {
			return nil, fmt.Errorf("%s: a checkpoint of %d entries stands behind one of %d", checkpointsFile, found[i+1].Size, found[i].Size)
		}
	}
	return found, nil
}
