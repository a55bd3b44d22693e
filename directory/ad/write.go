package ad

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
	"postern/directory/internal/ldapconn"
)

// policyHints is the control LDAP_SERVER_POLICY_HINTS: SEQUENCE { INTEGER 1 }.
func policyHints(oid string) ldap.Control {
	return ldap.NewControlString(oid, true, "\x30\x03\x02\x01\x01")
}

// pin is the server to ask about u: the one that wrote to it last, while others may
// not have heard of it yet, else the one u was read on.
func (d *Directory) pin(u directory.User) string {
	if s, ok := d.wrote.Get(u.ID); ok {
		return s
	}
	return u.Server
}

// write runs fn, which makes one change to u, at a writable domain controller: the one
// of the case unless that is read-only. A read-only one is not sent the change at all,
// which may hold a password that it is not meant to know.
func (d *Directory) write(ctx context.Context, u directory.User, fn func(*ldapconn.Conn, root) error) error {
	pin := d.pin(u)
	if r, ok := d.roots.Get(pin); ok && r.readOnly {
		pin = ""
	}
	var at string
	err := d.client.Write(ctx, pin, func(c *ldapconn.Conn) error {
		r, err := d.rootDSE(c)
		if err != nil {
			return err
		}
		if r.readOnly {
			return ldapconn.ErrReadOnly
		}
		at = c.Server()
		return fn(c, r)
	})
	if err == nil || errors.Is(err, directory.ErrUncertain) {
		d.wrote.Put(u.ID, at)
	}
	return err
}

// SetPassword implements directory.Directory: one replace of unicodePwd. Where
// the server lists the policy hints control the history holds too; elsewhere it
// does not, and Rules says so.
func (d *Directory) SetPassword(ctx context.Context, u directory.User, pw directory.Secret) error {
	guid, err := d.guid(u)
	if err != nil {
		return err
	}
	if !utf8.ValidString(pw.Reveal()) {
		return notText
	}
	err = d.write(ctx, u, func(c *ldapconn.Conn, root root) error {
		req := ldap.NewModifyRequest(guidDN(guid), nil)
		if root.policyHints != "" {
			req.Controls = append(req.Controls, policyHints(root.policyHints))
		}
		req.Replace("unicodePwd", []string{encodePassword(pw)})
		return c.Modify(req)
	})
	return d.writeAnswer(ctx, err, attempt{password: pw, user: u})
}

// ChangePassword implements directory.Changer: delete of the old value and add of
// the new one in one Modify (MS-ADTS section 3.1.1.3.1.5.1), through the service
// account, so that it works for somebody who may not bind.
func (d *Directory) ChangePassword(ctx context.Context, u directory.User, old, pw directory.Secret) error {
	guid, err := d.guid(u)
	if err != nil {
		return err
	}
	if old.Empty() || !utf8.ValidString(old.Reveal()) {
		return directory.ErrWrongPassword
	}
	if !utf8.ValidString(pw.Reveal()) {
		return notText
	}
	err = d.write(ctx, u, func(c *ldapconn.Conn, _ root) error {
		req := ldap.NewModifyRequest(guidDN(guid), nil)
		req.Delete("unicodePwd", []string{encodePassword(old)})
		req.Add("unicodePwd", []string{encodePassword(pw)})
		return c.Modify(req)
	})
	return d.writeAnswer(ctx, err, attempt{change: true, password: pw, user: u})
}

// notText refuses what has no UTF-16 form: another password than the one typed
// would be set.
var notText = &directory.Refusal{Rule: directory.RuleNotAllowed, Text: "not valid UTF-8"}

// writeAnswer adds the rules in force to a refusal that needs them.
func (d *Directory) writeAnswer(ctx context.Context, err error, a attempt) error {
	if _, answered := ldapconn.Answer(err); !answered {
		return err
	}
	var unread error
	if a.rules, unread = d.Rules(ctx, a.user); unread != nil {
		// The reading is coarser then, and still a refusal.
		a.rules.Unreadable = unread.Error()
	}
	a.now = d.now()
	return decodeWrite(err, a)
}

// Unlock implements directory.Unlocker: lockoutTime becomes 0 and nothing else is
// touched (MS-SAMR section 3.1.1.8.3).
func (d *Directory) Unlock(ctx context.Context, u directory.User) error {
	guid, err := d.guid(u)
	if err != nil {
		return err
	}
	err = d.write(ctx, u, func(c *ldapconn.Conn, _ root) error {
		req := ldap.NewModifyRequest(guidDN(guid), nil)
		req.Replace("lockoutTime", []string{"0"})
		return c.Modify(req)
	})
	return ldapconn.Wrap(err)
}

// RequireChange implements directory.Expirer: pwdLastSet becomes 0, which needs the
// right to write it. Where the password never expires nobody would be asked (Microsoft,
// "Pwd-Last-Set attribute"; MS-ADTS section 2.2.16), and who may not change it could not
// sign in again.
func (d *Directory) RequireChange(ctx context.Context, u directory.User) error {
	guid, err := d.guid(u)
	if err != nil {
		return err
	}
	err = d.write(ctx, u, func(c *ldapconn.Conn, _ root) error {
		// Read where it is written, and not believed of a snapshot.
		e, err := read(c, guidDN(guid), "userAccountControl", attributeDescriptor)
		if err != nil {
			return err
		}
		if e.GetAttributeValue("userAccountControl") == "" {
			return fmt.Errorf("%w: userAccountControl of %s cannot be read", directory.ErrUnavailable, e.DN)
		}
		if number(e, "userAccountControl")&uacNeverExpires != 0 {
			return fmt.Errorf("%w: the password is set never to expire (userAccountControl)", directory.ErrUnsupported)
		}
		if dacl, err := parseDACL(e.GetRawAttributeValue(attributeDescriptor)); err == nil && cannotChange(dacl) {
			return fmt.Errorf("%w: the person may not change the password", directory.ErrUnsupported)
		}
		req := ldap.NewModifyRequest(guidDN(guid), nil)
		req.Replace("pwdLastSet", []string{"0"})
		return c.Modify(req)
	})
	return ldapconn.Wrap(err)
}

// Authenticate implements directory.Authenticator.
func (d *Directory) Authenticate(ctx context.Context, u directory.User, pw directory.Secret) error {
	if _, err := d.guid(u); err != nil {
		return err
	}
	_, err := d.client.Bind(ctx, d.pin(u), u.DN, pw)
	return decodeBind(err)
}
