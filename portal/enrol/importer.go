package enrol

import (
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

// Importer binds authenticator apps that people have from another system. All
// parts are required.
type Importer struct {
	Directory directory.Directory
	Policy    Policy
	Store     Store
	Vault     verify.Vault
	// Bind makes the credential of a seed, with its id; Owner, Name and Handle
	// are the importer's. An error says, without the seed, why no app can use it.
	Bind func(seed []byte, at time.Time) (verify.Credential, error)
	// Mark is a keyed hash of a seed, the credential's handle: the store lets
	// no seed in twice, also when two imports run at once.
	Mark func(seed []byte) []byte
	// Max is how many apps one person may have.
	Max     int
	Now     func() time.Time
	Readers int // how many people are read at once
}

// Planned is one line that can be imported.
type Planned struct {
	Line    int
	User    directory.User
	Name    string
	Already bool // the person has this very seed: nothing is to be done

	seed secret
}

// ErrHeld: another account has this seed. Two people with one seed could answer
// for each other.
var ErrHeld = errors.New("another account has this secret already")

// Plan checks every line against the directory and the store, and changes
// nothing. Wrong lines are LineFaults, all of them at once; any other error means
// that it could not be checked.
func (m Importer) Plan(ctx context.Context, seeds []Seed) ([]Planned, error) {
	if m.Directory == nil || m.Policy == nil || m.Store == nil || m.Vault == nil || m.Bind == nil || m.Mark == nil || m.Now == nil || m.Max < 1 || m.Readers < 1 {
		return nil, errors.New("enrol: a part is missing")
	}
	plan, wrong, have := make([]Planned, len(seeds)), make([]error, len(seeds)), make([]int, len(seeds))
	err := each(ctx, m.Readers, len(seeds), func(ctx context.Context, i int) (err error) {
		plan[i], have[i], wrong[i], err = m.check(ctx, seeds[i])
		if err != nil {
			return fmt.Errorf("line %d: %w", seeds[i].Line, err)
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
				wrong[i] = fmt.Errorf("the account would have more than %d apps", m.Max)
			}
		}
		if wrong[i] != nil {
			faults = append(faults, LineFault{seeds[i].Line, wrong[i].Error()})
		}
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return plan, nil
}

// check is what one line means: wrong is a fault of the line, err of those asked.
func (m Importer) check(ctx context.Context, s Seed) (p Planned, have int, wrong, err error) {
	p = Planned{Line: s.Line, Name: s.Name, seed: s.secret}
	if _, err := m.Bind(s.secret(), m.Now()); err != nil {
		return p, 0, err, nil
	}
	p.User, err = m.Directory.Find(ctx, s.Login)
	switch {
	case errors.Is(err, directory.ErrNotFound):
		return p, 0, errors.New("nobody, or more than one, has this login"), nil
	case err != nil:
		return p, 0, nil, err
	}
	if why := m.Policy.Eligible(p.User); why != "" {
		return p, 0, fmt.Errorf("the portal does not serve this account (%s)", why), nil
	}
	p.Already, have, err = m.holds(ctx, p.User.ID, s.secret())
	if errors.Is(err, ErrHeld) {
		return p, 0, ErrHeld, nil
	}
	return p, have, nil, err
}

// holds says whether owner has the seed, and how many apps. ErrHeld: somebody
// else got it by an import. A seed made here has no mark; nobody knows it but
// its owner's app.
func (m Importer) holds(ctx context.Context, owner directory.ID, seed []byte) (already bool, n int, err error) {
	apps, err := m.Vault.Credentials(ctx, owner, verify.TOTP)
	if err != nil {
		return false, 0, unavailable(err)
	}
	for _, a := range apps {
		if subtle.ConstantTimeCompare(a.Secret, seed) == 1 {
			return true, len(apps), nil
		}
	}
	switch other, err := m.Vault.ByHandle(ctx, verify.TOTP, m.Mark(seed)); {
	case errors.Is(err, verify.ErrNoCredential):
		return false, len(apps), nil
	case err != nil:
		return false, 0, unavailable(err)
	case other.Owner == owner: // another import came in between
		return true, len(apps) + 1, nil
	}
	return false, len(apps), ErrHeld
}

// Import carries a plan out, one transaction for each person, in the order of
// their first lines. It calls done after each with how many apps were added; zero
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
		already, _, err := m.holds(ctx, u.ID, p.seed())
		if err != nil {
			return 0, err
		}
		if already {
			continue
		}
		cred, err := m.Bind(p.seed(), at)
		if err != nil {
			return 0, err
		}
		cred.Owner, cred.Kind, cred.Name, cred.Handle, cred.Created = u.ID, verify.TOTP, p.Name, m.Mark(p.seed()), at
		c.Add = append(c.Add, cred)
		m.record(&c, u, p.Name, at)
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
		Actor: "operator", ActorName: "operator", Door: "cli", Factor: string(verify.TOTP), Outcome: audit.OK, Reason: "imported"})
	if len(u.Mail) == 0 {
		return
	}
	c.Messages = append(c.Messages, notify.Message{Channel: notify.Mail, To: u.Mail, Who: u, Template: "factor_added", Lang: u.Language, Args: map[string]string{
		"login": u.Login, "kind": string(verify.TOTP), "name": name, "at": at.UTC().Format(time.RFC3339), "address": "", "door": "cli"}})
}
