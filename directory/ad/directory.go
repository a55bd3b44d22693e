package ad

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
	"postern/directory/internal/ldapconn"
)

// Directory is one Active Directory domain. It implements directory.Directory,
// Changer, Unlocker, Expirer, Authenticator, Resolver, Lister, Searcher, Watcher and Examiner,
// and is safe for concurrent use.
type Directory struct {
	name     string
	cfg      Config
	client   *ldapconn.Client
	catalog  *ldapconn.Client // of the whole forest, read only; nil: there is none
	now      func() time.Time
	domainDN string
	places   ldapconn.Places
	pageSize int

	policies *ldapconn.Cache[string, directory.Rules] // domain head and PSOs, by DN
	psoOf    *ldapconn.Cache[directory.ID, string]    // which PSO applies; empty: none
	roots    *ldapconn.Cache[string, root]            // by server
	groupDN  *ldapconn.Cache[sid, string]             // empty: unknown here
	groupSID *ldapconn.Cache[string, sid]             // of configured groups
	wrote    *ldapconn.Cache[directory.ID, string]    // which server has what was written last
}

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

// replicated is when the last domain controller has heard of a write: between sites
// every 15 minutes at the earliest (MS-ADTS section 6.1.1.2.2.3, replInterval).
const replicated = 30 * time.Minute

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

// WithResolver replaces the DNS that discovery asks.
func WithResolver(r ldapconn.Resolver) Option {
	return func(o *options) { o.conn = append(o.conn, ldapconn.WithResolver(r)) }
}

// WithDialer replaces the network.
func WithDialer(dial func(ctx context.Context, network, addr string) (net.Conn, error)) Option {
	return func(o *options) { o.conn = append(o.conn, ldapconn.WithDialer(dial)) }
}

// New checks cfg and makes the directory called name. It dials nothing and looks nothing up: whether
// the domain answers is found out by the first request, or by Examine.
func New(name string, cfg Config, opts ...Option) (*Directory, error) {
	if name == "" || strings.Contains(name, ":") {
		return nil, fmt.Errorf("ad: %q cannot be the name of a directory", name)
	}
	if faults := cfg.Validate(); len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	o := options{now: time.Now, pageSize: ldapconn.PageSize}
	for _, opt := range opts {
		opt(&o)
	}
	client, err := ldapconn.New(cfg.connection(), o.conn...)
	if err != nil {
		return nil, err
	}
	var catalog *ldapconn.Client
	if len(cfg.GlobalCatalog) > 0 {
		if catalog, err = ldapconn.New(cfg.catalog(), o.conn...); err != nil {
			return nil, err
		}
	}
	pl, err := ldapconn.NewPlaces(cfg.UserOUs, cfg.DeniedOUs)
	if err != nil {
		return nil, err
	}
	return &Directory{
		name: name, cfg: cfg, client: client, catalog: catalog, now: o.now, domainDN: domainOf(cfg.BaseDN), places: pl, pageSize: o.pageSize,
		policies: ldapconn.NewCache[string, directory.Rules](30*time.Second, 1000, o.now),
		psoOf:    ldapconn.NewCache[directory.ID, string](30*time.Second, 10_000, o.now),
		roots:    ldapconn.NewCache[string, root](5*time.Minute, 100, o.now),
		groupDN:  ldapconn.NewCache[sid, string](10*time.Minute, 20_000, o.now),
		groupSID: ldapconn.NewCache[string, sid](10*time.Minute, 1000, o.now),
		wrote:    ldapconn.NewCache[directory.ID, string](replicated, 10_000, o.now),
	}, nil
}

// Close ends the connections.
func (d *Directory) Close() {
	d.client.Close()
	if d.catalog != nil {
		d.catalog.Close()
	}
}

// domainOf is the domain a branch is in: its trailing DC components, or all of it
// where there are none.
func domainOf(base string) string {
	dn, err := ldap.ParseDN(base)
	if err != nil {
		return base
	}
	for i := len(dn.RDNs); i > 0; i-- {
		if !strings.EqualFold(dn.RDNs[i-1].Attributes[0].Type, "DC") {
			dn.RDNs = dn.RDNs[i:]
			break
		}
	}
	return cmp.Or(dn.String(), base)
}

// guidDN names an object by its objectGUID (MS-ADTS section 3.1.1.3.1.2.4): it
// stays the same object when it is renamed or moved meanwhile.
func guidDN(guid string) string { return "<GUID=" + guid + ">" }

// guid is the id of u without the directory's name. A user of another directory,
// or an id that is not one, is nobody here.
func (d *Directory) guid(u directory.User) (string, error) {
	guid, ok := strings.CutPrefix(string(u.ID), d.name+":")
	if !ok || !validGUID(guid) {
		return "", fmt.Errorf("%w: %q is not an id of directory %s", directory.ErrNotFound, u.ID, d.name)
	}
	return guid, nil
}

// id is the other way round, the same in a User and in a listing.
func (d *Directory) id(guid string) directory.ID { return directory.ID(d.name + ":" + guid) }

// nobody is looked up in place of what cannot be a name, so that refusing it
// costs what finding nobody costs.
const nobody = "postern-nobody-has-this-name"

// login splits what was typed into the attributes to compare and the value. NetBIOS
// names are known by the configuration alone, so a wrong one matches nobody.
func (d *Directory) login(typed string) (attributes []string, value string, ok bool) {
	if !ldapconn.Typable(typed) {
		return d.cfg.LoginAttributes, nobody, false
	}
	domain, account, qualified := strings.Cut(typed, `\`)
	if !qualified {
		return d.cfg.LoginAttributes, typed, true
	}
	for _, n := range d.cfg.NetBIOSDomains {
		if strings.EqualFold(n, domain) && ldapconn.Typable(account) {
			return []string{"sAMAccountName"}, account, true
		}
	}
	return d.cfg.LoginAttributes, nobody, false
}

// Find implements directory.Directory: one search by the login attributes, then
// one base read of what Active Directory computes, whoever was asked for. With a
// global catalogue that is searched first, whoever was asked for.
func (d *Directory) Find(ctx context.Context, typed string) (directory.User, error) {
	attributes, value, ok := d.login(typed)
	// Computers and service accounts are objectClass=user too: they are found, and
	// refused as privileged, so that the audit log says why.
	filter := "(&(objectClass=user)" + ldapconn.AnyEqual(value, attributes...) + ")"
	req := ldap.NewSearchRequest(d.cfg.BaseDN, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 2, 0, false,
		filter, d.attributes(), nil)

	var u directory.User
	began := d.now()
	forest, err := d.inForest(ctx, filter, strings.Contains(typed, `\`))
	if err != nil {
		return directory.User{}, ldapconn.Wrap(err)
	}
	err = d.client.Read(ctx, "", func(c *ldapconn.Conn) error {
		u = directory.User{}
		if _, err := d.domainRules(c); err != nil {
			return err
		}
		res, err := c.Search(req)
		switch code := ldapconn.Code(err); {
		case code == ldap.LDAPResultSizeLimitExceeded:
		case err != nil && code < 0:
			return err
		case err != nil:
			return unavailable(err, "searching "+d.cfg.BaseDN)
		}
		if !ok || err != nil || len(res.Entries) != 1 {
			return d.findNobody(c)
		}
		e := res.Entries[0]
		guid, err := formatGUID(e.GetRawAttributeValue("objectGUID"))
		if err != nil {
			return unavailable(err, e.DN)
		}
		if !forest.alone(guid) {
			return d.findNobody(c)
		}
		computed, err := read(c, guidDN(guid), computedAttributes...)
		if err != nil {
			return err
		}
		u, err = d.user(c, guid, e, computed)
		return err
	})
	if err != nil {
		return directory.User{}, ldapconn.Wrap(err)
	}
	u.ReadAt = began
	return u, nil
}

// findNobody does the second half of a Find for a name that matched nobody or
// more than one: the same computed read, of the service account itself, with the
// stored attributes that the search did not have to fetch.
func (d *Directory) findNobody(c *ldapconn.Conn) error {
	if _, err := read(c, d.serviceDN(), append(d.attributes(), computedAttributes...)...); err != nil && ldapconn.Code(err) < 0 {
		return err
	}
	return directory.ErrNotFound
}

// Read implements directory.Directory.
func (d *Directory) Read(ctx context.Context, old directory.User) (directory.User, error) {
	guid, err := d.guid(old)
	if err != nil {
		return directory.User{}, err
	}
	return d.one(ctx, d.pin(old), func(c *ldapconn.Conn) (*ldap.Entry, error) {
		return read(c, guidDN(guid), append(d.attributes(), computedAttributes...)...)
	})
}

// one is the account that fetch brings, with stored and computed attributes in one entry.
func (d *Directory) one(ctx context.Context, pin string, fetch func(*ldapconn.Conn) (*ldap.Entry, error)) (directory.User, error) {
	var u directory.User
	began := d.now()
	err := d.client.Read(ctx, pin, func(c *ldapconn.Conn) error {
		u = directory.User{}
		e, err := fetch(c)
		if err != nil {
			return err
		}
		guid, err := formatGUID(e.GetRawAttributeValue("objectGUID"))
		if err != nil {
			return unavailable(err, e.DN)
		}
		u, err = d.user(c, guid, e, e)
		return err
	})
	if err != nil {
		return directory.User{}, ldapconn.Wrap(err)
	}
	u.ReadAt = began
	return u, nil
}
