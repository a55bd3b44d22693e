package directorytest

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"unicode/utf16"

	"github.com/go-ldap/ldap/v3"
)

func (dc *DC) asAdmin(f func(*ldap.Conn) error) error { return dc.as(dc.AdminDN, dc.AdminPass, f) }

// Modify makes one change as the domain's administrator.
func (dc *DC) Modify(m *ldap.ModifyRequest) error {
	return dc.asAdmin(func(c *ldap.Conn) error { return c.Modify(m) })
}

// Entry reads an entry as the domain's administrator.
func (dc *DC) Entry(dn string, attrs ...string) (e *ldap.Entry, err error) {
	return e, dc.asAdmin(func(c *ldap.Conn) error {
		e, err = readEntry(c, dn, attrs...)
		return err
	})
}

// Delete removes an entry.
func (dc *DC) Delete(dn string) error {
	return dc.asAdmin(func(c *ldap.Conn) error { return c.Del(ldap.NewDelRequest(dn, nil)) })
}

// Logins are the sAMAccountNames of whom a filter finds, as the domain's
// administrator sees them. It is for fewer than a thousand.
func (dc *DC) Logins(filter string) (logins []string, err error) {
	return logins, dc.asAdmin(func(c *ldap.Conn) error {
		logins, err = valuesOf(c, dc.BaseDN, filter, "sAMAccountName")
		return err
	})
}

// valuesOf collects one attribute of every entry below base that fits filter.
func valuesOf(c *ldap.Conn, base, filter, attribute string) ([]string, error) {
	res, err := c.Search(ldap.NewSearchRequest(base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 10, false,
		filter, []string{attribute}, nil))
	if err != nil {
		return nil, err
	}
	out := make([]string, 0, len(res.Entries))
	for _, e := range res.Entries {
		out = append(out, e.GetAttributeValues(attribute)...)
	}
	return out, nil
}

func readEntry(c *ldap.Conn, dn string, attrs ...string) (*ldap.Entry, error) {
	res, err := c.Search(ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 5, false,
		"(objectClass=*)", attrs, nil))
	if err != nil {
		return nil, err
	}
	if len(res.Entries) != 1 {
		return nil, fmt.Errorf("directorytest: %d entries at %s", len(res.Entries), dn)
	}
	return res.Entries[0], nil
}

// AddUser makes an ordinary enabled person in PeopleDN. Login and Password are
// needed; what else is empty is filled in. It returns the person as made.
func (dc *DC) AddUser(p Person) (Person, error) {
	if p.Login == "" || p.Password == "" {
		return p, errNoPerson
	}
	p = p.complete(dc.Domain)
	if p.DN == "" {
		p.DN = "CN=" + escapeRDN(p.Login) + "," + dc.PeopleDN
	}
	return p, dc.asAdmin(func(c *ldap.Conn) error { return addADUser(c, p) })
}

// AddUsers is AddUser for many, on one connection.
func (dc *DC) AddUsers(people []Person) error {
	return dc.asAdmin(func(c *ldap.Conn) error {
		for _, p := range people {
			p = p.complete(dc.Domain)
			p.DN = "CN=" + escapeRDN(p.Login) + "," + dc.PeopleDN
			if err := addADUser(c, p); err != nil {
				return fmt.Errorf("directorytest: add %s: %w", p.DN, err)
			}
		}
		return nil
	})
}

func (p Person) complete(domain string) Person {
	if p.UPN == "" {
		p.UPN = p.Login + "@" + domain
	}
	if p.Name == "" {
		p.Name = "Person " + p.Login
	}
	if p.Mail == "" {
		p.Mail = p.Login + "@example.org"
	}
	return p
}

func addADUser(c *ldap.Conn, p Person) error {
	add := ldap.NewAddRequest(p.DN, nil)
	add.Attribute("objectClass", []string{"user"})
	for attr, value := range map[string]string{
		"sAMAccountName": p.Login, "userPrincipalName": p.UPN, "displayName": p.Name, "givenName": p.Given, "sn": p.Surname,
		"mail": p.Mail, "mobile": p.Phone, "employeeID": p.Employee, "manager": p.Manager, "userAccountControl": "512",
		"unicodePwd": QuoteAD(p.Password),
	} {
		if value != "" {
			add.Attribute(attr, []string{value})
		}
	}
	return c.Add(add)
}

// SetPassword is an administrator's reset, outside the code under test.
func (dc *DC) SetPassword(dn, password string) error {
	m := ldap.NewModifyRequest(dn, nil)
	m.Replace("unicodePwd", []string{QuoteAD(password)})
	return dc.Modify(m)
}

// Lock locks a person the only way there is: by wrong passwords.
func (dc *DC) Lock(login string) error {
	dn, err := dc.dn(login)
	if err != nil {
		return err
	}
	for range dc.Policy.Lockout {
		if err := dc.Bind(dn, "not-the-password-1"); !ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) {
			return fmt.Errorf("directorytest: lock %s: %v", dn, err)
		}
	}
	return nil
}

// MustChange makes a person choose a new password at the next sign-in.
func (dc *DC) MustChange(login string) error { return dc.set(login, "pwdLastSet", "0") }

// Disable disables a person.
func (dc *DC) Disable(login string) error { return dc.set(login, "userAccountControl", "514") }

// NeverExpires lets a person keep the password for ever.
func (dc *DC) NeverExpires(login string) error { return dc.set(login, "userAccountControl", "66048") }

// ForbidChange is "user cannot change password", as the administrator's tools store it.
func (dc *DC) ForbidChange(ctx context.Context, login string) error {
	dn, err := dc.dn(login)
	if err != nil {
		return err
	}
	const changePassword = "ab721a53-1e2f-11d0-9819-00aa0040529b"
	_, err = dc.Exec(ctx, "dsacl", "set", "--objectdn="+dn, "--sddl=(OD;;CR;"+changePassword+";;WD)(OD;;CR;"+changePassword+";;PS)")
	return err
}

func (dc *DC) set(login, attr, value string) error {
	dn, err := dc.dn(login)
	if err != nil {
		return err
	}
	m := ldap.NewModifyRequest(dn, nil)
	m.Replace(attr, []string{value})
	return dc.Modify(m)
}

// dn looks a login up; a DN is returned as it is.
func (dc *DC) dn(login string) (dn string, err error) {
	if strings.Contains(login, "=") {
		return login, nil
	}
	return dn, dc.asAdmin(func(c *ldap.Conn) error {
		res, err := c.Search(ldap.NewSearchRequest(dc.BaseDN, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 2, 5, false,
			"(sAMAccountName="+ldap.EscapeFilter(login)+")", []string{"1.1"}, nil))
		if err != nil {
			return err
		}
		if len(res.Entries) != 1 {
			return fmt.Errorf("directorytest: %d accounts named %q", len(res.Entries), login)
		}
		dn = res.Entries[0].DN
		return nil
	})
}

// expireScript writes pwdLastSet into the past. Over LDAP only 0 and -1 are
// possible; Samba's own Python may, with an internal control.
const expireScript = `
import sys
from samba.samdb import SamDB
from samba.param import LoadParm
from samba.auth import system_session
lp = LoadParm(); lp.load(sys.argv[1])
db = SamDB(session_info=system_session(), lp=lp)
db.modify_ldif("dn: %s\nchangetype: modify\nreplace: pwdLastSet\npwdLastSet: 133000000000000000\n" % sys.argv[2],
    controls=["local_oid:1.3.6.1.4.1.7165.4.3.12:0"])
`

// Expire makes a person's password very old, so that it has expired. It costs
// about half a second.
func (dc *DC) Expire(ctx context.Context, login string) error {
	dn, err := dc.dn(login)
	if err != nil {
		return err
	}
	return dc.python(ctx, expireScript, dn)
}

// blockScript cuts an entry off from the rights of those above it. What it had from them
// is dropped, or becomes its own but for what the service account had: as the tools do
// when asked to convert it, on a day before the delegation was given.
const blockScript = `
import re, sys
from samba.samdb import SamDB
from samba.param import LoadParm
from samba.auth import system_session
from samba.dcerpc import security
from samba.sd_utils import SDUtils
lp = LoadParm(); lp.load(sys.argv[1])
db = SamDB(session_info=system_session(), lp=lp)
utils = SDUtils(db)
sid = security.dom_sid(db.get_domain_sid())
sddl = utils.read_sd_on_dn(sys.argv[2]).as_sddl(sid)
inherited = re.compile(r"\(([A-Z]+);([A-Z]*?)ID([A-Z]*);([^)]*)\)")
if sys.argv[3] == "":
    sddl = inherited.sub("", sddl)
else:
    sddl = inherited.sub(lambda m: "" if m.group(4).endswith(sys.argv[3]) else "(%s;%s%s;%s)" % m.groups(), sddl)
sd = security.descriptor.from_sddl(re.sub(r"D:[A-Z]*\(", "D:P(", sddl, count=1), sid)
utils.modify_sd_on_dn(sys.argv[2], sd, controls=["sd_flags:1:4"])
`

// BlockInheritance ends what an entry inherits of rights: all of it, or where the
// rest is kept what the service account inherits.
func (dc *DC) BlockInheritance(ctx context.Context, dn string, keep bool) error {
	if !keep {
		return dc.python(ctx, blockScript, dn, "")
	}
	service, err := dc.Entry(dc.ServiceDN, "objectSid")
	if err != nil {
		return err
	}
	return dc.python(ctx, blockScript, dn, formatSID(service.GetRawAttributeValue("objectSid")))
}

// AddUnit makes an organisational unit.
func (dc *DC) AddUnit(dn string) error {
	add := ldap.NewAddRequest(dn, nil)
	add.Attribute("objectClass", []string{"organizationalUnit"})
	return dc.asAdmin(func(c *ldap.Conn) error { return c.Add(add) })
}

// python runs one of the scripts, with the configuration, an entry and what else it
// takes as its arguments.
func (dc *DC) python(ctx context.Context, script, dn string, args ...string) error {
	python, err := sambaPython()
	if err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, python, append([]string{"-c", script, dc.conf(), dn}, args...)...).CombinedOutput(); err != nil {
		return fmt.Errorf("directorytest: %s: %w: %s", dn, err, out)
	}
	return nil
}

// sambaPython is the interpreter samba-tool runs on: the one that has Samba's modules.
func sambaPython() (string, error) {
	tool, err := program("samba-tool")
	if err != nil {
		return "", err
	}
	f, err := os.Open(tool)
	if err != nil {
		return "", err
	}
	defer f.Close()
	line, err := bufio.NewReader(f).ReadString('\n')
	python, ok := strings.CutPrefix(line, "#!")
	if err != nil || !ok {
		return "", errors.Join(fmt.Errorf("directorytest: %s is not a script", tool), err)
	}
	return strings.TrimSpace(python), nil
}

// QuoteAD is the form unicodePwd takes: in quotation marks, UTF-16LE (MS-ADTS 3.1.1.3.1.5.1).
func QuoteAD(password string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(`"` + password + `"`)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return string(b)
}

func escapeRDN(value string) string { return ldap.EscapeDN(value) }

// formatSID prints a binary SID (MS-DTYP 2.4.2.2) as S-1-….
func formatSID(b []byte) string {
	if len(b) < 8 || len(b) < 8+4*int(b[1]) {
		return ""
	}
	s := fmt.Sprintf("S-%d-%d", b[0], binary.BigEndian.Uint64(append([]byte{0, 0}, b[2:8]...)))
	for i := range int(b[1]) {
		s += fmt.Sprintf("-%d", binary.LittleEndian.Uint32(b[8+4*i:]))
	}
	return s
}
