package openldap

import (
	"fmt"

	"github.com/go-ldap/ldap/v3"

	"postern/directory/internal/ldapconn"
)

// Config is one OpenLDAP-style server and the branch of it that holds people.
type Config struct {
	ldapconn.Config `yaml:",inline"`

	// BaseDN is where people are looked for.
	BaseDN string `yaml:"base_dn"`
	// UserFilter says which entries are people.
	UserFilter string `yaml:"user_filter"`
	// UserOUs, when not empty, are the only branches whose accounts may be
	// touched; DeniedOUs are branches whose accounts never may.
	UserOUs   []string `yaml:"user_ous"`
	DeniedOUs []string `yaml:"denied_ous"`
	// LoginAttributes are compared with what a person types.
	LoginAttributes []string `yaml:"login_attributes"`
	// GroupBase, when set, is searched for the groups a person is in (member,
	// uniqueMember, memberUid): one more search each time. When empty only
	// memberOf is used.
	GroupBase string `yaml:"group_base"`
	// PrivilegedGroups are DNs of groups whose members, nested too, are never
	// touched. They are read themselves, so they hold without memberOf.
	PrivilegedGroups []string `yaml:"privileged_groups"`
	// DefaultPolicy is the DN of the policy slapo-ppolicy applies where an entry
	// names none (ppolicy_default, olcPPolicyDefault). Empty: no policy.
	DefaultPolicy string `yaml:"default_policy"`

	// LinkAttribute holds what accounts of one person in several directories have in
	// common, like employeeNumber. Whoever may write it decides whose password is set.
	LinkAttribute string `yaml:"link_attribute"`

	MailAttributes    []string `yaml:"mail_attributes"`
	PhoneAttributes   []string `yaml:"phone_attributes"`
	LanguageAttribute string   `yaml:"language_attribute"`
}

// DefaultConfig is what holds where the file says nothing.
func DefaultConfig() Config {
	return Config{
		Config:            ldapconn.DefaultConfig(),
		UserFilter:        "(objectClass=inetOrgPerson)",
		LoginAttributes:   []string{"uid", "mail"},
		MailAttributes:    []string{"mail"},
		PhoneAttributes:   []string{"mobile"},
		LanguageAttribute: "preferredLanguage",
	}
}

// Validate returns every fault, each beginning with the name of its key.
func (c Config) Validate() []error {
	faults := c.Config.Validate()
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if c.BaseDN == "" {
		add("base_dn: missing, like ou=people,dc=example,dc=org")
	}
	if _, err := ldap.CompileFilter(c.UserFilter); err != nil {
		add("user_filter: %q is not a filter", c.UserFilter)
	}
	for _, f := range []struct {
		key string
		dns []string
	}{
		{"base_dn", []string{c.BaseDN}}, {"bind_dn", []string{c.BindDN}}, {"user_ous", c.UserOUs},
		{"denied_ous", c.DeniedOUs}, {"group_base", []string{c.GroupBase}},
		{"privileged_groups", c.PrivilegedGroups}, {"default_policy", []string{c.DefaultPolicy}},
	} {
		for i, dn := range f.dns {
			if _, err := ldap.ParseDN(dn); err != nil {
				add("%s[%d]: %q is not a DN", f.key, i, dn)
			}
		}
	}
	faults = append(faults, ldapconn.AttributeFaults(c.LoginAttributes, c.MailAttributes, c.PhoneAttributes, c.LanguageAttribute)...)
	if c.LinkAttribute != "" && !ldapconn.ValidAttribute(c.LinkAttribute) {
		add("link_attribute: %q is not the name of an attribute", c.LinkAttribute)
	}
	return faults
}
