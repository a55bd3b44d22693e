package graphstub

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

func (s *Server) tenantRoutes(mux *http.ServeMux) {
	directory := []string{"Directory.Read.All", "Directory.ReadWrite.All"}
	roles := []string{"RoleManagement.Read.Directory", "RoleManagement.ReadWrite.Directory", "Directory.Read.All"}
	mux.Handle("GET /v1.0/organization", s.route(append([]string{"Organization.Read.All"}, directory...), []string{"$select"}, s.organization))
	mux.Handle("GET /v1.0/domains", s.route(append([]string{"Domain.Read.All"}, directory...), []string{"$select"}, s.domains))
	mux.Handle("GET /v1.0/roleManagement/directory/roleAssignments", s.route(roles, []string{"$filter", "$expand"}, s.assignments))
	mux.Handle("GET /v1.0/roleManagement/directory/roleEligibilityScheduleInstances",
		s.route([]string{"RoleManagement.Read.Directory", "RoleEligibilitySchedule.Read.Directory", "RoleManagement.ReadWrite.Directory"}, []string{"$filter"}, s.eligible))
	mux.Handle("GET /v1.0/reports/authenticationMethods/userRegistrationDetails", s.route([]string{"AuditLog.Read.All"}, []string{"$top", "$skiptoken", "$filter"}, s.registrations))
	mux.Handle("GET /v1.0/policies/authenticationMethodsPolicy/authenticationMethodConfigurations/TemporaryAccessPass",
		s.route([]string{"Policy.Read.All", "Policy.Read.AuthenticationMethod", "Policy.ReadWrite.AuthenticationMethod"}, nil, s.passPolicy))
	mux.Handle("GET /v1.0/servicePrincipals", s.route(append([]string{"Application.Read.All"}, directory...), []string{"$filter", "$select"}, s.servicePrincipals))
	mux.Handle("GET /v1.0/servicePrincipals/{id}/appRoleAssignments", s.route(append([]string{"Application.Read.All"}, directory...), nil, s.appRoles))
}

func values(v []map[string]any) map[string]any {
	if v == nil {
		v = []map[string]any{}
	}
	return map[string]any{"value": v}
}

func (s *Server) organization(*http.Request, url.Values) (int, string, map[string]any, error) {
	return 200, "organization", values([]map[string]any{{"id": s.cfg.Tenant, "displayName": "Postern demo"}}), nil
}

func (s *Server) domains(*http.Request, url.Values) (int, string, map[string]any, error) {
	var out []map[string]any
	for i, d := range s.cfg.Domains {
		v := map[string]any{"id": d.Name, "isDefault": i == 0, "isVerified": true, "authenticationType": "Managed", "passwordValidityPeriodInDays": nil}
		if d.Federated {
			v["authenticationType"] = "Federated"
		}
		if d.ValidityDays > 0 {
			v["passwordValidityPeriodInDays"] = d.ValidityDays
		}
		out = append(out, v)
	}
	return 200, "domains", values(out), nil
}

var byPrincipal = regexp.MustCompile(`^principalId eq '([0-9a-f-]{36})'$`)

// principal is whom a filter of role assignments asks for.
func principal(q url.Values) (string, error) {
	m := byPrincipal.FindStringSubmatch(q.Get("$filter"))
	if m == nil {
		return "", badFilter("The filter '%s' is not supported.", q.Get("$filter"))
	}
	return m[1], nil
}

// appID is the id of the application's own service principal.
func (s *Server) appID() string { return idOf("servicePrincipal", s.cfg.Client) }

func (s *Server) assignments(_ *http.Request, q url.Values) (int, string, map[string]any, error) {
	who, err := principal(q)
	if err != nil {
		return 0, "", nil, err
	}
	if e := q.Get("$expand"); e != "" && e != "roleDefinition" {
		return 0, "", nil, &fault{400, "BadRequest", "Parsing OData Select and Expand failed: " + e}
	}
	var out []map[string]any
	add := func(role, scope string) {
		v := map[string]any{"id": idOf("assignment", who+role+scope), "principalId": who, "roleDefinitionId": idOf("template", role), "directoryScopeId": scope}
		if q.Get("$expand") != "" {
			v["roleDefinition"] = map[string]any{"id": idOf("template", role), "displayName": role, "isBuiltIn": true}
		}
		out = append(out, v)
	}
	if who == s.appID() {
		for _, r := range s.cfg.Roles {
			add(r, "/")
		}
	}
	if a := s.person(who); a != nil {
		p := a.seen(s.cfg.Now())
		for _, r := range p.Roles {
			add(r, "/")
		}
		for _, r := range p.UnitRoles {
			add(r, "/administrativeUnits/"+idOf("unit", "some"))
		}
	}
	if g, ok := s.groups[who]; ok {
		for _, r := range g.Roles {
			add(r, "/")
		}
	}
	return 200, "roleManagement/directory/roleAssignments", values(out), nil
}

func (s *Server) eligible(_ *http.Request, q url.Values) (int, string, map[string]any, error) {
	who, err := principal(q)
	if err != nil {
		return 0, "", nil, err
	}
	if s.cfg.NoPremium {
		return 0, "", nil, &fault{400, "AadPremiumLicenseRequired", "The tenant needs to have Microsoft Entra ID P2 or Microsoft Entra ID Governance license."}
	}
	var out []map[string]any
	if a := s.person(who); a != nil {
		for _, r := range a.seen(s.cfg.Now()).Eligible {
			out = append(out, map[string]any{"id": idOf("eligible", who+r), "principalId": who, "roleDefinitionId": idOf("template", r), "directoryScopeId": "/", "memberType": "Direct"})
		}
	}
	return 200, "roleManagement/directory/roleEligibilityScheduleInstances", values(out), nil
}

func (s *Server) registrations(_ *http.Request, q url.Values) (int, string, map[string]any, error) {
	if q.Get("$filter") != "" || q.Get("$skiptoken") != "" {
		return 0, "", nil, badFilter("The filter is not supported.")
	}
	word := map[string]string{"phone": "mobilePhone", "softwareOath": "softwareOneTimePasscode", "fido2": "fido2SecurityKey", "email": "email",
		"microsoftAuthenticator": "microsoftAuthenticatorPush", "windowsHelloForBusiness": "windowsHelloForBusiness"}
	var out []map[string]any
	for _, a := range s.people {
		p := a.seen(s.cfg.Now())
		have := []string{}
		for _, m := range p.Methods {
			if w := word[m.Type]; w != "" && !slices.Contains(have, w) {
				have = append(have, w)
			}
		}
		strong := slices.ContainsFunc(have, func(w string) bool { return w != "email" })
		out = append(out, map[string]any{"id": p.ID, "userPrincipalName": p.UPN, "userDisplayName": p.Name, "isAdmin": s.privileged(p),
			"isMfaRegistered": strong, "isMfaCapable": strong, "isSsprRegistered": strong, "methodsRegistered": have})
	}
	return 200, "reports/authenticationMethods/userRegistrationDetails", values(out), nil
}

func (s *Server) passPolicy(*http.Request, url.Values) (int, string, map[string]any, error) {
	state := "enabled"
	if s.cfg.PassesOff {
		state = "disabled"
	}
	return 200, "authenticationMethodConfigurations/$entity", map[string]any{"@odata.type": "#microsoft.graph.temporaryAccessPassAuthenticationMethodConfiguration",
		"id": "TemporaryAccessPass", "state": state, "defaultLifetimeInMinutes": s.cfg.PassMin, "minimumLifetimeInMinutes": s.cfg.PassMin,
		"maximumLifetimeInMinutes": s.cfg.PassMax, "defaultLength": 8, "isUsableOnce": false}, nil
}

// graphApp is the application id of Microsoft Graph itself, in every tenant.
const graphApp = "00000003-0000-0000-c000-000000000000"

var byApp = regexp.MustCompile(`^appId eq '([0-9a-f-]{36})'$`)

func (s *Server) servicePrincipals(_ *http.Request, q url.Values) (int, string, map[string]any, error) {
	m := byApp.FindStringSubmatch(q.Get("$filter"))
	if m == nil {
		return 0, "", nil, badFilter("The filter '%s' is not supported.", q.Get("$filter"))
	}
	switch m[1] {
	case s.cfg.Client:
		return 200, "servicePrincipals", values([]map[string]any{{"id": s.appID(), "appId": m[1], "displayName": "Postern"}}), nil
	case graphApp:
		var roles []map[string]any
		for _, p := range known {
			roles = append(roles, map[string]any{"id": idOf("appRole", p), "value": p, "isEnabled": true, "displayName": strings.ReplaceAll(p, ".", " ")})
		}
		return 200, "servicePrincipals", values([]map[string]any{{"id": idOf("servicePrincipal", graphApp), "appId": graphApp, "displayName": "Microsoft Graph", "appRoles": roles}}), nil
	}
	return 200, "servicePrincipals", values(nil), nil
}

// known are the permissions of Graph that can be given here.
var known = append([]string{"User.ReadWrite.All", "Directory.ReadWrite.All", "RoleManagement.ReadWrite.Directory", "Application.ReadWrite.All",
	"AppRoleAssignment.ReadWrite.All", "UserAuthenticationMethod.Read.All", "Organization.Read.All", "Domain.Read.All", "GroupMember.Read.All",
	"Group.ReadWrite.All", "GroupMember.ReadWrite.All"}, Needed...)

func (s *Server) appRoles(r *http.Request, _ url.Values) (int, string, map[string]any, error) {
	if r.PathValue("id") != s.appID() {
		return 0, "", nil, missing(r.PathValue("id"))
	}
	var out []map[string]any
	for _, p := range s.cfg.Consent {
		out = append(out, map[string]any{"id": idOf("grant", p), "appRoleId": idOf("appRole", p), "principalId": s.appID(), "principalType": "ServicePrincipal",
			"resourceId": idOf("servicePrincipal", graphApp), "resourceDisplayName": "Microsoft Graph"})
	}
	return 200, "appRoleAssignments", values(out), nil
}
