package sms

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/notify"
)

func TestAMessageArrivesWhole(t *testing.T) {
	s := serve(t, true, says(200, yes))
	if err := transport(t, config(s)).Send(t.Context(), "0191-abc.1f", "0170 1234567", hello); err != nil {
		t.Fatal(err)
	}
	got := s.requests()
	if len(got) != 1 || got[0].method != "POST" || got[0].uri != "/send?account=7" {
		t.Fatalf("%+v", got)
	}
	var m map[string]string
	if err := json.Unmarshal([]byte(got[0].body), &m); err != nil {
		t.Fatal(err)
	}
	if m["to"] != number || m["message"] != hello.Text || m["ref"] != "0191-abc.1f" || len(m) != 3 {
		t.Errorf("%v", m)
	}
	for name, want := range map[string]string{"Authorization": "Bearer " + secret, "Idempotency-Key": "0191-abc.1f",
		"Content-Type": "application/json", "User-Agent": "Postern", "Cookie": "", "Referer": ""} {
		if g := got[0].header.Get(name); g != want {
			t.Errorf("%s: %q, want %q", name, g, want)
		}
	}
}

// odd are texts that end a string, a field, a header or a document somewhere.
var odd = []string{
	`","to":"+4366012345678","x":"`, "a&to=%2B4366012345678&b=c", "</text><to>+4366012345678</to><text>", "]]>", "<!-- a",
	"line\nBcc: x\n\nbody", `back\slash "quote" 'single'`, "{{.Password}} {{json .To}}", "emoji 🦊 مرحبا", "100 % + # ; = ?", "\\u0022\\", "&#34;&quot;",
}

func TestNoTextBreaksOutOfTheRequest(t *testing.T) {
	s := serve(t, true, says(200, "OK"))
	form := func(text string) (string, string, error) {
		v, err := url.ParseQuery(text)
		if err == nil && (len(v) != 3 || len(v["to"]) != 1 || len(v["text"]) != 1 || v.Get("p") != secret) {
			err = errors.New("other fields: " + text)
		}
		return v.Get("to"), v.Get("text"), err
	}
	tests := map[string]struct {
		change func(*Gateway)
		read   func(request) (to, text string, err error)
	}{
		"JSON": {func(g *Gateway) { g.Body = jsonBody }, func(r request) (string, string, error) {
			var m map[string]string
			err := json.Unmarshal([]byte(r.body), &m)
			if err == nil && len(m) != 3 {
				err = errors.New("other fields: " + r.body)
			}
			return m["to"], m["message"], err
		}},
		"form": {func(g *Gateway) {
			g.ContentType, g.Body = "application/x-www-form-urlencoded", "to={{urlquery .To}}&text={{.Text | urlquery}}&p={{urlquery .Password}}"
			g.Password, g.PasswordSecret = "env:P", directory.NewSecret(secret)
		}, func(r request) (string, string, error) { return form(r.body) }},
		"query": {func(g *Gateway) {
			g.Method, g.Body = "GET", "to={{urlquery .To}}&text={{urlquery .Text}}&p={{urlquery .Password}}"
			g.Password, g.PasswordSecret = "env:P", directory.NewSecret(secret)
		}, func(r request) (string, string, error) {
			if r.body != "" || r.header.Get("Content-Type") != "" {
				return "", "", errors.New("a GET with a body")
			}
			rest, ok := strings.CutPrefix(r.uri, "/send?account=7&")
			if !ok {
				return "", "", errors.New(r.uri)
			}
			return form(rest)
		}},
		"XML": {func(g *Gateway) {
			g.ContentType, g.Body = "application/xml", `<sms to="{{xml .To}}"><text>{{xml .Text}}</text></sms>`
		}, func(r request) (string, string, error) {
			var m struct {
				To   string   `xml:"to,attr"`
				Text []string `xml:"text"`
				Any  []string `xml:",any"`
			}
			err := xml.Unmarshal([]byte(r.body), &m)
			if err == nil && (len(m.Text) != 1 || len(m.Any) > 0) {
				return "", "", errors.New("other elements: " + r.body)
			}
			return m.To, strings.Join(m.Text, ""), err
		}},
		"text": {func(g *Gateway) { g.ContentType, g.Body = "text/plain", "{{.To}}|{{.Text}}" }, func(r request) (string, string, error) {
			to, text, _ := strings.Cut(r.body, "|")
			return to, text, nil
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := config(s)
			c.Gateway.Success = Success{Status: []int{200}, Body: "^OK"}
			tt.change(&c.Gateway)
			tr := transport(t, c)
			for _, text := range odd {
				before := len(s.requests())
				if err := tr.Send(t.Context(), "id", number, notify.Rendered{Text: text}); err != nil {
					t.Fatalf("%q: %v", text, err)
				}
				all := s.requests()
				if len(all) != before+1 {
					t.Fatalf("%q: %d requests", text, len(all)-before)
				}
				if to, got, err := tt.read(all[before]); err != nil || to != number || got != text {
					t.Errorf("%q: to %q, text %q, %v", text, to, got, err)
				}
			}
		})
	}
}

func TestSigningInWithAName(t *testing.T) {
	s := serve(t, true, says(200, yes))
	c := config(s)
	c.Gateway.Headers, c.Gateway.Username, c.Gateway.Password, c.Gateway.PasswordSecret = nil, "postern", "env:P", directory.NewSecret(secret)
	if err := transport(t, c).Send(t.Context(), "id", number, hello); err != nil {
		t.Fatal(err)
	}
	r := http.Request{Header: s.requests()[0].header}
	if user, password, ok := r.BasicAuth(); !ok || user != "postern" || password != secret {
		t.Errorf("%q %q %v", user, password, ok)
	}
}

// security case 115: what a gateway answers moves nothing and is shown nowhere.
func TestWhatAGatewayAnswers(t *testing.T) {
	echo := func(status int) http.HandlerFunc { // the code, the number, the secret, wherever a server can put them
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Echo", r.Header.Get("Authorization"))
			w.WriteHeader(status)
			io.WriteString(w, `{"error":"cannot send '`+hello.Text+`' to `+number+` with `+secret+`"}`)
		}
	}
	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusTemporaryRedirect)
		}
	}
	raw := func(answer string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			io.WriteString(c, answer)
			c.Close()
		}
	}
	tests := map[string]struct {
		answer    http.HandlerFunc
		permanent bool
		fine      bool
	}{
		"yes":                         {says(200, yes), false, true},
		"another yes":                 {says(200, `{"messages":[{"state":"sent"},{"state":"no"}]}`), false, true},
		"no, with 200":                {says(200, `{"messages":[{"state":"rejected"}]}`), false, false},
		"nothing, with 200":           {says(200, ""), false, false},
		"a proxy's page, with 200":    {says(200, "<html>queued "+code+"</html>"), false, false},
		"yes and something more":      {says(200, yes+yes), false, false},
		"yes too deep":                {says(200, `{"messages":[{"state":{"state":"queued"}}]}`), false, false},
		"an empty list":               {says(200, `{"messages":[]}`), false, false},
		"deep":                        {says(200, strings.Repeat("[", 60_000)), false, false},
		"yes with another status":     {says(201, yes), false, false},
		"a huge body":                 {says(200, `{"messages":[{"state":"queued"}],"x":"`+strings.Repeat(code, 1<<17)+`"}`), false, false},
		"refused, with an echo":       {echo(400), true, false},
		"not let in, with an echo":    {echo(401), true, false},
		"too slow for it":             {echo(408), false, false},
		"broken, with an echo":        {echo(500), false, false},
		"unavailable, with an echo":   {echo(503), false, false},
		"not changed":                 {says(304, ""), false, false},
		"redirect to metadata":        {redirect("http://169.254.169.254/latest/" + code), false, false},
		"redirect to itself":          {redirect("/send?" + code), false, false},
		"redirect to gopher":          {redirect("gopher://127.0.0.1:25/" + code), false, false},
		"redirect that is no URL":     {redirect(":" + code + "%zz"), false, false},
		"an echo instead of HTTP":     {raw(hello.Text + "\r\n\r\n"), false, false},
		"an echo in the status":       {raw("HTTP/1.1 " + code + " OK\r\n\r\n"), false, false},
		"an echo in a header":         {raw("HTTP/1.1 200 OK\r\n" + hello.Text + "\r\n\r\n"), false, false},
		"an echo as length":           {raw("HTTP/1.1 200 OK\r\nContent-Length: " + code + "\r\n\r\n"), false, false},
		"an echo as encoding":         {raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: " + code + "\r\n\r\n"), false, false},
		"an echo as chunk":            {raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + code + "\r\n"), false, false},
		"cut short":                   {raw("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + yes), false, false},
		"headers without end":         {raw("HTTP/1.1 200 OK\r\nX: " + strings.Repeat(code, 1<<14)), false, false},
		"hung up":                     {raw(""), false, false},
		"a switch of protocols":       {raw("HTTP/1.1 101 " + code + "\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"), false, false},
		"early hints, and nothing":    {raw("HTTP/1.1 103 " + code + "\r\n\r\n"), false, false},
		"two answers, the first says": {raw("HTTP/1.1 500 no\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n" + yes), false, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := serve(t, true, tt.answer)
			err := transport(t, config(s)).Send(t.Context(), "id", number, hello)
			if n := len(s.requests()); n != 1 {
				t.Errorf("%d requests", n)
			}
			if tt.fine {
				if err != nil {
					t.Error(err)
				}
				return
			}
			quiet(t, err)
			if _, permanent := errors.AsType[notify.Permanent](err); permanent != tt.permanent {
				t.Errorf("permanent %v: %v", permanent, err)
			}
		})
	}
}

func TestAMarkerInMoreThanIsReadIsNone(t *testing.T) {
	for size, fine := range map[int]bool{maxAnswer: true, maxAnswer + 1: false} {
		s := serve(t, true, says(200, "OK"+strings.Repeat(".", size-2)))
		c := config(s)
		c.Gateway.Success = Success{Status: []int{200}, Body: "^OK"}
		if err := transport(t, c).Send(t.Context(), "id", number, hello); (err == nil) != fine {
			t.Errorf("%d bytes: %v", size, err)
		}
		// Without a marker nothing of it matters.
		c.Gateway.Success.Body = ""
		if err := transport(t, c).Send(t.Context(), "id", number, hello); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func TestAServerThatWantsToBeLeftAloneIs(t *testing.T) {
	now := time.Date(2030, 5, 1, 12, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		status int
		after  string
		want   time.Duration
	}{
		"seconds":            {429, "30", 30 * time.Second},
		"a date":             {429, now.Add(40 * time.Second).Format(http.TimeFormat), 40 * time.Second},
		"nothing":            {429, "", 10 * time.Second},
		"nonsense":           {429, code, 10 * time.Second},
		"a year":             {429, "31536000", maxWait},
		"more than there is": {429, "9223372036854775807", maxWait},
		"another century":    {429, now.AddDate(100, 0, 0).Format(http.TimeFormat), maxWait},
		"the past":           {429, now.AddDate(-1, 0, 0).Format(http.TimeFormat), time.Second},
		"less than nothing":  {429, "-5", time.Second},
		"unavailable":        {503, "30", 30 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			busy := true
			s := serve(t, true, func(w http.ResponseWriter, r *http.Request) {
				if !busy {
					says(200, yes)(w, r)
					return
				}
				w.Header().Set("Retry-After", tt.after)
				says(tt.status, hello.Text)(w, r)
			})
			clock := now
			tr, err := New(config(s), func() time.Time { return clock })
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // by the server, and then without asking it
				err = tr.Send(t.Context(), "id", number, hello)
				quiet(t, err)
				e, ok := errors.AsType[*Throttled](err)
				if _, permanent := errors.AsType[notify.Permanent](err); !ok || permanent || !e.Until.Equal(now.Add(tt.want)) {
					t.Fatalf("%v, want %s", err, tt.want)
				}
				clock = now.Add(tt.want - time.Nanosecond)
			}
			busy, clock = false, now.Add(tt.want)
			if err := tr.Send(t.Context(), "id", number, hello); err != nil {
				t.Fatal(err)
			}
			if n := len(s.requests()); n != 2 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

func TestASlowServerIsGivenUp(t *testing.T) {
	for name, begun := range map[string]bool{"no answer": false, "no end": true} {
		t.Run(name, func(t *testing.T) {
			over := make(chan struct{})
			s := serve(t, true, func(w http.ResponseWriter, r *http.Request) {
				if begun {
					says(200, yes)(w, r)
					if err := http.NewResponseController(w).Flush(); err != nil {
						t.Error(err)
					}
				}
				<-over
			})
			t.Cleanup(func() { close(over) })
			c := config(s)
			short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			c.Timeout = time.Second
			tr := transport(t, c)
			for what, ctx := range map[string]context.Context{"the caller's deadline": short, "its own": t.Context()} {
				err := tr.Send(ctx, "id", number, hello)
				quiet(t, err)
				if !errors.Is(err, context.DeadlineExceeded) || errors.As(err, new(notify.Permanent)) {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
}

func TestWhatCannotBeSentIsGivenUpWithoutAsking(t *testing.T) {
	s := serve(t, true, says(200, yes))
	tr := transport(t, config(s))
	for name, tt := range map[string]struct{ id, to, text string }{
		"no number":       {"id", "", "x"},
		"another country": {"id", "+41781234567", "x"},
		"premium":         {"id", "+499001234567", "x"},
		"two numbers":     {"id", number + "," + number, "x"},
		"no text":         {"id", number, " \n"},
		"not text":        {"id", number, "\xff"},
		"four SMS":        {"id", number, strings.Repeat(code+" ", 47)},
		"no id":           {"", number, "x"},
	} {
		t.Run(name, func(t *testing.T) {
			err := tr.Send(t.Context(), tt.id, tt.to, notify.Rendered{Text: tt.text})
			quiet(t, err)
			if !errors.As(err, new(notify.Permanent)) {
				t.Errorf("tried again: %v", err)
			}
		})
	}
	if n := s.connections(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

// An id is the store's; one that could end a header or a field is hashed.
func TestAnIdIsPlain(t *testing.T) {
	s := serve(t, true, says(200, yes))
	tr := transport(t, config(s))
	for range 2 {
		if err := tr.Send(t.Context(), "a\r\nX: y\"", number, hello); err != nil {
			t.Fatal(err)
		}
	}
	got := s.requests()
	first, second := got[0].header.Get("Idempotency-Key"), got[1].header.Get("Idempotency-Key")
	if len(first) != 32 || !idPattern.MatchString(first) || first != second {
		t.Errorf("%q %q", first, second)
	}
}

func TestCheckSendsNothing(t *testing.T) {
	for _, encrypted := range []bool{true, false} {
		s := serve(t, encrypted, says(200, yes))
		if err := transport(t, config(s)).Check(t.Context()); err != nil {
			t.Error(err)
		}
		if n := len(s.requests()); n != 0 {
			t.Errorf("%d requests", n)
		}
		// Without TLS it is the system that takes the connection, perhaps before
		// the server knows.
		if n := s.connections(); encrypted && n != 1 {
			t.Errorf("%d connections", n)
		}
	}
}
