package ad

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
	"postern/directory/internal/ldapconn"
)

// catalog is how the global catalogue is reached: as the domain is, by the same account.
func (c Config) catalog() ldapconn.Config {
	to := c.Config
	to.Servers = c.GlobalCatalog
	return to
}

func (c Config) catalogFaults() []error {
	faults := ldapconn.ServerFaults("global_catalog", c.GlobalCatalog, c.StartTLS)
	for i, s := range c.GlobalCatalog {
		if u, err := url.Parse(s); err == nil && slices.Contains([]string{"", "636", "389"}, u.Port()) {
			faults = append(faults, fmt.Errorf("global_catalog[%d]: %s: the global catalogue has a port of its own, 3269 (3268 with start_tls)", i, s))
		}
	}
	return faults
}

// forest is who in the forest has the name that was typed, as the global catalogue
// knows it.
type forest struct {
	guids []string
	more  bool
}

// alone reports whether nobody but the account guid has the name. That the catalogue
// does not know the account itself says nothing: it is filled by replication, and not
// with every attribute.
func (f forest) alone(guid string) bool {
	return !f.more && !slices.ContainsFunc(f.guids, func(g string) bool { return g != guid })
}

// inForest asks the global catalogue in one search, from the forest's root. A name with
// a NetBIOS domain in front is looked for in that domain alone, since it is another
// one in every other.
func (d *Directory) inForest(ctx context.Context, filter string, qualified bool) (forest, error) {
	var f forest
	if d.catalog == nil {
		return f, nil
	}
	base := ""
	if qualified {
		base = d.domainDN
	}
	req := ldap.NewSearchRequest(base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 2, 0, false, filter, []string{"objectGUID"}, nil)
	err := d.catalog.Read(ctx, "", func(c *ldapconn.Conn) error {
		f = forest{}
		res, err := c.Search(req)
		switch code := ldapconn.Code(err); {
		case code == ldap.LDAPResultSizeLimitExceeded:
			f.more = true
			return nil
		case err != nil && code < 0:
			return err
		case err != nil:
			return unavailable(err, "searching the global catalogue")
		}
		for _, e := range res.Entries {
			guid, err := formatGUID(e.GetRawAttributeValue("objectGUID"))
			if err != nil {
				return unavailable(err, e.DN)
			}
			f.guids = append(f.guids, guid)
		}
		return nil
	})
	return f, err
}

// examineCatalog visits every server of the global catalogue.
func (d *Directory) examineCatalog(ctx context.Context) []directory.Finding {
	if d.catalog == nil {
		return nil
	}
	const why = "a name that somebody in another domain has too is not noticed"
	return d.catalog.Examine(ctx, func(c *ldapconn.Conn) []directory.Finding {
		root, err := read(c, "", "isGlobalCatalogReady", "schemaNamingContext", "rootDomainNamingContext")
		if err != nil || !strings.EqualFold(root.GetAttributeValue("isGlobalCatalogReady"), "TRUE") {
			return []directory.Finding{bad(directory.Failure, "catalogue", c.Server()+" is no global catalogue that is ready", why,
				"name servers that hold the global catalogue; see: nltest /dsgetdc:"+domainName(d.domainDN)+" /gc")}
		}
		res, err := c.Search(ldap.NewSearchRequest("", ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 1, 0, false, personFilter, []string{"1.1"}, nil))
		if res == nil || len(res.Entries) == 0 {
			return []directory.Finding{bad(directory.Failure, "catalogue", fmt.Sprintf("%s shows nobody in its global catalogue: %v", c.Server(), err), why,
				"check the port in global_catalog, and that the service account may read the forest")}
		}
		out := []directory.Finding{ok("catalogue", "%s holds the global catalogue of the forest %s", c.Server(), domainName(root.GetAttributeValue("rootDomainNamingContext")))}
		return append(out, d.examineLacking(c, root.GetAttributeValue("schemaNamingContext"))...)
	})
}

// examineLacking names the login attributes that the catalogue does not hold
// (isMemberOfPartialAttributeSet, MS-ADTS section 3.1.1.2.3).
func (d *Directory) examineLacking(c *ldapconn.Conn, schema string) []directory.Finding {
	var names strings.Builder
	for _, a := range d.cfg.LoginAttributes {
		names.WriteString(ldapconn.AnyEqual(a, "lDAPDisplayName"))
	}
	res, err := c.Search(ldap.NewSearchRequest(schema, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false,
		"(&(objectClass=attributeSchema)(|"+names.String()+"))", []string{"lDAPDisplayName", "isMemberOfPartialAttributeSet"}, nil))
	if err != nil {
		return nil
	}
	var out []directory.Finding
	for _, e := range res.Entries {
		if strings.EqualFold(e.GetAttributeValue("isMemberOfPartialAttributeSet"), "TRUE") {
			continue
		}
		name := e.GetAttributeValue("lDAPDisplayName")
		out = append(out, bad(directory.Warning, "catalogue", "the global catalogue does not hold "+name+", which is one of login_attributes",
			"when two people in different domains have the same one it is not noticed",
			"take it out of login_attributes, or, in PowerShell as a schema administrator:\n"+
				fmt.Sprintf("Set-ADObject -Identity %s -Replace @{isMemberOfPartialAttributeSet=$true}", powershell(e.DN))))
	}
	return out
}
