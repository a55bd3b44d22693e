package yubikey

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"postern/verify"
	"postern/verify/yubikey/yubikeytest"
)

const (
	keyHex  = "ecde18dbe76fbd0c33330f1c354871db"
	privHex = "8792ebfe26cc"
)

func TestEveryToolsFormatIsRead(t *testing.T) {
	for name, text := range map[string]string{
		"ykman":                         "4711,dlcfffckrcde,8792ebfe26cc,ecde18dbe76fbd0c33330f1c354871db,,2026-01-02T03:04:05,\n",
		"with an access code":           "4711,dlcfffckrcde,8792ebfe26cc,ecde18dbe76fbd0c33330f1c354871db,be70aeca62ba,2013-10-26T14:00:00,\n",
		"CRLF, no last line end":        "4711,dlcfffckrcde,8792ebfe26cc,ECDE18DBE76FBD0C33330F1C354871DB,000000000000,2013-10-26T14:00:00,\r\n\r\n",
		"byte order mark":               "\ufeff4711,dlcfffckrcde,8792ebfe26cc,ecde18dbe76fbd0c33330f1c354871db,,2013-10-26T14:00:00,",
		"key server":                    "# ykksm 1\n# a comment\n4711,dlcfffckrcde,8792ebfe26cc,ecde18dbe76fbd0c33330f1c354871db,be70aeca62ba,2009-01-22 00:25:11,2009-02-13 00:05:40,0 # mine\n",
		"traditional":                   "LOGGING START,10/26/2013 2:00 PM\nYubico OTP,10/26/2013 2:00 PM,1,dlcfffckrcde,8792ebfe26cc,ecde18dbe76fbd0c33330f1c354871db,,,0,0,0,0,0,0,0,0,0,0\n",
		"traditional, comma in its day": "LOGGING START,26.10.13, 14:00\nYubico OTP,26.10.13, 14:00,1,dlcfffckrcde,8792ebfe26cc,ecde18dbe76fbd0c33330f1c354871db,,,0,0,0,0,0,0,0,0,0,0\n",
	} {
		keys, err := ReadCSV(iotest.OneByteReader(strings.NewReader(text)))
		if err != nil || len(keys) != 1 {
			t.Errorf("%s: %d keys, %v", name, len(keys), err)
			continue
		}
		k := keys[0]
		if yubikeytest.Modhex(k.PublicID[:]) != "dlcfffckrcde" || k.Secret.Reveal() != string(unhex(t, privHex+keyHex)) || k.Serial != 4711 && !strings.HasPrefix(name, "trad") {
			t.Errorf("%s: read wrongly", name)
		}
		for _, shown := range []string{fmt.Sprintf("%v", k), fmt.Sprintf("%+v", k), fmt.Sprintf("%#v", k)} {
			if strings.Contains(shown, string(unhex(t, keyHex))[:8]) || !strings.Contains(shown, "redacted") {
				t.Errorf("%s: the secret is printed", name)
			}
		}
	}
}

func TestAFaultyListOfKeysGivesNothingButTheLine(t *testing.T) {
	const good = "1,cccccccccccb,8792ebfe26cc,ecde18dbe76fbd0c33330f1c354871db,,2026-01-02T03:04:05,\n"
	for name, test := range map[string]struct{ text, want string }{
		"empty":              {"", "no keys"},
		"comments alone":     {"# ykksm 1\n", "no keys"},
		"twice":              {good + "\n" + good, "line 3: the same public id as on line 1"},
		"no public id":       {good + "4712,,ca62baca62ba,ecde18dbe76fbd0c33330f1c354871db,be70aeca62ba,2009-01-22 00:25:11,\n", "line 2: the public id"},
		"long public id":     {good + "4713,dlcfffckrcdedlcf,ca62baca62ba,ecde18dbe76fbd0c33330f1c354871db,,2009-01-22,\n", "line 2: the public id"},
		"public id in hex":   {good + "4713,0123456789ab,ca62baca62ba,ecde18dbe76fbd0c33330f1c354871db,,2009-01-22,\n", "line 2: the public id"},
		"space in public id": {good + "4713,dlcfff krcde,ca62baca62ba,ecde18dbe76fbd0c33330f1c354871db,,2009-01-22,\n", "line 2: the public id"},
		"short private id":   {good + "4713,dlcfffckrcde,ca62baca62,ecde18dbe76fbd0c33330f1c354871db,,2009-01-22,\n", "line 2: the private id"},
		"HOTP":               {good + "4713,,0,ecde18dbe76fbd0c33330f1c354871dbaabbccdd,,2009-01-22,\n", "line 2: the public id"},
		"long key":           {good + "4713,dlcfffckrcde,ca62baca62ba,ecde18dbe76fbd0c33330f1c354871dbaabbccdd,,2009-01-22,\n", "line 2: the key is not"},
		"no hex":             {good + "4713,dlcfffckrcde,ca62baca62ba,xcde18dbe76fbd0c33330f1c354871db,,2009-01-22,\n", "line 2: the key is not"},
		"blanked key":        {good + "4713,dlcfffckrcde,ca62baca62ba,00000000000000000000000000000000,,2009-01-22,\n", "line 2: the key is one byte"},
		"serial too large":   {good + "4294967296,dlcfffckrcde,ca62baca62ba,ecde18dbe76fbd0c33330f1c354871db,,2009-01-22,\n", "line 2: the serial"},
		"serial of letters":  {good + "x,dlcfffckrcde,ca62baca62ba,ecde18dbe76fbd0c33330f1c354871db,,2009-01-22,\n", "line 2: not a Yubico OTP"},
		"few columns":        {good + "1,dlcfffckrcde,ca62baca62ba\n", "line 2: a key has"},
		"many columns":       {good + "1,dlcfffckrcde,ca62baca62ba,ecde18dbe76fbd0c33330f1c354871db,,,,,,,,\n", "line 2: a key has"},
		"quotes":             {good + `"1","dlcfffckrcde","ca62baca62ba","ecde18dbe76fbd0c33330f1c354871db",,,` + "\n", "line 2: not a Yubico OTP"},
		"semicolons":         {good + "1;dlcfffckrcde;ca62baca62ba;ecde18dbe76fbd0c33330f1c354871db;;;\n", "line 2: not a Yubico OTP"},
		"static password":    {good + "Static Password,26.10.13 14:00,1,,,ecde18dbe76fbd0c33330f1c354871db,,,0,0,0,0,0,0,0,0,0,0\n", "line 2: not a Yubico OTP"},
		"traditional, cut":   {good + "Yubico OTP,26.10.13 14:00,1,dlcfffckrcde,8792ebfe26cc\n", "line 2: a traditional"},
		"endless line":       {good + strings.Repeat("1", 1<<20), "line 2: longer than"},
	} {
		keys, err := ReadCSV(strings.NewReader(test.text))
		if err == nil || keys != nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %d keys and %v, want %q", name, len(keys), err, test.want)
			continue
		}
		if strings.Contains(err.Error(), "cde18dbe") || strings.Contains(err.Error(), "62baca") {
			t.Errorf("%s: the error quotes a secret: %v", name, err)
		}
	}
	broken := errors.New("disk gone")
	if keys, err := ReadCSV(io.MultiReader(strings.NewReader(good), iotest.ErrReader(broken))); !errors.Is(err, broken) || keys != nil {
		t.Errorf("%d keys and %v of a file that could not be read to its end", len(keys), err)
	}
	many := io.LimitReader(endless{new(int)}, 20<<20)
	if keys, err := ReadCSV(many); err == nil || keys != nil {
		t.Errorf("%d keys and no error: not bounded", len(keys))
	}
}

// endless writes keys down for ever.
type endless struct{ n *int }

func (e endless) Read(b []byte) (int, error) {
	*e.n++
	id := yubikeytest.Modhex([]byte{1, 1, byte(*e.n >> 24), byte(*e.n >> 16), byte(*e.n >> 8), byte(*e.n)})
	return copy(b, "1,"+id+",8792ebfe26cc,ecde18dbe76fbd0c33330f1c354871db,,,\n"), nil
}

func TestTheInventoryFindsItsKeysAlone(t *testing.T) {
	k := yubikeytest.New(4711)
	keys, err := ReadCSV(strings.NewReader(k.CSV()))
	if err != nil {
		t.Fatal(err)
	}
	v := NewInventory(keys)
	if got, err := v.Find(t.Context(), k.Public); err != nil || got.Serial != 4711 {
		t.Errorf("%d, %v", got.Serial, err)
	}
	if _, err := v.Find(t.Context(), [6]byte{1}); !errors.Is(err, verify.ErrNoCredential) {
		t.Errorf("got %v, want ErrNoCredential", err)
	}
}

func FuzzReadCSV(f *testing.F) {
	f.Add([]byte("# ykksm 1\n4711,dlcfffckrcde,8792ebfe26cc,ecde18dbe76fbd0c33330f1c354871db,,2026-01-02T03:04:05,\n"))
	f.Add([]byte("LOGGING START,x\nYubico OTP,26.10.13, 14:00,1,dlcfffckrcde,8792ebfe26cc,ecde18dbe76fbd0c33330f1c354871db,,,0,0,0,0,0,0,0,0,0,0\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := ReadCSV(strings.NewReader(string(text)))
		if (err == nil) != (len(keys) > 0) {
			t.Fatalf("%d keys and %v", len(keys), err)
		}
		seen := map[[6]byte]bool{}
		for _, k := range keys {
			if seen[k.PublicID] || len(k.Secret.Reveal()) != secretSize {
				t.Fatal("a key twice, or half of one")
			}
			seen[k.PublicID] = true
		}
	})
}
