package enrol

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"postern/verify"
)

// Limits of a file.
const (
	MaxLines = 20_000
	maxLogin = 256 // code points
)

// Sort is what a file is of, one thing a line.
type Sort struct {
	Kind  verify.Kind
	Thing string // what somebody gets, as an operator calls it; with s for several
	Mark  string // what a line tells the thing by, as an operator calls it
	// Column is the mark's name in the header. Parse reads a mark; what two programs
	// read differently must be an error, and an error never quotes it.
	Column string
	Parse  func(text string) ([]byte, error)
}

// Line is one line of a file: whose the thing is, and which.
type Line struct {
	Number      int
	Login, Name string
	mark        secret
}

// secret gives the bytes. No way of printing calls a function: fields that are not
// exported would be printed as they are, whatever methods their type has.
type secret func() []byte

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

// Read takes CSV (RFC 4180) with the header login, Column, name. A name may be
// empty. Wrong lines are LineFaults, all of them at once.
func (s Sort) Read(data []byte) ([]Line, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("the file is not UTF-8")
	}
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff")))) // spreadsheets write the mark
	r.FieldsPerRecord = -1
	want := []string{"login", s.Column, "name"}
	head, err := r.Read()
	if err != nil || !slices.Equal(head, want) {
		return nil, LineFaults{{1, "the first line must be " + strings.Join(want, ",")}}
	}
	var lines []Line
	var faults LineFaults
	seen := map[[sha256.Size]byte]int{} // the line a mark was on
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
		number, _ := r.FieldPos(0)
		if len(lines)+len(faults) == MaxLines {
			return nil, fmt.Errorf("the file has more than %d lines", MaxLines)
		}
		one, err := s.readLine(number, record)
		if err != nil {
			faults = append(faults, LineFault{number, err.Error()})
			continue
		}
		sum := sha256.Sum256(one.mark())
		if before, twice := seen[sum]; twice {
			faults = append(faults, LineFault{number, fmt.Sprintf("the %s is that of line %d", s.Mark, before)})
			continue
		}
		seen[sum] = number
		lines = append(lines, one)
	}
	switch {
	case len(faults) > 0:
		return nil, faults
	case len(lines) == 0:
		return nil, errors.New("the file has no line below its header")
	}
	return lines, nil
}

func (s Sort) readLine(number int, record []string) (Line, error) {
	if len(record) != 3 {
		return Line{}, fmt.Errorf("has %d fields, and must have 3", len(record))
	}
	one := Line{Number: number, Login: record[0]}
	if n := utf8.RuneCountInString(one.Login); n == 0 || n > maxLogin || strings.TrimSpace(one.Login) != one.Login ||
		strings.ContainsFunc(one.Login, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return Line{}, errors.New("the login is empty, too long, or has spaces around it or characters that do not print")
	}
	var err error
	if one.Name, err = cleanName(record[2], true); err != nil {
		return Line{}, fmt.Errorf("the name is longer than %d characters, or has some that do not print", maxName)
	}
	mark, err := s.Parse(record[1])
	one.mark = func() []byte { return bytes.Clone(mark) }
	return one, err
}
