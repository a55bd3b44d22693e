package yubikey

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postern/directory"
	"postern/verify"
	"postern/verify/verifytest"
	"postern/verify/yubikey/yubikeytest"
)

var apiKey = []byte("twenty bytes of key!")

// wire carries requests to handlers by host, without a network, so that time
// can stand still.
type wire map[string]http.Handler

func (w wire) RoundTrip(r *http.Request) (*http.Response, error) {
	h := w[r.URL.Host]
	if h == nil {
		return nil, fmt.Errorf("dial %s: nobody there", r.URL.Host)
	}
	done := make(chan *http.Response, 1)
	go func() {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		done <- rec.Result()
	}()
	select {
	case resp := <-done:
		return resp, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// slow answers after a while.
func slow(d time.Duration, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(d):
			h.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	})
}

func config(hosts ...string) Config {
	cfg := DefaultConfig()
	cfg.ClientID, cfg.Secret = 87, directory.NewSecret(base64.StdEncoding.EncodeToString(apiKey))
	cfg.Servers = nil
	for _, h := range hosts {
		cfg.Servers = append(cfg.Servers, "https://"+h+"/wsapi/2.0/verify")
	}
	return cfg
}

// bench is a factor, a vault, one validation server, and Alice and Bob with a
// key each.
type bench struct {
	*Factor
	vault      *verifytest.Vault
	server     *yubikeytest.Server
	wire       wire
	at         atomic.Int64 // seconds
	alice, bob verify.Subject
	ka, kb, kc *yubikeytest.Key // Alice's, Bob's, and one that is nobody's
}

func person(id directory.ID) verify.Subject {
	return verify.Subject{ID: id, User: &directory.User{ID: id, Login: string(id)}, Case: "case-1"}
}

func newBench(t testing.TB, offline bool) *bench {
	t.Helper()
	b := &bench{alice: person("corp:alice"), bob: person("corp:bob"), ka: yubikeytest.New(1001), kb: yubikeytest.New(1002), kc: yubikeytest.New(1003)}
	b.at.Store(1_800_000_000)
	now := func() time.Time { return time.Unix(b.at.Load(), 0) }
	b.vault = verifytest.NewVault(now)
	b.server = yubikeytest.NewServer("87", apiKey, now, b.ka, b.kb, b.kc)
	b.wire = wire{"one": b.server}
	cfg := config("one")
	var keys Keys
	if offline {
		cfg = DefaultConfig()
		cfg.Offline, cfg.Keys = true, "keys.csv"
		keys = NewInventory([]Imported{imported(b.ka), imported(b.kb)})
	}
	b.rebuild(t, cfg, keys)
	b.give(t, "alice-1", b.alice, b.ka)
	b.give(t, "bob-1", b.bob, b.kb)
	return b
}

func imported(k *yubikeytest.Key) Imported {
	return Imported{PublicID: k.Public, Serial: k.Serial, Secret: directory.NewSecret(string(append(k.Private[:], k.AES[:]...)))}
}

func (b *bench) rebuild(t testing.TB, cfg Config, keys Keys) {
	t.Helper()
	f, err := build(cfg, b.vault, keys, b.wire, func() time.Time { return time.Unix(b.at.Load(), 0) }, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b.Factor = f
}

func (b *bench) give(t testing.TB, id string, who verify.Subject, k *yubikeytest.Key) {
	t.Helper()
	c := verify.Credential{ID: id, Owner: who.ID, Kind: verify.YubiKey, Handle: k.Public[:], Created: time.Unix(1_700_000_000, 0)}
	if b.client == nil {
		c.Secret = append(k.Private[:], k.AES[:]...)
	}
	if err := b.vault.Put(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) try(who verify.Subject, answer string) error {
	_, err := b.Check(context.Background(), who, verify.Challenge{Kind: verify.YubiKey, Expires: time.Unix(b.at.Load(), 0).Add(time.Minute)}, []byte(answer))
	return err
}

// forge changes the last letter.
func forge(otp string) string {
	return otp[:43] + string(modhex[(strings.IndexByte(modhex, otp[43])+1)%16])
}
