package embedded

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf16"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/jimlambrt/gldap"
)

// failure is a result code with AD's text.
type failure struct {
	code int
	text string
}

func (f *failure) Error() string { return f.text }

// Texts as Windows sends them; the first eight digits are a Win32 error.
var (
	errRights   = &failure{gldap.ResultInsufficientAccessRights, "00002098: SecErr: DSID-031514A0, problem 4003 (INSUFF_ACCESS_RIGHTS), data 0"}
	errNoObject = &failure{gldap.ResultNoSuchObject, "0000208D: NameErr: DSID-0310028D, problem 2001 (NO_OBJECT), data 0, best match of:\n\t'" + baseDN + "'\n"}
	errEncoding = &failure{gldap.ResultUnwillingToPerform, "0000001F: SvcErr: DSID-031A12D2, problem 5003 (WILL_NOT_PERFORM), data 0"}
	errValue    = &failure{gldap.ResultUnwillingToPerform, "00000057: SvcErr: DSID-031A1254, problem 5003 (WILL_NOT_PERFORM), data 87"}
	errPolicy   = constraint("0000052D")
	errWrongOld = constraint("00000056")
	errLocked   = constraint("00000775")
)

func constraint(code string) *failure {
	return &failure{gldap.ResultConstraintViolation, code + ": AtrErr: DSID-03191083, #1:\n\t0: " + code +
		": DSID-03191083, problem 1005 (CONSTRAINT_ATT_TYPE), data 0, Att 9005a (unicodePwd)\n"}
}

// modify lets the service account, and nobody else, reset or change a password,
// unlock, and set pwdLastSet. All changes of a request happen or none.
func (s *Server) modify(w *gldap.ResponseWriter, r *gldap.Request) {
	err := func() error {
		m, err := r.GetModifyMessage()
		if err != nil {
			return &failure{gldap.ResultProtocolError, ""}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.bound[r.ConnectionID()].service {
			return errRights
		}
		return s.apply(m)
	}()
	code, text := gldap.ResultSuccess, ""
	var f *failure
	switch {
	case errors.As(err, &f):
		code, text = f.code, f.text
	case err != nil:
		code = gldap.ResultBusy
	}
	_ = w.Write(r.NewModifyResponse(gldap.WithResponseCode(code), gldap.WithDiagnosticMessage(text)))
}

// change is one attribute of a request with its values decoded.
type change struct {
	op     int64
	attr   string
	values []string
}

func (s *Server) apply(m *gldap.ModifyMessage) error {
	a := s.data.byDN(m.DN)
	if a == nil {
		return errNoObject
	}
	after := *a
	var passwords []change
	for _, raw := range m.Changes {
		c := change{op: raw.Operation, attr: strings.ToLower(raw.Modification.Type), values: values(raw.Modification.Vals)}
		var err error
		switch c.attr {
		case "unicodepwd":
			passwords = append(passwords, c)
		case "lockouttime":
			err = after.unlock(c)
		case "pwdlastset":
			err = after.setPwdLastSet(c, s.cfg.Now())
		default:
			err = errRights
		}
		if err != nil {
			return err
		}
	}
	if after.Protected && len(passwords) < len(m.Changes) {
		return errRights // the delegation is gone; a true change is everybody's right
	}
	if len(passwords) > 0 {
		if err := s.setPassword(a, &after, passwords, hinted(m.Controls)); err != nil {
			return err
		}
	}
	return s.replace(a, &after)
}

func (a *account) unlock(c change) error {
	if c.op != gldap.ReplaceAttribute || !slices.Equal(c.values, []string{"0"}) {
		return errValue // locking by writing is not possible (MS-SAMR 3.1.1.8.3)
	}
	a.LockedAt, a.Failures = time.Time{}, 0
	return nil
}

func (a *account) setPwdLastSet(c change, now time.Time) error {
	switch {
	case c.op != gldap.ReplaceAttribute:
		return errValue
	case slices.Equal(c.values, []string{"0"}):
		a.PasswordSet = time.Time{}
	case slices.Equal(c.values, []string{"-1"}):
		a.PasswordSet = now
	default:
		return errValue
	}
	return nil
}

// setPassword carries a reset (one replace) or a change (delete the old, add
// the new) (MS-ADTS 3.1.1.3.1.5.1).
func (s *Server) setPassword(before, after *account, changes []change, hints bool) error {
	for _, c := range changes {
		if len(c.values) != 1 {
			return errEncoding
		}
	}
	switch {
	case len(changes) == 1 && changes[0].op == gldap.ReplaceAttribute:
		if before.Protected {
			return errRights
		}
		pw, err := unquote(changes[0].values[0])
		if err != nil {
			return err
		}
		if before.refusedBecause(s.policy, pw) != "" || hints && before.remembers(s.policy, pw) {
			return errPolicy
		}
		return s.store(after, pw)
	case len(changes) == 2 && changes[0].op == gldap.DeleteAttribute && changes[1].op == gldap.AddAttribute:
		return s.trueChange(before, after, changes[0].values[0], changes[1].values[0])
	}
	return errEncoding
}

func (s *Server) trueChange(before, after *account, quotedOld, quotedNew string) error {
	old, err := unquote(quotedOld)
	if err != nil {
		return err
	}
	pw, err := unquote(quotedNew)
	if err != nil {
		return err
	}
	now := s.cfg.Now()
	if before.locked(s.policy, now) {
		return errLocked
	}
	if !before.is(old) {
		missed := *before
		missed.missed(s.policy, now)
		if err := s.replace(before, &missed); err != nil {
			return err
		}
		return errWrongOld
	}
	tooYoung := !before.mustChange() && now.Before(before.PasswordSet.Add(s.policy.minAge))
	if tooYoung || before.refusedBecause(s.policy, pw) != "" || before.remembers(s.policy, pw) {
		return errPolicy
	}
	return s.store(after, pw)
}

// store makes pw the password in force. The lockout stays: in AD a reset alone
// does not unlock.
func (s *Server) store(a *account, pw string) error {
	h, err := newHash(pw, s.cfg.Rand)
	if err != nil {
		return err
	}
	a.Remembered = append([]hash{h}, a.Remembered[:min(len(a.Remembered), s.policy.history-1)]...)
	a.PasswordSet = s.cfg.Now()
	a.SamplePassword = ""
	return nil
}

// unquote reads unicodePwd: UTF-16LE in quotation marks.
func unquote(value string) (string, error) {
	if len(value)%2 != 0 || len(value) < 4 || len(value) > 4096 {
		return "", errEncoding
	}
	units := make([]uint16, len(value)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16([]byte(value[2*i:]))
	}
	if units[0] != '"' || units[len(units)-1] != '"' {
		return "", errEncoding
	}
	return string(utf16.Decode(units[1 : len(units)-1])), nil
}

// hinted reports whether the request asks that a reset obey the history
// (LDAP_SERVER_POLICY_HINTS, MS-ADTS 3.1.1.3.4.1.27).
func hinted(controls []gldap.Control) bool {
	for _, c := range controls {
		s, ok := c.(*gldap.ControlString)
		if ok && (s.ControlType == oidPolicyHints || s.ControlType == oidPolicyHintsOld) {
			return s.ControlValue == "\x30\x03\x02\x01\x01"
		}
	}
	return false
}

// values decodes what gldap leaves encoded: each string is the inside of a SET
// OF OCTET STRING.
func values(sets []string) []string {
	var out []string
	for _, set := range sets {
		for rest := []byte(set); len(rest) > 0; {
			p, err := ber.DecodePacketErr(rest)
			if err != nil || p.Tag != ber.TagOctetString {
				return nil
			}
			out = append(out, p.Data.String())
			rest = rest[len(p.Bytes()):]
		}
	}
	return out
}
