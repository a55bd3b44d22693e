package password

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"postern/directory"
	"postern/locales"
	"postern/portal/i18n"
)

const leaked, fresh = "vat-Quorum-teal-19", "teal-Mosaic-quorum-81"

func hashOf(k hashing, pw string) string {
	return strings.ToUpper(hex.EncodeToString(k.sum(pw)))
}

// hashLines are n lines in order, of made-up hashes and those of pws. The made-up
// count 3, those of pws 7.
func hashLines(k hashing, n int, pws ...string) []string {
	random := rand.NewChaCha8([32]byte{1})
	lines := make([]string, 0, n)
	for _, pw := range pws {
		lines = append(lines, hashOf(k, pw)+":7")
	}
	for b := make([]byte, k.width/2); len(lines) < n; {
		random.Read(b)
		lines = append(lines, fmt.Sprintf("%X:3", b))
	}
	slices.Sort(lines)
	return lines
}

func save(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "list.txt")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// saveRanges writes the range files that are looked at in the opening, and those
// of pws.
func saveRanges(t testing.TB, k hashing, lower bool, pws ...string) string {
	t.Helper()
	dir, lines := t.TempDir(), map[string][]string{}
	random := rand.NewChaCha8([32]byte{2})
	fill := func(prefix string) {
		if lines[prefix] != nil {
			return
		}
		for range 300 {
			b := make([]byte, k.width/2)
			random.Read(b)
			lines[prefix] = append(lines[prefix], fmt.Sprintf("%X", b)[prefixLen:]+":3")
		}
	}
	for _, p := range sampledPrefixes() {
		fill(p)
	}
	for _, pw := range pws {
		h := hashOf(k, pw)
		fill(h[:prefixLen])
		lines[h[:prefixLen]] = append(lines[h[:prefixLen]], h[prefixLen:]+":7")
	}
	for prefix, list := range lines {
		slices.Sort(list)
		text := strings.Join(list, "\r\n")
		if lower {
			prefix, text = strings.ToLower(prefix), strings.ToLower(text)
		}
		if err := os.WriteFile(filepath.Join(dir, prefix+".txt"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestTheHashesAreThoseOfTheLists(t *testing.T) {
	for _, c := range []struct {
		kind     hashing
		pw, want string
	}{
		{sha1List, "password", "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8"},
		{sha1List, "", "DA39A3EE5E6B4B0D3255BFEF95601890AFD80709"},
		{ntlmList, "password", "8846F7EAEE8FB117AD06BDD830B7586C"},
		{ntlmList, "", "31D6CFE0D16AE931B73C59D7E0C089C0"},
		{ntlmList, "SecREt01", "CD06CA7C7E10C99B1D33B7485A2ED808"},
	} {
		if got := hashOf(c.kind, c.pw); got != c.want {
			t.Errorf("%q: %s, want %s", c.pw, got, c.want)
		}
	}
	// A character outside the first plane is a pair in UTF-16.
	if ntlm, same := hashOf(ntlmList, "🦀"), hashOf(ntlmList, "\ufffd"); ntlm == same || len(ntlm) != ntlmList.width {
		t.Errorf("an emoji hashes as %s", ntlm)
	}
}

func judgeWith(t testing.TB, path string, least int, log io.Writer) *Judge {
	t.Helper()
	if log == nil {
		log = io.Discard
	}
	return newJudge(t, func(c *Config) {
		c.Breached, c.BreachedCount, c.Log = path, least, slog.New(slog.NewTextHandler(log, nil))
	})
}

func verdict(j *Judge, pw string) string {
	return keys(j.Judge(directory.NewSecret(pw), directory.Rules{}, ada))
}

// security case 54
func TestALeakedPasswordIsRefused(t *testing.T) {
	for _, kind := range []hashing{sha1List, ntlmList} {
		for name, path := range map[string]string{
			"file":               save(t, strings.Join(hashLines(kind, 4000, leaked, "password1", "qqqqqqqqqqqqqqqq"), "\r\n")),
			"small file":         save(t, strings.ToLower(strings.Join(hashLines(kind, 200, leaked, "password1", "qqqqqqqqqqqqqqqq"), "\n"))),
			"folder":             saveRanges(t, kind, false, leaked, fresh+"x", "password1", "qqqqqqqqqqqqqqqq"),
			"folder in small":    saveRanges(t, kind, true, leaked, fresh+"x", "password1", "qqqqqqqqqqqqqqqq"),
			"file that pads":     save(t, strings.Join(pad(hashLines(kind, 500, leaked, "password1", "qqqqqqqqqqqqqqqq"), kind, fresh), "\n")),
			"file with it twice": save(t, strings.Join(pad(hashLines(kind, 500, leaked, "password1", "qqqqqqqqqqqqqqqq"), kind, leaked), "\n")),
		} {
			j := judgeWith(t, path, 1, nil)
			for pw, want := range map[string]string{leaked: "breached", "password1": "common", "qqqqqqqqqqqqqqqq": "repeats breached"} {
				if got := verdict(j, pw); got != want {
					t.Errorf("%s, %s: %q, want %q", name, pw, got, want)
				}
			}
			if !strings.HasPrefix(name, "folder") {
				if got := verdict(j, fresh); got != "" {
					t.Errorf("%s: refused for %q", name, got)
				}
			}
			for least, want := range map[int]string{7: "breached", 8: ""} {
				if got := verdict(judgeWith(t, path, least, nil), leaked); got != want {
					t.Errorf("%s, from %d on: %q, want %q", name, least, got, want)
				}
			}
		}
		// Beside the leaked one, in the same range file.
		j := judgeWith(t, saveRanges(t, kind, false, leaked), 1, nil)
		key := hashOf(kind, leaked)
		other := hashing{width: kind.width, sum: func(string) []byte {
			b, _ := hex.DecodeString(key)
			b[len(b)-1]++
			return b
		}}
		j.leaks.kind = other
		if got := verdict(j, fresh); got != "" {
			t.Errorf("refused for %q", got)
		}
	}
}

// pad adds the line of pw with a count of none.
func pad(lines []string, k hashing, pw string) []string {
	lines = append(lines, hashOf(k, pw)+":0")
	slices.Sort(lines)
	return lines
}

func TestAListThatIsNoneIsRefusedAtTheStart(t *testing.T) {
	lines := hashLines(sha1List, 3000)
	whole := strings.Join(lines, "\r\n")
	byCount := slices.Clone(lines)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(byCount), func(i, j int) { byCount[i], byCount[j] = byCount[j], byCount[i] })
	swapped := slices.Clone(lines)
	slices.Reverse(swapped[1000:2000])
	short := strings.Join(hashLines(sha1List, 40), "\n")
	noRange := saveRanges(t, sha1List, false)
	if err := os.Remove(filepath.Join(noRange, "FFFFF.txt")); err != nil {
		t.Fatal(err)
	}
	mixed := saveRanges(t, sha1List, false)
	if err := os.WriteFile(filepath.Join(mixed, sampledPrefixes()[5]+".txt"), []byte(strings.Repeat("0", 27)+":1"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"nothing there":             filepath.Join(t.TempDir(), "none"),
		"an empty folder":           t.TempDir(),
		"a folder with a gap":       noRange,
		"a folder of two kinds":     mixed,
		"a device":                  os.DevNull,
		"an empty file":             save(t, ""),
		"a line end":                save(t, "\n"),
		"passwords":                 save(t, "password\n123456\n"),
		"binary":                    save(t, "\x00\x01\x02\x03"),
		"a byte order mark":         save(t, "\ufeff"+whole),
		"cut off in a hash":         save(t, whole[:len(whole)-20]),
		"cut off after a colon":     save(t, whole[:len(whole)-1]),
		"cut off in the first line": save(t, whole[:20]),
		"ordered by count":          save(t, strings.Join(byCount, "\n")),
		"backwards in the middle":   save(t, strings.Join(swapped, "\n")),
		"two lines swapped":         save(t, short[43:86]+short[:43]+short[86:]),
		"hashes of another length":  save(t, strings.Repeat("A", 64)+":1\n"),
		"hashes of two lengths":     save(t, strings.Join(lines[:50], "\n")+"\n"+strings.Repeat("F", 32)+":1"),
		"one line without end":      save(t, strings.Repeat("A", 100_000)),
		"a count that is none":      save(t, strings.Repeat("A", 40)+":many"),
		"a negative count":          save(t, strings.Repeat("A", 40)+":-1"),
		"a count too large":         save(t, strings.Repeat("A", 40)+":99999999999999999999"),
		"a blank line":              save(t, strings.Join(lines[:50], "\n")+"\n\n"+strings.Join(lines[50:100], "\n")),
	} {
		c := DefaultConfig()
		c.Breached = path
		if f := c.Validate(); len(f) != 1 || !strings.HasPrefix(f[0].Error(), "breached: "+path+": ") {
			t.Errorf("%s: %v", name, f)
		}
		if _, err := New(c); err == nil {
			t.Errorf("%s: New took it", name)
		}
	}
	c := DefaultConfig()
	c.Breached, c.BreachedCount = save(t, whole), 0
	if f := c.Validate(); len(f) != 1 || !strings.HasPrefix(f[0].Error(), "breached_count: ") {
		t.Errorf("%v", f)
	}
}

// Fail closed: what cannot be looked up is not accepted, the log says so once,
// and neither it nor the answer tells anything of the password.
func TestAListThatFailsLaterAcceptsNothing(t *testing.T) {
	hash := hashOf(sha1List, fresh)
	text := strings.Join(hashLines(sha1List, 3000, leaked), "\n")
	garbage := strings.Repeat("x", 2*len(text))
	shuffled := hashLines(sha1List, 6000)
	slices.Reverse(shuffled)
	for name, c := range map[string]struct {
		dir   bool
		after func(path string) error
	}{
		"gone":               {false, os.Remove},
		"being written anew": {false, func(p string) error { return os.Truncate(p, int64(len(text)/2)) }},
		"emptied":            {false, func(p string) error { return os.Truncate(p, 0) }},
		"something else":     {false, func(p string) error { return os.WriteFile(p, []byte(garbage), 0o600) }},
		"another order":      {false, func(p string) error { return os.WriteFile(p, []byte(strings.Join(shuffled, "\n")), 0o600) }},
		"another kind": {false, func(p string) error {
			return os.WriteFile(p, []byte(strings.Join(hashLines(ntlmList, 6000), "\n")), 0o600)
		}},
		"a folder now":               {false, func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o700)) }},
		"range file gone":            {true, os.Remove},
		"range file emptied":         {true, func(p string) error { return os.Truncate(p, 0) }},
		"range file cut off":         {true, func(p string) error { return os.Truncate(p, 20) }},
		"range file of another kind": {true, func(p string) error { return os.WriteFile(p, []byte(strings.Repeat("0", 27)+":1"), 0o600) }},
		"range file a folder":        {true, func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o700)) }},
	} {
		t.Run(name, func(t *testing.T) {
			path := save(t, text)
			if c.dir {
				// Another password's range file is there, so that the folder has what is sampled and this.
				path = saveRanges(t, sha1List, false, fresh, leaked)
			}
			var log bytes.Buffer
			j := judgeWith(t, path, 1000, &log)
			if got := verdict(j, fresh); got != "" {
				t.Fatalf("before: %q", got)
			}
			target := path
			if c.dir {
				target = filepath.Join(path, hash[:prefixLen]+".txt")
			}
			if err := c.after(target); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if got := verdict(j, fresh); got != "breach_unavailable" {
					t.Errorf("after: %q", got)
				}
			}
			said := strings.ToUpper(log.String())
			if strings.Count(said, "LEVEL=ERROR") != 1 {
				t.Errorf("the log says %s", said)
			}
			if said = strings.ReplaceAll(said, strings.ToUpper(path), ""); strings.Contains(said, hash[:prefixLen]) || strings.Contains(said, strings.ToUpper(fresh)) {
				t.Errorf("the log tells of the password: %s", said)
			}
			if c.dir {
				return
			}
			if err := errors.Join(os.RemoveAll(path), os.WriteFile(path, []byte(text), 0o600)); err != nil {
				t.Fatal(err)
			}
			if got := verdict(j, fresh); got != "" || !strings.Contains(log.String(), "again") {
				t.Errorf("when it is back: %q, %s", got, log.String())
			}
		})
	}
}

func TestTheChecklistNamesTheList(t *testing.T) {
	has := func(j *Judge) bool {
		return slices.ContainsFunc(j.Checklist(directory.Rules{}, ada), func(i Item) bool { return i.Key == "breached" && i.When == Later })
	}
	if has(newJudge(t, nil)) || !has(judgeWith(t, save(t, strings.Join(hashLines(ntlmList, 5), "\n")), 1, nil)) {
		t.Error("the checklist and the configuration differ")
	}
}

// No password is refused without a reason in the reader's language. not_text and
// own have other names in the sentences; see portal/web.
func TestEveryReasonHasItsSentences(t *testing.T) {
	bundle, err := i18n.Load(i18n.Options{}, locales.Files)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"error.bad_characters", "error.complexity", "error.contains_login", "error.contains_name", "error.contains_mail", "error.contains_org",
		"error.common", "error.repeats", "error.weak", "error.breached", "error.breach_unavailable", "rule.breached"} {
		for _, l := range bundle.Languages() {
			if s, ok := bundle.Plain(l.Tag, key); !ok || s == "" {
				t.Errorf("%s: there is no sentence %s", l.Tag, key)
			}
		}
	}
	for _, key := range []string{"error.too_short", "error.too_long"} {
		if !bundle.Has(key) {
			t.Errorf("there is no sentence %s", key)
		}
	}
}

// A million lines, 43 MB. Under 1 ms a look-up is asked for.
func BenchmarkBreached(b *testing.B) {
	path := filepath.Join(b.TempDir(), "list.txt")
	file, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriter(file)
	random := rand.New(rand.NewPCG(1, 2))
	const n = 1_000_000
	for i := range uint64(n) {
		// In order, with the gaps of hashes that fall anywhere.
		fmt.Fprintf(w, "%016X%016X%08X:%d\n", (math.MaxUint64/n)*i+random.Uint64N(math.MaxUint64/n), random.Uint64(), random.Uint32(), 1+random.Uint32N(5000))
	}
	if err := errors.Join(w.Flush(), file.Close()); err != nil {
		b.Fatal(err)
	}
	for name, path := range map[string]string{"file": path, "folder": saveRanges(b, sha1List, false, leaked)} {
		b.Run(name, func(b *testing.B) {
			list, err := openBreaches(path, 1)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				pw := leaked
				if !list.dir {
					pw = fmt.Sprint("candidate", i)
				}
				if has, err := list.has(pw); err != nil || has != list.dir {
					b.Fatal(has, err)
				}
			}
		})
	}
}
