package embedded

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
	"github.com/jimlambrt/gldap"
)

const (
	domain   = "example.org"
	netbios  = "EXAMPLE"
	baseDN   = "DC=example,DC=org"
	peopleDN = "OU=People," + baseDN
	groupsDN = "OU=Groups," + baseDN
	usersDN  = "CN=Users," + baseDN
	svcLogin = "svc-postern"
	svcDN    = "CN=" + svcLogin + ",OU=Services," + baseDN
	svcRID   = 1100
	psoDN    = "CN=Password Settings Container,CN=System," + baseDN
)

// entry is one object as it is searched and shown: attribute names in AD's
// spelling, values as they go on the wire.
type entry struct {
	dn    string
	attrs map[string][]string
	// constructed are attributes that AD computes and shows only when they are
	// asked for by name and, but for one, only in a base search (MS-ADTS 3.1.1.4.5).
	constructed map[string][]string
	account     *account // whose constructed attributes are made when they are looked at
	parsed      *ldap.DN // in an index
}

// byteValued are the attributes whose values are bytes, compared exactly.
var byteValued = map[string]bool{"objectguid": true, "objectsid": true, "tokengroups": true, "ntsecuritydescriptor": true}

// dnValued are the attributes whose values are DNs.
var dnValued = map[string]bool{"memberof": true, "member": true, "manager": true, "distinguishedname": true}

// get returns the values of an attribute, whatever the case of its name.
func (e *entry) get(name string) []string {
	if v, ok := e.attrs[name]; ok {
		return v // mostly it is spelled as in AD
	}
	for n, v := range e.attrs {
		if strings.EqualFold(n, name) {
			return v
		}
	}
	return nil
}

func (d *data) fixed() []string {
	dns := []string{peopleDN, groupsDN, usersDN, "OU=Services," + baseDN, svcDN, psoDN}
	for name := range d.Groups {
		dns = append(dns, groupDN(name))
	}
	return dns
}

func groupDN(name string) string {
	if name == DomainAdmins || name == DomainUsers {
		return "CN=" + name + "," + usersDN
	}
	return "CN=" + escapeDN(name) + "," + groupsDN
}

// allGroups are the groups of a, nested ones too, its primary group among them.
func (d *data) allGroups(a *account) []string {
	groups := append([]string{a.PrimaryGroup}, a.Groups...)
	for i := 0; i < len(groups); i++ { // grows while it is walked
		for _, parent := range d.Nested[groups[i]] {
			if !slices.Contains(groups, parent) {
				groups = append(groups, parent)
			}
		}
	}
	return groups
}

func (d *data) sid(rid uint32) sid { return sid{d.Domain, rid} }

const (
	uacDisabled        = 0x2
	uacLocked          = 0x10
	uacNormal          = 0x200
	uacNeverExpires    = 0x10000
	uacPasswordExpired = 0x800000
	never              = "9223372036854775807"

	// attrComputed is shown in searches of any scope (tried on Samba 4.17).
	attrComputed = "msDS-User-Account-Control-Computed"
)

// accountEntry is what is stored of a; constructed makes the rest.
func (d *data) accountEntry(a *account, manager string) *entry {
	uac := uacNormal
	if a.Disabled {
		uac |= uacDisabled
	}
	if a.NeverExpires {
		uac |= uacNeverExpires
	}
	accountExpires := never
	if !a.Expires.IsZero() {
		accountExpires = fileTime(a.Expires)
	}
	var memberOf []string
	for _, g := range a.Groups {
		memberOf = append(memberOf, groupDN(g))
	}
	e := &entry{dn: a.DN, account: a, attrs: map[string][]string{
		"objectClass": {"top", "person", "organizationalPerson", "user"}, "cn": {a.Login}, "name": {a.Login},
		"distinguishedName": {a.DN}, "objectCategory": {"CN=Person,CN=Schema,CN=Configuration," + baseDN},
		"objectGUID": {a.GUID.bytes()}, "objectSid": {d.sid(a.RID).bytes()},
		"sAMAccountName": {a.Login}, "sAMAccountType": {"805306368"}, "userPrincipalName": {a.upn()},
		"userAccountControl": {strconv.Itoa(uac)}, "primaryGroupID": {strconv.Itoa(int(d.Groups[a.PrimaryGroup]))},
		"displayName": {a.Name}, "givenName": {a.Given}, "sn": {a.Surname}, "mail": {a.Mail}, "mobile": {a.Phone},
		"employeeID":        {a.Employee},
		"preferredLanguage": {a.Language}, "memberOf": memberOf,
		"pwdLastSet": {fileTime(a.PasswordSet)}, "badPwdCount": {strconv.Itoa(a.Failures)},
		"badPasswordTime": {fileTime(a.FailedAt)}, "lockoutTime": {fileTime(a.LockedAt)}, "accountExpires": {accountExpires},
		"whenCreated": {a.Created.UTC().Format("20060102150405.0Z")},
		"manager":     {manager},
	}}
	if a.Protected {
		e.attrs["adminCount"] = []string{"1"}
	}
	for name, values := range e.attrs {
		if len(values) == 1 && values[0] == "" {
			delete(e.attrs, name) // an attribute has values or is not there
		}
	}
	return e
}

// constructed is what AD computes of a at the moment it is asked.
func (d *data) constructed(a *account, p policy, now time.Time) map[string][]string {
	computed := 0
	if a.locked(p, now) {
		computed |= uacLocked
	}
	if a.mustChange() || a.passwordExpired(p, now) {
		computed |= uacPasswordExpired
	}
	expiry := "0"
	switch {
	case a.NeverExpires:
		expiry = never
	case !a.mustChange():
		expiry = fileTime(a.PasswordSet.Add(p.maxAge))
	}
	var tokens []string
	for _, g := range d.allGroups(a) {
		tokens = append(tokens, d.sid(d.Groups[g]).bytes())
	}
	c := map[string][]string{
		"tokenGroups":                         tokens,
		attrComputed:                          {strconv.Itoa(computed)},
		"msDS-UserPasswordExpiryTimeComputed": {expiry},
		"nTSecurityDescriptor":                {d.descriptor(a.Protected)},
	}
	if !a.Protected {
		c["allowedAttributesEffective"] = []string{"lockoutTime", "pwdLastSet"}
	}
	return c
}

// entries is everything that is no person, the head first.
func (d *data) entries(p policy) []*entry {
	all := []*entry{d.head(p)}
	plain := func(dn, class, rdn string) {
		all = append(all, &entry{dn: dn, attrs: map[string][]string{"objectClass": {"top", class}, "distinguishedName": {dn},
			"name": {rdn}, "objectGUID": {d.GUIDs[dn].bytes()}}})
	}
	plain(peopleDN, "organizationalUnit", "People")
	plain(groupsDN, "organizationalUnit", "Groups")
	plain("OU=Services,"+baseDN, "organizationalUnit", "Services")
	plain(usersDN, "container", "Users")
	plain(psoDN, "msDS-PasswordSettingsContainer", "Password Settings Container")
	all = append(all, d.serviceEntry())
	for _, name := range slices.Sorted(maps.Keys(d.Groups)) {
		all = append(all, d.groupEntry(name, d.Groups[name]))
	}
	return all
}

func (d *data) serviceEntry() *entry {
	return &entry{dn: svcDN, attrs: map[string][]string{
		"objectClass": {"top", "person", "organizationalPerson", "user"}, "cn": {svcLogin}, "distinguishedName": {svcDN},
		"objectGUID": {d.GUIDs[svcDN].bytes()}, "objectSid": {d.sid(svcRID).bytes()}, "sAMAccountName": {svcLogin},
		"sAMAccountType": {"805306368"}, "userPrincipalName": {svcLogin + "@" + domain}, "userAccountControl": {"66048"},
		"primaryGroupID": {"513"},
	}, constructed: map[string][]string{
		"tokenGroups":                         {d.sid(513).bytes()},
		attrComputed:                          {"0"},
		"msDS-UserPasswordExpiryTimeComputed": {never},
	}}
}

func (d *data) groupEntry(name string, rid uint32) *entry {
	dn := groupDN(name)
	var members, memberOf []string
	for _, a := range d.Accounts {
		if slices.Contains(a.Groups, name) {
			members = append(members, a.DN)
		}
	}
	for child, parents := range d.Nested {
		if slices.Contains(parents, name) {
			members = append(members, groupDN(child))
		}
	}
	for _, parent := range d.Nested[name] {
		memberOf = append(memberOf, groupDN(parent))
	}
	return &entry{dn: dn, attrs: map[string][]string{
		"objectClass": {"top", "group"}, "cn": {name}, "name": {name}, "distinguishedName": {dn}, "sAMAccountName": {name},
		"sAMAccountType": {"268435456"}, "groupType": {"-2147483646"}, "objectGUID": {d.GUIDs[dn].bytes()},
		"objectSid": {d.sid(rid).bytes()}, "member": members, "memberOf": memberOf,
	}}
}

// head is the domain itself, with the password policy (MS-ADTS 3.1.1.5.2.2, MS-SAMR 3.1.1.6).
func (d *data) head(p policy) *entry {
	domainSID := d.sid(0).bytes()
	domainSID = "\x01\x04" + domainSID[2:len(domainSID)-4] // one number less than an account's
	return &entry{dn: baseDN, attrs: map[string][]string{
		"objectClass": {"top", "domain", "domainDNS"}, "distinguishedName": {baseDN}, "dc": {"example"},
		"objectGUID": {d.GUIDs[baseDN].bytes()}, "objectSid": {domainSID},
		"minPwdLength": {strconv.Itoa(p.minLength)}, "pwdProperties": {"1"}, "pwdHistoryLength": {strconv.Itoa(p.history)},
		"minPwdAge": {interval(p.minAge)}, "maxPwdAge": {interval(p.maxAge)},
		"lockoutThreshold": {strconv.Itoa(p.threshold)}, "lockoutDuration": {interval(p.lockoutDuration)},
		"lockOutObservationWindow": {interval(p.window)},
	}, constructed: map[string][]string{"nTSecurityDescriptor": {d.descriptor(false)}}}
}

const (
	oidSDFlags        = "1.2.840.113556.1.4.801"
	oidPolicyHints    = "1.2.840.113556.1.4.2239"
	oidPolicyHintsOld = "1.2.840.113556.1.4.2066"
	oidPaging         = gldap.ControlTypePaging
)

func rootDSE(now time.Time) *entry {
	return &entry{dn: "", attrs: map[string][]string{
		"objectClass": {"top"}, "supportedLDAPVersion": {"3"}, "namingContexts": {baseDN}, "defaultNamingContext": {baseDN},
		"rootDomainNamingContext": {baseDN}, "dnsHostName": {"localhost"}, "isGlobalCatalogReady": {"FALSE"},
		"currentTime":      {now.UTC().Format("20060102150405.0Z")},
		"supportedControl": {oidSDFlags, oidPolicyHints, oidPolicyHintsOld, oidPaging},
		"supportedCapabilities": {"1.2.840.113556.1.4.800", "1.2.840.113556.1.4.1670", "1.2.840.113556.1.4.1791",
			"1.2.840.113556.1.4.1935", "1.2.840.113556.1.4.2080"}, // Active Directory, Windows Server 2008 R2 behaviour
		"domainFunctionality": {"7"}, "forestFunctionality": {"7"}, "domainControllerFunctionality": {"7"},
	}}
}

// fileTime is AD's time: 100 ns since 1601 UTC, 0 for "not set".
func fileTime(t time.Time) string {
	if t.IsZero() {
		return "0"
	}
	return strconv.FormatInt(t.Unix()*1e7+int64(t.Nanosecond()/100)+116444736000000000, 10)
}

// interval is AD's length of time: negative, in 100 ns; 0 is "none".
func interval(d time.Duration) string { return strconv.FormatInt(-int64(d/100), 10) }
