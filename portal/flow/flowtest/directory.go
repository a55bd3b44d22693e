package flowtest

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"postern/directory"
)

// Directory is one domain in memory. It counts what is asked of it.
type Directory struct {
	mu     sync.Mutex
	people map[directory.ID]*person
	Now    func() time.Time
	Policy directory.Rules
	Own    map[directory.ID]directory.Rules // of accounts with a policy of their own
	// Before is called before each write with its name; an error is returned
	// instead of writing. AfterWrite likewise, after the write took effect.
	Before, AfterWrite  func(op string, u directory.User) error
	Writes              []string // "set ID", "change ID", "unlock ID"
	Finds, Reads, Binds int
	Down                error
	// Unreached are directories (User.Directory) that Linked cannot ask.
	Unreached []string
}

type person struct {
	u       directory.User
	pw      string
	history []string
}

// Add puts somebody in.
func (d *Directory) Add(u directory.User, pw string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.people == nil {
		d.people = map[directory.ID]*person{}
	}
	d.people[u.ID] = &person{u: u, pw: pw, history: []string{pw}}
}

// Edit changes an account behind the portal's back.
func (d *Directory) Edit(id directory.ID, f func(*directory.User)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(&d.people[id].u)
}

// Password is the password the account has now.
func (d *Directory) Password(id directory.ID) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.people[id].pw
}

// Written is how many writes reached the directory.
func (d *Directory) Written() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.Writes)
}

func (d *Directory) Find(_ context.Context, login string) (directory.User, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.Finds++
	if d.Down != nil {
		return directory.User{}, d.Down
	}
	var hit []directory.User
	want := strings.ToLower(strings.TrimSpace(login))
	for _, p := range d.people {
		if strings.ToLower(p.u.Login) == want || strings.ToLower(p.u.UPN) == want {
			hit = append(hit, p.u)
		}
	}
	if len(hit) != 1 {
		return directory.User{}, directory.ErrNotFound
	}
	return hit[0], nil
}

func (d *Directory) Read(_ context.Context, u directory.User) (directory.User, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.Reads++
	if d.Down != nil {
		return directory.User{}, d.Down
	}
	if p := d.people[u.ID]; p != nil {
		return p.u, nil
	}
	return directory.User{}, directory.ErrNotFound
}

// Linked are the accounts in other directories that have u's Link (directory.Set).
func (d *Directory) Linked(_ context.Context, u directory.User) (found []directory.User, unreached []string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range d.people {
		if p.u.Link == u.Link && p.u.Directory != u.Directory && !slices.Contains(d.Unreached, p.u.Directory) {
			found = append(found, p.u)
		}
	}
	slices.SortFunc(found, func(a, b directory.User) int { return strings.Compare(a.Directory, b.Directory) })
	return found, d.Unreached, d.Down
}

func (d *Directory) Rules(_ context.Context, u directory.User) (directory.Rules, error) {
	if own, has := d.Own[u.ID]; has {
		return own, d.Down
	}
	return d.Policy, d.Down
}

func (d *Directory) SetPassword(_ context.Context, u directory.User, pw directory.Secret) error {
	return d.write("set", u, func(p *person) error {
		if pw.Len() < d.Policy.MinLength {
			return &directory.Refusal{Rule: directory.RuleTooShort, Limit: d.Policy.MinLength}
		}
		p.pw, p.u.State.PasswordSet = pw.Reveal(), d.Now()
		return nil
	})
}

func (d *Directory) ChangePassword(_ context.Context, u directory.User, old, pw directory.Secret) error {
	return d.write("change", u, func(p *person) error {
		if p.pw != old.Reveal() {
			return directory.ErrWrongPassword
		}
		for _, h := range p.history {
			if h == pw.Reveal() {
				return &directory.Refusal{Rule: directory.RuleHistory, Limit: d.Policy.History}
			}
		}
		p.pw, p.u.State.PasswordSet = pw.Reveal(), d.Now()
		p.history = append(p.history, p.pw)
		return nil
	})
}

func (d *Directory) Unlock(_ context.Context, u directory.User) error {
	return d.write("unlock", u, func(p *person) error {
		p.u.State.Locked = false
		return nil
	})
}

func (d *Directory) Authenticate(_ context.Context, u directory.User, pw directory.Secret) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.Binds++
	if d.Down != nil {
		return d.Down
	}
	if p := d.people[u.ID]; p != nil && p.pw == pw.Reveal() && !pw.Empty() {
		return nil
	}
	return directory.ErrWrongPassword
}

func (d *Directory) write(op string, u directory.User, do func(*person) error) error {
	if d.Before != nil {
		if err := d.Before(op, u); err != nil {
			return err
		}
	}
	err := func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.Down != nil {
			return d.Down
		}
		p := d.people[u.ID]
		if p == nil {
			return directory.ErrDenied
		}
		if err := do(p); err != nil {
			return err
		}
		d.Writes = append(d.Writes, op+" "+string(u.ID))
		return nil
	}()
	if err == nil && d.AfterWrite != nil {
		err = d.AfterWrite(op, u)
	}
	return err
}
