package openldap

import (
	"context"
	"fmt"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
	"postern/directory/internal/ldapconn"
)

// Resolve implements directory.Resolver in one base search, with the same filter as
// Find; one more where GroupBase is set.
func (d *Directory) Resolve(ctx context.Context, from directory.User, ref string) (directory.User, error) {
	if _, err := d.uuid(from); err != nil {
		return directory.User{}, err
	}
	dn, ok := ldapconn.Within(d.cfg.BaseDN, ref)
	if !ok {
		return directory.User{}, fmt.Errorf("%w: the reference names nothing in %s", directory.ErrNotFound, d.cfg.BaseDN)
	}
	return d.find(ctx, from.Server, true, ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 0, false,
		d.cfg.UserFilter, d.attributes(), nil))
}

// People implements directory.Lister in one paged search. slapd's limits hold for
// the pages together, 500 people unless it is told otherwise: where there are more
// the answer is ErrUnavailable (slapd.conf(5), limits, size.prtotal).
func (d *Directory) People(ctx context.Context, each func(directory.ID) error) error {
	return d.client.Pages(ctx, d.everybody(), d.pageSize, func(e *ldap.Entry) error {
		if d.places.Refuse(e.DN) != "" {
			return nil
		}
		id, err := d.id(e)
		if err != nil {
			return err
		}
		return each(id)
	})
}

// everybody finds whom Find could find, by whatever name.
func (d *Directory) everybody() *ldap.SearchRequest {
	return ldap.NewSearchRequest(d.cfg.BaseDN, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false,
		"(&"+d.cfg.UserFilter+ldapconn.AnyPresent(d.cfg.LoginAttributes...)+")", []string{"entryUUID"}, nil)
}
