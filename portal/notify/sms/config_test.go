package sms

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/directory"
)

func gatewayConfig() Config {
	c := DefaultConfig()
	c.Provider, c.Region = ByGateway, "DE"
	c.Gateway.URL, c.Gateway.Body = "https://sms.example.org/send", jsonBody
	return c
}

func twilioConfig() Config {
	c := DefaultConfig()
	c.Provider, c.Region = ByTwilio, "DE"
	c.Twilio.AccountSID, c.Twilio.Token, c.Twilio.From = "AC"+strings.Repeat("0a", 16), "env:T", "+4915735980000"
	return c
}

func TestWhatIsFine(t *testing.T) {
	form := func(body string) func(*Config) {
		return func(c *Config) { c.Gateway.ContentType, c.Gateway.Body = "application/x-www-form-urlencoded", body }
	}
	for name, change := range map[string]func(*Config){
		"as it is":         func(*Config) {},
		"no SMS":           func(c *Config) { *c = DefaultConfig() },
		"IPv6":             func(c *Config) { c.Gateway.URL = "https://[2001:db8::1]:8443/send?x=1" },
		"this machine":     func(c *Config) { c.Gateway.URL = "http://localhost:13013/cgi-bin/sendsms" },
		"digits":           form("to={{.Digits}}&text={{urlquery .Text}}"),
		"another abroad":   form("to=00{{.Digits}}&text={{urlquery .Text}}&ref={{.ID}}"),
		"a comment":        form("{{/* as their manual says */}}to={{.To | urlquery}}&text={{.Text | urlquery}}"),
		"with words ahead": form("to={{urlquery .To}}&text=Postern%3A+{{urlquery .Text}}"),
		"a number":         func(c *Config) { c.Gateway.Body = `{"to":[{{.Digits}}],"text":{{json .Text}}}` },
		"two headers": func(c *Config) {
			c.Gateway.Headers = []Header{{Name: "Accept", Value: "text/plain"}, {Name: "X-A", Value: "b"}}
		},
		"twilio":         func(c *Config) { *c = twilioConfig() },
		"twilio, a name": func(c *Config) { *c = twilioConfig(); c.Twilio.From = "Postern" },
		"twilio, a key":  func(c *Config) { *c = twilioConfig(); c.Twilio.APIKey = "SK" + strings.Repeat("0", 32) },
		"twilio, a service": func(c *Config) {
			*c = twilioConfig()
			c.Twilio.From, c.Twilio.MessagingService = "", "MG"+strings.Repeat("0", 32)
		},
		"twilio, a region": func(c *Config) { *c = twilioConfig(); c.Twilio.URL = "https://api.dublin.ie1.twilio.com/" },
	} {
		t.Run(name, func(t *testing.T) {
			c := gatewayConfig()
			change(&c)
			if faults := c.Validate(); len(faults) > 0 {
				t.Error(faults)
			}
		})
	}
}

func TestEveryFaultNamesItsKey(t *testing.T) {
	notPEM := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(notPEM, []byte("no"), 0o600); err != nil {
		t.Fatal(err)
	}
	address := func(s string) func(*Config) { return func(c *Config) { c.Gateway.URL = s } }
	body := func(kind, s string) func(*Config) {
		return func(c *Config) { c.Gateway.ContentType, c.Gateway.Body = kind, s }
	}
	header := func(h Header) func(*Config) {
		return func(c *Config) { c.Gateway.Headers = []Header{{Name: "X-A", Value: "b"}, h} }
	}
	w := func(change func(*Twilio)) func(*Config) {
		return func(c *Config) { *c = twilioConfig(); change(&c.Twilio) }
	}
	const js, form, xm = "application/json", "application/x-www-form-urlencoded", "application/xml"
	for _, tt := range []struct {
		key    string
		change func(*Config)
	}{
		{"provider", func(c *Config) { c.Provider = "pigeon" }},
		{"provider", func(c *Config) { c.Provider = "" }},
		{"region", func(c *Config) { c.Region = "" }},
		{"countries[0]", func(c *Config) { c.Countries = []string{"Germany"} }},
		{"ca_file", func(c *Config) { c.CAFile = notPEM }},
		{"ca_file", func(c *Config) { c.CAFile = notPEM + "x" }},
		{"timeout", func(c *Config) { c.Timeout = 0 }},
		{"timeout", func(c *Config) { c.Timeout = time.Minute }},
		{"gateway.method", func(c *Config) { c.Gateway.Method = "PUT" }},
		{"gateway.url", address("")},
		{"gateway.url", address("http://sms.example.org/")},
		{"gateway.url", address("http://localhost.example.org/")},
		{"gateway.url", address("http://10.0.0.5/")},
		{"gateway.url", address("gopher://127.0.0.1/")},
		{"gateway.url", address("file:///etc/passwd")},
		{"gateway.url", address("https://")},
		{"gateway.url", address("https://me:pw@sms.example.org/")},
		{"gateway.url", address("https://sms.example.org/#a")},
		{"gateway.url", address("https://sms.example.org/%zz")},
		{"gateway.url", address("https://{{.To}}.example.org/")},
		{"gateway.url", address("sms.example.org")},
		{"gateway.content_type", body("text/html", jsonBody)},
		{"gateway.body", body(js, "")},
		{"gateway.body", body(js, `{"to":{{json .To}}}`)},
		{"gateway.body", body(js, `{"text":{{json .Text}}}`)},
		{"gateway.body", body(js, `{"to":{{json .To}},"text":"{{.Text}}"}`)},
		{"gateway.body", body(js, `{"to":{{json .To}},"text":"{{json .Text}}"}`)},
		{"gateway.body", body(js, `{"to":{{json .To}},"text":"{{urlquery .Text}}"}`)},
		{"gateway.body", body(js, `{"to":{{json .To}},"text":{{json .Text}}`)},
		{"gateway.body", body(form, "to={{urlquery .To}}&text={{.Text}}")},
		{"gateway.body", body(form, "to={{.To}}&text={{urlquery .Text}}")}, // a + is a space
		{"gateway.body", body(form, "to={{urlquery .To}}&text={{json .Text}}")},
		{"gateway.body", body(xm, "<a><to>{{.To}}</to>{{.Text}}</a>")},
		{"gateway.body", body(xm, "<a><to>{{.To}}</to>{{xml .Text}}")},
		{"gateway.body", body("text/plain", "{{.Text}}")},
		{"gateway.body", body(js, `{{json .Phone}}`)},
		{"gateway.body", body(js, `{{json .Text.Code}}`)},
		{"gateway.body", body(js, `{{printf "%s" .Text}}`)},
		{"gateway.body", body(js, `{{len .Text}}`)},
		{"gateway.body", body(js, `{{html .Text}}`)},
		{"gateway.body", body(js, `{{.}}`)},
		{"gateway.body", body(js, `{{if .Text}}a{{end}}`)},
		{"gateway.body", body(js, `{{range .Text}}a{{end}}`)},
		{"gateway.body", body(js, `{{with .Text}}{{.}}{{end}}`)},
		{"gateway.body", body(js, `{{$x := .Text}}{{json $x}}`)},
		{"gateway.body", body(js, `{{(json .Text)}}`)},
		{"gateway.body", body(js, `{{define "a"}}{{end}}`+jsonBody)},
		{"gateway.body", body(js, `{{template "a"}}`)},
		{"gateway.body", body(js, `{{.Text`)},
		{"gateway.password", body(js, `{"to":{{json .To}},"text":{{json .Text}},"p":{{json .Password}}}`)},
		{"gateway.password", func(c *Config) { c.Gateway.Password = "env:P" }},
		{"gateway.password", func(c *Config) { c.Gateway.Username = "me" }},
		{"gateway.username", func(c *Config) {
			body(js, `{"to":{{json .To}},"text":{{json .Text}},"p":{{json .Password}}}`)(c)
			c.Gateway.Username, c.Gateway.Password = "me", "env:P"
		}},
		{"gateway.body", func(c *Config) {
			body(form, "to={{.Digits}}&text={{urlquery .Text}}&p={{.Password}}")(c)
			c.Gateway.Password = "env:P"
		}},
		{"gateway.username", func(c *Config) { c.Gateway.Username, c.Gateway.Password = "me:you", "env:P" }},
		{"gateway.headers[1].name", header(Header{Name: "Host", Value: "x"})},
		{"gateway.headers[1].name", header(Header{Name: "content-length", Value: "0"})},
		{"gateway.headers[1].name", header(Header{Name: "Content-Type", Value: "x"})},
		{"gateway.headers[1].name", header(Header{Name: "Transfer-Encoding", Value: "x"})},
		{"gateway.headers[1].name", header(Header{Name: "X A", Value: "x"})},
		{"gateway.headers[1].name", header(Header{Name: "X-B:", Value: "x"})},
		{"gateway.headers[1].name", header(Header{Name: "", Value: "x"})},
		{"gateway.headers[1].name", header(Header{Name: "x-a", Value: "x"})},
		{"gateway.headers[1].value", header(Header{Name: "X-B"})},
		{"gateway.headers[1].value", header(Header{Name: "X-B", Value: "a\r\nX-C: d"})},
		{"gateway.headers[1].value", header(Header{Name: "Authorization", Value: "Bearer abc"})},
		{"gateway.headers[1].value", header(Header{Name: "X-Api-Key", Value: "abc"})},
		{"gateway.headers[0].name", func(c *Config) {
			c.Gateway.Headers, c.Gateway.Username, c.Gateway.Password = []Header{{Name: "Authorization", Secret: "env:X"}}, "me", "env:P"
		}},
		{"gateway.idempotency_header", func(c *Config) { c.Gateway.IdempotencyHeader = "Host" }},
		{"gateway.success.status", func(c *Config) { c.Gateway.Success.Status = nil }},
		{"gateway.success.status[1]", func(c *Config) { c.Gateway.Success.Status = []int{200, 302} }},
		{"gateway.success.equals", func(c *Config) { c.Gateway.Success.JSON = "a.b" }},
		{"gateway.success.equals", func(c *Config) { c.Gateway.Success.Equals = []string{"yes"} }},
		{"gateway.success.body", func(c *Config) { c.Gateway.Success.Body = "(" }},
		{"twilio.account_sid", w(func(w *Twilio) { w.AccountSID = "AC/../x" })},
		{"twilio.api_key", w(func(w *Twilio) { w.APIKey = "secret" })},
		{"twilio.token", w(func(w *Twilio) { w.Token = "" })},
		{"twilio.from", w(func(w *Twilio) { w.From = "" })},
		{"twilio.from", w(func(w *Twilio) { w.MessagingService = "MG" + strings.Repeat("0", 32) })},
		{"twilio.from", w(func(w *Twilio) { w.From = "A very long name" })},
		{"twilio.messaging_service", w(func(w *Twilio) { w.From, w.MessagingService = "", "MG" })},
		{"twilio.url", w(func(w *Twilio) { w.URL = "http://api.twilio.com" })},
		{"twilio.url", w(func(w *Twilio) { w.URL = "https://api.twilio.com/v1" })},
	} {
		c := gatewayConfig()
		tt.change(&c)
		faults := c.Validate()
		if len(faults) != 1 || !strings.HasPrefix(faults[0].Error(), tt.key+": ") {
			t.Errorf("%s: %v in %+v", tt.key, faults, c)
		}
		if _, err := New(c, time.Now); err == nil {
			t.Errorf("%s: New took it", tt.key)
		}
	}
}

// security case 118: a secret is a reference, and stays out of everything printed.
func TestSecrets(t *testing.T) {
	for name, c := range map[string]Config{"gateway": gatewayConfig(), "twilio": twilioConfig()} {
		t.Run(name, func(t *testing.T) {
			c.Gateway.Headers = []Header{{Name: "X-A", Value: "b"}, {Name: "X-Key", Secret: "env:K"}}
			c.Gateway.Username, c.Gateway.Password = "me", "env:P"
			if _, err := New(c, time.Now); err == nil || !strings.Contains(err.Error(), "was not resolved") {
				t.Fatal(err)
			}
			asked := map[string]string{}
			c.Resolve(func(key, ref string) directory.Secret {
				asked[key] = ref
				if ref == "" {
					return directory.Secret{}
				}
				return directory.NewSecret(secret)
			})
			want := map[string]string{"twilio.token": "env:T"}
			if name == "gateway" {
				want = map[string]string{"gateway.password": "env:P", "gateway.headers[0].secret": "", "gateway.headers[1].secret": "env:K"}
			}
			if fmt.Sprint(asked) != fmt.Sprint(want) {
				t.Errorf("%v, want %v", asked, want)
			}
			if _, err := New(c, time.Now); err != nil {
				t.Fatal(err)
			}
			printed, err := json.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range []string{string(printed), fmt.Sprintf("%v %+v %#v", c, c, c)} {
				if strings.Contains(s, secret) {
					t.Error("printed:", s)
				}
			}
			c.Gateway.Headers[1].Resolved = directory.NewSecret(secret + "\r\nX: y")
			if _, err := New(c, time.Now); name == "gateway" {
				quiet(t, err)
			}
		})
	}
	c := DefaultConfig()
	c.Resolve(func(key, _ string) directory.Secret { t.Error("asked for", key); return directory.Secret{} })
	if _, err := New(c, time.Now); err == nil {
		t.Error("a transport without a provider")
	}
}
