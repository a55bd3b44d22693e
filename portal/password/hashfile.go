package password

import (
	"bytes"
	"errors"
	"io"
	"strconv"
)

const (
	// block is what one read takes: some 90 lines.
	block = 4096
	// longestLine is a hash, a colon and any count, with room for blanks.
	longestLine = 96
	// guesses by where an evenly spread hash should stand, before halving.
	maxGuesses = 8
	// maxReads ends every look-up: each read after the guesses halves what is left.
	maxReads = maxGuesses + 64
)

var (
	errLine  = errors.New("a line is not HASH:COUNT with a hash as long as the others")
	errOrder = errors.New("the lines are not in the order of their hashes")
	errEmpty = errors.New("is empty")
)

// parseLine takes a line without its line feed apart. hash is part of line, in
// the case the line has it in.
func parseLine(line []byte) (hash []byte, count uint64, err error) {
	if len(line) > longestLine {
		return nil, 0, errLine
	}
	// Published lists end lines with blanks and carriage returns.
	hash, digits, ok := bytes.Cut(bytes.TrimRight(line, " \r"), []byte{':'})
	if !ok || len(hash) == 0 || len(digits) == 0 || digits[0] == '+' {
		return nil, 0, errLine
	}
	for _, c := range hash {
		if !(c >= '0' && c <= '9' || c >= 'A' && c <= 'F' || c >= 'a' && c <= 'f') {
			return nil, 0, errLine
		}
	}
	if count, err = strconv.ParseUint(string(digits), 10, 64); err != nil {
		return nil, 0, errLine // without the error, which quotes
	}
	return hash, count, nil
}

// compare orders hashes whatever their case.
func compare(a, b []byte) int {
	upper := func(c byte) byte {
		if c >= 'a' {
			return c - ('a' - 'A')
		}
		return c
	}
	for i := range min(len(a), len(b)) {
		if x, y := upper(a[i]), upper(b[i]); x != y {
			return int(x) - int(y)
		}
	}
	return len(a) - len(b)
}

// firstHash returns how many digits the first line's hash has.
func firstHash(f io.ReaderAt, size int64) (int, error) {
	lines, _, err := readLines(f, 0, min(size, block), size)
	if err != nil {
		return 0, err
	}
	line, _, _ := bytes.Cut(lines, []byte{'\n'})
	hash, _, err := parseLine(line)
	return len(hash), err
}

// readLines returns the whole lines of f between from and to, without the last
// line feed, and where they begin. end is where the last line of all ends.
func readLines(f io.ReaderAt, from, to, end int64) (lines []byte, start int64, err error) {
	if from >= to {
		return nil, 0, errEmpty
	}
	// The byte before tells whether a line begins at from.
	start = max(from-1, 0)
	buf := make([]byte, to-start)
	if n, err := f.ReadAt(buf, start); n < len(buf) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, 0, err
	}
	if from > 0 {
		i := bytes.IndexByte(buf, '\n')
		if i < 0 {
			return nil, 0, errLine
		}
		buf, start = buf[i+1:], start+int64(i)+1
	}
	if to < end {
		i := bytes.LastIndexByte(buf, '\n')
		if i < 0 {
			return nil, 0, errLine
		}
		buf = buf[:i]
	} else {
		buf = bytes.TrimSuffix(buf, []byte{'\n'})
	}
	if len(buf) == 0 {
		return nil, 0, errLine
	}
	return buf, start, nil
}

// edges returns the first and the last hash of lines, which must be in order and
// of the given width.
func edges(lines []byte, width int) (first, last []byte, err error) {
	a, z := lines, lines
	if i := bytes.IndexByte(lines, '\n'); i >= 0 {
		a, z = lines[:i], lines[bytes.LastIndexByte(lines, '\n')+1:]
	}
	if first, _, err = parseLine(a); err != nil {
		return nil, nil, err
	}
	if last, _, err = parseLine(z); err != nil {
		return nil, nil, err
	}
	switch {
	case len(first) != width || len(last) != width:
		return nil, nil, errLine
	case compare(first, last) > 0:
		return nil, nil, errOrder
	}
	return first, last, nil
}

// scan looks for key in lines, all of which must be in order. A hash that is
// there twice counts as often as its highest count says.
func scan(lines, key []byte) (count uint64, err error) {
	var before []byte
	for line := range bytes.SplitSeq(lines, []byte{'\n'}) {
		hash, n, err := parseLine(line)
		if err != nil {
			return 0, err
		}
		if len(hash) != len(key) {
			return 0, errLine
		}
		if before != nil && compare(before, hash) > 0 {
			return 0, errOrder
		}
		if compare(hash, key) == 0 {
			count = max(count, n)
		}
		before = hash
	}
	return count, nil
}

// find returns the count of key, a hash in capitals, in f, whose size bytes are
// lines in order; 0 when it is not there. It reads a few blocks: where the hash
// should stand if hashes are spread evenly, and by halving where they are not.
func find(f io.ReaderAt, size int64, key []byte) (uint64, error) {
	lo, hi := int64(0), size // both are beginnings of lines, or the end
	// What is known about the lines before lo and from hi on.
	below, above := bytes.Repeat([]byte{'0'}, len(key)), bytes.Repeat([]byte{'F'}, len(key))
	if size == 0 {
		return 0, errEmpty
	}
	for reads := 0; lo < hi; reads++ {
		if reads == maxReads {
			return 0, errOrder
		}
		mid := lo + (hi-lo)/2
		if reads < maxGuesses {
			mid = lo + int64(float64(hi-lo)*share(below, above, key))
		}
		from := max(lo, min(mid, hi-1)-block/2)
		to := min(from+block, hi)
		lines, start, err := readLines(f, from, to, hi)
		if err != nil {
			return 0, err
		}
		first, last, err := edges(lines, len(key))
		if err != nil {
			return 0, err
		}
		if compare(first, below) < 0 || compare(last, above) > 0 {
			return 0, errOrder
		}
		switch {
		case compare(key, first) < 0:
			hi, above = start, first
		case compare(key, last) > 0:
			below = last
			if lo = start + int64(len(lines)) + 1; to == hi {
				lo = hi
			}
		default:
			return scan(lines, key)
		}
	}
	return 0, nil
}

// share is how far key lies between below and above, from 0 to 1.
func share(below, above, key []byte) float64 {
	a, z, k := number(below), number(above), number(key)
	if z <= a || k <= a {
		return 0
	}
	return min(float64(k-a)/float64(z-a), 1)
}

// number is the first 15 digits of a hash.
func number(hash []byte) uint64 {
	n, err := strconv.ParseUint(string(hash[:min(len(hash), 15)]), 16, 64)
	if err != nil {
		return 0
	}
	return n
}

// sample looks at n places of a file, the beginning and the end among them.
func sample(f io.ReaderAt, size int64, width, n int) error {
	var before []byte
	for i := range n {
		from := max(size-block, 0) / int64(n-1) * int64(i)
		if i == n-1 {
			from = max(size-block, 0)
		}
		lines, _, err := readLines(f, from, min(from+block, size), size)
		if err != nil {
			return err
		}
		first, last, err := edges(lines, width)
		if err != nil {
			return err
		}
		if before != nil && compare(first, before) < 0 {
			return errOrder
		}
		// A key of the right width makes it look at every line.
		if _, err = scan(lines, last); err != nil {
			return err
		}
		before = first
	}
	return nil
}
