package openldap

import (
	"context"
	"fmt"
	"slices"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
	"postern/directory/internal/ldapconn"
)

// SetPassword implements directory.Directory with the password modify extended
// operation. With write on userPassword the policy's every rule holds for it too.
func (d *Directory) SetPassword(ctx context.Context, u directory.User, pw directory.Secret) error {
	if u.State.Disabled {
		// slapo-ppolicy deletes pwdAccountLockedTime with every new password, also the
		// one that means "until an administrator acts": a reset would enable the account.
		return errLockedForGood
	}
	return d.write(ctx, u, directory.Secret{}, pw)
}

// ChangePassword implements directory.Changer: the same operation with the old
// password, which the server verifies, through the service connection.
func (d *Directory) ChangePassword(ctx context.Context, u directory.User, old, pw directory.Secret) error {
	if old.Empty() {
		return directory.ErrWrongPassword
	}
	if u.State.Locked {
		// slapd verifies an old password without looking at the lockout, and a change
		// ends it: guessing could go on here after the account was locked.
		return &directory.BindDenied{Reason: "locked"}
	}
	return d.write(ctx, u, old, pw)
}

func (d *Directory) write(ctx context.Context, u directory.User, old, pw directory.Secret) error {
	if pw.Empty() {
		// Without newPasswd the server would invent one (RFC 3062 section 2).
		return &directory.Refusal{Rule: directory.RuleTooShort, Limit: 1}
	}
	err := d.client.Write(ctx, u.Server, func(c *ldapconn.Conn) error {
		dn, err := d.dn(c, u)
		if err != nil {
			return err
		}
		return c.Extended(passwordModify(dn, old, pw))
	})
	if _, answered := ldapconn.Answer(err); !answered {
		return err
	}
	// Without the rules the refusal lacks its number, and is still a refusal.
	rules, _ := d.Rules(ctx, u)
	return decodeWrite(err, rules, u, !old.Empty())
}

// dn is where u is now: as it was seen on this server a moment ago, or looked up
// again by entryUUID. A DN from a form or an old snapshot is never written to:
// somebody else's entry may stand there by now.
func (d *Directory) dn(c *ldapconn.Conn, u directory.User) (string, error) {
	id, err := d.uuid(u)
	if err != nil {
		return "", err
	}
	if s, ok := d.seen.Get(u.ID); ok && s.server == c.Server() && d.now().Sub(s.at) < snapshotFresh {
		return s.dn, nil
	}
	e, err := d.byUUID(c, id, "pwdPolicySubentry")
	if err != nil {
		return "", err
	}
	d.seen.Put(u.ID, snapshot{dn: e.DN, server: c.Server(), policy: e.GetAttributeValue("pwdPolicySubentry"), at: d.now()})
	return e.DN, nil
}

// Unlock implements directory.Unlocker: pwdAccountLockedTime goes, and slapd drops
// the counted failures with it. An account that is not locked is a success. What
// an administrator locked for good (000001010000Z) stays locked: ErrDenied.
func (d *Directory) Unlock(ctx context.Context, u directory.User) error {
	id, err := d.uuid(u)
	if err != nil {
		return err
	}
	err = d.client.Write(ctx, u.Server, func(c *ldapconn.Conn) error {
		dn, err := d.dn(c, u)
		if err != nil {
			return err
		}
		root, err := d.rootDSE(c)
		if err != nil {
			return err
		}
		req := ldap.NewModifyRequest(dn, nil)
		if root.assertion {
			filter, err := ldap.CompileFilter("(&(entryUUID=" + id + ")(!(pwdAccountLockedTime=" + lockedForGood + ")))")
			if err != nil {
				return err
			}
			req.Controls = append(req.Controls, ldap.NewControlString(oidAssertion, true, string(filter.Bytes())))
		} else if u.State.Disabled {
			return errLockedForGood
		}
		req.Delete("pwdAccountLockedTime", nil)
		return c.Modify(req)
	})
	switch ldapconn.Code(err) {
	case ldap.LDAPResultNoSuchAttribute:
		return nil
	case ldap.LDAPResultAssertionFailed:
		return errLockedForGood
	}
	return ldapconn.Wrap(err)
}

var errLockedForGood = fmt.Errorf("%w: an administrator locked the account for good, or it moved", directory.ErrDenied)

// RequireChange implements directory.Expirer: pwdReset becomes TRUE, which needs the
// right to write it. slapd looks at it only where the policy in force has pwdMustChange
// TRUE (slapo-ppolicy(5)), so without the overlay, without a policy, or under another
// one the answer is ErrUnsupported; as where the policy lets nobody change.
func (d *Directory) RequireChange(ctx context.Context, u directory.User) error {
	id, err := d.uuid(u)
	if err != nil {
		return err
	}
	err = d.client.Write(ctx, u.Server, func(c *ldapconn.Conn) error {
		root, err := d.rootDSE(c)
		if err != nil {
			return err
		}
		if !root.ppolicy {
			return fmt.Errorf("%w: the server has no password policy overlay", directory.ErrUnsupported)
		}
		e, err := d.byUUID(c, id, "pwdPolicySubentry")
		if err != nil {
			return err
		}
		p, err := d.policy(c, e.GetAttributeValue("pwdPolicySubentry"))
		switch {
		case err != nil:
			return err
		case !p.mustChange:
			return fmt.Errorf("%w: pwdMustChange is not set: %s", directory.ErrUnsupported, p.rules.Source)
		case !p.allowsChange:
			return fmt.Errorf("%w: the person may not change the password: %s", directory.ErrUnsupported, p.rules.Source)
		}
		req := ldap.NewModifyRequest(e.DN, nil)
		if root.assertion {
			// The entry may have moved since, and another may stand there (RFC 4528).
			filter, err := ldap.CompileFilter(ldapconn.AnyEqual(id, "entryUUID"))
			if err != nil {
				return err
			}
			req.Controls = append(req.Controls, ldap.NewControlString(oidAssertion, true, string(filter.Bytes())))
		}
		req.Replace("pwdReset", []string{"TRUE"})
		return c.Modify(req)
	})
	if ldapconn.Code(err) == ldap.LDAPResultUndefinedAttributeType {
		return fmt.Errorf("%w: %w", directory.ErrUnsupported, err)
	}
	return ldapconn.Wrap(err)
}

// Authenticate implements directory.Authenticator.
func (d *Directory) Authenticate(ctx context.Context, u directory.User, pw directory.Secret) error {
	if _, err := d.uuid(u); err != nil {
		return err
	}
	controls, err := d.client.Bind(ctx, u.Server, u.DN, pw, ldap.NewControlBeheraPasswordPolicy())
	return decodeBind(err, controls)
}

func (d *Directory) rootDSE(c *ldapconn.Conn) (root, error) {
	if r, ok := d.roots.Get(c.Server()); ok {
		return r, nil
	}
	e, err := read(c, "", "supportedControl")
	if err != nil {
		return root{}, unavailable(err, "reading the rootDSE")
	}
	controls := e.GetAttributeValues("supportedControl")
	r := root{assertion: slices.Contains(controls, oidAssertion), ppolicy: slices.Contains(controls, ldap.ControlTypeBeheraPasswordPolicy)}
	d.roots.Put(c.Server(), r)
	return r, nil
}
