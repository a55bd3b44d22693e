package portal

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"postern/portal/flow"
	"postern/verify"
)

// anyOnce is of the form of what a page gives its forms to act once.
const anyOnce = "AAAAAAAAAAAAAAAAAAAAAA"

// posts lists every POST of the route table with a form it would take.
func (h *house) posts() map[string][]string {
	forms := map[string][]string{
		"/recover/start":          {"purpose", "reset", "login", "alice"},
		"/recover/choose":         {"factor", "totp"},
		"/recover/answer":         {"answer", "000000"},
		"/recover/password":       {"password", "correct horse", "confirm", "correct horse"},
		"/recover/cancel":         {},
		"/signin/start":           {"login", "alice"},
		"/signin/choose":          {"factor", "totp"},
		"/signin/answer":          {"answer", "000000"},
		"/signin/cancel":          {},
		"/signout":                {},
		"/me/factors/:id/remove":  {},
		"/me/factors/:id/rename":  {"name", "Phone"},
		"/me/factors/:kind/offer": {},
		"/me/notme":               {},
		"/me/methods/:id/remove":  {},
		"/me/pass":                {"once", anyOnce},
		"/approve/:token":         {"decision", "no", "note", "I know nothing of it"},
		"/notme/:token":           {},
		"/link/:token":            {"current", "Current-1"},
		"/link":                   {"code", "ABC-234-XYZ"},
		"/receipt":                {"code", "P-7QXM-29RT"},
		"/me/factors/:kind/enrol": {"answer", "123456"},
	}
	if h.desk != nil {
		forms["/desk/coverage"] = nil
		forms["/desk/lists"] = nil
		forms["/desk/threat"] = []string{"level", "raised", "cause", "an attack", "for", "1"}
		forms["/desk/doctor"] = nil
		forms["/desk/prove"] = []string{"at", "/desk"}
		forms["/desk/people/:id/open"] = []string{"purpose", "reset", "cause", "lost", "ticket", "INC-7", "once", anyOnce}
		forms["/desk/cases/:id/match"] = []string{"number", "47", "once", anyOnce}
		forms["/desk/cases/:id/act"] = []string{"act", "freeze", "once", anyOnce}
		forms["/desk/cases/:id/cancel"] = nil
		forms["/desk/cases/:id/second"] = []string{"decision", "yes"}
		forms["/desk/calls/:id"] = []string{"number", "47"}
		forms["/desk/calls/:id/end"] = nil
		forms["/desk/kiosks"] = []string{"name", "Ward 3", "site", "North", "way", "key", "allow_reset", "on"}
		forms["/desk/kiosks/:id/rename"] = []string{"name", "Ward 3", "site", "North"}
		forms["/desk/kiosks/:id/code"] = nil
		forms["/desk/kiosks/:id/revoke"] = nil
	}
	if h.kiosks {
		forms["/kiosk/register"] = []string{"code", "ABCDE-FGHJK", "public", "AAAA", "challenge", "AAAA", "answer", "AAAA"}
		forms["/kiosk/pass"] = []string{"print", "ab", "counter", "1", "challenge", "AAAA", "answer", "AAAA"}
		forms["/kiosk/case/start"] = []string{"purpose", "reset", "login", "alice"}
		forms["/kiosk/case/choose"] = []string{"factor", "totp"}
		forms["/kiosk/case/answer"] = []string{"answer", "000000"}
		forms["/kiosk/case/password"] = []string{"password", "correct horse", "confirm", "correct horse"}
		forms["/kiosk/case/cancel"] = nil
		forms["/kiosk/help"], forms["/kiosk/help/open"] = nil, nil
		forms["/kiosk/phone"] = []string{"purpose", "reset"}
		forms["/phone/:code"] = []string{"number", "47"}
		forms["/phone/start"] = []string{"purpose", "reset", "login", "alice"}
	}
	posts := map[string][]string{}
	for _, r := range h.server.app.GetRoutes(true) {
		if r.Method != http.MethodPost {
			continue
		}
		f, ok := forms[r.Path]
		if !ok {
			h.t.Fatalf("POST %s is in the route table and in no test", r.Path)
		}
		posts[concrete(r.Path)] = f
	}
	if len(posts) != len(forms) {
		h.t.Fatalf("%d POST routes, %d forms", len(posts), len(forms))
	}
	return posts
}

// Security cases 48, 49, 50, 55 and 39: exactly the page's own fields, once.
func TestEveryFormIsExact(t *testing.T) {
	t.Parallel()
	h := open(t, kiosked)
	h.kiosks = true
	b := h.signedIn()
	calls := len(h.core.calls)
	for path, fields := range h.posts() {
		good := b.form(fields...)
		bad := map[string]string{
			"csrf twice":    good + "&csrf=" + b.csrf,
			"no pairs":      "x",
			"ends with &":   good + "&",
			"double &":      strings.Replace(good, "&", "&&", 1) + "&a=",
			"broken escape": good + "&x=%zz",
			"encoded name":  good + "&%63srf=x",
		}
		for _, extra := range []string{"email", "phone", "to", "cc", "sms", "state", "verified", "role", "target_dn", "is_admin", "return_to", "next", "user", "ttl", "minutes", "LOGIN", "login[]", "_method", "tryAnotherWay", "skip"} {
			bad["extra "+extra] = good + "&" + strings.ReplaceAll(extra, "[]", "%5B%5D") + "=%2F%2Fevil"
		}
		for i := 0; i+1 < len(fields); i += 2 {
			bad["twice "+fields[i]] = good + "&" + fields[i] + "=" + fields[i+1]
			bad["array "+fields[i]] = strings.Replace(good, fields[i]+"=", fields[i]+"[]=", 1)
			bad["upper "+fields[i]] = strings.Replace(good, fields[i]+"=", strings.ToUpper(fields[i])+"=", 1)
			bad["NUL "+fields[i]] = strings.Replace(good, fields[i]+"=", fields[i]+"=%00", 1)
			bad["not UTF-8 "+fields[i]] = strings.Replace(good, fields[i]+"=", fields[i]+"=%ff%fe", 1)
			bad["endless "+fields[i]] = strings.Replace(good, fields[i]+"=", fields[i]+"="+strings.Repeat("a", 40<<10), 1)
		}
		for what, body := range bad {
			if a := b.do("POST", path, body); a.StatusCode != 400 || a.Page.Code != "bad_form" {
				t.Errorf("%s, %s: %d %q", path, what, a.StatusCode, a.Page.Code)
			}
		}
		if a := b.do("POST", path+"?"+good, good); a.StatusCode != 400 {
			t.Errorf("%s with a query: %d", path, a.StatusCode)
		}
	}
	if len(h.core.calls) != calls || len(h.own.calls) > 0 {
		t.Errorf("the core was asked: %v %v", h.core.calls[calls:], h.own.calls)
	}
}

// Security case 39: an unknown factor, or one the plan does not allow, opens nothing.
func TestOnlyOfferedFactors(t *testing.T) {
	t.Parallel()
	h := open(t)
	b := h.started("reset")
	for factor, want := range map[string]int{"": 400, "none": 400, "TOTP": 400, "email": 409, "approval": 409, "password": 409} {
		if a := b.post("/recover/choose", "factor", factor); a.StatusCode != want {
			t.Errorf("factor %q: %d, want %d", factor, a.StatusCode, want)
		}
	}
	for why, want := range map[string]int{"call me at +49 160 1": 400, "Lost": 400, "lost": 303, "": 303} {
		if a := b.post("/recover/choose", "factor", "totp", "why", why); a.StatusCode != want {
			t.Errorf("why %q: %d, want %d", why, a.StatusCode, want)
		}
	}
}

// Security case 52: whatever a name is made of, it goes to the directory as it
// is and comes back inert.
func TestOddNamesAreTakenAsTheyAre(t *testing.T) {
	t.Parallel()
	h := open(t)
	for _, name := range []string{"a\r\nSet-Cookie: x=y", "a\u202eb", "a\u200bb", "ａｌｉｃｅ", "al\u0131ce", "e\u0301", "*)(objectClass=*", "<svg onload=alert(1)>", strings.Repeat("ä", 128), "a b", " alice ", "CORP\\alice"} {
		b := h.tab()
		b.get("/recover/reset")
		b.post("/recover/start", "purpose", "reset", "login", name).leads(t, "/recover")
		if got := h.core.seen[len(h.core.seen)-1].Login; got != name {
			t.Errorf("the core got %q for %q", got, name)
		}
		if a := b.get("/recover").want(t, 200, "Choose"); strings.Contains(string(a.body), "Set-Cookie") || strings.Contains(string(a.body), name) {
			t.Errorf("a stranger's page repeats %q: %s", name, a.body)
		}
	}
}

// What was typed is kept after an error, a secret never; the fault is beside its field.
func TestFaultsComeBackOnTheForm(t *testing.T) {
	t.Parallel()
	h := open(t)
	b := h.tab()
	b.get("/recover/change")
	a := b.post("/recover/start", "purpose", "change", "login", "", "current", "Canary-7531").want(t, 422, "StartForm")
	if len(a.Page.Faults) != 1 || a.Page.Faults[0].Field != "login" || a.Page.Here != "/recover/change" {
		t.Errorf("%+v", a.Page)
	}
	a = b.post("/recover/start", "purpose", "change", "login", "alice", "current", "Canary-7531").want(t, 422, "Answer")
	if a.Page.Faults[0].Code != "wrong_password" || a.Page.Faults[0].Field != "answer" || a.Page.Faults[0].Left != 4 || a.Page.Here != "/recover" {
		t.Errorf("%+v", a.Page)
	}
	b = h.proven()
	a = b.post("/recover/password", "password", "short", "confirm", "short").want(t, 422, "NewPassword")
	if f := a.Page.Faults; len(f) != 1 || f[0].Field != "password" || f[0].Code != "too_short" || f[0].Limit != 10 {
		t.Errorf("%+v", f)
	}
	a = b.post("/recover/password", "password", "Canary-7531-x", "confirm", "Canary-7531-y").want(t, 422, "NewPassword")
	if f := a.Page.Faults; len(f) != 1 || f[0].Field != "confirm" || f[0].Code != "mismatch" {
		t.Errorf("%+v", f)
	}
	// Security case 53: the exact text.
	for _, pw := range []string{" \"lead\\ing & trail+ing% ", "пароль-пароль-😀", strings.Repeat("x", 256)} {
		b := h.proven()
		b.post("/recover/password", "password", pw, "confirm", pw).leads(t, "/recover")
		if got := h.core.dir.Password(alice.ID); got != pw {
			t.Errorf("set %q, want %q", got, pw)
		}
	}
	// Security case 113: no secret in any log.
	if strings.Contains(h.log.String(), "Canary") || strings.Contains(h.log.String(), "123456") {
		t.Error("a secret is in the log")
	}
}

// Security case 15: generated over the route table. The address limit stands
// before every POST, and each one that takes a secret asks the core, which
// counts per account and factor; none compares anything by itself.
func TestEveryPostIsLimited(t *testing.T) {
	t.Parallel()
	h := open(t, kiosked)
	h.kiosks = true
	for path, fields := range h.posts() {
		b := h.signedIn()
		before := len(h.limits.keys)
		b.post(path, fields...)
		want := 1
		switch {
		case path == "/link", path == "/receipt", path == "/kiosk/register", path == concrete("/phone/:code"): // what is short is tried by address, before it is looked at
			want = 2
		}
		if n := len(h.limits.keys) - before; n != want || h.limits.keys[before] != "address 203.0.113.7" {
			t.Errorf("%s took %v", path, h.limits.keys[before:])
		}
	}
	b := h.signedIn()
	calls, own := len(h.core.calls), len(h.own.calls)
	h.limits.most = 1
	for path, fields := range h.posts() {
		a := b.post(path, fields...).want(t, 429, "ErrorPage")
		if a.Page.Code != "limited" || a.Header.Get("Retry-After") != "90" {
			t.Errorf("%s: %q %q", path, a.Page.Code, a.Header.Get("Retry-After"))
		}
	}
	if len(h.core.calls) != calls || len(h.own.calls) != own {
		t.Errorf("work was done over the limit: %v %v", h.core.calls[calls:], h.own.calls[own:])
	}
	secrets := map[string]string{"/recover/start": "start", "/signin/start": "start", "/recover/answer": "prove", "/signin/answer": "prove", "/recover/password": "finish", "/link/" + goodLink: "start"}
	h.limits.most = 0
	for path, call := range secrets {
		b := h.started("reset")
		if strings.HasPrefix(path, "/signin") {
			b = h.tab()
			b.get("/signin")
			b.post("/signin/start", "login", "alice")
			b.get("/signin")
		}
		from := len(h.core.calls)
		b.post(path, h.posts()[path]...)
		want := call
		if path == "/recover/password" {
			want = "finish"
		}
		if !slices.Contains(h.core.calls[from:], want) {
			t.Errorf("%s did not ask the core: %v", path, h.core.calls[from:])
		}
	}
}

// Security case 17: a limiter that cannot answer is a no, for everything but files.
func TestLimiterDownIsANo(t *testing.T) {
	t.Parallel()
	h := open(t)
	b := h.signedIn()
	calls := len(h.core.calls)
	h.limits.fail = errRedis
	for path, fields := range h.posts() {
		a := b.post(path, fields...).want(t, 503, "ErrorPage")
		if a.Page.Code != "unavailable" || a.Header.Get("Retry-After") == "" || strings.Contains(string(a.body), "10.0.0.9") {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	b.get("/recover").want(t, 503, "ErrorPage")
	if a := b.get("/static/x.123.css"); a.StatusCode != 200 {
		t.Errorf("files: %d", a.StatusCode)
	}
	if len(h.core.calls) != calls {
		t.Errorf("work was done: %v", h.core.calls[calls:])
	}
	if !strings.Contains(h.log.String(), "10.0.0.9") {
		t.Error("the operator was not told")
	}
}

// What is not somebody's to answer is said to them, and no fault the operator hears
// of: whoever is asked could fill the log with it.
func TestAnUnfitAnswerIsNoFault(t *testing.T) {
	t.Parallel()
	h := open(t)
	b := h.signedIn()
	for _, cause := range []error{&verify.Unfit{Reason: "mutual"}, flow.ErrWeak} {
		h.core.fail = cause
		for _, decision := range []string{"yes", "no"} {
			if a := b.do("POST", "/approve/"+goodLink, b.form("decision", decision, "number", "47", "factor", "passkey", "answer", "{}")); a.StatusCode != 200 {
				t.Errorf("%v: %s: %d", cause, decision, a.StatusCode)
			}
		}
	}
	if log := h.log.String(); strings.Contains(log, "request failed") {
		t.Error(log)
	}
}
