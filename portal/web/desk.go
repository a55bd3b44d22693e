package web

import (
	"context"
	"errors"
	"slices"

	"github.com/gofiber/fiber/v2"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/desk"
	"postern/portal/enrol"
	"postern/portal/flow"
	"postern/portal/policy"
	"postern/portal/web/view"
	"postern/verify"
)

// Roles says which roles somebody has who has just been read (access.Roles).
type Roles interface {
	Of(u directory.User) []access.Role
}

// Explainer says what the policy means for whom a login names;
// directory.ErrNotFound when it names nobody. See enrol.Explainer.
type Explainer interface {
	Explain(ctx context.Context, login string, door access.Door, purpose policy.Purpose) (enrol.Explained, error)
}

// Chapters lists the plans of the policy (*policy.Policy).
type Chapters interface {
	Chapters(door access.Door, purpose policy.Purpose) []policy.Chapter
}

// Census counts in the background and answers at once (*enrol.Census).
type Census interface {
	Last() enrol.Tally
	Start() error // enrol.ErrCounting while a count runs
}

// Recorder writes events that go with no other change.
type Recorder interface {
	Record(ctx context.Context, events ...audit.Event) error
}

// Lookups are a technician's looks at people (*desk.Service).
type Lookups interface {
	Find(ctx context.Context, w desk.Who, text string) (desk.Found, error)
	See(ctx context.Context, w desk.Who, id directory.ID) (desk.Account, error)
	Case(ctx context.Context, w desk.Who, id string) (*flow.Case, error)
}

// Calls are what goes on while somebody is on the telephone.
type Calls interface {
	Open(ctx context.Context, w desk.Who, id directory.ID, o desk.Order) (*flow.Case, error)
	Match(ctx context.Context, w desk.Who, id, number, once string) (*flow.Case, error)
	Hear(ctx context.Context, w desk.Who, id string, k verify.Kind, code []byte) (*flow.Case, error)
	Cancel(ctx context.Context, w desk.Who, id string) error
}

// Acts are what can be done for a caller who was verified.
type Acts interface {
	Choices(ctx context.Context, c *flow.Case) (desk.Choices, error)
	Do(ctx context.Context, w desk.Who, id string, act desk.Act, credential, once string) error
}

// Seconds are what waits for a second technician.
type Seconds interface {
	Waiting(ctx context.Context, w desk.Who) ([]*flow.Case, error)
	Held(ctx context.Context, w desk.Who, id string) (*flow.Case, error)
	Agree(ctx context.Context, w desk.Who, id string) error
	Disagree(ctx context.Context, w desk.Who, id string) error
}

// Pasts are what became of a case, and what is recorded of it.
type Pasts interface {
	After(ctx context.Context, w desk.Who, c *flow.Case) (desk.After, error)
	Evidence(ctx context.Context, w desk.Who, id string) (desk.Evidence, error)
}

// Helpers are the whole of a technician's work.
type Helpers interface {
	Lookups
	Calls
	Acts
	Seconds
	Pasts
	Screens
}

// Desk are the parts of the pages for those who run the portal; all are required.
type Desk struct {
	Roles    Roles
	People   Explainer
	Policy   Chapters
	Census   Census
	Recorder Recorder
	Help     Helpers
	// Spoken: some plan lets technicians type a code that is read to them. Only then
	// is there a route that takes one.
	Spoken bool
	Level  Switch
	Board  Board
	Kiosks Kiosks
	Doctor Doctor
}

func (d *Desk) whole() bool {
	return d == nil || d.Roles != nil && d.People != nil && d.Policy != nil && d.Census != nil && d.Recorder != nil && d.Help != nil && d.Level != nil && d.Board != nil && d.Kiosks != nil && d.Doctor != nil
}

// readers may see how everybody stands; everyone has a role;
// helpers help those who call; takers may take away what is recorded of a case; an
// operator turns the threat level, manages kiosks and has everything examined.
var (
	readers  = []access.Role{access.Operator, access.Auditor}
	helpers  = []access.Role{access.Technician, access.Senior}
	operator = []access.Role{access.Operator}
	takers   = []access.Role{access.Technician, access.Senior, access.Auditor}
	everyone = []access.Role{access.Technician, access.Senior, access.Auditor, access.Operator}
)

func (s *Site) deskRoutes() []route {
	list := []route{
		{path: "/desk", page: s.desk(everyone, s.deskIndex)},
		{path: "/desk/prove", action: s.owned(s.prove), fields: []field{fieldAt}},
		{path: "/desk/policy", page: s.desk(readers, s.deskPolicy)},
		{path: "/desk/coverage", page: s.desk(readers, s.deskCoverage), action: s.desked(readers, s.count)},
		{path: "/desk/people", page: s.desk(helpers, s.people)},
		{path: "/desk/people/:id", page: s.desk(helpers, s.person)},
		{path: "/desk/people/:id/open", action: s.desked(helpers, s.openCase), fields: []field{fieldPurpose, fieldCause, fieldTicket, fieldSend, fieldCall, fieldOnce}},
		{path: "/desk/calls/:id", action: s.desked(helpers, s.answerCall), fields: []field{fieldNumber}},
		{path: "/desk/calls/:id/end", action: s.desked(helpers, s.hangUp)},
		{path: "/desk/cases/:id", page: s.desk(helpers, s.deskCase)},
		{path: "/desk/cases/:id/match", action: s.desked(helpers, s.match), fields: []field{fieldNumber, fieldOnce}},
		{path: "/desk/cases/:id/act", action: s.desked(helpers, s.act), fields: []field{fieldAct, fieldWhich, fieldOnce}},
		{path: "/desk/cases/:id/cancel", action: s.desked(helpers, s.cancelCase)},
		{path: "/desk/cases/:id/second", action: s.desked(helpers, s.second), fields: []field{fieldDecision}},
		{path: threatPath, page: s.desk(operator, s.deskThreat), action: s.desked(operator, s.turnThreat), fields: []field{fieldLevel, fieldCause, fieldFor}},
		{path: doctorPath, page: s.desk(operator, s.deskDoctor), action: s.desked(operator, s.examine)},
		{path: "/desk/cases/:id/evidence", page: s.desk(takers, s.evidence)},
		{path: "/desk/cases/:id/evidence.json", page: s.desk(takers, s.evidenceJSON)},
		{path: "/desk/coverage.csv", page: s.desk(readers, s.coverageCSV)},
		{path: "/desk/figures", page: s.desk(seers, s.deskFigures)},
		{path: "/desk/figures/:chart.csv", page: s.desk(seers, s.figuresCSV)},
		{path: "/desk/lists", page: s.desk(everyone, s.deskLists), action: s.desked(everyone, s.countLists)},
		{path: "/desk/lists/:list.csv", page: s.desk(everyone, s.listCSV)},
		{path: "/desk/lists/:list", page: s.desk(everyone, s.deskList)},
	}
	list = append(list, s.deskKioskRoutes()...)
	if s.Desk.Spoken {
		list = append(list, route{path: "/desk/cases/:id/heard", action: s.desked(helpers, s.heard), fields: []field{fieldFactor, fieldAnswer}})
	}
	return list
}

// desk guards a page of those who have one of these roles now: own has just read
// their groups. Whoever has none must not learn that there is anything, and whoever
// signed in by a password and a mailed code may be somebody who has stolen both.
func (s *Site) desk(may []access.Role, page func(*visit, access.Principal) error) func(*visit) error {
	return s.own(func(v *visit, p access.Principal) error {
		if !v.has(may) {
			return fiber.ErrNotFound
		}
		if p.Bound() && v.session.AtDesk(s.Now()) {
			if err := errors.Join(s.useDesk(v), s.level(v)); err != nil {
				return err
			}
			return page(v, p)
		}
		at := deskPage(v.Path())
		if v.Method() == fiber.MethodPost {
			return s.stepUpFor(v, p, at)
		}
		// A case is begun by the button of this page and not by coming here: any site
		// can send a browser here.
		return v.page(fiber.StatusForbidden, &view.DeskProof{Frame: v.frame(""), At: at})
	})
}

// desked guards an action the same way.
func (s *Site) desked(may []access.Role, action func(*visit, form, access.Principal) error) func(*visit, form) error {
	return func(v *visit, f form) error {
		return s.desk(may, func(v *visit, p access.Principal) error { return action(v, f, p) })(v)
	}
}

// roles of somebody who has just been read.
func (s *Site) roles(u directory.User) []access.Role {
	if s.Desk == nil {
		return nil
	}
	return s.Desk.Roles.Of(u)
}

func (v *visit) has(may []access.Role) bool {
	return slices.ContainsFunc(v.roles, func(r access.Role) bool { return slices.Contains(may, r) })
}

func (v *visit) rooms() view.Rooms {
	return view.Rooms{Open: v.has(everyone), Help: v.has(helpers), Policy: v.has(readers), Coverage: v.has(readers), Threat: v.has(operator), Kiosks: v.has(operator), Doctor: v.has(operator), Figures: v.has(seers), Lists: v.has(everyone)}
}

func (s *Site) deskIndex(v *visit, p access.Principal) error { return s.board(v, p, fiber.StatusOK) }

func (s *Site) board(v *visit, p access.Principal, status int, faults ...view.Fault) error {
	list, err := s.waitings(v, p)
	if err != nil {
		return err
	}
	calls, mine, err := s.ringing(v, p)
	if err != nil {
		return err
	}
	return v.page(status, &view.DeskIndex{Frame: v.frame("/desk", faults...), Waiting: list, Calls: calls, Mine: mine})
}

// note records that p looked at something about others, before it is shown. What
// cannot be recorded is not shown.
func (s *Site) note(v *visit, p access.Principal, e audit.Event) error {
	e.At, e.Actor, e.ActorName = s.Now(), p.ID, p.User.Login
	e.Door, e.Address, e.Outcome = string(access.Desk), v.client.String(), audit.OK
	if err := s.Desk.Recorder.Record(v.ctx(), e); err != nil {
		return &down{err}
	}
	return nil
}

// sentHere reports whether another site sent the browser here. Looking leaves a
// record in the name of whoever looks, and no link elsewhere may write one.
func (v *visit) sentHere() bool {
	site := v.Get("Sec-Fetch-Site")
	return site == "cross-site" || site == "same-site"
}

var errDesk = errors.New("web: a part of the desk is missing")
