package enrol

import (
	"bytes"
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"postern/directory"
	"postern/portal/audit"
	"postern/portal/notify"
	"postern/verify"
)

// Importer binds things that people have already, without their doing. All parts
// are required.
type Importer struct {
	Sort      Sort
	Directory directory.Directory
	Policy    Policy
	Store     Store
	Vault     verify.Vault
	// Bind makes the credential of a mark, with its id; Owner, Kind, Handle and
	// Created are the importer's, and so is Name where the line has one. An error
	// says, without the mark, why nobody can use the thing.
	Bind func(ctx context.Context, mark []byte, at time.Time) (verify.Credential, error)
	// Handle makes the credential's handle of a mark, a keyed hash where that is
	// secret: the store lets none in twice, also when two imports run at once.
	Handle func(mark []byte) []byte
	// Max is how many of the kind one person may have.
	Max     int
	Now     func() time.Time
	Readers int // how many people are read at once
}

// Planned is one line that can be imported.
type Planned struct {
	Line    int
	User    directory.User
	Name    string
	Already bool // the person has this very thing: nothing is to be done

	mark secret
}

// ErrHeld: another account has this thing. Two people with one could answer for
// each other.
var ErrHeld = errors.New("another account has it already")

// Plan checks every line against the directory and the store, and changes
// nothing. Wrong lines are LineFaults, all of them at once; any other error means
// that it could not be checked.
func (m Importer) Plan(ctx context.Context, lines []Line) ([]Planned, error) {
	if m.Directory == nil || m.Policy == nil || m.Store == nil || m.Vault == nil || m.Bind == nil || m.Handle == nil || m.Now == nil || m.Max < 1 || m.Readers < 1 {
		return nil, errors.New("enrol: a part is missing")
	}
	plan, wrong, have := make([]Planned, len(lines)), make([]error, len(lines)), make([]int, len(lines))
	err := each(ctx, m.Readers, len(lines), func(ctx context.Context, i int) (err error) {
		plan[i], have[i], wrong[i], err = m.check(ctx, lines[i])
		if err != nil {
			return fmt.Errorf("line %d: %w", lines[i].Number, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	// Two names of one account are one person, who must not get too many.
	fresh := map[directory.ID]int{}
	var faults LineFaults
	for i, p := range plan {
		if wrong[i] == nil && !p.Already {
			if fresh[p.User.ID]++; have[i]+fresh[p.User.ID] > m.Max {
				wrong[i] = fmt.Errorf("the account would have more than %d %ss", m.Max, m.Sort.Thing)
			}
		}
		if wrong[i] != nil {
			faults = append(faults, LineFault{lines[i].Number, wrong[i].Error()})
		}
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return plan, nil
}

// check is what one line means: wrong is a fault of the line, err of those asked.
func (m Importer) check(ctx context.Context, l Line) (p Planned, have int, wrong, err error) {
	p = Planned{Line: l.Number, Name: l.Name, mark: l.mark}
	if _, err := m.Bind(ctx, l.mark(), m.Now()); err != nil {
		return p, 0, err, nil
	}
	p.User, err = m.Directory.Find(ctx, l.Login)
	switch {
	case errors.Is(err, directory.ErrNotFound):
		return p, 0, errors.New("nobody, or more than one, has this login"), nil
	case err != nil:
		return p, 0, nil, err
	}
	if why := m.Policy.Eligible(p.User); why != "" {
		return p, 0, fmt.Errorf("the portal does not serve this account (%s)", why), nil
	}
	p.Already, have, err = m.holds(ctx, p.User.ID, l.mark())
	if errors.Is(err, ErrHeld) {
		return p, 0, fmt.Errorf("another account has this %s already", m.Sort.Mark), nil
	}
	return p, have, nil, err
}

// holds says whether owner has the thing, and how many of its kind. ErrHeld:
// somebody else has it. A seed made here has no handle; nobody knows it but its
// owner's app.
func (m Importer) holds(ctx context.Context, owner directory.ID, mark []byte) (already bool, n int, err error) {
	have, err := m.Vault.Credentials(ctx, owner, m.Sort.Kind)
	if err != nil {
		return false, 0, unavailable(err)
	}
	handle := m.Handle(mark)
	for _, c := range have {
		if bytes.Equal(c.Handle, handle) || subtle.ConstantTimeCompare(c.Secret, mark) == 1 {
			return true, len(have), nil
		}
	}
	switch other, err := m.Vault.ByHandle(ctx, m.Sort.Kind, handle); {
	case errors.Is(err, verify.ErrNoCredential):
		return false, len(have), nil
	case err != nil:
		return false, 0, unavailable(err)
	case other.Owner == owner: // another import came in between
		return true, len(have) + 1, nil
	}
	return false, len(have), ErrHeld
}

// Import carries a plan out, one transaction for each person, in the order of
// their first lines. It calls done after each with how many things were added; zero
// when all were there already. It stops at the first error; whoever came before
// stays imported, and the same plan made again passes them over.
func (m Importer) Import(ctx context.Context, plan []Planned, done func(directory.User, int)) error {
	byOwner, first := map[directory.ID][]Planned{}, map[directory.ID]int{}
	for i, p := range plan {
		if _, seen := first[p.User.ID]; !seen {
			first[p.User.ID] = i
		}
		byOwner[p.User.ID] = append(byOwner[p.User.ID], p)
	}
	for _, id := range slices.SortedFunc(maps.Keys(first), func(a, b directory.ID) int { return first[a] - first[b] }) {
		if err := ctx.Err(); err != nil {
			return err
		}
		lines := byOwner[id]
		n, err := m.commit(ctx, lines)
		if err != nil {
			return fmt.Errorf("line %d: %w", lines[0].Line, err)
		}
		done(lines[0].User, n)
	}
	return nil
}

func (m Importer) commit(ctx context.Context, lines []Planned) (int, error) {
	// Minutes may have passed since the plan, and an account can be disabled in one.
	u, err := m.Directory.Read(ctx, lines[0].User)
	switch {
	case err != nil:
		return 0, err
	case u.ID != lines[0].User.ID:
		return 0, errors.New("the directory answered with another account")
	}
	if why := m.Policy.Eligible(u); why != "" {
		return 0, fmt.Errorf("the portal does not serve this account any more (%s)", why)
	}
	c, at := Change{Owner: u.ID}, m.Now()
	for _, p := range lines {
		already, _, err := m.holds(ctx, u.ID, p.mark())
		if err != nil {
			return 0, err
		}
		if already {
			continue
		}
		cred, err := m.Bind(ctx, p.mark(), at)
		if err != nil {
			return 0, err
		}
		cred.Owner, cred.Kind, cred.Handle, cred.Created = u.ID, m.Sort.Kind, m.Handle(p.mark()), at
		cred.Name = cmp.Or(p.Name, cred.Name)
		c.Add = append(c.Add, cred)
		m.record(&c, u, cred.Name, at)
	}
	if len(c.Add) == 0 {
		return 0, nil
	}
	return len(c.Add), unavailable(m.Store.Commit(ctx, c))
}

// record adds the event and the notice to every address: a thing somebody else
// bound to an account is what its owner must hear of.
func (m Importer) record(c *Change, u directory.User, name string, at time.Time) {
	c.Events = append(c.Events, audit.Event{At: at, Kind: "factor.added", Subject: u.ID, SubjectName: u.Login,
		Actor: "operator", ActorName: "operator", Door: "cli", Factor: string(m.Sort.Kind), Outcome: audit.OK, Reason: "imported"})
	if len(u.Mail) == 0 {
		return
	}
	c.Messages = append(c.Messages, notify.Message{Channel: notify.Mail, To: u.Mail, Who: u, Template: "factor_added", Lang: u.Language, Args: map[string]string{
		"login": u.Login, "kind": string(m.Sort.Kind), "name": name, "at": at.UTC().Format(time.RFC3339), "address": "", "door": "cli"},
		Links: []notify.LinkTo{{Kind: notify.NotMe, Account: u.ID, Life: notMeLife}}})
}
