package audit

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Writer writes events for other programs to read. Flush ends it.
type Writer interface {
	Write(Event) error
	Flush() error
}

// NewJSONLines writes one JSON object a line (https://jsonlines.org). Everything
// that could move a cursor, colour a terminal or turn text around is escaped.
func NewJSONLines(w io.Writer) Writer { return &jsonLines{bufio.NewWriter(w)} }

type jsonLines struct{ w *bufio.Writer }

func (j *jsonLines) Write(e Event) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e.Bounded()); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	// encoding/json escapes C0 only. Outside of strings JSON has no such runes, so
	// that escaping them everywhere is safe. The newline at the end stays.
	if _, err := j.w.WriteString(escapeControls(strings.TrimSuffix(b.String(), "\n"))); err != nil {
		return err
	}
	return j.w.WriteByte('\n')
}

func (j *jsonLines) Flush() error { return j.w.Flush() }

// NewCSV writes RFC 4180 with a header line. A field that a spreadsheet would
// run as a formula begins with an apostrophe (OWASP: CSV injection).
func NewCSV(w io.Writer) Writer { return &csvWriter{w: csv.NewWriter(w)} }

type csvWriter struct {
	w      *csv.Writer
	headed bool
}

var csvHeader = []string{"seq", "at", "id", "kind", "outcome", "reason", "case", "subject", "subject_name",
	"actor", "actor_name", "door", "address", "purpose", "factor", "detail"}

func (c *csvWriter) head() error {
	if c.headed {
		return nil
	}
	c.headed = true
	return c.w.Write(csvHeader)
}

func (c *csvWriter) Write(e Event) error {
	if err := c.head(); err != nil {
		return err
	}
	e = e.Bounded()
	detail := ""
	if len(e.Detail) > 0 {
		b, err := json.Marshal(e.Detail) // in the order of its keys
		if err != nil {
			return fmt.Errorf("audit: %w", err)
		}
		detail = string(b)
	}
	record := []string{strconv.FormatInt(e.Seq, 10), e.At.UTC().Format(time.RFC3339Nano), e.ID, e.Kind, string(e.Outcome), e.Reason,
		e.Case, string(e.Subject), e.SubjectName, string(e.Actor), e.ActorName, e.Door, e.Address, e.Purpose, e.Factor, detail}
	for i, field := range record {
		record[i] = harmless(field)
	}
	return c.w.Write(record)
}

// Flush also writes the header of an empty export.
func (c *csvWriter) Flush() error {
	if err := c.head(); err != nil {
		return err
	}
	c.w.Flush()
	return c.w.Error()
}

// WriteTable writes a header and a line for each row, for people to open. Names in a
// directory are others' text: every field is made harmless (Field).
func WriteTable(w io.Writer, head []string, rows iter.Seq[[]string]) error {
	out := csv.NewWriter(w)
	if err := out.Write(head); err != nil {
		return err
	}
	for row := range rows {
		for i := range row {
			row[i] = Field(row[i])
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// Field makes any text one field of CSV for people to open: cut to 512 bytes, no
// control characters, and nothing a spreadsheet would run as a formula.
func Field(s string) string { return harmless(bounded(s)) }

// harmless is one field of CSV.
func harmless(s string) string {
	// Spreadsheets skip spaces before they look for the sign of a formula, and
	// take the fullwidth forms for the plain ones.
	first, _ := utf8.DecodeRuneInString(strings.TrimLeft(s, " \u00a0\u3000"))
	if strings.ContainsRune("=+-@\t\r\n|%＝＋－＠", first) && s != "" {
		s = "'" + s
	}
	return escapeControls(s)
}

// Escaped makes any text one line that moves no cursor and turns no text around.
func Escaped(s string) string { return escapeControls(s) }

// escapeControls writes control, format and line-separator characters as \uXXXX:
// C0, C1, DEL, the bidirectional marks, zero-width characters.
func escapeControls(s string) string {
	dangerous := func(r rune) bool {
		return unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029'
	}
	if !strings.ContainsFunc(s, dangerous) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case !dangerous(r):
			b.WriteRune(r)
		case r > 0xffff:
			// As JSON has it: a surrogate pair.
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
