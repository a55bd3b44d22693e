package ad

import (
	"context"
	"fmt"

	"postern/directory"
	"postern/directory/internal/ldapconn"
)

// Watch implements directory.Watcher in one base read of each domain controller:
// badPwdCount and badPasswordTime are not replicated (MS-ADA1, badPwdCount and
// badPasswordTime: FLAG_ATTR_NOT_REPLICATED), so that each knows only who came to itself.
//
// It needs the right to read pwdLastSet, lockoutTime, badPwdCount and badPasswordTime.
// Without the first the answer is ErrDenied. The last two may well be missing of an
// account that never came to a server, and a missing right cannot be told from that.
func (d *Directory) Watch(ctx context.Context, u directory.User) ([]directory.Sighting, error) {
	guid, err := d.guid(u)
	if err != nil {
		return nil, err
	}
	return d.client.Everywhere(ctx, func(c *ldapconn.Conn) (directory.Sighting, error) {
		e, err := read(c, guidDN(guid), "pwdLastSet", "lockoutTime", "badPwdCount", "badPasswordTime", attributeUACCompute, "msDS-ResultantPSO")
		if err != nil {
			return directory.Sighting{}, err
		}
		set := e.GetAttributeValue("pwdLastSet")
		if set == "" {
			return directory.Sighting{}, fmt.Errorf("%w: pwdLastSet of %s cannot be read", directory.ErrDenied, e.DN)
		}
		s := directory.Sighting{Locked: number(e, attributeUACCompute)&uacLockedOut != 0, BadPasswords: number(e, "badPwdCount"),
			LastBad: fileTime(e.GetAttributeValue("badPasswordTime")), PasswordSet: fileTime(set), MustChange: set == "0"}
		if !s.Locked {
			return s, nil
		}
		s.LockedAt = fileTime(e.GetAttributeValue("lockoutTime"))
		// Without the rules it only lacks its end.
		if rules, err := d.rules(c, e.GetAttributeValue("msDS-ResultantPSO")); err == nil && !s.LockedAt.IsZero() && rules.LockoutDuration > 0 {
			s.LockedUntil = s.LockedAt.Add(rules.LockoutDuration)
		}
		return s, nil
	})
}
