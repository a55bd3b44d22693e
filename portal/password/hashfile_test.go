package password

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// Every line of files of many sizes is found, wherever it stands and however
// lines end, and nothing beside them is.
func TestEveryLineIsFound(t *testing.T) {
	const digits = "0123456789ABCDEF0"
	for _, kind := range []hashing{sha1List, ntlmList} {
		for _, n := range []int{1, 2, 3, 89, 90, 91, 110, 3000} {
			lines := hashLines(kind, n)
			for name, text := range map[string]string{
				"LF":          strings.Join(lines, "\n") + "\n",
				"CRLF":        strings.Join(lines, "\r\n") + "\r\n",
				"no line end": strings.Join(lines, "\n"),
				"blanks":      strings.Join(lines, "   \r\n"),
				"small":       strings.ToLower(strings.Join(lines, "\r\n")),
			} {
				f := strings.NewReader(text)
				if err := sample(f, int64(len(text)), kind.width, samples); err != nil {
					t.Fatalf("%d, %s: %v", n, name, err)
				}
				for i, line := range lines {
					if n > 200 && i%7 > 0 && i < n-10 {
						continue
					}
					key := []byte(line[:kind.width])
					if got, err := find(f, int64(len(text)), key); got != 3 || err != nil {
						t.Fatalf("%d, %s: line %d counts %d, %v", n, name, i, got, err)
					}
					// One more in the last digit is nobody's.
					key[len(key)-1] = digits[strings.IndexByte(digits, key[len(key)-1])+1]
					if got, err := find(f, int64(len(text)), key); got != 0 || err != nil {
						t.Fatalf("%d, %s: beside line %d: %d, %v", n, name, i, got, err)
					}
				}
				for _, c := range []string{"0", "F"} {
					if got, err := find(f, int64(len(text)), []byte(strings.Repeat(c, kind.width))); got != 0 || err != nil {
						t.Errorf("%d, %s: %s…: %d, %v", n, name, c, got, err)
					}
				}
			}
		}
	}
}

// An order that is broken between two reads is seen by comparing them: pieces
// that are in order, each longer than a read, stand in descending order.
func TestAWrongOrderBetweenReadsIsNoticed(t *testing.T) {
	lines := hashLines(ntlmList, 3000)
	var text strings.Builder
	for at := len(lines) - 300; at >= 0; at -= 300 {
		text.WriteString(strings.Join(lines[at:at+300], "\n") + "\n")
	}
	for _, i := range []int{2450, 2650} {
		if n, err := find(strings.NewReader(text.String()), int64(text.Len()), []byte(lines[i][:32])); !errors.Is(err, errOrder) {
			t.Errorf("line %d: %d, %v", i, n, err)
		}
	}
}

// Hashes that somebody picked to stand close together must not make it slow.
func TestUnevenHashesTakeFewReads(t *testing.T) {
	var lines []string
	for i := range 100_000 {
		lines = append(lines, fmt.Sprintf("%040X:1", i))
	}
	lines = append(lines, strings.Repeat("F", 40)+":1")
	text := strings.Join(lines, "\n")
	for _, i := range []int{0, 1, 99, 50_000, 99_999, 100_000} {
		f := &counting{ReaderAt: strings.NewReader(text)}
		if n, err := find(f, int64(len(text)), []byte(lines[i][:40])); n != 1 || err != nil || f.reads > 24 || f.most > block+1 {
			t.Errorf("line %d: %d, %v after %d reads of at most %d bytes", i, n, err, f.reads, f.most)
		}
	}
}

type counting struct {
	io.ReaderAt
	reads, most int
}

func (c *counting) ReadAt(b []byte, at int64) (int, error) {
	c.reads, c.most = c.reads+1, max(c.most, len(b))
	return c.ReaderAt.ReadAt(b, at)
}

// virtual is the size of the whole published list, without being it: a billion
// lines in order, each made up when it is read.
type virtual struct{ reads int }

const virtualLines, virtualWidth = 1 << 30, 43

func (v *virtual) line(i int64) string { return fmt.Sprintf("%08X%032X:1\n", i*4, i) }

func (v *virtual) ReadAt(b []byte, at int64) (n int, _ error) {
	for v.reads++; n < len(b); {
		i, skip := (at+int64(n))/virtualWidth, (at+int64(n))%virtualWidth
		if i >= virtualLines {
			return n, io.EOF
		}
		n += copy(b[n:], v.line(i)[skip:])
	}
	return n, nil
}

func TestAWholeListTakesFewReads(t *testing.T) {
	for _, i := range []int64{0, 1, 12345, virtualLines / 3, virtualLines - 2, virtualLines - 1} {
		v := new(virtual)
		if n, err := find(v, virtualLines*virtualWidth, []byte(v.line(i)[:40])); n != 1 || err != nil || v.reads > 6 {
			t.Errorf("line %d: %d, %v, %d reads", i, n, err, v.reads)
		}
	}
}

// Whatever stands in a file, a look-up ends, reads little, and counts only what
// a line says.
func FuzzFind(f *testing.F) {
	lines := hashLines(ntlmList, 130) // more than a block
	whole := strings.Join(lines, "\r\n")
	for _, s := range []string{"", "\n", whole, whole[:len(whole)-9], whole[7:], strings.ToLower(whole), strings.Repeat("A", 4200), strings.Repeat("\n", 4200), strings.Join(lines[:9], "\n"),
		strings.Repeat("0", 32) + ":1\n" + strings.Repeat("F", 32) + ":2", lines[5] + "\n" + lines[1] + "\n", ":", "\ufeff" + whole} {
		f.Add([]byte(s), []byte("password"))
	}
	f.Fuzz(func(t *testing.T, data, pw []byte) {
		key := []byte(hashOf(ntlmList, string(pw)))
		// Besides, a key that is there, if the beginning of the data is one.
		for _, key := range [][]byte{key, bytes.ToUpper(data[:min(len(data), 32)])} {
			if len(key) != 32 {
				continue
			}
			r := &counting{ReaderAt: bytes.NewReader(data)}
			n, err := find(r, int64(len(data)), key)
			if r.reads > maxReads || r.most > block+1 {
				t.Errorf("%d reads of up to %d bytes", r.reads, r.most)
			}
			if n > 0 && (err != nil || !bytes.Contains(bytes.ToUpper(data), key)) {
				t.Errorf("found what is not there: %d, %v", n, err)
			}
		}
		if _, err := firstHash(bytes.NewReader(data), int64(len(data))); err == nil {
			if err := sample(bytes.NewReader(data), int64(len(data)), 32, 4); err == nil && len(data) <= block {
				// All of it was looked at: then every line must be found.
				for line := range bytes.Lines(data) {
					key := bytes.ToUpper(line[:32])
					if _, err := find(bytes.NewReader(data), int64(len(data)), key); err != nil {
						t.Errorf("in order, and yet %v", err)
					}
				}
			}
		}
	})
}

func FuzzLine(f *testing.F) {
	for _, s := range []string{"AB:1", "ab:0 \r", "AB:+1", "AB", ":", "AB:", ":1", "AB:1:2", "AG:1", strings.Repeat("A", 97), "AB:18446744073709551616", "AB: 1"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		hash, n, err := parseLine(line)
		if err != nil {
			if hash != nil || n != 0 {
				t.Errorf("%q: %q, %d besides %v", line, hash, n, err)
			}
			return
		}
		rest, ok := bytes.CutPrefix(line, append(slices.Clone(hash), ':'))
		if !ok || len(line) > longestLine || strings.Trim(string(hash), "0123456789abcdefABCDEF") != "" || strings.Trim(string(rest), "0123456789 \r") != "" {
			t.Errorf("%q: took %q, %d", line, hash, n)
		}
	})
}
