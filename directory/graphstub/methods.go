package graphstub

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// passwordMethod is the id of everybody's password method.
const passwordMethod = "28c10230-6103-485e-b985-444c60001490"

// collections are the paths of each type of method that can be deleted.
var collections = map[string]string{"phoneMethods": "phone", "softwareOathMethods": "softwareOath", "fido2Methods": "fido2", "emailMethods": "email",
	"microsoftAuthenticatorMethods": "microsoftAuthenticator", "windowsHelloForBusinessMethods": "windowsHelloForBusiness",
	"temporaryAccessPassMethods": "temporaryAccessPass"}

func (s *Server) methodRoutes(mux *http.ServeMux) {
	write := []string{"UserAuthenticationMethod.ReadWrite.All"}
	mux.Handle("GET /v1.0/users/{id}/authentication/methods", s.route(append([]string{"UserAuthenticationMethod.Read.All"}, write...), nil, s.methods))
	mux.Handle("POST /v1.0/users/{id}/authentication/temporaryAccessPassMethods", s.route(write, nil, s.pass))
	for path := range collections {
		mux.Handle("DELETE /v1.0/users/{id}/authentication/"+path+"/{method}", s.route(write, nil, s.deleteMethod))
	}
}

func (m Method) properties() map[string]any {
	v := map[string]any{"@odata.type": "#microsoft.graph." + m.Type + "AuthenticationMethod", "id": m.ID}
	switch m.Type {
	case "phone":
		v["phoneNumber"], v["phoneType"], v["smsSignInState"] = m.Name, "mobile", "notAllowedByPolicy"
	case "email":
		v["emailAddress"] = m.Name
	case "temporaryAccessPass":
		v["temporaryAccessPass"], v["isUsable"], v["isUsableOnce"], v["lifetimeInMinutes"] = nil, true, m.Once, m.Minutes
	case "password":
		v["password"] = nil
	default:
		v["displayName"] = m.Name
	}
	return v
}

// reach refuses an application without a role that may touch this person's methods.
func (s *Server) reach(p Person) error {
	if !s.has(strongest) && (s.privileged(p) || s.restricted(p)) {
		return &fault{403, "accessDenied", "Request Authorization failed"}
	}
	return nil
}

func (s *Server) methods(r *http.Request, _ url.Values) (int, string, map[string]any, error) {
	_, p, err := s.one(r)
	if err != nil {
		return 0, "", nil, err
	}
	values := []map[string]any{Method{ID: passwordMethod, Type: "password"}.properties()}
	for _, m := range p.Methods {
		if m.Type != "temporaryAccessPass" || s.cfg.Now().Before(m.Created.Add(time.Duration(m.Minutes)*time.Minute)) {
			values = append(values, m.properties())
		}
	}
	return 200, fmt.Sprintf("users('%s')/authentication/methods", p.ID), map[string]any{"value": values}, nil
}

func (s *Server) deleteMethod(r *http.Request, _ url.Values) (int, string, map[string]any, error) {
	a, p, err := s.one(r)
	if err == nil {
		err = s.reach(p)
	}
	if err != nil {
		return 0, "", nil, err
	}
	segments := strings.Split(r.URL.Path, "/")
	kind, id := collections[segments[len(segments)-2]], r.PathValue("method")
	is := func(m Method) bool { return m.ID == id && m.Type == kind }
	if !slices.ContainsFunc(p.Methods, is) {
		return 0, "", nil, &fault{404, "resourceNotFound", "Resource not found."}
	}
	s.change(a, func(p *Person) { p.Methods = slices.DeleteFunc(p.Methods, is) })
	return 204, "", nil, nil
}

// pass makes a Temporary Access Pass ("Create temporaryAccessPassMethod"). A valid
// one before it ends ("Configure Temporary Access Pass").
func (s *Server) pass(r *http.Request, _ url.Values) (int, string, map[string]any, error) {
	v, err := body(r, map[string]string{"startDateTime": "time", "lifetimeInMinutes": "int", "isUsableOnce": "bool"})
	if err != nil {
		return 0, "", nil, err
	}
	a, p, err := s.one(r)
	if err == nil {
		err = s.reach(p)
	}
	if err != nil {
		return 0, "", nil, err
	}
	minutes := int64(s.cfg.PassMin)
	if n, ok := v["lifetimeInMinutes"].(json.Number); ok {
		if minutes, err = n.Int64(); err != nil {
			return 0, "", nil, &fault{400, "badRequest", "lifetimeInMinutes is no number."}
		}
	}
	once, _ := v["isUsableOnce"].(bool)
	switch {
	case s.cfg.PassesOff:
		return 0, "", nil, &fault{403, "accessDenied", "Temporary Access Pass policy is disabled for the user."}
	case p.Guest:
		return 0, "", nil, &fault{400, "badRequest", "Temporary Access Pass cannot be added to an external guest user."}
	case minutes < int64(s.cfg.PassMin) || minutes > int64(s.cfg.PassMax):
		return 0, "", nil, &fault{400, "badRequest", fmt.Sprintf("The lifetime must be between %d and %d minutes.", s.cfg.PassMin, s.cfg.PassMax)}
	}
	var b [20]byte
	if _, err := io.ReadFull(s.cfg.Rand, b[:]); err != nil {
		return 0, "", nil, err
	}
	m := Method{ID: idOf("method", hex.EncodeToString(b[:])), Type: "temporaryAccessPass", Pass: hex.EncodeToString(b[:4]) + "%" + hex.EncodeToString(b[4:6]),
		Minutes: int(minutes), Once: once, Created: s.cfg.Now()}
	s.change(a, func(p *Person) {
		p.Methods = append(slices.DeleteFunc(p.Methods, func(m Method) bool { return m.Type == "temporaryAccessPass" }), m)
	})
	at := s.cfg.Now().UTC().Format(time.RFC3339)
	return 201, fmt.Sprintf("users('%s')/authentication/temporaryAccessPassMethods/$entity", p.ID), map[string]any{
		"id": m.ID, "temporaryAccessPass": m.Pass, "createdDateTime": at, "startDateTime": at, "lifetimeInMinutes": m.Minutes,
		"isUsableOnce": once, "isUsable": true, "methodUsabilityReason": "EnabledByPolicy"}, nil
}
