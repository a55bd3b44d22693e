package embedded

import (
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/jimlambrt/gldap"
)

// guidOf reads the <GUID=…> form of a DN, dashed or as 32 hex digits in wire
// order (MS-ADTS 3.1.1.3.1.2.4), and returns the bytes on the wire.
func guidOf(dn string) (string, bool) {
	inner, ok := strings.CutPrefix(strings.ToUpper(dn), "<GUID=")
	if !ok {
		return "", false
	}
	inner = strings.ToLower(strings.TrimSuffix(inner, ">"))
	if len(inner) == 36 {
		return guid(inner).bytes(), true
	}
	b, _ := hex.DecodeString(inner)
	return string(b), true
}

// maxPageSize is how many entries one answer holds (MaxPageSize, MS-ADTS section
// 3.1.1.3.4.6): whoever wants more asks for pages.
const maxPageSize = 1000

// search answers as AD does: anonymously only the rootDSE.
func (s *Server) search(w *gldap.ResponseWriter, r *gldap.Request) {
	done := func(code int, text string, controls ...gldap.Control) {
		resp := r.NewSearchDoneResponse(gldap.WithResponseCode(code))
		resp.SetDiagnosticMessage(text)
		resp.SetControls(controls...)
		_ = w.Write(resp)
	}
	m, err := r.GetSearchMessage()
	if err != nil {
		done(gldap.ResultProtocolError, "")
		return
	}
	match, err := compile(m.Filter)
	if err != nil {
		done(gldap.ResultFilterError, "00002105: LdapErr: DSID-0C0903B3, comment: Error processing filter, data 0, v4563")
		return
	}
	found, code, text := s.find(r.ConnectionID(), m, match)
	page, next, err := pageOf(found, m.Controls)
	if err != nil {
		done(gldap.ResultUnwillingToPerform, "00000057: LdapErr: DSID-0C090A7C, comment: Error processing control, data 0, v4563")
		return
	}
	for i, e := range page {
		if i == maxPageSize || m.SizeLimit > 0 && int64(i) >= m.SizeLimit {
			done(gldap.ResultSizeLimitExceeded, "")
			return
		}
		resp := r.NewSearchResponseEntry(e.dn)
		for name, values := range e.shown(m.Attributes, m.Scope == gldap.BaseObject) {
			resp.AddAttribute(name, values)
		}
		if w.Write(resp) != nil {
			return // the client has gone
		}
	}
	if next != nil {
		done(code, text, next)
		return
	}
	done(code, text)
}

// pageOf is the part of found that a request's paging control asks for, and the
// control to answer with (RFC 2696); all of it and none where there is no such
// control. The cookie is how many entries were given before: nothing is kept
// between two pages, and who was deleted meanwhile may cost another a place.
func pageOf(found []*entry, controls []gldap.Control) ([]*entry, gldap.Control, error) {
	i := slices.IndexFunc(controls, func(c gldap.Control) bool { return c.GetControlType() == oidPaging })
	if i < 0 {
		return found, nil, nil
	}
	asked, ok := controls[i].(*gldap.ControlPaging)
	if !ok {
		return nil, nil, errors.New("embedded: no paging control")
	}
	from := 0
	if len(asked.Cookie) > 0 {
		var err error
		if from, err = strconv.Atoi(string(asked.Cookie)); err != nil || from < 0 {
			return nil, nil, errors.New("embedded: not a cookie of ours")
		}
	}
	from = min(from, len(found))
	to := min(from+min(int(asked.PagingSize), maxPageSize), len(found))
	answer := &gldap.ControlPaging{}
	if to < len(found) && asked.PagingSize > 0 { // size 0 ends the listing
		answer.SetCookie(strconv.AppendInt(nil, int64(to), 10))
	}
	return found[from:to], answer, nil
}

func (s *Server) find(connection int, m *gldap.SearchMessage, match matcher) ([]*entry, int, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Now()
	if m.BaseDN == "" && m.Scope == gldap.BaseObject {
		if e := rootDSE(now); match(e) {
			return []*entry{e}, gldap.ResultSuccess, ""
		}
		return nil, gldap.ResultSuccess, ""
	}
	if !s.bound[connection].known() {
		return nil, gldap.ResultOperationsError, "000004DC: LdapErr: DSID-0C090A5C, comment: In order to perform this " +
			"operation a successful bind must be completed on the connection., data 0, v4563"
	}
	all := s.indexed()
	base := all.at(m.BaseDN)
	if base == nil {
		return nil, gldap.ResultNoSuchObject, "0000208D: NameErr: DSID-0310028D, problem 2001 (NO_OBJECT), data 0, best match of:\n\t'" + baseDN + "'\n"
	}
	if m.Scope == gldap.BaseObject {
		if !match(base) {
			return nil, gldap.ResultSuccess, ""
		}
		if base.account != nil {
			whole := *base
			whole.constructed = s.data.constructed(base.account, s.policy, now)
			base = &whole
		}
		return []*entry{base}, gldap.ResultSuccess, ""
	}
	var found []*entry
	for _, e := range all.entries {
		in := childOf
		if m.Scope != gldap.SingleLevel {
			in = atOrBelow
		}
		if !match(e) || !in(e.parsed, base.parsed) {
			continue
		}
		if e.account != nil && containsFold(m.Attributes, attrComputed) {
			whole := *e
			whole.constructed = s.data.constructed(e.account, s.policy, now)
			e = &whole
		}
		found = append(found, e)
	}
	return found, gldap.ResultSuccess, ""
}

// indexed is the index of what there is now; the caller holds the lock.
func (s *Server) indexed() *index {
	if s.index == nil {
		s.index = newIndex(s.data, s.policy)
	}
	return s.index
}

// shown are the attributes a search asked for: none named means all but the
// constructed ones, which come only by name and, but for one, only from a base search.
func (e *entry) shown(names []string, base bool) map[string][]string {
	out := map[string][]string{}
	all := len(names) == 0 || slices.Contains(names, "*")
	for name, values := range e.attrs {
		if len(values) > 0 && (all || containsFold(names, name)) {
			out[name] = values
		}
	}
	for name, values := range e.constructed {
		if (base || name == attrComputed) && len(values) > 0 && containsFold(names, name) {
			out[name] = values
		}
	}
	return out
}

func containsFold(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}
