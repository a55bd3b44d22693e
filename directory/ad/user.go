package ad

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
	"postern/directory/internal/ldapconn"
)

// Bits of userAccountControl and msDS-User-Account-Control-Computed (MS-ADTS
// sections 2.2.16 and 3.1.1.4.5.17).
const (
	uacDisabled         = 0x2
	uacLockedOut        = 0x10
	uacNeverExpires     = 0x10000
	uacPasswordExpired  = 0x800000
	normalUserAccount   = 805306368 // sAMAccountType SAM_NORMAL_USER_ACCOUNT
	attributeUACCompute = "msDS-User-Account-Control-Computed"
	attributeDescriptor = "nTSecurityDescriptor"
)

// computedAttributes exist in a base read only, but for the last, which is large and
// not worth asking for in a search.
var computedAttributes = []string{"tokenGroups", attributeUACCompute, "msDS-UserPasswordExpiryTimeComputed",
	"msDS-ResultantPSO", attributeDescriptor}

func (d *Directory) attributes() []string {
	a := []string{"objectGUID", "sAMAccountName", "userPrincipalName", "displayName", "cn", "givenName", "sn", "manager",
		"memberOf", "userAccountControl", "accountExpires", "pwdLastSet", "badPwdCount", "badPasswordTime",
		"lockoutTime", "adminCount", "objectSid", "sAMAccountType", "servicePrincipalName"}
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

// user makes the account of what was read: e has the stored attributes, computed
// the constructed ones.
func (d *Directory) user(c *ldapconn.Conn, guid string, e, computed *ldap.Entry) (directory.User, error) {
	login := e.GetAttributeValue("sAMAccountName")
	u := directory.User{
		ID:        d.id(guid),
		Directory: d.name,
		DN:        e.DN,
		Server:    c.Server(),
		Login:     login,
		UPN:       e.GetAttributeValue("userPrincipalName"),
		Name:      cmp.Or(e.GetAttributeValue("displayName"), e.GetAttributeValue("cn"), login),
		GivenName: e.GetAttributeValue("givenName"),
		Surname:   e.GetAttributeValue("sn"),
		Mail:      ldapconn.Values(e, d.cfg.MailAttributes),
		Phone:     ldapconn.Values(e, d.cfg.PhoneAttributes),
		Manager:   e.GetAttributeValue("manager"),
		SID:       sidOf(e),
	}
	if d.cfg.LanguageAttribute != "" {
		u.Language = e.GetAttributeValue(d.cfg.LanguageAttribute)
	}
	if d.cfg.LinkAttribute != "" {
		u.Link = directory.LinkOf(e.GetAttributeValues(d.cfg.LinkAttribute)...)
	}
	token, err := tokenGroups(computed)
	if err != nil {
		return u, unavailable(err, e.DN)
	}
	if u.Groups, err = d.groups(c, e.GetAttributeValues("memberOf"), token); err != nil {
		return u, err
	}
	configured, err := d.privilegedSIDs(c)
	if err != nil {
		return u, err
	}
	u.Privileged = privileged(e, token, u.Groups, configured, d.places)

	pso := computed.GetAttributeValue("msDS-ResultantPSO")
	rules, err := d.rules(c, pso)
	if err != nil {
		return u, err
	}
	d.psoOf.Put(u.ID, pso)
	u.State = state(e, computed, rules, d.now())
	return u, nil
}

func state(e, computed *ldap.Entry, rules directory.Rules, now time.Time) directory.State {
	get := e.GetAttributeValue
	flags := number(computed, attributeUACCompute)
	s := directory.State{
		Disabled:        number(e, "userAccountControl")&uacDisabled != 0,
		Locked:          flags&uacLockedOut != 0,
		PasswordExpired: flags&uacPasswordExpired != 0,
		MustChange:      get("pwdLastSet") == "0",
		PasswordSet:     fileTime(get("pwdLastSet")),
		PasswordExpires: fileTime(computed.GetAttributeValue("msDS-UserPasswordExpiryTimeComputed")),
	}
	if dacl, err := parseDACL(computed.GetRawAttributeValue(attributeDescriptor)); err == nil {
		s.CannotChange = cannotChange(dacl)
	}
	if t := fileTime(get("accountExpires")); !t.IsZero() && !t.After(now) {
		s.AccountExpired = true
	}
	if t := fileTime(get("lockoutTime")); s.Locked && !t.IsZero() {
		s.LockedAt = t
		if rules.LockoutDuration > 0 {
			s.LockedUntil = t.Add(rules.LockoutDuration)
		}
	}
	// badPwdCount stays as it was when the window is over; the next wrong password
	// starts again from one.
	last := fileTime(get("badPasswordTime"))
	if n := number(e, "badPwdCount"); n > 0 && (rules.LockoutWindow == 0 || last.Add(rules.LockoutWindow).After(now)) {
		s.BadPasswords, s.LastBad = n, last // of the others no time is kept
	}
	return s
}

// tokenGroups is every group the account is in, nested and primary too. Nothing
// else tells the whole truth: memberOf lacks the primary group, adminCount comes
// an hour late. Without it nobody can be cleared of being privileged.
func tokenGroups(e *ldap.Entry) ([]sid, error) {
	raw := e.GetRawAttributeValues("tokenGroups")
	if len(raw) == 0 {
		return nil, fmt.Errorf("tokenGroups cannot be read")
	}
	out := make([]sid, 0, len(raw))
	for _, b := range raw {
		s, err := newSID(b)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// groups names every group: the direct ones by DN, those known from the token by
// DN where the directory has one and by SID where it has not.
func (d *Directory) groups(c *ldapconn.Conn, direct []string, token []sid) ([]string, error) {
	out := slices.Clone(direct)
	var unknown []sid
	for _, s := range token {
		if _, ok := d.groupDN.Get(s); !ok {
			unknown = append(unknown, s)
		}
	}
	if err := d.nameGroups(c, unknown); err != nil {
		return nil, err
	}
	for _, s := range token {
		dn, _ := d.groupDN.Get(s)
		if dn == "" {
			dn = s.String()
		}
		if !slices.ContainsFunc(out, func(g string) bool { return strings.EqualFold(g, dn) }) {
			out = append(out, dn)
		}
	}
	return out, nil
}

// nameGroups asks for the DNs of groups seen for the first time in ten minutes.
func (d *Directory) nameGroups(c *ldapconn.Conn, sids []sid) error {
	for chunk := range slices.Chunk(sids, 100) {
		var filter strings.Builder
		filter.WriteString("(|")
		for _, s := range chunk {
			filter.WriteString("(objectSid=" + s.filterValue() + ")")
		}
		filter.WriteString(")")
		res, err := c.Search(ldap.NewSearchRequest(d.domainDN, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases,
			len(chunk)+1, 0, false, filter.String(), []string{"objectSid"}, nil))
		if err != nil {
			return unavailable(err, "naming groups")
		}
		for _, s := range chunk {
			d.groupDN.Put(s, "")
		}
		for _, e := range res.Entries {
			if s, err := newSID(e.GetRawAttributeValue("objectSid")); err == nil {
				d.groupDN.Put(s, e.DN)
			}
		}
	}
	return nil
}

// privilegedSIDs resolves the configured groups. One that cannot be resolved is an
// error and not nothing: its members would no longer be protected.
func (d *Directory) privilegedSIDs(c *ldapconn.Conn) (map[sid]string, error) {
	out := make(map[sid]string, len(d.cfg.PrivilegedGroups))
	for _, g := range d.cfg.PrivilegedGroups {
		s, err := parseSID(g)
		if err != nil {
			var ok bool
			if s, ok = d.groupSID.Get(g); !ok {
				e, err := read(c, g, "objectSid")
				if err != nil {
					return nil, unavailable(err, "privileged_groups: "+g)
				}
				if s, err = newSID(e.GetRawAttributeValue("objectSid")); err != nil {
					return nil, unavailable(err, "privileged_groups: "+g)
				}
				d.groupSID.Put(g, s)
			}
		}
		out[s] = g
	}
	return out, nil
}

// privilegedRIDs are the built-in groups whose members must never be touched, and
// whose ACL Active Directory itself rewrites (MS-ADTS section 3.1.1.6.1.2, plus
// those that can make themselves such).
var (
	privilegedDomainRIDs = map[uint32]string{
		512: "Domain Admins", 516: "Domain Controllers", 517: "Cert Publishers", 518: "Schema Admins",
		519: "Enterprise Admins", 520: "Group Policy Creator Owners", 521: "Read-only Domain Controllers",
		525: "Protected Users", 526: "Key Admins", 527: "Enterprise Key Admins",
	}
	privilegedBuiltinRIDs = map[uint32]string{
		544: "Administrators", 548: "Account Operators", 549: "Server Operators", 550: "Print Operators",
		551: "Backup Operators", 552: "Replicators",
	}
)

// builtinPrivilege is the name of the built-in group s is, when it is one of those.
func builtinPrivilege(s sid) string {
	switch rid, builtin, domain := s.rid(); {
	case domain:
		return privilegedDomainRIDs[rid]
	case builtin:
		return privilegedBuiltinRIDs[rid]
	}
	return ""
}

// privileged says why the account must not be touched, or nothing.
func privileged(e *ldap.Entry, token []sid, groups []string, configured map[sid]string, pl ldapconn.Places) string {
	for _, s := range token {
		if name := builtinPrivilege(s); name != "" {
			return "member of " + name
		}
		if g, ok := configured[s]; ok {
			return "member of " + g
		}
	}
	for _, g := range configured {
		// A distribution group is in no token.
		if slices.ContainsFunc(groups, func(have string) bool { return strings.EqualFold(have, g) }) {
			return "member of " + g
		}
	}
	if e.GetAttributeValue("adminCount") != "" && e.GetAttributeValue("adminCount") != "0" {
		return "adminCount is set"
	}
	if t := e.GetAttributeValue("sAMAccountType"); t != strconv.Itoa(normalUserAccount) {
		return "not an ordinary user account: sAMAccountType " + t
	}
	if strings.EqualFold(e.GetAttributeValue("sAMAccountName"), "krbtgt") {
		return "krbtgt"
	}
	if len(e.GetAttributeValues("servicePrincipalName")) > 0 {
		return "a service account: servicePrincipalName is set"
	}
	return pl.Refuse(e.DN)
}
