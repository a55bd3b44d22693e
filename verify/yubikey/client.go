package yubikey

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sony/gobreaker/v2"

	"postern/verify"
)

const (
	// patience is how long one server is waited for before the next is asked too.
	patience = 500 * time.Millisecond
	// window is how long after a yes other servers that were asked may still say
	// no. It costs time only when a server was slow.
	window = 300 * time.Millisecond
	// nonceSize is within the 16 to 40 of the protocol, and what old servers take.
	nonceSize = 32
	// After tolerated questions in a row that nobody answered, nobody is asked for rest,
	// and then one finds out for all: so who comes meanwhile need not wait to hear it.
	tolerated = 3
	rest      = 5 * time.Second
)

// ErrRefused is a server that does not take this program's questions: the
// client id or the secret is wrong. It is a fault of the set-up, not of anybody's
// answer.
var ErrRefused = errors.New("yubikey: the server refuses this client; see client_id and secret")

// What servers say (validation protocol 2.0, "status").
const (
	statusOK              = "OK"
	statusBadOTP          = "BAD_OTP"
	statusReplayedOTP     = "REPLAYED_OTP"
	statusReplayedRequest = "REPLAYED_REQUEST"
)

// client asks validation servers.
type client struct {
	servers []server
	id      string
	key     []byte
	timeout time.Duration
	// over is used as it is, without http.Client: a redirect would carry the
	// password to whoever it names, and an error of http.Client quotes it.
	over   http.RoundTripper
	now    func() time.Time
	random io.Reader
	broken *gobreaker.CircuitBreaker[int64]
}

type server struct{ address, host string }

func newClient(cfg Config, over http.RoundTripper, now func() time.Time, random io.Reader) (*client, error) {
	key, err := cfg.key()
	if err != nil {
		return nil, fmt.Errorf("yubikey: secret: %w", err)
	}
	c := &client{id: strconv.FormatInt(cfg.ClientID, 10), key: key, timeout: cfg.Timeout, over: over, now: now, random: random}
	c.broken = gobreaker.NewCircuitBreaker[int64](gobreaker.Settings{
		Name: "yubikey", MaxRequests: 1, Timeout: rest,
		ReadyToTrip: func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= tolerated },
		// Who left before the answer says nothing of the servers.
		IsSuccessful: func(err error) bool {
			return err == nil || errors.Is(err, verify.ErrWrong) || errors.Is(err, verify.ErrReplayed) || errors.Is(err, context.Canceled)
		},
	})
	for _, s := range cfg.Servers {
		u, err := url.Parse(s)
		if err != nil {
			return nil, errors.New("yubikey: servers: not an address")
		}
		c.servers = append(c.servers, server{s, u.Host})
	}
	return c, nil
}

// transport is that of the program: a proxy of the environment's, no compression
// (a small body could become a large one), and few connections, so that a flood
// of made-up passwords queues here and not there.
func transport() *http.Transport {
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true,
		DisableCompression: true, MaxResponseHeaderBytes: 16 << 10, MaxConnsPerHost: 16, MaxIdleConnsPerHost: 4,
		TLSHandshakeTimeout: 5 * time.Second, IdleConnTimeout: time.Minute,
	}
}

// heard is what came of asking one server.
type heard struct {
	status  string
	counter int64 // with OK
	err     error // the answer is none
}

// ask returns the key's counter for a password that is genuine and new:
// ErrWrong and ErrReplayed are a server's no, anything else means that nobody
// could say.
//
// Servers are asked in turn, the next one when one is silent or at fault, with
// one nonce: servers that share their memory recognise the question by it. A
// no is final. A yes is final when nobody else who was asked says no within the
// window. REPLAYED_REQUEST is a server that heard of our question from another:
// no replay beside that one's yes, and a no without it.
func (c *client) ask(ctx context.Context, otp string) (int64, error) {
	counter, err := c.broken.Execute(func() (int64, error) { return c.question(ctx, otp) })
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		err = fmt.Errorf("yubikey: no server answered of late: %w", err)
	}
	return counter, err
}

func (c *client) question(ctx context.Context, otp string) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	nonce, err := c.nonce()
	if err != nil {
		return 0, err
	}
	query := c.query(otp, nonce)
	answers := make(chan heard, len(c.servers))
	asked, open := 0, 0
	next := func() {
		if asked == len(c.servers) {
			return
		}
		s := c.servers[asked]
		asked++
		open++
		go func() { answers <- c.one(ctx, s, query, otp, nonce) }()
	}
	next()
	impatient := time.NewTicker(patience)
	defer impatient.Stop()
	var yes *heard
	var closing <-chan time.Time
	known := false
	var faults []error
	for open > 0 {
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("yubikey: no answer in time: %w", errors.Join(append(faults, ctx.Err())...))
		case <-closing:
			return yes.counter, nil
		case <-impatient.C:
			if yes == nil {
				next()
			}
		case h := <-answers:
			open--
			switch {
			case h.err != nil:
				faults = append(faults, h.err)
				if yes == nil {
					next()
				}
			case h.status == statusBadOTP:
				return 0, verify.ErrWrong
			case h.status == statusReplayedOTP:
				return 0, verify.ErrReplayed
			case h.status == statusReplayedRequest:
				known = true
			case h.status == statusOK && yes == nil:
				yes, closing = &h, time.After(window)
			}
		}
	}
	switch {
	case yes != nil:
		return yes.counter, nil
	case known:
		return 0, verify.ErrReplayed
	}
	return 0, fmt.Errorf("yubikey: nobody could say: %w", errors.Join(faults...))
}

// one asks one server. Its errors name the server, and never hold the address
// asked: the password is in it, and may not be spent yet.
func (c *client) one(ctx context.Context, s server, query, otp, nonce string) heard {
	fault := func(err error) heard { return heard{err: fmt.Errorf("%s: %w", s.host, err)} }
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.address+"?"+query, nil)
	if err != nil {
		return fault(errors.New("no request can be made of it"))
	}
	req.Header.Set("User-Agent", "postern")
	resp, err := c.over.RoundTrip(req)
	if err != nil {
		return fault(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	if err != nil {
		return fault(errors.New("broke off"))
	}
	if resp.StatusCode != http.StatusOK {
		return fault(fmt.Errorf("HTTP status %d", resp.StatusCode))
	}
	said, err := parseReply(body)
	if err != nil {
		return fault(fmt.Errorf("not a reply: %w", err))
	}
	h, err := c.judge(said, otp, nonce)
	if err != nil {
		return fault(err)
	}
	return h
}

// judge believes nothing that is not signed and not about this question.
func (c *client) judge(said reply, otp, nonce string) (heard, error) {
	status := said["status"]
	if !said.signed(c.key) {
		// A server that does not know the client has no key to sign with, so these
		// come unsigned. Either way it is an error; this one helps to mend it.
		if refusal(status) {
			return heard{}, fmt.Errorf("%w (it says %s, unsigned)", ErrRefused, status)
		}
		return heard{}, errors.New("not signed with our secret")
	}
	if refusal(status) {
		return heard{}, fmt.Errorf("%w (it says %s)", ErrRefused, status)
	}
	if err := said.meant(otp, nonce, c.now()); err != nil {
		return heard{}, err
	}
	switch status {
	case statusOK:
		n, err := said.counter()
		return heard{status: status, counter: n}, err
	case statusBadOTP, statusReplayedOTP, statusReplayedRequest:
		return heard{status: status}, nil
	}
	return heard{}, fmt.Errorf("says %.32q", status)
}

func refusal(status string) bool {
	switch status {
	case "BAD_SIGNATURE", "MISSING_PARAMETER", "NO_SUCH_CLIENT", "OPERATION_NOT_ALLOWED":
		return true
	}
	return false
}

// query is signed, though servers need not demand it.
func (c *client) query(otp, nonce string) string {
	asked := reply{"id": c.id, "otp": otp, "nonce": nonce, "timestamp": "1"}
	asked["h"] = base64.StdEncoding.EncodeToString(asked.sign(c.key))
	v := url.Values{}
	for k, value := range asked {
		v.Set(k, value)
	}
	return v.Encode()
}

// nonce has 160 bits: 32 letters of 32.
func (c *client) nonce() (string, error) {
	return letters(c.random, nonceSize, "abcdefghijklmnopqrstuvwxyz234567")
}

// letters draws n of an alphabet whose size divides 256.
func letters(random io.Reader, n int, alphabet string) (string, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(random, b); err != nil {
		return "", fmt.Errorf("yubikey: no randomness: %w", err)
	}
	for i := range b {
		b[i] = alphabet[int(b[i])%len(alphabet)]
	}
	return string(b), nil
}

// probe wants a signed BAD_OTP of each server.
func (c *client) probe(ctx context.Context) error {
	var faults []error
	for _, s := range c.servers {
		otp, err := letters(c.random, otpLetters, modhex)
		if err != nil {
			return err
		}
		nonce, err := c.nonce()
		if err != nil {
			return err
		}
		asking, cancel := context.WithTimeout(ctx, c.timeout)
		h := c.one(asking, s, c.query(otp, nonce), otp, nonce)
		cancel()
		if h.err == nil && h.status != statusBadOTP {
			h.err = fmt.Errorf("%s: says %s to a password of no key", s.host, h.status)
		}
		faults = append(faults, h.err)
	}
	return errors.Join(faults...)
}
