package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/desk"
	"postern/portal/enrol"
	"postern/portal/flow"
	"postern/portal/limit"
	"postern/portal/policy"
	"postern/portal/web"
)

// countEvery is how often who could recover is counted without anybody asking.
const countEvery = 24 * time.Hour

// desk makes the pages for those who run the portal; nil where nobody has a role.
// It asks by the same plans and means as policy explain and report coverage do.
func (p *program) desk(extras extras, own *enrol.Service, limits *limit.Limiter) (*web.Desk, error) {
	if !p.cfg.Access.Roles.On() {
		return nil, nil
	}
	phone, err := p.cfg.phone()
	if err != nil {
		return nil, err
	}
	if extras.sms && !p.cfg.SMS.On() {
		phone = func(u directory.User) bool { return len(u.Phone) > 0 } // its inbox takes any number
	}
	survey := enrol.Survey{Directory: p.people, Inventory: p.db, Phone: phone, Ended: ended(p.db), Standing: p.db.Standing, Readers: readers, Groups: p.policy.Groups(), Now: p.now,
		// A count is also when contacts of people who never come are looked at.
		Observe: func(ctx context.Context, u directory.User) error {
			_, err := p.watch().Observe(ctx, u)
			return err
		}}
	if survey.Judge, err = p.policy.Simulator(access.Web, policy.Reset); err != nil {
		return nil, err
	}
	if p.census, err = enrol.NewCensus(enrol.CensusOptions{Count: survey.Coverage, Every: countEvery, Safe: p.launcher.Safe, Now: p.now, Log: p.log}); err != nil {
		return nil, err
	}
	people := enrol.Explainer{Directory: p.people, Rules: p.policy, Lookup: enrol.Lookup{Credentials: p.db, Ended: ended(p.db), Phone: phone, Standing: p.db.Standing}, Threats: p.db, Now: p.now}
	help, err := p.help(own, limits)
	if err != nil {
		return nil, err
	}
	board, err := p.board()
	if err != nil {
		return nil, err
	}
	if p.doctor, err = desk.NewDoctor(desk.DoctorOptions{Examine: p.examine(extras), Roles: p.cfg.Access.Roles, Noter: p.db, Safe: p.launcher.Safe, Now: p.now, Log: p.log}); err != nil {
		return nil, err
	}
	return &web.Desk{Roles: p.cfg.Access.Roles, People: people, Policy: p.policy, Census: p.census, Recorder: p.db, Help: help, Spoken: p.policy.Spoken(),
		Level: p.cfg.threat(p.db, p.now), Board: board, Kiosks: p.kiosks(), Doctor: p.doctor}, nil
}

// examine is postern doctor's examination, of this portal as it runs: of what it was
// started with, and of the file as it is by now.
func (p *program) examine(extras extras) func(context.Context) []directory.Finding {
	e := &examiner{now: p.now, safe: p.launcher.Safe, own: p.db, inbox: extras.transports != nil}
	list := parts(p.cfg, nil)
	if p.cfg.file != "" {
		list = slices.Insert(list, 0, part{"config", func(_ context.Context, d *examination) { d.again(p.cfg.file) }})
	}
	return func(ctx context.Context) []directory.Finding { return cleaned(e.run(ctx, list)) }
}

// attend examines when an operator asks, until ctx ends.
func (p *program) attend(ctx context.Context) {
	if p.doctor != nil {
		p.doctor.Run(ctx)
	}
}

// board is what happened, and who will need help. The census must be there.
func (p *program) board() (*desk.Board, error) {
	return desk.NewBoard(desk.BoardOptions{People: p.people, Roles: p.cfg.Access.Roles, Scope: reach{p.cfg.Access}, Policy: p.policy, Past: p.db, Noter: p.db,
		Counts: p.census, Zone: p.cfg.zone, Now: p.now})
}

// reach is whom technicians may help.
type reach struct{ access.Config }

func (r reach) Of(roles []access.Role, u directory.User) bool { return r.Scope.Of(roles, u) }

// help is what technicians do.
func (p *program) help(own *enrol.Service, limits *limit.Limiter) (*desk.Service, error) {
	tickets, err := p.cfg.Access.Tickets()
	if err != nil {
		return nil, err
	}
	staffed := func(t time.Time) bool { return p.cfg.Access.Hours.Open(t, p.cfg.zone) }
	return desk.New(desk.Options{Limits: limits, Mends: enrol.Mender{Service: own, Rules: p.policy, Life: p.cfg.Enrolment.Invitation}, Spent: p.db,
		People: p.people, Roles: p.cfg.Access.Roles, Scope: reach{p.cfg.Access}, Policy: p.policy, Cases: p.flow, Holds: p.flow,
		Hours: staffed, FourEyes: p.cfg.Access.FourEyes, Cooling: p.cfg.Policy.CoolingOff, Known: p.db, Record: p.db, History: p.db, Sightings: p.people,
		Counters: p.db, Hands: own, Writes: own, Phone: p.screens, Threats: p.db, Tickets: tickets, Alerts: p.cfg.Alerts.Mail, Now: p.now, Log: p.log})
}

// watch notices changed contacts.
func (p *program) watch() flow.Watch {
	return flow.Watch{Memory: p.db, Key: p.keys.Derive(keyContacts), Now: p.now}
}

// count counts until ctx ends, where there is somebody to read it.
func (p *program) count(ctx context.Context) {
	if p.census != nil {
		p.census.Run(ctx)
	}
}

func (c *Config) validateDesk(r *reader) {
	if roles := c.Access.Roles; len(roles.Technician)+len(roles.Senior) > 0 && len(c.Alerts.Mail) == 0 {
		r.add("alerts", errors.New("mail: is empty; somebody must hear of what technicians do (access.roles)"))
	}
	r.add("access", c.Access.Validate()...)
	for at, reach := range map[string]access.Reach{"scope.technician": c.Access.Scope.Technician, "scope.senior": c.Access.Scope.Senior,
		"four_eyes": access.Reach(c.Access.FourEyes), "crossing": access.Reach(c.Access.Crossing)} {
		for i, name := range reach.Directories {
			if !slices.ContainsFunc(c.Directories, func(d Directory) bool { return d.Name == name }) {
				r.add("access", fmt.Errorf("%s.directories[%d]: there is no directory called %q", at, i, name))
			}
		}
	}
}
