//go:build !noentra

package entra

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/microsoftgraph/msgraph-sdk-go/models"
	"github.com/microsoftgraph/msgraph-sdk-go/users"

	"postern/directory"
)

// Directory is one tenant. It implements directory.Directory, Revoker, Resolver,
// Lister, Searcher, MethodKeeper, PassGiver, Copier and Examiner, and is safe for concurrent use.
type Directory struct {
	name  string
	cfg   Config
	now   func() time.Time
	graph *graph

	mu      sync.Mutex
	domains map[string]domain
	asked   time.Time // when the domains were read
	home    bool      // the tenant is the one that is configured
}

var (
	_ directory.Directory    = (*Directory)(nil)
	_ directory.Revoker      = (*Directory)(nil)
	_ directory.Resolver     = (*Directory)(nil)
	_ directory.Lister       = (*Directory)(nil)
	_ directory.Searcher     = (*Directory)(nil)
	_ directory.MethodKeeper = (*Directory)(nil)
	_ directory.PassGiver    = (*Directory)(nil)
	_ directory.Copier       = (*Directory)(nil)
	_ directory.Linker       = (*Directory)(nil)
	_ directory.Examiner     = (*Directory)(nil)
)

// Option changes what a Directory is made with.
type Option func(*options)

type options struct {
	now  func() time.Time
	wait func(context.Context, time.Duration) error
}

// WithClock replaces time.Now, for everything but network deadlines and tokens.
func WithClock(now func() time.Time) Option { return func(o *options) { o.now = now } }

// WithWait replaces waiting for a throttle.
func WithWait(wait func(context.Context, time.Duration) error) Option {
	return func(o *options) { o.wait = wait }
}

// New checks cfg and makes the directory called name. It calls nobody: whether the
// tenant answers is found out by the first request, or by Examine.
func New(name string, cfg Config, opts ...Option) (*Directory, error) {
	if name == "" || strings.Contains(name, ":") {
		return nil, fmt.Errorf("entra: %q cannot be the name of a directory", name)
	}
	if faults := cfg.Validate(); len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	cfg.Tenant, cfg.ClientID = strings.ToLower(cfg.Tenant), strings.ToLower(cfg.ClientID)
	o := options{now: time.Now, wait: sleep}
	for _, opt := range opts {
		opt(&o)
	}
	g, err := newGraph(cfg, o.now, o.wait)
	if err != nil {
		return nil, err
	}
	return &Directory{name: name, cfg: cfg, now: o.now, graph: g}, nil
}

// Close ends idle connections.
func (d *Directory) Close() { d.graph.close() }

// idIn is the id of u without the directory's name.
func (d *Directory) idIn(u directory.User) (string, error) {
	id, ok := strings.CutPrefix(string(u.ID), d.name+":")
	if !ok || !guid.MatchString(id) {
		return "", fmt.Errorf("%w: %q is not an id of directory %s", directory.ErrNotFound, u.ID, d.name)
	}
	return id, nil
}

// nobody is looked up in place of what cannot be a name, so that refusing it costs
// what finding nobody costs; the id is nobody's.
const (
	nobody   = "postern-nobody-has-this-name"
	nobodyID = "00000000-0000-4000-8000-000000000000"
)

// selected are the properties that are read of people.
var selected = []string{"id", "userPrincipalName", "mail", "displayName", "givenName", "surname", "mobilePhone", "preferredLanguage", "accountEnabled", "userType",
	"onPremisesSyncEnabled", "onPremisesSecurityIdentifier", "employeeId", "passwordPolicies", "passwordProfile", "lastPasswordChangeDateTime"}

var manager = []string{"manager($select=id)"}

// Find implements directory.Directory: one search, and then what the person is a
// member of and may do, read of nobody where nobody was found.
func (d *Directory) Find(ctx context.Context, typed string) (directory.User, error) {
	if typed = strings.Trim(typed, " "); !typable(typed) {
		_, err := d.one(ctx, d.cfg.find(nobody), nil)
		if err == nil {
			err = directory.ErrNotFound
		}
		return directory.User{}, err
	}
	return d.one(ctx, d.cfg.find(typed), nil)
}

// CopyOf implements directory.Copier.
func (d *Directory) CopyOf(ctx context.Context, sid string) (directory.User, error) {
	if !sidForm.MatchString(sid) {
		return directory.User{}, directory.ErrNotFound
	}
	return d.one(ctx, "onPremisesSecurityIdentifier eq '"+sid+"'", nil)
}

// ByLink implements directory.Linker. Copies of accounts on-premises are passed over: what
// they are linked by came with them.
func (d *Directory) ByLink(ctx context.Context, link string) (directory.User, error) {
	switch {
	case d.cfg.LinkAttribute == "":
		return directory.User{}, directory.ErrUnsupported
	case !typable(link):
		return directory.User{}, directory.ErrNotFound
	}
	return d.one(ctx, "employeeId eq '"+strings.ReplaceAll(link, "'", "''")+"'", func(u models.Userable) bool { return truth(u.GetOnPremisesSyncEnabled()) })
}

// sidForm is a SID as text (MS-DTYP section 2.4.2.1).
var sidForm = regexp.MustCompile(`^S-1-[0-9]{1,15}(-[0-9]{1,10}){1,15}$`)

// one is the only account that a filter finds, but for those that skip says; nil: none.
func (d *Directory) one(ctx context.Context, filter string, skip func(models.Userable) bool) (directory.User, error) {
	began := d.now()
	if err := d.atHome(ctx); err != nil {
		return directory.User{}, err
	}
	top := int32(5)
	var page models.UserCollectionResponseable
	err := d.graph.ask(ctx, func(ctx context.Context) (err error) {
		page, err = d.graph.users().Get(ctx, &users.UsersRequestBuilderGetRequestConfiguration{
			QueryParameters: &users.UsersRequestBuilderGetQueryParameters{Filter: &filter, Top: &top, Select: selected, Expand: manager}})
		if err == nil && (page == nil || page.GetValue() == nil) {
			err = errNothing
		}
		return err
	})
	if err != nil {
		return directory.User{}, asUnavailable(err)
	}
	list := page.GetValue()
	if skip != nil {
		list = slices.DeleteFunc(list, skip)
	}
	if len(list) != 1 || page.GetOdataNextLink() != nil {
		if _, err := d.rights(ctx, nobodyID); err != nil && (errors.Is(err, directory.ErrUnavailable) || !errors.Is(err, directory.ErrNotFound)) {
			return directory.User{}, err
		}
		return directory.User{}, directory.ErrNotFound
	}
	u, err := d.user(ctx, list[0])
	if err != nil {
		return directory.User{}, asUnavailable(err)
	}
	u.ReadAt = began
	return u, nil
}

// Read implements directory.Directory.
func (d *Directory) Read(ctx context.Context, old directory.User) (directory.User, error) {
	id, err := d.idIn(old)
	if err != nil {
		return directory.User{}, err
	}
	began := d.now()
	if err := d.atHome(ctx); err != nil {
		return directory.User{}, err
	}
	var got models.Userable
	err = d.graph.ask(ctx, func(ctx context.Context) error {
		var err error
		got, err = d.graph.users().ByUserId(id).Get(ctx, &users.UserItemRequestBuilderGetRequestConfiguration{
			QueryParameters: &users.UserItemRequestBuilderGetQueryParameters{Select: selected, Expand: manager}})
		if err == nil && got == nil {
			err = errNothing
		}
		return err
	})
	if err != nil {
		return directory.User{}, err
	}
	if text(got.GetId()) != id {
		return directory.User{}, fmt.Errorf("%w: Graph answered for %q with %q", directory.ErrUnavailable, id, text(got.GetId()))
	}
	u, err := d.user(ctx, got)
	if err != nil {
		return directory.User{}, err
	}
	u.ReadAt = began
	return u, nil
}

var errNothing = fmt.Errorf("%w: Graph answered with nothing", directory.ErrUnavailable)

// asUnavailable is for a search: that something else was not there is not that the
// person is not.
func asUnavailable(err error) error {
	if errors.Is(err, directory.ErrNotFound) {
		return fmt.Errorf("%w: %s", directory.ErrUnavailable, err.Error())
	}
	return err
}

// Resolve implements directory.Resolver: a manager is an object id.
func (d *Directory) Resolve(ctx context.Context, from directory.User, ref string) (directory.User, error) {
	if _, err := d.idIn(from); err != nil {
		return directory.User{}, err
	}
	if !isID(ref) {
		return directory.User{}, directory.ErrNotFound
	}
	return d.Read(ctx, directory.User{ID: directory.ID(d.name + ":" + strings.ToLower(ref))})
}

// Rules implements directory.Directory. They are the same for everybody, but for how
// long a password lasts, which is the domain's; the lists of banned passwords can be
// read by nobody.
func (d *Directory) Rules(ctx context.Context, u directory.User) (directory.Rules, error) {
	r := directory.Rules{MinLength: minLength, MaxLength: maxLength, Complexity: true, PlainOnly: true, BannedList: true,
		ResetUnlocks: true, ResetForcesChange: d.cfg.MustChange, Source: "Microsoft Entra ID"}
	_, name, ok := strings.Cut(u.UPN, "@")
	if !ok {
		return r, nil
	}
	at, err := d.domain(ctx, name)
	if err != nil {
		return directory.Rules{}, err
	}
	r.MaxAge = at.life
	return r, nil
}
