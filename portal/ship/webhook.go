package ship

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"postern/portal/audit"
	"postern/portal/notify"
)

// webhook posts each batch as one signed request: {"log":…,"entries":[…]} or
// {"log":…,"checkpoint":…}. Any answer from 200 to 299 means that it was taken; what an
// answer says is not read.
type webhook struct {
	url       string
	log       string
	key       []byte
	now       func() time.Time
	transport *http.Transport
}

func newWebhook(c Webhook, log string, now func() time.Time) (*webhook, error) {
	key, err := c.key()
	if err != nil {
		return nil, fmt.Errorf("webhook.secret: %w", err)
	}
	u, local, err := c.endpoint()
	if err != nil {
		return nil, err
	}
	pool, err := notify.Authorities(c.CAFile)
	if err != nil {
		return nil, err
	}
	guard := notify.Guard{Local: local, Private: c.AllowPrivate}
	dialer := &net.Dialer{Timeout: 5 * time.Second, Control: guard.Control}
	return &webhook{url: u.String(), log: log, key: key, now: now, transport: &http.Transport{
		// No proxy from the environment: the guard would ask about the wrong address.
		DialContext: dialer.DialContext, TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: 32 << 10,
	}}, nil
}

// key of the signature, as the specification writes it.
func (w Webhook) key() ([]byte, error) {
	text := strings.TrimPrefix(strings.TrimSpace(w.Secret.Reveal()), "whsec_")
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) < 24 || len(key) > 64 {
		return nil, errors.New("must be 24 to 64 random bytes in base64: openssl rand -base64 32")
	}
	return key, nil
}

func (w *webhook) Ship(ctx context.Context, entries []audit.Filed) error {
	lines := make([]json.RawMessage, 0, len(entries))
	for _, e := range entries {
		line, err := lineOf(w.log, e)
		if err != nil {
			return err
		}
		lines = append(lines, line)
	}
	body, err := plainJSON(struct {
		Log     string            `json:"log"`
		Entries []json.RawMessage `json:"entries"`
	}{w.log, lines})
	if err != nil {
		return err
	}
	return w.post(ctx, body)
}

func (w *webhook) Witness(ctx context.Context, signed string) error {
	body, err := lineOfCheckpoint(w.log, signed)
	if err != nil {
		return err
	}
	return w.post(ctx, body)
}

// post signs as Standard Webhooks 1.0 says: HMAC-SHA256 over id, time and body. The same
// batch has the same id, so that one that comes twice can be told.
func (w *webhook) post(ctx context.Context, body []byte) error {
	sum := sha256.Sum256(body)
	id, stamp := "msg_"+hex.EncodeToString(sum[:16]), strconv.FormatInt(w.now().Unix(), 10)
	mac := hmac.New(sha256.New, w.key)
	fmt.Fprintf(mac, "%s.%s.%s", id, stamp, body)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return errors.New("the webhook's URL cannot be asked")
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "postern")
	r.Header.Set("Webhook-Id", id)
	r.Header.Set("Webhook-Timestamp", stamp)
	r.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	// Not http.Client: it follows redirects, to wherever (security case 115).
	resp, err := w.transport.RoundTrip(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10)
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("the webhook answered %d", resp.StatusCode)
	}
	return nil
}
