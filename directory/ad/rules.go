package ad

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
	"postern/directory/internal/ldapconn"
)

const (
	// oidPolicyHints makes a reset obey the history (MS-ADTS section
	// 3.1.1.3.4.1.27); oidPolicyHintsOld is its number on older servers.
	oidPolicyHints    = "1.2.840.113556.1.4.2239"
	oidPolicyHintsOld = "1.2.840.113556.1.4.2066"
	// capReadOnly marks a read-only domain controller (MS-ADTS section 3.1.1.3.4.3.6).
	capReadOnly = "1.2.840.113556.1.4.1920"

	propertyComplex = 0x1 // pwdProperties: DOMAIN_PASSWORD_COMPLEX
)

var domainAttributes = []string{"minPwdLength", "pwdProperties", "pwdHistoryLength", "minPwdAge", "maxPwdAge",
	"lockoutThreshold", "lockoutDuration", "lockOutObservationWindow"}

var psoAttributes = []string{"cn", "msDS-MinimumPasswordLength", "msDS-PasswordComplexityEnabled",
	"msDS-PasswordHistoryLength", "msDS-MinimumPasswordAge", "msDS-MaximumPasswordAge", "msDS-LockoutThreshold",
	"msDS-LockoutDuration", "msDS-LockoutObservationWindow"}

// Rules implements directory.Directory. Within half a minute of a Find or Read of
// the same account it asks the directory nothing.
func (d *Directory) Rules(ctx context.Context, u directory.User) (directory.Rules, error) {
	var guid, pso string
	known := u.ID == ""
	if !known {
		var err error
		if guid, err = d.guid(u); err != nil {
			return directory.Rules{}, err
		}
		pso, known = d.psoOf.Get(u.ID)
	}
	var r directory.Rules
	err := d.client.Read(ctx, d.pin(u), func(c *ldapconn.Conn) (err error) {
		if !known {
			e, err := read(c, guidDN(guid), "msDS-ResultantPSO")
			if err != nil {
				return err
			}
			pso = e.GetAttributeValue("msDS-ResultantPSO")
		}
		r, err = d.rules(c, pso)
		return err
	})
	return r, ldapconn.Wrap(err)
}

// rules is the domain's policy, or the PSO's when one applies.
func (d *Directory) rules(c *ldapconn.Conn, pso string) (directory.Rules, error) {
	domain, err := d.domainRules(c)
	if err != nil || pso == "" {
		return domain, err
	}
	if r, ok := d.policies.Get(pso); ok {
		return r, nil
	}
	e, err := read(c, pso, psoAttributes...)
	var r directory.Rules
	switch {
	case err == nil && e.GetAttributeValue("msDS-MinimumPasswordLength") != "":
		r = psoRules(e)
		r.HistoryOnReset, r.ResetForcesChange = domain.HistoryOnReset, domain.ResetForcesChange
	case err == nil, ldapconn.Code(err) == ldap.LDAPResultNoSuchObject,
		ldapconn.Code(err) == ldap.LDAPResultInsufficientAccessRights:
		// By default only domain admins may read a PSO: that is not "no PSO".
		r = domain
		r.Unreadable = pso
	default:
		return directory.Rules{}, err
	}
	d.policies.Put(pso, r)
	return r, nil
}

func (d *Directory) domainRules(c *ldapconn.Conn) (directory.Rules, error) {
	if r, ok := d.policies.Get(d.domainDN); ok {
		return r, nil
	}
	e, err := read(c, d.domainDN, append([]string{attributeDescriptor}, domainAttributes...)...)
	if err != nil {
		return directory.Rules{}, unavailable(err, "reading the domain's password policy")
	}
	root, err := d.rootDSE(c)
	if err != nil {
		return directory.Rules{}, err
	}
	r := domainHeadRules(e)
	r.HistoryOnReset = root.policyHints != ""
	// MS-SAMR section 3.1.1.8.7: without the right a reset leaves pwdLastSet at 0.
	// Authenticated users have it unless somebody took it away; a list that cannot
	// be read says nothing.
	if dacl, err := parseDACL(e.GetRawAttributeValue(attributeDescriptor)); err == nil {
		token, err := d.serviceToken(c)
		if err != nil {
			return directory.Rules{}, err
		}
		r.ResetForcesChange = token != nil && !granted(dacl, rightUnexpirePassword, token)
	}
	d.policies.Put(d.domainDN, r)
	return r, nil
}

func domainHeadRules(e *ldap.Entry) directory.Rules {
	props := number(e, "pwdProperties")
	return directory.Rules{
		MinLength:        number(e, "minPwdLength"),
		Complexity:       props&propertyComplex != 0,
		History:          number(e, "pwdHistoryLength"),
		MinAge:           interval(e.GetAttributeValue("minPwdAge")),
		MaxAge:           interval(e.GetAttributeValue("maxPwdAge")),
		LockoutThreshold: number(e, "lockoutThreshold"),
		LockoutDuration:  interval(e.GetAttributeValue("lockoutDuration")),
		LockoutWindow:    interval(e.GetAttributeValue("lockOutObservationWindow")),
		Source:           "domain",
	}
}

func psoRules(e *ldap.Entry) directory.Rules {
	return directory.Rules{
		MinLength:        number(e, "msDS-MinimumPasswordLength"),
		Complexity:       strings.EqualFold(e.GetAttributeValue("msDS-PasswordComplexityEnabled"), "TRUE"),
		History:          number(e, "msDS-PasswordHistoryLength"),
		MinAge:           interval(e.GetAttributeValue("msDS-MinimumPasswordAge")),
		MaxAge:           interval(e.GetAttributeValue("msDS-MaximumPasswordAge")),
		LockoutThreshold: number(e, "msDS-LockoutThreshold"),
		LockoutDuration:  interval(e.GetAttributeValue("msDS-LockoutDuration")),
		LockoutWindow:    interval(e.GetAttributeValue("msDS-LockoutObservationWindow")),
		Source:           "PSO " + cmp.Or(e.GetAttributeValue("cn"), e.DN),
	}
}

// root is what matters of a server's rootDSE.
type root struct {
	policyHints string // the OID to send, empty when the server lists none
	readOnly    bool
}

func (d *Directory) rootDSE(c *ldapconn.Conn) (root, error) {
	if r, ok := d.roots.Get(c.Server()); ok {
		return r, nil
	}
	e, err := read(c, "", "supportedControl", "supportedCapabilities")
	if err != nil {
		return root{}, unavailable(err, "reading the rootDSE")
	}
	r := root{readOnly: slices.Contains(e.GetAttributeValues("supportedCapabilities"), capReadOnly)}
	for _, oid := range []string{oidPolicyHintsOld, oidPolicyHints} {
		if slices.Contains(e.GetAttributeValues("supportedControl"), oid) {
			r.policyHints = oid
		}
	}
	d.roots.Put(c.Server(), r)
	return r, nil
}

// serviceDN is the service account's entry, or the domain where it was configured
// by another name than a DN.
func (d *Directory) serviceDN() string {
	if _, err := ldap.ParseDN(d.cfg.BindDN); err != nil || !strings.Contains(d.cfg.BindDN, "=") {
		return d.domainDN
	}
	return d.cfg.BindDN
}

// serviceToken is what the service account's rights are checked with; nil when it
// cannot be told.
func (d *Directory) serviceToken(c *ldapconn.Conn) (map[sid]bool, error) {
	if d.serviceDN() == d.domainDN {
		return nil, nil
	}
	e, err := read(c, d.serviceDN(), "objectSid", "tokenGroups")
	if err != nil {
		if _, answered := ldapconn.Answer(err); answered {
			return nil, nil
		}
		return nil, err
	}
	own, err := newSID(e.GetRawAttributeValue("objectSid"))
	if err != nil {
		return nil, nil
	}
	groups, err := tokenGroups(e)
	if err != nil {
		return nil, nil
	}
	return tokenOf(own, groups), nil
}

func number(e *ldap.Entry, attribute string) int {
	n, _ := strconv.Atoi(e.GetAttributeValue(attribute))
	return n
}

// read fetches one entry by its name. Of a security descriptor it gets the DACL.
func read(c *ldapconn.Conn, dn string, attributes ...string) (*ldap.Entry, error) {
	return readIf(c, dn, "(objectClass=*)", attributes...)
}

// readIf fetches one entry by its name when it fits filter; when it does not, the
// answer is the same as when there is none.
func readIf(c *ldapconn.Conn, dn, filter string, attributes ...string) (*ldap.Entry, error) {
	req := ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 0, false, filter, attributes, nil)
	if slices.Contains(attributes, attributeDescriptor) {
		req.Controls = []ldap.Control{sdFlags()}
	}
	res, err := c.Search(req)
	if err != nil {
		return nil, err
	}
	if len(res.Entries) != 1 {
		return nil, ldap.NewError(ldap.LDAPResultNoSuchObject, fmt.Errorf("%s was not returned", dn))
	}
	return res.Entries[0], nil
}

// unavailable is for what must be there: its absence is not the person's.
func unavailable(err error, doing string) error {
	return fmt.Errorf("%w: %s: %w", directory.ErrUnavailable, doing, err)
}
