package yubikey

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxReply = 4 << 10 // bytes; an honest one has about 250
	maxLines = 32
	// maxSkew between the server's clock and ours. The nonce keeps old answers
	// out; this tells of a clock, here or there, that is far off.
	maxSkew = 10 * time.Minute
)

// reply is what a server said: one value for each key.
type reply map[string]string

// parseReply reads lines of key=value. It is strict because what is signed is
// another spelling of it, a=1&b=2: a value with & or = in it, or a key that is
// there twice, would let one signed line mean two things.
func parseReply(body []byte) (reply, error) {
	if len(body) > maxReply {
		return nil, fmt.Errorf("more than %d bytes", maxReply)
	}
	r := reply{}
	for line := range strings.Lines(string(body)) {
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if line == "" {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || !wellKeyed(key) {
			return nil, errors.New("a line is not key=value")
		}
		if _, twice := r[key]; twice {
			return nil, errors.New("a key is there twice")
		}
		if strings.ContainsFunc(value, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '&' }) || key != "h" && strings.Contains(value, "=") {
			return nil, errors.New("a value has characters that mean something else when it is signed")
		}
		if r[key] = value; len(r) > maxLines {
			return nil, errors.New("too many lines")
		}
	}
	return r, nil
}

func wellKeyed(key string) bool {
	if key == "" || len(key) > 32 {
		return false
	}
	return !strings.ContainsFunc(key, func(c rune) bool { return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' })
}

// sign is the signature of either direction: HMAC-SHA-1 over all pairs but h,
// sorted by key (validation protocol 2.0, "Generating signatures").
func (r reply) sign(key []byte) []byte {
	var line strings.Builder
	for _, k := range slices.Sorted(maps.Keys(r)) {
		if k == "h" {
			continue
		}
		if line.Len() > 0 {
			line.WriteByte('&')
		}
		line.WriteString(k + "=" + r[k])
	}
	mac := hmac.New(sha1.New, key)
	mac.Write([]byte(line.String()))
	return mac.Sum(nil)
}

// signed reports whether whoever has the key said it.
func (r reply) signed(key []byte) bool {
	got, err := base64.StdEncoding.Strict().DecodeString(r["h"])
	return err == nil && hmac.Equal(got, r.sign(key))
}

// meant reports why a signed reply is not one to this question, now.
func (r reply) meant(otp, nonce string, now time.Time) error {
	if r["otp"] != otp || r["nonce"] != nonce {
		return errors.New("answers another question")
	}
	t := r["t"]
	// 2010-04-23T20:34:51Z0678: the last four digits are milliseconds.
	if len(t) != 24 || strings.Trim(t[20:], "0123456789") != "" {
		return errors.New("its time cannot be read")
	}
	at, err := time.Parse(time.RFC3339, t[:20])
	if err != nil {
		return errors.New("its time cannot be read")
	}
	if skew := at.Sub(now); skew.Abs() > maxSkew {
		return fmt.Errorf("its clock is %s off ours", skew.Round(time.Second))
	}
	return nil
}

// counter of the key, as the server saw it.
func (r reply) counter() (int64, error) {
	use, err := strconv.ParseUint(r["sessioncounter"], 10, 16)
	session, err2 := strconv.ParseUint(r["sessionuse"], 10, 8)
	if errors.Join(err, err2) != nil {
		return 0, errors.New("says nothing of the key's counter")
	}
	return counter(uint16(use), byte(session)), nil
}
