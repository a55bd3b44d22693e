package web

import (
	"bytes"
	"encoding/json"

	"github.com/gofiber/fiber/v2"

	"postern/portal/access"
	"postern/portal/desk"
	"postern/portal/flow"
	"postern/portal/policy"
	"postern/portal/web/view"
	"postern/verify"
)

// after is how what was written stands. That it cannot be told ends nothing else.
func (s *Site) after(v *visit, p access.Principal, c *flow.Case) *view.After {
	a, err := s.Desk.Help.After(v.ctx(), v.at(p), c)
	if err != nil {
		s.Log.ErrorContext(v.ctx(), "what became of a case cannot be told", "request", v.id, "cause", err.Error())
		return &view.After{Failed: true, Looked: s.Now()}
	}
	if a.Until.IsZero() {
		return nil
	}
	page := &view.After{Until: a.Until, Looked: a.Looked, Failed: a.Failed, Tried: a.Tried, Relocked: a.Relocked}
	for _, one := range a.Servers {
		page.Servers = append(page.Servers, view.ServerState{Name: one.Name, Arrival: string(one.Arrival), Locked: one.Locked, Bad: one.Bad, LastBad: one.LastBad})
	}
	return page
}

// evidence is all that is recorded of a case, as a page to print.
func (s *Site) evidence(v *visit, p access.Principal) error {
	ev, err := s.gathered(v, p)
	if err != nil || ev.Case == "" {
		return err
	}
	return v.page(fiber.StatusOK, evidencePage(v.frame(evidencePath(ev.Case)), ev))
}

// evidenceJSON is the same for programs: see desk.Evidence.
func (s *Site) evidenceJSON(v *visit, p access.Principal) error {
	ev, err := s.gathered(v, p)
	if err != nil || ev.Case == "" {
		return err
	}
	text, err := json.MarshalIndent(ev, "", "  ")
	if err != nil {
		return err
	}
	v.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	v.Set(fiber.HeaderContentDisposition, `attachment; filename="evidence-`+ev.Case+`.json"`)
	return v.Send(append(text, '\n'))
}

// gathered is empty without an error when the browser was sent here: looking writes a
// record, see sentHere.
func (s *Site) gathered(v *visit, p access.Principal) (desk.Evidence, error) {
	id := v.Params("id")
	if !caseIDs.MatchString(id) {
		return desk.Evidence{}, desk.ErrUnknown
	}
	if v.sentHere() {
		return desk.Evidence{}, v.to("/desk")
	}
	return s.Desk.Help.Evidence(v.ctx(), v.at(p), id)
}

func evidencePath(id string) string { return casePath(id) + "/evidence" }

func evidencePage(f view.Frame, ev desk.Evidence) *view.DeskEvidence {
	page := &view.DeskEvidence{Frame: f, Case: ev.Case, Path: evidencePath(ev.Case), Made: ev.Made, MadeBy: ev.MadeBy.Login, Purpose: policy.Purpose(ev.Purpose), Door: ev.Door,
		Login: ev.Person.Login, Name: ev.Person.Name, Directory: ev.Person.Directory, Asked: ev.Asked.Login, Began: ev.Began, From: ev.From, Cause: ev.Cause,
		Ticket: ev.Ticket, Notices: noticeLines(ev.Notices), Status: ev.Outcome.Status, Reason: ev.Outcome.Reason, Ended: ev.Outcome.At, Receipts: ev.Receipts, Complete: ev.Complete}
	if ev.Claimed != nil {
		page.Claimed, page.ClaimedFrom = ev.Claimed.At, ev.Claimed.Address
	}
	if n := ev.Number; n != nil {
		page.Number, page.Matched, page.Wrong = n.Number, n.At, n.Wrong
	}
	for _, p := range ev.Proofs {
		page.Proofs = append(page.Proofs, view.EvidenceProof{Kind: verify.Kind(p.Kind), At: p.At, Address: p.Address, Credential: p.Credential})
	}
	for _, a := range ev.Approvals {
		page.Approvals = append(page.Approvals, view.EvidenceApproval{By: a.By.Login, Decision: a.Decision, Note: a.Note, Address: a.Address, At: a.At, Record: readable(a.Record)})
	}
	for _, o := range ev.Others {
		page.Others = append(page.Others, view.EvidenceOther{Login: o.Login, Did: o.Did})
	}
	for _, d := range ev.Acts {
		page.Acts = append(page.Acts, view.EvidenceAct{Activity: view.Activity{At: d.At, Kind: d.Kind, Outcome: d.Outcome, Factor: verify.Kind(d.Factor), Purpose: page.Purpose},
			By: d.By.Login, Reason: d.Reason, Credential: d.Credential, Seq: d.Seq})
	}
	for _, e := range ev.Events {
		page.Events = append(page.Events, view.EvidenceEvent{Seq: e.Seq, ID: e.ID, Kind: e.Kind, Outcome: e.Outcome, Reason: e.Reason, Factor: e.Factor, Actor: e.Actor.Login,
			Address: e.Address, At: e.At})
	}
	return page
}

// readable is JSON with its lines, for paper.
func readable(record json.RawMessage) string {
	var b bytes.Buffer
	if json.Indent(&b, record, "", "  ") != nil {
		return string(record)
	}
	return b.String()
}

func noticeLines(list []desk.Notice) (lines []view.NoticeLine) {
	for _, n := range list {
		lines = append(lines, view.NoticeLine{At: n.At, Template: n.Template, Channel: n.Channel, Delivered: n.Delivered, Person: n.Person})
	}
	return lines
}

// pastCases lead to what whoever looks may see of them.
func pastCases(list []desk.PastCase) (cases []view.PastCase) {
	for _, p := range list {
		c := view.PastCase{ID: p.ID, Purpose: p.Purpose, Door: p.Door, Began: p.Began, By: p.By.Login, Status: p.Outcome.Status, Reason: p.Outcome.Reason}
		switch {
		case p.Mine:
			c.Path = casePath(p.ID)
		case p.Open:
			c.Path = evidencePath(p.ID)
		}
		cases = append(cases, c)
	}
	return cases
}
