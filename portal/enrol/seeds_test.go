package enrol_test

import (
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"testing"

	"postern/portal/enrol"
)

// seed is 160 bits of which every letter tells i.
func seed(i int) []byte { return fmt.Appendf(nil, "%020d", i+1) }

func text(secret []byte) string { return base32.StdEncoding.EncodeToString(secret) }

const head = "login,secret,name\n"

func TestSeedsAreReadStrictly(t *testing.T) {
	good, other := text(seed(1)), text(seed(2))
	for name, c := range map[string]struct {
		file string
		line int // of the only fault; 0: the file is good; -1: no line's fault
	}{
		"plain":                          {head + "alice," + good + ",phone\n", 0},
		"no end of the last line":        {head + "alice," + good + ",", 0},
		"small letters":                  {head + "alice," + strings.ToLower(good) + ",\n", 0},
		"byte order mark, CRLF":          {"\ufeff" + strings.ReplaceAll(head+"alice,"+good+",\n", "\n", "\r\n"), 0},
		"padded":                         {head + "alice," + text([]byte("123456789012345678901x")) + ",\n", 0},
		"empty":                          {"", 1},
		"no header":                      {"alice," + good + ",\n", 1},
		"other header":                   {"secret,login,name\nalice," + good + ",\n", 1},
		"header alone":                   {head, -1},
		"two fields":                     {head + "alice," + good + "\n", 2},
		"four fields":                    {head + "alice," + good + ",,\n", 2},
		"no login":                       {head + "," + good + ",\n", 2},
		"spaces round the login":         {head + " alice," + good + ",\n", 2},
		"a login that turns text round":  {head + "al\u202eice," + good + ",\n", 2},
		"a login of two lines":           {head + "\"al\nice\"," + good + ",\n", 2},
		"a login without end":            {head + strings.Repeat("a", 257) + "," + good + ",\n", 2},
		"a name that drives a terminal":  {head + "alice," + good + ",\x1b[2J\n", 2},
		"a name without end":             {head + "alice," + good + "," + strings.Repeat("n", 65) + "\n", 2},
		"no secret":                      {head + "alice,,\n", 2},
		"spaces in the secret":           {head + "alice," + good[:4] + " " + good[4:] + ",\n", 2},
		"a line end in the secret":       {head + "alice,\"" + good[:4] + "\n" + good[4:] + "\",\n", 2},
		"not base32":                     {head + "alice,1" + good[1:] + ",\n", 2},
		"a lost letter":                  {head + "alice," + good[:len(good)-7] + ",\n", 2},
		"bits that belong to no byte":    {head + "alice," + "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGF" + ",\n", 2},
		"too much padding":               {head + "alice," + good + "========,\n", 2},
		"padding in the middle":          {head + "alice," + good[:8] + "=" + good[9:] + ",\n", 2},
		"a secret without end":           {head + "alice," + strings.Repeat("A", 4096) + ",\n", 2},
		"all zero":                       {head + "alice," + strings.Repeat("A", 32) + ",\n", 2},
		"the one of RFC 6238 appendix B": {head + "alice," + text([]byte("12345678901234567890")) + ",\n", 2},
		"the same secret again":          {head + "alice," + other + ",\nbob," + good + ",\n\ncarol," + strings.ToLower(good) + ",\n", 5},
		"a quote without end":            {head + "alice,\"" + good + ",\n", 2},
		"a quote in a field":             {head + "alice," + good + ",a\"b\n", 2},
		"not UTF-8":                      {head + "alice," + good + ",\xff\n", -1},
		"too many lines":                 {head + strings.Repeat("alice,,\n", enrol.MaxLines+1), -1},
	} {
		seeds, err := enrol.Apps().Read([]byte(c.file))
		var faults enrol.LineFaults
		errors.As(err, &faults)
		switch {
		case c.line == 0 && (err != nil || len(seeds) != 1):
			t.Errorf("%s: %v", name, err)
		case c.line != 0 && (err == nil || seeds != nil):
			t.Errorf("%s was taken", name)
		case c.line < 0 && faults != nil, c.line > 0 && (len(faults) != 1 || faults[0].Line != c.line):
			t.Errorf("%s: %v", name, err)
		}
		shown := fmt.Sprintf("%v %+v %#v", err, seeds, seeds)
		for _, part := range []string{good[:12], good[len(good)-12:], string(seed(1)), strings.ToLower(good[:12])} {
			if strings.Contains(shown, part) {
				t.Errorf("%s: the secret is in %s", name, shown)
			}
		}
	}
}

func TestEveryWrongLineIsToldAtOnceAndNotTooMany(t *testing.T) {
	_, err := enrol.Apps().Read([]byte(head + strings.Repeat("alice,nonsense1,\n", 200)))
	var faults enrol.LineFaults
	if !errors.As(err, &faults) || len(faults) != 200 || faults[199].Line != 201 {
		t.Fatal(err)
	}
	if n := strings.Count(err.Error(), "\n"); n != 50 || !strings.HasSuffix(err.Error(), "and 150 lines more") {
		t.Errorf("%d lines: %v", n, err)
	}
}

func FuzzReadSeeds(f *testing.F) {
	f.Add([]byte(head + "alice," + text(seed(1)) + ",phone\n"))
	f.Add([]byte(head + "\"a\"\"b\",=,\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if seeds, err := enrol.Apps().Read(data); (err == nil) == (len(seeds) == 0) {
			t.Errorf("%d seeds and %v", len(seeds), err)
		}
	})
}
