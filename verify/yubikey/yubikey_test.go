package yubikey

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/directory"
	"postern/verify"
	"postern/verify/yubikey/yubikeytest"
)

// both runs a test against servers and against the keys' own secrets.
func both(t *testing.T, run func(*testing.T, *bench)) {
	for name, offline := range map[string]bool{"online": false, "offline": true} {
		t.Run(name, func(t *testing.T) { run(t, newBench(t, offline)) })
	}
}

func want(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) || want == nil && got != nil {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestOnesOwnKeyProves(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		c, err := b.Begin(t.Context(), b.alice)
		if err != nil || c.Kind != verify.YubiKey || c.State != nil || c.Public != nil || c.Deliver != nil {
			t.Fatalf("%+v, %v", c, err)
		}
		e, err := b.Check(t.Context(), b.alice, c, []byte(b.ka.Press()+"\n"))
		if err != nil || e.Credential != "alice-1" || !e.Since.Equal(time.Unix(1_700_000_000, 0)) {
			t.Fatalf("%+v, %v", e, err)
		}
		for range 3 {
			want(t, "the next touch", b.try(b.alice, b.ka.Press()), nil)
		}
		b.ka.Plug()
		want(t, "plugged in again, CapsLock on", b.try(b.alice, strings.ToUpper(b.ka.Press())), nil)
		want(t, "on a Dvorak keyboard", b.try(b.alice, typed("jxe.uidchtnbpygk", b.ka.Press())), nil)
		b.at.Add(int64(life / time.Second))
		_, err = b.Check(t.Context(), b.alice, c, []byte(b.ka.Press()))
		want(t, "too late", err, verify.ErrExpired)
	})
}

// security case 89
func TestAPasswordCountsOnceHoweverItIsTyped(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		otp := b.ka.Press()
		want(t, "first", b.try(b.alice, otp), nil)
		for _, again := range []string{otp, otp + "\n", strings.ToUpper(otp), typed("jxe.uidchtnbpygk", otp), typed("сивуапршолдткегм", otp)} {
			want(t, again, b.try(b.alice, again), verify.ErrReplayed)
		}
	})
}

// security case 89
func TestAnOlderPasswordAfterANewerOneIsReplayed(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		older, newer := b.ka.Press(), b.ka.Press()
		b.ka.Plug()
		want(t, "newer", b.try(b.alice, newer), nil)
		want(t, "older", b.try(b.alice, older), verify.ErrReplayed)
		// A server that lost its memory, or a replica that never had it.
		b.server.Forget()
		want(t, "older, and the server forgot", b.try(b.alice, older), verify.ErrReplayed)
		b.server.Forget()
		want(t, "same, and the server forgot", b.try(b.alice, newer), verify.ErrReplayed)
		want(t, "newest", b.try(b.alice, b.ka.Press()), nil)
		want(t, "session counts do not carry over", b.try(b.alice, b.ka.At(1, 0xff)), verify.ErrReplayed)
	})
}

// security case 89: a vault takes 0 after 0 again and again.
func TestACounterOfNothingNeverCounts(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		for range 2 {
			want(t, "0/0", b.try(b.alice, b.ka.At(0, 0)), verify.ErrReplayed)
			b.server.Forget()
		}
		want(t, "0/1", b.try(b.alice, b.ka.At(0, 1)), nil)
	})
}

// security case 89: two factors over one vault are two nodes.
func TestOfFiftyAtOnceOnTwoNodesOneSucceeds(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		one, two := b.Factor, *b.Factor
		b.server.Misbehave(func(w http.ResponseWriter, _ *http.Request, honest []yubikeytest.Pair) {
			// Replicas that do not talk to each other: all say yes.
			b.server.Forget()
			yubikeytest.Write(w, yubikeytest.Sign(honest, apiKey))
		})
		otp := b.ka.Press()
		var won atomic.Int32
		var all sync.WaitGroup
		for i := range 50 {
			node := one
			if i%2 == 1 {
				node = &two
			}
			all.Go(func() {
				_, err := node.Check(context.Background(), b.alice, verify.Challenge{Expires: time.Unix(b.at.Load(), 0).Add(time.Minute)}, []byte(otp))
				if err == nil {
					won.Add(1)
				} else if !errors.Is(err, verify.ErrReplayed) {
					t.Errorf("got %v", err)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 {
			t.Errorf("%d won", won.Load())
		}
	})
}

// security case 91
func TestAnotherKeyProvesNothing(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		want(t, "Bob's key", b.try(b.alice, b.kb.Press()), verify.ErrWrong)
		want(t, "nobody's key", b.try(b.alice, b.kc.Press()), verify.ErrWrong)
		mixed := b.ka.Press()[:idLetters] + b.kb.Press()[idLetters:]
		want(t, "Alice's public id on Bob's password", b.try(b.alice, mixed), verify.ErrWrong)
		want(t, "Bob's own key for Bob", b.try(b.bob, b.kb.Press()), nil)
		own, err := b.vault.Credentials(t.Context(), b.alice.ID, verify.YubiKey)
		if err != nil || len(own) != 1 || own[0].Counter != 0 {
			t.Errorf("Alice's key moved: %+v, %v", own, err)
		}
		b.vault.Remove("alice-1")
		want(t, "a key that was taken away", b.try(b.alice, b.ka.Press()), verify.ErrWrong)
	})
}

// security case 91: what a stranger can learn by trying passwords, by the kind of
// answer and by who is asked.
func TestADecoyIsAskedAboutLikeAnybody(t *testing.T) {
	decoy := verify.Subject{ID: "decoy:nobody", Case: "case-1"}
	nobody := person("corp:alice")
	nobody.User = nil
	both(t, func(t *testing.T, b *bench) {
		old := b.ka.Press()
		want(t, "used", b.try(b.alice, old), nil)
		forged := forge(b.ka.Press())
		for what, test := range map[string]struct {
			otp  string
			want error
		}{"made up, with Alice's public id": {forged, verify.ErrWrong}, "an old one of Alice's": {old, verify.ErrReplayed}, "no password": {"123456", verify.ErrWrong}} {
			for _, who := range []verify.Subject{b.alice, b.bob, decoy, nobody} {
				asked, reads := len(b.server.Asked()), b.vault.Calls()
				want(t, fmt.Sprintf("%s, for %s", what, who.ID), b.try(who, test.otp), test.want)
				wantAsked, wantReads := 1, 1
				if len(test.otp) != otpLetters {
					wantAsked, wantReads = 0, 0
				}
				if b.client == nil {
					wantAsked = 0
				}
				if got := len(b.server.Asked()) - asked; got != wantAsked {
					t.Errorf("%s, for %s: the server was asked %d times, want %d", what, who.ID, got, wantAsked)
				}
				if got := b.vault.Calls() - reads; got != wantReads {
					t.Errorf("%s, for %s: the vault was asked %d times, want %d", what, who.ID, got, wantReads)
				}
			}
		}
		for _, who := range []verify.Subject{decoy, nobody} {
			want(t, "genuine and new, for a decoy", b.try(who, b.ka.Press()), verify.ErrWrong)
		}
	})
}

func TestAVaultThatFailsIsANo(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		gone := errors.New("disk gone")
		b.vault.Fail(gone)
		for _, who := range []verify.Subject{b.alice, {ID: "decoy:nobody"}} {
			want(t, "check", b.try(who, b.ka.Press()), gone)
		}
		_, err := b.Offer(t.Context(), b.alice)
		want(t, "offer", err, gone)
	})
}

func TestAKeyWithoutItsSecretIsAFaultOffline(t *testing.T) {
	b := newBench(t, true)
	carol := person("corp:carol")
	if err := b.vault.Put(t.Context(), verify.Credential{ID: "carol-1", Owner: carol.ID, Kind: verify.YubiKey, Handle: b.kc.Public[:]}); err != nil {
		t.Fatal(err)
	}
	want(t, "no secret", b.try(carol, b.kc.Press()), ErrBadSecret)
}

func (b *bench) enrol(t *testing.T, who verify.Subject, otp string) (verify.Enrolment, error) {
	t.Helper()
	offer, err := b.Offer(t.Context(), who)
	if err != nil {
		return verify.Enrolment{}, err
	}
	return b.Enrol(t.Context(), who, offer, []byte(otp))
}

func TestAKeyIsEnrolledByTouchingIt(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		b.vault.Remove("alice-1")
		offer, err := b.Offer(t.Context(), b.alice)
		if err != nil || offer.Public != nil || offer.Deliver != nil {
			t.Fatalf("%+v, %v", offer, err)
		}
		old, otp := b.ka.Press(), b.ka.Press()
		got, err := b.Enrol(t.Context(), b.alice, offer, []byte(otp+"\n"))
		if err != nil || len(got.Add) != 1 || got.ReplaceAll {
			t.Fatalf("%+v, %v", got, err)
		}
		c := got.Add[0]
		if c.Name != "YubiKey 1001" || !bytes.Equal(c.Handle, b.ka.Public[:]) || c.Owner != b.alice.ID || c.Counter != 1<<8|1 || len(c.ID) != 32 || (c.Secret == nil) != (b.client != nil) {
			t.Errorf("%+v", c)
		}
		if err := b.vault.Keep(t.Context(), b.alice.ID, verify.YubiKey, got); err != nil {
			t.Fatal(err)
		}
		b.server.Forget()
		want(t, "the one it was enrolled with", b.try(b.alice, otp), verify.ErrReplayed)
		want(t, "one from before", b.try(b.alice, old), verify.ErrReplayed)
		want(t, "the next", b.try(b.alice, b.ka.Press()), nil)
	})
}

func TestWhatIsNotOnesOwnNewKeyIsNotEnrolled(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		_, err := b.enrol(t, b.alice, b.kb.Press())
		want(t, "Bob's key", err, verify.ErrDuplicate)
		_, err = b.enrol(t, b.alice, forge(b.kb.Press()))
		want(t, "made up, with Bob's public id", err, verify.ErrWrong)
		_, err = b.enrol(t, b.alice, "123456")
		want(t, "no password", err, verify.ErrWrong)
		b.vault.Remove("bob-1")
		if b.client != nil {
			used := b.kb.Press()
			want(t, "used", b.try(b.bob, used), verify.ErrWrong) // nobody's now, and spent at the server
			_, err = b.enrol(t, b.bob, used)
			want(t, "used before", err, verify.ErrReplayed)
		} else {
			_, err = b.enrol(t, b.bob, b.kc.Press())
			want(t, "not imported", err, ErrUnknownKey)
			want(t, "not imported", err, verify.ErrWrong)
		}
		_, err = b.enrol(t, b.bob, b.kb.At(0, 0))
		want(t, "counter of nothing", err, verify.ErrReplayed)

		offer, err := b.Offer(t.Context(), b.alice)
		if err != nil {
			t.Fatal(err)
		}
		other := b.alice
		other.Case = "case-2"
		for _, who := range []verify.Subject{b.bob, other} { // case 21
			_, err = b.Enrol(t.Context(), who, offer, []byte(b.kb.Press()))
			want(t, "another's offer", err, verify.ErrWrong)
		}
		b.at.Add(int64(offerLife / time.Second))
		_, err = b.Enrol(t.Context(), b.alice, offer, []byte(b.kb.Press()))
		want(t, "too late", err, verify.ErrExpired)
		if _, err := b.Offer(t.Context(), verify.Subject{ID: "decoy:nobody"}); err == nil {
			t.Error("a decoy was offered something")
		}
	})
}

func TestOnePersonHasFiveKeysAtMost(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		offer, err := b.Offer(t.Context(), b.alice)
		if err != nil {
			t.Fatal(err)
		}
		for i := range uint32(4) {
			b.give(t, fmt.Sprint(i), b.alice, yubikeytest.New(2000+i))
		}
		_, err = b.Offer(t.Context(), b.alice)
		want(t, "a sixth", err, verify.ErrTooMany)
		_, err = b.Enrol(t.Context(), b.alice, offer, []byte(b.kc.Press()))
		want(t, "offered before there were five", err, verify.ErrTooMany)
	})
}

func TestNamesComeFromTheListOfKeysOnlineToo(t *testing.T) {
	b := newBench(t, false)
	k := imported(b.kc)
	k.Serial = 7654321
	b.rebuild(t, config("one"), NewInventory([]Imported{k}))
	got, err := b.enrol(t, b.alice, b.kc.Press())
	if err != nil || got.Add[0].Name != "YubiKey 7654321" || got.Add[0].Secret != nil {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestFaultySettingsAreRefusedByName(t *testing.T) {
	for key, change := range map[string]func(*Config){
		"client_id: missing":     func(c *Config) { c.ClientID, c.Secret = 0, directory.Secret{} },
		"client_id: -1":          func(c *Config) { c.ClientID = -1 },
		"secret: missing":        func(c *Config) { c.Secret = directory.Secret{} },
		"secret: is not base64":  func(c *Config) { c.Secret = directory.NewSecret("c2VjcmV0IGFzIGl0IGlz!") },
		"secret: is shorter":     func(c *Config) { c.Secret = directory.NewSecret("c2hvcnQ=") },
		"timeout: 0s":            func(c *Config) { c.Timeout = 0 },
		"timeout: 7s":            func(c *Config) { c.Timeout = 7 * time.Second },
		"max: 21":                func(c *Config) { c.Max = 21 },
		"servers: give":          func(c *Config) { c.Servers = nil },
		"servers[0]: must begin": func(c *Config) { c.Servers[0] = "http://validate.example.org/wsapi/2.0/verify" },
		"servers[0]: has no":     func(c *Config) { c.Servers[0] = "https://validate.example.org" },
		"servers[0]: must be":    func(c *Config) { c.Servers[0] = "https://u:p@validate.example.org/verify" },
		"servers[0]: is not":     func(c *Config) { c.Servers[0] = "validate.example.org" },
		"servers[1]: is there":   func(c *Config) { c.Servers = append(c.Servers, c.Servers[0]) },
		"servers[1]: must be":    func(c *Config) { c.Servers = append(c.Servers, "https://a.example/verify?id=1") },
		"servers[1]: must begin": func(c *Config) { c.Servers = append(c.Servers, "http://127.0.0.1.example.org/verify") },
		"offline: no server":     func(c *Config) { c.Offline, c.Keys = true, "keys.csv" },
		"keys: missing":          func(c *Config) { *c = DefaultConfig(); c.Offline = true },
	} {
		cfg := config("one")
		change(&cfg)
		f, err := New(cfg, nil, nil, time.Now, rand.Reader)
		if err == nil || f != nil || !strings.Contains(err.Error(), "yubikey: "+key) {
			t.Errorf("%s: got %v", key, err)
		}
		if err != nil && (strings.Contains(err.Error(), "c2h") || strings.Contains(err.Error(), "c2V")) {
			t.Errorf("%s: the error quotes the secret: %v", key, err)
		}
	}
	for _, s := range []string{"http://127.0.0.1:8080/wsapi/2.0/verify", "http://localhost/verify", "http://[::1]:1/verify"} {
		cfg := config("one")
		cfg.Servers[0] = s
		if faults := cfg.Validate(); len(faults) > 0 {
			t.Errorf("%s: %v", s, faults)
		}
	}
	if faults := DefaultConfig().Validate(); len(faults) > 0 || DefaultConfig().On() {
		t.Errorf("the default is to be off and without fault: %v", faults)
	}
	// Before references are resolved there is no secret yet.
	cfg := config("one")
	cfg.Secret, cfg.Reference = directory.Secret{}, "file:yubico.key"
	if faults := cfg.Validate(); len(faults) > 0 {
		t.Errorf("a reference alone: %v", faults)
	}
}
