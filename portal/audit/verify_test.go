package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// memoryLog is a log in memory, sealed in steps.
type memoryLog struct {
	signer *Signer
	leaves [][]byte
	hashes []Hash
	signed []string
	sizes  []int64
}

func (m *memoryLog) ReadHashes(positions []int64) ([]Hash, error) {
	var list []Hash
	for _, p := range positions {
		list = append(list, m.hashes[p])
	}
	return list, nil
}

func newLog(t testing.TB, seed byte) *memoryLog {
	t.Helper()
	s, err := NewSigner(bytes.Repeat([]byte{seed}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return &memoryLog{signer: s}
}

func (m *memoryLog) key(t testing.TB) Key {
	t.Helper()
	k, err := ParseKey(m.signer.Key())
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// seal adds n events, of one history or another, and signs.
func (m *memoryLog) seal(t testing.TB, history string, n int) *memoryLog {
	t.Helper()
	var fresh [][]byte
	for i := range n {
		fresh = append(fresh, Leaf(fmt.Appendf(nil, `{"id":"%s%d","kind":"case.started","at":"2026-01-01T00:00:00Z"}`, history, len(m.leaves)+i)))
	}
	g, err := Grow(int64(len(m.leaves)), m, fresh)
	if err != nil {
		t.Fatal(err)
	}
	m.leaves, m.hashes = append(m.leaves, fresh...), append(m.hashes, g.Hashes...)
	text, err := m.signer.Sign(g.Size, g.Root, time.Unix(1e9+g.Size, 0))
	if err != nil {
		t.Fatal(err)
	}
	m.signed, m.sizes = append(m.signed, text), append(m.sizes, g.Size)
	return m
}

func (m *memoryLog) Entries(_ context.Context, from, to int64, each func(Entry) error) error {
	for i := from; i < to; i++ {
		if err := each(Entry{i, m.leaves[i], LeafHash(m.leaves[i])}); err != nil {
			return err
		}
	}
	return nil
}

func (m *memoryLog) Checkpoints(_ context.Context, each func(int64, string) error) error {
	for i, s := range m.signed {
		if err := each(m.sizes[i], s); err != nil {
			return err
		}
	}
	return nil
}

func (m *memoryLog) export(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "export")
	if _, err := WriteBundle(context.Background(), dir, m, m.key(t)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// lines of the events of an export, to tamper with.
func lines(t testing.TB, dir string) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, eventsFile))
	if err != nil {
		t.Fatal(err)
	}
	return strings.SplitAfter(strings.TrimSuffix(string(data), "\n"), "\n")
}

func write(t testing.TB, dir string, list []string) {
	t.Helper()
	text := strings.Join(list, "")
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	if err := os.WriteFile(filepath.Join(dir, eventsFile), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// rehash makes the hashes those of the lines that stand there, as a forger would.
func rehash(t testing.TB, dir string) {
	t.Helper()
	var b []byte
	if err := (bundle{dir}).each(func(line []byte) error { h := LeafHash(line); b = append(b, h[:]...); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, hashesFile), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestVerifyNamesWhatIsWrong(t *testing.T) {
	const n = 30 // sealed as 10, 17, 30
	swap := func(l []string, i, j int) []string { l[i], l[j] = l[j], l[i]; return l }
	cut := func(l []string, i, j int) []string { return append(l[:i:i], l[j:]...) }
	added := `{"id":"forged","kind":"case.started"}` + "\n"
	for name, c := range map[string]struct {
		tamper func(t *testing.T, dir string)
		entry  int64
		says   string
	}{
		"nothing": {func(*testing.T, string) {}, 0, ""},
		"one changed": {func(t *testing.T, d string) {
			l := lines(t, d)
			l[11] = strings.Replace(l[11], "case", "face", 1)
			write(t, d, l)
		}, 12, "entry 12 was changed"},
		"one missing":             {func(t *testing.T, d string) { write(t, d, cut(lines(t, d), 11, 12)) }, 12, "entry 12 is missing"},
		"several missing":         {func(t *testing.T, d string) { write(t, d, cut(lines(t, d), 11, 14)) }, 12, "entries 12 to 14 are missing"},
		"one added":               {func(t *testing.T, d string) { l := lines(t, d); write(t, d, append(append(l[:5:5], added), l[5:]...)) }, 6, "line 6 was added"},
		"two swapped":             {func(t *testing.T, d string) { write(t, d, swap(lines(t, d), 8, 20)) }, 9, "line 9 is entry 21"},
		"neighbours swapped":      {func(t *testing.T, d string) { write(t, d, swap(lines(t, d), 8, 9)) }, 9, "line 9 is entry 10"},
		"head cut off":            {func(t *testing.T, d string) { write(t, d, lines(t, d)[3:]) }, 1, "entries 1 to 3 are missing: the head"},
		"tail cut off":            {func(t *testing.T, d string) { write(t, d, lines(t, d)[:n-4]) }, 27, "entries 27 to 30 are missing: the tail"},
		"tail and hashes cut off": {func(t *testing.T, d string) { write(t, d, lines(t, d)[:n-4]); rehash(t, d) }, 27, "entries 27 to 30 are missing: the tail"},
		"added behind the end":    {func(t *testing.T, d string) { write(t, d, append(lines(t, d), "\n"+added)) }, 31, "line 31 and what follows were added"},
		"added and hashed":        {func(t *testing.T, d string) { write(t, d, append(lines(t, d), "\n"+added)); rehash(t, d) }, 31, "nobody signed"},
		"changed and hashed": {func(t *testing.T, d string) {
			l := lines(t, d)
			l[11] = strings.Replace(l[11], "case", "face", 1)
			write(t, d, l)
			rehash(t, d)
		}, 11, "among entries 11 to 17"},
		"head cut off and hashed":  {func(t *testing.T, d string) { write(t, d, lines(t, d)[3:]); rehash(t, d) }, 1, "among entries 1 to 10"},
		"hashes alone changed":     {func(t *testing.T, d string) { damage(t, filepath.Join(d, hashesFile)) }, 0, "hashes.bin is damaged"},
		"a checkpoint changed":     {func(t *testing.T, d string) { sub(t, d, "\n17\n", "\n18\n") }, -1, "without a good signature"},
		"a checkpoint left out":    {func(t *testing.T, d string) { drop(t, d, 1) }, 0, ""},
		"the checkpoints reversed": {func(t *testing.T, d string) { reverse(t, d) }, -1, "stands behind"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newLog(t, 1).seal(t, "a", 10).seal(t, "a", 7).seal(t, "a", 13)
			dir := m.export(t)
			c.tamper(t, dir)
			report, err := Verify(dir, m.key(t), nil, nil)
			if c.says == "" {
				if err != nil || report.Entries != n {
					t.Fatalf("%+v, %v", report, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("%v, not %q", err, c.says)
			}
			var f *Fault
			if found := errors.As(err, &f); c.entry >= 0 && (!found || f.Entry != c.entry) {
				t.Errorf("entry %+v, not %d", f, c.entry)
			}
		})
	}
}

func damage(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func notes(t *testing.T, dir string) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, checkpointsFile))
	if err != nil {
		t.Fatal(err)
	}
	list := strings.SplitAfter(string(data), "\n"+originPrefix)
	for i := range list {
		if i > 0 {
			list[i] = originPrefix + list[i]
		}
		list[i] = strings.TrimSuffix(list[i], originPrefix)
	}
	return list
}

func rewrite(t *testing.T, dir string, list ...string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, checkpointsFile), []byte(strings.Join(list, "")), 0o600); err != nil {
		t.Fatal(err)
	}
}

func sub(t *testing.T, dir, old, new string) {
	t.Helper()
	list := notes(t, dir)
	all := strings.Join(list, "")
	if !strings.Contains(all, old) {
		t.Fatalf("no %q in %s", old, all)
	}
	rewrite(t, dir, strings.Replace(all, old, new, 1))
}

func drop(t *testing.T, dir string, i int) {
	t.Helper()
	list := notes(t, dir)
	rewrite(t, dir, append(list[:i:i], list[i+1:]...)...)
}

func reverse(t *testing.T, dir string) {
	t.Helper()
	list := notes(t, dir)
	rewrite(t, dir, list[2], list[1], list[0])
}

// Another portal's record, or one signed by whoever rewrote it, is not this one's.
func TestAnotherKeyProvesNothing(t *testing.T) {
	right, wrong := newLog(t, 1).seal(t, "a", 5), newLog(t, 2).seal(t, "a", 5)
	if _, err := Verify(wrong.export(t), right.key(t), nil, nil); err == nil || !strings.Contains(err.Error(), "no checkpoint of "+right.signer.name) {
		t.Errorf("%v", err)
	}
	// In the right name, with another key.
	wrong.signer.name = right.signer.name
	wrong.signed, wrong.sizes, wrong.leaves, wrong.hashes = nil, nil, nil, nil
	wrong.seal(t, "b", 5)
	dir := filepath.Join(t.TempDir(), "export")
	if _, err := WriteBundle(t.Context(), dir, wrong, right.key(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(dir, right.key(t), nil, nil); err == nil || !strings.Contains(err.Error(), "without a good signature") {
		t.Errorf("%v", err)
	}
}

// Whoever has the key and the database rewrites history; whoever kept a checkpoint
// finds out, in a mailbox, in a log, in another export.
func TestAWitnessFindsARewrittenHistory(t *testing.T) {
	honest := newLog(t, 1).seal(t, "a", 10).seal(t, "a", 7)
	first := honest.export(t)
	kept := honest.signed[1]
	honest.seal(t, "a", 5)
	forged := newLog(t, 1).seal(t, "a", 10).seal(t, "b", 7).seal(t, "b", 5)
	short := newLog(t, 1).seal(t, "a", 10)
	quoted, err := json.Marshal(map[string]string{"checkpoint": kept})
	if err != nil {
		t.Fatal(err)
	}
	key := honest.key(t)
	for name, text := range map[string]string{
		"mail":   "From: postern\r\nSubject: Checkpoint\r\n\r\nKeep this:\r\n\r\n" + strings.ReplaceAll(kept, "\n", "\r\n") + "\r\nGood night.\r\n",
		"syslog": "<110>1 2026-01-01T00:00:00Z host postern - - - " + string(quoted) + "\n",
		"notes":  honest.signed[0] + "\n" + kept,
	} {
		witness := func() []Witness { return []Witness{{name, strings.NewReader(text)}} }
		if report, err := Verify(honest.export(t), key, witness(), nil); err != nil || report.Witnessed < 1 {
			t.Errorf("%s: the honest log: %+v, %v", name, report, err)
		}
		if _, err := Verify(forged.export(t), key, witness(), nil); err == nil || !strings.Contains(err.Error(), "another history of the first 17 entries") {
			t.Errorf("%s: the forged log: %v", name, err)
		}
		if _, err := Verify(short.export(t), key, witness(), nil); err == nil || !strings.Contains(err.Error(), "the tail was cut off") {
			t.Errorf("%s: the log cut off with its checkpoints: %v", name, err)
		}
	}
	if _, err := Verify(honest.export(t), key, []Witness{{"a", strings.NewReader("nothing")}}, nil); err == nil {
		t.Error("a witness that kept nothing agrees")
	}
	bent := strings.Replace(kept, "\n17\n", "\n16\n", 1)
	if _, err := Verify(honest.export(t), key, []Witness{{"a", strings.NewReader(bent)}}, nil); err == nil {
		t.Error("a forged witness agrees")
	}
	// A fork between two exports, whichever is the longer.
	if _, err := Verify(honest.export(t), key, nil, []string{first}); err != nil {
		t.Errorf("an older export: %v", err)
	}
	for _, pair := range [][2]*memoryLog{{honest, forged}, {forged, honest}} {
		_, err := Verify(pair[0].export(t), key, nil, []string{pair[1].export(t)})
		var f *Fault
		if !errors.As(err, &f) || f.Entry != 11 {
			t.Errorf("two exports that part at entry 11: %v", err)
		}
	}
	if _, err := Verify(first, key, nil, []string{forged.export(t)}); err == nil || !strings.Contains(err.Error(), "part at entry 11") {
		t.Errorf("a longer forged one: %v", err)
	}
	if _, err := Verify(first, key, nil, []string{honest.export(t)}); err != nil {
		t.Errorf("a longer honest one: %v", err)
	}
}

// The tree that is verified with is that of RFC 6962, as x/mod builds it, at every size.
func TestTreesAgreeAtEverySize(t *testing.T) {
	m := newLog(t, 1)
	var own tree
	for n := int64(1); n <= 130; n++ {
		m.seal(t, "a", 1)
		own.add(LeafHash(m.leaves[n-1]))
		want, err := tlog.TreeHash(n, tlog.HashReaderFunc(m.ReadHashes))
		if err != nil || own.root() != want {
			t.Fatalf("%d entries: %v %v, %v", n, own.root(), want, err)
		}
		for _, i := range []int64{0, n / 2, n - 1} {
			p, err := Prove(n, i, m)
			if err != nil || !Included(p, n, want, i, LeafHash(m.leaves[i])) {
				t.Fatalf("entry %d of %d: %v", i, n, err)
			}
			if Included(p, n, want, i, LeafHash([]byte("another"))) {
				t.Fatal("another entry is included")
			}
		}
	}
}

// Issue: one million entries verify in under 10 s.
func BenchmarkVerify(b *testing.B) {
	const n, batch = 1_000_000, 50
	m := newLog(b, 1)
	pad := strings.Repeat("x", 300)
	for range n / batch {
		m.seal(b, pad, batch)
	}
	dir := filepath.Join(b.TempDir(), "export")
	from := time.Now()
	if _, err := WriteBundle(b.Context(), dir, m, m.key(b)); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(time.Since(from).Seconds(), "s/export")
	key := m.key(b)
	for b.Loop() {
		if r, err := Verify(dir, key, nil, nil); err != nil || r.Entries != n {
			b.Fatal(r, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Seconds())/float64(b.N), "s/verify")
}
