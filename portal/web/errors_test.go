package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"postern/directory"
	"postern/locales"
	"postern/portal/enrol"
	"postern/portal/flow"
	"postern/portal/i18n"
	"postern/portal/limit"
	"postern/portal/password"
	"postern/portal/session"
	"postern/verify"
)

// Every error a service returns has a status, a sentence in the locales, and is
// told to the operator exactly when it is not the person's own doing.
func TestEveryErrorIsASentence(t *testing.T) {
	bundle, err := i18n.Load(i18n.Options{}, locales.Files)
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		err    error
		status int
		code   string // of the first fault, or of the page where there is none
		log    bool
	}{
		{&flow.Wrong{Code: "wrong_code", Left: 3}, 422, "wrong_code", false},
		{&flow.Wrong{Code: "wrong_password"}, 422, "wrong_password", false},
		{&flow.Wrong{Code: "wrong_passkey"}, 422, "wrong_passkey", false},
		{&flow.Wrong{Code: "expired_code"}, 422, "expired_code", false},
		{&flow.Wrong{Code: "replayed_code"}, 422, "replayed_code", false},
		{&flow.Invalid{Field: "login", Code: "required"}, 422, "required", false},
		{&flow.Limited{Retry: time.Minute}, 429, "limited", false},
		{&limit.Exceeded{Retry: time.Minute}, 429, "limited", false},
		{flow.ErrConflict, 409, "conflict", false},
		{flow.ErrNoCase, 409, "conflict", false},
		{flow.ErrNotOffered, 409, "conflict", false},
		{errMismatch, 422, "mismatch", false},
		{enrol.ErrBadReply, 422, "wrong_code", false},
		{errBadPasskey, 422, "wrong_passkey", false},
		{verify.ErrNotAllowed, 422, "device_not_allowed", false},
		{enrol.ErrBadName, 422, "bad_name", false},
		{enrol.ErrNoOffer, 409, "no_offer", false},
		{enrol.ErrUnknown, 404, "not_found", false},
		{enrol.ErrNoMethod, 404, "not_found", false},
		{verify.ErrTooMany, 422, "too_many", false},
		{verify.ErrDuplicate, 422, "duplicate", false},
		{&errForm{"x"}, 400, "bad_form", false},
		{errToken, 403, "csrf", false},
		{errCrossSite, 403, "csrf", false},
		{fiber.ErrNotFound, 404, "not_found", false},
		{fiber.ErrMethodNotAllowed, 405, "not_found", false},
		{fiber.ErrMisdirectedRequest, 421, "host", false},
		{fiber.ErrRequestEntityTooLarge, 413, "bad_form", false},
		{directory.ErrUnavailable, 503, "unavailable", true},
		{&down{errors.New("x")}, 503, "unavailable", true},
		{&down{session.ErrNone}, 503, "unavailable", true},
		{context.DeadlineExceeded, 503, "unavailable", true},
		{fmt.Errorf("%w: store: bad connection", flow.ErrUnavailable), 503, "unavailable", true},
		{fmt.Errorf("%w: store: bad connection", enrol.ErrUnavailable), 503, "unavailable", true},
		{&net.OpError{Op: "dial", Err: errors.New("refused")}, 503, "unavailable", true},
		{directory.ErrDenied, 500, "server", true},
		{errPanic, 500, "server", true},
		{errors.New("something new"), 500, "server", true},
	}
	for _, r := range []directory.Rule{directory.RuleTooShort, directory.RuleTooLong, directory.RuleComplexity, directory.RuleHistory, directory.RuleTooYoung,
		directory.RuleQuality, directory.RuleBanned, directory.RuleHistoryOrFilter, directory.RuleCannotChange, directory.RuleMustSupplyOld, directory.RuleNotAllowed} {
		cases = append(cases, struct {
			err    error
			status int
			code   string
			log    bool
		}{&directory.Refusal{Rule: r, Text: "CN=secret"}, 422, string(r), false})
	}
	for _, c := range cases {
		got := judge(fmt.Errorf("web: wrapped: %w", c.err))
		code := got.code
		if len(got.faults) > 0 {
			code = got.faults[0].Code
		}
		if got.status != c.status || code != c.code || got.log != c.log {
			t.Errorf("%v: %d %q, logged %v; want %d %q %v", c.err, got.status, code, got.log, c.status, c.code, c.log)
		}
		if key := "error." + code; !bundle.Has(key) {
			t.Errorf("%v: there is no sentence %s", c.err, key)
		}
		if (got.status == 429 || got.status == 503) != (got.retry > 0) {
			t.Errorf("%v: %d with retry %v", c.err, got.status, got.retry)
		}
	}
}

// A password the portal refuses: each reason has a sentence, and one's own name
// is called by what it is.
func TestEveryProblemIsASentence(t *testing.T) {
	bundle, err := i18n.Load(i18n.Options{}, locales.Files)
	if err != nil {
		t.Fatal(err)
	}
	who := &directory.User{Login: "aokafor", Name: "Amara Okafor", Mail: []string{"a.chief@example.org"}}
	for _, c := range []struct {
		problem password.Problem
		code    string
		limit   int
	}{
		{password.Problem{Key: "too_short", Args: map[string]any{"limit": 12, "have": 3}}, "too_short", 12},
		{password.Problem{Key: "too_long", Args: map[string]any{"limit": 64}}, "too_long", 64},
		{password.Problem{Key: "not_text"}, "bad_characters", 0},
		{password.Problem{Key: "complexity", Args: map[string]any{"limit": 3, "have": 1}}, "complexity", 3},
		{password.Problem{Key: "own", Args: map[string]any{"word": "AOKAFOR"}}, "contains_login", 0},
		{password.Problem{Key: "own", Args: map[string]any{"word": "okafor"}}, "contains_name", 0},
		{password.Problem{Key: "own", Args: map[string]any{"word": "a.chief"}}, "contains_mail", 0},
		{password.Problem{Key: "own", Args: map[string]any{"word": "example corp"}}, "contains_org", 0},
		{password.Problem{Key: "common"}, "common", 0},
		{password.Problem{Key: "repeats"}, "repeats", 0},
		{password.Problem{Key: "weak", Args: map[string]any{"score": 1, "limit": 2}}, "weak", 2},
		{password.Problem{Key: "same_as_old"}, "same_as_old", 0},
	} {
		got := problems(&flow.Weak{Problems: []password.Problem{c.problem}}, who)
		if len(got) != 1 || got[0].Field != "password" || got[0].Code != c.code || got[0].Limit != c.limit {
			t.Errorf("%+v: %+v", c.problem, got)
			continue
		}
		if !bundle.Has("error."+c.code) && !bundle.Has("error."+c.code+"_any") {
			t.Errorf("there is no sentence error.%s", c.code)
		}
	}
}

func TestMaskKeepsLittle(t *testing.T) {
	for in, want := range map[string]string{
		"alice@example.org": "a••••@example.org", "al@example.org": "••••@example.org", "ä.öü@example.org": "ä••••@example.org", "@x": "••••@x",
		"+49 170 1234567": "••••67", "12345": "••••", "": "••••",
	} {
		if got := mask(in); got != want || strings.Contains(got, "lice") {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
