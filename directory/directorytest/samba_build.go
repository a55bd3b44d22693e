package directorytest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// recipe is part of the cache's key: raise it when the way the domain is made changes.
const recipe = 6

// provisioned returns a folder with a ready domain of that name and policy, making it
// when there is none. It is keyed by Samba's version, the two, the recipe and the week: sample passwords must not grow older than the domain's maximum age.
func provisioned(ctx context.Context, l launch) (string, error) {
	samba, err := program("samba")
	if err != nil {
		return "", err
	}
	if _, err := program("samba-tool"); err != nil {
		return "", err
	}
	version, err := exec.CommandContext(ctx, samba, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("directorytest: %s --version: %w", samba, err)
	}
	root, err := os.UserCacheDir()
	if err != nil {
		root = os.TempDir()
	}
	root = filepath.Join(root, "postern-test")
	if err := os.MkdirAll(root, 0o700); err != nil {
		return "", err
	}
	week := time.Now().Unix() / (7 * 24 * 3600)
	key := sha256.Sum256(fmt.Appendf(nil, "%s|%+v|%d|%d", version, l, recipe, week))
	final := filepath.Join(root, fmt.Sprintf("samba-%x", key[:8]))
	if _, err := os.Stat(filepath.Join(final, "private", "sam.ldb")); err == nil {
		return final, nil
	}
	forgetOld(root)
	// Made beside and moved into place, so that two test binaries at once never
	// see half a domain; the slower one throws its own away.
	tmp, err := os.MkdirTemp(root, "making-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	if err := build(ctx, tmp, l); err != nil {
		return "", err
	}
	if err := os.Rename(tmp, final); err != nil {
		if _, gone := os.Stat(filepath.Join(final, "private", "sam.ldb")); gone != nil {
			return "", err
		}
	}
	return final, nil
}

func forgetOld(root string) {
	old, _ := filepath.Glob(filepath.Join(root, "*-*"))
	for _, dir := range old {
		if info, err := os.Stat(dir); err == nil && time.Since(info.ModTime()) > 14*24*time.Hour {
			_ = os.RemoveAll(dir)
		}
	}
}

func build(ctx context.Context, dir string, l launch) error {
	dc := newDC(l)
	dc.dir = dir
	tool, err := program("samba-tool")
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, tool, "domain", "provision",
		"--realm="+strings.ToUpper(dc.Domain), "--domain="+dc.NetBIOS, "--server-role=dc", "--dns-backend=NONE",
		"--adminpass="+adminPass, "--targetdir="+dir, "--host-name=dc1", "--host-ip=127.0.0.1",
		"--option=interfaces=127.0.0.1/8", "--option=bind interfaces only=yes", "--option=pid directory="+dir+"/run")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %w\n%s", errNotProvisioned, err, out)
	}
	defer dc.Stop()
	if err := dc.start(ctx); err != nil {
		return err
	}
	if err := dc.asAdmin(func(c *ldap.Conn) error { return dc.populate(c) }); err != nil {
		return err
	}
	if err := dc.delegate(ctx); err != nil {
		return err
	}
	return dc.Expire(ctx, "expired1")
}

func (dc *DC) populate(c *ldap.Conn) error {
	if err := dc.setPolicy(c); err != nil {
		return err
	}
	for _, ou := range []string{dc.PeopleDN, "OU=Services," + dc.BaseDN, "OU=Groups," + dc.BaseDN} {
		add := ldap.NewAddRequest(ou, nil)
		add.Attribute("objectClass", []string{"organizationalUnit"})
		if err := c.Add(add); err != nil {
			return fmt.Errorf("directorytest: add %s: %w", ou, err)
		}
	}
	service := Person{Login: serviceLogin, UPN: serviceLogin + "@" + dc.Domain, DN: dc.ServiceDN, Name: serviceLogin, Password: servicePass}
	// Managers first: a DN in an attribute must exist.
	made := map[string]bool{}
	for _, p := range append([]Person{service, dc.Person("director1"), dc.Person("manager1")}, dc.People...) {
		if made[p.DN] {
			continue
		}
		made[p.DN] = true
		if err := addADUser(c, p); err != nil {
			return fmt.Errorf("directorytest: add %s: %w", p.DN, err)
		}
	}
	return dc.states(c)
}

func (dc *DC) states(c *ldap.Conn) error {
	group := func(name string, members ...string) error {
		add := ldap.NewAddRequest("CN="+name+",OU=Groups,"+dc.BaseDN, nil)
		add.Attribute("objectClass", []string{"group"})
		add.Attribute("sAMAccountName", []string{name})
		add.Attribute("member", members)
		return c.Add(add)
	}
	dn := func(login string) string { return dc.Person(login).DN }
	strong := dc.Policy
	strong.MinLength = StrongLength
	domainAdmins := "CN=Domain Admins,CN=Users," + dc.BaseDN
	set := func(dn, attr string, values ...string) error {
		m := ldap.NewModifyRequest(dn, nil)
		m.Replace(attr, values)
		return c.Modify(m)
	}
	join := func(group, member string) error {
		m := ldap.NewModifyRequest(group, nil)
		m.Add("member", []string{member})
		return c.Modify(m)
	}
	steps := []func() error{
		func() error { return group(TechGroup, dn("tech1"), dn("tech2")) },
		func() error { return join(domainAdmins, dn("admin1")) },
		func() error { return group("Inner Ring", dn("nested1")) },
		func() error { return group("Middle Ring", "CN=Inner Ring,OU=Groups,"+dc.BaseDN) },
		func() error { return join(domainAdmins, "CN=Middle Ring,OU=Groups,"+dc.BaseDN) },
		func() error { return join(domainAdmins, dn("primary1")) },
		// From here on memberOf and the transitive matching rule both miss it.
		func() error { return set(dn("primary1"), "primaryGroupID", "512") },
		func() error { return set(dn("stale1"), "adminCount", "1") },
		func() error { return set(dn("disabled1"), "userAccountControl", "514") },
		func() error { return set(dn("left1"), "accountExpires", "133000000000000000") }, // June 2022
		func() error { return set(dn("mustchange1"), "pwdLastSet", "0") },
		func() error { return dc.addPSO(c, "Strong", 20, strong, dn("strong1")) },
	}
	for i, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("directorytest: sample state %d: %w", i, err)
		}
	}
	return nil
}

// interval is AD's form of a length of time: negative, in 100 ns.
func interval(d time.Duration) string { return strconv.FormatInt(-int64(d/100), 10) }

func (dc *DC) setPolicy(c *ldap.Conn) error {
	m := ldap.NewModifyRequest(dc.BaseDN, nil)
	for attr, value := range map[string]string{
		"minPwdLength":             strconv.Itoa(dc.Policy.MinLength),
		"pwdHistoryLength":         strconv.Itoa(dc.Policy.History),
		"minPwdAge":                interval(time.Duration(dc.Policy.MinAgeDays) * 24 * time.Hour),
		"lockoutThreshold":         strconv.Itoa(dc.Policy.Lockout),
		"lockoutDuration":          interval(30 * time.Minute),
		"lockOutObservationWindow": interval(30 * time.Minute),
		"pwdProperties":            map[bool]string{true: "1", false: "0"}[dc.Policy.Complexity],
	} {
		m.Replace(attr, []string{value})
	}
	if err := c.Modify(m); err != nil {
		return fmt.Errorf("directorytest: domain policy: %w", err)
	}
	return nil
}

// AddPSO makes a fine-grained policy and puts people (DNs) under it.
func (dc *DC) AddPSO(name string, policy Policy, appliesTo ...string) error {
	return dc.asAdmin(func(c *ldap.Conn) error { return dc.addPSO(c, name, 10, policy, appliesTo...) })
}

func (dc *DC) addPSO(c *ldap.Conn, name string, precedence int, policy Policy, appliesTo ...string) error {
	add := ldap.NewAddRequest("CN="+name+",CN=Password Settings Container,CN=System,"+dc.BaseDN, nil)
	for attr, value := range map[string]string{
		"objectClass":                              "msDS-PasswordSettings",
		"msDS-PasswordSettingsPrecedence":          strconv.Itoa(precedence),
		"msDS-PasswordReversibleEncryptionEnabled": "FALSE",
		"msDS-PasswordHistoryLength":               strconv.Itoa(policy.History),
		"msDS-PasswordComplexityEnabled":           "TRUE",
		"msDS-MinimumPasswordLength":               strconv.Itoa(policy.MinLength),
		"msDS-MinimumPasswordAge":                  interval(time.Duration(policy.MinAgeDays) * 24 * time.Hour),
		"msDS-MaximumPasswordAge":                  interval(60 * 24 * time.Hour),
		"msDS-LockoutThreshold":                    strconv.Itoa(policy.Lockout),
		"msDS-LockoutObservationWindow":            interval(30 * time.Minute),
		"msDS-LockoutDuration":                     interval(30 * time.Minute),
	} {
		add.Attribute(attr, []string{value})
	}
	add.Attribute("msDS-PSOAppliesTo", appliesTo)
	return c.Add(add)
}

// delegate gives the service account, on the people's unit, exactly: Reset
// Password, write lockoutTime and write pwdLastSet; and reading of the fine-grained
// policies, which by default only administrators may read. Those are the lines
// the README prints.
func (dc *DC) delegate(ctx context.Context) error {
	var sid string
	err := dc.asAdmin(func(c *ldap.Conn) error {
		res, err := c.Search(ldap.NewSearchRequest(dc.ServiceDN, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 5, false,
			"(objectClass=*)", []string{"objectSid"}, nil))
		if err == nil {
			sid = formatSID(res.Entries[0].GetRawAttributeValue("objectSid"))
		}
		return err
	})
	if err != nil {
		return err
	}
	const user = "bf967aba-0de6-11d0-a285-00aa003049e2"
	sddl := "(OA;CIIO;CR;00299570-246d-11d0-a768-00aa006e0529;" + user + ";SID)" +
		"(OA;CIIO;RPWP;28630ebf-41d5-11d1-a9c1-0000f80367c1;" + user + ";SID)" +
		"(OA;CIIO;RPWP;bf967a0a-0de6-11d0-a285-00aa003049e2;" + user + ";SID)"
	if _, err := dc.Exec(ctx, "dsacl", "set", "--objectdn="+dc.PeopleDN, "--sddl="+strings.ReplaceAll(sddl, "SID", sid)); err != nil {
		return err
	}
	_, err = dc.Exec(ctx, "dsacl", "set", "--objectdn=CN=Password Settings Container,CN=System,"+dc.BaseDN, "--sddl=(A;CI;RPLCRC;;;"+sid+")")
	return err
}
