package graphstub

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

func client(t *testing.T, s *Server) *http.Client {
	t.Helper()
	pem, err := os.ReadFile(s.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// What Graph does not document is refused as Graph refuses it, so that a client that
// works here has said nothing that only this server takes.
func TestWhatIsNotDocumentedIsRefused(t *testing.T) {
	now := time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)
	s, err := Start(t.Context(), Config{Dir: t.TempDir(), Now: func() time.Time { return now }, TokenLife: time.Hour, Roles: []string{"User Administrator"},
		People: []Person{{UPN: "user1@example.com", Name: "One", Password: "Quay-Lantern-7734"}, {UPN: "admin1@example.com", Roles: []string{"Global Administrator"}},
			{UPN: "synced1@example.com", Synced: true}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c := client(t, s)
	do := func(method, path, token, body string) (int, string, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, s.Graph()+"/v1.0"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		if body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		var e struct {
			Error struct{ Code, Message string }
		}
		if resp.StatusCode >= 400 {
			if err := json.Unmarshal(data, &e); err != nil || e.Error.Message == "" || resp.Header.Get("request-id") == "" {
				t.Errorf("%s %s: %d without Graph's error: %s", method, path, resp.StatusCode, data)
			}
		}
		return resp.StatusCode, e.Error.Code, string(data)
	}
	token := s.Issue()
	const reset = `{"passwordProfile":{"password":"Fresh-Harvest-2291","forceChangePasswordNextSignIn":false}}`
	for _, tt := range []struct {
		method, path, token, body string
		status                    int
		code                      string
	}{
		{"GET", "/users/user1@example.com", token, "", 200, ""},
		{"PATCH", "/users/user1@example.com", token, reset, 204, ""},
		{"GET", "/users/user1@example.com", "", "", 401, "InvalidAuthenticationToken"},
		{"GET", "/users/user1@example.com", "made-up", "", 401, "InvalidAuthenticationToken"},
		{"GET", "/users/nobody@example.com", token, "", 404, "Request_ResourceNotFound"},
		{"GET", "/users?$select=id,shoeSize", token, "", 400, "BadRequest"},
		{"GET", "/users?$filter=shoeSize%20eq%20'7'", token, "", 400, "Request_BadRequest"},
		{"GET", "/users?$filter=mail%20eq%20'x", token, "", 400, "Request_UnsupportedQuery"},
		{"GET", "/users?$filter=mail%20ne%20'x'", token, "", 400, "Request_UnsupportedQuery"},
		{"GET", "/users?$filter=otherMails%20eq%20'x'", token, "", 400, "Request_UnsupportedQuery"},
		{"GET", "/users?$filter=mail%20eq%20'x'%20nonsense", token, "", 400, "Request_UnsupportedQuery"},
		{"GET", "/users?$top=1000", token, "", 400, "Request_BadRequest"},
		{"GET", "/users?$skiptoken=garbage!", token, "", 400, "Directory_ExpiredPageToken"},
		{"GET", "/users?$everything=1", token, "", 400, "BadRequest"},
		{"GET", "/nowhere", token, "", 400, "BadRequest"},
		{"PATCH", "/users/user1@example.com", token, `{"passwordProfile":{"password":7}}`, 400, "Request_BadRequest"},
		{"PATCH", "/users/user1@example.com", token, `{"passwordProfile":{"password":"Fresh-Harvest-2291","forever":true}}`, 400, "Request_BadRequest"},
		{"PATCH", "/users/user1@example.com", token, `{"accountEnabled":false}`, 400, "Request_BadRequest"},
		{"PATCH", "/users/user1@example.com", token, `{"passwordProfile":`, 400, "BadRequest"},
		{"PATCH", "/users/user1@example.com", token, `{"passwordProfile":{"password":"short"}}`, 400, "Request_BadRequest"},
		{"PATCH", "/users/admin1@example.com", token, reset, 403, "Authorization_RequestDenied"},
		{"PATCH", "/users/synced1@example.com", token, reset, 400, "Request_BadRequest"},
		{"POST", "/users/user1@example.com/authentication/temporaryAccessPassMethods", token, `{"lifetimeInMinutes":"60"}`, 400, "Request_BadRequest"},
		{"POST", "/users/user1@example.com/authentication/temporaryAccessPassMethods", token, `{"lifetimeInMinutes":5}`, 400, "badRequest"},
		{"POST", "/users/user1@example.com/authentication/temporaryAccessPassMethods", token, `{"startDateTime":"soon"}`, 400, "Request_BadRequest"},
		{"DELETE", "/users/user1@example.com/authentication/phoneMethods/1", token, "", 404, "resourceNotFound"},
		{"POST", "/users/user1@example.com/authentication/methods/" + passwordMethod + "/resetPassword", token, `{}`, 400, "BadRequest"},
		{"GET", "/roleManagement/directory/roleAssignments", token, "", 400, "Request_UnsupportedQuery"},
	} {
		if status, code, data := do(tt.method, tt.path, tt.token, tt.body); status != tt.status || code != tt.code {
			t.Errorf("%s %s %s: %d %s, want %d %s", tt.method, tt.path, tt.body, status, data, tt.status, tt.code)
		}
	}
	if _, _, data := do("GET", "/users?$filter=mail%20ne%20'x'&$count=true&$select=id", token, ""); strings.Contains(data, `"@odata.count"`) {
		t.Error("counted without ConsistencyLevel")
	}
	now = now.Add(2 * time.Hour)
	if status, code, _ := do("GET", "/users", token, ""); status != 401 || code != "InvalidAuthenticationToken" {
		t.Errorf("after the token's end: %d %s", status, code)
	}
}

func TestItListensOnLoopbackAlone(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "192.0.2.1:0", "example.com:0", "nonsense"} {
		if s, err := Start(t.Context(), Config{Dir: t.TempDir(), Listen: addr}); err == nil {
			_ = s.Close()
			t.Errorf("it listens on %q", addr)
		}
	}
}
