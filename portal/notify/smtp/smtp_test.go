package smtp

import (
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/notify"
)

func config(s *server) Config {
	c := DefaultConfig()
	c.Host, c.Port, c.CAFile = "127.0.0.1", s.port, s.ca
	c.From, c.FromName, c.Timeout = "portal@example.org", "Zugang, Größe & Co", 5*time.Second
	if s.implicit {
		c.TLS = Implicit
	}
	if s.auth {
		c.Username, c.Password, c.Secret = "portal", "env:X", directory.NewSecret("open sesame")
	}
	return c
}

func transport(t *testing.T, c Config) *Transport {
	t.Helper()
	tr, err := New(c, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

var hello = notify.Rendered{Subject: "Ihr Code für Überall", Text: "Code: 1234\n.\nGrüße", HTML: "<p>Code: <b>1234</b> مرحبا</p>", Lang: "de"}

func TestAMessageArrivesWhole(t *testing.T) {
	for name, s := range map[string]*server{
		"starttls": {}, "implicit": {implicit: true}, "signed in": {auth: true}, "signed in, implicit": {auth: true, implicit: true},
	} {
		t.Run(name, func(t *testing.T) {
			start(t, s)
			tr := transport(t, config(s))
			if err := tr.Send(t.Context(), "0191-abc", "ada@example.org", hello); err != nil {
				t.Fatal(err)
			}
			got := s.messages()
			if len(got) != 1 || !got[0].tls || len(got[0].to) != 1 || !strings.HasPrefix(got[0].to[0], "TO:<ada@example.org>") || !strings.HasPrefix(got[0].from, "FROM:<portal@example.org>") {
				t.Fatalf("envelope: %+v", got)
			}
			m, err := mail.ReadMessage(strings.NewReader(got[0].data))
			if err != nil {
				t.Fatal(err)
			}
			for header, want := range map[string]string{
				"Message-Id": "<0191-abc@example.org>", "Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All",
				"Content-Language": "de", "To": "<ada@example.org>", "Cc": "", "Bcc": "", "X-Mailer": "", "User-Agent": "",
			} {
				if g := m.Header.Get(header); g != want {
					t.Errorf("%s: %q, want %q", header, g, want)
				}
			}
			if sub, _ := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject")); sub != hello.Subject {
				t.Errorf("subject %q", sub)
			}
			if from, err := m.Header.AddressList("From"); err != nil || len(from) != 1 || from[0].Name != "Zugang, Größe & Co" || from[0].Address != "portal@example.org" {
				t.Errorf("from %v %v", from, err)
			}
			text, html := parts(t, m)
			if text != "Code: 1234\r\n.\r\nGrüße" || html != hello.HTML {
				t.Errorf("text %q, html %q", text, html)
			}
			if log := s.commands(); strings.Contains(log, "EHLO localhost") || !strings.Contains(log, "EHLO example.org") {
				t.Errorf("the machine's own name went out:\n%s", log)
			}
		})
	}
}

func parts(t *testing.T, m *mail.Message) (text, html string) {
	t.Helper()
	typ, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || typ != "multipart/alternative" {
		t.Fatalf("content type %q: %v", typ, err)
	}
	r := multipart.NewReader(m.Body, params["boundary"])
	var got []string
	for {
		p, err := r.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(quotedprintable.NewReader(p))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, p.Header.Get("Content-Type"), strings.TrimSuffix(string(b), "\r\n"))
	}
	// The last one is the preferred one (RFC 2046 section 5.1.4).
	if len(got) != 4 || !strings.HasPrefix(got[0], "text/plain") || !strings.HasPrefix(got[2], "text/html") {
		t.Fatalf("parts %q", got)
	}
	return got[1], got[3]
}

// security case 61, for mail: no TLS, no mail.
func TestWithoutTheRightTLSNothingIsSaid(t *testing.T) {
	other, _ := certificate(t, "127.0.0.2")
	tests := map[string]struct {
		s      *server
		change func(*server, *Config)
	}{
		"STARTTLS stripped":      {&server{noTLS: true, auth: true}, nil},
		"unknown authority":      {&server{auth: true}, func(_ *server, c *Config) { c.CAFile = "" }},
		"another name":           {&server{auth: true}, func(s *server, _ *Config) { s.cfg.Certificates = other.Certificates }},
		"plain where TLS was":    {&server{noTLS: true, auth: true}, func(_ *server, c *Config) { c.TLS = Implicit }},
		"unknown, TLS from 0":    {&server{implicit: true, auth: true}, func(_ *server, c *Config) { c.CAFile = "" }},
		"a server that is quiet": {&server{silent: true, auth: true}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			start(t, tt.s)
			c := config(tt.s)
			if tt.change != nil {
				tt.change(tt.s, &c)
			}
			ctx := t.Context()
			if tt.s.silent {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, 200*time.Millisecond)
				defer cancel()
			}
			tr := transport(t, c)
			sent := tr.Send(ctx, "id", "ada@example.org", hello)
			_, checked := tr.Check(ctx)
			for what, err := range map[string]error{"Send": sent, "Check": checked} {
				if err == nil {
					t.Errorf("%s: no error", what)
				}
				if errors.As(err, new(notify.Permanent)) {
					t.Errorf("%s: given up for ever: %v", what, err)
				}
			}
			if log := tt.s.commands(); strings.Contains(log, "AUTH") || strings.Contains(log, "MAIL") || strings.Contains(log, "1234") || len(tt.s.messages()) > 0 {
				t.Errorf("it went on:\n%s", log)
			}
		})
	}
}

func TestCheckSignsInAndSendsNothing(t *testing.T) {
	s := start(t, &server{auth: true})
	c := config(s)
	seen, err := transport(t, c).Check(t.Context())
	if err != nil || seen.TLS != "TLS 1.3" || !seen.SignIn || seen.Ends.Before(time.Now()) {
		t.Fatalf("%+v, %v", seen, err)
	}
	if log := s.commands(); !strings.Contains(log, "AUTH PLAIN") || strings.Contains(log, "MAIL") {
		t.Errorf("commands:\n%s", log)
	}
	c.Secret = directory.NewSecret("wrong canary")
	_, err = transport(t, c).Check(t.Context())
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("wrong password: %v", err)
	}
	if err := transport(t, c).Send(t.Context(), "id", "ada@example.org", hello); err == nil || errors.As(err, new(notify.Permanent)) {
		t.Errorf("the operator's fault cost a message: %v", err)
	}
}

func TestWhatIsFinalIsTold(t *testing.T) {
	for name, tt := range map[string]struct {
		s         *server
		permanent bool
	}{
		"no such mailbox":  {&server{rcpt: "550 5.1.1 nobody"}, true},
		"try later":        {&server{rcpt: "451 4.7.1 greylisted"}, false},
		"content refused":  {&server{data: "554 5.7.1 no"}, true},
		"no space now":     {&server{data: "452 4.3.1 full"}, false},
		"mailbox full now": {&server{rcpt: "452 4.2.2 full"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, tt.s)
			err := transport(t, config(s)).Send(t.Context(), "id", "ada@example.org", hello)
			if err == nil || errors.As(err, new(notify.Permanent)) != tt.permanent {
				t.Errorf("permanent should be %v: %v", tt.permanent, err)
			}
			if strings.Contains(err.Error(), "1234") {
				t.Errorf("the code is in the error: %v", err)
			}
		})
	}
}

func TestWhatTheServerTookIsNotSentTwice(t *testing.T) {
	s := start(t, &server{rude: true})
	if err := transport(t, config(s)).Send(t.Context(), "id", "ada@example.org", hello); err != nil || len(s.messages()) != 1 {
		t.Errorf("%v, %d messages", err, len(s.messages()))
	}
}

// security case 49 and CVE-2023-7028: one address, and nothing in it but itself.
func TestNothingCanBeInjected(t *testing.T) {
	s := start(t, &server{})
	tr := transport(t, config(s))
	for _, to := range []string{"", "ada", "ada@example.org,eve@example.org", "ada@example.org\r\nBcc: eve@example.org", "<ada@example.org>", "Ada <ada@example.org>",
		"ada@example.org\n", " ada@example.org", "ada@example.org>\r\nRCPT TO:<eve@example.org", `"a b"@example.org`, "ada@example.org;eve@example.org", strings.Repeat("a", 300) + "@example.org"} {
		if err := tr.Send(t.Context(), "id", to, hello); !errors.As(err, new(notify.Permanent)) {
			t.Errorf("%q: %v", to, err)
		}
	}
	if n := len(s.messages()); n != 0 {
		t.Fatalf("%d messages went out", n)
	}
	evil := notify.Rendered{Subject: "Hi\r\nBcc: eve@example.org\r\n\r\nbody\u2028x", Text: "x\r\n.\r\nMAIL FROM:<eve@example.org>\r\n", Lang: "en\r\nBcc: eve@example.org"}
	if err := tr.Send(t.Context(), "id>\r\nBcc: eve@example.org", "ada@example.org", evil); err != nil {
		t.Fatal(err)
	}
	got := s.messages()
	if len(got) != 1 || len(got[0].to) != 1 {
		t.Fatalf("%+v", got)
	}
	m, err := mail.ReadMessage(strings.NewReader(got[0].data))
	if err != nil {
		t.Fatal(err)
	}
	if m.Header.Get("Bcc") != "" || m.Header.Get("Content-Language") != "" || strings.Contains(m.Header.Get("Message-Id"), "eve") {
		t.Errorf("headers: %v", m.Header)
	}
	if strings.Count(s.commands(), "MAIL FROM") != 1 {
		t.Errorf("a command came out of the text:\n%s", s.commands())
	}
}

func TestPlainOnlyToThisMachine(t *testing.T) {
	s := start(t, &server{noTLS: true})
	c := config(s)
	c.TLS, c.CAFile = None, ""
	if err := transport(t, c).Send(t.Context(), "id", "ada@example.org", hello); err != nil {
		t.Errorf("to 127.0.0.1: %v", err)
	}
	if _, err := dialLoopback(t.Context(), "tcp", "192.0.2.1:25"); err == nil || !strings.Contains(err.Error(), "not on this machine") {
		t.Errorf("whatever localhost resolves to: %v", err)
	}
}

func TestALateMessageIsNotTried(t *testing.T) {
	s := start(t, &server{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := transport(t, config(s)).Send(ctx, "id", "ada@example.org", hello); !errors.Is(err, context.Canceled) || s.commands() != "" {
		t.Errorf("%v\n%s", err, s.commands())
	}
}

func TestValidate(t *testing.T) {
	good := Config{Host: "mail.example.org", TLS: StartTLS, From: "portal@example.org", Timeout: 10 * time.Second}
	if f := good.Validate(); len(f) > 0 {
		t.Fatal(f)
	}
	junk := filepath.Join(t.TempDir(), "junk.pem")
	if err := os.WriteFile(junk, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		path   string
		change func(*Config)
	}{
		{"host", func(c *Config) { c.Host = "mail example" }},
		{"host", func(c *Config) { c.Host = "" }},
		{"port", func(c *Config) { c.Port = 70000 }},
		{"tls", func(c *Config) { c.TLS = "maybe" }},
		{"tls", func(c *Config) { c.TLS = "" }},
		{"tls", func(c *Config) { c.TLS = None }},
		{"username", func(c *Config) { c.TLS, c.Host, c.Username, c.Password = None, "localhost", "u", "env:X" }},
		{"ca_file", func(c *Config) { c.CAFile = junk }},
		{"ca_file", func(c *Config) { c.CAFile = junk + ".none" }},
		{"password", func(c *Config) { c.Username = "u" }},
		{"password", func(c *Config) { c.Password = "env:X" }},
		{"from", func(c *Config) { c.From = "Portal <portal@example.org>" }},
		{"from_name", func(c *Config) { c.FromName = "a\nb" }},
		{"timeout", func(c *Config) { c.Timeout = 0 }},
	}
	for _, tt := range tests {
		c := good
		tt.change(&c)
		f := c.Validate()
		if len(f) != 1 || !strings.HasPrefix(f[0].Error(), tt.path+": ") {
			t.Errorf("want one fault at %s: %v", tt.path, f)
		}
		if _, err := New(c, time.Now); err == nil {
			t.Errorf("%s: New took it", tt.path)
		}
	}
}
