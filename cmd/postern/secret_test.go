package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func writeFile(t testing.TB, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	// Not by the umask.
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// security case 118
func TestSecretsComeFromReferencesAlone(t *testing.T) {
	const canary = "cAnArY-7291-secret"
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "good"), canary+"\n", 0o600)
	writeFile(t, filepath.Join(dir, "group"), canary+"-group", 0o640)
	writeFile(t, filepath.Join(dir, "world"), canary, 0o644)
	writeFile(t, filepath.Join(dir, "writable"), canary, 0o602)
	writeFile(t, filepath.Join(dir, "empty"), "\n", 0o600)
	writeFile(t, filepath.Join(dir, "binary"), canary+"\x00", 0o600)
	writeFile(t, filepath.Join(dir, "default"), "ChangeMe", 0o600)
	writeFile(t, filepath.Join(dir, "short"), "abc1234", 0o600)
	writeFile(t, filepath.Join(dir, "huge"), strings.Repeat("x", maxSecret+1), 0o600)
	env := map[string]string{"GOOD": canary + "-env", "EMPTY": ""}
	for _, c := range []struct{ ref, want, fault string }{
		{"file:good", canary, ""},
		{"file:" + filepath.Join(dir, "good"), canary, ""},
		{"file:group", canary + "-group", ""},
		{"env:GOOD", canary + "-env", ""},
		{canary, "", "must be a reference"},
		{"", "", "must be a reference"},
		{"file:", "", "must be a reference"},
		{"https://" + canary, "", "must be a reference"},
		{"file:world", "", "chmod 600"},
		{"file:writable", "", "chmod 600"},
		{"file:absent", "", "there is no"},
		{"file:.", "", "is not a file"},
		{"file:empty", "", "is empty"},
		{"file:binary", "", "is not text"},
		{"file:default", "", "tries first"},
		{"file:short", "", "shorter than 8"},
		{"file:huge", "", "larger than"},
		{"env:ABSENT", "", "has no ABSENT"},
		{"env:EMPTY", "", "is empty"},
	} {
		t.Run(c.ref, func(t *testing.T) {
			s := secrets{folder: dir, env: func(n string) (string, bool) { v, ok := env[n]; return v, ok }}
			got, err := s.resolve("mail.password", c.ref)
			if c.fault == "" {
				if err != nil || got.Reveal() != c.want {
					t.Errorf("%v, %v", got, err)
				}
				return
			}
			if err == nil || !strings.HasPrefix(err.Error(), "mail.password: ") || !strings.Contains(err.Error(), c.fault) {
				t.Fatalf("%v", err)
			}
			if strings.Contains(err.Error(), canary) || strings.Contains(fmt.Sprintf("%+v %#v", s, s), canary) {
				t.Error("the secret is shown")
			}
		})
	}
}

// security case 118: one leak must not be two.
func TestTheSameSecretTwiceIsAFault(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "one"), "same-secret-1", 0o600)
	writeFile(t, filepath.Join(dir, "two"), "same-secret-1", 0o600)
	s := secrets{folder: dir}
	for _, ref := range []string{"file:one", "file:one"} {
		if _, err := s.resolve("a", ref); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.resolve("b", "file:two"); err == nil || !strings.Contains(err.Error(), "same secret as a") {
		t.Error(err)
	}
}
