//go:build !noentra

package entra

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/microsoftgraph/msgraph-sdk-go/models"

	"postern/directory"
)

// methodKind is what stands between the namespace and the rest of an @odata.type.
func methodKind(m models.AuthenticationMethodable) string {
	kind := strings.TrimPrefix(text(m.GetOdataType()), "#microsoft.graph.")
	return strings.TrimSuffix(kind, "AuthenticationMethod")
}

// methodName is what tells two methods of a kind apart.
func methodName(m models.AuthenticationMethodable) string {
	switch m := m.(type) {
	case models.PhoneAuthenticationMethodable:
		return text(m.GetPhoneNumber())
	case models.EmailAuthenticationMethodable:
		return text(m.GetEmailAddress())
	case interface{ GetDisplayName() *string }:
		return text(m.GetDisplayName())
	}
	return ""
}

// Methods implements directory.MethodKeeper.
func (d *Directory) Methods(ctx context.Context, u directory.User) ([]directory.Method, error) {
	id, err := d.idIn(u)
	if err != nil {
		return nil, err
	}
	var page models.AuthenticationMethodCollectionResponseable
	err = d.graph.ask(ctx, func(ctx context.Context) (err error) {
		page, err = d.graph.users().ByUserId(id).Authentication().Methods().Get(ctx, nil)
		if err == nil && (page == nil || page.GetValue() == nil) {
			err = errNothing
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	var out []directory.Method
	for _, m := range page.GetValue() {
		kind := methodKind(m)
		out = append(out, directory.Method{ID: text(m.GetId()), Kind: kind, Name: methodName(m), Removable: d.remover(id, kind, text(m.GetId())) != nil})
	}
	return out, nil
}

// remover is the call that deletes a method of a kind; nil: there is none.
func (d *Directory) remover(user, kind, id string) func(context.Context) error {
	a := d.graph.users().ByUserId(user).Authentication()
	switch kind {
	case "phone":
		return func(ctx context.Context) error {
			return a.PhoneMethods().ByPhoneAuthenticationMethodId(id).Delete(ctx, nil)
		}
	case "softwareOath":
		return func(ctx context.Context) error {
			return a.SoftwareOathMethods().BySoftwareOathAuthenticationMethodId(id).Delete(ctx, nil)
		}
	case "fido2":
		return func(ctx context.Context) error {
			return a.Fido2Methods().ByFido2AuthenticationMethodId(id).Delete(ctx, nil)
		}
	case "email":
		return func(ctx context.Context) error {
			return a.EmailMethods().ByEmailAuthenticationMethodId(id).Delete(ctx, nil)
		}
	case "microsoftAuthenticator":
		return func(ctx context.Context) error {
			return a.MicrosoftAuthenticatorMethods().ByMicrosoftAuthenticatorAuthenticationMethodId(id).Delete(ctx, nil)
		}
	case "windowsHelloForBusiness":
		return func(ctx context.Context) error {
			return a.WindowsHelloForBusinessMethods().ByWindowsHelloForBusinessAuthenticationMethodId(id).Delete(ctx, nil)
		}
	case "temporaryAccessPass":
		return func(ctx context.Context) error {
			return a.TemporaryAccessPassMethods().ByTemporaryAccessPassAuthenticationMethodId(id).Delete(ctx, nil)
		}
	}
	return nil
}

// RemoveMethod implements directory.MethodKeeper.
func (d *Directory) RemoveMethod(ctx context.Context, u directory.User, m directory.Method) error {
	id, err := d.idIn(u)
	if err != nil {
		return err
	}
	remove := d.remover(id, m.Kind, m.ID)
	if remove == nil || m.ID == "" {
		return fmt.Errorf("%w: a method of the kind %q", directory.ErrUnsupported, m.Kind)
	}
	return writing(d.graph.call(ctx, remove))
}

// writing reads Graph's answer to a write.
func writing(err error) error {
	var said *failure
	if errors.As(err, &said) {
		return said.writing()
	}
	return err
}

// GivesPasses implements directory.PassGiver.
func (d *Directory) GivesPasses(directory.User) bool { return d.cfg.PassMinutes > 0 }

// IssuePass implements directory.MethodKeeper. The value is in this one answer only;
// a pass whose answer got lost is good for nobody, and the next one ends it.
func (d *Directory) IssuePass(ctx context.Context, u directory.User) (directory.Pass, error) {
	id, err := d.idIn(u)
	if err != nil {
		return directory.Pass{}, err
	}
	if d.cfg.PassMinutes == 0 {
		return directory.Pass{}, fmt.Errorf("%w: pass_minutes is 0", directory.ErrUnsupported)
	}
	minutes, once := int32(d.cfg.PassMinutes), true
	body := models.NewTemporaryAccessPassAuthenticationMethod()
	body.SetLifetimeInMinutes(&minutes)
	body.SetIsUsableOnce(&once)
	var made models.TemporaryAccessPassAuthenticationMethodable
	err = writing(d.graph.call(ctx, func(ctx context.Context) (err error) {
		made, err = d.graph.users().ByUserId(id).Authentication().TemporaryAccessPassMethods().Post(ctx, body, nil)
		if err == nil && (made == nil || text(made.GetTemporaryAccessPass()) == "") {
			err = fmt.Errorf("%w: %w: a pass was made and not shown", directory.ErrUnavailable, directory.ErrUncertain)
		}
		return err
	}))
	if err != nil {
		return directory.Pass{}, err
	}
	p := directory.Pass{Value: directory.NewSecret(text(made.GetTemporaryAccessPass())), Until: d.now().Add(time.Duration(minutes) * time.Minute)}
	if from, life := made.GetStartDateTime(), made.GetLifetimeInMinutes(); from != nil && life != nil {
		p.Until = from.Add(time.Duration(*life) * time.Minute)
	}
	return p, nil
}

// Registered implements directory.MethodKeeper.
func (d *Directory) Registered(ctx context.Context, each func(directory.Registration) error) error {
	path, query := "/reports/authenticationMethods/userRegistrationDetails", url.Values{}
	for range maxPeoplePages {
		page, err := fetch[models.UserRegistrationDetailsCollectionResponseable](ctx, d.graph, path, query, models.CreateUserRegistrationDetailsCollectionResponseFromDiscriminatorValue)
		if err == nil && page.GetValue() == nil {
			err = errNothing
		}
		if err != nil {
			return asUnavailable(err)
		}
		for _, m := range page.GetValue() {
			r := directory.Registration{ID: directory.ID(d.name + ":" + strings.ToLower(text(m.GetId()))), Login: text(m.GetUserPrincipalName()),
				Kinds: m.GetMethodsRegistered(), Ready: truth(m.GetIsMfaCapable())}
			if err := each(r); err != nil {
				return err
			}
		}
		next := text(page.GetOdataNextLink())
		if next == "" {
			return nil
		}
		after, ok := strings.CutPrefix(next, d.graph.base)
		at, err := url.Parse(after)
		if !ok || err != nil {
			return fmt.Errorf("%w: Graph's next page is elsewhere", directory.ErrUnavailable)
		}
		path, query = at.Path, at.Query()
	}
	return fmt.Errorf("%w: more pages than can be read", directory.ErrUnavailable)
}
