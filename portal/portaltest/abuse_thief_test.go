package portaltest

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

var (
	codeLike  = regexp.MustCompile(`^[2-9A-HJKMNP-Z]{8}$|^[0-9]{6}$|^[0-9A-HJKMNP-TV-Z]{16}$`)
	noHyphens = strings.NewReplacer("-", "", " ", "")
)

// Security case 24: a thief of the whole database submits every column of it,
// in every spelling, as session, as form token and as code. Nothing opens.
func TestNothingInTheDatabaseOpensAnything(t *testing.T) {
	t.Parallel()
	s := besiege(t, "embedded", wideStarts)
	owner := s.enrols(t, "user1")
	w := s.walker(t).start("reset", "user1")
	w.mailedCode("/recover", "user1")
	s.walker(t).proven("user1", 0)

	values := s.columns(t)
	if len(values) < 50 {
		t.Fatalf("only %d values were read: this shows nothing", len(values))
	}
	tried := 0
	for _, v := range values {
		spellings := []string{v, hex.EncodeToString([]byte(v)), base64.RawURLEncoding.EncodeToString([]byte(v)), base64.StdEncoding.EncodeToString([]byte(v))}
		if b, err := hex.DecodeString(v); err == nil && len(b) == 32 {
			spellings = append(spellings, base64.RawURLEncoding.EncodeToString(b))
		}
		for _, sp := range spellings {
			// Only what is well-formed as a token costs the portal a look.
			if b, err := base64.RawURLEncoding.DecodeString(sp); err == nil && len(b) == 32 {
				tried++
				thief := s.walker(t)
				thief.SetCookie("__Host-postern", sp)
				if r := thief.get("/me"); r.Status != 303 || r.Location != "/signin" {
					t.Errorf("%q is a session: %d", sp, r.Status)
				}
				if r := thief.get("/recover"); r.Status != 303 || r.Location != "/" {
					t.Errorf("%q holds a case: %d", sp, r.Status)
				}
				owner.get("/me")
				if r := owner.ask("POST", "/signout", formType, "csrf="+sp, ourselves...); r.Status != 403 {
					t.Errorf("%q is a form's token: %d", sp, r.Status)
				}
			}
		}
		if codeLike.MatchString(noHyphens.Replace(strings.ToUpper(v))) {
			t.Errorf("%q has the form of a code", v)
		}
	}
	if tried == 0 {
		t.Error("no column had the length of a token: this shows nothing")
	}
}

// columns is every value of every table, as text.
func (s *siege) columns(t testing.TB) (values []string) {
	t.Helper()
	db := s.open(t)
	rows, err := db.Query(`SELECT name FROM sqlite_master WHERE type = 'table'`)
	if err != nil {
		t.Fatal(err)
	}
	var tables []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		tables = append(tables, name)
	}
	rows.Close()
	for _, table := range tables {
		rows, err := db.Query(`SELECT * FROM "` + table + `"`)
		if err != nil {
			t.Fatal(err)
		}
		names, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			row := make([]any, len(names))
			for i := range row {
				row[i] = new(any)
			}
			if err := rows.Scan(row...); err != nil {
				t.Fatal(err)
			}
			for _, v := range row {
				switch v := (*v.(*any)).(type) {
				case nil, int64, float64, bool, time.Time: // no secret is a number in a column
				case []byte:
					values = append(values, string(v))
				default:
					values = append(values, fmt.Sprint(v))
				}
			}
		}
		rows.Close()
	}
	return values
}
