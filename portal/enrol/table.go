package enrol

import (
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/directory"
	"postern/portal/audit"
	"postern/verify"
)

// What a line's status is; whom the portal does not act on has the policy's
// reason behind NotServed and a colon.
const (
	CanRecover    = "can_recover"
	CannotRecover = "cannot_recover"
	NotServed     = "not_served"
	Gone          = "gone"
)

// Row is one person, as other programs read it.
type Row struct {
	ID        directory.ID        `json:"id"`
	Login     string              `json:"login"`
	Name      string              `json:"name"`
	Status    string              `json:"status"`
	Factors   map[verify.Kind]int `json:"factors"`
	Ways      [][]verify.Kind     `json:"ways"`
	CodesLeft int                 `json:"codes_left"`
	Oldest    time.Time           `json:"oldest,omitzero"`
	Newest    time.Time           `json:"newest,omitzero"`
	Reminded  time.Time           `json:"reminded,omitzero"`
	Snoozed   time.Time           `json:"snoozed_until,omitzero"`
	// Registered is what they have with the directory itself, by its own names.
	Registered []string `json:"registered,omitempty"`
}

// Lines are all accounts: those the portal serves, those it does not, and those
// that are gone.
func (c Coverage) Lines() []Row {
	lines := make([]Row, 0, len(c.People)+len(c.Unserved)+len(c.Gone))
	for _, p := range c.People {
		status := CanRecover
		if len(p.Ways) == 0 {
			status = CannotRecover
		}
		l := line(p, status)
		l.Registered = c.Report.Of[p.ID].Kinds
		lines = append(lines, l)
	}
	for _, p := range c.Unserved {
		lines = append(lines, line(p, NotServed+":"+p.Unserved))
	}
	for _, id := range c.Gone {
		lines = append(lines, line(Covered{ID: id}, Gone))
	}
	return lines
}

func line(p Covered, status string) Row {
	l := Row{ID: p.ID, Login: p.Login, Name: p.Name, Status: status, Factors: map[verify.Kind]int{},
		Ways: append([][]verify.Kind{}, p.Ways...), CodesLeft: p.Count(verify.RecoveryCode)}
	for _, h := range p.Holdings {
		l.Factors[h.Kind] = h.Count
	}
	l.Oldest, l.Newest = p.Span()
	l.Reminded, l.Snoozed = p.Standing.Reminded, p.Standing.Snoozed
	return l
}

// WriteCSV writes a line for each account (audit.WriteTable).
func (c Coverage) WriteCSV(w io.Writer) error {
	head := []string{"login", "name", "status", "factors", "ways", "codes_left", "oldest", "newest", "id", "reminded", "snoozed_until", "registered"}
	return audit.WriteTable(w, head, func(yield func([]string) bool) {
		for _, l := range c.Lines() {
			if !yield([]string{l.Login, l.Name, l.Status, join(slices.Sorted(maps.Keys(l.Factors)), " "), ways(l.Ways),
				strconv.Itoa(l.CodesLeft), stamp(l.Oldest), stamp(l.Newest), string(l.ID), stamp(l.Reminded), stamp(l.Snoozed), strings.Join(l.Registered, " ")}) {
				return
			}
		}
	})
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// ways is "passkey; totp + email".
func ways(list [][]verify.Kind) string {
	texts := make([]string, len(list))
	for i, w := range list {
		texts[i] = join(w, " + ")
	}
	return strings.Join(texts, "; ")
}

func join(kinds []verify.Kind, with string) string {
	words := make([]string, len(kinds))
	for i, k := range kinds {
		words[i] = string(k)
	}
	return strings.Join(words, with)
}
