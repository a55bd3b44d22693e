package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"postern/directory"
)

// entropy asks for random numbers: every code, token and key is made of them. ready
// says whether the system has gathered enough to give them without waiting, and
// errors.ErrUnsupported where it does not say; it is asked first, for waiting could
// last for ever.
func (d *examination) entropy(ready func() error, source io.Reader) {
	const why, mend = "codes, tokens and keys are made of random numbers: nothing can begin", "systemctl status systemd-random-seed; in a virtual machine give it a virtio-rng device"
	if err := ready(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		d.bad(directory.Failure, "entropy", "the system has no random numbers yet: "+err.Error(), why, mend)
		return
	}
	var a, b [32]byte
	_, err := io.ReadFull(source, a[:])
	if err == nil {
		_, err = io.ReadFull(source, b[:])
	}
	switch {
	case err != nil:
		d.bad(directory.Failure, "entropy", err.Error(), why, mend)
	case bytes.Equal(a[:], b[:]):
		d.bad(directory.Failure, "entropy", "the system gave the same random number twice", "everything that is secret can be guessed", "do not run postern on this machine")
	default:
		d.ok("entropy", "the system gives random numbers at once")
	}
}

// The bounds of room for the database: the record grows, and SQLite needs as much
// again as it writes.
const (
	spaceLow   = 1 << 30
	spaceShare = 20 // one in so many
	spaceOut   = 100 << 20
)

// disk looks at the room for the SQLite file. Of PostgreSQL's it cannot know.
func (d *examination) disk(cfg Config) {
	if cfg.Store.Path == "" {
		return
	}
	folder := filepath.Dir(cfg.Store.Path)
	for {
		if _, err := os.Stat(folder); err == nil || filepath.Dir(folder) == folder {
			break
		}
		folder = filepath.Dir(folder) // where it will be made
	}
	free, total, err := space(folder)
	d.room(folder, free, total, err)
}

func (d *examination) room(folder string, free, total uint64, err error) {
	const why = "when it is full nothing can be recorded, and what cannot be recorded is not done"
	mend := "df -h " + quoted(folder) + "; make room, or move store.path to another disk"
	what := fmt.Sprintf("%s of %s are free at %s", bytesOf(free), bytesOf(total), folder)
	switch {
	case err != nil:
		d.bad(directory.Warning, "disk", fmt.Sprintf("how much is free at %s cannot be told: %v", folder, err), why, mend)
	case free < spaceOut:
		d.bad(directory.Failure, "disk", what, why, mend)
	case free < spaceLow || free < total/spaceShare:
		d.bad(directory.Warning, "disk", what, why, mend)
	default:
		d.ok("disk", "%s", what)
	}
}

// bytesOf is a size for people.
func bytesOf(n uint64) string {
	if n < spaceLow {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}

// guarded is a file or folder that is not everybody's.
type guarded struct {
	path   string
	others fs.FileMode // what others may not do
	bad    directory.Severity
	why    string
	chmod  string
}

// files looks at who may read what is not everybody's. The mode of the key file is
// the key file's own check (store.LoadKeys).
func (d *examination) files(cfg Config) {
	if !modes {
		d.bad(directory.Warning, "files", "who may read them is not looked at on this system", "they hold secrets, and who recovered what", "see that nobody but the portal reads the configuration, its keys and its database")
		return
	}
	const secret, record = "whoever has it is taken for the portal", "it holds who recovered what, and how everybody could"
	list := []guarded{{cfg.file, 0o007, directory.Warning, "it says where everything is and who may do what", "o-rwx"}, {cfg.Keys, 0, directory.Failure, "", ""}}
	if key := cfg.Portal.TLS.KeyFile; key != "" {
		list = append(list, guarded{key, 0o007, directory.Failure, secret, "600"})
	}
	for _, path := range cfg.private {
		list = append(list, guarded{path, 0o007, directory.Failure, secret, "600"})
	}
	if path := cfg.Store.Path; path != "" {
		list = append(list, guarded{filepath.Dir(path), 0o007, directory.Warning, "what is put there, like a backup, is open to everybody on this machine", "o-rwx"})
		for _, end := range []string{"", "-wal", "-shm"} {
			list = append(list, guarded{path + end, 0o007, directory.Failure, record, "600"})
		}
	}
	n, from := 0, len(d.findings)
	for _, g := range list {
		if g.path != "" && d.guard(g) {
			n++
		}
	}
	if len(d.findings) == from {
		d.ok("files", "%s with secrets or records cannot be read by others", count(n, "file"))
	}
}

// guard looks at one; false when it is not there, which others say.
func (d *examination) guard(g guarded) bool {
	info, err := os.Stat(g.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if err != nil {
		d.bad(directory.Warning, "files", err.Error(), "who may read it is not known", "ls -ld "+quoted(g.path))
		return false
	}
	what := "read"
	if mode := info.Mode().Perm() & g.others; mode != 0 {
		if mode&0o002 != 0 {
			g.bad, what = directory.Failure, "change"
		}
		d.bad(g.bad, "files", fmt.Sprintf("everybody on this machine may %s %s (mode %04o)", what, g.path, info.Mode().Perm()), g.why, "chmod "+g.chmod+" "+quoted(g.path))
	}
	// Root reads everything, and does not know as whom the portal runs.
	if me := os.Geteuid(); me != 0 {
		if owner, ok := ownerOf(info); ok && owner != 0 && owner != me {
			d.bad(directory.Warning, "files", fmt.Sprintf("%s belongs to user %d, and this is user %d", g.path, owner, me), "its owner may read and change it", fmt.Sprintf("sudo chown %d %s", me, quoted(g.path)))
		}
	}
	return true
}

var plainPath = regexp.MustCompile(`^[A-Za-z0-9_./@:+,-]+$`)

// quoted is a path as a shell takes it.
func quoted(path string) string {
	if plainPath.MatchString(path) && !strings.HasPrefix(path, "-") {
		return path
	}
	if strings.HasPrefix(path, "-") {
		path = "./" + path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// machine is what every portal stands on.
func (d *examination) machine() {
	d.entropy(entropyReady, rand.Reader)
	d.clock()
}
