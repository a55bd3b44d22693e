package yubikey

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sony/gobreaker/v2"

	"postern/verify"
	"postern/verify/yubikey/yubikeytest"
)

func TestWhatAServerSaysIsUnderstood(t *testing.T) {
	for status, wanted := range map[string]error{
		"BAD_OTP": verify.ErrWrong, "REPLAYED_OTP": verify.ErrReplayed, "REPLAYED_REQUEST": verify.ErrReplayed,
		"BAD_SIGNATURE": ErrRefused, "MISSING_PARAMETER": ErrRefused, "NO_SUCH_CLIENT": ErrRefused, "OPERATION_NOT_ALLOWED": ErrRefused,
	} {
		b := newBench(t, false)
		b.server.Misbehave(signed(func(p pairs) pairs { return with(p, "status", status) }))
		want(t, status, b.try(b.alice, b.ka.Press()), wanted)
		// A no that is not signed is no answer, but a refusal helps to mend it.
		b.server.Misbehave(func(w http.ResponseWriter, _ *http.Request, p pairs) { yubikeytest.Write(w, with(p, "status", status)) })
		err := b.try(b.alice, b.ka.Press())
		if err == nil || errors.Is(err, verify.ErrWrong) || errors.Is(err, verify.ErrReplayed) || errors.Is(err, ErrRefused) != (wanted == ErrRefused) {
			t.Errorf("%s, unsigned: got %v", status, err)
		}
	}
}

func TestEveryQuestionIsNewAndSigned(t *testing.T) {
	b := newBench(t, false)
	nonces := map[string]bool{}
	for range 20 {
		otp := b.ka.Press()
		want(t, "check", b.try(b.alice, otp), nil)
		asked := b.server.Asked()
		q := asked[len(asked)-1]
		if !regexp.MustCompile(`^[a-z0-9]{32}$`).MatchString(q.Get("nonce")) || nonces[q.Get("nonce")] {
			t.Errorf("nonce %q", q.Get("nonce"))
		}
		nonces[q.Get("nonce")] = true
		if q.Get("otp") != otp || q.Get("id") != "87" || q.Get("timestamp") != "1" || q.Get("h") == "" || len(q) != 5 {
			t.Errorf("asked %v", q)
		}
	}
	// The server of the test checks signatures with code of its own.
	b.server.Secret = []byte("the server knows another key")
	want(t, "another secret", b.try(b.alice, b.ka.Press()), ErrRefused)
	b.server.Secret, b.server.Client = apiKey, "88"
	want(t, "another client", b.try(b.alice, b.ka.Press()), ErrRefused)
}

func (b *bench) replicas(t *testing.T, n int) []*yubikeytest.Server {
	t.Helper()
	hosts := []string{"one", "two", "three"}[:n]
	servers := make([]*yubikeytest.Server, n)
	for i, h := range hosts {
		servers[i] = yubikeytest.NewServer("87", apiKey, func() time.Time { return time.Unix(b.at.Load(), 0) }, b.ka, b.kb)
		b.wire[h] = servers[i]
	}
	for i, s := range servers {
		for j, to := range servers {
			if i != j {
				s.Replicate(to)
			}
		}
	}
	b.rebuild(t, config(hosts...), nil)
	return servers
}

func TestOneServerIsAskedWhileItAnswers(t *testing.T) {
	b := newBench(t, false)
	servers := b.replicas(t, 3)
	want(t, "check", b.try(b.alice, b.ka.Press()), nil)
	want(t, "a no is final too", b.try(b.alice, forge(b.ka.Press())), verify.ErrWrong)
	if len(servers[1].Asked())+len(servers[2].Asked()) != 0 {
		t.Error("others were asked too")
	}
}

func TestTheNextServerIsAskedWhenOneIsAtFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, broken := range map[string]http.Handler{
			"nobody there": nil,
			"garbage":      http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "status=OK") }),
			"silent":       slow(time.Hour, http.NotFoundHandler()),
		} {
			b := newBench(t, false)
			servers := b.replicas(t, 3)
			b.wire["one"], b.wire["two"] = broken, broken
			begin := time.Now()
			want(t, name, b.try(b.alice, b.ka.Press()), nil)
			if took := time.Since(begin); took > 2*patience+window {
				t.Errorf("%s: took %s", name, took)
			}
			if len(servers[2].Asked()) != 1 {
				t.Errorf("%s: the third was asked %d times", name, len(servers[2].Asked()))
			}
		}
	})
}

// security case 89
func TestANoBeatsAYesWithinTheWindow(t *testing.T) {
	for name, test := range map[string]struct {
		after  time.Duration // the late server's answer after the other's yes
		change func(pairs) pairs
		want   error
	}{
		"replay, soon":       {window / 2, func(p pairs) pairs { return with(p, "status", "REPLAYED_OTP") }, verify.ErrReplayed},
		"bad, soon":          {window / 2, func(p pairs) pairs { return with(p, "status", "BAD_OTP") }, verify.ErrWrong},
		"replay, too late":   {window * 2, func(p pairs) pairs { return with(p, "status", "REPLAYED_OTP") }, nil},
		"our own question":   {window / 2, func(p pairs) pairs { return with(p, "status", "REPLAYED_REQUEST") }, nil},
		"a fault":            {window / 2, func(p pairs) pairs { return with(p, "status", "BACKEND_ERROR") }, nil},
		"a no of no meaning": {window / 2, func(p pairs) pairs { return with(with(p, "status", "REPLAYED_OTP"), "nonce", "another") }, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, false)
			servers := b.replicas(t, 2)
			servers[0].Misbehave(signed(test.change))
			b.wire["one"] = slow(patience+test.after, servers[0]) // the second is asked when patience ends, and says yes
			begin := time.Now()
			want(t, name, b.try(b.alice, b.ka.Press()), test.want)
			if took := time.Since(begin); took > patience+window {
				t.Errorf("%s: took %s", name, took)
			}
		})
	}
}

// security case 89: the first server took it, and its answer was lost. The
// second heard of it. Nobody said yes, so it is no.
func TestAnAnswerThatWasLostIsNotAYes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, false)
		servers := b.replicas(t, 2)
		b.wire["one"] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			servers[0].ServeHTTP(httptest.NewRecorder(), r)
			w.WriteHeader(http.StatusBadGateway)
		})
		want(t, "lost", b.try(b.alice, b.ka.Press()), verify.ErrReplayed)
		b.wire["one"] = servers[0]
		want(t, "next touch", b.try(b.alice, b.ka.Press()), nil)
	})
}

func TestSilenceEndsAtTheDeadlineAndIsANo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, false)
		b.replicas(t, 3)
		for _, h := range []string{"one", "two", "three"} {
			b.wire[h] = slow(time.Hour, b.server)
		}
		for _, who := range []verify.Subject{b.alice, {ID: "decoy:nobody"}} {
			begin := time.Now()
			want(t, "silence", b.try(who, b.ka.Press()), context.DeadlineExceeded)
			if took := time.Since(begin); took != DefaultConfig().Timeout {
				t.Errorf("took %s", took)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := b.client.ask(ctx, b.ka.Press())
		want(t, "nobody waits any more", err, context.Canceled)
	})
}

// Over a network, with the program's own transport.
func TestTheProgramsTransportFollowsNothingAndUnpacksNothing(t *testing.T) {
	b := newBench(t, false)
	var elsewhere []*url.URL
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		elsewhere = append(elsewhere, r.URL)
		b.server.ServeHTTP(w, r)
	}))
	defer other.Close()
	here := httptest.NewServer(b.server)
	defer here.Close()
	cfg := config()
	cfg.Servers = []string{here.URL + "/wsapi/2.0/verify"}
	f, err := New(cfg, b.vault, nil, func() time.Time { return time.Unix(b.at.Load(), 0) }, zeroes{})
	if err != nil {
		t.Fatal(err)
	}
	b.Factor = f
	want(t, "honest", b.try(b.alice, b.ka.Press()), nil)
	for name, wrong := range map[string]func(http.ResponseWriter, *http.Request, pairs){
		"redirect": func(w http.ResponseWriter, r *http.Request, _ pairs) {
			http.Redirect(w, r, other.URL+"/wsapi/2.0/verify?"+r.URL.RawQuery, http.StatusTemporaryRedirect)
		},
		"packed": func(w http.ResponseWriter, r *http.Request, p pairs) {
			var packed bytes.Buffer
			z := gzip.NewWriter(&packed)
			fmt.Fprint(z, yubikeytest.Text(yubikeytest.Sign(p, apiKey)))
			z.Close()
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(packed.Bytes())
		},
		"broken off": func(w http.ResponseWriter, r *http.Request, p pairs) {
			w.Header().Set("Content-Length", "100000")
			yubikeytest.Write(w, yubikeytest.Sign(p, apiKey))
		},
		"dropped": func(http.ResponseWriter, *http.Request, pairs) { panic(http.ErrAbortHandler) },
	} {
		b.server.Misbehave(wrong)
		otp := b.ka.Press()
		err := b.try(b.alice, otp)
		if err == nil || errors.Is(err, verify.ErrWrong) || errors.Is(err, verify.ErrReplayed) || strings.Contains(err.Error(), otp) || strings.Contains(err.Error(), "otp=") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if len(elsewhere) > 0 {
		t.Errorf("the password went to %v", elsewhere)
	}
	here.Close()
	otp := b.ka.Press()
	if err := b.try(b.alice, otp); err == nil || strings.Contains(err.Error(), otp) {
		t.Errorf("nobody there: got %v", err)
	}
}

type zeroes struct{}

func (zeroes) Read(b []byte) (int, error) { return len(b), nil }

func TestTheProbeSaysWhichServerIsWrong(t *testing.T) {
	b := newBench(t, false)
	servers := b.replicas(t, 3)
	if err := b.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	servers[0].Client = "88"
	servers[1].Misbehave(signed(func(p pairs) pairs { return with(p, "status", "OK") }))
	err := b.Probe(t.Context())
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "one: ") || !strings.Contains(err.Error(), "two: ") || strings.Contains(err.Error(), "three") {
		t.Errorf("got %v", err)
	}
	if err := newBench(t, true).Probe(t.Context()); err != nil {
		t.Errorf("offline: %v", err)
	}
}

func TestNoRandomnessIsANo(t *testing.T) {
	b := newBench(t, false)
	b.client.random = strings.NewReader("")
	if err := b.try(b.alice, b.ka.Press()); err == nil || errors.Is(err, verify.ErrWrong) {
		t.Errorf("got %v", err)
	}
	if _, err := New(config("one"), nil, nil, time.Now, strings.NewReader("")); err == nil {
		t.Error("a factor without a dummy")
	}
}

func TestTheSecretIsNotInTheConfigurationsText(t *testing.T) {
	cfg := config("one")
	for _, s := range []string{fmt.Sprintf("%v", cfg), fmt.Sprintf("%+v", cfg), fmt.Sprintf("%#v", cfg)} {
		if strings.Contains(s, cfg.Secret.Reveal()) {
			t.Errorf("printed: %s", s)
		}
	}
}

// Who touches a key while no server answers hears so at once, when others have waited for
// it; one in a few seconds finds out whether somebody is back; a no is an answer.
func TestWhileNobodyAnswersOneWaitsForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, false)
		for range 3 * tolerated {
			want(t, "a no", b.try(b.alice, forge(b.ka.Press())), verify.ErrWrong)
		}
		servers := b.replicas(t, 1)
		var silent atomic.Bool
		b.wire["one"] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if silent.Load() {
				slow(time.Hour, servers[0]).ServeHTTP(w, r)
				return
			}
			servers[0].ServeHTTP(w, r)
		})
		silent.Store(true)
		for range tolerated {
			want(t, "silence", b.try(b.alice, b.ka.Press()), context.DeadlineExceeded)
		}
		begin := time.Now()
		for range 100 {
			want(t, "left alone", b.try(b.alice, b.ka.Press()), gobreaker.ErrOpenState)
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("they waited %s", took)
		}
		time.Sleep(rest + time.Millisecond)
		want(t, "the one", b.try(b.alice, b.ka.Press()), context.DeadlineExceeded)
		want(t, "and no other", b.try(b.alice, b.ka.Press()), gobreaker.ErrOpenState)
		silent.Store(false)
		time.Sleep(rest + time.Millisecond)
		want(t, "back", b.try(b.alice, b.ka.Press()), nil)
	})
}
