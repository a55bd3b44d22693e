package web

import (
	"context"
	"errors"
	"math"
	"net"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"

	"postern/directory"
	"postern/portal/desk"
	"postern/portal/enrol"
	"postern/portal/flow"
	"postern/portal/limit"
	"postern/portal/web/view"
	"postern/verify"
)

// trouble is an error as a person meets it.
type trouble struct {
	status int
	code   string // of the page, when there is no page of a case to show it on
	faults []view.Fault
	retry  time.Duration
	log    bool // whether the operator must hear of it
}

// retryUnavailable is when to try again what could not be reached.
const retryUnavailable = 30 * time.Second

// judge is the one switch from errors to pages. What it does not know it does
// not talk about.
func judge(err error) trouble {
	var (
		wrong   *flow.Wrong
		weak    *flow.Weak
		limited *flow.Limited
		invalid *flow.Invalid
		over    *limit.Exceeded
		refusal *directory.Refusal
		badForm *errForm
		no      *desk.Refused
		undone  *enrol.Undone
		young   *enrol.TooNew
		http    *fiber.Error
	)
	switch {
	case errors.As(err, &wrong):
		return on("answer", view.Fault{Code: wrong.Code, Left: wrong.Left})
	case errors.As(err, &weak):
		return trouble{status: fiber.StatusUnprocessableEntity, code: "conflict", faults: problems(weak, nil)}
	case errors.As(err, &refusal):
		return on("password", view.Fault{Code: string(refusal.Rule), Limit: refusal.Limit, Until: refusal.Until})
	case errors.As(err, &invalid):
		return on(invalid.Field, view.Fault{Code: invalid.Code})
	case errors.Is(err, errMismatch):
		return on("confirm", view.Fault{Code: "mismatch"})
	case errors.Is(err, verify.ErrNotAllowed):
		return on("answer", view.Fault{Code: "device_not_allowed"})
	case errors.Is(err, errBadPasskey):
		return on("answer", view.Fault{Code: "wrong_passkey"})
	case errors.Is(err, enrol.ErrBadReply):
		return on("answer", view.Fault{Code: "wrong_code"})
	case errors.Is(err, enrol.ErrBadName):
		return on("name", view.Fault{Code: "bad_name"})
	case errors.Is(err, verify.ErrTooMany):
		return on("", view.Fault{Code: "too_many"})
	case errors.Is(err, verify.ErrDuplicate):
		return on("answer", view.Fault{Code: "duplicate"})

	case errors.Is(err, enrol.ErrThreat):
		return trouble{status: fiber.StatusForbidden, code: "not_found", faults: []view.Fault{{Code: "threat"}}}
	case errors.As(err, &undone):
		return notDone(undone)
	case errors.As(err, &young) && young.Until.IsZero():
		return trouble{status: fiber.StatusForbidden, code: "not_found", faults: []view.Fault{{Code: "pass_weak"}}}
	case errors.As(err, &young):
		return trouble{status: fiber.StatusForbidden, code: "not_found", faults: []view.Fault{{Code: "pass_new", Until: young.Until}}}
	case errors.Is(err, enrol.ErrSpent):
		return trouble{status: fiber.StatusConflict, code: "conflict", faults: []view.Fault{{Code: "pass_spent"}}}
	case errors.As(err, &no):
		return trouble{status: fiber.StatusForbidden, code: "not_found", faults: []view.Fault{{Code: "desk_" + no.Reason}}}
	case errors.As(err, &limited):
		return slow(limited.Retry)
	case errors.As(err, &over):
		return slow(over.Retry)

	case errors.Is(err, flow.ErrConflict), errors.Is(err, flow.ErrNoCase), errors.Is(err, flow.ErrNotOffered), errors.Is(err, enrol.ErrNotFrozen):
		return trouble{status: fiber.StatusConflict, code: "conflict", faults: []view.Fault{{Code: "conflict"}}}
	case errors.Is(err, enrol.ErrNoOffer):
		return trouble{status: fiber.StatusConflict, code: "conflict", faults: []view.Fault{{Code: "no_offer"}}}
	case errors.Is(err, desk.ErrUnknown), errors.Is(err, enrol.ErrUnknown), errors.Is(err, enrol.ErrNoMethod), errors.Is(err, enrol.ErrNoLink), errors.Is(err, flow.ErrNoRequest), errors.Is(err, flow.ErrNoInvite):
		return trouble{status: fiber.StatusNotFound, code: "not_found"}

	case errors.As(err, &badForm):
		return trouble{status: fiber.StatusBadRequest, code: "bad_form"}
	case errors.Is(err, errToken), errors.Is(err, errCrossSite):
		return trouble{status: fiber.StatusForbidden, code: "csrf"}
	case errors.As(err, &http):
		return wire(http.Code)

	case unavailable(err):
		return trouble{status: fiber.StatusServiceUnavailable, code: "unavailable", retry: retryUnavailable, log: true,
			faults: []view.Fault{{Code: "unavailable", Retry: retryUnavailable}}}
	}
	return trouble{status: fiber.StatusInternalServerError, code: "server", faults: []view.Fault{{Code: "server"}}, log: true}
}

func on(field string, f view.Fault) trouble {
	f.Field = field
	return trouble{status: fiber.StatusUnprocessableEntity, code: "conflict", faults: []view.Fault{f}}
}

// notDone is what the directory did not say it did. All but what it does not allow at
// all the operator must hear of: a right is missing, or it was down.
func notDone(no *enrol.Undone) trouble {
	t := trouble{status: fiber.StatusForbidden, code: "not_found", faults: []view.Fault{{Code: "kept_" + no.Code}}, log: no.Code != "unsupported"}
	switch no.Code {
	case "gone":
		t.status, t.code = fiber.StatusConflict, "conflict"
	case "unavailable", "uncertain":
		t.status, t.code = fiber.StatusServiceUnavailable, "unavailable"
	}
	return t
}

func slow(retry time.Duration) trouble {
	return trouble{status: fiber.StatusTooManyRequests, code: "limited", retry: retry, faults: []view.Fault{{Code: "limited", Retry: retry}}}
}

// unavailable is everything that says "could not be asked", as opposed to "no".
func unavailable(err error) bool {
	var d *down
	var n net.Error
	return errors.As(err, &d) || errors.Is(err, directory.ErrUnavailable) || errors.Is(err, flow.ErrUnavailable) || errors.Is(err, enrol.ErrUnavailable) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.As(err, &n)
}

// wire is what fiber and fasthttp refuse by themselves. Their texts repeat the
// request and are never shown.
func wire(status int) trouble {
	t := trouble{status: status, code: "bad_form"}
	switch {
	case status == fiber.StatusNotFound, status == fiber.StatusMethodNotAllowed:
		t.code = "not_found"
	case status == fiber.StatusMisdirectedRequest:
		t.code = "host"
	case status >= 500:
		t.code = "server"
	}
	return t
}

// asksWrong says on the page itself what of the question in its address was wrong.
// faults are the page's. What is no fault of a question is told as ever.
func (v *visit) asksWrong(page view.Page, faults *[]view.Fault, err error) error {
	t := judge(err)
	if errors.As(err, new(*errForm)) {
		t.faults = []view.Fault{{Code: t.code}}
	}
	if t.status >= fiber.StatusInternalServerError || len(t.faults) == 0 {
		return err
	}
	*faults = t.faults
	return v.page(t.status, page)
}

// Fault answers a request that led to an error and has no page of its own. It
// also answers what fasthttp could not read, where nothing is known about
// anybody: that gets one plain line.
func (s *Site) Fault(c *fiber.Ctx, err error) error {
	t := judge(err)
	v := visitOf(c)
	if v == nil {
		s.headers(&c.Response().Header)
		return c.Status(t.status).Type("txt", "utf-8").SendString(unreadable)
	}
	s.tell(v, t, err)
	if v.lang == "" {
		v.lang = s.language(c)
	}
	// No form and so no token: this page must never give the browser a new
	// identity, for it may come before the old one was read.
	home := "/"
	if v.device.ID != "" {
		home = kioskHome
	}
	p := &view.ErrorPage{Frame: view.Frame{Here: home, Kiosk: v.screen()}, Code: t.code, Retry: t.retry, Request: v.id}
	if err := v.page(t.status, p); err != nil {
		s.Log.ErrorContext(v.ctx(), "the error page could not be written", "request", v.id, "cause", err.Error())
		return c.Status(t.status).Type("txt", "utf-8").SendString("Something went wrong. Nothing was changed.\n")
	}
	return nil
}

// tell logs what the operator must hear of, and says when to come back.
func (s *Site) tell(v *visit, t trouble, err error) {
	if t.log {
		s.Log.ErrorContext(v.ctx(), "request failed", "request", v.id, "route", v.Route().Path, "cause", err.Error())
	}
	if t.retry > 0 {
		v.Set(fiber.HeaderRetryAfter, strconv.Itoa(int(math.Ceil(t.retry.Seconds()))))
	}
}
