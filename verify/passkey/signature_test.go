package passkey

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1" // so that RS1 could verify
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"

	"postern/verify"
	"postern/verify/passkey/passkeytest"
)

func signed(t testing.TB) verify.Signature {
	t.Helper()
	b := newBench(t)
	b.mustEnrol(t, b.who, b.device)
	return must[verify.Signature](t)(b.approve(t, b.who, b.device, verify.SignRule{}))
}

// labels are what no signature covers; everything else must not change by a bit.
var labels = []string{"Credential", "CredentialID"}

func TestASignatureChangedByOneBitIsWrong(t *testing.T) {
	good := signed(t)
	all := reflect.TypeFor[verify.Signature]()
	for i := range all.NumField() {
		name, text := all.Field(i).Name, all.Field(i).Type.Kind() == reflect.String
		if slices.Contains(labels, name) {
			continue
		}
		var was []byte
		if field := reflect.ValueOf(good).Field(i); text {
			was = []byte(field.String())
		} else {
			was = field.Bytes()
		}
		try := func(what string, b []byte) {
			t.Helper()
			bad := good
			if field := reflect.ValueOf(&bad).Elem().Field(i); text {
				field.SetString(string(b))
			} else {
				field.SetBytes(b)
			}
			if err := VerifySignature(bad, statement); !errors.Is(err, verify.ErrWrong) {
				t.Errorf("%s %s: got %v, want ErrWrong", name, what, err)
			}
		}
		for bit := range len(was) * 8 {
			b := bytes.Clone(was)
			b[bit/8] ^= 1 << (bit % 8)
			try(fmt.Sprint("with bit ", bit, " flipped"), b)
		}
		try("left out", nil)
		try("cut", was[:len(was)-1])
		try("beheaded", was[1:])
		try("prolonged", append(bytes.Clone(was), 0))
		try("doubled", bytes.Repeat(was, 2))
		try("of a megabyte", bytes.Repeat(was, 1<<20/len(was)))
	}
	for bit := range len(statement) * 8 {
		other := bytes.Clone(statement)
		other[bit/8] ^= 1 << (bit % 8)
		if err := VerifySignature(good, other); !errors.Is(err, verify.ErrWrong) {
			t.Errorf("digest with bit %d flipped: %v", bit, err)
		}
	}
	if err := VerifySignature(good, statement); err != nil {
		t.Errorf("unchanged: %v", err)
	}
}

// Each part is genuine, and together they are nobody's word.
func TestPartsOfTwoSignaturesMakeNone(t *testing.T) {
	b := newBench(t)
	b.mustEnrol(t, b.who, b.device)
	one := must[verify.Signature](t)(b.approve(t, b.who, b.device, verify.SignRule{}))
	two := must[verify.Signature](t)(b.approve(t, b.who, b.device, verify.SignRule{}))
	for name, mix := range map[string]func(*verify.Signature){
		"authenticator data":        func(s *verify.Signature) { s.Authenticator = two.Authenticator },
		"signature":                 func(s *verify.Signature) { s.Signature = two.Signature },
		"key":                       func(s *verify.Signature) { s.PublicKey = signed(t).PublicKey },
		"data and signature change": func(s *verify.Signature) { s.Authenticator, s.Signature = s.Signature, s.Authenticator },
	} {
		bad := one
		mix(&bad)
		if err := VerifySignature(bad, statement); !errors.Is(err, verify.ErrWrong) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// writer signs whatever it is told with a key of its own, as somebody can who
// wrote their own authenticator.
type writer struct {
	cose map[int]any
	sign func(message []byte) ([]byte, error)
}

func es256(t testing.TB) writer {
	key := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	point := must[[]byte](t)(key.PublicKey.Bytes())
	return writer{map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]}, func(m []byte) ([]byte, error) {
		sum := sha256.Sum256(m)
		return ecdsa.SignASN1(rand.Reader, key, sum[:])
	}}
}

func rsaWriter(t testing.TB, bits, algorithm int, hash crypto.Hash) writer {
	key := must[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, bits))
	return writer{map[int]any{1: 3, 3: algorithm, -1: key.N.Bytes(), -2: big.NewInt(int64(key.E)).Bytes()}, func(m []byte) ([]byte, error) {
		h := hash.New()
		h.Write(m)
		return rsa.SignPKCS1v15(rand.Reader, key, hash, h.Sum(nil))
	}}
}

func (w writer) over(t testing.TB, client string, flags byte, more ...byte) verify.Signature {
	t.Helper()
	rp := sha256.Sum256([]byte("portal.corp.example"))
	data := append(append(rp[:], flags, 0, 0, 0, 1), more...)
	hash := sha256.Sum256([]byte(client))
	return verify.Signature{
		Credential: "c", CredentialID: []byte{1}, PublicKey: must[[]byte](t)(webauthncbor.Marshal(w.cose)), RPID: "portal.corp.example", Origin: site,
		Authenticator: data, ClientData: []byte(client), Signature: must[[]byte](t)(w.sign(slices.Concat(data, hash[:]))),
	}
}

const verified = passkeytest.UserPresent | passkeytest.UserVerified

// client is client data with the right members, and these besides.
func client(more string) string {
	return `{"type":"webauthn.get","challenge":"` + base64.RawURLEncoding.EncodeToString(statement) + `","origin":"` + site + `"` + more + `}`
}

func TestClientDataThatCanBeReadInTwoWaysIsRefused(t *testing.T) {
	w := es256(t)
	challenge := base64.RawURLEncoding.EncodeToString(statement)
	for name, test := range map[string]struct {
		client string
		ok     bool
	}{
		"plain":                    {client(""), true},
		"not framed":               {client(`,"crossOrigin":false`), true},
		"members to come":          {client(`,"other_keys_can_be_added_here":{"type":"x","type":[1,{"challenge":"y"}]}`), true},
		"token binding of level 1": {client(`,"tokenBinding":{"status":"supported"}`), true},
		"another order, spaced":    {`{ "crossOrigin" : false, "origin":"` + site + `","challenge":"` + challenge + `", "type":"webauthn.get" }`, true},
		"challenge twice":          {client(`,"challenge":"` + challenge + `"`), false},
		"another challenge before": {strings.Replace(client(""), `{`, `{"challenge":"AAAA",`, 1), false},
		"another challenge after":  {client(`,"challenge":"AAAA"`), false},
		"challenge in capitals":    {client(`,"Challenge":"AAAA"`), false},
		"escaped the second time":  {client(`,"ch\u0061llenge":"AAAA"`), false},
		"type twice":               {client(`,"type":"webauthn.get"`), false},
		"a long s":                 {client(`,"cro` + "\u017f" + `sOrigin":true`), false},
		"origin twice":             {client(`,"ORIGIN":"https://evil.example"`), false},
		"framed":                   {client(`,"crossOrigin":true`), false},
		"framed, null":             {client(`,"crossOrigin":null`), false},
		"framed, as text":          {client(`,"crossOrigin":"false"`), false},
		"framed, in capitals":      {client(`,"CrossOrigin":true`), false},
		"framed by whom":           {client(`,"topOrigin":"` + site + `"`), false},
		"an unknown member twice":  {client(`,"x":1,"x":2`), false},
		"padded challenge":         {strings.Replace(client(""), challenge, challenge+"=", 1), false},
		"challenge is a list":      {strings.Replace(client(""), `"`+challenge+`"`, `["`+challenge+`"]`, 1), false},
		"no type":                  {strings.Replace(client(""), `"type":"webauthn.get",`, ``, 1), false},
		"created":                  {strings.Replace(client(""), `webauthn.get`, `webauthn.create`, 1), false},
		"something after":          {client("") + "{}", false},
		"a line before":            {"\n" + client(""), false},
		"byte order mark":          {"\ufeff" + client(""), false},
		"not UTF-8":                {client(",\"x\":\"\xff\""), false},
		"a list":                   {"[" + client("") + "]", false},
		"text":                     {`"x"`, false},
		"null":                     {"null", false},
		"nothing":                  {"", false},
		"deep":                     {client(`,"x":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000)), false},
		"long":                     {client(`,"x":"` + strings.Repeat("x", 64<<10) + `"`), false},
	} {
		if err := VerifySignature(w.over(t, test.client, verified), statement); (err == nil) != test.ok || !test.ok && !errors.Is(err, verify.ErrWrong) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAuthenticatorDataMustBeOfAVerifiedUser(t *testing.T) {
	w := es256(t)
	const extensions, attested byte = 1 << 7, 1 << 6
	for name, test := range map[string]struct {
		flags byte
		more  []byte
		ok    bool
	}{
		"verified":              {verified, nil, true},
		"synced":                {verified | passkeytest.BackupEligible | passkeytest.BackedUp, nil, true},
		"with an extension":     {verified | extensions, []byte{0xa1, 0x61, 'x', 0xf5}, true},
		"present":               {passkeytest.UserPresent, nil, false},
		"verified and absent":   {passkeytest.UserVerified, nil, false},
		"neither":               {0, nil, false},
		"backed up, ineligible": {verified | passkeytest.BackedUp, nil, false},
		"more than it says":     {verified, []byte{0}, false},
		"no extension":          {verified | extensions, nil, false},
		"broken extension":      {verified | extensions, []byte{0xa1}, false},
		"an enrolment's":        {verified | attested, append(make([]byte, 16), 0, 1, 1, 0xa0), false},
	} {
		if err := VerifySignature(w.over(t, client(""), test.flags, test.more...), statement); (err == nil) != test.ok || !test.ok && !errors.Is(err, verify.ErrWrong) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWeakKeysSignNothing(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(m []byte) ([]byte, error) { return ed25519.Sign(private, m), nil }
	huge := rsaWriter(t, 2048, -257, crypto.SHA256)
	huge.cose[-1] = bytes.Repeat([]byte{0xff}, 32<<10)
	padded := rsaWriter(t, 1024, -257, crypto.SHA256)
	padded.cose[-1] = append(make([]byte, 128), padded.cose[-1].([]byte)...)
	stuffed := es256(t)
	stuffed.cose[-70000] = make([]byte, 3<<10)
	for name, test := range map[string]struct {
		w  writer
		ok bool
	}{
		"ES256":           {es256(t), true},
		"EdDSA":           {writer{map[int]any{1: 1, 3: -8, -1: 6, -2: []byte(public)}, sign}, true},
		"RS256":           {rsaWriter(t, 2048, -257, crypto.SHA256), true},
		"RS1":             {rsaWriter(t, 2048, -65535, crypto.SHA1), false},
		"RSA of 1024":     {rsaWriter(t, 1024, -257, crypto.SHA256), false},
		"1024 and zeros":  {padded, false},
		"RSA of 262144":   {huge, false},
		"stuffed":         {stuffed, false},
		"no algorithm":    {writer{map[int]any{1: 1, -1: 6, -2: []byte(public)}, sign}, false},
		"another curve":   {writer{map[int]any{1: 1, 3: -8, -1: 4, -2: []byte(public)}, sign}, false},
		"no key":          {writer{map[int]any{}, sign}, false},
		"an unknown kind": {writer{map[int]any{1: 7, 3: -49, -1: []byte(public)}, sign}, false},
	} {
		if err := VerifySignature(test.w.over(t, client(""), verified), statement); (err == nil) != test.ok || !test.ok && !errors.Is(err, verify.ErrWrong) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever is kept, no panic, and only what was signed is a yes.
func FuzzVerifySignature(f *testing.F) {
	good := signed(f)
	add := func(s verify.Signature) {
		f.Add(s.CredentialID, s.PublicKey, s.RPID, s.Origin, s.Authenticator, s.ClientData, s.Signature)
	}
	add(good)
	add(verify.Signature{})
	add(rsaWriter(f, 2048, -257, crypto.SHA256).over(f, client(`,"crossOrigin":true`), verified))
	add(es256(f).over(f, client(`,"x":[{}]`), verified|1<<7, 0xa0))
	f.Fuzz(func(t *testing.T, id, key []byte, rpID, origin string, authenticator, clientData, signature []byte) {
		sig := verify.Signature{CredentialID: id, PublicKey: key, RPID: rpID, Origin: origin, Authenticator: authenticator, ClientData: clientData, Signature: signature}
		if err := VerifySignature(sig, statement); err != nil && !errors.Is(err, verify.ErrWrong) {
			t.Fatal(err)
		}
		// A key is new in every process: nobody has signed the corpus with this one.
		sig.PublicKey = good.PublicKey
		if err := VerifySignature(sig, statement); err == nil && (!bytes.Equal(authenticator, good.Authenticator) || !bytes.Equal(clientData, good.ClientData)) {
			t.Fatal("that key never signed this")
		}
	})
}
