//go:build !noentra

package entra

import (
	"context"
	"errors"

	"github.com/microsoftgraph/msgraph-sdk-go/models"

	"postern/directory"
)

// SetPassword implements directory.Directory: one PATCH of passwordProfile. It is the
// only way open to an application (resetPassword is for signed-in people alone), and
// needs User-PasswordProfile.ReadWrite.All and a role like User Administrator.
func (d *Directory) SetPassword(ctx context.Context, u directory.User, pw directory.Secret) error {
	id, err := d.idIn(u)
	if err != nil {
		return err
	}
	if pw.Empty() {
		return &directory.Refusal{Rule: directory.RuleTooShort, Limit: minLength}
	}
	if !directory.PlainCharacters(pw.Reveal()) {
		return &directory.Refusal{Rule: directory.RuleCharacters, Text: "not sent"}
	}
	if err := d.atHome(ctx); err != nil {
		return err
	}
	value, must := pw.Reveal(), d.cfg.MustChange
	err = d.graph.call(ctx, func(ctx context.Context) error {
		profile := models.NewPasswordProfile()
		profile.SetPassword(&value)
		profile.SetForceChangePasswordNextSignIn(&must)
		body := models.NewUser()
		body.SetPasswordProfile(profile)
		_, err := d.graph.users().ByUserId(id).Patch(ctx, body, nil)
		return err
	})
	var said *failure
	if errors.As(err, &said) {
		return said.password(pw)
	}
	return err
}

// RevokeSessions implements directory.Revoker: refresh tokens and session cookies of
// the tenant end; what was given out before may last for the hour it is good for
// ("user: revokeSignInSessions").
func (d *Directory) RevokeSessions(ctx context.Context, u directory.User) error {
	id, err := d.idIn(u)
	if err != nil {
		return err
	}
	return writing(d.graph.call(ctx, func(ctx context.Context) error {
		r, err := d.graph.users().ByUserId(id).RevokeSignInSessions().PostAsRevokeSignInSessionsPostResponse(ctx, nil)
		if err == nil && (r == nil || !truth(r.GetValue())) {
			err = errNothing
		}
		return err
	}))
}
