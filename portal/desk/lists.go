package desk

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
)

const (
	// MostShown is how many people a page of a list shows.
	MostShown = 50
	// mostRead is how many accounts are read for it: where most of a list is out of
	// somebody's scope a page does not go through all of it.
	mostRead = 200
)

// listReaders may open lists; whoever may only help does not see who is stranded,
// which tells whom an attacker would have an easy call about.
var listReaders = []access.Role{access.Technician, access.Senior, access.Auditor, access.Operator}

// Lists are the ones w may open; ErrUnknown when there is none.
func (b *Board) Lists(w Who) ([]directory.List, error) {
	roles, err := b.sees(w, listReaders)
	if err != nil {
		return nil, err
	}
	all := directory.Lists()
	if !among(roles, seers) {
		all = slices.DeleteFunc(all, func(l directory.List) bool { return l == directory.Stranded })
	}
	return all, nil
}

// Row is somebody on a list, read a moment ago.
type Row struct {
	directory.Listed
	Helped bool // whoever looks may help them
}

// Sheet is a list as one person sees it.
type Sheet struct {
	List      directory.List
	At        time.Time // of the count; zero: there was none yet
	Everybody bool      // the directories were listed; else only who has something set up
	People    []Row     // on the list now
	// Rest were counted and not read again; -1: there may be some, and how many of
	// them w may see is not known.
	Rest int
}

// Look opens a list for a page, Export for a file: everybody on it, up to
// directory.MostListed. Each person shown was read in this call and may be seen by w;
// whoever is not locked any more, or has changed the password, is left out. Who is
// stranded stands as it was counted. ErrUnknown where w may not open it.
func (b *Board) Look(ctx context.Context, w Who, l directory.List) (Sheet, error) {
	return b.open(ctx, w, l, audit.ListViewed, MostShown, mostRead)
}

// Export is described at Look.
func (b *Board) Export(ctx context.Context, w Who, l directory.List) (Sheet, error) {
	return b.open(ctx, w, l, audit.ListExported, directory.MostListed, directory.MostListed)
}

func (b *Board) open(ctx context.Context, w Who, l directory.List, kind string, show, look int) (Sheet, error) {
	may, err := b.Lists(w)
	if err != nil {
		return Sheet{}, err
	}
	if !slices.Contains(may, l) {
		return Sheet{}, ErrUnknown
	}
	rolls, at, everybody := b.Counts.Rolls()
	s := Sheet{List: l, At: at, Everybody: everybody}
	roll := rolls[l]
	read := 0
	for chunk := range slices.Chunk(roll.List, show) {
		if len(s.People) >= show || read >= look {
			break
		}
		people, err := b.still(ctx, w, l, chunk)
		if err != nil {
			return Sheet{}, err
		}
		read += len(chunk)
		s.People = append(s.People, people...)
	}
	s.Rest = len(roll.List) - read + roll.More
	if over := len(s.People) - show; over > 0 {
		s.People, s.Rest = s.People[:show], s.Rest+over
	}
	if roles := b.Roles.Of(w.Principal.User); s.Rest > 0 && !among(roles, overseers) {
		s.Rest = -1 // how many there are elsewhere is not theirs to know
	}
	return s, b.note(ctx, w, kind, "list", string(l), "shown", number(len(s.People)))
}

// still reads people side by side and keeps, in their order, who is on the list now
// and w may see. One who cannot be read is an error for all: a list that lacks
// people would be believed.
func (b *Board) still(ctx context.Context, w Who, l directory.List, all []directory.Listed) ([]Row, error) {
	users, errs := readEach(ctx, b.People, len(all), func(i int) (directory.ID, string) { return all[i].ID, all[i].Directory })
	roles, now := b.Roles.Of(w.Principal.User), b.Now()
	var list []Row
	for i, u := range users {
		switch {
		case errors.Is(errs[i], directory.ErrNotFound):
			continue
		case errs[i] != nil:
			return nil, errs[i]
		case u.ID != all[i].ID:
			return nil, errors.New("desk: the directory answered with another account")
		}
		helped := b.Scope.Of(roles, u)
		if b.Policy.Eligible(u) != "" || !helped && !among(roles, overseers) || l != directory.Stranded && !l.Has(u.State, now) {
			continue
		}
		list = append(list, Row{l.Entry(u), helped})
	}
	return list, nil
}

// WriteCSV writes a line for everybody on the sheet (audit.WriteTable).
func (s Sheet) WriteCSV(w io.Writer) error {
	rows := make([][]string, len(s.People))
	for i, p := range s.People {
		rows[i] = []string{p.Login, p.Name, p.Directory, stamp(p.At), string(p.ID), stamp(s.At)}
	}
	return audit.WriteTable(w, []string{"login", "name", "directory", "until", "id", "counted_at"}, slices.Values(rows))
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
