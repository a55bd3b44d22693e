//go:build !noentra

package entra

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"crypto/x509"

	abstractions "github.com/microsoft/kiota-abstractions-go"
	"github.com/microsoftgraph/msgraph-sdk-go/models"
	"github.com/microsoftgraph/msgraph-sdk-go/users"

	"postern/directory"
)

// graphApp is the application id of Microsoft Graph itself, in every tenant.
const graphApp = "00000003-0000-0000-c000-000000000000"

// needed are the permissions of the application, and what is lost without each.
var needed = []struct{ permission, loses string }{
	{"User.Read.All", "nobody can be found"},
	{"Directory.Read.All", "groups, roles and domains cannot be read, so nobody is helped"},
	{"RoleManagement.Read.Directory", "who has a role, or may activate one, cannot be told, so nobody is helped"},
	{"User-PasswordProfile.ReadWrite.All", "no password can be reset"},
	{"User.RevokeSessions.All", "after a reset whoever is signed in stays signed in"},
	{"UserAuthenticationMethod.ReadWrite.All", "no Temporary Access Pass can be given and no sign-in method removed"},
	{"AuditLog.Read.All", "who has registered which methods cannot be reported"},
	{"Policy.Read.All", "whether Temporary Access Passes are allowed cannot be told beforehand"},
}

// optional are those without which resets still work.
var optional = []string{"User.RevokeSessions.All", "UserAuthenticationMethod.ReadWrite.All", "AuditLog.Read.All", "Policy.Read.All"}

// tooWide are permissions with which the application could make itself anything, or
// write what Postern never writes.
var tooWide = []string{"RoleManagement.ReadWrite.Directory", "AppRoleAssignment.ReadWrite.All", "Application.ReadWrite.All", "Directory.ReadWrite.All",
	"User.ReadWrite.All", "Group.ReadWrite.All", "GroupMember.ReadWrite.All"}

// Roles with which an application may reset passwords: of people without a role, and
// of everybody ("Who can reset passwords", Microsoft Entra built-in roles).
var (
	resetters = []string{"User Administrator", "Helpdesk Administrator", "Password Administrator", "Authentication Administrator"}
	mighty    = []string{"Global Administrator", "Privileged Authentication Administrator", "Privileged Role Administrator", "Partner Tier2 Support"}
)

// userAdministrator is the id of that role, in every tenant.
const userAdministrator = "fe930be7-5e62-47db-91af-98c3a49a38b1"

func ok(check, format string, args ...any) directory.Finding {
	return directory.Finding{Check: check, What: fmt.Sprintf(format, args...)}
}

func bad(s directory.Severity, check, what, why, mend string) directory.Finding {
	return directory.Finding{Severity: s, Check: check, What: what, Why: why, Mend: mend}
}

// Examine implements directory.Examiner. It reads; what it cannot try without
// writing it looks up in what the tenant has granted.
func (d *Directory) Examine(ctx context.Context) []directory.Finding {
	out := d.examineCertificate()
	id, name, err := d.organization(ctx)
	switch {
	case errors.Is(err, directory.ErrDenied):
		out = append(out, bad(directory.Failure, "token", "signed in, and may not read the tenant's own name", "the tenant cannot be told from another, so nobody is helped", d.grant("Directory.Read.All", "")))
	case err != nil:
		return append(out, d.examineSignIn(err))
	case id != d.cfg.Tenant:
		return append(out, bad(directory.Failure, "tenant", fmt.Sprintf("Graph answers for the tenant %s (%s), and %s is configured", id, name, d.cfg.Tenant),
			"people of another organisation would be taken for yours", "set tenant to the right id, or mend graph and authority"))
	default:
		out = append(out, ok("token", "signed in as the application %s", d.cfg.ClientID), ok("tenant", "%s (%s)", name, id))
	}
	out = append(out, d.examinePeople(ctx), d.examineDomains(ctx))
	out = append(out, d.examineRights(ctx)...)
	return append(out, d.examineCalls(ctx)...)
}

// examineSignIn reads the identity platform's codes ("Microsoft Entra authentication
// and authorization error codes").
func (d *Directory) examineSignIn(err error) directory.Finding {
	const why = "nobody of this directory can be helped"
	text := err.Error()
	for code, mend := range map[string]string{
		"AADSTS7000215": "the secret is wrong; make another: az ad app credential reset --id " + d.cfg.ClientID,
		"AADSTS7000222": "the secret has ended; make another: az ad app credential reset --id " + d.cfg.ClientID,
		"AADSTS700027":  "the certificate is not the application's, or has ended: az ad app credential reset --id " + d.cfg.ClientID + " --cert @certificate.pem --append",
		"AADSTS700016":  "there is no such application in this tenant; check client_id and tenant: az ad app show --id " + d.cfg.ClientID,
		"AADSTS90002":   "there is no such tenant; az account show --query tenantId",
		"AADSTS7000112": "the application is disabled: az ad sp update --id " + d.cfg.ClientID + " --set accountEnabled=true",
		"AADSTS53003":   "a Conditional Access policy for workload identities stops it; leave this server's address out of it",
	} {
		if strings.Contains(text, code+":") {
			return bad(directory.Failure, "token", text, why, mend)
		}
	}
	authority, graph := d.cfg.addresses()
	return bad(directory.Failure, "token", text, why, fmt.Sprintf("see whether this machine reaches both, and what answers: curl -v %s%s/v2.0/.well-known/openid-configuration; curl -v %s/v1.0/", authority, d.cfg.Tenant, graph))
}

// examineCertificate says how long the application's certificate still is. When a
// secret ends only those who may read the application know.
func (d *Directory) examineCertificate() []directory.Finding {
	switch {
	case d.cfg.Certificate == "" && !d.cfg.Secret.Empty():
		return []directory.Finding{bad(directory.Warning, "credential", "the application signs in with a secret",
			"whoever reads it is the application, anywhere, and when it ends nobody is told; a certificate's key can stay on this machine",
			"az ad app credential reset --id "+d.cfg.ClientID+" --create-cert --append, and name the file in certificate")}
	case d.cfg.Certificate == "":
		return []directory.Finding{ok("credential", "the platform vouches for the application; there is nothing to renew")}
	}
	data, err := os.ReadFile(d.cfg.Certificate)
	if err != nil {
		return []directory.Finding{bad(directory.Failure, "credential", err.Error(), "the application cannot sign in", "mend certificate")}
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			continue
		}
		left := int(cert.NotAfter.Sub(d.now()).Hours() / 24)
		f := ok("credential", "%s is good for %d more days", d.cfg.Certificate, left)
		if left < 30 {
			f = bad(directory.Warning, "credential", f.What, "when it ends nobody of this directory can be helped",
				"az ad app credential reset --id "+d.cfg.ClientID+" --create-cert --append, and name the new file in certificate")
		}
		if left < 0 {
			f.Severity = directory.Failure
		}
		return []directory.Finding{f}
	}
	return []directory.Finding{bad(directory.Failure, "credential", d.cfg.Certificate+" holds no certificate", "the application cannot sign in", "mend certificate")}
}

func (d *Directory) examinePeople(ctx context.Context) directory.Finding {
	top, count, filter := int32(1), true, "userType eq 'Member'"
	headers := abstractions.NewRequestHeaders()
	headers.Add("ConsistencyLevel", "eventual")
	var n int64
	err := d.graph.ask(ctx, func(ctx context.Context) error {
		page, err := d.graph.users().Get(ctx, &users.UsersRequestBuilderGetRequestConfiguration{Headers: headers,
			QueryParameters: &users.UsersRequestBuilderGetQueryParameters{Top: &top, Count: &count, Filter: &filter, Select: []string{"id"}}})
		if err == nil && (page == nil || page.GetOdataCount() == nil) {
			err = errNothing
		}
		if err == nil {
			n = *page.GetOdataCount()
		}
		return err
	})
	if err != nil {
		return bad(directory.Failure, "people", err.Error(), "nobody can be found", d.grant("User.Read.All", ""))
	}
	return ok("people", "%d members", n)
}

func (d *Directory) examineDomains(ctx context.Context) directory.Finding {
	if _, err := d.domain(ctx, ""); err != nil {
		return bad(directory.Failure, "domains", err.Error(), "whether a domain is federated cannot be told, so nobody is helped", d.grant("Directory.Read.All", ""))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var own, other []string
	for name, at := range d.domains {
		if at.federated {
			other = append(other, name)
		} else {
			own = append(own, name)
		}
	}
	slices.Sort(own)
	slices.Sort(other)
	if len(other) > 0 {
		return ok("domains", "%s; of federated domains nobody is helped: %s", strings.Join(own, ", "), strings.Join(other, ", "))
	}
	return ok("domains", "%s", strings.Join(own, ", "))
}

// grant is the command that gives a permission. id is that of the permission.
func (d *Directory) grant(permission, id string) string {
	if id == "" {
		id = fmt.Sprintf("$(az ad sp show --id %s --query \"appRoles[?value=='%s'].id\" -o tsv)", graphApp, permission)
	}
	return fmt.Sprintf("az ad app permission add --id %[1]s --api %[2]s --api-permissions %[3]s=Role && az ad app permission admin-consent --id %[1]s", d.cfg.ClientID, graphApp, id)
}

// examineRights looks at what the tenant has granted: permissions and roles, too few
// and too many.
func (d *Directory) examineRights(ctx context.Context) []directory.Finding {
	granted, ids, self, err := d.granted(ctx)
	if err != nil {
		return []directory.Finding{bad(directory.Warning, "permissions", "what the application was granted cannot be read: "+err.Error(),
			"whether passwords can be reset will show at the first reset", d.grant("Directory.Read.All", ""))}
	}
	var out []directory.Finding
	for _, n := range needed {
		if slices.Contains(granted, n.permission) {
			continue
		}
		f := bad(directory.Failure, "permissions", n.permission+" is not granted", n.loses, d.grant(n.permission, ids[n.permission]))
		if slices.Contains(optional, n.permission) {
			f.Severity = directory.Warning
		}
		out = append(out, f)
	}
	if len(out) == 0 {
		out = append(out, ok("permissions", "all %d are granted", len(needed)))
	}
	for _, p := range tooWide {
		if slices.Contains(granted, p) {
			out = append(out, bad(directory.Warning, "permissions", p+" is granted, and Postern never needs it",
				"whoever takes over this server could take over the tenant with it",
				fmt.Sprintf("az ad app permission delete --id %[1]s --api %[2]s --api-permissions %[3]s && az ad app permission admin-consent --id %[1]s", d.cfg.ClientID, graphApp, ids[p])))
		}
	}
	return append(out, d.examineRoles(ctx, self)...)
}

// granted are the application's permissions of Graph, by name, the ids of all there
// are, and the id of the application's own service principal.
func (d *Directory) granted(ctx context.Context) (granted []string, ids map[string]string, self string, err error) {
	find := func(app string) (models.ServicePrincipalable, error) {
		list, err := fetchList[models.ServicePrincipalCollectionResponseable](ctx, d.graph, "/servicePrincipals", url.Values{"$filter": {"appId eq '" + app + "'"}},
			models.CreateServicePrincipalCollectionResponseFromDiscriminatorValue)
		if err != nil {
			return nil, err
		}
		if len(list) != 1 {
			return nil, fmt.Errorf("%w: no service principal of %s", directory.ErrUnavailable, app)
		}
		return list[0], nil
	}
	of, err := find(graphApp)
	if err != nil {
		return nil, nil, "", err
	}
	names := map[string]string{}
	ids = map[string]string{}
	for _, r := range of.GetAppRoles() {
		if r.GetId() != nil {
			names[r.GetId().String()], ids[text(r.GetValue())] = text(r.GetValue()), r.GetId().String()
		}
	}
	if d.cfg.ClientID == "" {
		return nil, nil, "", errors.New("client_id is not set, so that the identity's own grants cannot be looked up")
	}
	own, err := find(d.cfg.ClientID)
	if err != nil {
		return nil, nil, "", err
	}
	self = text(own.GetId())
	list, err := fetchList[models.AppRoleAssignmentCollectionResponseable](ctx, d.graph, "/servicePrincipals/"+url.PathEscape(self)+"/appRoleAssignments", nil,
		models.CreateAppRoleAssignmentCollectionResponseFromDiscriminatorValue)
	if err != nil {
		return nil, nil, "", err
	}
	for _, a := range list {
		if a.GetAppRoleId() != nil {
			granted = append(granted, names[a.GetAppRoleId().String()])
		}
	}
	return granted, ids, self, nil
}

func (d *Directory) examineRoles(ctx context.Context, self string) []directory.Finding {
	list, err := fetchList[models.UnifiedRoleAssignmentCollectionResponseable](ctx, d.graph, "/roleManagement/directory/roleAssignments",
		url.Values{"$filter": {"principalId eq '" + self + "'"}, "$expand": {"roleDefinition"}}, models.CreateUnifiedRoleAssignmentCollectionResponseFromDiscriminatorValue)
	if err != nil {
		return []directory.Finding{bad(directory.Failure, "roles", err.Error(), "who has a role cannot be told, so nobody is helped", d.grant("RoleManagement.Read.Directory", ""))}
	}
	var out []directory.Finding
	able := ""
	for _, a := range list {
		name, scope := "", text(a.GetDirectoryScopeId())
		if a.GetRoleDefinition() != nil {
			name = text(a.GetRoleDefinition().GetDisplayName())
		}
		switch {
		case slices.Contains(mighty, name):
			out = append(out, bad(directory.Failure, "roles", "the application has the role "+name, "whoever takes over this server takes over the tenant; Postern refuses such targets, but need not be able to",
				fmt.Sprintf("az rest --method DELETE --url https://graph.microsoft.com/v1.0/roleManagement/directory/roleAssignments/%s", text(a.GetId()))))
		case slices.Contains(resetters, name):
			able = name + " over " + map[bool]string{true: "the whole tenant", false: scope}[scope == "/"]
		}
	}
	if able == "" && len(out) == 0 {
		return append(out, bad(directory.Failure, "roles", "the application has no role that may reset passwords", "the permission alone is not enough for an application: every reset will be refused",
			fmt.Sprintf(`az rest --method POST --url https://graph.microsoft.com/v1.0/roleManagement/directory/roleAssignments --body '{"principalId":"%s","roleDefinitionId":"%s","directoryScopeId":"/"}'`, self, userAdministrator)))
	}
	if able != "" {
		out = append(out, ok("roles", "the application has the role %s", able))
	}
	return out
}

// examineCalls tries what can be tried without touching anybody.
func (d *Directory) examineCalls(ctx context.Context) []directory.Finding {
	var out []directory.Finding
	if _, err := d.rights(ctx, nobodyID); err != nil && (errors.Is(err, directory.ErrUnavailable) || !errors.Is(err, directory.ErrNotFound)) {
		out = append(out, bad(directory.Failure, "privileged", err.Error(), "nobody can be cleared of being privileged, so nobody is helped", d.grant("RoleManagement.Read.Directory", "")))
	} else {
		out = append(out, ok("privileged", "groups, roles and roles that may be activated can be read"))
	}
	if _, err := d.Methods(ctx, directory.User{ID: directory.ID(d.name + ":" + nobodyID)}); err != nil && !errors.Is(err, directory.ErrNotFound) {
		out = append(out, bad(directory.Warning, "methods", err.Error(), "sign-in methods can be neither shown nor removed", d.grant("UserAuthenticationMethod.ReadWrite.All", "")))
	} else {
		out = append(out, ok("methods", "sign-in methods can be read"))
	}
	if d.cfg.PassMinutes > 0 {
		out = append(out, d.examinePass(ctx))
	}
	return out
}

func (d *Directory) examinePass(ctx context.Context) directory.Finding {
	const at = "/policies/authenticationMethodsPolicy/authenticationMethodConfigurations/TemporaryAccessPass"
	enable := func(body string) string {
		return fmt.Sprintf(`az rest --method PATCH --url https://graph.microsoft.com/v1.0%s --body '{"@odata.type":"#microsoft.graph.temporaryAccessPassAuthenticationMethodConfiguration",%s}'`, at, body)
	}
	p, err := fetch[models.TemporaryAccessPassAuthenticationMethodConfigurationable](ctx, d.graph, at, nil, models.CreateAuthenticationMethodConfigurationFromDiscriminatorValue)
	if err != nil {
		return bad(directory.Warning, "pass", err.Error(), "whether Temporary Access Passes are allowed cannot be told", d.grant("Policy.Read.All", ""))
	}
	if s := p.GetState(); s == nil || *s != models.ENABLED_AUTHENTICATIONMETHODSTATE {
		return bad(directory.Failure, "pass", "the tenant's policy for Temporary Access Passes is off", "pass_minutes is set, and nobody can be given one", enable(`"state":"enabled"`))
	}
	least, most := p.GetMinimumLifetimeInMinutes(), p.GetMaximumLifetimeInMinutes()
	if minutes := int32(d.cfg.PassMinutes); least != nil && minutes < *least || most != nil && minutes > *most {
		return bad(directory.Failure, "pass", fmt.Sprintf("pass_minutes is %d, and the tenant's policy allows %d to %d", minutes, number(least), number(most)), "nobody can be given a pass",
			enable(fmt.Sprintf(`"minimumLifetimeInMinutes":%d,"maximumLifetimeInMinutes":%d`, min(minutes, number(least)), max(minutes, number(most)))))
	}
	return ok("pass", "Temporary Access Passes of %s are allowed", time.Duration(d.cfg.PassMinutes)*time.Minute)
}

func number(n *int32) int32 {
	if n == nil {
		return 0
	}
	return *n
}
