package openldap

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
	"postern/directory/internal/ldapconn"
)

var policyAttributes = []string{"pwdMinLength", "pwdMaxLength", "pwdInHistory", "pwdMinAge", "pwdMaxAge",
	"pwdCheckQuality", "pwdLockout", "pwdMaxFailure", "pwdLockoutDuration", "pwdFailureCountInterval", "pwdMustChange",
	"pwdAllowUserChange", "pwdGraceAuthNLimit"}

// policy is the Rules of one pwdPolicy entry and what else it says of an account.
type policy struct {
	rules        directory.Rules
	allowsChange bool
	mustChange   bool // pwdReset counts
}

// Rules implements directory.Directory. Within half a minute of a Find or Read of
// the same account it asks the directory nothing.
func (d *Directory) Rules(ctx context.Context, u directory.User) (directory.Rules, error) {
	var id string
	if u.ID != "" {
		var err error
		if id, err = d.uuid(u); err != nil {
			return directory.Rules{}, err
		}
	}
	var p policy
	err := d.client.Read(ctx, u.Server, func(c *ldapconn.Conn) error {
		at, known := d.seen.Get(u.ID)
		if !known && id != "" {
			e, err := d.byUUID(c, id, "pwdPolicySubentry")
			if err != nil {
				return err
			}
			at.policy = e.GetAttributeValue("pwdPolicySubentry")
		}
		var err error
		p, err = d.policy(c, at.policy)
		return err
	})
	return p.rules, ldapconn.Wrap(err)
}

// policy reads the policy in force for an entry whose pwdPolicySubentry is dn.
func (d *Directory) policy(c *ldapconn.Conn, dn string) (policy, error) {
	if dn == "" {
		dn = d.cfg.DefaultPolicy
	}
	if dn == "" {
		return policy{allowsChange: true, rules: directory.Rules{Source: "no policy configured"}}, nil
	}
	if p, ok := d.policies.Get(dn); ok {
		return p, nil
	}
	e, err := read(c, dn, policyAttributes...)
	var p policy
	switch {
	case err == nil:
		p = decodePolicy(e)
	case ldapconn.Code(err) == ldap.LDAPResultNoSuchObject, ldapconn.Code(err) == ldap.LDAPResultInsufficientAccessRights:
		p = policy{allowsChange: true, mustChange: true,
			rules: directory.Rules{Unreadable: dn, QualityCheck: true, Source: "ppolicy " + dn}}
	default:
		return policy{}, err
	}
	d.policies.Put(dn, p)
	return p, nil
}

func decodePolicy(e *ldap.Entry) policy {
	n := func(a string) int { v, _ := strconv.Atoi(e.GetAttributeValue(a)); return max(v, 0) }
	seconds := func(a string) time.Duration { return time.Duration(n(a)) * time.Second }
	is := func(a string) bool { return strings.EqualFold(e.GetAttributeValue(a), "TRUE") }
	r := directory.Rules{
		History: n("pwdInHistory"),
		// A service account with write is not a password administrator: its resets
		// go through every check (slapo-ppolicy(5), pwdInHistory).
		HistoryOnReset: true,
		MinAge:         seconds("pwdMinAge"),
		MaxAge:         seconds("pwdMaxAge"),
		// slapd removes pwdAccountLockedTime and pwdFailureTime when userPassword changes.
		ResetUnlocks: true,
		Source:       "ppolicy " + e.DN,
	}
	// The lengths are only looked at when the quality is checked.
	if n("pwdCheckQuality") > 0 {
		r.QualityCheck = true
		r.MinLength, r.MaxLength = n("pwdMinLength"), n("pwdMaxLength")
	}
	if is("pwdLockout") {
		r.LockoutThreshold = n("pwdMaxFailure")
		r.LockoutDuration = seconds("pwdLockoutDuration")
		r.LockoutWindow = seconds("pwdFailureCountInterval")
	}
	return policy{
		rules:        r,
		mustChange:   is("pwdMustChange"),
		allowsChange: !strings.EqualFold(e.GetAttributeValue("pwdAllowUserChange"), "FALSE"),
	}
}

// read fetches one entry by its name.
func read(c *ldapconn.Conn, dn string, attributes ...string) (*ldap.Entry, error) {
	res, err := c.Search(ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 0, false,
		"(objectClass=*)", attributes, nil))
	if err != nil {
		return nil, err
	}
	if len(res.Entries) != 1 {
		return nil, ldap.NewError(ldap.LDAPResultNoSuchObject, fmt.Errorf("%s was not returned", dn))
	}
	return res.Entries[0], nil
}
