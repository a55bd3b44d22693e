package openldap

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
	"postern/directory/internal/ldapconn"
)

// lockedForGood is pwdAccountLockedTime of an account that an administrator
// locked; slapd itself never writes it (slapo-ppolicy(5)).
const lockedForGood = "000001010000Z"

// attributes names the operational ones too: "*" would not bring them.
func (d *Directory) attributes() []string {
	a := []string{"entryUUID", "uid", "cn", "displayName", "givenName", "sn", "manager", "memberOf", "pwdAccountLockedTime",
		"pwdFailureTime", "pwdReset", "pwdChangedTime", "pwdPolicySubentry", "pwdStartTime", "pwdEndTime"}
	a = append(a, d.cfg.MailAttributes...)
	a = append(a, d.cfg.PhoneAttributes...)
	if d.cfg.LanguageAttribute != "" {
		a = append(a, d.cfg.LanguageAttribute)
	}
	if d.cfg.LinkAttribute != "" {
		a = append(a, d.cfg.LinkAttribute)
	}
	return a
}

func (d *Directory) user(c *ldapconn.Conn, e *ldap.Entry, protected *protected) (directory.User, error) {
	id, err := d.id(e)
	if err != nil {
		return directory.User{}, err
	}
	u := directory.User{
		ID:        id,
		Directory: d.name,
		DN:        e.DN,
		Server:    c.Server(),
		Login:     cmp.Or(e.GetAttributeValue("uid"), e.GetAttributeValue(d.cfg.LoginAttributes[0])),
		Name:      cmp.Or(e.GetAttributeValue("displayName"), e.GetAttributeValue("cn")),
		GivenName: e.GetAttributeValue("givenName"),
		Surname:   e.GetAttributeValue("sn"),
		Mail:      ldapconn.Values(e, d.cfg.MailAttributes),
		Phone:     ldapconn.Values(e, d.cfg.PhoneAttributes),
		Manager:   e.GetAttributeValue("manager"),
		Groups:    e.GetAttributeValues("memberOf"),
	}
	if d.cfg.LanguageAttribute != "" {
		u.Language = e.GetAttributeValue(d.cfg.LanguageAttribute)
	}
	if d.cfg.LinkAttribute != "" {
		u.Link = directory.LinkOf(e.GetAttributeValues(d.cfg.LinkAttribute)...)
	}
	if d.cfg.GroupBase != "" {
		more, err := d.groupsOf(c, e.DN, u.Login)
		if err != nil {
			return u, err
		}
		for _, g := range more {
			if !slices.ContainsFunc(u.Groups, func(have string) bool { return strings.EqualFold(have, g) }) {
				u.Groups = append(u.Groups, g)
			}
		}
	}
	u.Privileged = cmp.Or(protected.refuse(e.DN, e.GetAttributeValues("uid"), u.Groups), d.places.Refuse(e.DN))
	p, err := d.policy(c, e.GetAttributeValue("pwdPolicySubentry"))
	if err != nil {
		return u, err
	}
	d.seen.Put(u.ID, snapshot{dn: e.DN, server: c.Server(), policy: e.GetAttributeValue("pwdPolicySubentry"), at: d.now()})
	u.State = state(e, p, d.now())
	return u, nil
}

// state reads the operational attributes of slapo-ppolicy(5).
func state(e *ldap.Entry, p policy, now time.Time) directory.State {
	get := e.GetAttributeValue
	s := directory.State{
		MustChange:   p.mustChange && strings.EqualFold(get("pwdReset"), "TRUE"),
		CannotChange: !p.allowsChange,
	}
	s.PasswordSet, _ = ldapconn.ParseTime(get("pwdChangedTime"))
	if p.rules.MaxAge > 0 && !s.PasswordSet.IsZero() {
		s.PasswordExpires = s.PasswordSet.Add(p.rules.MaxAge)
		s.PasswordExpired = !s.PasswordExpires.After(now)
	}
	if locked := get("pwdAccountLockedTime"); locked == lockedForGood {
		// An administrator meant it: self-service must not undo it, so it counts as
		// disabled, not only as locked.
		s.Locked, s.Disabled = true, true
	} else if locked != "" {
		at, ok := ldapconn.ParseTime(locked)
		switch {
		case !ok || p.rules.LockoutDuration == 0:
			s.Locked, s.LockedAt = true, at
		case at.Add(p.rules.LockoutDuration).After(now):
			s.Locked, s.LockedAt, s.LockedUntil = true, at, at.Add(p.rules.LockoutDuration)
		}
	}
	for _, failure := range e.GetAttributeValues("pwdFailureTime") {
		at, ok := ldapconn.ParseTime(failure)
		if !ok || p.rules.LockoutWindow == 0 || at.Add(p.rules.LockoutWindow).After(now) {
			s.BadPasswords++
			if ok && (s.FirstBad.IsZero() || at.Before(s.FirstBad)) {
				s.FirstBad = at
			}
			if ok && at.After(s.LastBad) {
				s.LastBad = at
			}
		}
	}
	if end, ok := ldapconn.ParseTime(get("pwdEndTime")); ok && !end.After(now) {
		s.AccountExpired = true
	}
	if start, ok := ldapconn.ParseTime(get("pwdStartTime")); ok && start.After(now) {
		s.Disabled = true
	}
	return s
}
