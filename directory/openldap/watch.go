package openldap

import (
	"context"

	"postern/directory"
	"postern/directory/internal/ldapconn"
)

// Watch implements directory.Watcher in one search of each server: a consumer keeps
// the failed binds that came to itself, unless ppolicy_forward_updates is set
// (slapo-ppolicy(5)). A right password makes a server forget them.
//
// It needs the right to read pwdChangedTime, pwdReset, pwdAccountLockedTime and
// pwdFailureTime. Without it they look as if they were not set: Examine reads the
// access that there is.
func (d *Directory) Watch(ctx context.Context, u directory.User) ([]directory.Sighting, error) {
	id, err := d.uuid(u)
	if err != nil {
		return nil, err
	}
	return d.client.Everywhere(ctx, func(c *ldapconn.Conn) (directory.Sighting, error) {
		e, err := d.byUUID(c, id, "pwdAccountLockedTime", "pwdFailureTime", "pwdChangedTime", "pwdReset", "pwdPolicySubentry")
		if err != nil {
			return directory.Sighting{}, err
		}
		p, err := d.policy(c, e.GetAttributeValue("pwdPolicySubentry"))
		if err != nil {
			return directory.Sighting{}, err
		}
		st := state(e, p, d.now())
		s := directory.Sighting{Locked: st.Locked, LockedUntil: st.LockedUntil, BadPasswords: len(e.GetAttributeValues("pwdFailureTime")),
			PasswordSet: st.PasswordSet, MustChange: st.MustChange}
		if st.Locked {
			s.LockedAt, _ = ldapconn.ParseTime(e.GetAttributeValue("pwdAccountLockedTime"))
		}
		for _, f := range e.GetAttributeValues("pwdFailureTime") {
			if at, ok := ldapconn.ParseTime(f); ok && at.After(s.LastBad) {
				s.LastBad = at
			}
		}
		return s, nil
	})
}
