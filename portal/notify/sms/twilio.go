package sms

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/twilio/twilio-go/client"
	api "github.com/twilio/twilio-go/rest/api/v2010"
)

// twilio carries SMS by Twilio's library: its generated call of
// POST /2010-04-01/Accounts/{AccountSid}/Messages.json, and no more of it. Its
// HTTP client is left out: that takes no context, sets no limit to an answer,
// and its errors hold what the server wrote. The package with that call costs 9
// seconds of one core to compile and 0.3 MB of the program (v1.31.0).
//
// Twilio knows no idempotency key for messages: an attempt whose answer was lost
// is sent twice. Both hold the same code.
type twilio struct {
	cfg   Twilio
	to    endpoint
	asker *asker
}

func newTwilio(cfg Twilio, e endpoint, k *asker) (*twilio, error) {
	if cfg.Secret.Empty() {
		return nil, errors.New("sms: the token was not resolved")
	}
	return &twilio{cfg: cfg, to: e, asker: k}, nil
}

func (w *twilio) carry(ctx context.Context, _, to, text string) (answer, error) {
	call := &twilioCall{twilio: w, ctx: ctx}
	p := (&api.CreateMessageParams{}).SetTo(to).SetBody(text)
	if w.cfg.From != "" {
		p.SetFrom(w.cfg.From)
	} else {
		p.SetMessagingServiceSid(w.cfg.MessagingService)
	}
	// Not NewRequestHandler: that lets the environment choose another host.
	m, err := api.NewApiService(&client.RequestHandler{Client: call}).CreateMessage(p)
	switch {
	case call.err != nil:
		return answer{}, call.err
	case err == nil && m.Sid != nil && strings.HasPrefix(*m.Sid, "SM") && m.ErrorCode == nil && m.Status != nil && *m.Status != "failed" && *m.Status != "undelivered" && *m.Status != "canceled":
		call.answer.taken = true
	}
	return call.answer, nil
}

// taken: a message Twilio took has an id, and has not failed already.
func (w *twilio) taken(a answer) error {
	if !a.taken {
		return errUnclear
	}
	return nil
}

// twilioCall is the library's client for one message.
type twilioCall struct {
	*twilio
	ctx    context.Context // the library's calls have none
	answer answer
	err    error
}

var _ client.BaseClient = (*twilioCall)(nil)

func (c *twilioCall) AccountSid() string       { return c.cfg.AccountSID }
func (c *twilioCall) SetTimeout(time.Duration) {}
func (c *twilioCall) SetOauth(client.OAuth)    {}
func (c *twilioCall) OAuth() client.OAuth      { return nil }

// SendRequest takes the path and the form from the library; where they go and
// how is ours.
func (c *twilioCall) SendRequest(method, rawURL string, data url.Values, _ map[string]any, _ ...byte) (*http.Response, error) {
	c.answer, c.err = c.send(method, rawURL, data)
	if c.err != nil {
		return nil, c.err
	}
	if c.answer.status != http.StatusCreated || c.answer.cut {
		var e client.TwilioRestError
		// Of their error the number alone: the rest is theirs to write, and may
		// hold the text of the message.
		if json.Unmarshal(c.answer.body, &e) == nil && e.Code >= 10000 && e.Code <= 99999 {
			c.answer.code = e.Code
		}
		return nil, errUnclear
	}
	return &http.Response{StatusCode: c.answer.status, Body: io.NopCloser(bytes.NewReader(c.answer.body))}, nil
}

func (c *twilioCall) send(method, rawURL string, data url.Values) (answer, error) {
	from, err := url.Parse(rawURL)
	if err != nil || method != http.MethodPost {
		return answer{}, errors.New("sms: the request could not be made")
	}
	u := url.URL{Scheme: c.to.url.Scheme, Host: c.to.url.Host, Path: from.Path}
	r, err := http.NewRequestWithContext(c.ctx, method, u.String(), strings.NewReader(data.Encode()))
	if err != nil {
		return answer{}, errors.New("sms: the request could not be made")
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "Postern")
	user := c.cfg.APIKey
	if user == "" {
		user = c.cfg.AccountSID
	}
	r.SetBasicAuth(user, c.cfg.Secret.Reveal())
	return c.asker.ask(c.ctx, r)
}
