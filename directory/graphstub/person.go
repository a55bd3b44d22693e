package graphstub

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Person is one user of the tenant.
type Person struct {
	ID, UPN, Mail               string
	Name, Given, Surname        string
	Mobile, Employee, Language  string
	OtherMails, Proxies, Phones []string
	Guest, Disabled             bool
	// Synced people come from an on-premises directory: SID and Immutable say of whom.
	Synced              bool
	SAM, SID, Immutable string
	Password            string
	MustChange          bool
	PasswordSet         time.Time
	NeverExpires        bool
	Manager             string   // id of another person
	Groups              []string // ids of groups, direct
	Roles               []string // names of directory roles, for the whole tenant
	UnitRoles           []string // names of roles over one administrative unit alone
	Eligible            []string // names of roles that may be activated (PIM)
	Units               []string // names of administrative units
	Methods             []Method
}

// Group is a security group.
type Group struct {
	ID, Name     string
	RoleBearing  bool     // isAssignableToRole
	Roles        []string // names of directory roles its members have
	In           []string // ids of groups it is in
	MailEnabled  bool
	NotSecurity  bool
	Dynamic      bool
	HiddenMember bool
}

// Unit is an administrative unit.
type Unit struct {
	ID, Name   string
	Restricted bool // isMemberManagementRestricted
}

// Method is one registered authentication method.
type Method struct {
	ID   string
	Type string // phone, softwareOath, fido2, microsoftAuthenticator, email, windowsHelloForBusiness, temporaryAccessPass, password
	Name string // number, display name, address
	// Pass is the value of a Temporary Access Pass, which nobody is shown again.
	Pass    string
	Minutes int
	Once    bool
	Created time.Time
}

// snapshot is a person with the lists of its own.
func (p Person) snapshot() Person {
	for _, l := range []*[]string{&p.OtherMails, &p.Proxies, &p.Phones, &p.Groups, &p.Roles, &p.UnitRoles, &p.Eligible, &p.Units} {
		*l = slices.Clone(*l)
	}
	p.Methods = slices.Clone(p.Methods)
	return p
}

// account is a person as written, and as replicas still show it.
type account struct {
	now     Person
	old     Person
	visible time.Time // from when on replicas show now
}

func (a *account) seen(at time.Time) Person {
	if at.Before(a.visible) {
		return a.old
	}
	return a.now
}

// change writes at once and shows late.
func (s *Server) change(a *account, f func(*Person)) {
	at := s.cfg.Now()
	if !at.Before(a.visible) {
		a.old = a.now.snapshot()
	}
	next := a.now.snapshot()
	f(&next)
	a.now, a.visible = next, at.Add(s.cfg.Delay)
}

// properties is every property of the user resource that is known here, as JSON
// has it. Times are RFC 3339 in UTC, absent values null.
func (p Person) properties() map[string]any {
	text := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	list := func(l []string) []string {
		if l == nil {
			return []string{}
		}
		return l
	}
	kind := "Member"
	if p.Guest {
		kind = "Guest"
	}
	var policies any
	if p.NeverExpires {
		policies = "DisablePasswordExpiration"
	}
	var synced any
	if p.Synced {
		synced = true
	}
	set := any(nil)
	if !p.PasswordSet.IsZero() {
		set = p.PasswordSet.UTC().Format("2006-01-02T15:04:05Z")
	}
	return map[string]any{
		"id": p.ID, "userPrincipalName": p.UPN, "mail": text(p.Mail), "displayName": text(p.Name), "givenName": text(p.Given),
		"surname": text(p.Surname), "mobilePhone": text(p.Mobile), "businessPhones": list(p.Phones), "employeeId": text(p.Employee),
		"preferredLanguage": text(p.Language), "otherMails": list(p.OtherMails), "proxyAddresses": list(p.Proxies),
		"accountEnabled": !p.Disabled, "userType": kind, "onPremisesSyncEnabled": synced, "onPremisesSamAccountName": text(p.SAM),
		"onPremisesSecurityIdentifier": text(p.SID), "onPremisesImmutableId": text(p.Immutable), "passwordPolicies": policies,
		"lastPasswordChangeDateTime": set, "jobTitle": nil, "officeLocation": nil,
		"passwordProfile": map[string]any{"password": nil, "forceChangePasswordNextSignIn": p.MustChange, "forceChangePasswordNextSignInWithMfa": false},
	}
}

// usual are the properties a user has in an answer where nothing was selected.
var usual = []string{"businessPhones", "displayName", "givenName", "jobTitle", "mail", "mobilePhone", "officeLocation", "preferredLanguage", "surname", "userPrincipalName", "id"}

// chosen are the selected properties, in the order Graph gives none.
func chosen(all map[string]any, names []string) (map[string]any, error) {
	if len(names) == 0 {
		names = usual
	}
	out := map[string]any{}
	for _, n := range names {
		v, known := all[n]
		if !known {
			return nil, &fault{400, "BadRequest", fmt.Sprintf("Parsing OData Select and Expand failed: Could not find a property named '%s' on type 'microsoft.graph.user'.", n)}
		}
		out[n] = v
	}
	return out, nil
}

// memberships are all groups, roles and units of p, nested too.
func (s *Server) memberships(p Person) []map[string]any {
	var out []map[string]any
	roles, seen := map[string]bool{}, map[string]bool{}
	for _, r := range p.Roles {
		roles[r] = true
	}
	queue := slices.Clone(p.Groups)
	for len(queue) > 0 {
		id := queue[0]
		queue = queue[1:]
		g, there := s.groups[id]
		if seen[id] || !there {
			continue
		}
		seen[id] = true
		assignable := any(nil)
		if g.RoleBearing {
			assignable = true
		}
		out = append(out, map[string]any{"@odata.type": "#microsoft.graph.group", "id": g.ID, "displayName": g.Name, "isAssignableToRole": assignable,
			"securityEnabled": !g.NotSecurity, "mailEnabled": g.MailEnabled})
		for _, r := range g.Roles {
			roles[r] = true
		}
		queue = append(queue, g.In...)
	}
	for _, r := range slices.Sorted(maps.Keys(roles)) {
		out = append(out, map[string]any{"@odata.type": "#microsoft.graph.directoryRole", "id": idOf("role", r), "displayName": r, "roleTemplateId": idOf("template", r)})
	}
	for _, name := range p.Units {
		u := s.units[name]
		out = append(out, map[string]any{"@odata.type": "#microsoft.graph.administrativeUnit", "id": u.ID, "displayName": u.Name, "isMemberManagementRestricted": u.Restricted})
	}
	return out
}

// privileged says whether only the highest roles may touch p.
func (s *Server) privileged(p Person) bool {
	if len(p.Roles)+len(p.UnitRoles) > 0 {
		return true
	}
	for _, m := range s.memberships(p) {
		if m["@odata.type"] == "#microsoft.graph.directoryRole" || m["isAssignableToRole"] == true {
			return true
		}
	}
	return false
}

func (s *Server) restricted(p Person) bool {
	return slices.ContainsFunc(p.Units, func(name string) bool { return s.units[name].Restricted })
}

// domain is what is behind the at sign.
func domain(upn string) string {
	_, d, _ := strings.Cut(upn, "@")
	return strings.ToLower(d)
}
