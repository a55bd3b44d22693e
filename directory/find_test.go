package directory

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

// domain is a directory whose accounts have SIDs.
type domain struct {
	plain
	sids  map[string]string // id → SID
	asked []string
}

func (d *domain) Find(ctx context.Context, login string) (User, error) {
	d.asked = append(d.asked, login)
	u, err := d.plain.Find(ctx, login)
	u.SID = d.sids[strings.TrimPrefix(string(u.ID), d.name+":")]
	return u, err
}

func (d *domain) Read(ctx context.Context, u User) (User, error) {
	u, err := d.plain.Read(ctx, u)
	u.SID = d.sids[strings.TrimPrefix(string(u.ID), d.name+":")]
	return u, err
}

func (d *domain) BySID(_ context.Context, sid string) (User, error) {
	if d.err != nil {
		return User{}, d.err
	}
	for id, have := range d.sids {
		if have == sid {
			return User{ID: ID(d.name + ":" + id), Directory: d.name, SID: sid}, nil
		}
	}
	return User{}, ErrNotFound
}

// tenant is a directory with copies of accounts.
type tenant struct {
	plain
	copies map[string]string // id → SID of the original
	roles  map[string]string // id → why it is privileged
	asked  []string          // SIDs
}

func (d *tenant) mark(u User, err error) (User, error) {
	id := strings.TrimPrefix(string(u.ID), d.name+":")
	u.CopyOf, u.Privileged = d.copies[id], d.roles[id]
	return u, err
}

func (d *tenant) Find(ctx context.Context, login string) (User, error) {
	return d.mark(d.plain.Find(ctx, login))
}
func (d *tenant) Read(ctx context.Context, u User) (User, error) {
	return d.mark(d.plain.Read(ctx, u))
}
func (d *tenant) CopyOf(_ context.Context, sid string) (User, error) {
	d.asked = append(d.asked, sid)
	if d.err != nil {
		return User{}, d.err
	}
	for id, of := range d.copies {
		if of == sid {
			return d.mark(User{ID: ID(d.name + ":" + id), Directory: d.name}, nil)
		}
	}
	return User{}, ErrNotFound
}

// A copy in a tenant leads to its original, and what it may do there counts.
func TestACopyLeadsToItsOriginal(t *testing.T) {
	corp := func() *domain {
		return &domain{plain: plain{name: "corp", people: map[string]string{"alice": "1", "alice@x": "1", "boss": "2", "both@x": "3", "new": "4"}},
			sids: map[string]string{"1": "S-1", "2": "S-2", "3": "S-3", "4": "S-4", "5": "S-5"}}
	}
	cloud := func() *tenant {
		return &tenant{plain: plain{name: "cloud", people: map[string]string{"alice@x": "a", "alias@x": "a", "boss@x": "b", "both@x": "own", "gone@x": "g", "only@x": "own", "five@x": "f"}},
			copies: map[string]string{"a": "S-1", "b": "S-2", "g": "S-9", "f": "S-5"}, roles: map[string]string{"b": "has the role X"}}
	}
	for _, tt := range []struct {
		name, login string
		break_      func(*domain, *tenant)
		id          ID
		privileged  string
		copyOf      string
		err         error
	}{
		{name: "found in both by one name", login: "alice@x", id: "corp:1"},
		{name: "found by the original's name", login: "alice", id: "corp:1"},
		{name: "found by the copy's name alone", login: "alias@x", id: "corp:1"},
		{name: "a copy nobody else found", login: "five@x", id: "corp:5"},
		{name: "not copied yet", login: "new", id: "corp:4"},
		{name: "a role of the copy", login: "boss", id: "corp:2", privileged: "cloud: has the role X"},
		{name: "a role of the copy, by its name", login: "boss@x", id: "corp:2", privileged: "cloud: has the role X"},
		{name: "the tenant's own", login: "only@x", id: "cloud:own"},
		{name: "two who are not one", login: "both@x", err: ErrNotFound},
		{name: "an original that is not there", login: "gone@x", id: "cloud:g", copyOf: "S-9", privileged: "synced from an on-premises directory in which the account is not found"},
		{name: "nobody", login: "nobody", err: ErrNotFound},
		{name: "the tenant is down", login: "alice", break_: func(_ *domain, c *tenant) { c.err = ErrUnavailable }, err: ErrUnavailable},
		{name: "the domain is down", login: "alias@x", break_: func(d *domain, _ *tenant) { d.err = ErrUnavailable }, err: ErrUnavailable},
		{name: "an account that shows no SID", login: "alice", break_: func(d *domain, _ *tenant) { d.sids = nil }, err: ErrUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, c := corp(), cloud()
			if tt.break_ != nil {
				tt.break_(d, c)
			}
			s, err := NewSet(Named{Name: "corp", Directory: d}, Named{Name: "cloud", Directory: c, SyncedFrom: []string{"corp"}})
			if err != nil {
				t.Fatal(err)
			}
			u, err := s.Find(t.Context(), tt.login)
			if !errors.Is(err, tt.err) || u.ID != tt.id || u.Privileged != tt.privileged || u.CopyOf != tt.copyOf {
				t.Errorf("%+v, %v", u, err)
			}
			if len(c.asked) == 0 && tt.err == nil && u.Directory == "corp" && tt.login != "alice@x" && tt.login != "boss@x" && tt.login != "alias@x" && tt.login != "five@x" {
				t.Error("the tenant was not asked about the copy")
			}
			if tt.name == "nobody" && !slices.Equal(c.asked, []string{nobodySID}) {
				t.Errorf("finding nobody cost %q", c.asked)
			}
			if err == nil && u.Directory == "corp" {
				again, err := s.Read(t.Context(), User{ID: u.ID, Directory: "corp"})
				if err != nil || again.Privileged != tt.privileged {
					t.Errorf("read again: %+v, %v", again, err)
				}
				c.err = ErrUnavailable
				if _, err := s.Read(t.Context(), u); !errors.Is(err, ErrUnavailable) {
					t.Errorf("read while the tenant is down: %v", err)
				}
			}
		})
	}
	for _, from := range []string{"nowhere", "cloud"} {
		if _, err := NewSet(Named{Name: "corp", Directory: corp()}, Named{Name: "cloud", Directory: cloud(), SyncedFrom: []string{from}}); err == nil {
			t.Errorf("synced from %q", from)
		}
	}
}

// What was typed may say which directory is meant; then the others are not asked, and
// may be down.
func TestWhatIsTypedLeadsToADirectory(t *testing.T) {
	for _, tt := range []struct {
		typed     string
		a, b      []string // what each was asked
		id        ID
		err       error
		downA     bool
		firstWins bool
	}{
		{typed: "alice", a: []string{"alice"}, b: []string{"alice"}, err: ErrNotFound}, // in both
		{typed: `a\alice`, a: []string{"alice"}, id: "a:1"},
		{typed: ` B\alice `, b: []string{"alice"}, id: "b:1"},
		{typed: `b\alice`, b: []string{"alice"}, id: "b:1", downA: true},
		{typed: `b\`, a: []string{`b\`}, b: []string{`b\`}, err: ErrNotFound},
		{typed: `b\a\alice`, a: []string{`b\a\alice`}, b: []string{`b\a\alice`}, err: ErrNotFound},
		{typed: `CORP\alice`, a: []string{`CORP\alice`}, b: []string{`CORP\alice`}, err: ErrNotFound}, // a NetBIOS name is the directory's own
		{typed: "alice@B.example", b: []string{"alice@B.example"}, id: "b:1"},
		{typed: "alice@b.example", b: []string{"alice@b.example"}, id: "b:1", downA: true},
		{typed: "alice@else.example", a: []string{"alice@else.example"}, b: []string{"alice@else.example"}, err: ErrNotFound},
		{typed: "@b.example", a: []string{"@b.example"}, b: []string{"@b.example"}, err: ErrNotFound},
		{typed: "alice", a: []string{"alice"}, b: []string{"alice"}, id: "a:1", firstWins: true},
		{typed: "bob", a: []string{"bob"}, b: []string{"bob"}, id: "b:2", firstWins: true},
		{typed: "bob", a: []string{"bob"}, b: []string{"bob"}, err: ErrUnavailable, firstWins: true, downA: true},
	} {
		t.Run(tt.typed, func(t *testing.T) {
			a := &domain{plain: plain{name: "a", people: map[string]string{"alice": "1"}}}
			b := &domain{plain: plain{name: "b", people: map[string]string{"alice": "1", "alice@b.example": "1", "alice@B.example": "1", "bob": "2"}}}
			if tt.downA {
				a.err = ErrUnavailable
			}
			s, err := NewSet(Named{Name: "a", Directory: a}, Named{Name: "b", Directory: b, Suffixes: []string{"b.example"}})
			if err != nil {
				t.Fatal(err)
			}
			if tt.firstWins {
				s.FirstWins()
			}
			u, err := s.Find(t.Context(), tt.typed)
			if !errors.Is(err, tt.err) || u.ID != tt.id || !slices.Equal(a.asked, tt.a) || !slices.Equal(b.asked, tt.b) {
				t.Errorf("%q, %v; asked %q and %q", u.ID, err, a.asked, b.asked)
			}
		})
	}
	// A directory behind the one that counts may be down.
	a, b := &plain{name: "a", people: map[string]string{"alice": "1"}}, &plain{name: "b", err: ErrUnavailable}
	s, err := NewSet(Named{Name: "a", Directory: a}, Named{Name: "b", Directory: b})
	if err != nil {
		t.Fatal(err)
	}
	if u, err := s.FirstWins().Find(t.Context(), "alice"); err != nil || u.ID != "a:1" {
		t.Errorf("%q, %v", u.ID, err)
	}
}
