package entra

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"postern/directory"
)

// ErrNotBuilt is New's answer in a program built with -tags noentra.
var ErrNotBuilt = errors.New("entra: this program was built without Microsoft Entra ID (-tags noentra); build it without that tag")

// Config is one tenant.
type Config struct {
	// Tenant is the directory (tenant) id, and ClientID the application (client) id.
	Tenant   string `yaml:"tenant"`
	ClientID string `yaml:"client_id"`

	// The application signs in by exactly one of these. ClientSecret is a reference,
	// file:PATH or env:NAME, resolved into Secret by whoever loads the configuration.
	ClientSecret string           `yaml:"client_secret"`
	Secret       directory.Secret `yaml:"-"`
	// Certificate is a PEM file with the certificate and its private key.
	Certificate string `yaml:"certificate"`
	// ManagedIdentity is the identity of the machine in Azure; with ClientID a
	// user-assigned one.
	ManagedIdentity bool `yaml:"managed_identity"`
	// WorkloadToken is the file a platform like Kubernetes keeps a federated token in.
	WorkloadToken string `yaml:"workload_token"`

	// Cloud is public, usgov, usgov-dod or china. Authority and Graph are other
	// addresses, both or neither, and CAFile who may sign their certificates.
	Cloud     string `yaml:"cloud"`
	Authority string `yaml:"authority"`
	Graph     string `yaml:"graph"`
	CAFile    string `yaml:"ca_file"`

	// LoginAttributes are compared with what a person types: userPrincipalName, mail,
	// proxyAddresses, otherMails, employeeId, id.
	LoginAttributes []string `yaml:"login_attributes"`
	// LinkAttribute holds what accounts of one person in several directories have in
	// common: employeeId, or nothing.
	LinkAttribute string `yaml:"link_attribute"`
	// PrivilegedGroups are object ids of groups whose members, nested too, are never
	// touched, beside everybody with a role.
	PrivilegedGroups []string `yaml:"privileged_groups"`
	// MustChange asks for another new password at the next sign-in after a reset.
	MustChange bool `yaml:"must_change"`
	// PassMinutes is how long a Temporary Access Pass is good for; 0: none is given.
	PassMinutes int `yaml:"pass_minutes"`

	RequestTimeout time.Duration `yaml:"request_timeout"`
}

// DefaultConfig is what holds where the file says nothing.
func DefaultConfig() Config {
	return Config{Cloud: "public", LoginAttributes: []string{"userPrincipalName", "mail"}, RequestTimeout: 5 * time.Second}
}

// clouds are where each cloud signs in and where its Graph is ("Microsoft Graph
// national cloud deployments").
var clouds = map[string]struct{ authority, graph string }{
	"public":    {"https://login.microsoftonline.com/", "https://graph.microsoft.com"},
	"usgov":     {"https://login.microsoftonline.us/", "https://graph.microsoft.us"},
	"usgov-dod": {"https://login.microsoftonline.us/", "https://dod-graph.microsoft.us"},
	"china":     {"https://login.chinacloudapi.cn/", "https://microsoftgraph.chinacloudapi.cn"},
}

// addresses are where to sign in and where Graph is.
func (c Config) addresses() (authority, graph string) {
	if c.Graph != "" {
		return c.Authority, strings.TrimSuffix(c.Graph, "/")
	}
	at := clouds[c.Cloud]
	return at.authority, at.graph
}

// guid is the form of every id in a tenant.
var guid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

func isID(s string) bool { return guid.MatchString(strings.ToLower(s)) }

// loginAttributes are what can be compared, and how in OData.
var loginAttributes = map[string]string{
	"userPrincipalName": "userPrincipalName eq '%s'",
	"mail":              "mail eq '%s'",
	"proxyAddresses":    "proxyAddresses/any(a:a eq 'smtp:%s')",
	"otherMails":        "otherMails/any(a:a eq '%s')",
	"employeeId":        "employeeId eq '%s'",
	"id":                "id eq '%s'",
}

// Validate returns every fault, each beginning with the name of its key. It looks at
// no network; it does not repeat the secret.
func (c Config) Validate() []error {
	var faults []error
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if !isID(c.Tenant) {
		add("tenant: must be the directory (tenant) id, like 8bc3f0d2-5f0e-4b7e-9d58-0a2f3d1c6e11; a domain name would follow whoever owns that domain")
	}
	if !isID(c.ClientID) && (c.ClientID != "" || !c.ManagedIdentity) {
		add("client_id: must be the application (client) id")
	}
	ways := 0
	for _, given := range []bool{c.ClientSecret != "" || !c.Secret.Empty(), c.Certificate != "", c.ManagedIdentity, c.WorkloadToken != ""} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		add("client_secret, certificate, managed_identity, workload_token: give exactly one of them")
	}
	if ref := c.ClientSecret; ref != "" && !strings.HasPrefix(ref, "file:") && !strings.HasPrefix(ref, "env:") {
		add("client_secret: must be a reference, file:PATH or env:NAME, not the secret itself")
	}
	if c.Certificate != "" {
		if info, err := os.Stat(c.Certificate); err != nil {
			add("certificate: %w", err)
		} else if info.Mode().Perm()&0o077 != 0 {
			add("certificate: %s holds a private key, and others may read it; chmod 600 %s", c.Certificate, c.Certificate)
		}
	}
	faults = append(faults, c.where()...)
	if len(c.LoginAttributes) == 0 {
		add("login_attributes: name at least one")
	}
	for i, a := range c.LoginAttributes {
		if loginAttributes[a] == "" {
			add("login_attributes[%d]: %q cannot be searched by here", i, a)
		}
	}
	if c.LinkAttribute != "" && c.LinkAttribute != "employeeId" {
		add("link_attribute: only employeeId can link accounts of a tenant")
	}
	for i, g := range c.PrivilegedGroups {
		if !isID(g) {
			add("privileged_groups[%d]: %q is not an object id; names can be given to any group", i, g)
		}
	}
	if c.PassMinutes != 0 && (c.PassMinutes < 10 || c.PassMinutes > 1440) {
		add("pass_minutes: must be from 10 to 1440, or 0 for none")
	}
	if c.RequestTimeout <= 0 || c.RequestTimeout > time.Minute {
		add("request_timeout: must be more than zero and at most 1m")
	}
	return faults
}

// where checks the addresses.
func (c Config) where() (faults []error) {
	if _, known := clouds[c.Cloud]; !known {
		faults = append(faults, fmt.Errorf("cloud: %q is none of public, usgov, usgov-dod, china", c.Cloud))
	}
	if (c.Authority == "") != (c.Graph == "") {
		faults = append(faults, errors.New("authority, graph: give both or neither"))
	}
	for _, a := range []struct{ key, address string }{{"authority", c.Authority}, {"graph", c.Graph}} {
		if a.address == "" {
			continue
		}
		u, err := url.Parse(a.address)
		if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
			faults = append(faults, fmt.Errorf("%s: must be https://host[:port]", a.key))
		}
	}
	if c.CAFile != "" {
		if _, err := loadCA(c.CAFile); err != nil {
			faults = append(faults, fmt.Errorf("ca_file: %w", err))
		}
	}
	return faults
}

func loadCA(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: holds no PEM certificate", path)
	}
	return pool, nil
}

// find is the filter that finds whom somebody typed. An id is looked for only where
// what was typed has the form of one: Graph refuses the whole filter otherwise.
func (c Config) find(typed string) string {
	quoted := strings.ReplaceAll(typed, "'", "''")
	var any []string
	for _, a := range c.LoginAttributes {
		if a != "id" || isID(typed) {
			any = append(any, fmt.Sprintf(loginAttributes[a], quoted))
		}
	}
	if len(any) == 0 {
		any = []string{"userPrincipalName eq '" + quoted + "'"}
	}
	slices.Sort(any)
	return strings.Join(any, " or ")
}
