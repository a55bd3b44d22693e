package openldap

import (
	"fmt"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"postern/directory"
	"postern/directory/internal/ldapconn"
)

// The errors of the password policy response control
// (draft-behera-ldap-password-policy-10 section 6.2). 9 is slapd's own, since 2.5;
// go-ldap has no name for it.
const (
	ppolicyNone            = -1
	ppolicyExpired         = 0
	ppolicyLocked          = 1
	ppolicyChangeAfter     = 2
	ppolicyModNotAllowed   = 3
	ppolicyMustSupplyOld   = 4
	ppolicyQuality         = 5
	ppolicyTooShort        = 6
	ppolicyTooYoung        = 7
	ppolicyInHistory       = 8
	ppolicyTooLong         = 9
	oidPasswordModify      = "1.3.6.1.4.1.4203.1.11.1"
	oidAssertion           = "1.3.6.1.1.12"
	tagControls            = 0
	tagPolicyError         = 1
	tagPasswordModifyUser  = 0
	tagPasswordModifyOld   = 1
	tagPasswordModifyFresh = 2
)

// passwordModify is RFC 3062: userIdentity, oldPasswd where there is one, newPasswd.
func passwordModify(dn string, old, pw directory.Secret) *ldap.ExtendedRequest {
	seq := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "PasswdModifyRequestValue")
	seq.AppendChild(ber.NewString(ber.ClassContext, ber.TypePrimitive, tagPasswordModifyUser, dn, "userIdentity"))
	if !old.Empty() {
		seq.AppendChild(ber.NewString(ber.ClassContext, ber.TypePrimitive, tagPasswordModifyOld, old.Reveal(), "oldPasswd"))
	}
	seq.AppendChild(ber.NewString(ber.ClassContext, ber.TypePrimitive, tagPasswordModifyFresh, pw.Reveal(), "newPasswd"))
	req := ldap.NewExtendedRequest(oidPasswordModify, seq)
	req.Controls = []ldap.Control{ldap.NewControlBeheraPasswordPolicy()}
	return req
}

// reason is the policy error in a list of response controls.
func reason(controls []ldap.Control) int {
	for _, c := range controls {
		if p, ok := c.(*ldap.ControlBeheraPasswordPolicy); ok {
			return int(p.Error)
		}
	}
	return ppolicyNone
}

// reasonOf is the policy error in the packet of a refused request: go-ldap returns
// before it decodes the controls of a refusal. Its decoder is not used here either,
// since it takes 9 for no error at all.
func reasonOf(e *ldap.Error) int {
	if e.Packet == nil || len(e.Packet.Children) < 3 {
		return ppolicyNone
	}
	field := e.Packet.Children[2]
	if field.ClassType != ber.ClassContext || field.Tag != tagControls {
		return ppolicyNone
	}
	for _, c := range field.Children {
		// Control ::= SEQUENCE { type, criticality DEFAULT FALSE, value OPTIONAL }
		if len(c.Children) < 2 || string(c.Children[0].ByteValue) != ldap.ControlTypeBeheraPasswordPolicy {
			continue
		}
		value, err := ber.DecodePacketErr(c.Children[len(c.Children)-1].ByteValue)
		if err != nil {
			continue
		}
		for _, part := range value.Children {
			if part.ClassType != ber.ClassContext || part.Tag != tagPolicyError || part.Data == nil {
				continue
			}
			if n, err := ber.ParseInt64(part.Data.Bytes()); err == nil && n >= 0 && n <= ppolicyTooLong {
				return int(n)
			}
		}
	}
	return ppolicyNone
}

// decodeWrite reads the answer to a password write.
func decodeWrite(err error, rules directory.Rules, u directory.User, change bool) error {
	if err == nil {
		return nil
	}
	e, answered := ldapconn.Answer(err)
	if !answered {
		return err
	}
	refusal := &directory.Refusal{Text: e.Err.Error()}
	switch reasonOf(e) {
	case ppolicyLocked:
		return &directory.BindDenied{Reason: "locked", Err: err}
	case ppolicyModNotAllowed:
		refusal.Rule = directory.RuleCannotChange
	case ppolicyMustSupplyOld:
		refusal.Rule = directory.RuleMustSupplyOld
	case ppolicyQuality:
		refusal.Rule = directory.RuleQuality
	case ppolicyTooShort:
		refusal.Rule, refusal.Limit = directory.RuleTooShort, rules.MinLength
	case ppolicyTooLong:
		refusal.Rule, refusal.Limit = directory.RuleTooLong, rules.MaxLength
	case ppolicyTooYoung:
		refusal.Rule = directory.RuleTooYoung
		if !u.State.PasswordSet.IsZero() {
			refusal.Until = u.State.PasswordSet.Add(rules.MinAge)
		}
	case ppolicyInHistory:
		refusal.Rule, refusal.Limit = directory.RuleHistory, rules.History
	}
	switch {
	case refusal.Rule != "":
		return refusal
	case change && (e.ResultCode == ldap.LDAPResultInvalidCredentials ||
		e.ResultCode == ldap.LDAPResultUnwillingToPerform && e.Err.Error() == wrongOldText):
		return fmt.Errorf("%w: %w", directory.ErrWrongPassword, err)
	case e.ResultCode == ldap.LDAPResultConstraintViolation:
		refusal.Rule = directory.RuleQuality // no control says more
		return refusal
	case e.ResultCode == ldap.LDAPResultUnwillingToPerform:
		refusal.Rule = directory.RuleNotAllowed
		return refusal
	}
	return ldapconn.Wrap(err)
}

// wrongOldText is all that distinguishes a wrong old password from other reasons
// to be unwilling (slapd, servers/slapd/passwd.c).
const wrongOldText = "unwilling to verify old password"

// decodeBind reads the answer to a user's bind. slapd says invalidCredentials for
// everything; the control tells why, and a refused bind must not.
func decodeBind(err error, controls []ldap.Control) error {
	why := reason(controls)
	if err == nil {
		switch why {
		case ppolicyChangeAfter:
			return directory.ErrMustChange
		case ppolicyExpired:
			return directory.ErrPasswordExpired
		}
		for _, c := range controls {
			if p, ok := c.(*ldap.ControlBeheraPasswordPolicy); ok && p.Grace >= 0 {
				return directory.ErrPasswordExpired // let in once more by pwdGraceAuthNLimit
			}
		}
		return nil
	}
	e, answered := ldapconn.Answer(err)
	if !answered {
		return err
	}
	switch e.ResultCode {
	case ldap.LDAPResultInvalidCredentials, ldap.LDAPResultInsufficientAccessRights,
		ldap.LDAPResultConstraintViolation, ldap.LDAPResultUnwillingToPerform, ldap.LDAPResultInappropriateAuthentication,
		ldap.LDAPResultNoSuchObject:
	default:
		return fmt.Errorf("%w: %w", directory.ErrUnavailable, err)
	}
	switch why {
	case ppolicyExpired:
		return fmt.Errorf("%w: %w", directory.ErrPasswordExpired, err)
	case ppolicyChangeAfter:
		return fmt.Errorf("%w: %w", directory.ErrMustChange, err)
	case ppolicyLocked:
		return &directory.BindDenied{Reason: "locked", Err: err}
	}
	return fmt.Errorf("%w: %w", directory.ErrWrongPassword, err)
}
