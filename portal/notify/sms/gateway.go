package sms

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// gateway carries SMS by one HTTP request each.
type gateway struct {
	cfg     Gateway
	to      endpoint
	asker   *asker
	body    *body
	headers http.Header
	found   *regexp.Regexp // nil: any body
}

func newGateway(cfg Gateway, e endpoint, k *asker) (*gateway, error) {
	b, err := parseBody(cfg)
	if err != nil {
		return nil, err
	}
	g := &gateway{cfg: cfg, to: e, asker: k, body: b, headers: http.Header{}}
	if cfg.Password != "" && cfg.PasswordSecret.Empty() {
		return nil, errors.New("sms: the password was not resolved")
	}
	g.headers.Set("User-Agent", "Postern")
	for _, h := range cfg.Headers {
		if h.Secret != "" && h.Resolved.Empty() {
			return nil, errors.New("sms: the secret of the header " + h.Name + " was not resolved")
		}
		value := h.Value + h.Resolved.Reveal()
		if strings.ContainsFunc(value, control) {
			return nil, errors.New("sms: the secret of the header " + h.Name + " has control characters")
		}
		g.headers.Set(h.Name, value)
	}
	if cfg.Method != http.MethodGet {
		g.headers.Set("Content-Type", contentType(cfg.ContentType))
	}
	if cfg.Success.Body != "" {
		if g.found, err = regexp.Compile(cfg.Success.Body); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// contentType names the character set where the type does not imply it.
func contentType(kind string) string {
	if strings.HasPrefix(kind, "text/") || kind == "application/xml" {
		return kind + "; charset=utf-8"
	}
	return kind
}

func (g *gateway) carry(ctx context.Context, id, to, text string) (answer, error) {
	content, err := g.body.render(id, to, text, g.cfg.PasswordSecret.Reveal())
	if err != nil {
		return answer{}, err
	}
	u := *g.to.url
	var payload io.Reader
	if g.cfg.Method == http.MethodGet {
		u.RawQuery = strings.TrimPrefix(u.RawQuery+"&"+string(content), "&")
	} else {
		payload = bytes.NewReader(content)
	}
	r, err := http.NewRequestWithContext(ctx, g.cfg.Method, u.String(), payload)
	if err != nil {
		return answer{}, errors.New("sms: the request could not be made") // its words quote the URL
	}
	r.Header = g.headers.Clone()
	if g.cfg.Username != "" {
		r.SetBasicAuth(g.cfg.Username, g.cfg.PasswordSecret.Reveal())
	}
	if h := g.cfg.IdempotencyHeader; h != "" {
		r.Header.Set(h, id)
	}
	return g.asker.ask(ctx, r)
}

// taken reports whether an answer means yes. A page of a proxy or of a gateway
// under maintenance is 200 as well; only what was agreed on counts.
func (g *gateway) taken(a answer) error {
	s := g.cfg.Success
	switch {
	case !slices.Contains(s.Status, a.status):
		return errUnclear
	case s.JSON == "" && g.found == nil:
		return nil
	case a.cut:
		return errors.New("sms: the answer is longer than 64 KiB")
	case g.found != nil && !g.found.Match(a.body):
		return errUnclear
	}
	if s.JSON == "" {
		return nil
	}
	v, err := readJSON(a.body)
	if err != nil {
		return errUnclear
	}
	got, ok := at(v, s.JSON)
	if !ok || !slices.Contains(s.Equals, got) {
		return errUnclear
	}
	return nil
}

// at finds a scalar by a path like messages.0.status.
func at(v any, path string) (string, bool) {
	for part := range strings.SplitSeq(path, ".") {
		switch node := v.(type) {
		case map[string]any:
			next, ok := node[part]
			if !ok {
				return "", false
			}
			v = next
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(node) {
				return "", false
			}
			v = node[i]
		default:
			return "", false
		}
	}
	return scalar(v)
}
