package passkey

import (
	"bytes"
	"errors"
	"testing"

	"postern/directory"
	"postern/verify"
	"postern/verify/passkey/passkeytest"
)

func TestAnotherPersonsSignatureIsWrong(t *testing.T) {
	b := newBench(t)
	kept := b.mustEnrol(t, b.who, b.device)
	bob := subject("corp:b")
	b.mustEnrol(t, bob, passkeytest.New(site))
	bobs := must[[]byte](t)(b.handles.Handle(t.Context(), bob.ID))
	half := b.who
	half.User = nil
	c := must[verify.Challenge](t)(b.AskSignature(t.Context(), b.who, statement, verify.SignRule{}))
	for name, test := range map[string]struct {
		s     verify.Subject
		knobs []passkeytest.Knob
	}{
		"as Bob's":                           {bob, nil},
		"as Bob's, with his user handle":     {bob, []passkeytest.Knob{func(c *passkeytest.Ceremony) { c.UserHandle = bobs }}},
		"as Bob's, without a user handle":    {bob, []passkeytest.Knob{passkeytest.Nameless}},
		"as somebody's who has none":         {subject("corp:c"), []passkeytest.Knob{passkeytest.Nameless}},
		"as nobody's":                        {verify.Subject{}, []passkeytest.Knob{passkeytest.Nameless}},
		"as her own, not read from anywhere": {half, nil},
	} {
		answer := must[[]byte](t)(b.device.Get(c.Public, test.knobs...))
		if _, err := b.CheckSignature(t.Context(), test.s, statement, verify.SignRule{}, answer); !errors.Is(err, verify.ErrWrong) {
			t.Errorf("%s: got %v, want ErrWrong", name, err)
		}
	}
	if _, err := b.AskSignature(t.Context(), half, statement, verify.SignRule{}); err == nil {
		t.Error("a decoy was asked")
	}
	// security case 81: a removed key signs nothing, also what was asked before.
	answer := must[[]byte](t)(b.device.Get(c.Public))
	b.vault.Remove(kept.ID)
	if _, err := b.CheckSignature(t.Context(), b.who, statement, verify.SignRule{}, answer); !errors.Is(err, verify.ErrWrong) {
		t.Errorf("revoked: %v", err)
	}
	if _, err := b.AskSignature(t.Context(), b.who, statement, verify.SignRule{}); !errors.Is(err, verify.ErrNoCredential) {
		t.Errorf("asked of a revoked key: %v", err)
	}
}

// A sign-in must not turn into a signature, nor a signature into a sign-in.
func TestAProofIsNoSignature(t *testing.T) {
	b := newBench(t)
	b.mustEnrol(t, b.who, b.device)
	question := b.begin(t, b.who)
	if _, err := b.CheckSignature(t.Context(), b.who, statement, verify.SignRule{}, must[[]byte](t)(b.device.Get(question.Public))); !errors.Is(err, verify.ErrWrong) {
		t.Errorf("a proof as a signature: %v", err)
	}
	c := must[verify.Challenge](t)(b.AskSignature(t.Context(), b.who, statement, verify.SignRule{}))
	answer := must[[]byte](t)(b.device.Get(c.Public))
	if _, err := b.Check(t.Context(), b.who, question, answer); !errors.Is(err, verify.ErrWrong) {
		t.Errorf("a signature as a proof: %v", err)
	}
	if _, err := b.Check(t.Context(), b.who, c, answer); err == nil {
		t.Error("what was asked for a signature took a proof")
	}
}

func TestOnlyASHA256IsSigned(t *testing.T) {
	b := newBench(t)
	b.mustEnrol(t, b.who, b.device)
	c := must[verify.Challenge](t)(b.AskSignature(t.Context(), b.who, statement, verify.SignRule{}))
	answer := must[[]byte](t)(b.device.Get(c.Public))
	for _, digest := range [][]byte{nil, {}, statement[:31], append(bytes.Clone(statement), 0), bytes.Repeat(statement, 2)} {
		_, ask := b.AskSignature(t.Context(), b.who, digest, verify.SignRule{})
		_, check := b.CheckSignature(t.Context(), b.who, digest, verify.SignRule{}, answer)
		for _, err := range []error{ask, check, VerifySignature(verify.Signature{}, digest)} {
			if err == nil || errors.Is(err, verify.ErrWrong) {
				t.Errorf("%d bytes: got %v, want a fault", len(digest), err)
			}
		}
	}
}

func TestASignatureThatCannotBeCheckedIsNone(t *testing.T) {
	b := newBench(t)
	kept := b.mustEnrol(t, b.who, b.device)
	c := must[verify.Challenge](t)(b.AskSignature(t.Context(), b.who, statement, verify.SignRule{}))
	answer := must[[]byte](t)(b.device.Get(c.Public))
	fault := func(what string) {
		t.Helper()
		if _, err := b.CheckSignature(t.Context(), b.who, statement, verify.SignRule{}, answer); err == nil || errors.Is(err, verify.ErrWrong) {
			t.Errorf("%s: got %v, want a fault", what, err)
		}
	}
	broken := errors.New("down")
	b.handles.Fail(broken)
	fault("no handles")
	b.handles.Fail(nil)
	b.vault.Fail(broken)
	fault("no vault")
	if _, err := b.AskSignature(t.Context(), b.who, statement, verify.SignRule{}); !errors.Is(err, broken) {
		t.Errorf("asked without a vault: %v", err)
	}
	b.vault.Fail(nil)
	b.vault.Remove(kept.ID)
	spoilt := kept
	spoilt.Public = []byte("x")
	if err := b.vault.Put(t.Context(), spoilt); err != nil {
		t.Fatal(err)
	}
	fault("a record of garbage")
	if _, err := b.AskSignature(t.Context(), b.who, statement, verify.SignRule{}); err == nil || errors.Is(err, verify.ErrNoCredential) {
		t.Errorf("asked of garbage: %v", err)
	}
	b.vault.Remove(kept.ID)
	if err := b.vault.Put(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
	if _, err := b.CheckSignature(t.Context(), b.who, statement, verify.SignRule{}, answer); err != nil {
		t.Errorf("all mended: %v", err)
	}
}

func TestEvidenceSaysWhetherTheKeyIsBoundToItsDevice(t *testing.T) {
	for name, test := range map[string]struct {
		made  []passkeytest.Knob
		bound bool
	}{
		"bound":    {nil, true},
		"eligible": {[]passkeytest.Knob{eligible}, false},
		"synced":   {[]passkeytest.Knob{passkeytest.Synced}, false},
	} {
		b := newBench(t)
		b.mustEnrol(t, b.who, b.device, test.made...)
		c := b.begin(t, b.who)
		e, err := b.Check(t.Context(), b.who, c, must[[]byte](t)(b.device.Get(c.Public)))
		if err != nil || e.DeviceBound != test.bound {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
		c = b.begin(t, b.who)
		if e, err := b.Check(t.Context(), b.who, c, must[[]byte](t)(b.device.Get(c.Public, passkeytest.Bound))); !test.bound && err == nil || e.DeviceBound != test.bound {
			t.Errorf("%s, says bound: %+v, %v", name, e, err)
		}
	}
}

// security case 81: whatever is sent, no panic, and never a yes.
func FuzzCheckSignature(f *testing.F) {
	b := newBench(f)
	b.mustEnrol(f, b.who, b.device)
	c := must[verify.Challenge](f)(b.AskSignature(f.Context(), b.who, statement, verify.SignRule{}))
	for _, knobs := range [][]passkeytest.Knob{{passkeytest.Over(digestOf("other"))}, {passkeytest.Nameless, passkeytest.Over(statement[:16])}, {passkeytest.Synced},
		{func(c *passkeytest.Ceremony) { c.Forge = true }}, {rewrite(`{`, `{"challenge":"AAAA",`)}} {
		f.Add(must[[]byte](f)(b.device.Get(c.Public, knobs...)))
	}
	for _, seed := range [][]byte{nil, []byte("{}"), []byte("null"), bytes.Repeat([]byte("["), 60<<10), bytes.Repeat([]byte("x"), 70<<10)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		for _, id := range []directory.ID{b.who.ID, "corp:b"} {
			if _, err := b.CheckSignature(t.Context(), subject(id), statement, verify.SignRule{DeviceBound: true}, answer); !errors.Is(err, verify.ErrWrong) {
				t.Fatal(err)
			}
		}
	})
}
