package graphstub

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

func (s *Server) userRoutes(mux *http.ServeMux) {
	read := []string{"User.Read.All", "User.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"}
	mux.Handle("GET /v1.0/users", s.route(read, []string{"$filter", "$select", "$top", "$skiptoken", "$count", "$expand", "$orderby"}, s.list))
	mux.Handle("GET /v1.0/users/{id}", s.route(read, []string{"$select", "$expand"}, s.get))
	mux.Handle("PATCH /v1.0/users/{id}", s.route([]string{"User-PasswordProfile.ReadWrite.All", "User.ReadWrite.All", "Directory.ReadWrite.All"}, nil, s.patch))
	mux.Handle("GET /v1.0/users/{id}/transitiveMemberOf", s.route([]string{"Directory.Read.All", "Directory.ReadWrite.All", "GroupMember.Read.All"},
		[]string{"$select", "$top", "$skiptoken"}, s.memberOf))
	mux.Handle("POST /v1.0/users/{id}/revokeSignInSessions", s.route([]string{"User.RevokeSessions.All", "User.ReadWrite.All", "Directory.ReadWrite.All"}, nil, s.revoke))
}

func names(q url.Values) []string {
	if q.Get("$select") == "" {
		return nil
	}
	return strings.Split(q.Get("$select"), ",")
}

// expanded adds the manager, the one relation that can be expanded here.
func (s *Server) expanded(p Person, q url.Values, v map[string]any) error {
	e := q.Get("$expand")
	if e == "" {
		return nil
	}
	if e != "manager" && e != "manager($select=id)" {
		return &fault{400, "BadRequest", "Parsing OData Select and Expand failed: " + e}
	}
	if p.Manager != "" {
		v["manager"] = map[string]any{"@odata.type": "#microsoft.graph.user", "id": p.Manager}
	}
	return nil
}

func (s *Server) list(r *http.Request, q url.Values) (int, string, map[string]any, error) {
	size := s.cfg.Page
	if top := q.Get("$top"); top != "" {
		n, err := strconv.Atoi(top)
		if err != nil || n < 1 || n > 999 {
			return 0, "", nil, &fault{400, "Request_BadRequest", fmt.Sprintf("Invalid page size specified: '%s'. Must be between 1 and 999 inclusive.", top)}
		}
		size = min(size, n)
	}
	match := predicate(func(map[string]any) bool { return true })
	if f := q.Get("$filter"); f != "" {
		p, advanced, err := parseFilter(f, Person{}.properties())
		if err != nil {
			return 0, "", nil, err
		}
		if advanced && (r.Header.Get("ConsistencyLevel") != "eventual" || q.Get("$count") != "true") {
			return 0, "", nil, badFilter("Unsupported Query: this needs the header ConsistencyLevel with the value eventual, and $count=true.")
		}
		match = p
	}
	from := 0
	if token := q.Get("$skiptoken"); token != "" {
		b, err := base64.RawURLEncoding.DecodeString(token)
		if from, err = parseInt(string(b), err); err != nil {
			return 0, "", nil, &fault{400, "Directory_ExpiredPageToken", "The specified page token value has expired and can no longer be included in your request."}
		}
	}
	var all []Person
	for _, a := range s.people {
		if p := a.seen(s.cfg.Now()); match(p.properties()) {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b Person) int { return cmp.Compare(a.ID, b.ID) })
	page := all[min(from, len(all)):min(from+size, len(all))]
	out := map[string]any{}
	values := []map[string]any{}
	for _, p := range page {
		v, err := chosen(p.properties(), names(q))
		if err == nil {
			err = s.expanded(p, q, v)
		}
		if err != nil {
			return 0, "", nil, err
		}
		values = append(values, v)
	}
	out["value"] = values
	if q.Get("$count") == "true" && r.Header.Get("ConsistencyLevel") == "eventual" {
		out["@odata.count"] = len(all)
	}
	if from+size < len(all) {
		next := url.Values{"$skiptoken": {base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(from + size)))}}
		for k, v := range q {
			if k != "$skiptoken" {
				next[k] = v
			}
		}
		out["@odata.nextLink"] = "https://" + r.Host + "/v1.0/users?" + next.Encode()
	}
	return 200, "users", out, nil
}

func parseInt(s string, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(s)
}

// one is the person a path names, as replicas show it.
func (s *Server) one(r *http.Request) (*account, Person, error) {
	a := s.person(r.PathValue("id"))
	if a == nil {
		return nil, Person{}, missing(r.PathValue("id"))
	}
	return a, a.seen(s.cfg.Now()), nil
}

func (s *Server) get(r *http.Request, q url.Values) (int, string, map[string]any, error) {
	_, p, err := s.one(r)
	if err != nil {
		return 0, "", nil, err
	}
	v, err := chosen(p.properties(), names(q))
	if err == nil {
		err = s.expanded(p, q, v)
	}
	return 200, "users/$entity", v, err
}

func (s *Server) memberOf(r *http.Request, q url.Values) (int, string, map[string]any, error) {
	_, p, err := s.one(r)
	if err != nil {
		return 0, "", nil, err
	}
	values := s.memberships(p)
	if values == nil {
		values = []map[string]any{}
	}
	from := 0
	if token := q.Get("$skiptoken"); token != "" {
		if from, err = strconv.Atoi(token); err != nil || from > len(values) {
			return 0, "", nil, &fault{400, "Directory_ExpiredPageToken", "The specified page token value has expired."}
		}
	}
	to := min(from+s.cfg.Page, len(values))
	out := map[string]any{"value": values[from:to]}
	if to < len(values) {
		out["@odata.nextLink"] = fmt.Sprintf("https://%s/v1.0/users/%s/transitiveMemberOf?$skiptoken=%d", r.Host, p.ID, to)
	}
	return 200, "directoryObjects", out, nil
}

// strong are the roles that may reset the password of somebody without any role,
// and strongest those that may reset anybody's ("Who can reset passwords").
var (
	strong    = []string{"User Administrator", "Helpdesk Administrator", "Password Administrator", "Authentication Administrator"}
	strongest = []string{"Privileged Authentication Administrator", "Global Administrator"}
)

func (s *Server) has(roles []string) bool {
	return slices.ContainsFunc(roles, func(r string) bool { return slices.Contains(s.cfg.Roles, r) })
}

// patch takes a passwordProfile and nothing else: that is all Postern may change.
func (s *Server) patch(r *http.Request, _ url.Values) (int, string, map[string]any, error) {
	v, err := body(r, map[string]string{"passwordProfile": "object", "passwordProfile.password": "string",
		"passwordProfile.forceChangePasswordNextSignIn": "bool", "passwordProfile.forceChangePasswordNextSignInWithMfa": "bool"})
	if err != nil {
		return 0, "", nil, err
	}
	a, _, err := s.one(r)
	if err != nil {
		return 0, "", nil, err
	}
	p := a.now
	profile, _ := v["passwordProfile"].(map[string]any)
	password, given := profile["password"].(string)
	force, _ := profile["forceChangePasswordNextSignIn"].(bool)
	switch {
	case !s.has(strongest) && (s.privileged(p) || s.restricted(p) || !s.has(strong)):
		return 0, "", nil, denied()
	case p.Synced:
		return 0, "", nil, &fault{400, "Request_BadRequest", "Unable to update the specified properties for on-premises mastered Directory Sync objects or objects currently undergoing migration."}
	case !given:
		return 204, "", nil, nil // reported: without a password nothing happens (microsoft-graph-docs issue 4267)
	case s.weak(p, password):
		return 0, "", nil, &fault{400, "Request_BadRequest", "The specified password does not comply with password complexity requirements. Please provide a different password."}
	}
	s.change(a, func(p *Person) {
		p.Password, p.MustChange, p.PasswordSet = password, force, s.cfg.Now().Truncate(1e9)
	})
	return 204, "", nil, nil
}

// The characters a password may have, and the classes of which it needs three
// ("Password policies and account restrictions in Microsoft Entra ID").
var (
	allowed = regexp.MustCompile(`^[\x20-\x7e]*$`)
	classes = []*regexp.Regexp{regexp.MustCompile(`[a-z]`), regexp.MustCompile(`[A-Z]`), regexp.MustCompile(`[0-9]`), regexp.MustCompile(`[^a-zA-Z0-9]`)}
)

func (s *Server) weak(p Person, password string) bool {
	n, kinds := utf8.RuneCountInString(password), 0
	for _, c := range classes {
		if c.MatchString(password) {
			kinds++
		}
	}
	plain := strings.NewReplacer("0", "o", "1", "l", "$", "s", "@", "a").Replace(strings.ToLower(password))
	banned := func(w string) bool { return len(w) >= 4 && strings.Contains(plain, strings.ToLower(w)) }
	return n < 8 || n > 256 || kinds < 3 || !allowed.MatchString(password) || slices.ContainsFunc(s.cfg.Banned, banned) || banned(p.Given) || banned(p.Surname)
}

func (s *Server) revoke(r *http.Request, _ url.Values) (int, string, map[string]any, error) {
	if _, _, err := s.one(r); err != nil {
		return 0, "", nil, err
	}
	return 200, "Edm.Boolean", map[string]any{"value": true}, nil
}
