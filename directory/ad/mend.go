package ad

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/go-ldap/ldap/v3"

	"postern/directory/internal/ldapconn"
)

// Each remedy is for people to copy: a command stands on a line of its own, whole.

// commands is one remedy in the words of both kinds of server.
func commands(windows, samba string) string {
	return "on Windows:\n" + windows + "\non Samba:\n" + samba
}

// quoted is an argument for the command line of Windows, which may be a DN that
// somebody chose who must not choose commands: what would end the quotes, the line or
// stand for a variable is written in DN's own escapes (RFC 4514 section 2.4).
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\"`, `\22`, `"`, `\22`, "%", `\25`).Replace(oneLine(s)) + `"`
}

// single is the same for a shell, powershell for PowerShell, where every kind of
// single quotation mark ends a text.
func single(s string) string { return "'" + strings.ReplaceAll(oneLine(s), "'", `'\''`) + "'" }

func powershell(s string) string {
	return "'" + strings.NewReplacer("'", "''", "‘", "‘‘", "’", "’’", "‚", "‚‚", "‛", "‛‛").Replace(oneLine(s)) + "'"
}

// oneLine escapes control characters as a DN may.
func oneLine(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsControl(r) {
			for _, c := range []byte(string(r)) {
				fmt.Fprintf(&b, `\%02X`, c)
			}
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// classUser is the schemaIDGUID of the class user.
const classUser = "bf967aba-0de6-11d0-a285-00aa003049e2"

// grant is one right on people's accounts, as dsacls and as SDDL (MS-DTYP section
// 2.5.1) write it.
type grant struct{ windows, kind, guid string }

var (
	grantReset       = grant{"CA;Reset Password", "CR", "00299570-246d-11d0-a768-00aa006e0529"}
	grantLockoutTime = grant{"RPWP;lockoutTime", "RPWP", "28630ebf-41d5-11d1-a9c1-0000f80367c1"}
	grantRead        = grant{"RP;", "RP", ""} // of every attribute
	grantPwdLastSet  = grant{"RPWP;pwdLastSet", "RPWP", "bf967a0a-0de6-11d0-a285-00aa003049e2"}
)

// grant is the command that gives exactly these rights where they reach the person.
func (d *Directory) grant(c *ldapconn.Conn, person *ldap.Entry, rights ...grant) string {
	who := d.trustee(c)
	where, inherited := d.place(c, person)
	windows, sddl := "dsacls "+quoted(where)+" /G", ""
	of, flags, class := "", "", ""
	if inherited {
		windows = "dsacls " + quoted(where) + " /I:S /G"
		of, flags, class = ";user", "CIIO", classUser
	}
	for _, r := range rights {
		windows += " " + quoted(who+":"+strings.TrimSuffix(r.windows+of, ";"))
		kind := "OA"
		if r.guid+class == "" {
			kind = "A"
		}
		sddl += fmt.Sprintf("(%s;%s;%s;%s;%s;%s)", kind, flags, r.kind, r.guid, class, inSDDL(who))
	}
	return commands(windows, "samba-tool dsacl set --objectdn="+single(where)+" --sddl="+single(sddl))
}

// place is where a right on the person is to be given so that it reaches: the highest
// place in the person's branch of user_ous (the unit the person is in where none is
// named), but below whatever inherits nothing from there. inherited is false where
// that is the account itself.
func (d *Directory) place(c *ldapconn.Conn, person *ldap.Entry) (dn string, inherited bool) {
	if inheritsNothing(person.GetRawAttributeValue(attributeDescriptor)) {
		return person.DN, false
	}
	top := d.cfg.BaseDN
	for _, ou := range d.cfg.UserOUs {
		if within(ou, person.DN) {
			top = ou
		}
	}
	nearest := parent(person.DN)
	for at := nearest; within(top, at); at = parent(at) {
		if e, err := read(c, at, attributeDescriptor); err == nil {
			if inheritsNothing(e.GetRawAttributeValue(attributeDescriptor)) {
				return e.DN, true
			}
			if at == nearest {
				nearest = e.DN // as the server writes it
			}
		}
		if sameDN(at, top) {
			break
		}
	}
	if len(d.cfg.UserOUs) > 0 && within(top, person.DN) {
		return top, true
	}
	return nearest, true
}

func within(branch, dn string) bool {
	_, in := ldapconn.Within(branch, dn)
	return in
}

// mayRead is the command that lets the service account read an entry, with what is
// below it or without.
func (d *Directory) mayRead(c *ldapconn.Conn, dn string, below bool) string {
	who, windows, flags := d.trustee(c), "", ""
	if below {
		windows, flags = " /I:T", "CI"
	}
	return commands(fmt.Sprintf("dsacls %s%s /G %s", quoted(dn), windows, quoted(who+":GR")),
		fmt.Sprintf("samba-tool dsacl set --objectdn=%s --sddl='(A;%s;RPLCRC;;;%s)'", single(dn), flags, inSDDL(who)))
}

func (d *Directory) unexpire(c *ldapconn.Conn) string {
	who := d.trustee(c)
	return commands(fmt.Sprintf("dsacls %s /G %s", quoted(d.domainDN), quoted(who+":CA;Unexpire Password")),
		fmt.Sprintf("samba-tool dsacl set --objectdn=%s --sddl='(OA;;CR;ccc2dc7d-a6ad-4a7a-8846-c04e3cc53501;;%s)'", single(d.domainDN), inSDDL(who)))
}

// leave is the command that takes the service account out of a group called name.
func (d *Directory) leave(c *ldapconn.Conn, name string) string {
	login := "LOGIN"
	if e, err := read(c, d.serviceDN(), "sAMAccountName"); err == nil && e.GetAttributeValue("sAMAccountName") != "" {
		login = e.GetAttributeValue("sAMAccountName")
	}
	return "on Windows, in PowerShell:\n" + fmt.Sprintf("Remove-ADGroupMember -Identity %s -Members %s", powershell(name), powershell(login)) +
		"\non Samba:\n" + fmt.Sprintf("samba-tool group removemembers %s %s", single(name), single(login))
}

// trustee is the service account as dsacls takes it: its SID when it can be read.
func (d *Directory) trustee(c *ldapconn.Conn) string {
	if e, err := read(c, d.serviceDN(), "objectSid"); err == nil && d.serviceDN() != d.domainDN {
		if s, err := newSID(e.GetRawAttributeValue("objectSid")); err == nil {
			return s.String()
		}
	}
	return d.cfg.BindDN
}

// inSDDL is a trustee as SDDL takes it, which knows no names.
func inSDDL(who string) string {
	if _, err := parseSID(who); err != nil {
		return "SID-OF-THE-SERVICE-ACCOUNT"
	}
	return who
}
