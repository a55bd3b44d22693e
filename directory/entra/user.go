//go:build !noentra

package entra

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/microsoftgraph/msgraph-sdk-go/models"
	"github.com/microsoftgraph/msgraph-sdk-go/users"

	"postern/directory"
)

// typable reports whether a typed name can be looked up.
func typable(s string) bool {
	return s != "" && len(s) <= 256 && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Cf, r)
	})
}

// user reads an account as Graph has it.
func (d *Directory) user(ctx context.Context, m models.Userable) (directory.User, error) {
	id := strings.ToLower(text(m.GetId()))
	if !guid.MatchString(id) || m.GetAccountEnabled() == nil || text(m.GetUserPrincipalName()) == "" {
		return directory.User{}, fmt.Errorf("%w: Graph does not show the id, name and state of %q", directory.ErrUnavailable, id)
	}
	upn := text(m.GetUserPrincipalName())
	_, suffix, _ := strings.Cut(upn, "@")
	at, err := d.domain(ctx, suffix)
	if err != nil {
		return directory.User{}, err
	}
	r, err := d.rights(ctx, id)
	if err != nil {
		return directory.User{}, err
	}
	u := directory.User{
		ID: directory.ID(d.name + ":" + id), Directory: d.name, Server: d.graph.host, Login: upn, UPN: upn, Name: text(m.GetDisplayName()),
		GivenName: text(m.GetGivenName()), Surname: text(m.GetSurname()), Language: text(m.GetPreferredLanguage()), Groups: r.groups, Privileged: r.privileged,
		State: d.state(m, at),
	}
	if a := text(m.GetMail()); a != "" {
		u.Mail = []string{a}
	}
	if n := text(m.GetMobilePhone()); n != "" {
		u.Phone = []string{n}
	}
	if d.cfg.LinkAttribute != "" {
		u.Link = directory.LinkOf(text(m.GetEmployeeId()))
	}
	if boss := m.GetManager(); boss != nil {
		u.Manager = strings.ToLower(text(boss.GetId()))
	}
	switch {
	case text(m.GetUserType()) != "Member" || strings.Contains(strings.ToUpper(upn), "#EXT#"):
		u.Privileged = "a guest: the account and its password are another tenant's"
	case at.federated:
		u.Privileged = "the domain " + suffix + " is federated: passwords are kept by another system"
	case truth(m.GetOnPremisesSyncEnabled()):
		u.CopyOf = cmp.Or(text(m.GetOnPremisesSecurityIdentifier()), "unknown")
	}
	return u, nil
}

func (d *Directory) state(m models.Userable, at domain) directory.State {
	s := directory.State{Disabled: !truth(m.GetAccountEnabled())}
	if t := m.GetLastPasswordChangeDateTime(); t != nil {
		s.PasswordSet = t.UTC()
	}
	if p := m.GetPasswordProfile(); p != nil {
		s.MustChange = truth(p.GetForceChangePasswordNextSignIn()) || truth(p.GetForceChangePasswordNextSignInWithMfa())
	}
	if !strings.Contains(text(m.GetPasswordPolicies()), "DisablePasswordExpiration") && at.life > 0 && !s.PasswordSet.IsZero() {
		s.PasswordExpires = s.PasswordSet.Add(at.life)
		s.PasswordExpired = d.now().After(s.PasswordExpires)
	}
	return s
}

// rights is what somebody is a member of, and why that means to keep away.
type rights struct {
	groups     []string
	privileged string
}

// maxPages bounds a listing of one person's memberships: 100 to a page.
const maxPages = 50

// rights asks three questions at once; while one of them has no answer, nobody can
// be cleared of being privileged.
func (d *Directory) rights(ctx context.Context, id string) (rights, error) {
	var r rights
	var reasons [3]string
	var errs [3]error
	var wg sync.WaitGroup
	for i, question := range []func() (string, error){
		func() (why string, err error) { r.groups, why, err = d.memberships(ctx, id); return why, err },
		func() (string, error) { return d.assigned(ctx, id) },
		func() (string, error) { return d.eligible(ctx, id) },
	} {
		wg.Go(func() {
			// A panic here would end the process: no handler's recovery reaches it.
			defer func() {
				if p := recover(); p != nil {
					errs[i] = fmt.Errorf("%w: panic: %v", directory.ErrUnavailable, p)
				}
			}()
			reasons[i], errs[i] = question()
		})
	}
	wg.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return rights{}, err
	}
	r.privileged = firstOf(reasons[:])
	return r, nil
}

func firstOf(s []string) string {
	if i := slices.IndexFunc(s, func(s string) bool { return s != "" }); i >= 0 {
		return s[i]
	}
	return ""
}

func (d *Directory) memberships(ctx context.Context, id string) (groups []string, why string, err error) {
	at := d.graph.users().ByUserId(id).TransitiveMemberOf()
	next := ""
	for range maxPages {
		var page models.DirectoryObjectCollectionResponseable
		err := d.graph.ask(ctx, func(ctx context.Context) (err error) {
			if next == "" {
				page, err = at.Get(ctx, &users.ItemTransitiveMemberOfRequestBuilderGetRequestConfiguration{})
			} else {
				page, err = at.WithUrl(next).Get(ctx, nil)
			}
			if err == nil && (page == nil || page.GetValue() == nil) {
				err = errNothing
			}
			return err
		})
		if err != nil {
			return nil, "", err
		}
		for _, o := range page.GetValue() {
			group, reason := d.membership(o)
			if group != "" {
				groups = append(groups, group)
			}
			if why == "" {
				why = reason
			}
		}
		if next = text(page.GetOdataNextLink()); next == "" {
			return groups, why, nil
		}
	}
	return nil, "", fmt.Errorf("%w: %s is in more groups than can be read", directory.ErrUnavailable, id)
}

// membership is the group's id, and why its members are to be left alone.
func (d *Directory) membership(o models.DirectoryObjectable) (group, why string) {
	id := strings.ToLower(text(o.GetId()))
	switch m := o.(type) {
	case models.Groupable:
		switch {
		case truth(m.GetIsAssignableToRole()):
			why = "member of the role-assignable group " + text(m.GetDisplayName())
		case slices.ContainsFunc(d.cfg.PrivilegedGroups, func(g string) bool { return strings.EqualFold(g, id) }):
			why = "member of " + text(m.GetDisplayName()) + " (" + id + ")"
		}
		return id, why
	case models.DirectoryRoleable:
		return "", "has the role " + text(m.GetDisplayName())
	case models.AdministrativeUnitable:
		if truth(m.GetIsMemberManagementRestricted()) {
			why = "in the restricted administrative unit " + text(m.GetDisplayName())
		}
		return "", why
	}
	return "", "member of something unknown: " + text(o.GetOdataType())
}

// assigned are roles given directly, also over a part of the tenant only.
func (d *Directory) assigned(ctx context.Context, id string) (string, error) {
	list, err := fetchList[models.UnifiedRoleAssignmentCollectionResponseable](ctx, d.graph, "/roleManagement/directory/roleAssignments",
		url.Values{"$filter": {"principalId eq '" + id + "'"}}, models.CreateUnifiedRoleAssignmentCollectionResponseFromDiscriminatorValue)
	if err != nil {
		return "", asUnavailable(err)
	}
	for _, a := range list {
		return "has the role " + text(a.GetRoleDefinitionId()) + " over " + text(a.GetDirectoryScopeId()), nil
	}
	return "", nil
}

// eligible are roles that may be activated (PIM). Without the licence for it there
// are none.
func (d *Directory) eligible(ctx context.Context, id string) (string, error) {
	list, err := fetchList[models.UnifiedRoleEligibilityScheduleInstanceCollectionResponseable](ctx, d.graph, "/roleManagement/directory/roleEligibilityScheduleInstances",
		url.Values{"$filter": {"principalId eq '" + id + "'"}}, models.CreateUnifiedRoleEligibilityScheduleInstanceCollectionResponseFromDiscriminatorValue)
	var said *failure
	if errors.As(err, &said) && said.code == "AadPremiumLicenseRequired" {
		return "", nil
	}
	if err != nil {
		return "", asUnavailable(err)
	}
	for _, a := range list {
		return "may activate the role " + text(a.GetRoleDefinitionId()), nil
	}
	return "", nil
}

// domain is what a domain of the tenant says of passwords.
type domain struct {
	federated bool
	life      time.Duration // zero: they never expire
}

const (
	keepDomains  = 10 * time.Minute
	defaultLife  = 90         // days, where the domain says nothing
	neverExpires = 2147483647 // days
	day          = 24 * time.Hour
)

// domain reads the tenant's domains, all at once, every ten minutes. One that is not
// among them counts as federated: its passwords are not this tenant's.
func (d *Directory) domain(ctx context.Context, name string) (domain, error) {
	d.mu.Lock()
	fresh := d.domains != nil && d.now().Sub(d.asked).Abs() < keepDomains
	at, known := d.domains[strings.ToLower(name)]
	d.mu.Unlock()
	if fresh && known {
		return at, nil
	}
	began := d.now()
	list, err := fetchList[models.DomainCollectionResponseable](ctx, d.graph, "/domains", url.Values{"$select": {"id,authenticationType,passwordValidityPeriodInDays"}},
		models.CreateDomainCollectionResponseFromDiscriminatorValue)
	if err != nil {
		return domain{}, asUnavailable(err)
	}
	all := map[string]domain{}
	for _, m := range list {
		days := int32(defaultLife)
		if n := m.GetPasswordValidityPeriodInDays(); n != nil {
			days = *n
		}
		one := domain{federated: text(m.GetAuthenticationType()) != "Managed"}
		if days > 0 && days != neverExpires {
			one.life = time.Duration(days) * day
		}
		all[strings.ToLower(text(m.GetId()))] = one
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.domains, d.asked = all, began
	at, known = all[strings.ToLower(name)]
	if !known {
		at.federated = true
	}
	return at, nil
}

// atHome makes sure, once, that the tenant that answers is the one configured.
func (d *Directory) atHome(ctx context.Context) error {
	d.mu.Lock()
	home := d.home
	d.mu.Unlock()
	if home {
		return nil
	}
	id, _, err := d.organization(ctx)
	if err != nil {
		return asUnavailable(err)
	}
	if id != d.cfg.Tenant {
		return fmt.Errorf("%w: Graph answers for the tenant %s, and %s is configured", directory.ErrUnavailable, id, d.cfg.Tenant)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.home = true
	return nil
}

func (d *Directory) organization(ctx context.Context) (id, name string, err error) {
	list, err := fetchList[models.OrganizationCollectionResponseable](ctx, d.graph, "/organization", url.Values{"$select": {"id,displayName"}},
		models.CreateOrganizationCollectionResponseFromDiscriminatorValue)
	if err != nil {
		return "", "", err
	}
	if len(list) == 1 {
		return strings.ToLower(text(list[0].GetId())), text(list[0].GetDisplayName()), nil
	}
	return "", "", fmt.Errorf("%w: Graph shows no organization", directory.ErrUnavailable)
}
