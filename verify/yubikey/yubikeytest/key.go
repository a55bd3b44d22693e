// Package yubikeytest holds a YubiKey made of software and a validation server
// that speaks the protocol as Yubico's does, and can be told to misbehave.
//
// It shares no code with the factor it tests, and is never part of the program.
package yubikeytest

import (
	"crypto/aes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// Key is one YubiKey with an OTP slot. It is not safe for concurrent use.
type Key struct {
	Public  [6]byte
	Private [6]byte
	AES     [16]byte
	Serial  uint32

	use     uint16
	session int
	touched uint32
}

// New makes the key with this serial number, the same each time, and plugs it in.
func New(serial uint32) *Key {
	k := &Key{Serial: serial}
	binary.BigEndian.PutUint32(k.Public[2:], serial)
	sum := sha256.Sum256(k.Public[:])
	copy(k.Private[:], sum[:6])
	copy(k.AES[:], sum[16:])
	k.Plug()
	return k
}

// Plug powers the key up: its use counter rises.
func (k *Key) Plug() { k.use, k.session = k.use+1, 0 }

// Press touches the key once: 44 modhex letters.
func (k *Key) Press() string {
	if k.session > 0xff {
		k.Plug()
	}
	otp := k.At(k.use, byte(k.session))
	k.session++
	return otp
}

// At is what the key types with these counters.
func (k *Key) At(use uint16, session byte) string {
	k.touched += 1009
	var b [16]byte
	copy(b[:], k.Private[:])
	binary.LittleEndian.PutUint16(b[6:], use)
	b[8], b[9], b[10], b[11] = byte(k.touched), byte(k.touched>>8), byte(k.touched>>16), session
	binary.LittleEndian.PutUint16(b[12:], uint16(k.touched*40503))
	binary.LittleEndian.PutUint16(b[14:], checksum(b[:14]))
	c, err := aes.NewCipher(k.AES[:])
	if err != nil {
		panic(err)
	}
	c.Encrypt(b[:], b[:])
	return Modhex(k.Public[:]) + Modhex(b[:])
}

// CSV is the line ykman writes when it programs this key.
func (k *Key) CSV() string {
	return fmt.Sprintf("%d,%s,%x,%x,,2026-01-02T03:04:05,\n", k.Serial, Modhex(k.Public[:]), k.Private, k.AES)
}

// Modhex is hex in the letters a YubiKey types.
func Modhex(b []byte) string {
	return strings.Map(func(r rune) rune {
		return rune("cbdefghijklnrtuv"[strings.IndexRune("0123456789abcdef", r)])
	}, hex.EncodeToString(b))
}

// unmodhex returns nil for what is no modhex.
func unmodhex(s string) []byte {
	h := strings.Map(func(r rune) rune {
		i := strings.IndexRune("cbdefghijklnrtuv", r)
		if i < 0 {
			return 'x'
		}
		return rune("0123456789abcdef"[i])
	}, s)
	b, err := hex.DecodeString(h)
	if err != nil {
		return nil
	}
	return b
}

// checksum is the complement of CRC-16 (ISO 13239), by long division.
func checksum(b []byte) uint16 {
	rest := uint16(0xffff)
	for _, c := range b {
		for bit := range 8 {
			carry := rest&1 ^ uint16(c>>bit)&1
			rest = rest>>1 ^ carry*0x8408
		}
	}
	return ^rest
}
