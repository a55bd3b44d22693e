package ad

import (
	"context"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
	"postern/directory/internal/ldapconn"
)

var _ directory.Original = (*Directory)(nil)

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
	filter := "(&(objectClass=user)(objectSid=" + s.filterValue() + "))"
	return d.one(ctx, "", func(c *ldapconn.Conn) (*ldap.Entry, error) {
		res, err := c.Search(ldap.NewSearchRequest(d.cfg.BaseDN, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 2, 0, false, filter, []string{"objectGUID"}, nil))
		switch {
		case err != nil && ldapconn.Code(err) < 0:
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
