package password

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestAServiceThatCannotBeIsRefusedAtTheStart(t *testing.T) {
	lines := save(t, strings.Join(hashLines(sha1List, 20), "\n"))
	for name, c := range map[string]struct {
		url, file string
		count     int
		want      []string
	}{
		"as it is run":           {"https://api.pwnedpasswords.com/range/", "", 1, nil},
		"a mirror here":          {"http://127.0.0.1:8080/range/", "", 1, nil},
		"a mirror here, IPv6":    {"http://[::1]/", "", 1, nil},
		"in the clear":           {"http://api.pwnedpasswords.com/range/", "", 1, []string{"breached_url"}},
		"a name that looks near": {"http://localhost.example.org/", "", 1, []string{"breached_url"}},
		"another scheme":         {"ftp://127.0.0.1/", "", 1, []string{"breached_url"}},
		"no scheme":              {"api.pwnedpasswords.com/range/", "", 1, []string{"breached_url"}},
		"no host":                {"https:///range/", "", 1, []string{"breached_url"}},
		"a port alone":           {"https://:443/range/", "", 1, []string{"breached_url"}},
		"a user":                 {"https://me:key@example.org/range/", "", 1, []string{"breached_url"}},
		"a question":             {"https://example.org/range/?", "", 1, []string{"breached_url"}},
		"a fragment":             {"https://example.org/range/#", "", 1, []string{"breached_url"}},
		"no end":                 {"https://example.org/range", "", 1, []string{"breached_url"}},
		"no address":             {"https://exa mple.org/", "", 1, []string{"breached_url"}},
		"no count":               {"https://example.org/range/", "", 0, []string{"breached_count"}},
		"no such file":           {"https://example.org/", filepath.Join(t.TempDir(), "none"), 1, []string{"breached_ca_file"}},
		"a file of others":       {"https://example.org/", lines, 1, []string{"breached_ca_file"}},
		"a file for nothing":     {"", lines, 1, []string{"breached_ca_file", "breached_ca_file"}},
	} {
		cfg := DefaultConfig()
		cfg.BreachedURL, cfg.BreachedCAFile, cfg.BreachedCount = c.url, c.file, c.count
		var keys []string
		for _, f := range cfg.Validate() {
			key, what, _ := strings.Cut(f.Error(), ": ")
			if keys = append(keys, key); strings.Contains(what, "me:key") {
				t.Errorf("%s: the secret is told", name)
			}
		}
		if _, err := New(cfg); !slices.Equal(keys, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, %v", name, keys, err)
		}
	}
}
