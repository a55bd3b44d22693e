package openldap

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
	"postern/directory/internal/ldapconn"
)

const (
	// snapshotFresh is how long the DN of a Find or Read may be written to. RFC 3062
	// takes a DN, and slapd allows no assertion control (RFC 4528) on an extended
	// operation, so an older one is looked up again by entryUUID first.
	snapshotFresh = 5 * time.Second
	policyTTL     = 30 * time.Second
)

// Directory is one OpenLDAP-style directory. It implements directory.Directory,
// Changer, Unlocker, Expirer, Authenticator, Resolver, Lister, Searcher, Watcher and Examiner,
// and is safe for concurrent use.
type Directory struct {
	name     string
	cfg      Config
	client   *ldapconn.Client
	now      func() time.Time
	places   ldapconn.Places
	pageSize int

	policies *ldapconn.Cache[string, policy]
	seen     *ldapconn.Cache[directory.ID, snapshot]
	roots    *ldapconn.Cache[string, root]

	protectedMu sync.Mutex
	protectedAt time.Time
	protected   *protected
}

// snapshot is what was seen of an entry, to spare asking again.
type snapshot struct {
	dn, server, policy string
	at                 time.Time
}

// root is what matters of a server's rootDSE.
type root struct{ assertion, ppolicy bool }

var (
	_ directory.Directory     = (*Directory)(nil)
	_ directory.Changer       = (*Directory)(nil)
	_ directory.Unlocker      = (*Directory)(nil)
	_ directory.Authenticator = (*Directory)(nil)
	_ directory.Resolver      = (*Directory)(nil)
	_ directory.Lister        = (*Directory)(nil)
	_ directory.Searcher      = (*Directory)(nil)
	_ directory.Expirer       = (*Directory)(nil)
	_ directory.Watcher       = (*Directory)(nil)
	_ directory.Examiner      = (*Directory)(nil)
)

// Option changes what a Directory is made with.
type Option func(*options)

type options struct {
	now      func() time.Time
	pageSize int
	conn     []ldapconn.Option
}

// WithClock replaces time.Now, for everything but network deadlines.
func WithClock(now func() time.Time) Option {
	return func(o *options) { o.now = now; o.conn = append(o.conn, ldapconn.WithClock(now)) }
}

// WithPageSize replaces how many people one page of a listing holds.
func WithPageSize(n int) Option { return func(o *options) { o.pageSize = n } }

// New checks cfg and makes the directory called name. It dials nothing: whether
// the servers answer is found out by the first request, or by Examine.
func New(name string, cfg Config, opts ...Option) (*Directory, error) {
	if name == "" || strings.Contains(name, ":") {
		return nil, fmt.Errorf("openldap: %q cannot be the name of a directory", name)
	}
	if faults := cfg.Validate(); len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	o := options{now: time.Now, pageSize: ldapconn.PageSize}
	for _, opt := range opts {
		opt(&o)
	}
	client, err := ldapconn.New(cfg.Config, o.conn...)
	if err != nil {
		return nil, err
	}
	places, err := ldapconn.NewPlaces(cfg.UserOUs, cfg.DeniedOUs)
	if err != nil {
		return nil, err
	}
	return &Directory{
		name: name, cfg: cfg, client: client, now: o.now, places: places, pageSize: o.pageSize,
		policies: ldapconn.NewCache[string, policy](policyTTL, 1000, o.now),
		seen:     ldapconn.NewCache[directory.ID, snapshot](policyTTL, 10_000, o.now),
		roots:    ldapconn.NewCache[string, root](5*time.Minute, 100, o.now),
	}, nil
}

// Close ends the connections.
func (d *Directory) Close() { d.client.Close() }

var validUUID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// uuid is the id of u without the directory's name. A user of another directory,
// or an id that is not one, is nobody here.
func (d *Directory) uuid(u directory.User) (string, error) {
	id, ok := strings.CutPrefix(string(u.ID), d.name+":")
	if !ok || !validUUID.MatchString(id) {
		return "", fmt.Errorf("%w: %q is not an id of directory %s", directory.ErrNotFound, u.ID, d.name)
	}
	return id, nil
}

// id is what an entry is known by, the same in a User and in a listing.
func (d *Directory) id(e *ldap.Entry) (directory.ID, error) {
	id := strings.ToLower(e.GetAttributeValue("entryUUID"))
	if !validUUID.MatchString(id) {
		return "", unavailable(errNoUUID, e.DN)
	}
	return directory.ID(d.name + ":" + id), nil
}

// nobody is looked up in place of what cannot be a name, so that refusing it
// costs what finding nobody costs.
const nobody = "postern-nobody-has-this-name"

// Find implements directory.Directory in one search, whoever was asked for; one
// more where GroupBase is set.
func (d *Directory) Find(ctx context.Context, typed string) (directory.User, error) {
	value, ok := typed, ldapconn.Typable(typed)
	if !ok {
		value = nobody
	}
	return d.find(ctx, "", ok, d.search(ldapconn.AnyEqual(value, d.cfg.LoginAttributes...), d.attributes()...))
}

// Read implements directory.Directory.
func (d *Directory) Read(ctx context.Context, old directory.User) (directory.User, error) {
	id, err := d.uuid(old)
	if err != nil {
		return directory.User{}, err
	}
	return d.find(ctx, old.Server, true, d.search(ldapconn.AnyEqual(id, "entryUUID"), d.attributes()...))
}

// find reads the one person that req finds. ok false does the same work and finds
// nobody.
func (d *Directory) find(ctx context.Context, pin string, ok bool, req *ldap.SearchRequest) (directory.User, error) {
	var u directory.User
	began := d.now()
	err := d.client.Read(ctx, pin, func(c *ldapconn.Conn) error {
		u = directory.User{}
		protected, err := d.protectedAccounts(c)
		if err != nil {
			return err
		}
		res, err := c.Search(req)
		switch code := ldapconn.Code(err); {
		case code == ldap.LDAPResultSizeLimitExceeded:
		case req.Scope == ldap.ScopeBaseObject && ldapconn.Absent(err):
		case err != nil && code < 0:
			return err
		case err != nil:
			return unavailable(err, "searching "+req.BaseDN)
		}
		if !ok || err != nil || len(res.Entries) != 1 {
			if d.cfg.GroupBase != "" {
				if _, err := d.groupsOf(c, d.cfg.BaseDN, nobody); err != nil {
					return err
				}
			}
			return directory.ErrNotFound
		}
		u, err = d.user(c, res.Entries[0], protected)
		return err
	})
	if err != nil {
		return directory.User{}, ldapconn.Wrap(err)
	}
	u.ReadAt = began
	return u, nil
}

// search is for one person: two entries are enough to know that it is not one.
func (d *Directory) search(filter string, attributes ...string) *ldap.SearchRequest {
	return ldap.NewSearchRequest(d.cfg.BaseDN, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 2, 0, false,
		"(&"+d.cfg.UserFilter+filter+")", attributes, nil)
}

// byUUID reads a person by entryUUID.
func (d *Directory) byUUID(c *ldapconn.Conn, id string, attributes ...string) (*ldap.Entry, error) {
	res, err := c.Search(d.search(ldapconn.AnyEqual(id, "entryUUID"), attributes...))
	if err != nil {
		return nil, err
	}
	if len(res.Entries) != 1 {
		return nil, directory.ErrNotFound
	}
	return res.Entries[0], nil
}

// unavailable is for what must be there: its absence is not the person's.
func unavailable(err error, doing string) error {
	return fmt.Errorf("%w: %s: %w", directory.ErrUnavailable, doing, err)
}
