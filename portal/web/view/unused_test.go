package view

import (
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"postern/templates"
)

// literals are the texts that stand in quotes in the program and in its templates.
func literals(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	add := func(quoted string) {
		if s, err := strconv.Unquote(quoted); err == nil {
			found[s] = true
		}
	}
	quoted := regexp.MustCompile(`"[^"]*"`)
	err := fs.WalkDir(templates.Files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		src, err := fs.ReadFile(templates.Files, name)
		for _, a := range action.FindAll(src, -1) {
			for _, q := range quoted.FindAll(a, -1) {
				add(string(q))
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, room := range []string{"cmd", "portal", "directory", "verify"} {
		err := filepath.WalkDir(filepath.Join("..", "..", "..", room), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			src, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			var s scanner.Scanner
			files := token.NewFileSet()
			s.Init(files.AddFile(path, files.Base(), len(src)), src, nil, 0)
			for _, tok, text := s.Scan(); tok != token.EOF; _, tok, text = s.Scan() {
				if tok == token.STRING {
					add(text)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// A sentence that nothing says is not kept in three languages. Keys stand in quotes, or
// are made of a beginning that does and of words that do: "event." and "password.reset"
// and "refused".
func TestNoSentenceIsLeftUnsaid(t *testing.T) {
	said, sentences := literals(t), bundle(t)
	if len(said) < 1000 {
		t.Fatalf("only %d texts in quotes were found", len(said))
	}
	words, ends, beginnings := map[string]bool{}, map[string]bool{}, map[string]bool{}
	begins := regexp.MustCompile(`^[a-z_]+\.([A-Za-z0-9_.-]*[._])?$`)
	for s := range said {
		words[strings.Trim(strings.ReplaceAll(s, ".", "_"), "_")] = true
		if _, end, dotted := strings.Cut(s, "."); dotted && !sentences.Has(s) {
			ends[end] = true
		}
		if s = strings.TrimSuffix(s, "m%d"); begins.MatchString(s) {
			beginnings[s] = true
		}
	}
	numbered := regexp.MustCompile(`^(m1?[0-9]|[1-6][qa])$`) // months, and questions of the help
	var made func(string) bool
	made = func(rest string) bool {
		if words[rest] || numbered.MatchString(rest) {
			return true
		}
		for i, r := range rest {
			if (r == '_' || r == '.') && words[rest[:i]] && made(rest[i+1:]) {
				return true
			}
		}
		return false
	}
	for _, key := range sentences.Keys() {
		ok := said[key]
		for i, r := range key {
			if r == '.' || r == '_' {
				rest := key[i+1:]
				ok = ok || beginnings[key[:i+1]] && (made(rest) || ends[rest])
			}
		}
		if !ok {
			t.Errorf("nothing says %s", key)
		}
	}
}
