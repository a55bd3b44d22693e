package ad

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
	"postern/directory/internal/ldapconn"
)

// looseLimit is how many entries are asked for where numbers that only look alike are
// among them.
const looseLimit = 4 * directory.MaxHits

// looked is what a search looks at. Ambiguous name resolution (anr=) would be one
// clause instead, and finds whole offices and old addresses too.
func (d *Directory) looked() ldapconn.Looked {
	return ldapconn.Looked{
		Names: ldapconn.Union([]string{"sAMAccountName", "userPrincipalName", "displayName", "cn", "givenName", "sn"},
			d.cfg.LoginAttributes, d.cfg.MailAttributes),
		Phrases: []string{"displayName", "cn"},
		Phones:  ldapconn.Union(d.cfg.PhoneAttributes, []string{"telephoneNumber"}),
		Numbers: []string{"employeeID", "employeeNumber"},
		Spelled: true,
	}
}

// Search implements directory.Searcher.
func (d *Directory) Search(ctx context.Context, q directory.Query) (directory.Found, error) {
	bases, err := ldapconn.SearchBases(d.cfg.BaseDN, q.Scope.Bases)
	if err != nil {
		return directory.Found{}, err
	}
	looked, typed := d.looked(), ldapconn.ParseTyped(d.unqualified(q.Text))
	attributes := []string{"objectGUID", "sAMAccountName", "displayName", "cn", "userAccountControl", "lockoutTime", attributeUACCompute}
	limit, loose := q.Limit()+1, looked.Loose(typed)
	if loose {
		limit = looseLimit
		attributes = ldapconn.Union(attributes, looked.Names, looked.Phones, looked.Numbers)
	}
	attributes = ldapconn.Union(attributes, d.cfg.MailAttributes)

	var hits []directory.Hit
	var more bool
	err = d.client.Read(ctx, "", func(c *ldapconn.Conn) error {
		hits = nil
		entries, cut, err := c.SearchBelow(bases, "(&"+personFilter+looked.Filter(typed)+")", attributes, limit)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if loose && !looked.Fits(typed, e) {
				continue
			}
			h, err := d.hit(e)
			if err != nil {
				return err
			}
			hits = append(hits, h)
		}
		more = cut
		return nil
	})
	if err != nil {
		return directory.Found{}, ldapconn.Wrap(err)
	}
	return q.Gather(hits, more), nil
}

// unqualified is what was typed without a NetBIOS name of this domain.
func (d *Directory) unqualified(text string) string {
	if domain, account, ok := strings.Cut(strings.TrimSpace(text), `\`); ok &&
		slices.ContainsFunc(d.cfg.NetBIOSDomains, func(n string) bool { return strings.EqualFold(n, domain) }) {
		return account
	}
	return text
}

func (d *Directory) hit(e *ldap.Entry) (directory.Hit, error) {
	guid, err := formatGUID(e.GetRawAttributeValue("objectGUID"))
	if err != nil {
		return directory.Hit{}, unavailable(err, e.DN)
	}
	login := e.GetAttributeValue("sAMAccountName")
	h := directory.Hit{
		ID: d.id(guid), Directory: d.name, DN: e.DN, Login: login,
		Name:     cmp.Or(e.GetAttributeValue("displayName"), e.GetAttributeValue("cn"), login),
		Disabled: number(e, "userAccountControl")&uacDisabled != 0,
	}
	if mail := ldapconn.Values(e, d.cfg.MailAttributes); len(mail) > 0 {
		h.Mail = mail[0]
	}
	// lockoutTime stays as it was when the lockout is over; where the server computes
	// nothing in a search it is all there is.
	if e.GetAttributeValue(attributeUACCompute) != "" {
		h.Locked = number(e, attributeUACCompute)&uacLockedOut != 0
	} else {
		t := e.GetAttributeValue("lockoutTime")
		h.Locked = t != "" && t != "0"
	}
	return h, nil
}
