package openldap

import (
	"cmp"
	"context"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
	"postern/directory/internal/ldapconn"
)

// looked is what a search looks at.
func (d *Directory) looked() ldapconn.Looked {
	return ldapconn.Looked{
		Names:   ldapconn.Union([]string{"uid", "displayName", "cn", "givenName", "sn"}, d.cfg.LoginAttributes, d.cfg.MailAttributes),
		Phrases: []string{"displayName", "cn"},
		Phones:  ldapconn.Union(d.cfg.PhoneAttributes, []string{"telephoneNumber"}),
		Numbers: []string{"employeeNumber"},
	}
}

// Search implements directory.Searcher. slapd drops spaces and hyphens from telephone
// numbers before it compares them, and nothing else (RFC 4517 section 4.2.29): who is
// listed as "(0555) 0142" is found by that spelling only.
func (d *Directory) Search(ctx context.Context, q directory.Query) (directory.Found, error) {
	bases, err := ldapconn.SearchBases(d.cfg.BaseDN, q.Scope.Bases)
	if err != nil {
		return directory.Found{}, err
	}
	filter := "(&" + d.cfg.UserFilter + d.looked().Filter(ldapconn.ParseTyped(q.Text)) + ")"
	attributes := ldapconn.Union([]string{"entryUUID", "uid", "cn", "displayName", "pwdAccountLockedTime", "pwdStartTime",
		"pwdPolicySubentry"}, d.cfg.LoginAttributes[:1], d.cfg.MailAttributes)

	var hits []directory.Hit
	var more bool
	err = d.client.Read(ctx, "", func(c *ldapconn.Conn) error {
		hits = nil
		if _, err := d.policy(c, ""); err != nil {
			return err
		}
		entries, cut, err := c.SearchBelow(bases, filter, attributes, q.Limit()+1)
		if err != nil {
			return err
		}
		for _, e := range entries {
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

func (d *Directory) hit(e *ldap.Entry) (directory.Hit, error) {
	id, err := d.id(e)
	if err != nil {
		return directory.Hit{}, err
	}
	// A policy that was not read yet is not read for a list: without its duration
	// every lockout counts.
	p, _ := d.policies.Get(cmp.Or(e.GetAttributeValue("pwdPolicySubentry"), d.cfg.DefaultPolicy))
	st := state(e, p, d.now())
	h := directory.Hit{
		ID: id, Directory: d.name, DN: e.DN,
		Login:    cmp.Or(e.GetAttributeValue("uid"), e.GetAttributeValue(d.cfg.LoginAttributes[0])),
		Name:     cmp.Or(e.GetAttributeValue("displayName"), e.GetAttributeValue("cn")),
		Disabled: st.Disabled, Locked: st.Locked,
	}
	if mail := ldapconn.Values(e, d.cfg.MailAttributes); len(mail) > 0 {
		h.Mail = mail[0]
	}
	return h, nil
}
