package ad

import (
	"context"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
	"postern/directory/internal/ldapconn"
)

var (
	_ directory.Original = (*Directory)(nil)
	_ directory.Linker   = (*Directory)(nil)
)

// sidOf is the account's security identifier as text; empty when it is not shown.
func sidOf(e *ldap.Entry) string {
	s, err := newSID(e.GetRawAttributeValue("objectSid"))
	if err != nil {
		return ""
	}
	return s.String()
}

// BySID implements directory.Original, below base_dn as Find does.
func (d *Directory) BySID(ctx context.Context, text string) (directory.User, error) {
	s, err := parseSID(text)
	if err != nil {
		return directory.User{}, directory.ErrNotFound
	}
	return d.only(ctx, "(objectSid="+s.filterValue()+")")
}

// ByLink implements directory.Linker.
func (d *Directory) ByLink(ctx context.Context, link string) (directory.User, error) {
	switch {
	case d.cfg.LinkAttribute == "":
		return directory.User{}, directory.ErrUnsupported
	case !ldapconn.Typable(link):
		return directory.User{}, directory.ErrNotFound
	}
	return d.only(ctx, ldapconn.AnyEqual(link, d.cfg.LinkAttribute))
}

// only is the one account that a filter finds.
func (d *Directory) only(ctx context.Context, filter string) (directory.User, error) {
	return d.one(ctx, "", func(c *ldapconn.Conn) (*ldap.Entry, error) {
		res, err := c.Search(ldap.NewSearchRequest(d.cfg.BaseDN, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 2, 0, false,
			"(&(objectClass=user)"+filter+")", []string{"objectGUID"}, nil))
		switch code := ldapconn.Code(err); {
		case code == ldap.LDAPResultSizeLimitExceeded:
			return nil, directory.ErrNotFound
		case err != nil && code < 0:
			return nil, err
		case err != nil:
			return nil, unavailable(err, "searching "+d.cfg.BaseDN)
		case len(res.Entries) != 1:
			return nil, directory.ErrNotFound
		}
		guid, err := formatGUID(res.Entries[0].GetRawAttributeValue("objectGUID"))
		if err != nil {
			return nil, unavailable(err, res.Entries[0].DN)
		}
		return read(c, guidDN(guid), append(d.attributes(), computedAttributes...)...)
	})
}
