package ad

import (
	"fmt"
	"regexp"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
	"postern/directory/internal/ldapconn"
)

var bindData = regexp.MustCompile(`\bdata ([0-9a-fA-F]{1,8})\b`)

// decodeBind reads the answer to a user's simple bind. Result 49 carries a Win32
// code as "data XXX" (Microsoft, "Active Directory LDAP bind error codes").
func decodeBind(err error) error {
	if err == nil {
		return nil
	}
	e, answered := ldapconn.Answer(err)
	if !answered {
		return err
	}
	if e.ResultCode != ldap.LDAPResultInvalidCredentials {
		return fmt.Errorf("%w: %w", directory.ErrUnavailable, err)
	}
	denied := func(reason string, passwordRight bool) error {
		return &directory.BindDenied{Reason: reason, PasswordRight: passwordRight, Err: err}
	}
	m := bindData.FindStringSubmatch(e.Err.Error())
	if m == nil {
		return fmt.Errorf("%w: %w", directory.ErrWrongPassword, err)
	}
	switch m[1] {
	case "530":
		return denied("logon_hours", true)
	case "531":
		return denied("workstation", true)
	case "532":
		return fmt.Errorf("%w: %w", directory.ErrPasswordExpired, err)
	case "533":
		return denied("disabled", false)
	case "701":
		return denied("account_expired", false)
	case "773":
		return fmt.Errorf("%w: %w", directory.ErrMustChange, err)
	case "775":
		return denied("locked", false)
	case "525", "52e", "52E":
		return fmt.Errorf("%w: %w", directory.ErrWrongPassword, err)
	}
	return denied("other", false)
}
