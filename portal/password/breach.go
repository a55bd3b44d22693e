package password

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"unicode/utf16"

	//lint:ignore SA1019 the lists of leaked NTLM hashes are MD4, and nothing is protected by it here
	"golang.org/x/crypto/md4"
)

const (
	// samples are how many places of a file, or files of a folder, are looked at
	// when it is opened.
	samples = 64
	// prefixLen of a range file's name, as in the Pwned Passwords API.
	prefixLen = 5
)

// hashing is how a list hashes passwords, known by the length of its hashes.
type hashing struct {
	width int // hexadecimal digits
	sum   func(pw string) []byte
}

var (
	sha1List = hashing{2 * sha1.Size, func(pw string) []byte { s := sha1.Sum([]byte(pw)); return s[:] }}
	ntlmList = hashing{2 * md4.Size, ntlm}
)

// ntlm is the NT hash of [MS-NLMP] section 3.3.1: MD4 over UTF-16LE.
func ntlm(pw string) []byte {
	var wide []byte
	for _, u := range utf16.Encode([]rune(pw)) {
		wide = binary.LittleEndian.AppendUint16(wide, u)
	}
	h := md4.New()
	h.Write(wide)
	return h.Sum(nil)
}

// breaches is a list of leaked passwords' hashes on disk: a folder of range
// files (ABCDE.txt with lines SUFFIX:COUNT), as haveibeenpwned-downloader
// writes them, or one file of lines HASH:COUNT in the order of the hashes.
// Nothing of it is kept in memory or open, so a file may be replaced by
// renaming a new one over it; one file must not become smaller until the next
// start. It is safe for concurrent use.
//
// Errors of a look-up name neither file nor place: both tell the beginning of
// the candidate's hash.
type breaches struct {
	path  string
	dir   bool
	kind  hashing
	size  int64 // of the one file, when it was opened
	least uint64
	blind atomic.Bool // it could not be read the last time
}

// openBreaches looks at samples of the list at path. A list cut off in the middle
// of a line, in another order or of something else is an error; so is a folder
// where one of the sampled files is missing. least is the count from which on a
// password is leaked.
func openBreaches(path string, least int) (*breaches, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nameless(err)
	}
	b := &breaches{path: path, dir: info.IsDir(), size: info.Size(), least: uint64(max(least, 1))}
	if !b.dir {
		return b, nameless(b.open(path, func(f io.ReaderAt, size int64) error { return b.examine(f, size, 0, samples) }))
	}
	for _, prefix := range sampledPrefixes() {
		err := b.openRange(prefix, func(f io.ReaderAt, size int64) error { return b.examine(f, size, prefixLen, 4) })
		if err != nil {
			return nil, fmt.Errorf("range file %s.txt: %w", prefix, nameless(err))
		}
	}
	return b, nil
}

// examine looks at n places of a file whose hashes lack their first digits, cut
// many. The first file says of what kind all are.
func (b *breaches) examine(f io.ReaderAt, size int64, cut, n int) error {
	if b.kind.width == 0 {
		digits, err := firstHash(f, size)
		if err != nil {
			return err
		}
		switch digits + cut {
		case sha1List.width:
			b.kind = sha1List
		case ntlmList.width:
			b.kind = ntlmList
		default:
			return fmt.Errorf("the first line's hash has %d digits, not %d (SHA-1) or %d (NTLM)", digits, sha1List.width-cut, ntlmList.width-cut)
		}
	}
	return sample(f, size, b.kind.width-cut, n)
}

// sampledPrefixes are spread evenly, the first and the last among them.
func sampledPrefixes() []string {
	const last = 1<<(4*prefixLen) - 1
	list := make([]string, 0, samples)
	for i := range samples {
		list = append(list, fmt.Sprintf("%05X", i*last/(samples-1)))
	}
	return list
}

// has reports whether pw is on the list, often enough to count.
func (b *breaches) has(pw string) (bool, error) {
	key := bytes.ToUpper([]byte(hex.EncodeToString(b.kind.sum(pw))))
	var count uint64
	look := func(f io.ReaderAt, size int64) (err error) {
		if !b.dir && size < b.size {
			// Somebody is writing over it: what is missing would pass as not leaked.
			return errors.New("the list is shorter than when it was opened")
		}
		count, err = find(f, size, key)
		return err
	}
	var err error
	if b.dir {
		prefix := string(key[:prefixLen])
		key = key[prefixLen:]
		err = b.openRange(prefix, look)
	} else {
		err = b.open(b.path, look)
	}
	if err != nil {
		return false, nameless(err)
	}
	return count >= b.least, nil
}

// nameless is err without the path in it, or nil: a range file's name is the first
// twenty bits of somebody's password hash.
func nameless(err error) error {
	if at := (*fs.PathError)(nil); errors.As(err, &at) {
		return fmt.Errorf("%s: %w", at.Op, at.Err)
	}
	return err
}

// openRange opens a range file, whichever case its name is in.
func (b *breaches) openRange(prefix string, use func(io.ReaderAt, int64) error) error {
	err := b.open(filepath.Join(b.path, prefix+".txt"), use)
	if lower := strings.ToLower(prefix); errors.Is(err, fs.ErrNotExist) && lower != prefix {
		if again := b.open(filepath.Join(b.path, lower+".txt"), use); !errors.Is(again, fs.ErrNotExist) {
			return again
		}
	}
	return err
}

func (b *breaches) open(path string, use func(f io.ReaderAt, size int64) error) error {
	// Asked before opening: opening a pipe would wait for its writer.
	if info, err := os.Stat(path); err != nil {
		return err
	} else if !info.Mode().IsRegular() {
		return errors.New("is not a file")
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return use(f, info.Size())
}
