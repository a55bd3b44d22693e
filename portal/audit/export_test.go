package audit

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"postern/directory"
)

// Security case 113: what a stranger types ends up in one line, escaped and cut.
func TestHostileTextStaysInItsField(t *testing.T) {
	hostile := map[string]string{
		"forged line":  "x\n{\"ok\":true}",
		"terminal":     "\x1b[2J\u009b31m\x07",
		"bidi":         "user\u202egnp.exe\u2066",
		"zero width":   "a\u200bb\ufeff",
		"tag (astral)": "a\U000e0041",
		"separators":   "a\u2028b\u2029c",
		"nul":          "a\x00b",
		"not UTF-8":    "a\xff\xfeb",
		"formula":      `=cmd|' /C calc'!A0`,
		"megabyte":     strings.Repeat("ä", 1<<19),
	}
	for name, text := range hostile {
		t.Run(name, func(t *testing.T) {
			e := Event{ID: "1", Seq: 7, At: time.Unix(1, 0), Kind: "case.started", Subject: directory.ID(text), SubjectName: text, Reason: text, Detail: map[string]string{text: text}}
			var lines, table bytes.Buffer
			j, c := NewJSONLines(&lines), NewCSV(&table)
			for _, w := range []Writer{j, c} {
				if err := w.Write(e); err != nil {
					t.Fatal(err)
				}
				if err := w.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			if n := strings.Count(lines.String(), "\n"); n != 1 {
				t.Errorf("%d lines of JSON", n)
			}
			var back Event
			if err := json.Unmarshal(lines.Bytes(), &back); err != nil {
				t.Fatalf("not JSON: %v: %s", err, lines.String())
			}
			if want := e.Bounded(); back.SubjectName != want.SubjectName || !reflect.DeepEqual(back.Detail, want.Detail) {
				t.Errorf("came back as %q, want %q", back.SubjectName, want.SubjectName)
			}
			records, err := csv.NewReader(&table).ReadAll()
			if err != nil || len(records) != 2 || len(records[1]) != len(csvHeader) {
				t.Fatalf("CSV: %v, %d records", err, len(records))
			}
			for i, out := range []string{lines.String(), strings.Join(records[1], "\n")} {
				if len(out) > 64<<10 || !utf8.ValidString(out) {
					t.Errorf("output %d: %d bytes, valid %v", i, len(out), utf8.ValidString(out))
				}
				for _, bad := range []string{"\x1b", "\u009b", "\u202e", "\u200b", "\u2028", "\x00", "\U000e0041"} {
					if strings.Contains(out, bad) {
						t.Errorf("output %d holds %q", i, bad)
					}
				}
			}
		})
	}
}

func TestNoFieldOfCSVIsAFormula(t *testing.T) {
	for _, s := range []string{"=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "\u00a0=1", "＝1", "|x", "%0A"} {
		if got := harmless(s); !strings.HasPrefix(got, "'") {
			t.Errorf("%q became %q", s, got)
		}
	}
	for _, s := range []string{"", "alice", "a=b", "2026-01-01", "corp:1-2", "Müller"} {
		if got := harmless(s); got != s {
			t.Errorf("%q became %q", s, got)
		}
	}
}

func TestEmptyCSVHasItsHeader(t *testing.T) {
	var b bytes.Buffer
	if err := NewCSV(&b).Flush(); err != nil || b.String() != strings.Join(csvHeader, ",")+"\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
}

func TestBoundedCutsManyDetails(t *testing.T) {
	e := Event{Detail: map[string]string{}}
	for i := range 1000 {
		e.Detail[strings.Repeat("k", i+1)] = "v"
	}
	if n := len(e.Bounded().Detail); n > maxDetails {
		t.Errorf("%d details", n)
	}
	if len(e.Detail) != 1000 {
		t.Error("the event given was changed")
	}
}

// No event has a place for a password, a code, a token or a seed: only names,
// ids, codes of what happened, and a map whose keys are the callers' to answer for.
func TestEventHasNoPlaceForASecret(t *testing.T) {
	allowed := map[string]reflect.Kind{
		"ID": reflect.String, "Seq": reflect.Int64, "At": reflect.Struct, "Kind": reflect.String, "Case": reflect.String,
		"Subject": reflect.String, "SubjectName": reflect.String, "Actor": reflect.String, "ActorName": reflect.String,
		"Door": reflect.String, "Address": reflect.String, "Purpose": reflect.String, "Factor": reflect.String,
		"Outcome": reflect.String, "Reason": reflect.String, "Detail": reflect.Map,
		// A signed statement: names, a number that was used up, a public key.
		"Proof": reflect.Slice,
		// How names are stored: sealed, and gone before anybody else sees the event.
		"Personal": reflect.Map,
	}
	event := reflect.TypeFor[Event]()
	for i := range event.NumField() {
		f := event.Field(i)
		if want, ok := allowed[f.Name]; !ok || f.Type.Kind() != want {
			t.Errorf("%s %s: think about what it could hold, and whether CSV and Bounded know it", f.Name, f.Type)
		}
		if f.Type == reflect.TypeFor[directory.Secret]() || f.Type == reflect.TypeFor[directory.User]() {
			t.Errorf("%s holds more than a name", f.Name)
		}
		for _, word := range []string{"password", "secret", "code", "token", "seed", "answer"} {
			if strings.Contains(strings.ToLower(f.Name), word) {
				t.Errorf("%s sounds like a secret", f.Name)
			}
		}
	}
	// A proof is for programs, and what is sealed for nobody: a spreadsheet would only spoil it.
	if event.NumField()-2 != len(csvHeader) {
		t.Errorf("%d fields beside the proof and what is sealed, %d columns of CSV", event.NumField()-2, len(csvHeader))
	}
}

func FuzzJSONLines(f *testing.F) {
	f.Add("x\n{\"ok\":true}")
	f.Add("\u202e\\u0000\x1b")
	f.Fuzz(func(t *testing.T, s string) {
		var b bytes.Buffer
		w := NewJSONLines(&b)
		if err := w.Write(Event{SubjectName: s}); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		var back Event
		if err := json.Unmarshal(b.Bytes(), &back); err != nil || back.SubjectName != (Event{SubjectName: s}).Bounded().SubjectName {
			t.Errorf("%q came back as %q (%v)", s, back.SubjectName, err)
		}
	})
}
