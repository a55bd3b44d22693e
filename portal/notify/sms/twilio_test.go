package sms

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/notify"
)

func twilioAt(s *server) Config {
	c := twilioConfig()
	c.CAFile, c.Timeout, c.Twilio.URL, c.Twilio.Secret = s.ca, 5*time.Second, s.URL, directory.NewSecret(secret)
	return c
}

const twilioYes = `{"account_sid":"AC0","body":"7KQM-2XWD","error_code":null,"error_message":null,"num_segments":"1","price":null,
	"sid":"SM0123456789abcdef0123456789abcdef","status":"queued","to":"+491701234567","subresource_uris":{"media":"/x"}}`

func TestTwilioIsAskedAsDocumented(t *testing.T) {
	// The library would let the environment choose the host.
	t.Setenv("TWILIO_EDGE", "evil")
	t.Setenv("TWILIO_REGION", "evil")
	s := serve(t, true, says(201, twilioYes))
	c := twilioAt(s)
	key := c
	key.Twilio.APIKey = "SK" + strings.Repeat("1", 32)
	service := c
	service.Twilio.From, service.Twilio.MessagingService = "", "MG"+strings.Repeat("2", 32)
	for i, tt := range []struct {
		c                Config
		user, field, val string
	}{
		{c, c.Twilio.AccountSID, "From", c.Twilio.From},
		{key, key.Twilio.APIKey, "From", c.Twilio.From},
		{service, c.Twilio.AccountSID, "MessagingServiceSid", service.Twilio.MessagingService},
	} {
		tr := transport(t, tt.c)
		text := hello.Text + "\n" + odd[i]
		if err := tr.Send(t.Context(), "id", "0170 1234567", notify.Rendered{Text: text}); err != nil {
			t.Fatal(err)
		}
		got := s.requests()[i]
		if got.method != "POST" || got.uri != "/2010-04-01/Accounts/"+c.Twilio.AccountSID+"/Messages.json" ||
			got.header.Get("Content-Type") != "application/x-www-form-urlencoded" {
			t.Errorf("%+v", got)
		}
		r := http.Request{Header: got.header}
		if user, password, ok := r.BasicAuth(); !ok || user != tt.user || password != secret {
			t.Errorf("%q %q %v", user, password, ok)
		}
		v, err := url.ParseQuery(got.body)
		want := url.Values{"To": {number}, "Body": {text}, tt.field: {tt.val}}
		if err != nil || fmt.Sprint(v) != fmt.Sprint(want) {
			t.Errorf("%v, want %v, %v", v, want, err)
		}
	}
}

func TestWhatTwilioAnswers(t *testing.T) {
	refused := func(status, number int) http.HandlerFunc {
		return says(status, fmt.Sprintf(`{"code":%d,"message":"%s to %s","more_info":"%s","status":%d,"details":{"a":"%s"}}`, number, code, "+491701234567", code, status, secret))
	}
	tests := map[string]struct {
		answer    http.HandlerFunc
		permanent bool
		says      string // in the error; empty: there is none
	}{
		"yes":                 {says(201, twilioYes), false, ""},
		"no such number":      {refused(400, 21211), true, "status 400 (Twilio error 21211)"},
		"not let in":          {refused(401, 20003), true, "error 20003"},
		"unsubscribed":        {refused(400, 21610), true, "error 21610"},
		"a number too large":  {refused(400, 491701234), true, "status 400"},
		"a page":              {says(403, "<html>"+code), true, "status 403"},
		"broken":              {refused(500, 20500), false, "status 500"},
		"a page, with 201":    {says(201, "<html>"+code), false, "did not say"},
		"yes, with 200":       {says(200, twilioYes), false, "did not say"},
		"nothing":             {says(201, "{}"), false, "did not say"},
		"another thing":       {says(201, strings.Replace(twilioYes, `"SM0`, `"CA0`, 1)), false, "did not say"},
		"failed":              {says(201, strings.Replace(twilioYes, "queued", "failed", 1)), false, "did not say"},
		"failed, with a code": {says(201, strings.Replace(twilioYes, `"error_code":null`, `"error_code":30007`, 1)), false, "did not say"},
		"another type":        {says(201, strings.Replace(twilioYes, `"queued"`, `["queued"]`, 1)), false, "did not say"},
		"huge":                {says(201, strings.Replace(twilioYes, "queued", strings.Repeat(code, 10_000), 1)), false, "did not say"},
		"redirect": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://169.254.169.254/"+code)
			w.WriteHeader(302)
		}, false, "redirect"},
		"too many": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "7")
			refused(429, 20429)(w, r)
		}, false, "wants no more"},
		"hung up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false, "sms: "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := serve(t, true, tt.answer)
			tr := transport(t, twilioAt(s))
			err := tr.Send(t.Context(), "id", number, hello)
			if n := len(s.requests()); n != 1 {
				t.Errorf("%d requests", n)
			}
			if tt.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			quiet(t, err)
			if _, permanent := errors.AsType[notify.Permanent](err); permanent != tt.permanent || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("permanent %v: %v", permanent, err)
			}
		})
	}
}
