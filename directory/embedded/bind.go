package embedded

import (
	"fmt"
	"strings"
	"time"

	"github.com/jimlambrt/gldap"
)

// identity is who a connection is bound as.
type identity struct {
	service bool
	account guid // empty: nobody
}

func (i identity) known() bool { return i.service || i.account != "" }

// bind answers a simple bind with AD's results. Every bind first makes the
// connection anonymous (RFC 4511 section 4.2.1).
func (s *Server) bind(w *gldap.ResponseWriter, r *gldap.Request) {
	m, err := r.GetSimpleBindMessage()
	if err != nil {
		_ = w.Write(r.NewBindResponse(gldap.WithResponseCode(gldap.ResultAuthMethodNotSupported)))
		return
	}
	s.mu.Lock()
	delete(s.bound, r.ConnectionID())
	who, code, text := s.login(m.UserName, string(m.Password))
	if code == gldap.ResultSuccess && who.known() {
		s.bound[r.ConnectionID()] = who
	}
	s.mu.Unlock()
	resp := r.NewBindResponse(gldap.WithResponseCode(code))
	resp.SetDiagnosticMessage(text)
	_ = w.Write(resp)
}

// denied is AD's text for a failed bind; data is a Win32 error in hex.
func denied(data string) (identity, int, string) {
	return identity{}, gldap.ResultInvalidCredentials,
		"80090308: LdapErr: DSID-0C090439, comment: AcceptSecurityContext error, data " + data + ", v4563"
}

// login decides a bind, in AD's order: who, locked, password, then the states
// that only somebody with the right password learns of.
func (s *Server) login(name, password string) (identity, int, string) {
	if password == "" {
		if name == "" {
			return identity{}, gldap.ResultSuccess, ""
		}
		return identity{}, gldap.ResultUnwillingToPerform,
			"00000057: a name without a password would be an anonymous bind (RFC 4513 section 5.1.2)"
	}
	if isServiceName(name) {
		if password != s.password {
			return denied("52e")
		}
		return identity{service: true}, gldap.ResultSuccess, ""
	}
	a := s.data.byBindName(name)
	if a == nil {
		return denied("525")
	}
	now := s.cfg.Now()
	if a.locked(s.policy, now) {
		return denied("775")
	}
	if !a.is(password) {
		return s.wrong(a)
	}
	switch {
	case a.Disabled:
		return denied("533")
	case a.accountExpired(now):
		return denied("701")
	case a.mustChange():
		return denied("773")
	case a.passwordExpired(s.policy, now):
		return denied("532")
	}
	if a.Failures != 0 || !a.LockedAt.IsZero() {
		after := *a
		after.Failures, after.LockedAt = 0, time.Time{}
		if err := s.replace(a, &after); err != nil {
			return busy(err)
		}
	}
	return identity{account: a.GUID}, gldap.ResultSuccess, ""
}

// wrong counts a wrong password. When the count cannot be kept the answer is
// not "wrong" but "busy": otherwise a full disk would switch the lockout off.
func (s *Server) wrong(a *account) (identity, int, string) {
	after := *a
	after.missed(s.policy, s.cfg.Now())
	if err := s.replace(a, &after); err != nil {
		return busy(err)
	}
	return denied("52e")
}

func busy(err error) (identity, int, string) {
	return identity{}, gldap.ResultBusy, fmt.Sprintf("the directory's file cannot be written: %v", err)
}

// replace puts after in a's place and into the file, or leaves everything as it was.
func (s *Server) replace(a, after *account) error {
	before := *a
	*a = *after
	if err := s.data.save(s.cfg.Dir); err != nil {
		*a = before
		return err
	}
	if s.index != nil {
		s.index.refresh(a)
	}
	return nil
}

func isServiceName(name string) bool {
	return sameDN(name, svcDN) || foldEqual(name, svcLogin+"@"+domain) || foldEqual(name, netbios+`\`+svcLogin)
}

// byBindName finds who a bind name means: a DN, <GUID=…>, a UPN, or DOMAIN\login
// (MS-ADTS 5.1.1.1.1).
func (d *data) byBindName(name string) *account {
	if strings.Contains(name, "=") {
		return d.byDN(name)
	}
	if prefix, login, ok := strings.Cut(name, `\`); ok && strings.EqualFold(prefix, netbios) {
		name = login + "@" + domain
	}
	for _, a := range d.Accounts {
		if foldEqual(a.upn(), name) {
			return a
		}
	}
	return nil
}

// byDN finds an account by DN or <GUID=…>.
func (d *data) byDN(dn string) *account {
	g, isGUID := guidOf(dn)
	for _, a := range d.Accounts {
		if isGUID && a.GUID.bytes() == g || !isGUID && sameDN(a.DN, dn) {
			return a
		}
	}
	return nil
}
