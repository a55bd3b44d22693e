package passkey

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"postern/verify"
	"postern/verify/passkey/passkeytest"
)

// security case 79
func TestAnotherPersonsPasskeyIsWrong(t *testing.T) {
	b := newBench(t)
	bob := subject("corp:b")
	kept := b.mustEnrol(t, b.who, b.device)
	b.mustEnrol(t, bob, passkeytest.New(site))
	bobs, err := b.handles.Handle(t.Context(), bob.ID)
	if err != nil {
		t.Fatal(err)
	}
	decoy := verify.Subject{ID: "decoy:x", Case: "case-1"}
	nobody := verify.Subject{Case: "case-1"}
	half := b.who
	half.User = nil
	asBob := func(c *passkeytest.Ceremony) { c.UserHandle = bobs }
	for name, test := range map[string]struct {
		s     verify.Subject
		knobs []passkeytest.Knob
	}{
		"Alice's in Bob's case":                     {bob, nil},
		"Alice's in Bob's case, with Bob's handle":  {bob, []passkeytest.Knob{asBob}},
		"Alice's in her case, with Bob's handle":    {b.who, []passkeytest.Knob{asBob}},
		"Alice's in a decoy's case":                 {decoy, nil},
		"Alice's before anybody is known":           {nobody, nil},
		"Alice's in a decoy's case with her own id": {half, nil},
	} {
		if err := b.sign(t, test.s, test.knobs...); !errors.Is(err, verify.ErrWrong) {
			t.Errorf("%s: got %v, want ErrWrong", name, err)
		}
	}
	held, err := b.vault.ByHandle(t.Context(), verify.Passkey, kept.Handle)
	if err != nil || held.Counter != 0 || !held.Used.IsZero() {
		t.Errorf("a wrong answer moved the count: %+v, %v", held, err)
	}
	if err := b.sign(t, b.who); err != nil {
		t.Errorf("Alice's in her own: %v", err)
	}
}

// security cases 21, 22, 79
func TestAnOfferIsWorthNothingElsewhere(t *testing.T) {
	b := newBench(t)
	offer, err := b.Offer(t.Context(), b.who)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := b.device.Create(offer.Public)
	if err != nil {
		t.Fatal(err)
	}
	later, decoy := b.who, b.who
	later.Case = "case-2"
	decoy.User = nil
	for name, s := range map[string]verify.Subject{"other person": subject("corp:b"), "other case": later} {
		if _, err := b.Enrol(t.Context(), s, offer, answer); !errors.Is(err, verify.ErrWrong) {
			t.Errorf("%s: got %v, want ErrWrong", name, err)
		}
	}
	if _, err := b.Enrol(t.Context(), decoy, offer, answer); err == nil {
		t.Error("a decoy enrolled")
	}
	if _, err := b.Offer(t.Context(), decoy); err == nil {
		t.Error("a decoy was offered a passkey")
	}
	// A question is no offer and an offer no question.
	question := b.begin(t, b.who)
	if _, err := b.Enrol(t.Context(), b.who, question, answer); !errors.Is(err, verify.ErrWrong) {
		t.Errorf("a question as an offer: %v", err)
	}
	b.mustEnrol(t, b.who, b.device)
	signed, err := b.device.Get([]byte(strings.Replace(string(offer.Public), `"rp":{`, `"rpId":"portal.corp.example","rp":{`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Check(t.Context(), b.who, offer, signed); !errors.Is(err, verify.ErrWrong) {
		t.Errorf("an offer as a question: %v", err)
	}
	b.at = offer.Expires
	if _, err := b.Enrol(t.Context(), b.who, offer, answer); !errors.Is(err, verify.ErrExpired) {
		t.Errorf("late: %v", err)
	}
}

func TestAnOfferAsksForWhatWeNeed(t *testing.T) {
	b := newBench(t)
	kept := b.mustEnrol(t, b.who, b.device)
	offer, err := b.Offer(t.Context(), b.who)
	if err != nil {
		t.Fatal(err)
	}
	var o struct {
		PublicKey struct {
			RP                     struct{ ID, Name string }
			User                   struct{ ID, Name, DisplayName string }
			Attestation            string
			Timeout                int
			AuthenticatorSelection map[string]any
			ExcludeCredentials     []struct{ ID, Type string }
			Extensions             map[string]any
		}
	}
	if err := json.Unmarshal(offer.Public, &o); err != nil {
		t.Fatal(err)
	}
	k := o.PublicKey
	if k.RP.ID != "portal.corp.example" || k.RP.Name != "Postern" || k.Attestation != "none" || k.Timeout != 300000 ||
		k.AuthenticatorSelection["residentKey"] != "required" || k.AuthenticatorSelection["requireResidentKey"] != true ||
		k.AuthenticatorSelection["userVerification"] != "required" || k.AuthenticatorSelection["authenticatorAttachment"] != nil || k.Extensions["credProps"] != true {
		t.Errorf("options %s", offer.Public)
	}
	if len(k.User.ID) != 86 || k.User.Name != "corp:a" || k.User.DisplayName != "A Person" { // 64 bytes as base64url
		t.Errorf("user %+v", k.User)
	}
	// security case 81
	if len(k.ExcludeCredentials) != 1 || k.ExcludeCredentials[0].Type != "public-key" ||
		k.ExcludeCredentials[0].ID != base64.RawURLEncoding.EncodeToString(kept.Handle) {
		t.Errorf("exclude %+v", k.ExcludeCredentials)
	}
	if _, err := b.device.Create(offer.Public); !errors.Is(err, passkeytest.ErrExcluded) {
		t.Errorf("the same device made another: %v", err)
	}
}

// security cases 79, 81
func TestACredentialIsEnrolledOnceByAnybody(t *testing.T) {
	b := newBench(t)
	offer, err := b.Offer(t.Context(), b.who)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := b.device.Create(offer.Public)
	if err != nil {
		t.Fatal(err)
	}
	e, err := b.Enrol(t.Context(), b.who, offer, answer)
	if err != nil {
		t.Fatal(err)
	}
	taken := e.Add[0]
	taken.Owner = "corp:b"
	if err := b.vault.Put(t.Context(), taken); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Enrol(t.Context(), b.who, offer, answer); !errors.Is(err, verify.ErrDuplicate) {
		t.Errorf("got %v, want ErrDuplicate", err)
	}
}

// security case 81
func TestTheEleventhIsTooMany(t *testing.T) {
	b := newBench(t)
	for range 9 {
		b.mustEnrol(t, b.who, passkeytest.New(site))
	}
	offer, err := b.Offer(t.Context(), b.who)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := b.device.Create(offer.Public)
	if err != nil {
		t.Fatal(err)
	}
	b.mustEnrol(t, b.who, passkeytest.New(site))
	if _, err := b.Enrol(t.Context(), b.who, offer, answer); !errors.Is(err, verify.ErrTooMany) {
		t.Errorf("Enrol: got %v, want ErrTooMany", err)
	}
	if _, err := b.Offer(t.Context(), b.who); !errors.Is(err, verify.ErrTooMany) {
		t.Errorf("Offer: got %v, want ErrTooMany", err)
	}
}

// security case 81
func TestARemovedPasskeyIsWrongAtOnce(t *testing.T) {
	b := newBench(t)
	kept := b.mustEnrol(t, b.who, b.device)
	c := b.begin(t, b.who)
	answer, err := b.device.Get(c.Public)
	if err != nil {
		t.Fatal(err)
	}
	b.vault.Remove(kept.ID)
	if _, err := b.Check(t.Context(), b.who, c, answer); !errors.Is(err, verify.ErrWrong) {
		t.Errorf("got %v, want ErrWrong", err)
	}
}

func TestAStoreThatFailsMeansNo(t *testing.T) {
	b := newBench(t)
	b.mustEnrol(t, b.who, b.device)
	broken := errors.New("down")
	b.vault.Fail(broken)
	if err := b.sign(t, b.who); !errors.Is(err, broken) || errors.Is(err, verify.ErrWrong) {
		t.Errorf("vault: %v", err)
	}
	if _, err := b.Offer(t.Context(), b.who); !errors.Is(err, broken) {
		t.Errorf("Offer: %v", err)
	}
	b.vault.Fail(nil)
	b.handles.Fail(broken)
	if err := b.sign(t, b.who); !errors.Is(err, broken) || errors.Is(err, verify.ErrWrong) {
		t.Errorf("handles: %v", err)
	}
	c := b.begin(t, b.who)
	answer, _ := b.device.Get(c.Public)
	if _, err := b.Discover(t.Context(), c, answer); !errors.Is(err, broken) {
		t.Errorf("Discover: %v", err)
	}
	b.random = strings.NewReader("")
	if _, err := b.Begin(t.Context(), b.who); !errors.Is(err, io.EOF) {
		t.Errorf("without randomness: %v", err)
	}
}

// security case 81: a stored record that is garbage is a fault, not a panic.
func TestAStoredRecordThatCannotBeReadIsAFault(t *testing.T) {
	for name, spoil := range map[string]func(*verify.Credential){
		"no JSON":       func(c *verify.Credential) { c.Public = []byte("x") },
		"empty":         func(c *verify.Credential) { c.Public = nil },
		"another's":     func(c *verify.Credential) { c.Handle = bytes.Repeat([]byte{1}, 32) },
		"huge count":    func(c *verify.Credential) { c.Counter = 1 << 40 },
		"below nothing": func(c *verify.Credential) { c.Counter = -1 },
	} {
		b := newBench(t)
		kept := b.mustEnrol(t, b.who, b.device)
		b.vault.Remove(kept.ID)
		spoil(&kept)
		if err := b.vault.Put(t.Context(), kept); err != nil {
			t.Fatal(err)
		}
		id := kept.Handle
		err := b.sign(t, b.who, func(c *passkeytest.Ceremony) { c.ReportedID = id })
		if err == nil || errors.Is(err, verify.ErrWrong) {
			t.Errorf("%s: got %v, want a fault", name, err)
		}
	}
}

// security case 81: whatever is sent, no panic, and never a yes.
func FuzzCredential(f *testing.F) {
	b := newBench(f)
	b.mustEnrol(f, b.who, b.device)
	question := b.begin(f, b.who)
	offer, err := b.Offer(f.Context(), b.who)
	if err != nil {
		f.Fatal(err)
	}
	wrong := func(c *passkeytest.Ceremony) { c.Challenge = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" }
	got, err := b.device.Get(question.Public, wrong)
	if err != nil {
		f.Fatal(err)
	}
	made, err := passkeytest.New(site).Create(offer.Public, wrong)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][]byte{got, made, nil, []byte("{}"), []byte("null"), []byte("[]"), []byte(`{"id":"AA","rawId":"AA","type":"public-key","response":{}}`),
		[]byte(`{"id":"AA","rawId":"AA","type":"public-key","response":{"clientDataJSON":"e30","authenticatorData":"AAAA","attestationObject":"oA","signature":"AA","userHandle":"AA"}}`),
		bytes.Repeat([]byte("["), 60<<10), bytes.Repeat([]byte("x"), 70<<10)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		if _, err := b.Check(t.Context(), b.who, question, answer); !errors.Is(err, verify.ErrWrong) {
			t.Fatalf("Check: %v", err)
		}
		if _, err := b.Enrol(t.Context(), b.who, offer, answer); !errors.Is(err, verify.ErrWrong) {
			t.Fatalf("Enrol: %v", err)
		}
		if id, err := b.Discover(t.Context(), question, answer); err != nil && !errors.Is(err, verify.ErrWrong) || err == nil && id != b.who.ID {
			t.Fatalf("Discover: %q, %v", id, err)
		}
	})
}
