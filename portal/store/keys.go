package store

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// Keys are the secrets that are not in the database: a ring of AES-256-GCM keys
// for what is stored, and one HKDF-SHA256 key from which named subkeys are
// derived. Both are Tink keysets in one JSON file, in the clear: the file's mode
// (0600) is what guards it, so it belongs on another disk, and in another backup,
// than the database.
type Keys struct {
	path string // empty: only in memory
	ring atomic.Pointer[ring]
	mu   sync.Mutex // one reload at a time
}

// ring is what one reading of the file gave.
type ring struct {
	aead    tink.AEAD
	prefix  []byte // of everything sealed with the primary key
	derive  *prf.Set
	changed time.Time
	size    int64
}

// keyFile is the file. Format is raised when its meaning changes.
type keyFile struct {
	Format     int             `json:"postern_keys"`
	Sealing    json.RawMessage `json:"sealing"`
	Derivation json.RawMessage `json:"derivation"`
}

const (
	keyFormat   = 1
	keyFileMax  = 1 << 20
	subkeyBytes = 32
)

// CreateKeys makes new keys and writes them to path with mode 0600. It never
// overwrites a file: whatever was sealed under its keys would be lost.
func CreateKeys(path string) error {
	sealing, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return fmt.Errorf("store: keys: %w", err)
	}
	derivation, err := keyset.NewHandle(prf.HKDFSHA256PRFKeyTemplate())
	if err != nil {
		return fmt.Errorf("store: keys: %w", err)
	}
	text, err := encodeKeys(sealing, derivation)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("store: keys: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("store: keys: %w", err)
	}
	return writeAndClose(f, text)
}

// PrepareKeys adds a key to the ring that reads and does not seal yet: nodes that have a
// file of their own must all have it before one of them seals with it.
func PrepareKeys(path string) error {
	return changeRing(path, func(m *keyset.Manager, h *keyset.Handle) error {
		if _, waits, err := prepared(h); err != nil {
			return err
		} else if waits {
			return ErrPrepared
		}
		_, err := m.Add(aead.AES256GCMKeyTemplate())
		return err
	})
}

// ErrPrepared is a key that was prepared and does not seal yet.
var ErrPrepared = errors.New("a key was prepared and waits: rotate makes it the one that seals")

// prepared is the key that waits, which stands behind the one that seals.
func prepared(h *keyset.Handle) (id uint32, waits bool, err error) {
	last, err := h.Entry(h.Len() - 1)
	if err != nil {
		return 0, false, err
	}
	return last.KeyID(), !last.IsPrimary(), nil
}

// RotateKeys makes the key that was prepared the one that seals from now on, or adds one.
// The older ones go on reading. A running portal takes the new file up when it
// meets something it cannot read; restart it, or send it through Reload, for it to
// seal with the new key. Subkeys (Derive) do not change.
func RotateKeys(path string) error {
	return changeRing(path, func(m *keyset.Manager, h *keyset.Handle) error {
		id, waits, err := prepared(h)
		if err == nil && !waits {
			id, err = m.Add(aead.AES256GCMKeyTemplate())
		}
		if err != nil {
			return err
		}
		return m.SetPrimary(id)
	})
}

// RetireKeys removes every sealing key but the newest. Call it only when
// DB.Reseal has found nothing more to do with every node on the new key:
// whatever is still under an old one is lost.
func RetireKeys(path string) error {
	return changeRing(path, func(m *keyset.Manager, h *keyset.Handle) error {
		if _, waits, err := prepared(h); err != nil {
			return err
		} else if waits {
			return ErrPrepared
		}
		var old []uint32
		for i := range h.Len() {
			e, err := h.Entry(i)
			if err != nil {
				return err
			}
			if !e.IsPrimary() {
				old = append(old, e.KeyID())
			}
		}
		for _, id := range old {
			if err := m.Delete(id); err != nil {
				return err
			}
		}
		return nil
	})
}

func changeRing(path string, change func(*keyset.Manager, *keyset.Handle) error) error {
	text, _, err := readKeyFile(path)
	if err != nil {
		return err
	}
	sealing, derivation, err := decodeKeys(text)
	if err != nil {
		return err
	}
	m := keyset.NewManagerFromHandle(sealing)
	if err := change(m, sealing); err != nil {
		return fmt.Errorf("store: keys: %w", err)
	}
	if sealing, err = m.Handle(); err != nil {
		return fmt.Errorf("store: keys: %w", err)
	}
	if text, err = encodeKeys(sealing, derivation); err != nil {
		return err
	}
	// Beside it and then into its place: half a key file is no key at all.
	f, err := os.CreateTemp(filepath.Dir(path), ".keys-*") // mode 0600
	if err != nil {
		return fmt.Errorf("store: keys: %w", err)
	}
	if err := writeAndClose(f, text); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return errors.Join(fmt.Errorf("store: keys: %w", err), os.Remove(f.Name()))
	}
	return nil
}

func writeAndClose(f *os.File, text []byte) error {
	_, err := f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("store: keys: %w", err)
	}
	return nil
}

// LoadKeys reads the file. It refuses one that others than its owner may read
// or write, as ssh does with a private key.
func LoadKeys(path string) (*Keys, error) {
	k := &Keys{path: path}
	if err := k.Reload(); err != nil {
		return nil, err
	}
	return k, nil
}

// Reload reads the file again, after RotateKeys. On an error the keys stay as they were.
func (k *Keys) Reload() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.reload()
}

func (k *Keys) reload() error {
	text, info, err := readKeyFile(k.path)
	if err != nil {
		return err
	}
	r, err := newRing(text)
	if err != nil {
		return err
	}
	r.changed, r.size = info.ModTime(), info.Size()
	k.ring.Store(r)
	return nil
}

// refresh reloads only when the file has changed, and says whether there is
// anything new since seen.
func (k *Keys) refresh(seen *ring) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ring.Load() != seen {
		return true
	}
	info, err := os.Stat(k.path)
	if err != nil || info.ModTime().Equal(seen.changed) && info.Size() == seen.size {
		return false
	}
	return k.reload() == nil
}

// Derive gives the 256-bit subkey of that name. The same name gives the same
// key for as long as the file lives, through every rotation.
func (k *Keys) Derive(label string) []byte {
	key, err := k.ring.Load().derive.ComputePrimaryPRF([]byte("postern/"+label), subkeyBytes)
	if err != nil {
		// HKDF fails only for lengths it cannot give; this one was tried when loading.
		panic(fmt.Sprintf("store: derive %s: %v", label, err))
	}
	return key
}

// seal encrypts and binds to where it stands.
func (k *Keys) seal(plain, place []byte) ([]byte, error) {
	sealed, err := k.ring.Load().aead.Encrypt(plain, place)
	if err != nil {
		return nil, fmt.Errorf("store: seal: %w", err)
	}
	return sealed, nil
}

// errSealed is everything that can be wrong with something sealed: moved, cut,
// changed, or of a key we do not have. It says no more, on purpose.
var errSealed = errors.New("store: a sealed row cannot be opened: it was tampered with, or its key is missing")

func (k *Keys) open(sealed, place []byte) ([]byte, error) {
	r := k.ring.Load()
	plain, err := r.aead.Decrypt(sealed, place)
	if err != nil && k.refresh(r) {
		// Another node seals with a newer key already.
		plain, err = k.ring.Load().aead.Decrypt(sealed, place)
	}
	if err != nil {
		return nil, errSealed
	}
	return plain, nil
}

// current reports whether the primary key sealed it.
func (k *Keys) current(sealed []byte) bool { return bytes.HasPrefix(sealed, k.ring.Load().prefix) }

func readKeyFile(path string) ([]byte, fs.FileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("store: keys: %w", err)
	}
	defer f.Close()
	// Of the open file: the name could be changed under us.
	info, err := f.Stat()
	if err != nil {
		return nil, nil, fmt.Errorf("store: keys: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("store: keys: %s is not a file", path)
	}
	// Windows has no such bits; there the folder's own rights must do.
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, nil, fmt.Errorf("store: keys: others may read or write %s (mode %04o): chmod 600 it", path, info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, keyFileMax))
	if err != nil {
		return nil, nil, fmt.Errorf("store: keys: %w", err)
	}
	return text, info, nil
}

func newRing(text []byte) (*ring, error) {
	sealing, derivation, err := decodeKeys(text)
	if err != nil {
		return nil, err
	}
	r := &ring{}
	if r.aead, err = aead.New(sealing); err != nil {
		return nil, fmt.Errorf("store: keys: sealing: %w", err)
	}
	if r.derive, err = prf.NewPRFSet(derivation); err != nil {
		return nil, fmt.Errorf("store: keys: derivation: %w", err)
	}
	if _, err := r.derive.ComputePrimaryPRF([]byte("postern/"), subkeyBytes); err != nil {
		return nil, fmt.Errorf("store: keys: derivation: %w", err)
	}
	primary, err := sealing.Primary()
	if err != nil {
		return nil, fmt.Errorf("store: keys: sealing: %w", err)
	}
	// Tink wire format: 0x01, then the key's id, big endian.
	r.prefix = binary.BigEndian.AppendUint32([]byte{1}, primary.KeyID())
	return r, nil
}

func decodeKeys(text []byte) (sealing, derivation *keyset.Handle, err error) {
	var file keyFile
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	// The parser's own words could quote a key.
	if err := d.Decode(&file); err != nil {
		return nil, nil, errors.New("store: keys: the file cannot be read as keys")
	}
	if file.Format != keyFormat {
		return nil, nil, fmt.Errorf("store: keys: format %d; this program knows %d", file.Format, keyFormat)
	}
	if sealing, err = insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(file.Sealing))); err != nil {
		return nil, nil, errors.New("store: keys: the sealing keys cannot be read")
	}
	if derivation, err = insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(file.Derivation))); err != nil {
		return nil, nil, errors.New("store: keys: the derivation key cannot be read")
	}
	return sealing, derivation, nil
}

func encodeKeys(sealing, derivation *keyset.Handle) ([]byte, error) {
	file := keyFile{Format: keyFormat}
	for _, part := range []struct {
		h  *keyset.Handle
		to *json.RawMessage
	}{{sealing, &file.Sealing}, {derivation, &file.Derivation}} {
		var b bytes.Buffer
		if err := insecurecleartextkeyset.Write(part.h, keyset.NewJSONWriter(&b)); err != nil {
			return nil, fmt.Errorf("store: keys: %w", err)
		}
		*part.to = b.Bytes()
	}
	text, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("store: keys: %w", err)
	}
	return append(text, '\n'), nil
}
