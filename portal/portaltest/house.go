package portaltest

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"postern/directory/directorytest"
	"postern/directory/embedded"
)

// House is one real directory with what scenarios need of it.
type House struct {
	Name string
	// Section is its entry under `directories:`, in YAML.
	Section string
	// Secret is the service account's password, for the file the entry names.
	Secret string
	// Login names the sample people; Address and Password are theirs.
	Address, Password func(login string) string
	Lock              func(login string) error
	// Locked reports whether the directory says so now.
	Locked func(login string) (bool, error)
	// Whoami proves a password with OpenLDAP's own ldapwhoami.
	Whoami func(ctx context.Context, login, password string) error
	Stop   func()
	// One of these is the directory itself, for tests that act on it as its
	// administrator would.
	DC     *directorytest.DC
	LDAP   *directorytest.Server
	Sample *embedded.Server
}

// secretFile is where the entry's bind_password points to.
const secretFile = "service.password"

// Samba starts a domain controller.
func Samba(ctx context.Context, opts ...directorytest.Option) (*House, error) {
	dc, err := directorytest.StartSamba(ctx, "", opts...)
	if err != nil {
		return nil, err
	}
	return &House{Name: "samba", Section: section("ad", dc.URL, dc.CAFile, dc.ServiceDN, dc.PeopleDN, ""), Secret: dc.ServicePassword,
		Address: func(l string) string { return dc.Person(l).Mail }, Password: func(l string) string { return dc.Person(l).Password },
		Lock: dc.Lock, Stop: dc.Stop, DC: dc,
		Locked: func(l string) (bool, error) {
			e, err := dc.Entry(dc.Person(l).DN, "lockoutTime")
			if err != nil {
				return false, err
			}
			v := e.GetAttributeValue("lockoutTime")
			return v != "" && v != "0", nil
		},
		Whoami: func(ctx context.Context, l, pw string) error {
			_, err := dc.Whoami(ctx, dc.Person(l).DN, pw)
			return err
		}}, nil
}

// Slapd starts an OpenLDAP.
func Slapd(ctx context.Context, opts ...directorytest.Option) (*House, error) {
	s, err := directorytest.StartSlapd(ctx, "", opts...)
	if err != nil {
		return nil, err
	}
	return slapdHouse(s), nil
}

func slapdHouse(s *directorytest.Server) *House {
	return &House{Name: "slapd", Section: section("openldap", s.URL, s.CAFile, s.ServiceDN, s.PeopleDN, "default_policy: "+s.PolicyDN), Secret: s.ServicePassword,
		Address: func(l string) string { return s.Person(l).Mail }, Password: func(l string) string { return s.Person(l).Password },
		Lock: s.Lock, Stop: s.Stop, LDAP: s,
		Locked: func(l string) (bool, error) {
			e, err := s.Entry(s.Person(l).DN, "pwdAccountLockedTime")
			return err == nil && e.GetAttributeValue("pwdAccountLockedTime") != "", err
		},
		Whoami: func(ctx context.Context, l, pw string) error {
			_, err := s.Whoami(ctx, s.Person(l).DN, pw)
			return err
		}}
}

// Embedded starts the directory of the demo, with OpenLDAP's client against it.
func Embedded(ctx context.Context, dir string) (*House, error) {
	people, err := embedded.SamplePeople(rand.Reader)
	if err != nil {
		return nil, err
	}
	// It ends with ctx, which here is only how long starting may take.
	s, err := embedded.Start(context.WithoutCancel(ctx), embedded.Config{Dir: dir, Listen: "127.0.0.1:0", People: people})
	if err != nil {
		return nil, err
	}
	person := func(login string) embedded.Person {
		for _, p := range s.People() {
			if p.Login == login {
				return p
			}
		}
		return embedded.Person{}
	}
	passwords := map[string]string{}
	for _, p := range s.People() {
		passwords[p.Login] = p.Password.Reveal()
	}
	e := directorytest.Endpoint{URL: s.URL(), CAFile: s.CAFile()}
	return &House{Name: "embedded", Section: section("ad", s.URL(), s.CAFile(), s.ServiceDN(), s.PeopleDN(), ""), Secret: s.ServicePassword().Reveal(),
		Address: func(l string) string { return person(l).Mail }, Password: func(l string) string { return passwords[l] },
		Lock: func(l string) error {
			for range 6 { // by wrong passwords, the only way there is
				if person(l).Locked {
					return nil
				}
				_, _ = e.Whoami(context.Background(), person(l).DN, "not-the-password-1")
			}
			return fmt.Errorf("portaltest: %s is not locked", l)
		},
		Locked: func(l string) (bool, error) { return person(l).Locked, nil },
		Stop:   func() { s.Close() },
		Sample: s,
		Whoami: func(ctx context.Context, l, pw string) error {
			_, err := e.Whoami(ctx, person(l).DN, pw)
			return err
		}}, nil
}

func section(kind, url, ca, service, base, more string) string {
	lines := []string{"  - name: house", "    " + kind + ":", "      servers: [" + url + "]", "      ca_file: " + ca,
		fmt.Sprintf("      bind_dn: %q", service), "      bind_password: file:" + secretFile, fmt.Sprintf("      base_dn: %q", base),
		"      dial_timeout: 5s", "      request_timeout: 5s"} // a busy machine is no outage
	if more != "" {
		lines = append(lines, "      "+more)
	}
	return strings.Join(lines, "\n") + "\n"
}

// settled lets people use what they enrolled a moment ago, unless more says
// otherwise: scenarios cannot wait for a day.
func settled(more string) string {
	const none = "policy:\n  cooling_off: 0s\n"
	switch {
	case strings.Contains(more, "cooling_off"):
		return more
	case strings.Contains(more, "policy:\n"):
		return strings.Replace(more, "policy:\n", none, 1)
	}
	return more + none
}

// Serve starts `postern serve` before h, with keys, store and mail sink of its
// own in dir. more is added to the configuration.
func Serve(ctx context.Context, bin, dir string, h *House, more string) (*Portal, error) {
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	sink, err := NewMailSink()
	if err != nil {
		return nil, err
	}
	url := fmt.Sprintf("http://localhost:%d", port)
	if err := prepare(ctx, bin, dir, h, configOf(url, port, sink, h, more)); err != nil {
		return nil, err
	}
	p, err := Run(ctx, bin, dir, url, "serve", "--config", filepath.Join(dir, "postern.yaml"))
	if err != nil {
		return nil, err
	}
	p.Mail = sink
	return p, nil
}

// configOf a portal that people reach at url and that listens on port.
func configOf(url string, port int, sink *MailSink, h *House, more string) string {
	return fmt.Sprintf(`public_url: %s
listen: 127.0.0.1:%d
keys: keys.json
store:
  path: postern.db
brand:
  organisation: example.org
  support: "555 0100"
mail:
  host: 127.0.0.1
  port: %s
  tls: none
  from: postern@example.org
directories:
%s%s`, url, port, strings.TrimPrefix(sink.Addr, "127.0.0.1:"), h.Section, settled(more))
}

// prepare writes the configuration and the keys.
func prepare(ctx context.Context, bin, dir string, h *House, config string) error {
	for name, content := range map[string]string{"postern.yaml": config, secretFile: h.Secret} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return Command(ctx, bin, "keys", "create", filepath.Join(dir, "keys.json"))
}

// codeInMail is a code on a line of its own; a receipt never is.
var codeInMail = regexp.MustCompile(`(?m)^\s*([A-HJ-NP-Z2-9]{4}-[A-HJ-NP-Z2-9]{4})\s*$`)

// Code waits for a code mailed to an address after the first `after` mails.
func (p *Portal) Code(ctx context.Context, after int, to string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, m, err := p.Mail.Wait(ctx, after, to, codeInMail)
	if err != nil {
		return "", err
	}
	return m[1], nil
}
