package main

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Fault is one thing wrong with the configuration.
type Fault struct {
	Line int    // 0: nowhere in particular
	Path string // like directories[0].ad.base_dn
	What string
}

func (f Fault) String() string {
	s := f.What
	if f.Path != "" {
		s = f.Path + ": " + s
	}
	if f.Line > 0 {
		s = fmt.Sprintf("line %d: %s", f.Line, s)
	}
	return s
}

// Faults are all of them, so that nobody mends a file one error at a time.
type Faults []Fault

func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, one := range f {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// sort puts faults in the order of the file; those of no line come last.
func (f Faults) sort() {
	slices.SortStableFunc(f, func(a, b Fault) int {
		if (a.Line == 0) != (b.Line == 0) {
			return cmp.Compare(b.Line, a.Line)
		}
		return cmp.Compare(a.Line, b.Line)
	})
}

// suggestion names the known key that is at most two slips away.
func suggestion(key string, fields map[string]reflect.Value) string {
	best, most := "", 3
	for known := range fields {
		if d := distance(key, known); d < most || d == most && known < best {
			best, most = known, d
		}
	}
	if best == "" || most > 2 {
		return ""
	}
	return "; did you mean " + best + "?"
}

// distance is Levenshtein's.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// flatten takes joined errors apart.
func flatten(errs []error) []error {
	var out []error
	for _, err := range errs {
		if many, ok := err.(interface{ Unwrap() []error }); ok {
			out = append(out, flatten(many.Unwrap())...)
		} else if err != nil {
			out = append(out, err)
		}
	}
	return out
}
