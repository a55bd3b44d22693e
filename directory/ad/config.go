package ad

import (
	"fmt"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"postern/directory/internal/ldapconn"
)

// Config is one Active Directory domain.
type Config struct {
	ldapconn.Config `yaml:",inline"`

	// Discover is a DNS domain in which the domain controllers are looked up, in the
	// place of Servers. Each is dialled with TLS by its own name, which must be in the
	// domain and in its certificate. Those of Site come first.
	Discover string `yaml:"discover"`
	Site     string `yaml:"site"`

	// GlobalCatalog are servers of the forest's global catalogue, ldaps://host:3269. Where
	// there are any a name is looked for in the whole forest, too, and finds nobody when
	// an account elsewhere has it. The rest is read and written in the domain.
	GlobalCatalog []string `yaml:"global_catalog"`

	// BaseDN is where people are looked for.
	BaseDN string `yaml:"base_dn"`
	// UserOUs, when not empty, are the only branches whose accounts may be
	// touched; DeniedOUs are branches whose accounts never may.
	UserOUs   []string `yaml:"user_ous"`
	DeniedOUs []string `yaml:"denied_ous"`
	// LoginAttributes are compared with what a person types.
	LoginAttributes []string `yaml:"login_attributes"`
	// NetBIOSDomains are accepted in front of a backslash: CORP\alice.
	NetBIOSDomains []string `yaml:"netbios_domains"`
	// PrivilegedGroups are DNs or SIDs whose members, nested too, are never
	// touched, beside the built-in ones.
	PrivilegedGroups []string `yaml:"privileged_groups"`

	// LinkAttribute holds what accounts of one person in several directories have in
	// common, like employeeID. Whoever may write it decides whose password is set.
	LinkAttribute string `yaml:"link_attribute"`

	MailAttributes    []string `yaml:"mail_attributes"`
	PhoneAttributes   []string `yaml:"phone_attributes"`
	LanguageAttribute string   `yaml:"language_attribute"`
}

// DefaultConfig is what holds where the file says nothing.
func DefaultConfig() Config {
	return Config{
		Config:            ldapconn.DefaultConfig(),
		LoginAttributes:   []string{"sAMAccountName", "userPrincipalName", "mail"},
		MailAttributes:    []string{"mail"},
		PhoneAttributes:   []string{"mobile"},
		LanguageAttribute: "preferredLanguage",
	}
}

// connection is how the domain is reached.
func (c Config) connection() ldapconn.Config {
	to := c.Config
	to.Discovery = ldapconn.Discovery{Domain: c.Discover, Site: c.Site}
	return to
}

// Validate returns every fault, each beginning with the name of its key.
func (c Config) Validate() []error {
	faults := c.connection().Validate()
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	faults = append(faults, c.catalogFaults()...)
	if c.BaseDN == "" {
		add("base_dn: missing, like DC=corp,DC=example")
	}
	for _, f := range []struct {
		key string
		dns []string
	}{{"base_dn", []string{c.BaseDN}}, {"user_ous", c.UserOUs}, {"denied_ous", c.DeniedOUs}} {
		for i, dn := range f.dns {
			if _, err := ldap.ParseDN(dn); err != nil {
				add("%s[%d]: %q is not a DN", f.key, i, dn)
			}
		}
	}
	for i, g := range c.PrivilegedGroups {
		if _, err := parseSID(g); err == nil {
			continue
		}
		if _, err := ldap.ParseDN(g); err != nil || !strings.Contains(g, "=") {
			add("privileged_groups[%d]: %q is neither a DN nor a SID", i, g)
		}
	}
	faults = append(faults, ldapconn.AttributeFaults(c.LoginAttributes, c.MailAttributes, c.PhoneAttributes, c.LanguageAttribute)...)
	if c.LinkAttribute != "" && !ldapconn.ValidAttribute(c.LinkAttribute) {
		add("link_attribute: %q is not the name of an attribute", c.LinkAttribute)
	}
	for i, n := range c.NetBIOSDomains {
		if n == "" || strings.ContainsAny(n, `\@`) {
			add("netbios_domains[%d]: %q is not a NetBIOS name", i, n)
		}
	}
	return faults
}
