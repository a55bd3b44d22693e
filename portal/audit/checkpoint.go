package audit

import (
	"bufio"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Checkpoint says what a log held at a moment: so many entries, with that root. A
// signed one is a promise that can be held against every later state of the log. Its
// form is C2SP's (https://c2sp.org/tlog-checkpoint), with the time in a line more.
type Checkpoint struct {
	Origin string // which log; its key's name
	Size   int64
	Root   Hash
	At     time.Time // when it was signed, as the portal's clock said
}

const originPrefix = "postern-audit-"

func (c Checkpoint) text() string {
	return fmt.Sprintf("%s\n%d\n%s\ntime %s\n", c.Origin, c.Size, c.Root, c.At.UTC().Format(time.RFC3339Nano))
}

var errCheckpoint = errors.New("audit: not a checkpoint")

func parseCheckpoint(text string) (c Checkpoint, err error) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) != 4 {
		return c, errCheckpoint
	}
	stamp, ok := strings.CutPrefix(lines[3], "time ")
	if !ok {
		return c, errCheckpoint
	}
	c.Origin = lines[0]
	if c.Size, err = strconv.ParseInt(lines[1], 10, 64); err != nil {
		return c, errCheckpoint
	}
	if c.Root, err = tlog.ParseHash(lines[2]); err != nil {
		return c, errCheckpoint
	}
	if c.At, err = time.Parse(time.RFC3339Nano, stamp); err != nil {
		return c, errCheckpoint
	}
	// One text for one meaning: what is signed is what was read.
	if c.Size < 1 || c.text() != text {
		return c, errCheckpoint
	}
	return c, nil
}

// Signer signs the checkpoints of one log with Ed25519.
type Signer struct {
	key  ed25519.PrivateKey
	name string
	hash uint32
	text string // of the public key
}

// NewSigner takes a seed of 32 bytes. The log's name comes from the key, so that two
// portals never sign in the same name, and a new address changes nothing.
func NewSigner(seed []byte) (*Signer, error) {
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("audit: a seed of %d bytes, not %d", len(seed), ed25519.SeedSize)
	}
	s := &Signer{key: ed25519.NewKeyFromSeed(seed)}
	public := s.key.Public().(ed25519.PublicKey)
	sum := sha256.Sum256(public)
	s.name = fmt.Sprintf("%s%x", originPrefix, sum[:8])
	var err error
	if s.text, err = note.NewEd25519VerifierKey(s.name, public); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	v, err := note.NewVerifier(s.text)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	s.hash = v.KeyHash()
	return s, nil
}

// Key is the public key, for whoever verifies: name+hash+base64, as note has it.
func (s *Signer) Key() string { return s.text }

// Name of the log.
func (s *Signer) Name() string { return s.name }

// Sign returns the signed text of a checkpoint of this log.
func (s *Signer) Sign(size int64, root Hash, at time.Time) (string, error) {
	c := Checkpoint{Origin: s.name, Size: size, Root: root, At: at}
	text, err := note.Sign(&note.Note{Text: c.text()}, noteSigner{s})
	if err != nil {
		return "", fmt.Errorf("audit: %w", err)
	}
	return string(text), nil
}

// noteSigner adapts a Signer to note.
type noteSigner struct{ s *Signer }

func (n noteSigner) Name() string                    { return n.s.name }
func (n noteSigner) KeyHash() uint32                 { return n.s.hash }
func (n noteSigner) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(n.s.key, msg), nil }

// Key verifies the checkpoints of one log.
type Key struct {
	verifier note.Verifier
	text     string
}

// ParseKey reads what Signer.Key gives.
func ParseKey(text string) (Key, error) {
	v, err := note.NewVerifier(strings.TrimSpace(text))
	if err != nil || !strings.HasPrefix(v.Name(), originPrefix) {
		return Key{}, errors.New("audit: not the public key of a record, like postern-audit-0123456789abcdef+01234567+…")
	}
	return Key{v, strings.TrimSpace(text)}, nil
}

func (k Key) String() string { return k.text }

// Open checks the signature and reads the checkpoint.
func (k Key) Open(signed string) (Checkpoint, error) {
	n, err := note.Open([]byte(signed), note.VerifierList(k.verifier))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("audit: a checkpoint without a good signature of %s: %w", k.verifier.Name(), err)
	}
	c, err := parseCheckpoint(n.Text)
	if err != nil {
		return Checkpoint{}, err
	}
	if c.Origin != k.verifier.Name() {
		return Checkpoint{}, fmt.Errorf("audit: a checkpoint of another log, %s", c.Origin)
	}
	return c, nil
}

// FindCheckpoints reads every checkpoint of the key's log that text holds, in order,
// each verified. What stands around them is passed over: a witness is often a mailbox
// or a file of logs. It also finds those that are one string of JSON, as syslog,
// webhooks and JSON Lines carry them. One that names this log and is not signed by its
// key is an error.
func (k Key) FindCheckpoints(text io.Reader) ([]Checkpoint, error) {
	var found []Checkpoint
	lines := bufio.NewScanner(text)
	lines.Buffer(make([]byte, 0, 64<<10), 16<<20)
	var one []string // of the checkpoint that is being read
	number := 0
	take := func(signed string) error {
		c, err := k.Open(signed)
		if err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		found = append(found, c)
		return nil
	}
	for lines.Scan() {
		number++
		line := strings.TrimRight(lines.Text(), " \r")
		switch {
		case len(one) > checkpointLines && !strings.HasPrefix(line, "— "):
			if err := take(strings.Join(one, "\n") + "\n"); err != nil {
				return nil, err
			}
			one = nil
		case one != nil:
			one = append(one, line)
			continue
		}
		if line == k.verifier.Name() {
			one = []string{line}
		} else if signed, ok := k.quoted(line); ok {
			if err := take(signed); err != nil {
				return nil, err
			}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if one != nil {
		return found, take(strings.Join(one, "\n") + "\n")
	}
	return found, nil
}

// checkpointLines come before the signatures: origin, size, root, time, an empty one.
const checkpointLines = 5

// quoted finds a checkpoint that is one string of JSON in a line.
func (k Key) quoted(line string) (signed string, ok bool) {
	i := strings.Index(line, `"`+k.verifier.Name()+`\n`)
	if i < 0 {
		return "", false
	}
	err := json.NewDecoder(strings.NewReader(line[i:])).Decode(&signed)
	return signed, err == nil
}
