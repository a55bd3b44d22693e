package yubikey

import (
	"crypto/aes"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"
	"unicode/utf8"

	"postern/verify/yubikey/yubikeytest"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The vectors of libyubikey: test-vectors.txt and tests/selftest.c.
func TestPasswordsOpenAsInLibyubikey(t *testing.T) {
	const counting = "000102030405060708090a0b0c0d0e0f"
	for _, test := range []struct {
		block, key, private string
		use                 uint16
		session             byte
	}{
		{"hknhfjbrjnlnldnhcujvddbikngjrtgh", "ecde18dbe76fbd0c33330f1c354871db", "8792ebfe26cc", 19, 17},
		{"dvgtiblfkbgturecfllberrvkinnctnn", counting, "010203040506", 1, 1},
		{"rnibcnfhdninbrdebccrndfhjgnhftee", counting, "010203040506", 1, 2},
		{"iikkijbdknrrdhfdrjltvgrbkkjblcbh", counting, "010203040506", 0xfff, 1},
		{"iucvrkjiegbhidrcicvlgrcgkgurhjnj", "c4422890653076cde73d449b191b416a", "33c69e7f249e", 1, 0},
	} {
		p, ok := read([]byte("cccccccccccc" + test.block))
		if !ok {
			t.Errorf("%s: not read", test.block)
			continue
		}
		secret := unhex(t, test.private+test.key)
		if got, ok := p.open(secret); !ok || got != int64(test.use)<<8|int64(test.session) {
			t.Errorf("%s: counter %#x, %v", test.block, got, ok)
		}
		for at := range secret {
			other := append([]byte(nil), secret...)
			other[at] ^= 1
			if _, ok := p.open(other); ok {
				t.Errorf("%s: opened with another secret (byte %d)", test.block, at)
			}
		}
	}
	if got := yubikeytest.Modhex([]byte("test")); got != "ifhgieif" {
		t.Errorf("modhex of test is %s", got)
	}
}

func TestTheChecksumIsThatOfISO13239(t *testing.T) {
	block := []byte{1, 2, 3, 4}
	if got := crc(block); got != 0xc66e { // the low level interface's example
		t.Errorf("crc %#x", got)
	}
	if got := crc(binary.LittleEndian.AppendUint16(block, ^crc(block))); got != residue {
		t.Errorf("residue %#x", got)
	}
}

func TestABrokenChecksumIsNoPassword(t *testing.T) {
	k := yubikeytest.New(7)
	secret := append(k.Private[:], k.AES[:]...)
	whole, _ := read([]byte(k.Press()))
	c, err := aes.NewCipher(k.AES[:])
	if err != nil {
		t.Fatal(err)
	}
	for at := 6; at < aes.BlockSize; at++ { // beyond the private id
		p := whole
		c.Decrypt(p.block[:], p.block[:])
		p.block[at] ^= 0x10
		c.Encrypt(p.block[:], p.block[:])
		if _, ok := p.open(secret); ok {
			t.Errorf("byte %d was changed, and it opened", at)
		}
	}
}

func TestCapsLockIsNoCount(t *testing.T) {
	k := yubikeytest.New(7)
	p, _ := read([]byte(k.At(0x8000|42, 3)))
	if got, ok := p.open(append(k.Private[:], k.AES[:]...)); !ok || got != 42<<8|3 {
		t.Errorf("counter %#x, %v: everything after would look older", got, ok)
	}
}

// typed is what the same touches give under another layout.
func typed(layout, otp string) string {
	letters := []rune(layout)
	var b strings.Builder
	for _, r := range otp {
		b.WriteRune(letters[strings.IndexRune(modhex, r)])
	}
	return b.String()
}

const sample = "cccccccbcjdifctrndncchkftchjlnbhvhtugdljibej" // Yubico's, in its documents

func TestOtherKeyboardsAreReadWhereThereIsOneReading(t *testing.T) {
	for _, layout := range append(layouts(), modhex) {
		if utf8.RuneCountInString(layout) != 16 {
			t.Fatalf("%s has not 16 letters", layout)
		}
		for _, text := range []string{typed(layout, sample), typed(layout, sample) + "\n", typed(layout, sample) + "\r\n", strings.ToUpper(typed(layout, sample))} {
			if p, ok := read([]byte(text)); !ok || p.text != sample {
				t.Errorf("%s: %q is read as %q, %v", layout, text, p.text, ok)
			}
		}
	}
	// Letters that are digits of several layouts but not of modhex as it is.
	if p, ok := read([]byte(strings.Repeat("p", 43) + "s")); ok {
		t.Errorf("ambiguous, and read as %s", p.text)
	}
	plain := strings.Repeat("e", 43) + "u" // reads as Dvorak too: what it says as it stands counts
	if p, ok := read([]byte(plain)); !ok || p.text != plain {
		t.Errorf("%s is read as %s, %v", plain, p.text, ok)
	}
}

// security case 89: one password has one spelling, so that nothing is counted twice.
func TestNothingElseIsAPassword(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "line end alone": "\n", "short": sample[1:], "long": sample + "c", "two": sample + sample,
		"space before": " " + sample, "space after": sample + " ", "two line ends": sample + "\n\n", "return alone": sample + "\r", "line end before": "\n" + sample[1:],
		"zero byte": sample[:43] + "\x00", "no modhex": sample[:43] + "a", "digit": sample[:43] + "1", "mixed case": "C" + sample[1:],
		"fullwidth": strings.Map(func(r rune) rune { return r - 'a' + 'ａ' }, sample), "broken UTF-8": sample[:43] + "\xff",
		"two layouts": typed("jxe.uidchtnbpygk", sample[:22]) + typed("сивуапршолдткегм", sample[22:]),
		"combining":   sample[:43] + "\u0301", "soft hyphen": sample[:20] + "\u00ad" + sample[20:], "kelvin": strings.ToUpper(sample[:43]) + "\u212a",
		"other lengths of id": sample[2:], "static": sample[12:], "huge": strings.Repeat("c", 1<<20),
	} {
		if p, ok := read([]byte(text)); ok {
			t.Errorf("%s: read as %s", name, p.text)
		}
	}
}

func TestTheNumberOnTheKeyIsItsName(t *testing.T) {
	for id, want := range map[string]string{
		"cccccccbcjdi": "YubiKey 67623", "vvccccccccgn": "YubiKey 91", "dteffujehknh": "YubiKey dteffujehknh", "cccccccccccc": "YubiKey cccccccccccc",
	} {
		p, ok := read([]byte(id + sample[12:]))
		if !ok {
			t.Fatal(id)
		}
		if got := name(p.id, 0); got != want {
			t.Errorf("%s: %s, want %s", id, got, want)
		}
	}
	p, _ := read([]byte(sample))
	if got := name(p.id, 12345678); got != "YubiKey 12345678" {
		t.Errorf("%s: what was imported knows better", got)
	}
}

func FuzzRead(f *testing.F) {
	for _, layout := range append(layouts(), modhex) {
		f.Add([]byte(typed(layout, sample)))
	}
	f.Add([]byte(sample + "\r\n"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		p, ok := read(answer)
		if !ok {
			if p != (otp{}) {
				t.Error("a no with something in it")
			}
			return
		}
		if again, ok := read([]byte(p.text)); !ok || again != p {
			t.Errorf("%q is read as %s, and that is not", answer, p.text)
		}
		if got := yubikeytest.Modhex(append(p.id[:], p.block[:]...)); got != p.text {
			t.Errorf("%s says %s", got, p.text)
		}
		p.open(make([]byte, secretSize))
	})
}
