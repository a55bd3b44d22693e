package audit

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"postern/directory"
)

// What one event may hold. A stranger types names of a megabyte into the login
// field; the record must neither grow by it nor lose the line (security case 113).
const (
	maxField   = 512 // bytes of one text
	maxDetails = 24  // entries of Detail
	cut        = "…[cut]"
)

// Bounded returns the event with every text cut to 512 bytes, in valid UTF-8, and
// Detail to 24 entries. Nothing else is changed: control characters are kept for
// the record and escaped by whoever writes it out.
func (e Event) Bounded() Event {
	for _, s := range []*string{&e.ID, &e.Kind, &e.Case, &e.SubjectName, &e.ActorName, &e.Door, &e.Address, &e.Purpose, &e.Factor, &e.Reason} {
		*s = bounded(*s)
	}
	e.Subject, e.Actor, e.Outcome = directory.ID(bounded(string(e.Subject))), directory.ID(bounded(string(e.Actor))), Outcome(bounded(string(e.Outcome)))
	if len(e.Detail) == 0 {
		e.Detail = nil
		return e
	}
	keys := slices.Sorted(maps.Keys(e.Detail))
	detail := make(map[string]string, min(len(keys), maxDetails))
	for _, k := range keys[:min(len(keys), maxDetails)] {
		detail[bounded(k)] = bounded(e.Detail[k])
	}
	e.Detail = detail
	return e
}

func bounded(s string) string {
	if len(s) <= maxField && utf8.ValidString(s) {
		return s
	}
	whole := len(s) <= maxField
	s = strings.ToValidUTF8(s[:min(len(s), maxField-len(cut))], "\uFFFD")
	if whole {
		return s
	}
	return s + cut
}
