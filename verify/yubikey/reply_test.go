package yubikey

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/verify"
	"postern/verify/yubikey/yubikeytest"
)

type pairs = []yubikeytest.Pair

// with returns the reply with one value changed; "" takes the line away.
func with(p pairs, key, value string) pairs {
	p = slices.Clone(p)
	for i := range p {
		if p[i].Key == key {
			if value == "" {
				return slices.Delete(p, i, i+1)
			}
			p[i].Value = value
			return p
		}
	}
	return append(p, yubikeytest.Pair{Key: key, Value: value})
}

func say(text string) func(http.ResponseWriter, *http.Request, pairs) {
	return func(w http.ResponseWriter, _ *http.Request, _ pairs) { fmt.Fprint(w, text) }
}

// signed answers with a changed reply that the right key signed.
func signed(change func(pairs) pairs) func(http.ResponseWriter, *http.Request, pairs) {
	return func(w http.ResponseWriter, _ *http.Request, honest pairs) {
		yubikeytest.Write(w, yubikeytest.Sign(change(honest), apiKey))
	}
}

// text answers with the honest reply, signed, and changed on the wire.
func text(change func(string) string) func(http.ResponseWriter, *http.Request, pairs) {
	return func(w http.ResponseWriter, _ *http.Request, honest pairs) {
		fmt.Fprint(w, change(yubikeytest.Text(yubikeytest.Sign(honest, apiKey))))
	}
}

// security case 90
func TestAServerThatMisbehavesIsNeverBelieved(t *testing.T) {
	var recorded string
	set := func(key, value string) func(http.ResponseWriter, *http.Request, pairs) {
		return signed(func(p pairs) pairs { return with(p, key, value) })
	}
	for name, wrong := range map[string]func(http.ResponseWriter, *http.Request, pairs){
		"no signature": func(w http.ResponseWriter, _ *http.Request, p pairs) { yubikeytest.Write(w, p) },
		"another's signature": func(w http.ResponseWriter, _ *http.Request, p pairs) {
			yubikeytest.Write(w, yubikeytest.Sign(p, []byte("another key")))
		},
		"signed with no key":  func(w http.ResponseWriter, _ *http.Request, p pairs) { yubikeytest.Write(w, yubikeytest.Sign(p, nil)) },
		"empty signature":     func(w http.ResponseWriter, _ *http.Request, p pairs) { yubikeytest.Write(w, with(p, "h", "x")[:0]) },
		"cut signature":       text(func(s string) string { return strings.Replace(s, "=\r\n", "\r\n", 1) }),
		"half a signature":    text(func(s string) string { return "h=" + s[12:] }),
		"signature with more": text(func(s string) string { return strings.Replace(s, "=\r\n", "=AAAA\r\n", 1) }),

		"another nonce":         set("nonce", "aef3a7835277a28da831005c2ae3b919"),
		"no nonce":              set("nonce", ""),
		"another password":      set("otp", sample),
		"password in capitals":  signed(func(p pairs) pairs { return with(p, "otp", strings.ToUpper(p[1].Value)) }),
		"no password":           set("otp", ""),
		"an old reply":          func(w http.ResponseWriter, _ *http.Request, _ pairs) { fmt.Fprint(w, recorded) },
		"an hour ago":           set("t", yubikeytest.Time(time.Unix(1_800_000_000-3600, 0))),
		"in an hour":            set("t", yubikeytest.Time(time.Unix(1_800_000_000+3600, 0))),
		"no time":               set("t", ""),
		"another form of time":  set("t", "1800000000"),
		"time with letters":     set("t", "2027-01-15T08:00:00Zabcd"),
		"no time of this world": set("t", "2027-13-45T08:00:00Z0000"),

		"no status":            set("status", ""),
		"status ok":            set("status", "ok"),
		"status OK with more":  set("status", "OK."),
		"status unknown":       set("status", "DELAYED_OTP"),
		"backend error":        set("status", "BACKEND_ERROR"),
		"not enough answers":   set("status", "NOT_ENOUGH_ANSWERS"),
		"no counter":           set("sessioncounter", ""),
		"no session use":       set("sessionuse", ""),
		"counter not a number": set("sessioncounter", "0x7"),
		"negative counter":     set("sessioncounter", "-1"),
		"counter too large":    set("sessioncounter", "65536"),
		"use too large":        set("sessionuse", "256"),

		"status twice":         text(func(s string) string { return s + "status=OK\r\n" }),
		"status twice, signed": signed(func(p pairs) pairs { return append(p, yubikeytest.Pair{Key: "status", Value: "OK"}) }),
		"h twice":              text(func(s string) string { return s + "h=AAAA\r\n" }),
		"two pairs in one":     signed(func(p pairs) pairs { return with(with(p, "status", ""), "sl", "100&status=OK") }),
		"a value with =":       set("sl", "1=2"),
		"a space":              set("sl", "1 2"),
		"no value":             text(func(s string) string { return s + "status\r\n" }),
		"key in capitals":      text(func(s string) string { return strings.Replace(s, "status", "STATUS", 1) }),
		"status lies":          text(func(s string) string { return strings.Replace(s, "status=OK", "status=OKAY", 1) }),
		"cut short":            text(func(s string) string { return s[:len(s)/2] }),
		"without status line":  text(func(s string) string { return s[:strings.Index(s, "status")] }),
		"a line more":          text(func(s string) string { return s + "more=1\r\n" }),
		"many lines": text(func(s string) string {
			for i := range 40 {
				s += fmt.Sprintf("x%d=1\r\n", i)
			}
			return s
		}),

		"nothing":       say(""),
		"HTML":          say("<!doctype html><title>Sign in to the guest network</title><p>status=OK"),
		"JSON":          say(`{"status":"OK"}`),
		"garbage":       say("\x00\xff\x00status=OK"),
		"status alone":  say("status=OK\r\n"),
		"huge":          say(strings.Repeat("a=1\r\n", 1<<20)),
		"one long line": say("status=" + strings.Repeat("O", 1<<20)),
		"padded":        text(func(s string) string { return s + strings.Repeat("\r\n", maxReply) }),
		"status 500": func(w http.ResponseWriter, _ *http.Request, p pairs) {
			w.WriteHeader(http.StatusInternalServerError)
			yubikeytest.Write(w, yubikeytest.Sign(p, apiKey))
		},
		"status 203": func(w http.ResponseWriter, _ *http.Request, p pairs) {
			w.WriteHeader(http.StatusNonAuthoritativeInfo)
			yubikeytest.Write(w, yubikeytest.Sign(p, apiKey))
		},
		"redirect to itself": func(w http.ResponseWriter, r *http.Request, _ pairs) {
			http.Redirect(w, r, "https://one/wsapi/2.0/verify", http.StatusFound)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, false)
			b.server.Misbehave(func(w http.ResponseWriter, _ *http.Request, p pairs) {
				recorded = yubikeytest.Text(yubikeytest.Sign(p, apiKey))
				fmt.Fprint(w, recorded)
			})
			want(t, "the test's own reply", b.try(b.alice, b.ka.Press()), nil)
			b.server.Misbehave(wrong)
			otp := b.ka.Press()
			for _, who := range []verify.Subject{b.alice, b.bob} {
				b.server.Forget()
				err := b.try(who, otp)
				if err == nil || errors.Is(err, verify.ErrWrong) || errors.Is(err, verify.ErrReplayed) || errors.Is(err, verify.ErrExpired) {
					t.Fatalf("got %v, want an error that is not an answer", err)
				}
				if strings.Contains(err.Error(), otp[idLetters:]) || !strings.Contains(err.Error(), "one: ") {
					t.Errorf("the error must name the server and not the password: %v", err)
				}
			}
			if n := len(b.server.Asked()); n != 3 {
				t.Errorf("asked %d times: a redirect was followed", n)
			}
			b.server.Misbehave(nil)
			b.server.Forget()
			want(t, "the same password once the server is well", b.try(b.alice, otp), nil)
		})
	}
}

// The protocol's example line and a key of Yubico's form; the value is openssl's.
func TestSignaturesAreTheProtocols(t *testing.T) {
	key, err := base64.StdEncoding.DecodeString("mG5be6ZJU1qBGz24yPh/ESM3UdU=")
	if err != nil {
		t.Fatal(err)
	}
	r := reply{"b": "2", "a": "1", "c": "3"}
	if got := base64.StdEncoding.EncodeToString(r.sign(key)); got != "hewltHtLNs5kZDG0+ncb0exajfk=" {
		t.Errorf("got %s", got)
	}
	r["h"] = "hewltHtLNs5kZDG0+ncb0exajfk="
	if !r.signed(key) || r.signed(apiKey) || (reply{"a": "1"}).signed(nil) {
		t.Error("signatures are not compared")
	}
}

// What is signed is another spelling of the reply; each must mean one thing.
func TestAReplyHasOneMeaning(t *testing.T) {
	for _, text := range []string{"a=1&b=2\n", "a=1=2\n", "a=1\na=1\n", "=1\n", "a\n", "A=1\n", "a b=1\n", "a=1 \n", "a=\u00e9\n", "a=1\x00\n", "a=1\rb=2\n",
		strings.Repeat("a", 33) + "=1\n", "a=" + strings.Repeat("1", maxReply)} {
		if r, err := parseReply([]byte(text)); err == nil || r != nil {
			t.Errorf("%q: read as %v", text, r)
		}
	}
	for _, text := range []string{"h=AA==\na=1\n", "h=AA==\r\na=1\r\n\r\n", "a=1\nh=AA=="} {
		if r, err := parseReply([]byte(text)); err != nil || len(r) != 2 || r["a"] != "1" || r["h"] != "AA==" {
			t.Errorf("%q: %v, %v", text, r, err)
		}
	}
}

func FuzzReply(f *testing.F) {
	honest := pairs{{Key: "t", Value: "2027-01-15T08:00:00Z0000"}, {Key: "otp", Value: sample}, {Key: "nonce", Value: "aef3a7835277a28da831005c2ae3b919"}, {Key: "sl", Value: "100"}, {Key: "sessioncounter", Value: "7"}, {Key: "sessionuse", Value: "0"}, {Key: "status", Value: "OK"}}
	f.Add([]byte(yubikeytest.Text(yubikeytest.Sign(honest, apiKey))))
	f.Add([]byte("h=\r\nstatus=OK"))
	f.Add([]byte("h=vjhFxZrNHB5CjI6vhuSeF2n46a8=\nt=2010-04-23T20:34:51Z0678\notp=" + sample + "\nnonce=aef3a7835277a28da831005c2ae3b919e2076a62\nsl=75\nstatus=OK\n"))
	c := &client{key: apiKey, now: func() time.Time { return time.Unix(1_800_000_000, 0) }}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := parseReply(body)
		if err != nil {
			return
		}
		h, err := c.judge(r, sample, "aef3a7835277a28da831005c2ae3b919")
		if err != nil {
			if h != (heard{}) {
				t.Error("an error with an answer in it")
			}
			return
		}
		// Whoever has no key can only have moved lines about.
		for _, p := range honest {
			if r[p.Key] != p.Value {
				t.Errorf("%s=%s was believed", p.Key, r[p.Key])
			}
		}
	})
}
