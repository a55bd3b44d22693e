package directorytest

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
)

func (s *Server) populate(c *ldap.Conn) error {
	entry := func(dn, class string, attrs map[string][]string) error {
		add := ldap.NewAddRequest(dn, nil)
		add.Attribute("objectClass", strings.Split(class, " "))
		for k, v := range attrs {
			add.Attribute(k, v)
		}
		if err := c.Add(add); err != nil {
			return fmt.Errorf("directorytest: add %s: %w", dn, err)
		}
		return nil
	}
	strong := s.Policy
	strong.MinLength = StrongLength
	for _, e := range []struct {
		dn, class string
		attrs     map[string][]string
	}{
		{s.BaseDN, "dcObject organization", map[string][]string{"o": {"Example"}}},
		{s.PeopleDN, "organizationalUnit", nil},
		{s.GroupsDN, "organizationalUnit", nil},
		{"ou=services," + s.BaseDN, "organizationalUnit", nil},
		{"ou=policies," + s.BaseDN, "organizationalUnit", nil},
		{s.PolicyDN, "applicationProcess pwdPolicy", ppolicy(s.Policy)},
		{"cn=strong,ou=policies," + s.BaseDN, "applicationProcess pwdPolicy", ppolicy(strong)},
		{s.ServiceDN, "applicationProcess simpleSecurityObject", map[string][]string{"userPassword": {s.ServicePassword}}},
		{s.MonitorDN, "applicationProcess simpleSecurityObject", map[string][]string{"userPassword": {s.MonitorPassword}}},
	} {
		if err := entry(e.dn, e.class, e.attrs); err != nil {
			return err
		}
	}
	for _, p := range s.People {
		if err := addInetOrgPerson(c, p); err != nil {
			return fmt.Errorf("directorytest: add %s: %w", p.DN, err)
		}
	}
	dn := func(login string) string { return s.Person(login).DN }
	group := func(name string, members ...string) error {
		return entry("cn="+name+","+s.GroupsDN, "groupOfNames", map[string][]string{"member": members})
	}
	if err := group(TechGroup, dn("tech1"), dn("tech2")); err != nil {
		return err
	}
	if err := group("Inner Ring", dn("nested1")); err != nil {
		return err
	}
	if err := group("Middle Ring", "cn=Inner Ring,"+s.GroupsDN); err != nil {
		return err
	}
	if err := group(AdminGroup, dn("admin1"), "cn=Middle Ring,"+s.GroupsDN); err != nil {
		return err
	}
	return s.states(c)
}

func (s *Server) states(c *ldap.Conn) error {
	dn := func(login string) string { return s.Person(login).DN }
	for _, st := range []struct{ dn, attr, value string }{
		{dn("strong1"), "pwdPolicySubentry", "cn=strong,ou=policies," + s.BaseDN},
		{dn("mustchange1"), "pwdReset", "TRUE"},
		// "locked until an administrator acts" is how ppolicy disables somebody.
		{dn("disabled1"), "pwdAccountLockedTime", "000001010000Z"},
	} {
		m := ldap.NewModifyRequest(st.dn, nil)
		m.Replace(st.attr, []string{st.value})
		if err := c.Modify(m); err != nil {
			return fmt.Errorf("directorytest: %s of %s: %w", st.attr, st.dn, err)
		}
	}
	return expire(c, dn("expired1"))
}

// AddPolicy makes one more password policy and puts people (DNs) under it.
func (s *Server) AddPolicy(name string, policy Policy, appliesTo ...string) error {
	return s.addPolicy(name, ppolicy(policy), appliesTo...)
}

// AddPolicyOf is AddPolicy with some attributes of the server's own (slapo-ppolicy(5))
// instead of the usual ones.
func (s *Server) AddPolicyOf(name string, attrs map[string]string, appliesTo ...string) error {
	all := ppolicy(s.Policy)
	for k, v := range attrs {
		all[k] = []string{v}
	}
	return s.addPolicy(name, all, appliesTo...)
}

func (s *Server) addPolicy(name string, attrs map[string][]string, appliesTo ...string) error {
	dn := "cn=" + escapeRDN(name) + ",ou=policies," + s.BaseDN
	return s.asRoot(func(c *ldap.Conn) error {
		add := ldap.NewAddRequest(dn, nil)
		add.Attribute("objectClass", []string{"applicationProcess", "pwdPolicy"})
		for k, v := range attrs {
			add.Attribute(k, v)
		}
		if err := c.Add(add); err != nil {
			return err
		}
		for _, person := range appliesTo {
			m := ldap.NewModifyRequest(person, nil)
			m.Replace("pwdPolicySubentry", []string{dn})
			if err := c.Modify(m); err != nil {
				return err
			}
		}
		return nil
	})
}

func ppolicy(p Policy) map[string][]string {
	one := func(v string) []string { return []string{v} }
	secs := func(d time.Duration) []string { return one(strconv.Itoa(int(d / time.Second))) }
	return map[string][]string{
		"pwdAttribute": one("userPassword"), "pwdMinLength": one(strconv.Itoa(p.MinLength)), "pwdInHistory": one(strconv.Itoa(p.History)),
		"pwdCheckQuality": one("2"), "pwdLockout": one("TRUE"), "pwdMaxFailure": one(strconv.Itoa(p.Lockout)),
		"pwdLockoutDuration": secs(30 * time.Minute), "pwdFailureCountInterval": secs(30 * time.Minute),
		"pwdMaxAge": secs(42 * 24 * time.Hour), "pwdMinAge": secs(time.Duration(p.MinAgeDays) * 24 * time.Hour),
		"pwdMustChange": one("TRUE"), "pwdAllowUserChange": one("TRUE"), "pwdSafeModify": one("FALSE"),
	}
}

// relax lets the administrator write attributes that the server keeps for
// itself (draft-zeilenga-ldap-relax).
const relax = "1.3.6.1.4.1.4203.666.5.12"

func expire(c *ldap.Conn, dn string) error {
	m := ldap.NewModifyRequest(dn, []ldap.Control{ldap.NewControlString(relax, true, "")})
	m.Replace("pwdChangedTime", []string{"20220601000000Z"})
	if err := c.Modify(m); err != nil {
		return fmt.Errorf("directorytest: expire %s: %w", dn, err)
	}
	return nil
}

func addInetOrgPerson(c *ldap.Conn, p Person) error {
	add := ldap.NewAddRequest(p.DN, nil)
	add.Attribute("objectClass", []string{"inetOrgPerson"})
	if p.Surname == "" {
		p.Surname = p.Login // sn is mandatory
	}
	for attr, value := range map[string]string{
		"cn": p.Name, "sn": p.Surname, "givenName": p.Given, "displayName": p.Name, "mail": p.Mail, "mobile": p.Phone,
		"employeeNumber": p.Employee,
		"manager":        p.Manager, "userPassword": p.Password,
	} {
		if value != "" {
			add.Attribute(attr, []string{value})
		}
	}
	return c.Add(add)
}

// AddUser makes an ordinary person in PeopleDN; Login and Password are needed.
func (s *Server) AddUser(p Person) (Person, error) {
	if p.Login == "" || p.Password == "" {
		return p, errNoPerson
	}
	p = p.complete("example.org")
	p.UPN = ""
	if p.DN == "" {
		p.DN = "uid=" + escapeRDN(p.Login) + "," + s.PeopleDN
	}
	return p, s.asRoot(func(c *ldap.Conn) error { return addInetOrgPerson(c, p) })
}

// AddUsers is AddUser for many, on one connection.
func (s *Server) AddUsers(people []Person) error {
	return s.asRoot(func(c *ldap.Conn) error {
		for _, p := range people {
			p = p.complete("example.org")
			p.DN = "uid=" + escapeRDN(p.Login) + "," + s.PeopleDN
			if err := addInetOrgPerson(c, p); err != nil {
				return fmt.Errorf("directorytest: add %s: %w", p.DN, err)
			}
		}
		return nil
	})
}

func (s *Server) asRoot(f func(*ldap.Conn) error) error { return s.as(s.RootDN, s.RootPassword, f) }

// Modify makes one change as the database's administrator.
func (s *Server) Modify(m *ldap.ModifyRequest) error {
	return s.asRoot(func(c *ldap.Conn) error { return c.Modify(m) })
}

// Entry reads an entry as the database's administrator; "+" names the operational attributes.
func (s *Server) Entry(dn string, attrs ...string) (e *ldap.Entry, err error) {
	return e, s.asRoot(func(c *ldap.Conn) error {
		e, err = readEntry(c, dn, attrs...)
		return err
	})
}

// Add makes an entry of any kind as the database's administrator.
func (s *Server) Add(dn string, attrs map[string][]string) error {
	add := ldap.NewAddRequest(dn, nil)
	for attr, values := range attrs {
		add.Attribute(attr, values)
	}
	return s.asRoot(func(c *ldap.Conn) error { return c.Add(add) })
}

// Delete removes an entry.
func (s *Server) Delete(dn string) error {
	return s.asRoot(func(c *ldap.Conn) error { return c.Del(ldap.NewDelRequest(dn, nil)) })
}

// Logins are the uids of whom a filter finds in PeopleDN, as the database's
// administrator sees them.
func (s *Server) Logins(filter string) (logins []string, err error) {
	return logins, s.asRoot(func(c *ldap.Conn) error {
		logins, err = valuesOf(c, s.PeopleDN, filter, "uid")
		return err
	})
}

func (s *Server) dn(login string) string {
	if strings.Contains(login, "=") {
		return login
	}
	return "uid=" + escapeRDN(login) + "," + s.PeopleDN
}

// Lock locks a person by wrong passwords.
func (s *Server) Lock(login string) error {
	for range s.Policy.Lockout {
		if err := s.Bind(s.dn(login), "not-the-password-1"); !ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) {
			return fmt.Errorf("directorytest: lock %s: %v", login, err)
		}
	}
	return nil
}

// MustChange makes a person choose a new password at the next sign-in.
func (s *Server) MustChange(login string) error { return s.set(login, "pwdReset", "TRUE") }

// Disable locks a person until an administrator acts.
func (s *Server) Disable(login string) error {
	return s.set(login, "pwdAccountLockedTime", "000001010000Z")
}

// Expire makes a person's password very old.
func (s *Server) Expire(_ context.Context, login string) error {
	return s.asRoot(func(c *ldap.Conn) error { return expire(c, s.dn(login)) })
}

func (s *Server) set(login, attr, value string) error {
	m := ldap.NewModifyRequest(s.dn(login), nil)
	m.Replace(attr, []string{value})
	return s.Modify(m)
}

// Counters are what the server itself counts since it started (slapd-monitor(5)).
type Counters struct {
	Connections, Binds, Searches, Writes, Extended int64
}

// Counters reads cn=Monitor. The reading itself costs one connection, one bind and
// one search, all of which are in the numbers.
func (s *Server) Counters() (Counters, error) {
	var n Counters
	err := s.as(s.MonitorDN, s.MonitorPassword, func(c *ldap.Conn) error {
		res, err := c.Search(ldap.NewSearchRequest("cn=Monitor", ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 5, false,
			"(|(monitorOpCompleted=*)(cn=Total))", []string{"cn", "monitorOpCompleted", "monitorCounter"}, nil))
		if err != nil {
			return err
		}
		for _, e := range res.Entries {
			ops, _ := strconv.ParseInt(e.GetAttributeValue("monitorOpCompleted"), 10, 64)
			switch strings.ToLower(e.DN) {
			case "cn=total,cn=connections,cn=monitor":
				n.Connections, err = strconv.ParseInt(e.GetAttributeValue("monitorCounter"), 10, 64)
			case "cn=bind,cn=operations,cn=monitor":
				n.Binds = ops
			case "cn=search,cn=operations,cn=monitor":
				n.Searches = ops
			case "cn=modify,cn=operations,cn=monitor":
				n.Writes += ops
			case "cn=add,cn=operations,cn=monitor", "cn=delete,cn=operations,cn=monitor":
				n.Writes += ops
			case "cn=extended,cn=operations,cn=monitor":
				n.Extended = ops
			}
		}
		return err
	})
	return n, err
}

// Sub is what happened between an earlier reading and this one, without the cost
// of reading: c.Sub(before) counts only what others did.
func (n Counters) Sub(before Counters) Counters {
	return Counters{
		Connections: n.Connections - before.Connections - 1, Binds: n.Binds - before.Binds - 1,
		Searches: n.Searches - before.Searches - 1, Writes: n.Writes - before.Writes, Extended: n.Extended - before.Extended,
	}
}
