package enrol

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of a file of seeds.
const (
	MaxSeeds    = 20_000
	maxSeed     = 64 // bytes: a longer HMAC-SHA-1 key is hashed first (RFC 2104), and some apps do not
	maxSeedText = 128
	maxLogin    = 256 // code points
)

// Seed is one line of the file.
type Seed struct {
	Line        int
	Login, Name string
	secret      secret
}

// secret gives the bytes. No way of printing calls a function: fields that are not
// exported would be printed as they are, whatever methods their type has.
type secret func() []byte

// unpadded is RFC 4648 base32 as authenticator apps write it.
var unpadded = base32.StdEncoding.WithPadding(base32.NoPadding)

// LineFault is what is wrong with one line, never with a word of the secret.
type LineFault struct {
	Line int
	What string
}

// LineFaults are all that is wrong with a file.
type LineFaults []LineFault

const toldFaults = 50

func (f LineFaults) Error() string {
	var b strings.Builder
	for i, one := range f {
		if i == toldFaults {
			fmt.Fprintf(&b, "and %d lines more", len(f)-i)
			break
		}
		fmt.Fprintf(&b, "line %d: %s\n", one.Line, one.What)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// ReadSeeds reads CSV (RFC 4180) with the header login,secret,name. A secret is
// base32 in either case, with or without padding, and nothing else; a name may be
// empty. Wrong lines are LineFaults, all of them at once.
func ReadSeeds(data []byte) ([]Seed, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("the file is not UTF-8")
	}
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff")))) // spreadsheets write the mark
	r.FieldsPerRecord = -1
	head, err := r.Read()
	if err != nil || !slices.Equal(head, []string{"login", "secret", "name"}) {
		return nil, LineFaults{{1, "the first line must be login,secret,name"}}
	}
	var seeds []Seed
	var faults LineFaults
	seen := map[[sha256.Size]byte]int{} // the line a secret was on
	for {
		record, err := r.Read()
		if err == io.EOF {
			break
		}
		var broken *csv.ParseError
		if errors.As(err, &broken) {
			// After a quote that does not end, nobody knows where lines begin.
			return nil, append(faults, LineFault{broken.Line, "is not CSV: " + broken.Err.Error()})
		}
		if err != nil {
			return nil, err
		}
		line, _ := r.FieldPos(0)
		if len(seeds)+len(faults) == MaxSeeds {
			return nil, fmt.Errorf("the file has more than %d lines", MaxSeeds)
		}
		s, err := readSeed(line, record)
		if err != nil {
			faults = append(faults, LineFault{line, err.Error()})
			continue
		}
		sum := sha256.Sum256(s.secret())
		if before, twice := seen[sum]; twice {
			faults = append(faults, LineFault{line, fmt.Sprintf("the secret is that of line %d", before)})
			continue
		}
		seen[sum] = line
		seeds = append(seeds, s)
	}
	switch {
	case len(faults) > 0:
		return nil, faults
	case len(seeds) == 0:
		return nil, errors.New("the file has no line below its header")
	}
	return seeds, nil
}

func readSeed(line int, record []string) (Seed, error) {
	if len(record) != 3 {
		return Seed{}, fmt.Errorf("has %d fields, and must have 3", len(record))
	}
	s := Seed{Line: line, Login: record[0]}
	if n := utf8.RuneCountInString(s.Login); n == 0 || n > maxLogin || strings.TrimSpace(s.Login) != s.Login ||
		strings.ContainsFunc(s.Login, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return Seed{}, errors.New("the login is empty, too long, or has spaces around it or characters that do not print")
	}
	var err error
	if s.Name, err = cleanName(record[2], true); err != nil {
		return Seed{}, fmt.Errorf("the name is longer than %d characters, or has some that do not print", maxName)
	}
	seed, err := readSecret(record[1])
	s.secret = func() []byte { return bytes.Clone(seed) }
	return s, err
}

// readSecret is strict: what two programs read differently would be a seed whose
// codes are never right. Errors are not the decoder's, which could quote it.
func readSecret(text string) ([]byte, error) {
	errBad := errors.New("the secret is not base32")
	if len(text) > maxSeedText {
		return nil, errors.New("the secret is too long")
	}
	body := strings.TrimRight(text, "=")
	if pad := len(text) - len(body); pad > 0 && (len(text)%8 != 0 || pad >= 8) {
		return nil, errBad
	}
	body = strings.ToUpper(body)
	secret, err := unpadded.DecodeString(body)
	// Written back it must be the same: the decoder passes over line ends, lost
	// characters and bits that belong to no byte.
	if err != nil || unpadded.EncodeToString(secret) != body {
		return nil, errBad
	}
	switch {
	case len(secret) == 0:
		return nil, errors.New("there is no secret")
	case len(secret) > maxSeed:
		return nil, fmt.Errorf("the secret is longer than %d bytes", maxSeed)
	case len(bytes.Trim(secret, string(secret[:1]))) == 0 || string(secret) == "12345678901234567890":
		return nil, errors.New("the secret is one that everybody tries") // the second: RFC 6238 appendix B
	}
	return secret, nil
}
