package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/directory"
)

// What the portal makes of nothing must not be made of something known.
func TestDoctorNamesAMachineWithoutRandomNumbers(t *testing.T) {
	gone := errors.New("resource temporarily unavailable")
	for name, c := range map[string]struct {
		ready error
		bytes string
		words string
		want  directory.Severity
	}{
		"enough":               {nil, strings.Repeat("a", 32) + strings.Repeat("b", 32), "at once", directory.OK},
		"the system says none": {errors.ErrUnsupported, strings.Repeat("a", 32) + strings.Repeat("b", 32), "at once", directory.OK},
		"just started":         {gone, "", gone.Error(), directory.Failure},
		"the same every time":  {nil, strings.Repeat("a", 64), "twice", directory.Failure},
		"none after the first": {nil, strings.Repeat("a", 40), "EOF", directory.Failure},
	} {
		d := &examination{}
		d.entropy(func() error { return c.ready }, strings.NewReader(c.bytes))
		if f := d.findings; len(f) != 1 || f[0].Severity != c.want || !strings.Contains(f[0].What, c.words) || c.want > 0 && (f[0].Why == "" || f[0].Mend == "") {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestDoctorWarnsBeforeTheDiskIsFull(t *testing.T) {
	const mib, gib = 1 << 20, 1 << 30
	for _, c := range []struct {
		free, total uint64
		err         error
		want        directory.Severity
	}{
		{20 * gib, 40 * gib, nil, directory.OK},
		{2 * gib, 40 * gib, nil, directory.OK}, // one in twenty
		{2*gib - 1, 40 * gib, nil, directory.Warning},
		{gib, 2 * gib, nil, directory.OK},
		{gib - 1, 2 * gib, nil, directory.Warning},
		{100 * mib, gib, nil, directory.Warning},
		{100*mib - 1, gib, nil, directory.Failure},
		{0, 0, nil, directory.Failure},
		{0, 0, errors.ErrUnsupported, directory.Warning},
	} {
		d := &examination{}
		d.room("/srv/postern", c.free, c.total, c.err)
		if f := d.findings; len(f) != 1 || f[0].Severity != c.want {
			t.Errorf("%d of %d: %+v", c.free, c.total, f)
		}
	}
}

// What others may read is named with the very command, which then mends it.
func TestDoctorNamesFilesThatOthersMayRead(t *testing.T) {
	h := newHouse(t)
	h.serve()()
	clean := h.load()
	if found, told, _ := h.diagnose(); !has(found, "files", directory.OK, "cannot be read by others") || len(found["files"]) != 1 {
		t.Fatal(told)
	}
	db := filepath.Join(h.dir, "data", "postern.db")
	for path, c := range map[string]struct {
		mode  os.FileMode
		want  directory.Severity
		chmod string
		gives os.FileMode
	}{
		h.file:                                {0o644, directory.Warning, "o-rwx", 0o640},
		filepath.Join(h.dir, "corp.password"): {0o604, directory.Failure, "600", 0o600},
		db:                                    {0o644, directory.Failure, "600", 0o600},
		filepath.Dir(db):                      {0o755, directory.Warning, "o-rwx", 0o750},
	} {
		before, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		d := &examination{}
		d.files(clean)
		if f := d.findings; len(f) != 1 || f[0].Severity != c.want || f[0].Mend != "chmod "+c.chmod+" "+path || !strings.Contains(f[0].What, fmt.Sprintf("%04o", c.mode)) {
			t.Errorf("%s: %+v", path, f)
		}
		if err := os.Chmod(path, 0o666|before.Mode().Perm()&0o111); err != nil {
			t.Fatal(err)
		}
		d = &examination{}
		if d.files(clean); worstOf(d.findings) != directory.Failure || !strings.Contains(d.findings[0].What, "may change") {
			t.Errorf("%s, written by others: %+v", path, d.findings)
		}
		if err := os.Chmod(path, before.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
	}
	// A secret that serve refuses is named twice: as a fault, and with the command.
	secret := filepath.Join(h.dir, "corp.password")
	if err := os.Chmod(secret, 0o644); err != nil {
		t.Fatal(err)
	}
	if found, told, code := h.diagnose(); code != int(directory.Failure) || !has(found, "files", directory.Failure, "chmod 600 "+secret) {
		t.Error(told)
	}
}

func TestQuotedIsWhatAShellTakes(t *testing.T) {
	for path, want := range map[string]string{"/srv/postern.db": "/srv/postern.db", "/a b/c": "'/a b/c'", "it's": `'it'\''s'`, "-rf": "'./-rf'", "$(x)": "'$(x)'", "ä": "'ä'"} {
		if got := quoted(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func TestDoctorSaysWhenKeysGetOld(t *testing.T) {
	h := newHouse(t)
	file := filepath.Join(h.dir, "keys.json")
	for age, want := range map[time.Duration]directory.Severity{keysOld - time.Hour: directory.OK, keysOld + 24*time.Hour: directory.Warning} {
		then := time.Now().Add(-age)
		if err := os.Chtimes(file, then, then); err != nil {
			t.Fatal(err)
		}
		found, told, _ := h.diagnose()
		if len(found["keys"]) != 1 || found["keys"][0].Severity != want || want > 0 && !has(found, "keys", want, "401 days ago", "postern keys rotate --config "+h.file, "--retire") {
			t.Errorf("%s: %s", age, told)
		}
	}
	// The command is the one there is: after it the keys are young.
	var out bytes.Buffer
	c := &cli{out: &out, err: &out, env: noEnv}
	root := c.root()
	root.SetArgs([]string{"keys", "rotate", "--config", h.file})
	h.serve()()
	if code := c.exitCode(root.ExecuteContext(t.Context())); code != 0 {
		t.Fatal(out.String())
	}
	if found, told, _ := h.diagnose(); !has(found, "keys", directory.OK, "can be read") {
		t.Error(told)
	}
}

func TestDoctorSaysWhatBrowsersDoWithCookies(t *testing.T) {
	for public, want := range map[string]directory.Severity{"https://id.example.org": directory.OK, "http://localhost:8080": directory.OK, "http://127.0.0.1": directory.OK,
		"http://[::1]:8080": directory.OK, "http://id.example.org": directory.Failure, "http://10.0.0.1": directory.Failure, "http://localhost.example.org": directory.Failure} {
		u, err := url.Parse(public)
		if err != nil {
			t.Fatal(err)
		}
		d := &examination{}
		if d.cookies(u); len(d.findings) != 1 || d.findings[0].Severity != want {
			t.Errorf("%s: %+v", public, d.findings)
		}
	}
}
