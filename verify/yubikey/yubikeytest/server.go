package yubikeytest

import (
	"crypto/aes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Pair is one line of a reply, in the order it is written.
type Pair struct{ Key, Value string }

// Server is a validation server (protocol 2.0) with its keys' secrets.
type Server struct {
	Client string
	Secret []byte
	Now    func() time.Time

	mu    sync.Mutex
	keys  map[string]*Key
	last  map[string]seen
	peers []*Server
	wrong func(http.ResponseWriter, *http.Request, []Pair)
	asked []url.Values
}

// seen is the newest password of a key, and the question it came with.
type seen struct {
	counter uint32
	nonce   string
}

// NewServer knows one client and some keys.
func NewServer(client string, secret []byte, now func() time.Time, keys ...*Key) *Server {
	s := &Server{Client: client, Secret: secret, Now: now, keys: map[string]*Key{}, last: map[string]seen{}}
	for _, k := range keys {
		s.keys[Modhex(k.Public[:])] = k
	}
	return s
}

// Replicate tells what s hears to another server, at once.
func (s *Server) Replicate(to *Server) { s.peers = append(s.peers, to) }

// Forget is a server that was restored from an old backup.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.last)
}

// Misbehave gives the honest, unsigned reply to f, which answers instead; nil
// ends it.
func (s *Server) Misbehave(f func(http.ResponseWriter, *http.Request, []Pair)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrong = f
}

// Asked are the questions so far.
func (s *Server) Asked() []url.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	s.mu.Lock()
	s.asked = append(s.asked, q)
	wrong := s.wrong
	s.mu.Unlock()
	pairs, secret := s.judge(q)
	if wrong != nil {
		wrong(w, r, pairs)
		return
	}
	Write(w, Sign(pairs, secret))
}

// judge is ykval-verify.php in short.
func (s *Server) judge(q url.Values) ([]Pair, []byte) {
	otp, nonce := q.Get("otp"), q.Get("nonce")
	echo := []Pair{{"t", Time(s.Now())}, {"otp", otp}, {"nonce", nonce}}
	says := func(status string, more ...Pair) []Pair {
		return append(slices.Concat(echo, more), Pair{"status", status})
	}
	if len(nonce) < 16 || len(nonce) > 40 || otp == "" {
		return []Pair{{"t", Time(s.Now())}, {"status", "MISSING_PARAMETER"}}, nil
	}
	if q.Get("id") != s.Client {
		return says("NO_SUCH_CLIENT"), nil
	}
	var pairs []Pair
	for k, v := range q {
		if k != "h" {
			pairs = append(pairs, Pair{k, v[0]})
		}
	}
	if q.Has("h") && q.Get("h") != Sign(pairs, s.Secret)[0].Value {
		return says("BAD_SIGNATURE"), s.Secret
	}
	public, use, session, ok := s.open(otp)
	if !ok {
		return says("BAD_OTP"), s.Secret
	}
	counter := uint32(use)<<8 | uint32(session)
	if status := s.hear(public, seen{counter, nonce}); status != "OK" {
		return says(status), s.Secret
	}
	for _, peer := range s.peers {
		if peer.hear(public, seen{counter, nonce}) == "REPLAYED_OTP" {
			return says("REPLAYED_OTP"), s.Secret
		}
	}
	if q.Get("timestamp") != "1" {
		return says("OK", Pair{"sl", "100"}), s.Secret
	}
	return says("OK", Pair{"sl", "100"}, Pair{"timestamp", "4711"},
		Pair{"sessioncounter", fmt.Sprint(use)}, Pair{"sessionuse", fmt.Sprint(session)}), s.Secret
}

func (s *Server) hear(public string, now seen) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, known := s.last[public]
	switch {
	case known && now == last:
		return "REPLAYED_REQUEST"
	case known && now.counter <= last.counter:
		return "REPLAYED_OTP"
	}
	s.last[public] = now
	return "OK"
}

func (s *Server) open(otp string) (public string, use uint16, session byte, ok bool) {
	if len(otp) != 44 {
		return "", 0, 0, false
	}
	public = otp[:12]
	k, block := s.keys[public], unmodhex(otp[12:])
	if k == nil || block == nil {
		return "", 0, 0, false
	}
	c, err := aes.NewCipher(k.AES[:])
	if err != nil {
		panic(err)
	}
	c.Decrypt(block, block)
	if binary.LittleEndian.Uint16(block[14:]) != checksum(block[:14]) || [6]byte(block) != k.Private {
		return "", 0, 0, false
	}
	return public, binary.LittleEndian.Uint16(block[6:]) & 0x7fff, block[11], true
}

// Time is a time as servers write it.
func Time(t time.Time) string {
	t = t.UTC()
	return t.Format("2006-01-02T15:04:05Z") + fmt.Sprintf("%04d", t.Nanosecond()/1e6)
}

// Sign puts h before the pairs.
func Sign(pairs []Pair, secret []byte) []Pair {
	sorted := slices.Clone(pairs)
	slices.SortStableFunc(sorted, func(a, b Pair) int { return strings.Compare(a.Key, b.Key) })
	lines := make([]string, len(sorted))
	for i, p := range sorted {
		lines[i] = p.Key + "=" + p.Value
	}
	mac := hmac.New(sha1.New, secret)
	mac.Write([]byte(strings.Join(lines, "&")))
	return append([]Pair{{"h", base64.StdEncoding.EncodeToString(mac.Sum(nil))}}, pairs...)
}

// Text is a reply as it goes on the wire.
func Text(pairs []Pair) string {
	var b strings.Builder
	for _, p := range pairs {
		b.WriteString(p.Key + "=" + p.Value + "\r\n")
	}
	return b.String() + "\r\n"
}

// Write sends a reply.
func Write(w http.ResponseWriter, pairs []Pair) {
	w.Header().Set("Content-Type", "text/plain;charset=UTF-8")
	_, _ = w.Write([]byte(Text(pairs)))
}
