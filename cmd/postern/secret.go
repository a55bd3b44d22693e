package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"postern/directory"
)

// maxSecret bounds a secret's file.
const maxSecret = 64 << 10

// secrets turns references into secrets. A secret never stands in the
// configuration itself: files of configuration are shown, mailed and committed.
type secrets struct {
	folder string // what file: is relative to
	env    func(string) (string, bool)
	seen   []seenSecret
	files  []string // that secrets were looked for in
}

type seenSecret struct {
	path, ref string
	value     directory.Secret
}

// wellKnown are words that are put where a secret should be, and stay there.
var wellKnown = []string{"changeme", "change-me", "change_me", "secret", "password", "passw0rd", "admin", "postern", "example", "test", "default", "12345678", "123456789", "1234567890"}

// resolve reads what ref refers to: file:PATH or env:NAME. Errors name the
// reference and never hold what it refers to (security case 118).
func (s *secrets) resolve(path, ref string) (directory.Secret, error) {
	var none directory.Secret
	kind, name, ok := strings.Cut(ref, ":")
	if !ok || kind != "file" && kind != "env" || name == "" {
		return none, fmt.Errorf("%s: must be a reference, file:PATH or env:NAME, never the secret itself", path)
	}
	text, err := s.fetch(kind, name)
	if err != nil {
		return none, fmt.Errorf("%s: %w", path, err)
	}
	switch {
	case text == "":
		return none, fmt.Errorf("%s: %s is empty", path, ref)
	case slices.Contains(wellKnown, strings.ToLower(text)):
		return none, fmt.Errorf("%s: %s holds a word everybody tries first", path, ref)
	case len(text) < 8:
		return none, fmt.Errorf("%s: %s is shorter than 8 characters", path, ref)
	}
	for _, other := range s.seen {
		if other.ref != ref && other.value.Reveal() == text {
			return none, fmt.Errorf("%s: %s is the same secret as %s", path, ref, other.path)
		}
	}
	secret := directory.NewSecret(text)
	s.seen = append(s.seen, seenSecret{path: path, ref: ref, value: secret})
	return secret, nil
}

func (s *secrets) fetch(kind, name string) (string, error) {
	if kind == "env" {
		text, ok := s.env(name)
		if !ok {
			return "", fmt.Errorf("the environment has no %s", name)
		}
		return text, nil
	}
	file := s.place(name)
	s.files = append(s.files, file)
	data, err := readPrivate(file, maxSecret)
	// One line end is the editor's, not the secret's.
	return strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r"), err
}

// place is where a file named in the configuration is.
func (s *secrets) place(name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(s.folder, name)
}

// readPrivate reads a file that strangers on this machine cannot.
func readPrivate(path string, limit int64) ([]byte, error) {
	if err := private(path); err != nil {
		return nil, err
	}
	data, err := readBounded(path, limit)
	if bytes.IndexByte(data, 0) >= 0 {
		return nil, fmt.Errorf("%s is not text", path)
	}
	return data, err
}

// private returns an error when others than the owner and the group can do
// anything with a file.
func private(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no %s", path)
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a file", path)
	case info.Mode().Perm()&0o007 != 0:
		return fmt.Errorf("%s can be read by everybody on this machine; chmod 600 %s", path, path)
	}
	return nil
}
