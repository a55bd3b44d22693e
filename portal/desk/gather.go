package desk

import (
	"context"
	"errors"
	"slices"
	"strings"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/flow"
	"postern/verify"
)

// mostEvents is more than the tries and the acts of a case can be.
const mostEvents = 500

// Evidence gathers all that is recorded of a case: for who began it at the desk, for a
// senior in whose scope the person is, and for an auditor. For everybody else there is
// no such case. That it was looked at is written down first.
func (s *Service) Evidence(ctx context.Context, w Who, id string) (Evidence, error) {
	roles := s.Roles.Of(w.Principal.User)
	if w.Principal.ID == "" || !slices.ContainsFunc(roles, func(r access.Role) bool { return r != access.Operator }) {
		return Evidence{}, ErrUnknown
	}
	if !w.Principal.Bound() {
		return Evidence{}, ErrStale
	}
	list, err := s.History.OfCase(ctx, id, mostEvents+1)
	if err != nil {
		return Evidence{}, unavailable(err)
	}
	i := slices.IndexFunc(list, func(e audit.Event) bool { return e.Kind == "case.started" })
	if i < 0 {
		return Evidence{}, ErrUnknown
	}
	if err := s.maySee(ctx, w, roles, list[i]); err != nil {
		return Evidence{}, err
	}
	c, err := s.Cases.Load(ctx, id)
	if errors.Is(err, flow.ErrNoCase) {
		c, err = nil, nil // rows go after a day, the record stays
	}
	if err != nil {
		return Evidence{}, err
	}
	looked := s.event(w, audit.DeskEvidence, directory.User{ID: list[i].Subject, Login: list[i].SubjectName})
	looked.Case, looked.Purpose = id, list[i].Purpose
	if err := s.note(ctx, looked); err != nil {
		return Evidence{}, err
	}
	ev := gather(list, i)
	ev.Made, ev.MadeBy = looked.At, party(w.Principal.ID, w.Principal.User.Login)
	if c != nil {
		ev.Outcome = s.outcome(c)
	} else if ev.Outcome.Status == "" {
		ev.Outcome.Status = "expired"
	}
	return ev, nil
}

// maySee says whether w may see a case that began so.
func (s *Service) maySee(ctx context.Context, w Who, roles []access.Role, began audit.Event) error {
	desk := began.Door == string(access.Desk)
	switch {
	case slices.Contains(roles, access.Auditor):
		return nil
	case desk && began.Actor == w.Principal.ID:
		return nil
	case desk && slices.Contains(roles, access.Senior) && began.Subject != w.Principal.ID:
		u, err := s.People.Read(ctx, directory.User{ID: began.Subject})
		if err == nil && s.Policy.Eligible(u) != "out_of_scope" && s.Scope.Of(roles, u) {
			return nil
		}
		if err != nil && !errors.Is(err, directory.ErrNotFound) {
			return err
		}
	}
	return s.unknown(ctx, w, directory.User{ID: began.Subject, Login: began.SubjectName}, "out_of_scope")
}

// outcome is how the row says it stands.
func (s *Service) outcome(c *flow.Case) Result {
	o := Result{Status: "running", Reason: string(c.Why()), At: c.Outcome.At}
	switch c.Next(s.Now()) {
	case flow.StepDone:
		o.Status = "done"
	case flow.StepRefused:
		o.Status = "refused"
		if c.Outcome.Status == flow.Lost {
			o.Status = "unknown"
		}
	case flow.StepExpired:
		o.Status, o.At = "expired", c.Expires
	}
	return o
}

func party(id directory.ID, login string) Party {
	where, _, _ := strings.Cut(string(id), ":")
	return Party{ID: string(id), Login: login, Directory: where}
}

// deeds are events of what is done to an account.
var deeds = []string{"password.reset", "password.changed", "account.unlocked", "account.frozen", "account.unfrozen", "factor.removed", "sessions.ended",
	"change.required", "invitation.sent", "caller.verified"}

// gather reads the events of a case, of which that at index i began it.
func gather(list []audit.Event, i int) Evidence {
	began := list[i]
	ev := Evidence{Format: EvidenceFormat, Case: began.Case, Purpose: began.Purpose, Door: began.Door, Person: party(began.Subject, began.SubjectName),
		Asked: party(began.Actor, began.ActorName), Began: began.At, From: began.Address, Cause: began.Detail["cause"], Ticket: began.Detail["ticket"],
		Proofs: []Proved{}, Approvals: []Approval{}, Others: []Other{}, Acts: []Deed{}, Notices: []Notice{}, Receipts: []string{}, Events: []Entry{}, Complete: len(list) <= mostEvents}
	ev.Person.Name = began.Detail["name"]
	vouched := map[directory.ID]bool{}
	for _, e := range list[:min(len(list), mostEvents)] {
		ev.Events = append(ev.Events, entry(e))
		if strings.HasPrefix(e.Kind, "approval.") {
			vouched[e.Actor] = true
		}
		ev.add(e)
	}
	for _, e := range list {
		known := e.Actor == "" || e.Actor == began.Actor || e.Actor == began.Subject || vouched[e.Actor]
		if looks := strings.HasPrefix(e.Kind, "desk."); !known && !looks {
			ev.other(e)
		}
	}
	return ev
}

// add puts one event where it belongs.
func (ev *Evidence) add(e audit.Event) {
	when := Moment{At: e.At, Address: e.Address}
	switch e.Kind {
	case "case.claimed":
		ev.Claimed = &when
	case "proof.ok":
		ev.Proofs = append(ev.Proofs, Proved{Kind: e.Factor, Moment: when, Credential: short(e.Detail["credential"])})
	case "number.matched":
		n := ev.number()
		n.Matched, n.Number, n.At = true, e.Detail["number"], e.At
		ev.Proofs = append(ev.Proofs, Proved{Kind: string(verify.Handover), Moment: when})
	case "number.failed":
		if e.Reason == "wrong" {
			ev.number().Wrong++
		}
	case "approval.given", "approval.denied", "approval.failed":
		ev.Approvals = append(ev.Approvals, Approval{By: party(e.Actor, e.ActorName), Moment: when, Decision: strings.TrimPrefix(e.Kind, "approval."),
			Reason: e.Reason, Note: e.Detail["note"], Record: e.Proof})
		if e.Kind == "approval.given" {
			ev.Proofs = append(ev.Proofs, Proved{Kind: string(verify.Approval), Moment: when})
		}
	case audit.MessageSent, audit.MessageFailed:
		ev.Notices = append(ev.Notices, notice(e, string(e.Subject) == ev.Person.ID))
	case "case.closed":
		ev.Outcome = Result{Status: "refused", Reason: e.Reason, At: e.At}
	}
	if slices.Contains(deeds, e.Kind) && e.Outcome != audit.Intent {
		ev.deed(e)
	}
}

func (ev *Evidence) deed(e audit.Event) {
	d := Deed{Seq: e.Seq, ID: e.ID, At: e.At, Kind: e.Kind, Outcome: string(e.Outcome), Reason: e.Reason, By: party(e.Actor, e.ActorName), Factor: e.Factor,
		Credential: short(e.Detail["credential"]), Receipt: e.Detail["receipt"]}
	ev.Acts = append(ev.Acts, d)
	if d.Receipt != "" && !slices.Contains(ev.Receipts, d.Receipt) {
		ev.Receipts = append(ev.Receipts, d.Receipt)
	}
	if ends(ev.Purpose, e.Kind) {
		ev.Outcome = ending(e)
	}
}

// ends says which event is the end of a case: what a technician does after it is not.
func ends(purpose, kind string) bool {
	return map[string]string{"reset": "password.reset", "change": "password.changed", "unlock": "account.unlocked", "assist": "caller.verified"}[purpose] == kind
}

func ending(e audit.Event) Result {
	status := map[audit.Outcome]string{audit.OK: "done", audit.Unknown: "unknown"}[e.Outcome]
	if status == "" {
		status = "refused"
	}
	return Result{Status: status, Reason: e.Reason, At: e.At}
}

func (ev *Evidence) number() *Number {
	if ev.Number == nil {
		ev.Number = new(Number)
	}
	return ev.Number
}

// other notes that somebody else did something.
func (ev *Evidence) other(e audit.Event) {
	i := slices.IndexFunc(ev.Others, func(o Other) bool { return o.ID == string(e.Actor) })
	if i < 0 {
		i = len(ev.Others)
		ev.Others = append(ev.Others, Other{Party: party(e.Actor, e.ActorName)})
	}
	if !slices.Contains(ev.Others[i].Did, e.Kind) {
		ev.Others[i].Did = append(ev.Others[i].Did, e.Kind)
	}
}

// told are the details that go into an entry; whatever else there may be once does
// not, until somebody has thought about it.
var told = []string{"cause", "ticket", "receipt", "plan", "number", "note", "alarm", "asked", "why", "server", "channel", "template", "addresses", "credential"}

func entry(e audit.Event) Entry {
	n := Entry{Seq: e.Seq, ID: e.ID, At: e.At, Kind: e.Kind, Outcome: string(e.Outcome), Reason: e.Reason, Factor: e.Factor, Door: e.Door, Address: e.Address}
	if e.Actor != "" {
		n.Actor = party(e.Actor, e.ActorName)
	}
	for k, v := range e.Detail {
		if k == "credential" {
			v = short(v)
		}
		if slices.Contains(told, k) {
			if n.Detail == nil {
				n.Detail = map[string]string{}
			}
			n.Detail[k] = v
		}
	}
	return n
}

// short is enough of an id to find a credential among those of one person.
func short(id string) string { return id[:min(len(id), 8)] }
