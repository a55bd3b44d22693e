package web

import (
	"bytes"
	"crypto/rand"
	"testing"
)

func TestTokenIsForOneBrowserAndOneInstallation(t *testing.T) {
	a, err := newTokens(bytes.Repeat([]byte("a"), 32), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b, err := newTokens(bytes.Repeat([]byte("b"), 32), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	one, err := a.make("cookie-1")
	if err != nil {
		t.Fatal(err)
	}
	two, err := a.make("cookie-1")
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case one == two:
		t.Error("two pages got the same token")
	case !a.check(one, "cookie-1"), !a.check(two, "cookie-1"):
		t.Error("its own browser was refused")
	case a.check(one, "cookie-2"), a.check(one, ""), b.check(one, "cookie-1"):
		t.Error("it is good elsewhere")
	case a.check("", "cookie-1"), a.check(one+"A", "cookie-1"), a.check(one[:len(one)-1], "cookie-1"), a.check(" "+one, "cookie-1"):
		t.Error("a changed one is good")
	}
	if _, err := newTokens(bytes.Repeat([]byte("a"), 31), rand.Reader); err == nil {
		t.Error("a short secret was taken")
	}
}

func TestHoldDependsOnTheCookieAlone(t *testing.T) {
	one, err := hold("cookie-1")
	if err != nil {
		t.Fatal(err)
	}
	again, _ := hold("cookie-1")
	other, _ := hold("cookie-2")
	if len(one) != 32 || !bytes.Equal(one, again) || bytes.Equal(one, other) {
		t.Error("wrong")
	}
}
