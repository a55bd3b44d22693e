package embedded

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
)

// clock is a time that only the test moves.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.t }

func (c *clock) pass(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.t = c.t.Add(d) }

type fixture struct {
	*Server
	t     *testing.T
	clock *clock
	cfg   Config
}

func started(t *testing.T, change ...func(*Config)) *fixture {
	t.Helper()
	c := &clock{t: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)}
	cfg := Config{Dir: t.TempDir(), Now: c.now}
	for _, f := range change {
		f(&cfg)
	}
	s, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return &fixture{Server: s, t: t, clock: c, cfg: cfg}
}

func (f *fixture) dial() *ldap.Conn {
	f.t.Helper()
	pem, err := os.ReadFile(f.CAFile())
	if err != nil {
		f.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	c, err := ldap.DialURL(f.URL(), ldap.DialWithTLSConfig(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}))
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { c.Close() })
	return c
}

func (f *fixture) service() *ldap.Conn {
	f.t.Helper()
	c := f.dial()
	if err := c.Bind(f.ServiceDN(), f.ServicePassword().Reveal()); err != nil {
		f.t.Fatal(err)
	}
	return c
}

func (f *fixture) person(login string) Person {
	f.t.Helper()
	people := f.People()
	i := slices.IndexFunc(people, func(p Person) bool { return p.Login == login })
	if i < 0 {
		f.t.Fatalf("nobody called %s", login)
	}
	return people[i]
}

func (f *fixture) bind(who, password string) error { return f.dial().Bind(who, password) }

func (f *fixture) entry(dn string, attrs ...string) *ldap.Entry {
	f.t.Helper()
	res, err := f.service().Search(ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)", attrs, nil))
	if err != nil || len(res.Entries) != 1 {
		f.t.Fatalf("read %s: %v", dn, err)
	}
	return res.Entries[0]
}

func quoted(pw string) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(`"` + pw + `"`)) {
		b.WriteByte(byte(u))
		b.WriteByte(byte(u >> 8))
	}
	return b.String()
}

func reset(dn, pw string) *ldap.ModifyRequest {
	m := ldap.NewModifyRequest(dn, nil)
	m.Replace("unicodePwd", []string{quoted(pw)})
	return m
}

func changed(dn, old, pw string) *ldap.ModifyRequest {
	m := ldap.NewModifyRequest(dn, nil)
	m.Delete("unicodePwd", []string{quoted(old)})
	m.Add("unicodePwd", []string{quoted(pw)})
	return m
}

// says fails unless err is that result with a text that begins so.
func says(t *testing.T, err error, code uint16, text string) {
	t.Helper()
	if !ldap.IsErrorWithCode(err, code) || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want %d with %q", err, code, text)
	}
}

func TestListensOnLoopbackAlone(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "192.0.2.1:0", "[::]:0", "example.org:0", "nonsense"} {
		if s, err := Start(t.Context(), Config{Dir: t.TempDir(), Listen: addr, People: []Person{}}); err == nil {
			_ = s.Close()
			t.Errorf("served on %s", addr)
		}
	}
}

func TestNoPlaintext(t *testing.T) {
	f := started(t)
	c, err := ldap.DialURL("ldap://" + strings.TrimPrefix(f.URL(), "ldaps://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetTimeout(5 * time.Second)
	if err := c.Bind(f.ServiceDN(), f.ServicePassword().Reveal()); err == nil {
		t.Error("a bind without TLS worked")
	}
}

func TestBindAnswersAsActiveDirectory(t *testing.T) {
	f := started(t, func(c *Config) {
		people, err := SamplePeople(rand.NewChaCha8([32]byte{1}))
		if err != nil {
			t.Fatal(err)
		}
		c.People = append(people, Person{Login: "left1", Name: "Gone", Password: directory.NewSecret("Amber-Tulip-41"), AccountExpired: true})
	})
	for _, c := range []struct{ login, password, data string }{
		{"user1", "", ""}, {"user1", "wrong", "52e"}, {"locked1", "", "775"}, {"locked1", "wrong", "775"}, {"disabled1", "", "533"},
		{"disabled1", "wrong", "52e"}, {"expired1", "", "532"}, {"mustchange1", "", "773"}, {"mustchange1", "wrong", "52e"}, {"left1", "", "701"},
	} {
		p := f.person(c.login)
		pw := c.password
		if pw == "" {
			pw = p.Password.Reveal()
		}
		err := f.bind(p.DN, pw)
		if c.data == "" {
			if err != nil {
				t.Errorf("%s: %v", c.login, err)
			}
			continue
		}
		says(t, err, ldap.LDAPResultInvalidCredentials, "AcceptSecurityContext error, data "+c.data+",")
	}
	p := f.person("user2")
	for _, name := range []string{p.DN, strings.ToUpper(p.DN), "user2@example.org", "USER2@EXAMPLE.ORG", `EXAMPLE\user2`, `example\USER2`} {
		if err := f.bind(name, p.Password.Reveal()); err != nil {
			t.Errorf("bind as %s: %v", name, err)
		}
	}
	says(t, f.bind("CN=nobody,OU=People,DC=example,DC=org", "x"), ldap.LDAPResultInvalidCredentials, "data 525")
	says(t, f.bind(f.ServiceDN(), "x"), ldap.LDAPResultInvalidCredentials, "data 52e")
	// A library that, unlike go-ldap, lets the empty password through.
	_, err := f.dial().SimpleBind(&ldap.SimpleBindRequest{Username: p.DN, AllowEmptyPassword: true})
	says(t, err, ldap.LDAPResultUnwillingToPerform, "")
}

func TestFiveWrongPasswordsLockForHalfAnHour(t *testing.T) {
	f := started(t)
	p := f.person("user3")
	for range 4 {
		says(t, f.bind(p.DN, "wrong"), ldap.LDAPResultInvalidCredentials, "data 52e")
	}
	if err := f.bind(p.DN, p.Password.Reveal()); err != nil {
		t.Fatalf("after four: %v", err)
	}
	for range 4 {
		says(t, f.bind(p.DN, "wrong"), ldap.LDAPResultInvalidCredentials, "data 52e")
	}
	f.clock.pass(31 * time.Minute) // out of the observation window
	for range 5 {
		says(t, f.bind(p.DN, "wrong"), ldap.LDAPResultInvalidCredentials, "data 52e")
	}
	says(t, f.bind(p.DN, p.Password.Reveal()), ldap.LDAPResultInvalidCredentials, "data 775")
	if e := f.entry(p.DN, "lockoutTime", "badPwdCount", "msDS-User-Account-Control-Computed"); e.GetAttributeValue("badPwdCount") != "5" ||
		e.GetAttributeValue("lockoutTime") == "0" || e.GetAttributeValue("msDS-User-Account-Control-Computed") != "16" {
		t.Errorf("locked: %+v", e.Attributes)
	}
	f.clock.pass(31 * time.Minute)
	// As in AD, lockoutTime stays until somebody gets in: it alone says nothing.
	if e := f.entry(p.DN, "lockoutTime", "msDS-User-Account-Control-Computed"); e.GetAttributeValue("lockoutTime") == "0" || e.GetAttributeValue("msDS-User-Account-Control-Computed") != "0" {
		t.Errorf("after the lockout: %+v", e.Attributes)
	}
	if err := f.bind(p.DN, p.Password.Reveal()); err != nil {
		t.Errorf("after half an hour: %v", err)
	}
}

// Security case 9: parallel guesses are counted one by one.
func TestParallelGuessesCannotPassTheLockout(t *testing.T) {
	f := started(t)
	p := f.person("user4")
	conns := make([]*ldap.Conn, 20)
	for i := range conns {
		conns[i] = f.dial()
	}
	var wg sync.WaitGroup
	for _, c := range conns {
		wg.Go(func() { _ = c.Bind(p.DN, "wrong") })
	}
	wg.Wait()
	if n := f.entry(p.DN, "badPwdCount").GetAttributeValue("badPwdCount"); n != "5" {
		t.Errorf("%s guesses were weighed, want 5", n)
	}
}

func TestStrangersSeeTheRootAlone(t *testing.T) {
	f := started(t)
	c := f.dial()
	res, err := c.Search(ldap.NewSearchRequest("", ldap.ScopeBaseObject, 0, 0, 0, false, "(objectClass=*)", nil, nil))
	if err != nil || len(res.Entries) != 1 {
		t.Fatal(err)
	}
	root := res.Entries[0]
	if root.GetAttributeValue("defaultNamingContext") != f.BaseDN() || root.GetAttributeValue("supportedLDAPVersion") != "3" ||
		!slices.Contains(root.GetAttributeValues("supportedControl"), oidPolicyHints) || root.GetAttributeValue("currentTime") != "20260301090000.0Z" {
		t.Errorf("rootDSE %+v", root.Attributes)
	}
	_, err = c.Search(ldap.NewSearchRequest(f.BaseDN(), ldap.ScopeWholeSubtree, 0, 0, 0, false, "(objectClass=user)", nil, nil))
	says(t, err, ldap.LDAPResultOperationsError, "000004DC")
	// A failed bind leaves a connection that was somebody as nobody (RFC 4511 section 4.2.1).
	s := f.service()
	if s.Bind(f.person("user1").DN, "wrong") == nil {
		t.Fatal("a wrong password bound")
	}
	_, err = s.Search(ldap.NewSearchRequest(f.BaseDN(), ldap.ScopeBaseObject, 0, 0, 0, false, "(objectClass=*)", nil, nil))
	says(t, err, ldap.LDAPResultOperationsError, "000004DC")
}

func TestDomainHeadHasThePolicy(t *testing.T) {
	e := started(t).entry(baseDN)
	for attr, want := range map[string]string{"minPwdLength": "10", "pwdProperties": "1", "pwdHistoryLength": "5", "minPwdAge": "0",
		"lockoutThreshold": "5", "lockoutDuration": "-18000000000", "lockOutObservationWindow": "-18000000000", "maxPwdAge": "-315360000000000"} {
		if got := e.GetAttributeValue(attr); got != want {
			t.Errorf("%s is %q, want %q", attr, got, want)
		}
	}
}

func TestRestartKeepsEverything(t *testing.T) {
	f := started(t)
	s, p, q := f.service(), f.person("user9"), f.person("user10")
	if err := s.Modify(reset(p.DN, "Fresh-Harvest-22")); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		_ = f.bind(q.DN, "wrong")
	}
	guid := f.entry(p.DN, "objectGUID").GetRawAttributeValue("objectGUID")
	oldService := f.ServicePassword().Reveal()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{dataFile, "ldap-ca.pem"} {
		info, err := os.Stat(filepath.Join(f.cfg.Dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
	content, err := os.ReadFile(filepath.Join(f.cfg.Dir, dataFile))
	if err != nil || strings.Contains(string(content), "Fresh-Harvest-22") || strings.Contains(string(content), oldService) {
		t.Errorf("the file holds a chosen password: %v", err)
	}
	g := started(t, func(c *Config) { c.Dir, c.Now = f.cfg.Dir, f.clock.now })
	if err := g.bind(p.DN, "Fresh-Harvest-22"); err != nil {
		t.Errorf("the new password is lost: %v", err)
	}
	says(t, g.bind(q.DN, q.Password.Reveal()), ldap.LDAPResultInvalidCredentials, "data 775")
	if now := g.entry(p.DN, "objectGUID").GetRawAttributeValue("objectGUID"); string(now) != string(guid) {
		t.Error("the objectGUID changed")
	}
	if !g.person("user9").Password.Empty() || g.person("user11").Password.Empty() {
		t.Error("sample passwords: a chosen one is shown, or an unchanged one is not")
	}
	says(t, g.bind(g.ServiceDN(), oldService), ldap.LDAPResultInvalidCredentials, "data 52e")
}

// When the file cannot be written nothing has happened: not a password, and not
// an uncounted guess.
func TestNothingHappensWithoutTheFile(t *testing.T) {
	f := started(t)
	s, p := f.service(), f.person("user12")
	if err := os.RemoveAll(f.cfg.Dir); err != nil {
		t.Fatal(err)
	}
	says2 := func(err error) {
		t.Helper()
		if !ldap.IsErrorWithCode(err, ldap.LDAPResultBusy) {
			t.Errorf("got %v, want busy", err)
		}
	}
	says2(s.Modify(reset(p.DN, "Fresh-Harvest-22")))
	says2(s.Bind(p.DN, "wrong"))
	if err := s.Bind(p.DN, p.Password.Reveal()); err != nil {
		t.Errorf("the old password: %v", err)
	}
}

func TestDamagedFileIsRefused(t *testing.T) {
	for _, content := range []string{"", "{", `{"version": 99}`, "[]"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, dataFile), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := Start(t.Context(), Config{Dir: dir}); err == nil {
			_ = s.Close()
			t.Errorf("started on %q", content)
		}
	}
}

func TestCloseSendsEverybodyAway(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s, err := Start(ctx, Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{Server: s, t: t}
	c := f.service()
	raw, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	raw.Close()
	cancel() // the end of the context closes it
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := c.Search(ldap.NewSearchRequest("", ldap.ScopeBaseObject, 0, 0, 0, false, "(objectClass=*)", nil, nil)); err == nil {
		t.Error("still answering")
	}
}
