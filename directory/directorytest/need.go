package directorytest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// ErrMissing is a service that cannot be run on this machine: its program is
// not installed, or the right it needs (Samba: root) is not there.
var ErrMissing = errors.New("directorytest: service not available here")

// Require ends the test when err is not nil. A service that is not there is a
// skip on a laptop and a failure where CI is set, so that a green CI run means
// that everything was really tried. Everything else is a failure everywhere.
func Require(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, ErrMissing) && os.Getenv("CI") == "":
		t.Skip(err)
	default:
		t.Fatal(err)
	}
}

// needService skips under -short: those tests need no service, by promise.
func needService(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: no services")
	}
}

// program finds an executable, also in the sbin folders that an ordinary
// person's PATH on Debian lacks.
func program(name string) (string, error) {
	if p, err := exec.LookPath(name); err == nil {
		return p, nil
	}
	for _, dir := range []string{"/usr/sbin/", "/usr/local/sbin/", "/sbin/", "/usr/lib/openldap/", "/usr/libexec/"} {
		if p, err := exec.LookPath(dir + name); err == nil {
			return p, nil
		}
	}
	return "", fmt.Errorf("%w: no %s", ErrMissing, name)
}
