package sms

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"

	"postern/directory"
	"postern/portal/notify"
)

// Provider of SMS.
type Provider string

const (
	ByGateway Provider = "gateway" // whatever takes an HTTP request
	ByTwilio  Provider = "twilio"
)

// Config is one way to send SMS.
type Config struct {
	Provider Provider `yaml:"provider"` // empty: no SMS
	// Region is the country of numbers that are written without one, Countries
	// those that may be written to, empty for Region alone. See NewNumbers.
	Region    string   `yaml:"region"`
	Countries []string `yaml:"countries"`
	// CAFile is a PEM file of the authorities to believe instead of the system's.
	CAFile string `yaml:"ca_file"`
	// AllowPrivate lets the server be in a private network. The machine's own
	// metadata and link-local addresses are refused all the same.
	AllowPrivate bool `yaml:"allow_private"`
	// Timeout for one message, from dialling to the server's yes.
	Timeout time.Duration `yaml:"timeout"`
	Gateway Gateway       `yaml:"gateway"`
	Twilio  Twilio        `yaml:"twilio"`
}

// Gateway is one HTTP request that sends an SMS, and how its answer says so.
type Gateway struct {
	Method string `yaml:"method"` // POST or GET
	// URL begins with https:, or with http: when it is on this machine.
	URL string `yaml:"url"`
	// Username and Password to sign in with (HTTP basic authentication). Without
	// a Username, Password is for {{.Password}} in Body. It is a reference,
	// file:PATH or env:NAME, and PasswordSecret what it refers to.
	Username       string           `yaml:"username"`
	Password       string           `yaml:"password"`
	PasswordSecret directory.Secret `yaml:"-"`
	Headers        []Header         `yaml:"headers"`
	// IdempotencyHeader carries the message's id, the same at every attempt, for
	// gateways that recognise a second one by a header. Others take {{.ID}} in Body.
	IdempotencyHeader string `yaml:"idempotency_header"`
	// ContentType of Body: application/json, application/x-www-form-urlencoded,
	// application/xml, text/xml or text/plain. GET has none.
	ContentType string `yaml:"content_type"`
	// Body is the template of the body, or with GET of the query: {{.To}}
	// (+491701234567), {{.Digits}} (the same without +), {{.Text}}, {{.ID}} and
	// {{.Password}}, through json, urlquery or xml.
	Body    string  `yaml:"body"`
	Success Success `yaml:"success"`
}

// Header of a request. Its value is Value followed by the secret.
type Header struct {
	Name     string           `yaml:"name"`
	Value    string           `yaml:"value"`
	Secret   string           `yaml:"secret"` // a reference, file:PATH or env:NAME
	Resolved directory.Secret `yaml:"-"`
}

// Success is when a gateway has taken a message: all of it holds.
type Success struct {
	Status []int `yaml:"status"`
	// JSON is a path in the answer, like messages.0.status, and Equals the values
	// that mean yes.
	JSON   string   `yaml:"json"`
	Equals []string `yaml:"equals"`
	Body   string   `yaml:"body"` // a regular expression found in the answer
}

// Twilio is an account with Twilio.
type Twilio struct {
	AccountSID string `yaml:"account_sid"`
	// APIKey is the SID of the key that Token is the secret of; empty: Token is
	// the account's own. Token is a reference, Secret what it refers to.
	APIKey string           `yaml:"api_key"`
	Token  string           `yaml:"token"`
	Secret directory.Secret `yaml:"-"`
	// One of From, a number or a name, and MessagingService, its SID.
	From             string `yaml:"from"`
	MessagingService string `yaml:"messaging_service"`
	// URL is that of another region, like https://api.dublin.ie1.twilio.com.
	URL string `yaml:"url"`
}

// DefaultConfig has no provider: there are no SMS until one is named.
func DefaultConfig() Config {
	return Config{
		Timeout: 10 * time.Second,
		Gateway: Gateway{Method: "POST", ContentType: "application/json", Success: Success{Status: []int{200, 201, 202}}},
		Twilio:  Twilio{URL: "https://api.twilio.com"},
	}
}

// On reports whether a provider is named.
func (c Config) On() bool { return c.Provider != "" }

// Resolve sets every secret that is used to what its reference refers to.
func (c *Config) Resolve(secret func(key, reference string) directory.Secret) {
	switch c.Provider {
	case ByGateway:
		c.Gateway.PasswordSecret = secret("gateway.password", c.Gateway.Password)
		for i := range c.Gateway.Headers {
			h := &c.Gateway.Headers[i]
			h.Resolved = secret(fmt.Sprintf("gateway.headers[%d].secret", i), h.Secret)
		}
	case ByTwilio:
		c.Twilio.Secret = secret("twilio.token", c.Twilio.Token)
	}
}

// Validate returns every fault, each beginning with the name of its key. It
// reads CAFile, and asks nobody.
func (c Config) Validate() []error {
	var faults []error
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if !c.On() {
		if c.Gateway.URL != "" || c.Twilio.AccountSID != "" {
			add("provider: missing; gateway or twilio")
		}
		return faults
	}
	if _, err := NewNumbers(c.Region, c.Countries); err != nil {
		faults = append(faults, err)
	}
	if _, err := notify.Authorities(c.CAFile); err != nil {
		add("ca_file: %w", err)
	}
	if c.Timeout < time.Second || c.Timeout > 25*time.Second {
		add("timeout: %s is not between 1s and 25s", c.Timeout)
	}
	switch c.Provider {
	case ByGateway:
		for _, err := range c.Gateway.validate() {
			add("gateway.%w", err)
		}
	case ByTwilio:
		for _, err := range c.Twilio.validate() {
			add("twilio.%w", err)
		}
	default:
		add("provider: %q is not one of gateway, twilio", c.Provider)
	}
	return faults
}

var (
	headerName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)
	// ours are headers that say how the request is framed, or that have a key of
	// their own.
	ours = regexp.MustCompile(`(?i)^(host|connection|content-(length|type|encoding)|transfer-encoding|te|trailer|upgrade|expect|keep-alive|proxy-.*)$`)
	// confidential are headers that hold what must not stand in the configuration.
	confidential = regexp.MustCompile(`(?i)auth|key|token|secret|password|cookie|signature`)
)

func (g Gateway) validate() []error {
	var faults []error
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if g.Method != "POST" && g.Method != "GET" {
		add("method: %q is not one of POST, GET", g.Method)
	}
	if _, err := parseEndpoint(g.URL); err != nil {
		add("url: %w", err)
	}
	if g.Username != "" && g.Password == "" && g.PasswordSecret.Empty() {
		add("password: missing beside username")
	}
	if strings.ContainsFunc(g.Username, control) || strings.Contains(g.Username, ":") {
		add("username: has a colon or control characters")
	}
	seen := map[string]bool{}
	for i, h := range g.Headers {
		name := strings.ToLower(h.Name)
		switch {
		case !headerName.MatchString(h.Name) || ours.MatchString(h.Name):
			add("headers[%d].name: %q is not a header to set here", i, h.Name)
		case seen[name], name == strings.ToLower(g.IdempotencyHeader), name == "authorization" && g.Username != "":
			add("headers[%d].name: %s is set already", i, h.Name)
		}
		seen[name] = true
		literal := h.Secret == "" && h.Resolved.Empty()
		switch {
		case literal && h.Value == "":
			add("headers[%d].value: give value, secret or both", i)
		case literal && confidential.MatchString(h.Name):
			add("headers[%d].value: belongs into secret, as file:PATH or env:NAME; files of configuration are shown around", i)
		case strings.ContainsFunc(h.Value, control):
			add("headers[%d].value: has control characters", i)
		}
	}
	if h := g.IdempotencyHeader; h != "" && (!headerName.MatchString(h) || ours.MatchString(h)) {
		add("idempotency_header: %q is not a header to set here", h)
	}
	faults = append(faults, g.validateBody()...)
	for _, err := range g.Success.validate() {
		add("success.%w", err)
	}
	return faults
}

func (g Gateway) validateBody() []error {
	b, err := parseBody(g)
	if err != nil {
		return []error{err}
	}
	hasPassword := g.Password != "" || !g.PasswordSecret.Empty()
	switch {
	case b.password && !hasPassword:
		return []error{errors.New("password: missing, and body asks for it")}
	case hasPassword && g.Username == "" && !b.password:
		return []error{errors.New("password: nothing uses it; give username, or put {{.Password}} into body")}
	case hasPassword && g.Username != "" && b.password:
		return []error{errors.New("username: leave it out when body asks for the password")}
	}
	if err := b.try(); err != nil {
		return []error{err}
	}
	return nil
}

func (s Success) validate() []error {
	var faults []error
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if len(s.Status) == 0 {
		add("status: name at least one, like 200")
	}
	for i, n := range s.Status {
		if n < 200 || n > 299 {
			add("status[%d]: %d is not between 200 and 299", i, n)
		}
	}
	if (s.JSON == "") != (len(s.Equals) == 0) {
		add("equals: json and equals go together")
	}
	if _, err := regexp.Compile(s.Body); err != nil {
		add("body: %w", err)
	}
	return faults
}

var (
	accountSID = regexp.MustCompile(`^AC[0-9a-f]{32}$`)
	keySID     = regexp.MustCompile(`^SK[0-9a-f]{32}$`)
	serviceSID = regexp.MustCompile(`^MG[0-9a-f]{32}$`)
	// A number, a short code, or a name of up to 11 with a letter in it.
	sender = regexp.MustCompile(`^(\+[1-9][0-9]{6,14}|[0-9]{3,8}|[A-Za-z0-9 _+&-]{0,10}[A-Za-z][A-Za-z0-9 _+&-]{0,10})$`)
)

func (w Twilio) validate() []error {
	var faults []error
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if !accountSID.MatchString(w.AccountSID) {
		add("account_sid: is not AC and 32 of 0-9 and a-f")
	}
	if w.APIKey != "" && !keySID.MatchString(w.APIKey) {
		add("api_key: is not SK and 32 of 0-9 and a-f; the key's secret belongs into token")
	}
	if w.Token == "" && w.Secret.Empty() {
		add("token: missing, as file:PATH or env:NAME")
	}
	if (w.From == "") == (w.MessagingService == "") {
		add("from: give either from or messaging_service")
	}
	if w.From != "" && (!sender.MatchString(w.From) || w.From[0] != '+' && len(w.From) > 11) {
		add("from: %q is neither a number like +491701234567, a short code nor a name of up to 11 characters", w.From)
	}
	if w.MessagingService != "" && !serviceSID.MatchString(w.MessagingService) {
		add("messaging_service: is not MG and 32 of 0-9 and a-f")
	}
	if e, err := parseEndpoint(w.URL); err != nil {
		add("url: %w", err)
	} else if e.url.Path != "" && e.url.Path != "/" || e.url.RawQuery != "" {
		add("url: has more than a host")
	}
	return faults
}

// endpoint is a URL that may be asked.
type endpoint struct {
	url       *url.URL
	name      string // host without port
	host      string // host with port
	encrypted bool
	local     bool // this machine
}

func parseEndpoint(s string) (endpoint, error) {
	u, err := url.Parse(s)
	switch {
	case s == "":
		return endpoint{}, errors.New("missing, like https://sms.example.org/send")
	case err != nil: // not its own words: they quote it, and there may be a password in it
		return endpoint{}, errors.New("is not a URL like https://sms.example.org/send")
	case u.User != nil:
		return endpoint{}, errors.New("holds a name or a password; they have keys of their own")
	case u.Fragment != "" || strings.Contains(s, "#"):
		return endpoint{}, errors.New("has a # part, which is never sent")
	}
	e := endpoint{url: u, name: u.Hostname(), encrypted: u.Scheme == "https"}
	ip, notIP := netip.ParseAddr(e.name)
	e.local = e.name == "localhost" || notIP == nil && ip.IsLoopback()
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return endpoint{}, errors.New("must begin with https://")
	case u.Scheme == "http" && !e.local:
		return endpoint{}, errors.New("http is for a gateway on this machine (localhost, 127.0.0.1, ::1); SMS carry codes")
	case notIP != nil && !hostPattern.MatchString(e.name):
		return endpoint{}, errors.New("has no proper host")
	}
	port := u.Port()
	if port == "" {
		port = map[bool]string{true: "443", false: "80"}[e.encrypted]
	}
	e.host = net.JoinHostPort(e.name, port)
	return e, nil
}

var hostPattern = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,252}[A-Za-z0-9])?$`)

func control(r rune) bool { return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 }
