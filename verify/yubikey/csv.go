package yubikey

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"postern/directory"
	"postern/verify"
)

const (
	maxLine = 512
	maxKeys = 100_000
)

// Imported is one key as a tool wrote it down.
type Imported struct {
	PublicID [6]byte
	Serial   uint32           // 0: not known
	Secret   directory.Secret // 22 bytes: private id and AES key
}

// ReadCSV reads what Yubico's tools write down when they program keys:
//
//   - the "Yubico format" of the YubiKey Personalization Tool, which ykman otp
//     yubiotp --config-output writes too:
//     serial,public id,private id,key,access code,timestamp,
//   - the key server's format, the same columns after a line "# ykksm 1", one or
//     two more at the end, and comments after #
//     (yubikey-ksm, Key_Provisioning_Format)
//   - the "Traditional format" of the Personalization Tool, 18 columns:
//     LOGGING START,timestamp
//     Yubico OTP,timestamp,slot,public id,private id,key,…
//
// Public ids are 12 modhex letters; ids and keys of other lengths, entries that
// are no Yubico OTP, a key that is there twice and an empty file are errors. On
// an error nothing is returned, and it names the line but nothing that is in it.
// Access codes are not kept.
func ReadCSV(r io.Reader) ([]Imported, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, maxLine), maxLine)
	var keys []Imported
	seen := map[[6]byte]int{}
	n := 0
	for lines.Scan() {
		n++
		text := lines.Text()
		if n == 1 {
			text = strings.TrimPrefix(text, "\ufeff") // spreadsheets begin with it
		}
		key, ok, err := readLine(text)
		if err != nil {
			return nil, fmt.Errorf("yubikey: line %d: %w", n, err)
		}
		if !ok {
			continue
		}
		if first := seen[key.PublicID]; first > 0 {
			return nil, fmt.Errorf("yubikey: line %d: the same public id as on line %d", n, first)
		}
		seen[key.PublicID] = n
		if keys = append(keys, key); len(keys) > maxKeys {
			return nil, fmt.Errorf("yubikey: line %d: more than %d keys", n, maxKeys)
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, fmt.Errorf("yubikey: line %d: longer than %d bytes", n+1, maxLine)
	case err != nil:
		return nil, fmt.Errorf("yubikey: %w", err)
	case len(keys) == 0:
		return nil, errors.New("yubikey: there are no keys in it")
	}
	return keys, nil
}

// readLine returns false for a line without a key.
func readLine(text string) (Imported, bool, error) {
	text, _, _ = strings.Cut(text, "#")
	text = strings.TrimSpace(text)
	if text == "" || strings.HasPrefix(text, "LOGGING START,") {
		return Imported{}, false, nil
	}
	column := strings.Split(text, ",")
	n := len(column)
	var k Imported
	var err error
	switch {
	case column[0] == "Yubico OTP":
		// Counted from the right: the timestamp is as the machine's language
		// writes it, and may have commas.
		if n < 18 || n > 20 {
			return k, false, errors.New("a traditional log entry has 18 columns")
		}
		k, err = readKey(column[n-15], column[n-14], column[n-13])
	case column[0] == "" || strings.Trim(column[0], "0123456789") == "":
		if n < 6 || n > 8 {
			return k, false, errors.New("a key has serial,public id,private id,key,access code,timestamp,")
		}
		if k, err = readKey(column[1], column[2], column[3]); err == nil && column[0] != "" {
			var serial uint64
			if serial, err = strconv.ParseUint(column[0], 10, 32); err != nil {
				err = errors.New("the serial is no number of a key")
			}
			k.Serial = uint32(serial)
		}
	default:
		err = errors.New("not a Yubico OTP, or not a format that is known here")
	}
	return k, err == nil, err
}

func readKey(public, private, key string) (Imported, error) {
	id, ok := typedID(public)
	if !ok {
		return Imported{}, errors.New("the public id is not 12 modhex letters")
	}
	p, err := hex.DecodeString(private)
	if err != nil || len(p) != 6 {
		return Imported{}, errors.New("the private id is not 12 hex digits")
	}
	k, err := hex.DecodeString(key)
	if err != nil || len(k) != secretSize-6 {
		return Imported{}, errors.New("the key is not 32 hex digits")
	}
	// A key that was never set, or blanked before the file was handed on.
	if bytes.Count(k, k[:1]) == len(k) {
		return Imported{}, errors.New("the key is one byte repeated, which anybody would guess")
	}
	return Imported{PublicID: id, Secret: directory.NewSecret(string(p) + string(k))}, nil
}

func typedID(text string) (id [6]byte, ok bool) {
	if len(text) != idLetters || strings.Trim(text, modhex) != "" {
		return id, false
	}
	for i := range id {
		id[i] = digit(text[2*i])<<4 | digit(text[2*i+1])
	}
	return id, true
}

// Inventory are imported keys in memory.
type Inventory struct{ keys map[[6]byte]Imported }

var _ Keys = (*Inventory)(nil)

// NewInventory takes what ReadCSV returned.
func NewInventory(keys []Imported) *Inventory {
	v := &Inventory{keys: make(map[[6]byte]Imported, len(keys))}
	for _, k := range keys {
		v.keys[k.PublicID] = k
	}
	return v
}

// Find implements Keys.
func (v *Inventory) Find(_ context.Context, publicID [6]byte) (Imported, error) {
	k, ok := v.keys[publicID]
	if !ok {
		return Imported{}, verify.ErrNoCredential
	}
	return k, nil
}
