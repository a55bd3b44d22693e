package openldap

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
	"postern/directory/internal/ldapconn"
)

// serverConfig is what the service account sees of cn=config. It should see nothing:
// then open is false, and what only stands there cannot be told.
type serverConfig struct {
	open     bool
	rootOf   string   // the database whose olcRootDN the account is
	database string   // the one that people are in
	index    []string // olcDbIndex of it
	overlays []string // olcOverlay of it
	access   []rule   // olcAccess of every database
	suffix   string   // of the database that people are in; known without cn=config too
}

// rule is one value of olcAccess.
type rule struct{ database, text string }

func (d *Directory) serverConfig(c *ldapconn.Conn) serverConfig {
	s := serverConfig{database: "olcDatabase={1}mdb,cn=config", suffix: d.cfg.BaseDN}
	if e, err := read(c, "", "namingContexts"); err == nil {
		for _, suffix := range e.GetAttributeValues("namingContexts") {
			if above(suffix, d.cfg.BaseDN) {
				s.suffix = suffix
			}
		}
	}
	res, err := c.Search(ldap.NewSearchRequest("cn=config", ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false,
		"(|(olcDatabase=*)(olcOverlay=*))", []string{"olcRootDN", "olcSuffix", "olcDbIndex", "olcAccess", "olcOverlay"}, nil))
	if err != nil || len(res.Entries) == 0 {
		return s
	}
	s.open = true
	for _, e := range res.Entries {
		if root := e.GetAttributeValue("olcRootDN"); root != "" && normal(root) == normal(d.cfg.BindDN) {
			s.rootOf = e.DN
		}
		for _, text := range e.GetAttributeValues("olcAccess") {
			s.access = append(s.access, rule{e.DN, text})
		}
		if slices.ContainsFunc(e.GetAttributeValues("olcSuffix"), func(suffix string) bool { return above(suffix, d.cfg.BaseDN) }) {
			s.database, s.index = e.DN, e.GetAttributeValues("olcDbIndex")
		}
	}
	for _, e := range res.Entries {
		if name := e.GetAttributeValue("olcOverlay"); name != "" && normal(parent(e.DN)) == normal(s.database) {
			s.overlays = append(s.overlays, name)
		}
	}
	return s
}

// above reports whether dn is at or below base.
func above(base, dn string) bool {
	b, err := ldap.ParseDN(base)
	if err != nil {
		return false
	}
	at, err := ldap.ParseDN(dn)
	return err == nil && (b.EqualFold(at) || b.AncestorOfFold(at))
}

// lines is an LDIF as one command. A here-document would not survive being copied
// from where it is printed: a line of LDIF that begins with a space is no line.
func lines(to string, ldif ...string) string {
	var b strings.Builder
	b.WriteString(`printf '%s\n'`)
	for _, line := range ldif {
		b.WriteString(" \\\n  " + shell(line))
	}
	return b.String() + " \\\n  | " + to
}

func shell(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// toConfig changes the server's own configuration, on its machine.
const toConfig = "sudo ldapmodify -Q -Y EXTERNAL -H ldapi:///"

// change is a command that adds values to the database's configuration. Where cn=config
// is shut its number is a guess, and the command that tells it stands before.
func (s serverConfig) change(attribute string, values ...string) string {
	ldif := []string{"dn: " + s.database, "changetype: modify", "add: " + attribute}
	for _, v := range values {
		ldif = append(ldif, attribute+": "+v)
	}
	return s.number() + lines(toConfig, ldif...)
}

func (s serverConfig) number() string {
	if s.open {
		return ""
	}
	return "sudo ldapsearch -Q -LLL -Y EXTERNAL -H ldapi:/// -b cn=config " + shell("(olcSuffix="+ldap.EscapeFilter(s.suffix)+")") +
		" dn # prints the name of your database, to put where " + s.database + " stands\n"
}

// remedy makes a service account with the rights it needs and no others, in place of
// the rootdn.
func (d *Directory) remedy(s serverConfig) string {
	account := "cn=postern," + s.suffix
	at := fmt.Sprintf("-x -H %s -D %s -W", d.cfg.Servers[0], shell(d.cfg.BindDN))
	if d.cfg.StartTLS {
		at += " -ZZ"
	}
	by := fmt.Sprintf("by dn.exact=%q ", account)
	people := fmt.Sprintf("dn.subtree=%q", d.cfg.BaseDN)
	rights := []string{
		"to " + people + " attrs=userPassword " + by + "=wx by anonymous auth by self =wx by * none",
		"to " + people + " attrs=pwdAccountLockedTime " + by + "write by * break",
		"to " + people + " attrs=pwdHistory by * none",
	}
	readable := []string{people, fmt.Sprintf("dn.exact=%q", account)}
	for _, dn := range append([]string{d.cfg.DefaultPolicy, d.cfg.GroupBase}, d.cfg.PrivilegedGroups...) {
		if dn == "" {
			continue
		}
		if dn != d.cfg.GroupBase {
			dn = parent(dn)
		}
		if sub := fmt.Sprintf("dn.subtree=%q", dn); !slices.Contains(readable, sub) {
			readable = append(readable, sub)
		}
	}
	for _, what := range readable {
		rights = append(rights, "to "+what+" "+by+"read by * break")
	}
	for i := range rights {
		rights[i] = fmt.Sprintf("{%d}%s", i, rights[i])
	}
	return lines("ldapadd "+at, "dn: "+account, "objectClass: person", "cn: postern", "sn: postern") + "\n" +
		"ldappasswd " + at + " -S " + shell(account) + "\n" +
		s.change("olcAccess", rights...) + "\n" +
		"set bind_dn to " + account + " and bind_password to the new password, and restart postern"
}

// examineManage looks for `manage`, which slapo-ppolicy takes for a password
// administrator: neither quality nor history holds for one. Of its own rights an
// account sees nothing: OpenLDAP has no operation that tells them (no effective rights
// control), and whether a right holds shows in a write alone, which is not tried. So
// only who may read cn=config knows, and who is at the server's machine.
func (d *Directory) examineManage(s serverConfig, person string) directory.Finding {
	if !s.open {
		f := ok("manage", "whether %s has manage on userPassword cannot be seen from here: OpenLDAP tells nobody their own rights, and a write is not tried; at the server slapacl tells, and must say DENIED", d.cfg.BindDN)
		f.Mend = fmt.Sprintf("sudo slapacl -D %s -b %s userPassword/manage", shell(d.cfg.BindDN), shell(person))
		return f
	}
	for _, r := range s.access {
		tamed, gives := tame(r.text, d.cfg.BindDN)
		if !gives {
			continue
		}
		n, _, _ := strings.Cut(r.text, "}")
		return bad(directory.Failure, "manage", fmt.Sprintf("a rule of %s may give the service account manage: %s", r.database, r.text), "for whoever has it neither quality nor history of passwords holds",
			lines(toConfig, "dn: "+r.database, "changetype: modify", "delete: olcAccess", "olcAccess: "+n+"}", "-", "add: olcAccess", "olcAccess: "+tamed))
	}
	return ok("manage", "no rule in cn=config names the service account, or everybody, with manage; groups were not followed")
}

var (
	clauses = regexp.MustCompile(`(?i)\s+by\s+`)
	// manages is the right at the end of a clause, in full or by its letter (slapd.access(5)).
	manages = regexp.MustCompile(`(?i)^(.*?)\s+(manage|[=+][a-z0]*m[a-z0]*)(\s+(?:stop|continue|break))?$`)
)

// tame reports whether an access rule names dn, or all who signed in, with manage, and
// returns it with as much as the portal needs instead. Groups and patterns are not
// followed: what they give is not claimed.
func tame(text, dn string) (tamed string, gives bool) {
	parts := clauses.Split(strings.TrimSpace(text), -1)
	enough := "read"
	if strings.Contains(strings.ToLower(parts[0]), "userpassword") {
		enough = "=wx"
	}
	for i, clause := range parts[1:] {
		m := manages.FindStringSubmatch(clause)
		if m == nil || !names(m[1], dn) {
			continue
		}
		gives = true
		parts[i+1] = m[1] + " " + enough + m[3]
	}
	return strings.Join(parts, " by "), gives
}

// names reports whether the who of a clause is dn, or everybody.
func names(who, dn string) bool {
	if who == "*" || strings.EqualFold(who, "users") {
		return true
	}
	kind, value, _ := strings.Cut(who, "=")
	return strings.HasPrefix(strings.ToLower(kind), "dn") && normal(strings.Trim(value, `"`)) == normal(dn)
}

// marks are what slapo-ppolicy alone writes. Its control among those of the server
// says only that the module is loaded.
var marks = []string{"pwdChangedTime", "pwdFailureTime", "pwdAccountLockedTime", "pwdHistory", "pwdReset", "pwdPolicySubentry", "pwdLastSuccess"}

// examineOverlay looks whether the policy is at work where people are.
func (d *Directory) examineOverlay(c *ldapconn.Conn, s serverConfig) directory.Finding {
	const why = "without the overlay no rule holds and no account is ever locked, whatever the policy entry says"
	policy := d.cfg.DefaultPolicy
	if policy == "" {
		policy = "cn=default,ou=policies," + s.suffix
	}
	mend := s.number() + lines(toConfig, "dn: olcOverlay=ppolicy,"+s.database, "changetype: add", "objectClass: olcOverlayConfig", "objectClass: olcPPolicyConfig",
		"olcOverlay: ppolicy", "olcPPolicyDefault: "+policy, "olcPPolicyHashCleartext: TRUE")
	if s.open && !slices.ContainsFunc(s.overlays, func(o string) bool { return strings.HasSuffix(strings.ToLower(o), "ppolicy") }) {
		return bad(directory.Failure, "ppolicy", s.database+" has no overlay ppolicy", why, mend)
	}
	for _, mark := range marks {
		res, err := c.Search(ldap.NewSearchRequest(d.cfg.BaseDN, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 1, 0, false,
			"("+mark+"=*)", []string{"entryUUID"}, nil))
		if (err == nil || ldapconn.Code(err) == ldap.LDAPResultSizeLimitExceeded) && len(res.Entries) > 0 {
			return ok("ppolicy", "is at work: it has written %s on people below %s", mark, d.cfg.BaseDN)
		}
	}
	if s.open {
		return ok("ppolicy", "%s has the overlay", s.database)
	}
	return bad(directory.Warning, "ppolicy", "nobody below "+d.cfg.BaseDN+" bears a mark of slapo-ppolicy: it is not at work there, or the service account may not read "+strings.Join(marks[:3], ", "), why, mend)
}

// examineIndexes says which attributes are looked for and have no index; that stands in
// cn=config alone.
func (d *Directory) examineIndexes(s serverConfig) directory.Finding {
	want := append([]string{"objectClass", "entryUUID"}, ldapconn.Union(d.cfg.LoginAttributes, d.cfg.MailAttributes)...)
	if d.cfg.GroupBase != "" {
		want = append(want, "member", "uniqueMember", "memberUid")
	}
	var missing []string
	for _, a := range want {
		if !slices.ContainsFunc(s.index, func(index string) bool { return indexed(index, a) }) {
			missing = append(missing, a+" eq")
		}
	}
	switch {
	case !s.open:
		f := ok("index", "whether people can be looked up by an index cannot be seen from here: it stands in cn=config, which is not for this account")
		f.Mend = s.number() + "sudo ldapsearch -Q -LLL -Y EXTERNAL -H ldapi:/// -b " + shell(s.database) + " -s base olcDbIndex # of what is missing there:\n" + lines(toConfig, indexLDIF(s, missing)...)
		return f
	case len(missing) > 0:
		return bad(directory.Warning, "index", s.database+" has no index "+strings.Join(missing, ", "),
			"each sign-in reads every entry there is, and beyond the server's limits nobody is found", lines(toConfig, indexLDIF(s, missing)...))
	}
	return ok("index", "%s has every index that people are looked up by", s.database)
}

func indexLDIF(s serverConfig, missing []string) []string {
	ldif := []string{"dn: " + s.database, "changetype: modify", "add: olcDbIndex"}
	for _, m := range missing {
		ldif = append(ldif, "olcDbIndex: "+m)
	}
	return ldif
}

// indexed reports whether an olcDbIndex, like "uid,mail eq,sub", is one for equality
// of an attribute. No kinds are named: then it is the default, which is not read.
func indexed(index, attribute string) bool {
	attributes, kinds, named := strings.Cut(index, " ")
	for a := range strings.SplitSeq(attributes, ",") {
		if strings.EqualFold(strings.TrimSpace(a), attribute) {
			return !named || slices.ContainsFunc(strings.Split(kinds, ","), func(k string) bool { return strings.EqualFold(strings.TrimSpace(k), "eq") })
		}
	}
	return false
}
