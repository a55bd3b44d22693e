package recoverycode

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/directory"
	"postern/verify"
	"postern/verify/verifytest"
)

type bench struct {
	*Factor
	vault *verifytest.Vault
	at    time.Time
	who   verify.Subject
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{at: time.Unix(1_800_000_000, 0)}
	now := func() time.Time { return b.at }
	b.vault = verifytest.NewVault(now)
	b.who = verify.Subject{ID: "corp:a", User: &directory.User{ID: "corp:a"}, Case: "case-1"}
	f, err := New(bytes.Repeat([]byte{5}, 32), b.vault, now, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b.Factor = f
	return b
}

// enrol gives the person a fresh set and returns the codes.
func (b *bench) enrol(t testing.TB) []string {
	t.Helper()
	offer, err := b.Offer(t.Context(), b.who)
	if err != nil {
		t.Fatal(err)
	}
	e, err := b.Enrol(t.Context(), b.who, offer, []byte(Saved))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.vault.Keep(t.Context(), b.who.ID, verify.RecoveryCode, e); err != nil {
		t.Fatal(err)
	}
	var set Set
	if err := json.Unmarshal(offer.Public, &set); err != nil {
		t.Fatal(err)
	}
	return set.Codes
}

func (b *bench) try(t testing.TB, s verify.Subject, answer string) (verify.Evidence, error) {
	t.Helper()
	c, err := b.Begin(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return b.Check(t.Context(), s, c, []byte(answer))
}

func TestASetIsTenDifferentReadableCodes(t *testing.T) {
	b := newBench(t)
	seen := map[string]bool{}
	for _, code := range b.enrol(t) {
		if !regexp.MustCompile(`^([0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}$`).MatchString(code) || seen[code] {
			t.Errorf("code %q", code)
		}
		seen[code] = true
	}
	if len(seen) != 10 {
		t.Errorf("%d codes", len(seen))
	}
}

// security case 87
func TestACodeWorksOnce(t *testing.T) {
	b := newBench(t)
	codes := b.enrol(t)
	e, err := b.try(t, b.who, codes[3])
	if err != nil || e.Credential == "" || !e.Since.Equal(b.at) {
		t.Fatalf("%+v, %v", e, err)
	}
	if _, err := b.try(t, b.who, codes[3]); !errors.Is(err, verify.ErrWrong) {
		t.Errorf("again: got %v, want ErrWrong", err)
	}
	left, err := b.vault.Credentials(t.Context(), b.who.ID, verify.RecoveryCode)
	if err != nil || len(left) != 9 {
		t.Errorf("%d left, %v", len(left), err)
	}
	if _, err := b.try(t, b.who, codes[4]); err != nil {
		t.Errorf("another one: %v", err)
	}
}

// security case 87
func TestOfFiftyAtOnceOneSucceeds(t *testing.T) {
	b := newBench(t)
	code := b.enrol(t)[0]
	var won atomic.Int32
	var all sync.WaitGroup
	begin := make(chan struct{})
	for range 50 {
		all.Go(func() {
			<-begin
			if _, err := b.try(t, b.who, code); err == nil {
				won.Add(1)
			} else if !errors.Is(err, verify.ErrWrong) {
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

// security case 87
func TestANewSetEndsTheOldOne(t *testing.T) {
	b := newBench(t)
	old := b.enrol(t)
	fresh := b.enrol(t)
	for _, code := range old {
		if _, err := b.try(t, b.who, code); !errors.Is(err, verify.ErrWrong) {
			t.Errorf("old code: got %v", err)
		}
	}
	if _, err := b.try(t, b.who, fresh[0]); err != nil {
		t.Errorf("fresh code: %v", err)
	}
}

// security cases 24, 87: nothing in the vault or the offer's state is a code or
// works as one, and one person's hash is not another's.
func TestWhatIsStoredIsWorthNothing(t *testing.T) {
	b := newBench(t)
	offer, err := b.Offer(t.Context(), b.who)
	if err != nil {
		t.Fatal(err)
	}
	var set Set
	if err := json.Unmarshal(offer.Public, &set); err != nil {
		t.Fatal(err)
	}
	for _, code := range set.Codes {
		if bytes.Contains(offer.State, []byte(code)) || bytes.Contains(offer.State, []byte(strings.ReplaceAll(code, "-", ""))) {
			t.Error("the state holds a code")
		}
	}
	e, err := b.Enrol(t.Context(), b.who, offer, []byte(Saved))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range e.Add {
		if len(c.Handle) != 32 || c.Secret != nil || c.Public != nil {
			t.Errorf("kept %+v", c)
		}
		for _, answer := range [][]byte{c.Handle, c.Handle[:16], []byte(c.ID), []byte(c.ID)[:16]} {
			if _, err := b.try(t, b.who, string(answer)); !errors.Is(err, verify.ErrWrong) {
				t.Errorf("%q: %v", answer, err)
			}
		}
	}
	code, _ := normalise([]byte(set.Codes[0]))
	mine, _ := b.handle(b.who.ID, code)
	yours, _ := b.handle("corp:b", code)
	other, err := New(bytes.Repeat([]byte{6}, 32), b.vault, b.now, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rekeyed, _ := other.handle(b.who.ID, code)
	if bytes.Equal(mine, yours) || bytes.Equal(mine, rekeyed) {
		t.Error("hash without owner or key")
	}
}

func TestWhatReadingFromPaperDoesIsForgiven(t *testing.T) {
	for in, want := range map[string]string{
		"0123-4567-89AB-CDEF":                   "0123456789ABCDEF",
		" 0123 4567 89ab cdef ":                 "0123456789ABCDEF",
		"oi23-4567-89ab-cdef":                   "0123456789ABCDEF",
		"OL23456789ABCDEF":                      "0123456789ABCDEF",
		"0123\u20114567\u00a089ab\u2013cdef":    "0123456789ABCDEF",
		"":                                      "",
		"0123-4567-89AB-CDE":                    "",
		"0123-4567-89AB-CDEFG":                  "",
		"0123-4567-89AB-CDEU":                   "",
		"0123-4567-89AB-CDE\x00":                "",
		"0123-4567-89AB-CDE\n":                  "",
		"０123-4567-89AB-CDEF":                   "",
		"0123-4567-89AB-CDE\xff":                "",
		"0123456789ABCDEŁ":                      "", // U+0141: its low byte is 'A'
		strings.Repeat("-", 99) + "0123456789A": "",
	} {
		got, ok := normalise([]byte(in))
		if ok != (want != "") || ok && string(got) != want {
			t.Errorf("%q: got %q, %v", in, got, ok)
		}
	}
}

func TestADecoyAndAnotherPersonFailAlike(t *testing.T) {
	b := newBench(t)
	code := b.enrol(t)[0]
	for name, s := range map[string]verify.Subject{
		"decoy":          {ID: "decoy:x"},
		"other person":   {ID: "corp:b", User: &directory.User{}},
		"decoy same id ": {ID: "decoy:corp:a"},
	} {
		before := b.vault.Calls()
		if _, err := b.try(t, s, code); !errors.Is(err, verify.ErrWrong) {
			t.Errorf("%s: got %v, want ErrWrong", name, err)
		}
		if b.vault.Calls() != before+1 {
			t.Errorf("%s: other work", name)
		}
	}
	if _, err := b.Offer(t.Context(), verify.Subject{ID: "decoy:x"}); err == nil {
		t.Error("a decoy was offered codes")
	}
}

// A case that another one's success ended goes on as a decoy under its person's
// id (security case 38): what is typed there must not use up their codes.
func TestADecoyUnderAPersonsIDUsesUpNothing(t *testing.T) {
	b := newBench(t)
	code := b.enrol(t)[0]
	ghost := b.who
	ghost.User = nil
	if _, err := b.try(t, ghost, code); !errors.Is(err, verify.ErrWrong) {
		t.Errorf("a decoy: %v", err)
	}
	if _, err := b.try(t, b.who, code); err != nil {
		t.Errorf("the code is gone: %v", err)
	}
}

func TestEnrolmentNeedsItsOwnOfferAndTheWord(t *testing.T) {
	b := newBench(t)
	offer, err := b.Offer(t.Context(), b.who)
	if err != nil {
		t.Fatal(err)
	}
	bob, later, decoy := b.who, b.who, b.who
	bob.ID = "corp:b"
	later.Case = "case-2"
	decoy.User = nil
	for name, s := range map[string]verify.Subject{"other person": bob, "other case": later, "decoy": decoy} {
		if _, err := b.Enrol(t.Context(), s, offer, []byte(Saved)); !errors.Is(err, verify.ErrWrong) {
			t.Errorf("%s: got %v, want ErrWrong", name, err)
		}
	}
	for _, answer := range []string{"", "SAVED", "saved ", "yes"} {
		if _, err := b.Enrol(t.Context(), b.who, offer, []byte(answer)); !errors.Is(err, verify.ErrWrong) {
			t.Errorf("%q: got %v, want ErrWrong", answer, err)
		}
	}
	for _, state := range []string{"", "{}", `{"owner":"corp:a","case":"case-1","handles":[]}`} {
		if _, err := b.Enrol(t.Context(), b.who, verify.Challenge{State: []byte(state), Expires: offer.Expires}, []byte(Saved)); err == nil {
			t.Errorf("state %q: accepted", state)
		}
	}
	b.at = offer.Expires
	if _, err := b.Enrol(t.Context(), b.who, offer, []byte(Saved)); !errors.Is(err, verify.ErrExpired) {
		t.Errorf("late: got %v", err)
	}
}

func TestAVaultThatFailsMeansNo(t *testing.T) {
	b := newBench(t)
	code := b.enrol(t)[0]
	broken := errors.New("down")
	b.vault.Fail(broken)
	if _, err := b.try(t, b.who, code); !errors.Is(err, broken) || errors.Is(err, verify.ErrWrong) {
		t.Errorf("got %v, want the vault's fault", err)
	}
}

func TestTooLateIsTooLate(t *testing.T) {
	b := newBench(t)
	code := b.enrol(t)[0]
	c, _ := b.Begin(t.Context(), b.who)
	b.at = c.Expires
	if _, err := b.Check(t.Context(), b.who, c, []byte(code)); !errors.Is(err, verify.ErrExpired) {
		t.Errorf("got %v, want ErrExpired", err)
	}
}

func TestSettingsAreChecked(t *testing.T) {
	if _, err := New(make([]byte, 31), nil, time.Now, rand.Reader); err == nil {
		t.Error("short key: accepted")
	}
	b := newBench(t)
	b.random = io.LimitReader(rand.Reader, 20)
	if _, err := b.Offer(t.Context(), b.who); err == nil {
		t.Error("codes without randomness")
	}
}

func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{"", "0123-4567-89AB-CDEF", "oil", "\xff", fmt.Sprint(strings.Repeat("-", 200))} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		code, ok := normalise(answer)
		if ok && (len(code) != length || strings.Trim(string(code), alphabet) != "") {
			t.Fatalf("%q was read as %q", answer, code)
		}
		if again, still := normalise([]byte(grouped(code))); ok && (!still || !bytes.Equal(again, code)) {
			t.Fatalf("%q was not read back", code)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	bench := newBench(b)
	c, _ := bench.Begin(b.Context(), bench.who)
	for b.Loop() {
		if _, err := bench.Check(b.Context(), bench.who, c, []byte("0123-4567-89AB-CDEF")); !errors.Is(err, verify.ErrWrong) {
			b.Fatal(err)
		}
	}
}
