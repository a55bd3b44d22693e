package web

import (
	"github.com/gofiber/fiber/v2"

	"postern/portal/policy"
	"postern/static"
)

// route is one line of the table. A GET has a page and changes nothing; a POST
// has an action, which runs only with a decoded form and this browser's token.
type route struct {
	path   string
	page   func(*visit) error
	action func(*visit, form) error
	fields []field
}

// Register puts everything on app, in this order. The security headers are
// around all of it: see Wrap and Fault.
func (s *Site) Register(app *fiber.App) {
	app.Use(s.requestID)
	app.Use(s.recovered)
	app.Use(s.deadline)
	app.Get("/healthz", s.healthz) // asked by address, not by name
	app.Get("/readyz", s.readyz)
	app.Use(s.clientAddress)
	app.Use(s.exactHost)
	app.Use(s.bodyRules)
	app.Use(s.device)
	app.Use(s.addressLimit)
	app.Use(s.browser)
	app.Use(s.keptIn)
	app.Use(s.sameOrigin)

	app.Get(static.Prefix+":file", s.static)
	for _, r := range s.routes() {
		if r.page != nil {
			app.Get(r.path, s.get(r))
		}
		if r.action != nil {
			app.Post(r.path, s.post(r))
		}
	}
}

func (s *Site) routes() []route {
	list := []route{
		{path: "/", page: s.home},
		{path: "/recover/reset", page: s.startForm(policy.Reset)},
		{path: "/recover/unlock", page: s.startForm(policy.Unlock)},
		{path: "/recover/change", page: s.startForm(policy.Change)},
		{path: "/recover/start", action: s.start(recovery), fields: s.naming(fieldPurpose, fieldLogin, fieldCurrent)},
		{path: "/recover", page: s.dispatch(recovery)},
		{path: "/recover/choose", action: s.choose(recovery), fields: []field{fieldFactor, fieldWhy}},
		{path: "/recover/answer", action: s.answer(recovery), fields: []field{fieldAnswer}},
		{path: "/recover/password", action: s.password(recovery), fields: []field{fieldPassword, fieldConfirm, fieldAlso}},
		{path: "/recover/cancel", action: s.cancel(recovery)},

		{path: "/signin", page: s.dispatch(signin)},
		{path: "/signin/start", action: s.start(signin), fields: s.naming(maybe(fieldPurpose), maybe(fieldLogin), fieldCurrent, maybe(fieldFactor))},
		{path: "/signin/choose", action: s.choose(signin), fields: []field{fieldFactor, fieldWhy}},
		{path: "/signin/answer", action: s.answer(signin), fields: []field{fieldAnswer}},
		{path: "/signin/cancel", action: s.cancel(signin)},
		{path: "/signout", action: s.signOut},

		{path: "/me", page: s.own(s.me)},
		{path: "/me/factors", page: s.own(s.factors)},
		{path: "/me/activity", page: s.own(s.activity)},
		{path: "/me/factors/:id/remove", page: s.own(s.confirmRemove), action: s.owned(s.remove)},
		{path: "/me/factors/:id/rename", action: s.owned(s.rename), fields: []field{fieldName}},
		{path: "/me/factors/:kind/offer", action: s.owned(s.offer), fields: []field{maybe(fieldReplace)}},
		{path: "/me/factors/:kind/enrol", action: s.owned(s.enrol), fields: []field{fieldAnswer, maybe(fieldName)}},

		{path: keptPath, page: s.own(s.kept)},
		{path: keptPath + "/:id/remove", page: s.own(s.confirmRemoveKept), action: s.owned(s.removeKept)},
		{path: "/me/pass", action: s.owned(s.pass), fields: []field{fieldOnce}},

		{path: "/me/notme", action: s.owned(s.notMine)},

		{path: "/approve/:token", page: s.asked, action: s.decide, fields: []field{maybe(fieldDecision), maybe(fieldNumber), maybe(fieldFactor), maybe(fieldAnswer), maybe(fieldNote)}},
		{path: "/notme/:token", page: s.report, action: s.notMe},
		{path: "/link/:token", page: s.link, action: s.follow, fields: []field{fieldCurrent}},
		{path: "/link", page: s.claimForm, action: s.claim, fields: []field{fieldCode}},
		{path: "/claim/:code", page: s.claimForm},

		{path: receiptPath, page: s.receiptForm, action: s.checkReceipt, fields: []field{fieldCode}},
		{path: receiptPath + "/:code", page: s.receiptFile},
		{path: "/help/:topic", page: s.help},
	}
	if s.Desk != nil {
		list = append(list, s.deskRoutes()...)
	}
	if s.Kiosk != nil {
		list = append(list, s.kioskRoutes()...)
	}
	if s.Demo != nil {
		list = append(list, route{path: "/demo", page: s.demo}, route{path: "/demo/inbox.json", page: s.inbox},
			route{path: "/demo/kiosk", page: s.demoKiosk}, route{path: "/demo/leave", page: s.demoLeave})
	}
	return list
}

func maybe(f field) field {
	f.optional = true
	return f
}

func (s *Site) get(r route) fiber.Handler {
	return func(c *fiber.Ctx) error { return r.page(visitOf(c)) }
}

// post is the only way to register a POST: nothing runs before the form was
// read strictly and its token found to be this session's. The token is taken
// from the body alone.
func (s *Site) post(r route) fiber.Handler {
	return func(c *fiber.Ctx) error {
		v := visitOf(c)
		f, err := decode(c.Context().PostBody(), r.fields...)
		if err != nil {
			return err
		}
		if !s.tokens.check(f[csrfField], v.token) {
			return errToken
		}
		return r.action(v, f)
	}
}
