package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// rule says which of our own packages a package may import. The first rule
// whose pattern matches counts; a package no rule matches is a failure, so that
// a new room has to be given its place.
type rule struct {
	pattern string // path.Match below the module, or a folder with /...
	may     []string
	why     string
}

var everything = []string{"..."}

// rules is design: who may import whom. Dependencies point one way, from the
// doors to the core to what the core needs, and never round.
var rules = []rule{
	{"cmd/postern", everything, "the program is where all parts meet"},
	{"portal/portaltest", everything, "the harness builds the same program as cmd/postern"},

	{"portal", []string{"portal/web", "portal/api", "portal/telemetry", "portal/limit"},
		"the server mounts the doors and knows nothing of what is behind them"},
	{"portal/web", []string{"portal/flow", "portal/enrol", "portal/desk", "portal/kiosk", "portal/access", "portal/policy", "portal/session",
		"portal/limit", "portal/i18n", "portal/audit", "portal/password", "portal/web/view", "directory", "verify", "verify/*", "templates", "static", "locales"},
		"a door asks services; it never reaches past them to a store, a transport or a back end"},
	{"portal/api", []string{"portal/flow", "portal/enrol", "portal/desk", "portal/kiosk", "portal/access", "portal/policy", "portal/session",
		"portal/limit", "portal/i18n", "portal/audit", "portal/password", "directory", "verify"},
		"a door asks services; it never reaches past them to a store, a transport or a back end"},
	{"portal/web/view", []string{"portal/i18n", "portal/notify", "portal/access", "portal/audit", "portal/policy", "portal/password", "directory", "verify", "verify/totp", "templates", "static", "locales"},
		"a page is made of what is in its struct; a view that could ask a service would decide something"},
	{"portal/flow/...", []string{"portal/flow", "portal/access", "portal/audit", "portal/notify", "portal/limit", "portal/policy", "portal/password", "directory", "verify"},
		"the core knows no HTTP, no SQL and no LDAP, so that every door gets the same decisions"},
	{"portal/enrol/...", []string{"portal/enrol", "portal/access", "portal/audit", "portal/notify", "portal/limit", "portal/policy", "portal/password", "directory", "verify"},
		"the core knows no HTTP, no SQL and no LDAP, so that every door gets the same decisions"},
	{"portal/desk/...", []string{"portal/desk", "portal/flow", "portal/kiosk", "portal/access", "portal/audit", "portal/notify", "portal/limit", "portal/policy", "portal/password", "directory", "verify"},
		"technicians start cases like any door; there is no second flow"},
	{"portal/store/...", []string{"portal/store", "portal/flow", "portal/enrol", "portal/desk", "portal/kiosk", "portal/access", "portal/audit",
		"portal/notify", "portal/policy", "portal/session", "directory", "verify"},
		"the store implements interfaces that its users declare, and nothing uses it back"},
	{"portal/job", []string{"portal/flow", "portal/audit", "portal/notify", "portal/store", "portal/policy", "directory", "verify"},
		"jobs carry out what was committed; they answer no request"},
	{"portal/ship", []string{"portal/audit", "portal/notify", "directory"}, "what is sent was committed and sealed before; it decides nothing"},
	{"portal/telemetry", []string{"directory"}, "logs and metrics are told things; they ask nothing"},
	{"portal/notify/...", []string{"portal/notify", "directory", "verify"}, "a transport carries text; who gets it and why is decided before"},
	{"portal/limit/...", []string{"directory"}, "the limits know names and keys, not what is limited"},
	{"portal/policy", []string{"portal/access", "directory", "verify"}, "a plan differs by door, and knows nothing else"},
	{"portal/kiosk", []string{"portal/access", "portal/audit", "portal/notify", "portal/policy", "directory", "verify"},
		"a device has rights and a name; who stands before it is the core's to find out"},
	{"portal/session", []string{"portal/access", "portal/policy", "directory", "verify"}, "a session holds who is signed in and what for, and decides nothing"},
	{"portal/*", []string{"directory", "verify"}, "these rooms stand side by side on directory and verify and do not see each other"},

	{"verify/verifytest", []string{"verify", "directory"}, "the suite every factor passes"},
	{"verify/passkey/...", []string{"verify", "verify/passkey", "directory"}, "a factor knows itself and nobody's store, page or policy"},
	{"verify/yubikey/...", []string{"verify", "verify/yubikey", "directory"}, "a factor knows itself and nobody's store, page or policy"},
	{"verify/*", []string{"verify", "directory"}, "a factor knows itself and nobody's store, page or policy"},
	{"verify", []string{"directory"}, "what a proof is needs only whom it is about"},

	{"directory/directorytest", []string{"directory", "directory/*", "directory/internal/*"}, "the suite every back end passes"},
	{"directory/internal/...", []string{"directory", "directory/internal/*"}, "shared by the LDAP dialects, not a place for either"},
	{"directory/*", []string{"directory", "directory/internal/*"}, "one dialect each; a dialect that used another would be neither"},
	{"directory", nil, "the ground floor"},

	{"static", nil, "files, and what embeds them"},
	{"templates", nil, "files, and what embeds them"},
	{"locales", nil, "files, and what embeds them"},
}

// homes gives every large library one home: it can then be replaced, patched
// or fenced in at one place. Tests may drive what they test with its library.
var homes = []struct {
	library string // import path, or the beginning of it
	homes   []string
	why     string
}{
	{"github.com/gofiber/fiber", []string{"portal", "portal/web", "portal/api"}, "its defaults are unsafe and are overridden there"},
	{"github.com/pires/go-proxyproto", []string{"portal"}, "who the client is is found out once"},
	{"github.com/valyala/fasthttp", []string{"portal", "portal/web", "portal/api"}, "request buffers are used again: what leaves the doors is a copy"},
	{"github.com/jackc/pgx", []string{"portal/store"}, "SQL is written in one room"},
	{"modernc.org/sqlite", []string{"portal/store"}, "SQL is written in one room"},
	{"github.com/pressly/goose", []string{"portal/store"}, "SQL is written in one room"},
	{"database/sql", []string{"portal/store", "portal/job"}, "SQL is written in one room; jobs hand its transactions to River"},
	{"github.com/riverqueue/river", []string{"portal/job", "portal/store"}, "the store inserts jobs in its transactions, and job works them"},
	{"github.com/redis/go-redis", []string{"portal/limit"}, "nothing but limits may be lost with it"},
	{"github.com/sony/gobreaker", []string{"portal/limit", "portal/store", "verify/yubikey"}, "what is asked while it is broken is decided where it is asked"},
	{"github.com/ulule/limiter", []string{"portal/limit"}, "its defaults fail open"},
	{"github.com/go-ldap/ldap", []string{"directory/internal/ldapconn", "directory/ad", "directory/openldap", "directory/embedded", "directory/directorytest"},
		"escaping, deadlines and pools are got right once; the embedded server reads filters with the client's own grammar"},
	{"github.com/go-asn1-ber", []string{"directory/internal/ldapconn", "directory/ad", "directory/openldap", "directory/embedded"}, "its packet limit is 2 GiB unless set"},
	{"github.com/jimlambrt/gldap", []string{"directory/embedded"}, "an LDAP server belongs to the demo alone"},
	{"github.com/microsoftgraph", []string{"directory/entra"}, "it takes minutes to compile"},
	{"github.com/Azure/azure-sdk-for-go", []string{"directory/entra"}, "it takes minutes to compile"},
	{"github.com/microsoft/kiota", []string{"directory/entra"}, "it takes minutes to compile"},
	{"github.com/go-webauthn/webauthn", []string{"verify/passkey"}, "user verification and deadlines are off by default"},
	{"github.com/pquerna/otp", []string{"verify/totp"}, "its Validate accepts an empty secret"},
	{"github.com/wneessen/go-mail", []string{"portal/notify/smtp"}, "mail leaves through one door"},
	{"github.com/nyaruka/phonenumbers", []string{"portal/notify/sms"}, "numbers are read in one place"},
	{"github.com/twilio/twilio-go", []string{"portal/notify/sms"}, "SMS leave through one door"},
	{"github.com/nicksnyder/go-i18n", []string{"portal/i18n"}, "text is a key and arguments until there"},
	{"github.com/tink-crypto/tink-go", []string{"portal/store"}, "secrets at rest are sealed in one place"},
	{"github.com/prometheus/client_golang", []string{"portal/telemetry"}, "others report through a function they are given"},
	{"golang.org/x/mod/sumdb", []string{"portal/audit"}, "what is signed is written and read in one place"},
	{"github.com/leodido/go-syslog", []string{"portal/ship"}, "one way out of the record"},
	{"github.com/spf13/cobra", []string{"cmd/postern"}, "only the program has a command line"},
	{"go.yaml.in/yaml", []string{"cmd/postern"}, "only the program reads a configuration file"},
	{"gopkg.in/yaml", nil, "there is one YAML library, in cmd/postern"},
	{"github.com/chromedp", []string{"portal/portaltest"}, "browsers are for tests"},
	{"testing", nil, "nothing of the test framework is linked into the program"},
}

// harnesses are packages for tests alone. They drive what they test with its
// own libraries, and nothing of the program may import them.
var harnesses = []string{"directory/directorytest", "portal/portaltest", "portal/flow/flowtest", "portal/store/storetest", "portal/limit/limittest", "verify/verifytest",
	"verify/passkey/passkeytest", "verify/yubikey/yubikeytest"}

// ownTestImports are what tests may import beside what their package may: the
// harnesses, and neighbours to try a thing with.
var ownTestImports = append([]string{"directory/embedded", "verify", "verify/*", "directory", "directory/*", "portal/*", "portal/web/view", "static", "templates", "locales"}, harnesses...)

const module = "postern"

type listed struct {
	ImportPath, Name     string
	Imports, TestImports []string
	XTestImports         []string
}

func TestNobodyImportsWhatTheyMayNot(t *testing.T) {
	packages := list(t)
	if len(packages) < 10 {
		t.Fatalf("go list found %d packages: the rules were not tried", len(packages))
	}
	for _, p := range packages {
		name := ours(p.ImportPath)
		r, ok := ruleFor(name)
		if !ok {
			t.Errorf("%s: no rule says what it may import; give it its place in the table", name)
			continue
		}
		for _, dep := range p.Imports {
			for _, broken := range broken(name, dep, r) {
				t.Error(broken)
			}
		}
		if slices.Contains(r.may, "...") {
			continue
		}
		withTests := rule{r.pattern, slices.Concat(r.may, ownTestImports, []string{name}), "tests drive their package; they do not build the program"}
		for _, dep := range slices.Concat(p.TestImports, p.XTestImports) {
			if own, is := strings.CutPrefix(dep, module+"/"); is && !matchAny(withTests.may, own) {
				t.Errorf("the tests of %s import %s: %s", name, own, withTests.why)
			}
		}
	}
}

// The demo's page and its directory must be out of reach of everything but demo.
func TestNothingButTheProgramLinksTheDemo(t *testing.T) {
	for _, p := range list(t) {
		if slices.Contains(p.Imports, module+"/directory/embedded") && !slices.Contains([]string{"cmd/postern", "portal/portaltest"}, ours(p.ImportPath)) {
			t.Errorf("%s imports directory/embedded, which belongs to demo alone", ours(p.ImportPath))
		}
	}
}

// Within the program, too, only demo's own files touch the demo's directory.
func TestOnlyDemoTouchesTheDemosDirectory(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	found := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			if i.Path.Value != `"`+module+`/directory/embedded"` {
				continue
			}
			found++
			if !strings.HasPrefix(name, "demo") {
				t.Errorf("%s imports directory/embedded", name)
			}
		}
	}
	if found == 0 {
		t.Error("nobody imports it: the test looks for the wrong name")
	}
}

// The table itself can fail: what it forbids is found.
func TestImportRulesCatchWhatTheyForbid(t *testing.T) {
	for _, c := range []struct {
		from, to string
		wrong    bool
	}{
		{"portal/flow", "postern/portal/store", true},
		{"portal/flow", "github.com/gofiber/fiber/v2", true},
		{"portal/flow", "database/sql", true},
		{"portal/flow", "postern/verify", false},
		{"portal/web", "github.com/gofiber/fiber/v2", false},
		{"portal/web", "postern/portal/store", true},
		{"portal/store", "github.com/riverqueue/river/riverdriver/riversqlite", false},
		{"directory/ad", "postern/directory/openldap", true},
		{"directory/ad", "postern/directory/internal/ldapconn", false},
		{"directory", "postern/verify", true},
		{"verify/totp", "postern/portal/store", true},
		{"verify/totp", "github.com/pquerna/otp/totp", false},
		{"portal/policy", "postern/portal/audit", true},
		{"portal/audit", "testing", true},
		{"cmd/postern", "modernc.org/sqlite", true},
		{"cmd/postern", "postern/portal/portaltest", true},
		{"portal/store/storetest", "database/sql", false},
	} {
		r, ok := ruleFor(c.from)
		if !ok {
			t.Fatalf("no rule for %s", c.from)
		}
		if got := broken(c.from, c.to, r); (len(got) > 0) != c.wrong {
			t.Errorf("%s importing %s: %v", c.from, c.to, got)
		}
	}
	if _, ok := ruleFor("utils"); ok {
		t.Error("a package nobody planned has a rule")
	}
}

func broken(name, dep string, r rule) []string {
	var out []string
	if own, is := strings.CutPrefix(dep, module+"/"); is {
		if !matchAny(r.may, own) {
			out = append(out, fmt.Sprintf("%s imports %s: %s", name, own, r.why))
		}
		if slices.Contains(harnesses, own) && !slices.Contains(harnesses, name) {
			out = append(out, fmt.Sprintf("%s imports %s, which is for tests alone", name, own))
		}
		return out
	}
	if slices.Contains(harnesses, name) {
		return out
	}
	for _, h := range homes {
		if dep != h.library && !strings.HasPrefix(dep, h.library+"/") {
			continue
		}
		if !slices.Contains(h.homes, name) {
			out = append(out, fmt.Sprintf("%s imports %s, whose home is %s: %s", name, dep, strings.Join(h.homes, ", "), h.why))
		}
		break // the first that fits is the most exact
	}
	return out
}

func ruleFor(name string) (rule, bool) {
	i := slices.IndexFunc(rules, func(r rule) bool { return matches(r.pattern, name) })
	if i < 0 {
		return rule{}, false
	}
	return rules[i], true
}

func matchAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, name) })
}

func matches(pattern, name string) bool {
	if pattern == "..." {
		return true
	}
	if folder, ok := strings.CutSuffix(pattern, "/..."); ok {
		return name == folder || strings.HasPrefix(name, folder+"/")
	}
	ok, err := path.Match(pattern, name)
	return err == nil && ok
}

func ours(importPath string) string { return strings.TrimPrefix(importPath, module+"/") }

func list(t *testing.T) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Name,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}
