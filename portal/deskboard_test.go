package portal

import (
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"postern/directory"
	helpdesk "postern/portal/desk"
	"postern/portal/enrol"
)

var boardPaths = []string{"/desk/figures", "/desk/figures?days=1", "/desk/figures/hours.csv", "/desk/lists", "/desk/lists/locked", "/desk/lists/locked.csv"}

// withBoard is somebody of a group, signed in.
func withBoard(t testing.TB, group string) (*house, *tab) {
	t.Helper()
	h, _ := withDesk(t, []string{group})
	return h, h.signedIn()
}

// Figures are for those who answer for the desk, lists for everybody at it; for
// whoever may not, they are an unknown path, to the byte.
func TestFiguresAndListsAreForTheirRoles(t *testing.T) {
	t.Parallel()
	for group, figures := range map[string]bool{"Help Desk": false, "Leads": true, "Audit": true, operators[0]: true} {
		h, b := withBoard(t, group)
		h.desk.board.sheet.At = h.now()
		unknown := bytesOf(b.get("/nowhere"))
		for i, path := range boardPaths {
			a := b.get(path)
			if may := i > 2 || figures; (a.StatusCode == 200) != may || !may && bytesOf(a) != unknown {
				t.Errorf("%s, %s: %d", group, path, a.StatusCode)
			}
		}
		b.get("/me")
		b.post("/desk/lists").leads(t, "/desk/lists")
		if !slices.Contains(h.desk.board.asked, "count") {
			t.Errorf("%s: %v", group, h.desk.board.asked)
		}
	}
}

// The core says which lists there are for somebody; the door only asks.
func TestAListOrChartThereIsNotIsAnUnknownPath(t *testing.T) {
	t.Parallel()
	h, b := asOperator(t)
	h.desk.board.sheet.At = h.now()
	for _, path := range []string{"/desk/lists/everybody", "/desk/lists/everybody.csv", "/desk/lists/LOCKED", "/desk/lists/locked.json", "/desk/lists/locked%2ecsv", "/desk/lists/..%2flocked",
		"/desk/figures/secrets.csv", "/desk/figures/hours", "/desk/figures/hours.json", "/desk/figures/.csv"} {
		if a := b.get(path); a.StatusCode != 404 {
			t.Errorf("%s: %d", path, a.StatusCode)
		}
	}
	if len(h.desk.board.asked) != 0 {
		t.Errorf("%v", h.desk.board.asked)
	}
}

func TestFiguresAskStrictly(t *testing.T) {
	t.Parallel()
	_, b := asOperator(t)
	for query, want := range map[string]string{
		"":                           "200",
		"?days=1":                    "200",
		"?days=30":                   "200",
		"?days=30&lang=":             "200",
		"?days=7":                    "422 days bad_days",
		"?days=":                     "422 days bad_days",
		"?days=030":                  "422 days bad_days",
		"?days=%2B30":                "422 days bad_days",
		"?days=3e1":                  "422 days bad_days",
		"?days=-1":                   "422 days bad_days",
		"?days=99999999999999999999": "400  bad_form", // longer than any
		"?days=1&days=30":            "400  bad_form",
		"?range=30":                  "400  bad_form",
	} {
		for _, path := range []string{"/desk/figures", "/desk/figures/hours.csv"} {
			a := b.get(path + query)
			got := fmt.Sprint(a.StatusCode)
			for _, f := range a.Page.Faults {
				got += " " + f.Field + " " + f.Code
			}
			if got != want || want != "200" && a.Type != "DeskFigures" {
				t.Errorf("%s%s: %s %q, want %q", path, query, a.Type, got, want)
			}
		}
	}
}

// Another site's link must not write into the record that somebody looked.
func TestALinkFromElsewhereOpensNoFiguresAndNoList(t *testing.T) {
	t.Parallel()
	h, b := asOperator(t)
	h.desk.board.sheet.At = h.now()
	for _, site := range []string{"cross-site", "same-site"} {
		for _, path := range boardPaths {
			if path != "/desk/lists" { // there is nobody on it
				b.get(path, "Sec-Fetch-Site", site).leads(t, map[bool]string{true: "/desk/lists", false: "/desk"}[strings.Contains(path, "/lists/")])
			}
		}
	}
	if len(h.desk.board.asked) != 0 {
		t.Errorf("%v", h.desk.board.asked)
	}
}

func TestWhatTheBoardCannotSayIsNotShown(t *testing.T) {
	t.Parallel()
	h, b := asOperator(t)
	h.desk.board.fail = errors.Join(directory.ErrUnavailable, errors.New("ldaps://10.1.2.3 refused"))
	h.desk.board.sheet.People = []helpdesk.Row{{Listed: directory.Listed{ID: "ad:bob", Login: "bob"}}}
	for _, path := range boardPaths {
		if path == "/desk/lists" {
			continue
		}
		if a := b.get(path).want(t, 503, "ErrorPage"); strings.Contains(string(a.body), "bob") || strings.Contains(string(a.body), "10.1.2.3") {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	b.get("/me")
	if a := b.post("/desk/lists"); a.StatusCode != 503 {
		t.Errorf("%d", a.StatusCode)
	}
}

// A name leads to the person only where whoever looks may help them, and how many
// there are elsewhere is not told to those who may help some.
func TestAListLeadsToWhomOneMayHelp(t *testing.T) {
	t.Parallel()
	sheet := helpdesk.Sheet{Everybody: true, Rest: -1, People: []helpdesk.Row{
		{Listed: directory.Listed{ID: "ad:bob", Login: "bob"}, Helped: true}, {Listed: directory.Listed{ID: "ad:eve", Login: "eve"}},
		{Listed: directory.Listed{ID: `ad:"><script>`, Login: "odd"}, Helped: true}}}
	for group, n := range map[string]string{"Help Desk": `"N":-1`, operators[0]: `"N":12`} {
		h, b := withBoard(t, group)
		sheet.At = h.now()
		h.desk.board.sheet = sheet
		h.desk.tally = enrol.Tally{At: h.now(), Coverage: enrol.Coverage{Rolls: directory.Rolls{directory.Locked: {List: make([]directory.Listed, 5), More: 7}}}}
		a := b.get("/desk/lists/locked").want(t, 200, "DeskList")
		for _, want := range []string{`{"ID":"ad:bob","Login":"bob"`, `{"ID":"","Login":"eve"`, `{"ID":"","Login":"odd"`, `"Rest":-1`} {
			if !strings.Contains(string(a.body), want) {
				t.Errorf("%s: %s is missing in %s", group, want, a.body)
			}
		}
		if a := b.get("/desk/lists").want(t, 200, "DeskLists"); !strings.Contains(string(a.body), `"List":"locked",`+n) {
			t.Errorf("%s: %s", group, a.body)
		}
	}
}

func TestFilesOfTheBoard(t *testing.T) {
	t.Parallel()
	h, b := asOperator(t)
	b.get("/desk/lists/locked.csv").want(t, 404, "ErrorPage") // nothing was counted yet
	h.desk.board.sheet = helpdesk.Sheet{At: h.now(), People: []helpdesk.Row{{Listed: directory.Listed{ID: "ad:1", Login: "=1+1", Name: "Bo"}}}}
	for path, want := range map[string][3]string{
		"/desk/lists/locked.csv":             {"locked-2026-05-04.csv", "login", "'=1+1"},
		"/desk/figures/refusals.csv?days=1":  {"refusals-1d-2026-05-04.csv", "where", "proof"},
		"/desk/figures/technicians.csv":      {"technicians-30d-2026-05-04.csv", "login", `<img src=x onerror=alert(1)>`},
		"/desk/figures/outcomes.csv?days=30": {"outcomes-30d-2026-05-04.csv", "purpose", "reset"},
	} {
		a := b.get(path)
		rows, err := csv.NewReader(strings.NewReader(string(a.body))).ReadAll()
		if a.StatusCode != 200 || a.Header.Get("Content-Type") != "text/csv; charset=utf-8" || a.Header.Get("Content-Disposition") != `attachment; filename="`+want[0]+`"` ||
			a.Header.Get("Cache-Control") != "no-store" || err != nil || len(rows) < 2 || rows[0][0] != want[1] || rows[1][0] != want[2] {
			t.Errorf("%s: %d %v %q %v", path, a.StatusCode, a.Header, rows, err)
		}
	}
}

// The pages themselves, in every language: names of others are inert, and what can
// be pressed fits its route.
func TestBoardPagesAndTheirForms(t *testing.T) {
	t.Parallel()
	look := looks(t)
	for _, lang := range []string{"en", "de", "ar"} {
		for path, buttons := range map[string]int{"/desk/figures": 1, "/desk/figures?days=8": 1, "/desk/lists": 2, "/desk/lists/locked": 1, "/desk/lists/stranded": 1} {
			reach := func() (visitor, node) {
				h, _ := withDesk(t, operators, look)
				h.desk.tally = enrol.Tally{At: h.now(), Coverage: enrol.Coverage{People: []enrol.Covered{{Login: "x"}}}}
				h.desk.board.sheet = helpdesk.Sheet{At: h.now(), People: []helpdesk.Row{{Listed: directory.Listed{ID: "ad:bob", Login: `<img src=x onerror=alert(1)>`, Name: `<img src=x onerror=alert(1)>`}, Helped: true}}}
				v := visitor{h.signedInByLooks()}
				v.header.Set("Accept-Language", lang)
				return v, v.read(v.get(path))
			}
			_, n := reach()
			inert(t, n)
			if got := posting(n); got != buttons {
				t.Errorf("%s: %d buttons", path, got)
			}
			for i := range buttons {
				v, n := reach()
				nth(t, v, n, i)
			}
		}
	}
}
