package totp

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/directory"
	"postern/verify"
	"postern/verify/verifytest"
)

// rfcSecret is the key of RFC 6238 appendix B.
var rfcSecret = []byte("12345678901234567890")

type bench struct {
	*Factor
	vault *verifytest.Vault
	at    time.Time
	who   verify.Subject
}

func newBench(t testing.TB) *bench {
	b := &bench{at: time.Unix(1_800_000_015, 0)}
	now := func() time.Time { return b.at }
	b.vault = verifytest.NewVault(now)
	b.who = verify.Subject{ID: "corp:a", User: &directory.User{ID: "corp:a", Login: "alice"}, Case: "case-1"}
	f, err := New(Config{Issuer: "Postern", Max: 5}, b.vault, now, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b.Factor = f
	return b
}

func (b *bench) give(t testing.TB, id string, secret []byte, counter int64) {
	t.Helper()
	if err := b.vault.Put(t.Context(), verify.Credential{ID: id, Owner: b.who.ID, Kind: verify.TOTP, Secret: secret, Counter: counter, Created: b.at.Add(-time.Hour)}); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) try(answer string) error {
	_, err := b.Check(context.Background(), b.who, verify.Challenge{Kind: verify.TOTP, Expires: b.at.Add(time.Minute)}, []byte(answer))
	return err
}

func code(t testing.TB, secret []byte, at time.Time) string {
	t.Helper()
	c, err := Code(secret, at)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCodesAreThoseOfRFC6238(t *testing.T) {
	// Appendix B, SHA-1, the last six of its eight digits.
	for at, want := range map[int64]string{59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130"} {
		if got := code(t, rfcSecret, time.Unix(at, 0)); got != want {
			t.Errorf("at %d: got %s, want %s", at, got, want)
		}
	}
}

// security case 84
func TestOnlyTheCurrentAndThePreviousStepAreTaken(t *testing.T) {
	for offset, want := range map[int]error{-3: verify.ErrWrong, -2: verify.ErrWrong, -1: nil, 0: nil, 1: verify.ErrWrong, 2: verify.ErrWrong} {
		b := newBench(t)
		b.give(t, "one", rfcSecret, 0)
		err := b.try(code(t, rfcSecret, b.at.Add(time.Duration(offset)*30*time.Second)))
		if !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("step %+d: got %v, want %v", offset, err, want)
		}
	}
}

// security case 84
func TestAnOlderStepAfterANewerOneIsReplayed(t *testing.T) {
	b := newBench(t)
	b.give(t, "one", rfcSecret, 0)
	if err := b.try(code(t, rfcSecret, b.at)); err != nil {
		t.Fatal(err)
	}
	if err := b.try(code(t, rfcSecret, b.at.Add(-30*time.Second))); !errors.Is(err, verify.ErrReplayed) {
		t.Errorf("got %v, want ErrReplayed", err)
	}
}

// security case 82
func TestACodeCountsOnceHoweverItIsWritten(t *testing.T) {
	b := newBench(t)
	b.give(t, "one", rfcSecret, 0)
	right := code(t, rfcSecret, b.at)
	fullwidth := strings.Map(func(r rune) rune { return r - '0' + '０' }, right)
	arabic := strings.Map(func(r rune) rune { return r - '0' + '٠' }, right)
	for _, odd := range []string{" " + right + "\n", right + " ", "\t" + right, "\u00a0" + right, right + "\x00", fullwidth, arabic, right[:5], right + "0", "+" + right[1:], "", right[:3] + " " + right[3:]} {
		calls := b.vault.Calls()
		if err := b.try(odd); !errors.Is(err, verify.ErrWrong) {
			t.Errorf("%q: got %v, want ErrWrong", odd, err)
		}
		if b.vault.Calls() != calls {
			t.Errorf("%q: the vault was asked", odd)
		}
	}
	if err := b.try(right); err != nil {
		t.Fatalf("the right code: %v", err)
	}
	for _, again := range []string{right, right} {
		if err := b.try(again); !errors.Is(err, verify.ErrReplayed) {
			t.Errorf("again: got %v, want ErrReplayed", err)
		}
	}
}

// security case 82: two factors over one vault are two nodes.
func TestOfFiftyAtOnceOnTwoNodesOneSucceeds(t *testing.T) {
	b := newBench(t)
	b.give(t, "one", rfcSecret, 0)
	other, err := New(Config{Issuer: "Postern", Max: 5}, b.vault, func() time.Time { return b.at }, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	right := []byte(code(t, rfcSecret, b.at))
	var won atomic.Int32
	var all sync.WaitGroup
	begin := make(chan struct{})
	for i := range 50 {
		node := []*Factor{b.Factor, other}[i%2]
		all.Go(func() {
			<-begin
			_, err := node.Check(t.Context(), b.who, verify.Challenge{Expires: b.at.Add(time.Minute)}, right)
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, verify.ErrReplayed) {
				t.Errorf("got %v, want ErrReplayed", err)
			}
		})
	}
	close(begin)
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d succeeded", won.Load())
	}
}

// security case 85: for every code there is, an empty secret is an error.
func TestASecretThatIsNoneIsAFaultAndNeverCompared(t *testing.T) {
	for name, secret := range map[string][]byte{"nil": nil, "empty": {}, "one byte": {1}, "80 bits": rfcSecret[:10], "152 bits": rfcSecret[:19]} {
		b := newBench(t)
		b.give(t, "good", rfcSecret, 0)
		b.give(t, "bad", secret, 0)
		err := b.try(code(t, rfcSecret, b.at))
		if !errors.Is(err, ErrBadSecret) || errors.Is(err, verify.ErrWrong) {
			t.Errorf("%s: got %v, want ErrBadSecret", name, err)
		}
		if _, err := Code(secret, b.at); !errors.Is(err, ErrBadSecret) {
			t.Errorf("%s: Code gave %v", name, err)
		}
	}
}

// security case 85: a row that cannot be opened is a fault of the vault.
func TestAVaultThatFailsMeansNo(t *testing.T) {
	b := newBench(t)
	b.give(t, "one", rfcSecret, 0)
	broken := errors.New("cannot be opened")
	b.vault.Fail(broken)
	err := b.try(code(t, rfcSecret, b.at))
	if !errors.Is(err, broken) || errors.Is(err, verify.ErrWrong) {
		t.Errorf("got %v, want the vault's fault", err)
	}
	if _, err := b.Offer(t.Context(), b.who); !errors.Is(err, broken) {
		t.Errorf("Offer: got %v", err)
	}
}

func TestSomebodyWithoutAnAppAndADecoyFailAlike(t *testing.T) {
	b := newBench(t)
	bare := b.who
	bare.ID = "corp:b"
	decoy := verify.Subject{ID: "decoy:x", Case: "case-1"}
	for name, s := range map[string]verify.Subject{"nothing enrolled": bare, "decoy": decoy} {
		c, err := b.Begin(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		real, _ := b.Begin(t.Context(), b.who)
		if fmt.Sprint(c) != fmt.Sprint(real) {
			t.Errorf("%s: another question: %v, %v", name, c, real)
		}
		for _, answer := range []string{"000000", code(t, b.dummy, b.at), "x"} {
			if _, err := b.Check(t.Context(), s, c, []byte(answer)); !errors.Is(err, verify.ErrWrong) {
				t.Errorf("%s: got %v, want ErrWrong", name, err)
			}
		}
	}
	// Even a credential that somehow carries a decoy's id opens nothing.
	if err := b.vault.Put(t.Context(), verify.Credential{ID: "x", Owner: decoy.ID, Kind: verify.TOTP, Secret: rfcSecret}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Check(t.Context(), decoy, verify.Challenge{Expires: b.at.Add(time.Minute)}, []byte(code(t, rfcSecret, b.at))); !errors.Is(err, verify.ErrWrong) {
		t.Errorf("decoy with a credential: %v", err)
	}
}

func TestTooLateIsTooLate(t *testing.T) {
	b := newBench(t)
	b.give(t, "one", rfcSecret, 0)
	c, _ := b.Begin(t.Context(), b.who)
	b.at = c.Expires
	if _, err := b.Check(t.Context(), b.who, c, []byte(code(t, rfcSecret, b.at))); !errors.Is(err, verify.ErrExpired) {
		t.Errorf("got %v, want ErrExpired", err)
	}
}

func TestEachOfSeveralAppsWorksAndIsSpentAlone(t *testing.T) {
	b := newBench(t)
	second := bytes.Repeat([]byte{7}, 20)
	b.give(t, "one", rfcSecret, 0)
	b.give(t, "two", second, 0)
	for id, secret := range map[string][]byte{"one": rfcSecret, "two": second} {
		e, err := b.Check(t.Context(), b.who, verify.Challenge{Expires: b.at.Add(time.Minute)}, []byte(code(t, secret, b.at)))
		if err != nil || e.Credential != id || !e.Since.Equal(b.at.Add(-time.Hour)) {
			t.Errorf("%s: %+v, %v", id, e, err)
		}
	}
}

func TestEnrolmentSpendsItsCode(t *testing.T) {
	b := newBench(t)
	offer, setup := b.offer(t)
	secret := offeredSecret(t, offer)
	right := code(t, secret, b.at)
	if _, err := b.Enrol(t.Context(), b.who, offer, []byte(right+" ")); !errors.Is(err, verify.ErrWrong) {
		t.Errorf("padded: got %v", err)
	}
	e, err := b.Enrol(t.Context(), b.who, offer, []byte(right))
	if err != nil || len(e.Add) != 1 || e.ReplaceAll {
		t.Fatalf("%+v, %v", e, err)
	}
	c := e.Add[0]
	if len(c.Secret)*8 < 160 || c.Counter != Step(b.at) || c.Owner != b.who.ID || c.ID == "" || c.Public != nil {
		t.Errorf("kept: %+v", c)
	}
	if strings.ReplaceAll(setup.Secret, " ", "") != encode(c.Secret) {
		t.Error("the text is another secret")
	}
	if err := b.vault.Keep(t.Context(), b.who.ID, verify.TOTP, e); err != nil {
		t.Fatal(err)
	}
	for _, step := range []time.Duration{0, -30 * time.Second} {
		if err := b.try(code(t, secret, b.at.Add(step))); !errors.Is(err, verify.ErrReplayed) {
			t.Errorf("code of %v: got %v, want ErrReplayed", step, err)
		}
	}
	b.at = b.at.Add(30 * time.Second)
	if err := b.try(code(t, secret, b.at)); err != nil {
		t.Errorf("the next code: %v", err)
	}
}

// security cases 21, 22: an offer belongs to one person and one case.
func TestAnOfferIsWorthNothingElsewhere(t *testing.T) {
	b := newBench(t)
	offer, _ := b.offer(t)
	right := []byte(code(t, offeredSecret(t, offer), b.at))
	bob, later := b.who, b.who
	bob.ID = "corp:b"
	later.Case = "case-2"
	for _, s := range []verify.Subject{bob, later} {
		if _, err := b.Enrol(t.Context(), s, offer, right); !errors.Is(err, verify.ErrWrong) {
			t.Errorf("%v: got %v, want ErrWrong", s, err)
		}
	}
	if _, err := b.Enrol(t.Context(), verify.Subject{ID: b.who.ID, Case: "case-1"}, offer, right); err == nil {
		t.Error("a decoy enrolled")
	}
	if _, err := b.Enrol(t.Context(), b.who, verify.Challenge{Expires: offer.Expires}, right); err == nil {
		t.Error("an empty offer enrolled")
	}
	b.at = offer.Expires
	if _, err := b.Enrol(t.Context(), b.who, offer, right); !errors.Is(err, verify.ErrExpired) {
		t.Errorf("late: got %v", err)
	}
}

func TestNobodyHasMoreThanTheLimit(t *testing.T) {
	b := newBench(t)
	offer, _ := b.offer(t)
	for i := range 5 {
		b.give(t, fmt.Sprint(i), rfcSecret, 0)
	}
	if _, err := b.Offer(t.Context(), b.who); !errors.Is(err, verify.ErrTooMany) {
		t.Errorf("Offer: got %v, want ErrTooMany", err)
	}
	if _, err := b.Enrol(t.Context(), b.who, offer, []byte(code(t, offeredSecret(t, offer), b.at))); !errors.Is(err, verify.ErrTooMany) {
		t.Errorf("Enrol: got %v, want ErrTooMany", err)
	}
}

func TestSettingsAreChecked(t *testing.T) {
	for name, cfg := range map[string]Config{"no issuer": {Max: 5}, "only a colon": {Issuer: ":", Max: 5}, "none allowed": {Issuer: "P"}, "too many": {Issuer: "P", Max: 99}} {
		if _, err := New(cfg, nil, time.Now, rand.Reader); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := New(Config{Issuer: "P", Max: 5}, nil, time.Now, bytes.NewReader(nil)); err == nil {
		t.Error("no randomness: accepted")
	}
}

func (b *bench) offer(t testing.TB) (verify.Challenge, Setup) {
	t.Helper()
	offer, err := b.Offer(t.Context(), b.who)
	if err != nil {
		t.Fatal(err)
	}
	var s Setup
	if err := json.Unmarshal(offer.Public, &s); err != nil {
		t.Fatal(err)
	}
	return offer, s
}

func offeredSecret(t testing.TB, offer verify.Challenge) []byte {
	t.Helper()
	var o offered
	if err := json.Unmarshal(offer.State, &o); err != nil {
		t.Fatal(err)
	}
	return o.Secret
}

func FuzzAnswer(f *testing.F) {
	b := newBench(f)
	b.give(f, "one", rfcSecret, 0)
	right := code(f, rfcSecret, b.at)
	previous := code(f, rfcSecret, b.at.Add(-30*time.Second))
	for _, seed := range []string{"", "123456", " 123456 ", "１２３４５６", "\x00\x00\x00\x00\x00\x00", "12345\n", right + "\n", "-00001"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		err := b.try(string(answer))
		taken := string(answer) == right || string(answer) == previous
		switch {
		case err == nil && !taken:
			t.Fatalf("%q was taken", answer)
		case err != nil && !taken && !errors.Is(err, verify.ErrWrong):
			t.Fatalf("%q: %v", answer, err)
		case err != nil && taken && !errors.Is(err, verify.ErrReplayed):
			t.Fatalf("%q: %v", answer, err)
		}
	})
}
