package ad

import (
	"context"
	"fmt"
	"strconv"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
	"postern/directory/internal/ldapconn"
)

// personFilter is true of people's accounts: computers, group-managed service
// accounts and trusts are objectClass=user too, but of another sAMAccountType
// (MS-SAMR section 2.2.1.9).
var personFilter = "(&(objectClass=user)(sAMAccountType=" + strconv.Itoa(normalUserAccount) + "))"

// Resolve implements directory.Resolver in one base read. A name in another domain
// of the forest, which the server would refer elsewhere for, is nobody here.
func (d *Directory) Resolve(ctx context.Context, from directory.User, ref string) (directory.User, error) {
	if _, err := d.guid(from); err != nil {
		return directory.User{}, err
	}
	dn, ok := ldapconn.Within(d.cfg.BaseDN, ref)
	if !ok {
		return directory.User{}, fmt.Errorf("%w: the reference names nothing in %s", directory.ErrNotFound, d.cfg.BaseDN)
	}
	return d.one(ctx, from.Server, func(c *ldapconn.Conn) (*ldap.Entry, error) {
		e, err := readIf(c, dn, personFilter, append(d.attributes(), computedAttributes...)...)
		if ldapconn.Absent(err) {
			return nil, fmt.Errorf("%w: %v", directory.ErrNotFound, err)
		}
		return e, err
	})
}

// People implements directory.Lister in one paged search.
func (d *Directory) People(ctx context.Context, each func(directory.ID) error) error {
	req := ldap.NewSearchRequest(d.cfg.BaseDN, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false,
		"(&"+personFilter+ldapconn.AnyPresent(d.cfg.LoginAttributes...)+")", []string{"objectGUID"}, nil)
	return d.client.Pages(ctx, req, d.pageSize, func(e *ldap.Entry) error {
		if d.places.Refuse(e.DN) != "" {
			return nil
		}
		guid, err := formatGUID(e.GetRawAttributeValue("objectGUID"))
		if err != nil {
			return unavailable(err, e.DN)
		}
		return each(d.id(guid))
	})
}
