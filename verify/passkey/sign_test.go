package passkey

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/verify"
	"postern/verify/passkey/passkeytest"
)

// statement is the digest of what is signed here.
var statement = digestOf("reset the password of corp:b, asked at 9:00")

func digestOf(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// approve asks s for a signature and has it given by device.
func (b *bench) approve(t testing.TB, s verify.Subject, device *passkeytest.Authenticator, rule verify.SignRule, knobs ...passkeytest.Knob) (verify.Signature, error) {
	t.Helper()
	c := must[verify.Challenge](t)(b.AskSignature(t.Context(), s, statement, verify.SignRule{}))
	answer := must[[]byte](t)(device.Get(c.Public, knobs...))
	return b.CheckSignature(t.Context(), s, statement, rule, answer)
}

func TestAPasskeySignsAStatement(t *testing.T) {
	for name, knobs := range map[string][]passkeytest.Knob{"": nil, "without a user handle": {passkeytest.Nameless}, "with an empty one": {func(c *passkeytest.Ceremony) { c.UserHandle = []byte{} }}} {
		for _, counts := range []bool{true, false} {
			b := newBench(t)
			b.device.Counts = counts
			kept := b.mustEnrol(t, b.who, b.device)
			b.at = b.at.Add(time.Second)
			rule := verify.SignRule{DeviceBound: true, Before: b.at}
			for range 2 {
				sig, err := b.approve(t, b.who, b.device, rule, knobs...)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				all := reflect.ValueOf(sig)
				for i := range all.NumField() {
					if all.Field(i).IsZero() {
						t.Errorf("%s is empty", all.Type().Field(i).Name)
					}
				}
				if sig.Credential != kept.ID || !bytes.Equal(sig.CredentialID, kept.Handle) || sig.Origin != site || sig.RPID != "portal.corp.example" || kept.Print != Fingerprint(sig.PublicKey) || len(kept.Print) != 64 {
					t.Errorf("%+v", sig)
				}
				text := must[[]byte](t)(json.Marshal(sig))
				var back verify.Signature
				if err := errors.Join(json.Unmarshal(text, &back), VerifySignature(back, statement)); err != nil {
					t.Errorf("kept and read again: %v", err)
				}
			}
			held := must[verify.Credential](t)(b.vault.ByHandle(t.Context(), verify.Passkey, kept.Handle))
			if counts && held.Counter != 2 || held.Used.IsZero() {
				t.Errorf("the use was not noted: %+v", held)
			}
		}
	}
}

func TestASignatureIsAskedOfKeysThatMaySign(t *testing.T) {
	b := newBench(t)
	if _, err := b.AskSignature(t.Context(), b.who, statement, verify.SignRule{}); !errors.Is(err, verify.ErrNoCredential) {
		t.Errorf("nothing enrolled: %v", err)
	}
	b.mustEnrol(t, subject("corp:b"), passkeytest.New(site))
	begin := b.at
	var ids []string
	for _, knobs := range [][]passkeytest.Knob{
		{transports("usb", "nfc")}, {passkeytest.Synced, transports("hybrid", "internal")}, {eligible, transports()}, {transports("internal")},
	} {
		kept := b.mustEnrol(t, b.who, passkeytest.New(site), knobs...)
		ids = append(ids, base64.RawURLEncoding.EncodeToString(kept.Handle))
		b.at = b.at.Add(time.Minute)
	}
	ways := []string{"usb nfc", "hybrid internal", "", "internal"}
	for name, test := range map[string]struct {
		rule verify.SignRule
		want []int
	}{
		"any":                            {verify.SignRule{}, []int{0, 1, 2, 3}},
		"bound":                          {verify.SignRule{DeviceBound: true}, []int{0, 3}},
		"the first two":                  {verify.SignRule{Before: begin.Add(2 * time.Minute)}, []int{0, 1}},
		"a moment after the second":      {verify.SignRule{Before: begin.Add(time.Minute + 1)}, []int{0, 1}},
		"bound, before the last":         {verify.SignRule{DeviceBound: true, Before: begin.Add(3 * time.Minute)}, []int{0}},
		"before all":                     {verify.SignRule{Before: begin}, nil},
		"bound, and only synced is left": {verify.SignRule{DeviceBound: true, Before: begin.Add(-time.Hour)}, nil},
	} {
		c, err := b.AskSignature(t.Context(), b.who, statement, test.rule)
		if test.want == nil {
			if !errors.Is(err, verify.ErrNoCredential) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || c.Kind != verify.Passkey || len(c.State) != 0 || !c.Expires.Equal(b.at.Add(5*time.Minute)) || c.Deliver != nil {
			t.Fatalf("%s: %+v, %v", name, c, err)
		}
		var o struct {
			PublicKey struct {
				Challenge, RPID, UserVerification string
				Timeout                           int
				AllowCredentials                  []struct {
					ID, Type   string
					Transports []string
				}
			}
		}
		if err := json.Unmarshal(c.Public, &o); err != nil {
			t.Fatal(err)
		}
		k := o.PublicKey
		if k.Challenge != base64.RawURLEncoding.EncodeToString(statement) || k.RPID != "portal.corp.example" || k.UserVerification != "required" || k.Timeout != 300000 {
			t.Errorf("%s: %s", name, c.Public)
		}
		var got []int
		for _, a := range k.AllowCredentials {
			i := slices.Index(ids, a.ID)
			if i < 0 || a.Type != "public-key" || strings.Join(a.Transports, " ") != ways[i] {
				t.Fatalf("%s: %+v", name, a)
			}
			got = append(got, i)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: asked of %v, want %v", name, got, test.want)
		}
	}
}

func transports(ways ...string) passkeytest.Knob {
	return func(c *passkeytest.Ceremony) { c.Transports = ways }
}

func TestAnAnswerThatIsNoSignatureIsWrong(t *testing.T) {
	b := newBench(t)
	b.mustEnrol(t, subject("corp:b"), passkeytest.New(site))
	bobs := must[[]byte](t)(b.handles.Handle(t.Context(), "corp:b"))
	kept := b.mustEnrol(t, b.who, b.device)
	for name, knob := range map[string]passkeytest.Knob{
		"another digest":             passkeytest.Over(digestOf("reset the password of corp:c")),
		"the text and no digest":     passkeytest.Over([]byte("reset the password of corp:b, asked at 9:00")),
		"half the digest":            passkeytest.Over(statement[:16]),
		"more than the digest":       passkeytest.Over(append(bytes.Clone(statement), 0)),
		"no challenge":               passkeytest.Over(nil),
		"user not verified":          func(c *passkeytest.Ceremony) { c.Flags &^= passkeytest.UserVerified },
		"user not present":           func(c *passkeytest.Ceremony) { c.Flags &^= passkeytest.UserPresent },
		"can be copied since":        eligible,
		"copied, and cannot be":      func(c *passkeytest.Ceremony) { c.Flags |= passkeytest.BackedUp },
		"type create":                func(c *passkeytest.Ceremony) { c.Type = "webauthn.create" },
		"payment":                    func(c *passkeytest.Ceremony) { c.Type = "payment.get" },
		"other site":                 func(c *passkeytest.Ceremony) { c.Origin = "https://evil.example" },
		"http":                       func(c *passkeytest.Ceremony) { c.Origin = "http://portal.corp.example" },
		"sub-domain":                 func(c *passkeytest.Ceremony) { c.Origin = "https://x.portal.corp.example" },
		"capitals":                   func(c *passkeytest.Ceremony) { c.Origin = "https://PORTAL.corp.example" },
		"default port":               func(c *passkeytest.Ceremony) { c.Origin = site + ":443" },
		"other rp id":                func(c *passkeytest.Ceremony) { c.RPID = "corp.example" },
		"framed":                     func(c *passkeytest.Ceremony) { c.CrossOrigin = true },
		"framed by us":               func(c *passkeytest.Ceremony) { c.CrossOrigin, c.TopOrigin = true, site },
		"forged":                     func(c *passkeytest.Ceremony) { c.Forge = true },
		"with another's user handle": func(c *passkeytest.Ceremony) { c.UserHandle = bobs },
		"with nobody's user handle":  func(c *passkeytest.Ceremony) { c.UserHandle = make([]byte, 64) },
		"with a long user handle":    func(c *passkeytest.Ceremony) { c.UserHandle = make([]byte, 65) },
		"with another's id":          func(c *passkeytest.Ceremony) { c.ReportedID = bytes.Repeat([]byte{1}, 32) },
		"with no id":                 func(c *passkeytest.Ceremony) { c.ReportedID = nil },
		"a megabyte":                 func(c *passkeytest.Ceremony) { c.Padding = 1 << 20 },
		"two challenges":             rewrite(`{`, `{"challenge":"AAAA",`),
	} {
		if sig, err := b.approve(t, b.who, b.device, verify.SignRule{}, knob); !errors.Is(err, verify.ErrWrong) || !reflect.ValueOf(sig).IsZero() {
			t.Errorf("%s: got %+v, %v, want ErrWrong", name, sig, err)
		}
	}
	held := must[verify.Credential](t)(b.vault.ByHandle(t.Context(), verify.Passkey, kept.Handle))
	if held.Counter != 0 || !held.Used.IsZero() {
		t.Errorf("a wrong answer moved the count: %+v", held)
	}
	if _, err := b.approve(t, b.who, b.device, verify.SignRule{}); err != nil {
		t.Errorf("an honest answer afterwards: %v", err)
	}
}

// rewrite replaces the first old of the client data, before it is signed.
func rewrite(old, new string) passkeytest.Knob {
	return func(c *passkeytest.Ceremony) {
		c.Client = func(b []byte) []byte { return bytes.Replace(b, []byte(old), []byte(new), 1) }
	}
}

// Who answers chooses the credential; what was asked binds only the browser.
func TestOnlyAKeyThatKeepsTheRuleSigns(t *testing.T) {
	b := newBench(t)
	old := b.at
	synced, bound, young := passkeytest.New(site), b.device, passkeytest.New(site)
	b.mustEnrol(t, b.who, synced, passkeytest.Synced)
	b.mustEnrol(t, b.who, bound)
	b.at = b.at.Add(time.Hour)
	b.mustEnrol(t, b.who, young)
	any, strict, early := verify.SignRule{}, verify.SignRule{DeviceBound: true}, verify.SignRule{Before: b.at}
	for name, test := range map[string]struct {
		device *passkeytest.Authenticator
		rule   verify.SignRule
		knobs  []passkeytest.Knob
		ok     bool
	}{
		"synced, any key":                    {synced, any, nil, true},
		"synced, bound keys":                 {synced, strict, nil, false},
		"synced, denies it in the answer":    {synced, strict, []passkeytest.Knob{passkeytest.Bound}, false},
		"synced, denies it, any key":         {synced, any, []passkeytest.Knob{passkeytest.Bound}, false},
		"bound":                              {bound, strict, nil, true},
		"bound, says otherwise":              {bound, strict, []passkeytest.Knob{eligible}, false},
		"bound, says it was copied":          {bound, strict, []passkeytest.Knob{passkeytest.Synced}, false},
		"enrolled before":                    {bound, early, nil, true},
		"enrolled at that moment":            {young, early, nil, false},
		"enrolled afterwards":                {young, verify.SignRule{Before: old.Add(time.Minute)}, nil, false},
		"enrolled at the moment of the rest": {bound, verify.SignRule{Before: old}, nil, false},
		"enrolled before, and synced":        {synced, verify.SignRule{DeviceBound: true, Before: b.at}, nil, false},
		"enrolled whenever":                  {young, strict, nil, true},
	} {
		_, err := b.approve(t, b.who, test.device, test.rule, test.knobs...)
		if (err == nil) != test.ok || !test.ok && !errors.Is(err, verify.ErrWrong) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The record can be older than what the key says today, and the other way round.
func TestARecordThatSaysCopiableIsBelievedOverTheAnswer(t *testing.T) {
	b := newBench(t)
	kept := b.mustEnrol(t, b.who, b.device)
	b.vault.Remove(kept.ID)
	kept.Public = bytes.Replace(kept.Public, []byte(`"backupEligible":false`), []byte(`"backupEligible":true`), 1)
	if err := b.vault.Put(t.Context(), kept); err != nil || !bytes.Contains(kept.Public, []byte(`"backupEligible":true`)) {
		t.Fatalf("%v: %s", err, kept.Public)
	}
	if _, err := b.AskSignature(t.Context(), b.who, statement, verify.SignRule{DeviceBound: true}); !errors.Is(err, verify.ErrNoCredential) {
		t.Errorf("asked: %v", err)
	}
	for _, knobs := range [][]passkeytest.Knob{nil, {eligible}} {
		if _, err := b.approve(t, b.who, b.device, verify.SignRule{DeviceBound: true}, knobs...); !errors.Is(err, verify.ErrWrong) {
			t.Errorf("signed: %v", err)
		}
	}
}

// A key without a count cannot notice; there the keeper of the statement must.
func TestAnAnswerSignsOnce(t *testing.T) {
	b := newBench(t)
	b.mustEnrol(t, b.who, b.device)
	c := must[verify.Challenge](t)(b.AskSignature(t.Context(), b.who, statement, verify.SignRule{}))
	answer := must[[]byte](t)(b.device.Get(c.Public))
	var won atomic.Int32
	var all sync.WaitGroup
	begin := make(chan struct{})
	for range 50 {
		all.Go(func() {
			<-begin
			switch _, err := b.CheckSignature(t.Context(), b.who, statement, verify.SignRule{}, answer); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, ErrCloned) || !errors.Is(err, verify.ErrReplayed):
				t.Errorf("got %v", err)
			}
		})
	}
	close(begin)
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d signed", won.Load())
	}
}
