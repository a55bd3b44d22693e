package portal

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/directory"
	helpdesk "postern/portal/desk"
	"postern/portal/flow"
)

func (h *helper) After(context.Context, helpdesk.Who, *flow.Case) (helpdesk.After, error) {
	if h.blind != nil {
		return helpdesk.After{}, h.blind
	}
	return helpdesk.After{Until: h.row.Outcome.At.Add(30 * time.Minute), Looked: h.row.Outcome.At, Tried: h.row.Outcome.At.Add(time.Second),
		Servers: []helpdesk.Server{{Name: "dc1:636", Arrival: helpdesk.Waiting}}}, h.note("after")
}

func (h *helper) Evidence(_ context.Context, _ helpdesk.Who, id string) (helpdesk.Evidence, error) {
	if id != callID {
		return helpdesk.Evidence{}, helpdesk.ErrUnknown
	}
	return helpdesk.Evidence{Format: helpdesk.EvidenceFormat, Case: callID, Purpose: "reset", Door: "desk", Person: helpdesk.Party{ID: "ad:bob", Login: "bob"},
		Number: &helpdesk.Number{Matched: true, Number: "47", Wrong: 1}, Outcome: helpdesk.Result{Status: "done"}}, h.note("evidence")
}

var evidencePaths = []string{"/desk/cases/" + callID + "/evidence", "/desk/cases/" + callID + "/evidence.json"}

// Security case 99: for whom it is not, it is not there, in the same bytes as what is
// nowhere; and nobody looks in somebody else's name by a link.
func TestEvidenceIsForThoseWhoMayTakeIt(t *testing.T) {
	t.Parallel()
	for who, groups := range map[string][]string{"technician": technicians, "auditor": {"Audit"}} {
		h, _ := withDesk(t, groups)
		b := h.signedIn()
		a := b.get(evidencePaths[0]).want(t, 200, "DeskEvidence")
		if !strings.Contains(string(a.body), `"Number":"47"`) {
			t.Errorf("%s: %s", who, a.body)
		}
		j := b.get(evidencePaths[1])
		var ev helpdesk.Evidence
		if err := json.Unmarshal(j.body, &ev); err != nil || j.StatusCode != http.StatusOK || ev.Case != callID || ev.Number.Number != "47" {
			t.Errorf("%s: %d %v %s", who, j.StatusCode, err, j.body)
		}
		if kind, as := j.Header.Get("Content-Type"), j.Header.Get("Content-Disposition"); kind != "application/json" || as != `attachment; filename="evidence-`+callID+`.json"` {
			t.Errorf("%s: %q %q", who, kind, as)
		}
		want := bytesOf(b.get("/desk/nothing"))
		for _, path := range []string{"/desk/cases/" + callID[1:] + "0/evidence", "/desk/cases/x/evidence", "/desk/cases/" + strings.ToLower(callID) + "/evidence.json",
			"/desk/cases/" + callID + "0/evidence.json", "/desk/cases/" + callID + "/evidence.csv", "/desk/cases/%2e%2e/evidence"} {
			if got := bytesOf(b.get(path)); got != want {
				t.Errorf("%s of %s: %s", who, path, got)
			}
		}
		n := len(h.desk.help.asked)
		for _, path := range evidencePaths {
			b.get(path, "Sec-Fetch-Site", "cross-site").leads(t, "/desk")
		}
		if len(h.desk.help.asked) != n {
			t.Errorf("%s: a link from elsewhere looked", who)
		}
	}
	for _, groups := range [][]string{operators, {"Staff"}} {
		h, _ := withDesk(t, groups)
		b := h.signedIn()
		for _, path := range evidencePaths {
			b.get(path).want(t, 404, "ErrorPage")
		}
		if len(h.desk.help.asked) != 0 {
			t.Errorf("%v: %v", groups, h.desk.help.asked)
		}
	}
}

// What the servers say is beside the case; when they say nothing the case stands.
func TestTheCaseStandsWithoutItsAfterCare(t *testing.T) {
	t.Parallel()
	h, b := asTechnician(t)
	h.desk.help.row = called(h.now())
	if a := b.get("/desk/cases/"+callID).want(t, 200, "DeskCase"); !strings.Contains(string(a.body), `"After":null`) || slices.Contains(h.desk.help.asked, "after") {
		t.Errorf("before anything was written: %s", a.body)
	}
	h.desk.help.row.Outcome = flow.Outcome{Status: flow.Applied, At: h.now(), Receipt: "P-1"}
	if a := b.get("/desk/cases/"+callID).want(t, 200, "DeskCase"); !strings.Contains(string(a.body), `"Arrival":"waiting"`) || !strings.Contains(string(a.body), `"Evidence":true`) {
		t.Errorf("%s", a.body)
	}
	h.desk.help.blind = directory.ErrUnavailable
	if a := b.get("/desk/cases/"+callID).want(t, 200, "DeskCase"); !strings.Contains(string(a.body), `"Failed":true`) || !strings.Contains(string(a.body), "P-1") {
		t.Errorf("%s", a.body)
	}
}
