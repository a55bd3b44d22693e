package openldap

import (
	"context"

	"postern/directory"
	"postern/directory/internal/ldapconn"
)

var _ directory.Linker = (*Directory)(nil)

// ByLink implements directory.Linker.
func (d *Directory) ByLink(ctx context.Context, link string) (directory.User, error) {
	switch {
	case d.cfg.LinkAttribute == "":
		return directory.User{}, directory.ErrUnsupported
	case !ldapconn.Typable(link):
		return directory.User{}, directory.ErrNotFound
	}
	return d.find(ctx, "", true, d.search(ldapconn.AnyEqual(link, d.cfg.LinkAttribute), d.attributes()...))
}
