package passkey

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/directory"
	"postern/verify"
	"postern/verify/passkey/passkeytest"
	"postern/verify/verifytest"
)

const site = "https://portal.corp.example"

type bench struct {
	*Factor
	vault   *verifytest.Vault
	handles *passkeytest.Handles
	at      time.Time
	who     verify.Subject
	device  *passkeytest.Authenticator
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{at: time.Now(), handles: passkeytest.NewHandles(), device: passkeytest.New(site)}
	now := func() time.Time { return b.at }
	b.vault = verifytest.NewVault(now)
	b.who = subject("corp:a")
	cfg := DefaultConfig()
	cfg.Name = "Postern"
	f, err := New(cfg, site+"/", b.vault, b.handles, now, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b.Factor = f
	return b
}

func subject(id directory.ID) verify.Subject {
	return verify.Subject{ID: id, User: &directory.User{ID: id, Login: string(id), Name: "A Person"}, Case: "case-1", Purpose: "reset"}
}

func (b *bench) enrol(t testing.TB, s verify.Subject, device *passkeytest.Authenticator, knobs ...passkeytest.Knob) (verify.Credential, error) {
	t.Helper()
	offer, err := b.Offer(t.Context(), s)
	if err != nil {
		return verify.Credential{}, err
	}
	answer, err := device.Create(offer.Public, knobs...)
	if err != nil {
		t.Fatal(err)
	}
	e, err := b.Enrol(t.Context(), s, offer, answer)
	if err != nil {
		return verify.Credential{}, err
	}
	if len(e.Add) != 1 || e.ReplaceAll {
		t.Fatalf("enrolment %+v", e)
	}
	return e.Add[0], b.vault.Keep(t.Context(), s.ID, verify.Passkey, e)
}

func (b *bench) mustEnrol(t testing.TB, s verify.Subject, device *passkeytest.Authenticator, knobs ...passkeytest.Knob) verify.Credential {
	t.Helper()
	c, err := b.enrol(t, s, device, knobs...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (b *bench) begin(t testing.TB, s verify.Subject) verify.Challenge {
	t.Helper()
	c, err := b.Begin(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// sign opens a question for s and answers it with the bench's device.
func (b *bench) sign(t testing.TB, s verify.Subject, knobs ...passkeytest.Knob) error {
	t.Helper()
	c := b.begin(t, s)
	answer, err := b.device.Get(c.Public, knobs...)
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Check(t.Context(), s, c, answer)
	return err
}

func TestAPasskeyIsEnrolledAndOpens(t *testing.T) {
	for name, counts := range map[string]bool{"with a count": true, "synced, without a count": false} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.device.Counts = counts
			kept := b.mustEnrol(t, b.who, b.device)
			if kept.Name != "" || kept.Owner != b.who.ID || kept.Secret != nil || len(kept.Handle) == 0 || !json.Valid(kept.Public) || kept.Counter != 0 {
				t.Errorf("kept %+v", kept)
			}
			for range 3 {
				c := b.begin(t, b.who)
				answer, err := b.device.Get(c.Public)
				if err != nil {
					t.Fatal(err)
				}
				if id, err := b.Discover(t.Context(), c, answer); err != nil || id != b.who.ID {
					t.Errorf("Discover: %q, %v", id, err)
				}
				e, err := b.Check(t.Context(), b.who, c, answer)
				if err != nil || e.Credential != kept.ID || !e.Since.Equal(kept.Created) {
					t.Fatalf("%+v, %v", e, err)
				}
			}
		})
	}
}

// security case 4
func TestTheQuestionIsTheSameForEverybody(t *testing.T) {
	b := newBench(t)
	b.mustEnrol(t, b.who, b.device)
	shape := func(s verify.Subject) string {
		c := b.begin(t, s)
		var o struct{ PublicKey map[string]any }
		if err := json.Unmarshal(c.Public, &o); err != nil {
			t.Fatal(err)
		}
		if _, named := o.PublicKey["allowCredentials"]; named {
			t.Error("the question names credentials")
		}
		if o.PublicKey["userVerification"] != "required" || o.PublicKey["rpId"] != "portal.corp.example" || o.PublicKey["timeout"] != 300000. {
			t.Errorf("options %v", o.PublicKey)
		}
		challenge := o.PublicKey["challenge"].(string)
		return strings.ReplaceAll(string(c.Public), challenge, strings.Repeat("c", len(challenge)))
	}
	enrolled := shape(b.who)
	before := b.vault.Calls()
	for name, s := range map[string]verify.Subject{"unenrolled": subject("corp:b"), "decoy": {ID: "decoy:x", Case: "case-1"}, "nobody yet": {Case: "case-1"}} {
		if got := shape(s); got != enrolled {
			t.Errorf("%s: %s, want %s", name, got, enrolled)
		}
	}
	if b.vault.Calls() != before {
		t.Error("asking took work that depends on the person")
	}
}

// security cases 75, 77
func TestAnAnswerFromElsewhereIsWrong(t *testing.T) {
	knobs := map[string]passkeytest.Knob{
		"http":                      func(c *passkeytest.Ceremony) { c.Origin = "http://portal.corp.example" },
		"other port":                func(c *passkeytest.Ceremony) { c.Origin = site + ":8443" },
		"sub-domain":                func(c *passkeytest.Ceremony) { c.Origin = "https://evil.portal.corp.example" },
		"parent domain":             func(c *passkeytest.Ceremony) { c.Origin = "https://corp.example" },
		"other site":                func(c *passkeytest.Ceremony) { c.Origin = "https://evil.example" },
		"prefix":                    func(c *passkeytest.Ceremony) { c.Origin = site + ".evil.example" },
		"user info":                 func(c *passkeytest.Ceremony) { c.Origin = "https://portal.corp.example@evil.example" },
		"with a path":               func(c *passkeytest.Ceremony) { c.Origin = site + "/" },
		"capitals":                  func(c *passkeytest.Ceremony) { c.Origin = "https://PORTAL.corp.example" },
		"null":                      func(c *passkeytest.Ceremony) { c.Origin = "null" },
		"no origin":                 func(c *passkeytest.Ceremony) { c.Origin = "" },
		"app":                       func(c *passkeytest.Ceremony) { c.Origin = "android:apk-key-hash:x" },
		"other rp id":               func(c *passkeytest.Ceremony) { c.RPID = "corp.example" },
		"framed":                    func(c *passkeytest.Ceremony) { c.CrossOrigin = true },
		"framed by":                 func(c *passkeytest.Ceremony) { c.CrossOrigin, c.TopOrigin = true, "https://evil.example" },
		"framed by us":              func(c *passkeytest.Ceremony) { c.CrossOrigin, c.TopOrigin = true, site },
		"top origin, not framed":    func(c *passkeytest.Ceremony) { c.TopOrigin = site },
		"user not verified":         func(c *passkeytest.Ceremony) { c.Flags &^= passkeytest.UserVerified },
		"user not present":          func(c *passkeytest.Ceremony) { c.Flags &^= passkeytest.UserPresent },
		"neither":                   func(c *passkeytest.Ceremony) { c.Flags = 0 },
		"backed up, not eligible":   func(c *passkeytest.Ceremony) { c.Flags |= passkeytest.BackedUp },
		"challenge of one's own":    func(c *passkeytest.Ceremony) { c.Challenge = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" },
		"empty challenge":           func(c *passkeytest.Ceremony) { c.Challenge = "" },
		"padded challenge":          func(c *passkeytest.Ceremony) { c.Challenge += "=" },
		"megabyte of client data":   func(c *passkeytest.Ceremony) { c.Padding = 1 << 20 },
		"reported id is another's":  func(c *passkeytest.Ceremony) { c.ReportedID = bytes.Repeat([]byte{1}, 32) },
		"reported id is not there":  func(c *passkeytest.Ceremony) { c.ReportedID = nil },
		"reported id is 70 k large": func(c *passkeytest.Ceremony) { c.ReportedID = make([]byte, 70<<10) },
	}
	for name, knob := range knobs {
		t.Run("get/"+name, func(t *testing.T) {
			b := newBench(t)
			b.mustEnrol(t, b.who, b.device)
			if err := b.sign(t, b.who, knob); !errors.Is(err, verify.ErrWrong) {
				t.Errorf("got %v, want ErrWrong", err)
			}
			if err := b.sign(t, b.who); err != nil {
				t.Errorf("an honest answer afterwards: %v", err)
			}
		})
		t.Run("create/"+name, func(t *testing.T) {
			b := newBench(t)
			if _, err := b.enrol(t, b.who, b.device, knob); !errors.Is(err, verify.ErrWrong) {
				t.Errorf("got %v, want ErrWrong", err)
			}
		})
	}
	onlyGet := map[string]passkeytest.Knob{
		"type create":              func(c *passkeytest.Ceremony) { c.Type = "webauthn.create" },
		"no type":                  func(c *passkeytest.Ceremony) { c.Type = "" },
		"payment":                  func(c *passkeytest.Ceremony) { c.Type = "payment.get" },
		"forged":                   func(c *passkeytest.Ceremony) { c.Forge = true },
		"eligibility came up":      func(c *passkeytest.Ceremony) { c.Flags |= passkeytest.BackupEligible },
		"no user handle":           func(c *passkeytest.Ceremony) { c.UserHandle = nil },
		"empty user handle":        func(c *passkeytest.Ceremony) { c.UserHandle = []byte{} },
		"user handle is a name":    func(c *passkeytest.Ceremony) { c.UserHandle = []byte("corp:a") },
		"user handle is too long":  func(c *passkeytest.Ceremony) { c.UserHandle = make([]byte, 65) },
		"user handle is nobody's":  func(c *passkeytest.Ceremony) { c.UserHandle = make([]byte, 64) },
		"user handle, other start": func(c *passkeytest.Ceremony) { c.UserHandle = append([]byte{0}, c.UserHandle[1:]...) },
	}
	for name, knob := range onlyGet {
		t.Run("get/"+name, func(t *testing.T) {
			b := newBench(t)
			b.mustEnrol(t, b.who, b.device)
			if err := b.sign(t, b.who, knob); !errors.Is(err, verify.ErrWrong) {
				t.Errorf("got %v, want ErrWrong", err)
			}
		})
	}
	for name, knob := range map[string]passkeytest.Knob{
		"type get":         func(c *passkeytest.Ceremony) { c.Type = "webauthn.get" },
		"not discoverable": func(c *passkeytest.Ceremony) { c.Discoverable = false },
	} {
		t.Run("create/"+name, func(t *testing.T) {
			b := newBench(t)
			if _, err := b.enrol(t, b.who, b.device, knob); !errors.Is(err, verify.ErrWrong) {
				t.Errorf("got %v, want ErrWrong", err)
			}
		})
	}
}

// Extensions nobody asked for are what password managers add.
func TestUnaskedExtensionsDoNotShutAnybodyOut(t *testing.T) {
	b := newBench(t)
	extra := func(c *passkeytest.Ceremony) {
		c.Extensions = map[string]any{"prf": map[string]any{"enabled": true}, "example": 1}
	}
	b.mustEnrol(t, b.who, b.device, extra)
	extra = func(c *passkeytest.Ceremony) { c.Extensions = map[string]any{"appid": true, "example": 1} }
	if err := b.sign(t, b.who, extra); err != nil {
		t.Error(err)
	}
}

// security case 76
func TestAChallengeIsOfOneCaseAndOneTime(t *testing.T) {
	b := newBench(t)
	b.mustEnrol(t, b.who, b.device)
	c := b.begin(t, b.who)
	answer, err := b.device.Get(c.Public)
	if err != nil {
		t.Fatal(err)
	}
	later := b.who
	later.Case = "case-2"
	if _, err := b.Check(t.Context(), later, c, answer); !errors.Is(err, verify.ErrWrong) {
		t.Errorf("other case: %v", err)
	}
	if _, err := b.Check(t.Context(), b.who, b.begin(t, b.who), answer); !errors.Is(err, verify.ErrWrong) {
		t.Errorf("other challenge: %v", err)
	}
	for _, state := range []string{"", "{}", "null", `{"case":"case-1"}`, `{"case":"case-1","session":{"challenge":""}}`} {
		broken := c
		broken.State = []byte(state)
		if _, err := b.Check(t.Context(), b.who, broken, answer); err == nil || errors.Is(err, verify.ErrWrong) {
			t.Errorf("state %q: got %v, want a fault", state, err)
		}
	}
	if _, err := b.Check(t.Context(), b.who, c, answer); err != nil {
		t.Fatalf("in its place: %v", err)
	}
	if _, err := b.Check(t.Context(), b.who, c, answer); !errors.Is(err, verify.ErrReplayed) {
		t.Errorf("again: got %v, want ErrReplayed", err)
	}
	late := b.begin(t, b.who)
	answer, _ = b.device.Get(late.Public)
	b.at = b.at.Add(5*time.Minute - time.Second)
	if _, err := b.Discover(t.Context(), late, answer); err != nil {
		t.Errorf("in time: %v", err)
	}
	b.at = b.at.Add(time.Second)
	if _, err := b.Check(t.Context(), b.who, late, answer); !errors.Is(err, verify.ErrExpired) {
		t.Errorf("after 5 minutes: %v", err)
	}
	if _, err := b.Discover(t.Context(), late, answer); !errors.Is(err, verify.ErrExpired) {
		t.Errorf("Discover after 5 minutes: %v", err)
	}
}

// security case 76: the library's own clock check is on as well.
func TestTheLibraryEnforcesTimeToo(t *testing.T) {
	b := newBench(t)
	for name, open := range map[string]func() (verify.Challenge, error){
		"get":    func() (verify.Challenge, error) { return b.Begin(t.Context(), b.who) },
		"create": func() (verify.Challenge, error) { return b.Offer(t.Context(), b.who) },
	} {
		c, err := open()
		if err != nil {
			t.Fatal(err)
		}
		var a asked
		if err := json.Unmarshal(c.State, &a); err != nil {
			t.Fatal(err)
		}
		if left := time.Until(a.Session.Expires); left <= 4*time.Minute || left > 5*time.Minute {
			t.Errorf("%s: the library would wait %v", name, left)
		}
	}
}

// security case 76: two finishes at once, on two nodes.
func TestOfFiftyFinishesAtOnceOneSucceeds(t *testing.T) {
	b := newBench(t)
	b.mustEnrol(t, b.who, b.device)
	c := b.begin(t, b.who)
	answer, err := b.device.Get(c.Public)
	if err != nil {
		t.Fatal(err)
	}
	var won atomic.Int32
	var all sync.WaitGroup
	begin := make(chan struct{})
	for range 50 {
		all.Go(func() {
			<-begin
			if _, err := b.Check(t.Context(), b.who, c, answer); err == nil {
				won.Add(1)
			} else if !errors.Is(err, ErrCloned) {
				t.Errorf("got %v", err)
			}
		})
	}
	close(begin)
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d succeeded", won.Load())
	}
}

// WebAuthn L3 section 7.2 step 22
func TestACountThatDoesNotGoForwardIsRefused(t *testing.T) {
	b := newBench(t)
	b.mustEnrol(t, b.who, b.device)
	count := func(n uint32) passkeytest.Knob { return func(c *passkeytest.Ceremony) { c.Count = n } }
	for _, step := range []struct {
		count uint32
		want  error
	}{{5, nil}, {5, ErrCloned}, {4, ErrCloned}, {0, ErrCloned}, {6, nil}, {1 << 31, nil}, {1<<32 - 1, nil}, {0, ErrCloned}} {
		err := b.sign(t, b.who, count(step.count))
		if !errors.Is(err, step.want) || step.want != nil && !errors.Is(err, verify.ErrReplayed) {
			t.Errorf("count %d: got %v, want %v", step.count, err, step.want)
		}
	}
}
