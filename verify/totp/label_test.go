package totp

import (
	"crypto/rand"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"rsc.io/qr"

	"postern/directory"
	"postern/verify/verifytest"
)

// security case 86
func TestALabelCannotSayMoreThanItShould(t *testing.T) {
	for name, test := range map[string]struct{ issuer, upn, login, want string }{
		"plain":         {"Postern", "alice@corp.example", "alice", "/Postern:alice@corp.example"},
		"no upn":        {"Postern", "", "alice", "/Postern:alice"},
		"colon":         {"A: B", "evil:admin", "", "/A B:evil admin"},
		"newline":       {"Post\nern\r", "al\r\nice", "", "/Post ern:al ice"},
		"query":         {"Postern", "a?secret=AAAA&issuer=Bank#x", "", "/Postern:a?secret=AAAA&issuer=Bank#x"},
		"slash":         {"Postern", "../totp/Bank", "", "/Postern:.. totp Bank"},
		"encoded colon": {"Postern", "a%3Ab", "", "/Postern:a 3Ab"},
		"bidi, NUL":     {"Postern", "a\u202eb\x00c", "", "/Postern:a b c"},
		"other scripts": {"Pförtner", "علي@corp.example", "", "/Pförtner:علي@corp.example"},
		"nothing left":  {"Postern", ":", "\n", "/Postern:account"},
		"long":          {strings.Repeat("i", 200), strings.Repeat("ä", 200), "", "/" + strings.Repeat("i", 64) + ":" + strings.Repeat("ä", 64)},
	} {
		f, err := New(Config{Issuer: test.issuer, Max: 1}, verifytest.NewVault(time.Now), time.Now, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		setup, err := f.setup(&directory.User{UPN: test.upn, Login: test.login}, rfcSecret)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		u, err := url.Parse(setup.URI)
		if err != nil || u.Scheme != "otpauth" || u.Host != "totp" || u.Path != test.want {
			t.Errorf("%s: %s gives path %q (%v), want %q", name, setup.URI, u.Path, err, test.want)
			continue
		}
		q := u.Query()
		if len(q["secret"]) != 1 || q.Get("secret") != encode(rfcSecret) || len(q["issuer"]) != 1 || q.Get("issuer") != f.issuer ||
			q.Get("algorithm") != "SHA1" || q.Get("digits") != "6" || q.Get("period") != "30" {
			t.Errorf("%s: query %v", name, q)
		}
	}
}

func TestTheSecretIsShownInGroupsOfFour(t *testing.T) {
	if got := grouped(encode(rfcSecret)); !regexp.MustCompile(`^([A-Z2-7]{4} ){7}[A-Z2-7]{4}$`).MatchString(got) {
		t.Errorf("got %q", got)
	}
}

// The path is drawn again into squares and compared with the encoder's.
func TestTheQRPathIsTheCode(t *testing.T) {
	uri := "otpauth://totp/Postern:alice@corp.example?algorithm=SHA1&digits=6&issuer=Postern&period=30&secret=" + encode(rfcSecret)
	got, err := QR(uri)
	if err != nil {
		t.Fatal(err)
	}
	want, err := qr.Encode(uri, qr.M)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^(M\d+ \d+\.5h\d+)+$`).MatchString(got.Path) {
		t.Fatalf("path holds more than runs: %.60s", got.Path)
	}
	black := map[[2]int]bool{}
	for run := range strings.SplitSeq(got.Path[1:], "M") {
		var x, y, n int
		if _, err := fmt.Sscanf(run, "%d %d.5h%d", &x, &y, &n); err != nil {
			t.Fatalf("%q: %v", run, err)
		}
		for i := range n {
			black[[2]int{x + i, y}] = true
		}
	}
	for y := range got.Size {
		for x := range got.Size {
			if black[[2]int{x, y}] != want.Black(x-quiet, y-quiet) {
				t.Fatalf("module %d,%d differs", x, y)
			}
		}
	}
	if got.Size != want.Size+8 || len(got.Path) > 16<<10 {
		t.Errorf("size %d, path %d bytes", got.Size, len(got.Path))
	}
	if svg := got.SVG(); strings.Contains(svg, "style=") || strings.Contains(svg, "href") {
		t.Error("the picture would fall foul of the content security policy")
	}
	if _, err := QR(strings.Repeat("x", 5000)); err == nil {
		t.Error("5000 characters fit")
	}
}
