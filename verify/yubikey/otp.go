package yubikey

import (
	"crypto/aes"
	"crypto/subtle"
	"encoding/binary"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	idLetters  = 12 // public id, 6 bytes
	otpLetters = 44 // and one AES block
	// secretSize is what is kept of a key offline: 6 bytes of private id, 16 of
	// AES key.
	secretSize = 6 + aes.BlockSize
)

// modhex are the digits of a Yubico OTP: letters that sit on the same keys of
// QWERTY, QWERTZ and AZERTY keyboards (YubiKey manual, section 6.2).
const modhex = "cbdefghijklnrtuv"

// layouts are what the same keys type under other keyboard layouts. Layouts are
// left out where one key types two characters that are digits too: Arabic types
// for b what it types for g and h.
func layouts() []string {
	return []string{
		"jxe.uidchtnbpygk", // Dvorak
		"cbsftdhuneikpglv", // Colemak
		"äzaleosgnrtbcwhp", // Neo 2
		"xkipe,cdtsr'oèv.", // BÉPO
		"cbdefghıjklnrtuv", // Turkish Q
		"сивуапршолдткегм", // Russian, Ukrainian
		"ψβδεφγηιξκλνρτθω", // Greek
		"בנגקכעיןחלךמראוה", // Hebrew
	}
}

// otp is a well-formed password, not checked in any way.
type otp struct {
	text  string // 44 letters of modhex
	id    [6]byte
	block [aes.BlockSize]byte
}

// read takes exactly 44 letters and at most the one line end the key types
// after them. Another keyboard layout is read where that is unambiguous: only if
// the text is no modhex as it stands, and all layouts that could have typed it
// agree. All letters are small, or all are capitals (CapsLock).
func read(answer []byte) (otp, bool) {
	if len(answer) > utf8.UTFMax*otpLetters || !utf8.Valid(answer) {
		return otp{}, false
	}
	text := string(answer)
	if cut, ok := strings.CutSuffix(text, "\n"); ok {
		text = strings.TrimSuffix(cut, "\r")
	}
	if utf8.RuneCountInString(text) != otpLetters {
		return otp{}, false
	}
	digits, ok := typedOn(modhex, text)
	if !ok {
		for _, layout := range layouts() {
			other, can := typedOn(layout, text)
			if !can {
				continue
			}
			if ok && other != digits {
				return otp{}, false
			}
			digits, ok = other, true
		}
	}
	if !ok {
		return otp{}, false
	}
	p := otp{text: string(digits[:])}
	var raw [otpLetters / 2]byte
	for i := range raw {
		raw[i] = digit(digits[2*i])<<4 | digit(digits[2*i+1])
	}
	copy(p.id[:], raw[:])
	copy(p.block[:], raw[len(p.id):])
	return p, true
}

// typedOn returns the modhex letters of a text that was typed with a layout.
func typedOn(layout, text string) (digits [otpLetters]byte, ok bool) {
	small, capital := true, true
	i := 0
	for _, r := range text {
		at := 0
		found := false
		for _, l := range layout {
			up := unicode.ToUpper(l)
			if r == l || r == up {
				found = true
				small = small && r == l
				capital = capital && r == up
				break
			}
			at++
		}
		if !found {
			return digits, false
		}
		digits[i] = modhex[at]
		i++
	}
	return digits, small || capital
}

func digit(letter byte) byte { return byte(strings.IndexByte(modhex, letter)) }

// open decrypts with a key's secret and returns its counter: use counter << 8 |
// session use. False: it is not of this key. The layout is that of yubikey.h in
// Yubico's libyubikey: private id (6), use counter (2), timestamp (3), session
// use (1), random (2), CRC (2), little endian.
func (p otp) open(secret []byte) (int64, bool) {
	cipher, err := aes.NewCipher(secret[6:])
	if err != nil {
		return 0, false
	}
	var plain [aes.BlockSize]byte
	cipher.Decrypt(plain[:], p.block[:])
	same := subtle.ConstantTimeCompare(plain[:6], secret[:6])
	whole := subtle.ConstantTimeEq(int32(crc(plain[:])), residue)
	return counter(binary.LittleEndian.Uint16(plain[6:]), plain[11]), same&whole == 1
}

// counter puts both counts into one that only goes forward. The highest bit of
// the use counter says that CapsLock was on (yubikey_capslock in libyubikey): a
// password typed with it would look newer than all that follow.
func counter(use uint16, session byte) int64 {
	return int64(use&0x7fff)<<8 | int64(session)
}

// residue is what the checksum of a block with its checksum comes to.
const residue = 0xf0b8

// crc is the checksum of ISO 13239, as yubikey_crc16 of libyubikey.
func crc(b []byte) uint16 {
	sum := uint16(0xffff)
	for _, c := range b {
		sum ^= uint16(c)
		for range 8 {
			low := sum & 1
			sum >>= 1
			if low != 0 {
				sum ^= 0x8408
			}
		}
	}
	return sum
}

// serialOf is the number Yubico (cccc…) and its tools (vvcc…) make a public id of;
// 0 for an id that was made otherwise.
func serialOf(id [6]byte) uint32 {
	if prefix := binary.BigEndian.Uint16(id[:]); prefix != 0 && prefix != 0xff00 {
		return 0
	}
	return binary.BigEndian.Uint32(id[2:])
}
