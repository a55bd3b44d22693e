package portal

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"postern/locales"
	"postern/portal/flow"
	"postern/portal/i18n"
	"postern/portal/web/view"
	"postern/static"
	"postern/templates"
	"postern/verify"
)

// looks is the real renderer, as the program builds it.
func looks(t testing.TB) func(*Options) {
	t.Helper()
	bundle, err := i18n.Load(i18n.Options{}, locales.Files)
	if err != nil {
		t.Fatal(err)
	}
	files, err := static.New(static.Options{})
	if err != nil {
		t.Fatal(err)
	}
	renderer, err := view.New(view.Options{Templates: templates.Files, Bundle: bundle, Static: files.URL, PublicURL: "https://" + publicHost})
	if err != nil {
		t.Fatal(err)
	}
	return func(o *Options) {
		o.Web.Renderer, o.Web.Languages, o.Web.Static, o.Web.Demo = renderer, bundle, files, demo{}
	}
}

// node finds elements in a page.
type node struct{ *html.Node }

func parse(t testing.TB, body []byte) node {
	t.Helper()
	n, err := html.Parse(strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	return node{n}
}

func (n node) all(tag string) (list []node) {
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && (tag == "" || d.Data == tag) {
			list = append(list, node{d})
		}
	}
	return list
}

func (n node) attr(name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func (n node) has(name string) bool {
	return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == name })
}

// visitor walks by what the pages say, as a person would.
type visitor struct{ *tab }

func (v visitor) page(path string) node {
	v.t.Helper()
	a := v.get(path)
	if a.StatusCode != 200 {
		v.t.Fatalf("%s: %d to %q", path, a.StatusCode, a.Header.Get("Location"))
	}
	return v.read(a)
}

func (v visitor) read(a answer) node {
	n := parse(v.t, a.body)
	for _, i := range n.all("input") {
		if i.attr("name") == "csrf" {
			v.csrf = i.attr("value")
		}
	}
	return n
}

func (h *house) visitor() visitor { return visitor{h.tab()} }

func (v visitor) through(path string, steps ...[]string) visitor {
	v.t.Helper()
	v.page(path)
	for _, s := range steps {
		if a := v.post(s[0], s[1:]...); a.StatusCode != 303 {
			v.t.Fatalf("%v: %d", s, a.StatusCode)
		} else if next := a.Header.Get("Location"); next != "/" {
			v.page(next)
		}
	}
	return v
}

// places are ways to every page there is. Each begins anew.
var (
	atReset   = []string{"/recover/start", "purpose", "reset", "login", "alice"}
	atTOTP    = []string{"/recover/choose", "factor", "totp"}
	proveTOTP = []string{"/recover/answer", "answer", "123456"}
	atCodes   = []string{"/recover/choose", "factor", "recovery_code"}
	proveCode = []string{"/recover/answer", "answer", "saved-code"}
	setNew    = []string{"/recover/password", "password", "correct horse", "confirm", "correct horse"}
	atSignIn  = []string{"/signin/start", "login", "alice", "current", "Current-1"}
)

func places() map[string]func(*house) (visitor, node) {
	reset := func(steps ...[]string) func(*house) (visitor, node) {
		return func(h *house) (visitor, node) {
			v := h.visitor().through("/recover/reset", steps...)
			return v, v.page("/recover")
		}
	}
	edited := func(change func(*flow.Case)) func(*house) (visitor, node) {
		return func(h *house) (visitor, node) {
			v := h.visitor().through("/recover/reset", atReset)
			h.core.edit(h.t, change)
			return v, v.page("/recover")
		}
	}
	just := func(path string) func(*house) (visitor, node) {
		return func(h *house) (visitor, node) {
			v := h.visitor()
			return v, v.page(path)
		}
	}
	mine := func(path string, post ...string) func(*house) (visitor, node) {
		return func(h *house) (visitor, node) {
			v := h.visitor().through("/signin", atSignIn, []string{"/signin/choose", "factor", "totp"}, []string{"/signin/answer", "answer", "123456"})
			h.own.mu.Lock()
			h.own.methods = []verify.Credential{{ID: "cred1", Kind: verify.TOTP, Name: `<img src=x onerror=alert(1)>`, Created: h.now()}}
			h.own.mu.Unlock()
			if post == nil {
				return v, v.page(path)
			}
			v.page("/me")
			return v, v.read(v.post(path, post...))
		}
	}
	return map[string]func(*house) (visitor, node){
		"home": just("/"), "reset": just("/recover/reset"), "unlock": just("/recover/unlock"), "change": just("/recover/change"),
		"signin": just("/signin"), "help": just("/help/passkeys"), "demo": just("/demo"),
		"approve": just("/approve/" + goodLink), "not me": just("/notme/" + goodLink), "welcome": just("/link/" + goodLink), "snooze": just("/link/" + sleepy),
		"choose": reset(atReset), "answer totp": reset(atReset, atTOTP), "second choose": reset(atReset, atTOTP, proveTOTP),
		"answer passkey": reset(atReset, []string{"/recover/choose", "factor", "passkey"}),
		"new password":   reset(atReset, atTOTP, proveTOTP, atCodes, proveCode),
		"done":           reset(atReset, atTOTP, proveTOTP, atCodes, proveCode, setNew),
		"refused":        edited(func(c *flow.Case) { c.Closed = flow.ReasonTries }),
		"applying":       edited(func(c *flow.Case) { c.Outcome.Status = flow.InFlight }),
		"wait":           edited(func(c *flow.Case) { c.Open = &verify.Challenge{Kind: verify.Approval, Expires: c.Expires} }),
		"expired":        edited(func(c *flow.Case) { c.Expires = c.Created }),
		"nameless": func(h *house) (visitor, node) {
			v := h.visitor().through("/signin", []string{"/signin/start", "factor", "passkey"})
			return v, v.page("/signin")
		},
		"signin choose": func(h *house) (visitor, node) {
			v := h.visitor().through("/signin", atSignIn)
			return v, v.page("/signin")
		},
		"step-up": func(h *house) (visitor, node) {
			v, _ := mine("/me")(h)
			h.pass(11 * time.Minute)
			v.page("/me/factors")
			v.post("/me/factors/totp/offer")
			return v, v.page("/signin")
		},
		"wrong code": func(h *house) (visitor, node) {
			v := h.visitor().through("/recover/reset", atReset, atTOTP)
			return v, v.read(v.post("/recover/answer", "answer", "000000"))
		},
		"empty login": func(h *house) (visitor, node) {
			v := h.visitor().through("/recover/reset")
			return v, v.read(v.post("/recover/start", "purpose", "reset", "login", ""))
		},
		"not found": func(h *house) (visitor, node) {
			v := h.visitor()
			return v, v.read(v.get("/nowhere"))
		},
		"me": mine("/me"), "factors": mine("/me/factors"), "activity": mine("/me/activity"), "remove": mine("/me/factors/cred1/remove"),
		"offer totp": mine("/me/factors/totp/offer", []string{}...), "offer passkey": mine("/me/factors/passkey/offer", []string{}...), "offer codes": mine("/me/factors/recovery_code/offer", []string{}...),
		"wrong reply": func(h *house) (visitor, node) {
			v, _ := mine("/me/factors/totp/offer", []string{}...)(h)
			return v, v.read(v.post("/me/factors/totp/enrol", "answer", "000000", "name", "Phone"))
		},
		"kept": keeping(mine("/me/methods")), "me with kept": keeping(mine("/me")), "remove kept": keeping(mine("/me/methods/tel/remove")),
		"pass":     keeping(mine("/me/pass", "once", anyOnce)),
		"bad name": mine("/me/factors/cred1/rename", "name", ""),
	}
}

// keeping reaches a place in a house whose directory keeps methods.
func keeping(reach func(*house) (visitor, node)) func(*house) (visitor, node) {
	return func(h *house) (visitor, node) {
		h.own.keeping()
		return reach(h)
	}
}

// Security case 47: nothing in a page runs or is fetched from elsewhere, and
// names are inert. And every form there is posts, as it stands, to a route that
// takes exactly its fields.
func TestEveryPageAndItsForms(t *testing.T) {
	t.Parallel()
	look := looks(t)
	for name, reach := range places() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t, look)
			_, n := reach(h)
			inert(t, n)
			forms := 0
			for _, f := range n.all("form") {
				if f.attr("method") != "post" {
					t.Errorf("a form by %q", f.attr("method"))
				}
				forms += len(submits(f))
			}
			for i := range forms {
				v, n := reach(h)
				nth(t, v, n, i)
			}
		})
	}
}

// submits lists the buttons of a form that send it; a form that script shows
// the button of has one as well.
func submits(f node) (list []node) {
	for _, b := range f.all("button") {
		if b.attr("type") != "button" {
			list = append(list, b)
		}
	}
	return list
}

// nth posts by the i-th button of a page.
func nth(t *testing.T, v visitor, n node, i int) {
	t.Helper()
	for _, f := range n.all("form") {
		for _, b := range submits(f) {
			if i--; i >= 0 {
				continue
			}
			fields := url.Values{}
			for _, in := range f.all("input") {
				if in.attr("name") != "" {
					fields.Set(in.attr("name"), in.attr("value"))
				}
			}
			if b.attr("name") != "" {
				fields.Set(b.attr("name"), b.attr("value"))
			}
			to := f.attr("action")
			if b.has("formaction") {
				to = b.attr("formaction")
			}
			a := v.do("POST", to, fields.Encode())
			if !slices.Contains([]int{200, 303, 409, 422, 429}, a.StatusCode) {
				t.Errorf("POST %s %v: %d", to, fields, a.StatusCode)
			}
			inert(t, v.read(a))
			return
		}
	}
}

func inert(t *testing.T, n node) {
	t.Helper()
	for _, e := range n.all("") {
		for _, a := range e.Attr {
			switch {
			case a.Key == "style", strings.HasPrefix(a.Key, "on"):
				t.Errorf("<%s %s=%q>: inline", e.Data, a.Key, a.Val)
			case a.Key == "src" || a.Key == "action" || a.Key == "formaction" || a.Key == "href" && e.Data == "link":
				if !strings.HasPrefix(a.Val, "/") || strings.HasPrefix(a.Val, "//") {
					t.Errorf("<%s %s=%q>: elsewhere", e.Data, a.Key, a.Val)
				}
			case a.Key == "href" && !strings.HasPrefix(a.Val, "/") && !strings.HasPrefix(a.Val, "?") && !strings.HasPrefix(a.Val, "#") && !strings.HasPrefix(a.Val, "tel:") && !strings.HasPrefix(a.Val, "mailto:") && !strings.HasPrefix(a.Val, "otpauth:"):
				t.Errorf("<%s href=%q>: elsewhere", e.Data, a.Val)
			}
		}
		if e.Data == "style" || e.Data == "script" && (!e.has("src") || e.FirstChild != nil) {
			t.Errorf("<%s> inline", e.Data)
		}
		if e.Data == "img" && e.attr("src") == "x" {
			t.Error("a name became an element")
		}
	}
}
