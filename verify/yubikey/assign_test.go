package yubikey

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"postern/verify"
)

func TestAPublicIDIsReadStrictly(t *testing.T) {
	for _, text := range []string{"", "ccccccbcgujh ", " ccccccbcgujh", "ccccccbcguj", "ccccccbcgujhh", "CCCCCCBCGUJH", "ccccccbcguja", "ccccccbcguj\n", "ｃcccccbcgujh", strings.Repeat("c", 44)} {
		if id, err := ParseID(text); err == nil {
			t.Errorf("%q was read as %x", text, id)
		} else if text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%q is quoted: %v", text, err)
		}
	}
	for _, text := range []string{"ccccccbcgujh", "vvccccccccgn", "cbdefghijkln", "rtuvvutrnlkj"} {
		id, err := ParseID(text)
		if err != nil || spell([6]byte(id)) != text {
			t.Errorf("%s: %x %v", text, id, err)
		}
	}
}

// What is assigned is what enrolling by touch would have made, but for the touch.
func TestAnAssignedKeyIsTheOneATouchWouldHaveEnrolled(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		b.vault.Remove("alice-1")
		touched, err := b.enrol(t, b.alice, b.ka.Press())
		if err != nil {
			t.Fatal(err)
		}
		asked := len(b.server.Asked())
		got, err := b.Assign(t.Context(), b.ka.Public[:])
		if err != nil || len(b.server.Asked()) != asked {
			t.Fatalf("%v, %d questions", err, len(b.server.Asked())-asked)
		}
		like := touched.Add[0]
		if got.Kind != like.Kind || got.Name != like.Name || !bytes.Equal(got.Handle, like.Handle) || !bytes.Equal(got.Secret, like.Secret) || got.Counter != 0 || len(got.ID) != 32 || got.ID == like.ID || got.Owner != "" {
			t.Errorf("%+v, by touch %+v", got, like)
		}
		got.Owner = b.alice.ID
		if err := b.vault.Put(t.Context(), got); err != nil {
			t.Fatal(err)
		}
		otp := b.ka.Press()
		want(t, "its first password", b.try(b.alice, otp), nil)
		want(t, "the same again", b.try(b.alice, otp), verify.ErrReplayed)
		want(t, "for somebody else", b.try(b.bob, b.ka.Press()), verify.ErrWrong)
	})
}

func TestOfflineAKeyWithoutItsSecretIsAssignedToNobody(t *testing.T) {
	b := newBench(t, true)
	_, err := b.Assign(t.Context(), b.kc.Public[:])
	want(t, "not imported", err, ErrUnknownKey)
	b = newBench(t, false)
	if c, err := b.Assign(t.Context(), b.kc.Public[:]); err != nil || c.Secret != nil {
		t.Errorf("online: %+v %v", c, err)
	}
	if _, err := b.Assign(t.Context(), b.kc.Public[:5]); err == nil || errors.Is(err, verify.ErrWrong) {
		t.Errorf("five bytes: %v", err)
	}
}
