package portaltest

import (
	"errors"
	"fmt"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"postern/directory/directorytest"
)

// dialer opens raw connections to a directory.
type dialer struct {
	dial              func() (*ldap.Conn, error)
	service, password string
}

// dialect is how a directory finds people and writes passwords.
type dialect struct {
	base, filter string
	// write sets a password; with an old one it is a true change.
	write func(c *ldap.Conn, dn, old, next string) error
}

// hand is what a program without a portal would use for one worker: a
// connection of the service account and one for binds, both LDAPS and kept.
type hand struct {
	dialect
	service, binds *ldap.Conn
}

func (t *town) hand() (*hand, error) {
	h := &hand{dialect: t.dialect}
	var err error
	if h.service, err = t.dial.dial(); err != nil {
		return nil, err
	}
	if err = h.service.Bind(t.dial.service, t.dial.password); err == nil {
		h.binds, err = t.dial.dial()
	}
	if err != nil {
		return nil, errors.Join(err, h.service.Close())
	}
	return h, nil
}

func (h *hand) close() {
	h.service.Close()
	h.binds.Close()
}

// bound proves a password; the connection was bound as somebody else before.
func (h *hand) bound(dn, password string) error { return h.binds.Bind(dn, password) }

// change is the least a change of a known password asks of the directory: one
// search for who it is, one bind that proves it, one write.
func (h *hand) change(m *member, next string) error {
	res, err := h.service.Search(ldap.NewSearchRequest(h.base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 2, 0, false,
		fmt.Sprintf(h.filter, ldap.EscapeFilter(m.login)), []string{"uid", "cn", "mail", "memberOf"}, nil))
	if err != nil || len(res.Entries) != 1 {
		return fmt.Errorf("search %s: %w", m.login, errors.Join(err, errors.New("not exactly one")))
	}
	dn := res.Entries[0].DN
	if err := h.binds.Bind(dn, m.password); err != nil {
		return fmt.Errorf("bind %s: %w", m.login, err)
	}
	if err := h.write(h.service, dn, m.password, next); err != nil {
		return fmt.Errorf("change %s: %w", m.login, err)
	}
	m.old, m.password = m.password, next
	return nil
}

// set is the one write of a reset.
func (h *hand) set(m *member, next string) error {
	if err := h.write(h.service, m.dn, "", next); err != nil {
		return fmt.Errorf("set %s: %w", m.login, err)
	}
	m.old, m.password = m.password, next
	return nil
}

// passwordModify is RFC 3062.
func passwordModify(c *ldap.Conn, dn, old, next string) error {
	v := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
	for i, s := range []string{dn, old, next} {
		if s != "" {
			v.AppendChild(ber.NewString(ber.ClassContext, ber.TypePrimitive, ber.Tag(i), s, ""))
		}
	}
	_, err := c.Extended(ldap.NewExtendedRequest("1.3.6.1.4.1.4203.1.11.1", v))
	return err
}

// unicodePwd is MS-ADTS section 3.1.1.3.1.5.
func unicodePwd(c *ldap.Conn, dn, old, next string) error {
	m := ldap.NewModifyRequest(dn, nil)
	if old == "" {
		m.Replace("unicodePwd", []string{directorytest.QuoteAD(next)})
	} else {
		m.Delete("unicodePwd", []string{directorytest.QuoteAD(old)})
		m.Add("unicodePwd", []string{directorytest.QuoteAD(next)})
	}
	return c.Modify(m)
}
